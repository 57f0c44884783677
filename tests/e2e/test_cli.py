"""The command line against the stand-in exchange: what is printed, the exit status, what is stored."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dccd.application import service_factory
from dccd.domain.timeutils import MS_NS, parse_time
from dccd.domain.types import Market, Transport
from dccd.interfaces.cli.main import run
from dccd.sources.binance import BINANCE
from tests.e2e.command_line import HOURLY, Dccd, wait_for
from tests.exchanges.binance import BinanceStandIn
from tests.exchanges.engine import Fault, Request, Response, in_thread
from tests.exchanges.kraken import KrakenStandIn


def test_download_read_and_export(
    dccd: Dccd, capsys: pytest.CaptureFixture[str], tmp_path: Path, exchange: BinanceStandIn
) -> None:
    assert dccd("backfill", *HOURLY, "--start", "2024-02-01") == 0
    assert "708 rows stored" in capsys.readouterr().out
    asked = exchange.count("/api/v3/klines")

    assert dccd("backfill", *HOURLY, "--start", "2024-02-01") == 0
    assert "nothing was missing" in capsys.readouterr().out
    assert exchange.count("/api/v3/klines") == asked

    assert dccd("inventory", "--json") == 0
    (dataset,) = json.loads(capsys.readouterr().out)
    assert (dataset["id"], dataset["rows"], dataset["complete"]) == ("binance:BTC-USDT:ohlc:1h", 708, True)

    assert dccd("read", *HOURLY, "--format", "json", "--start", "2024-03-01") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["ts"] for row in rows] == [f"2024-03-01T{hour:02d}:00:00Z" for hour in range(12)]

    assert dccd("read", *HOURLY) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 51
    assert "more rows" in printed.err

    assert dccd("export", *HOURLY, "--to", str(tmp_path / "out")) == 0
    (file,) = (tmp_path / "out").rglob("*.parquet")
    assert pq.read_table(file).num_rows == 708


def test_what_is_not_to_be_had_is_said(
    dccd: Dccd, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kraken = KrakenStandIn()
    with in_thread(kraken):
        (tmp_path / "kraken.toml").write_text(kraken.config)
        places = ["--config", str(tmp_path / "kraken.toml"), "--data-path", str(tmp_path / "data")]
        asked = ["backfill", "kraken", "BTC/USD", "--span", "1m", "--start", "2026-01-01", *places]
        assert run([*asked, "--plan"]) == 0
        assert capsys.readouterr().out.splitlines()[1].startswith("not to be had: 2026-01-01T00:00:00Z to 20")
        assert run(asked) == 0
        stored, lacking = capsys.readouterr().out.splitlines()
        assert " rows stored" in stored
        assert lacking.startswith("  not to be had: 2026-01-01T00:00:00Z to 20")
        assert "newest 720" in lacking
        assert run([*asked, "--end", "2026-01-02"]) == 0
        assert "nothing was to be had" in capsys.readouterr().out
        assert run([*asked, "--end", "2026-01-02", "--plan"]) == 0
        assert "stored already" not in capsys.readouterr().out


def test_gaps_are_listed_and_filled(
    dccd: Dccd, capsys: pytest.CaptureFixture[str], exchange: BinanceStandIn
) -> None:
    refusal = Response(b'{"code":-1100,"msg":"Illegal characters found in parameter."}', status=400)
    late = parse_time("2024-01-20") // MS_NS

    def asks_for_late_bars(request: Request) -> bool:
        return int(request.query["startTime"][:13]) >= late

    exchange.faults.append(
        Fault("answer", "/api/v3/klines", when=asks_for_late_bars, times=None, response=refusal)
    )
    assert dccd("backfill", *HOURLY, "--start", "2024-01-01", "--end", "2024-03-01") == 1
    capsys.readouterr()

    exchange.faults.clear()
    assert dccd("gaps", *HOURLY) == 0
    assert "binance:BTC-USDT:ohlc:1h" in capsys.readouterr().out
    assert dccd("gaps", *HOURLY, "--fill") == 0
    capsys.readouterr()
    assert dccd("gaps", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {}


def test_what_works_from_here(
    dccd: Dccd,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    places: list[str],
    exchange: BinanceStandIn,
) -> None:
    rest = tuple(item for item in BINANCE.capabilities if item.transport is Transport.REST)
    monkeypatch.setattr(service_factory, "SOURCES", (replace(BINANCE, capabilities=rest),))
    assert dccd("doctor", "binance") == 0
    printed = capsys.readouterr().out
    tried = sum(len(item.markets) for item in rest) + 2 * len(Market)  # clocks and lists as well
    assert f"All {tried} work." in printed
    assert len(printed.splitlines()) == tried + 2
    assert not Path(places[3]).exists()  # looking makes no folder

    refusal = Response(b'{"code":-1100,"msg":"Illegal characters found in parameter."}', status=400)
    exchange.faults.append(Fault("answer", "/dapi/v1/depth", times=None, response=refusal))
    assert dccd("doctor") == 1
    printed = capsys.readouterr().out
    (broken,) = [line for line in printed.splitlines() if "FAILS" in line]
    assert broken.split()[:5] == ["binance", "inverse", "orderbook", "rest", "BTC/USD:BTC"]
    assert "Illegal characters found in parameter." in broken
    assert f"{tried - 1} of {tried} work." in printed
    assert dccd("doctor", "binance", "--wait", "30", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["works"], found["fails"], len(found["findings"])) == (tried - 1, 1, tried)
    assert dccd("doctor", "binanse") == 2
    assert dccd("doctor", "--wait", "0") == 2


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("backfill", "binanse", "BTC/USDT"), 2, "no exchange 'binanse'"),
        (("backfill", "binance", "BTC/USDX"), 2, "lists no 'BTC/USDX'"),
        (("backfill", "binance", "BTC/USDT", "--span", "7m"), 2, "7m"),
        (("backfill", "binance", "BTC/USDT", "--span", "soon"), 2, "not a span"),
        (("backfill", *HOURLY, "--start", "2024-02-02", "--end", "2024-02-01"), 2, "ends"),
        (("backfill", *HOURLY, "--start", "2030-01-01"), 2, "future"),
        (("backfill", *HOURLY, "--start", "yesterday"), 2, "not a time"),
        (("backfill", "binance", "BTC/USDT", "--type", "funding"), 2, "funding"),
        (("read", *HOURLY), 2, "stored"),
        (("export", *HOURLY, "--to", "out"), 2, "stored"),
        (("gaps", "binance"), 2, "exchange and a symbol"),
        (("backfill", *HOURLY, "--start", "1700000000"), 2, "1970"),
        (("serve", "--port", "99999"), 2, "not a port"),
        (("read",), 2, "EXCHANGE"),
        (("dance",), 2, "dance"),
    ],
)
def test_wrong_use_is_one_clear_sentence(
    dccd: Dccd, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int, words: str
) -> None:
    assert dccd(*arguments) == status
    printed = capsys.readouterr()
    assert words in printed.err
    assert "Traceback" not in printed.err


def test_no_network_says_so(dccd: Dccd, capsys: pytest.CaptureFixture[str], places: list[str]) -> None:
    Path(places[1]).write_text('[sources.binance]\nrest_url = "http://127.0.0.1:9"\n')
    assert dccd("backfill", *HOURLY) == 1
    assert "127.0.0.1" in capsys.readouterr().err


def test_a_corrupt_configuration_names_the_line(
    dccd: Dccd, capsys: pytest.CaptureFixture[str], places: list[str]
) -> None:
    Path(places[1]).write_text("[settings]\ntheme = purple\n")
    for command in (("validate",), ("inventory",)):
        assert dccd(*command) == 2
        assert "line 2" in capsys.readouterr().err


def test_a_configuration_of_an_unknown_exchange_is_not_valid(
    dccd: Dccd, capsys: pytest.CaptureFixture[str], places: list[str]
) -> None:
    assert dccd("validate") == 0
    Path(places[1]).write_text("[sources.binanse]\nenabled = true\n")
    assert dccd("validate") == 2
    assert "binanse" in capsys.readouterr().err


def test_a_data_folder_that_is_a_file(
    dccd: Dccd, capsys: pytest.CaptureFixture[str], places: list[str]
) -> None:
    Path(places[3]).write_text("")
    assert dccd("backfill", *HOURLY) == 1
    assert places[3] in capsys.readouterr().err


def test_ctrl_c_loses_nothing(
    start_dccd: Callable[..., subprocess.Popen[str]],
    dccd: Dccd,
    capsys: pytest.CaptureFixture[str],
    exchange: BinanceStandIn,
) -> None:
    exchange.latency_s = 0.2
    command = ("backfill", "binance", "BTC/USDT", "--span", "1m", "--start", "2023-06-01")
    process = start_dccd(*command)
    wait_for(lambda: exchange.count("/api/v3/klines") > 40)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "goes on from there" in errors

    exchange.latency_s = 0
    before = exchange.count("/api/v3/klines")
    assert dccd(*command) == 0
    # Some pages were stored before the interruption, and those were not asked for again.
    assert exchange.count("/api/v3/klines") - before < 396
    capsys.readouterr()
    assert dccd("inventory", "--json") == 0
    (dataset,) = json.loads(capsys.readouterr().out)
    assert dataset["rows"] == 274 * 1440 + 739  # the bar that closed this second may still change


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_serve_hands_over_and_ends_cleanly(
    start_dccd: Callable[..., subprocess.Popen[str]],
    dccd: Dccd,
    capsys: pytest.CaptureFixture[str],
    how: signal.Signals,
) -> None:
    server = start_dccd("serve")
    assert server.stdout is not None
    assert "dccd serves" in server.stdout.readline()
    assert "http://127.0.0.1:" in server.stdout.readline()

    # A second program on the folder works through the first.
    assert dccd("backfill", *HOURLY, "--start", "2024-02-01") == 0
    capsys.readouterr()
    assert dccd("status", "--json") == 0
    assert json.loads(capsys.readouterr().out)["running"] is True
    assert dccd("open") == 0
    assert "#ticket=" in capsys.readouterr().out
    assert dccd("serve") == 1
    assert "pid" in capsys.readouterr().err

    server.send_signal(how)
    server.communicate(timeout=20)
    assert server.returncode == 0
    assert dccd("status", "--json") == 0
    assert json.loads(capsys.readouterr().out)["running"] is False


def test_without_a_display_the_app_goes_on_as_serve(start_dccd: Callable[..., subprocess.Popen[str]]) -> None:
    app = start_dccd()
    assert app.stdout is not None
    assert app.stderr is not None
    assert "display" in app.stderr.readline()
    assert "dccd serves" in app.stdout.readline()
    app.send_signal(signal.SIGTERM)
    app.communicate(timeout=20)
    assert app.returncode == 0


def test_in_a_pipe_that_closes_reading_ends_quietly(
    start_dccd: Callable[..., subprocess.Popen[str]], dccd: Dccd
) -> None:
    assert dccd("backfill", "binance", "BTC/USDT", "--span", "1m", "--start", "2024-02-01") == 0
    process = start_dccd("read", "binance", "BTC/USDT", "--span", "1m", "--format", "csv")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("ts,open")
    process.stdout.close()
    assert process.wait(timeout=30) == 0


@pytest.mark.parametrize(
    "command", [("inventory",), ("read", *HOURLY), ("gaps",), ("export", *HOURLY, "--to", "out")]
)
def test_looking_makes_no_folder(
    dccd: Dccd, capsys: pytest.CaptureFixture[str], places: list[str], command: tuple[str, ...]
) -> None:
    assert dccd(*command) == 2
    assert "Nothing is stored in" in capsys.readouterr().err
    assert not Path(places[3]).exists()


def test_output_that_cannot_be_written_is_an_error(dccd: Dccd, places: list[str]) -> None:
    assert dccd("backfill", *HOURLY, "--start", "2024-02-01") == 0
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "dccd", "inventory", *places],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == ["dccd: No space left on device: writing the output failed"]
