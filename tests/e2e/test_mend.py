"""Gaps, repair, check, derive and audit as a person types them; the exchange says what it was asked for."""

from __future__ import annotations

import json
import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dccd.application import service_factory
from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.gaps import GapCause
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MS_NS, US_NS, iso, parse_time
from dccd.domain.types import Evidence
from dccd.sources.binance import BINANCE
from dccd.storage.store import Store
from tests.e2e.command_line import HOURLY, NOW_MS, Dccd
from tests.exchanges.binance import BinanceStandIn
from tests.exchanges.engine import Fault, Response

KLINES = "/api/v3/klines"
BARS = DatasetId.parse("binance:BTC-USDT:ohlc:1h")
TRADES = ("binance", "BTC/USDT", "--type", "trades")
REFUSED = Response(b'{"code":-1100,"msg":"Illegal characters found in parameter."}', status=400)
NOTHING = Response(b"[]")

Printed = pytest.CaptureFixture[str]


def asked_for(exchange: BinanceStandIn) -> list[tuple[str, str]]:
    """The stretches of bars that were asked for since the log was cleared, but for the very first bar."""
    found = []
    for request in exchange.log:
        if request.path == KLINES and request.query["startTime"] != "0":
            start_us, last_us = int(request.query["startTime"]), int(request.query["endTime"])
            found.append((iso(start_us * US_NS)[:13], iso((last_us + 1) * US_NS)[:13]))
    return sorted(found)


def answered(exchange: BinanceStandIn, response: Response) -> None:
    """Give all requests for bars, but for the first, this answer from now on."""
    exchange.faults.append(
        Fault("answer", KLINES, when=lambda r: r.query["startTime"] != "0", times=None, response=response)
    )


def gaps(dccd: Dccd, capsys: Printed) -> dict[str, list[dict[str, Any]]]:
    """What ``dccd gaps --json`` prints."""
    capsys.readouterr()
    assert dccd("gaps", "--json") == 0
    found: dict[str, list[dict[str, Any]]] = json.loads(capsys.readouterr().out)
    return found


def fetched(dccd: Dccd, start: str, end: str, status: int = 0) -> None:
    assert dccd("backfill", *HOURLY, "--start", start, "--end", end) == status


def test_exactly_the_gaps_are_fetched_wherever_they_are(
    dccd: Dccd, capsys: Printed, exchange: BinanceStandIn
) -> None:
    for start, end in (
        ("2023-12-30", "2023-12-31"),
        ("2024-01-02", "2024-01-05"),
        ("2024-01-06", "2024-01-10"),
    ):
        fetched(dccd, start, end)
    answered(exchange, NOTHING)
    fetched(dccd, "2024-01-12", "2024-01-13")
    exchange.faults.clear()
    answered(exchange, REFUSED)
    fetched(dccd, "2023-11-01", "2023-11-02", status=1)
    fetched(dccd, "2023-12-29", "2024-01-15", status=1)
    exchange.faults.clear()
    expected = [
        ("2023-11-01T00", "2023-11-02T00"),  # after which nobody asked for anything until
        ("2023-12-29T00", "2023-12-30T00"),  # against the asked range, before all that is there
        ("2023-12-31T00", "2024-01-02T00"),  # between two files
        ("2024-01-05T00", "2024-01-06T00"),  # inside a file
        ("2024-01-10T00", "2024-01-12T00"),  # before what is covered and empty, which is no gap
        ("2024-01-13T00", "2024-01-15T00"),  # after all that is there
    ]
    (found,) = gaps(dccd, capsys).values()
    assert [(iso(g["start_ms"] * MS_NS)[:13], iso(g["end_ms"] * MS_NS)[:13]) for g in found] == expected
    assert {(gap["cause"], gap["code"]) for gap in found} == {("never fetched", "never_fetched")}

    exchange.log.clear()
    assert dccd("repair") == 0
    assert asked_for(exchange) == expected
    assert "6  216 h 00 min  216 h 00 min     0" in capsys.readouterr().out
    assert gaps(dccd, capsys) == {}
    exchange.log.clear()
    assert dccd("repair", *HOURLY) == 0
    assert "No gaps" in capsys.readouterr().out
    assert exchange.count(KLINES) == 0
    assert dccd("inventory", "--json") == 0
    (dataset,) = json.loads(capsys.readouterr().out)
    assert dataset["rows"] == 24 * (1 + 17 - 1)
    assert len(dataset["covered"]) == 2


def test_what_is_proven_absent_is_not_asked_for_again(
    dccd: Dccd, capsys: Printed, exchange: BinanceStandIn
) -> None:
    fetched(dccd, "2010-01-01", "2017-09-01")
    assert gaps(dccd, capsys) == {}
    exchange.log.clear()
    fetched(dccd, "2010-01-01", "2017-09-01")
    assert dccd("repair") == 0
    assert exchange.count(KLINES) == 0


def test_a_repair_says_what_is_left_and_why(dccd: Dccd, capsys: Printed, places: list[str]) -> None:
    interest = ("binance", "BTC/USDT:USDT", "--type", "open_interest", "--span", "1h")
    assert dccd("backfill", *interest) == 0
    old_ns = NOW_MS * MS_NS // DAY_NS * DAY_NS - 50 * DAY_NS
    with open_store(places) as store:
        dataset = DatasetId.parse("binance:BTC-USDT_USDT:open_interest:1h")
        store.add_lost(dataset, Interval(old_ns, old_ns + DAY_NS), GapCause.COLLECTOR_DOWN)
    capsys.readouterr()
    assert dccd("repair") == 1
    printed = capsys.readouterr().out
    assert "the collector was not running" in printed
    assert "Not filled: Binance keeps the last 30 days only" in printed
    (left,) = gaps(dccd, capsys)[str(dataset)]
    assert left["code"] == "collector_down"


def test_a_repair_that_the_exchange_refuses_says_so(
    dccd: Dccd, capsys: Printed, exchange: BinanceStandIn
) -> None:
    answered(exchange, REFUSED)
    fetched(dccd, "2024-01-01", "2024-01-02", status=1)
    assert dccd("gaps", *HOURLY, "--fill") == 1
    assert "Illegal characters" in capsys.readouterr().out


def open_store(places: list[str]) -> closing[Store]:
    """The data folder, between two commands."""
    return closing(Store.open(Path(places[3])))


def test_what_a_check_finds_a_repair_puts_right(
    dccd: Dccd, capsys: Printed, places: list[str], exchange: BinanceStandIn
) -> None:
    fetched(dccd, "2024-02-01", "2024-02-21")
    assert dccd("check", *HOURLY) == 0
    assert "480 equal, 0 differ" in capsys.readouterr().out
    ts_ns = parse_time("2024-02-10T05:00")
    with open_store(places) as store:
        log = store.begin_backfill(BARS, "spoilt", source="test")
        prices = {name: [1e9] for name in ("open", "high", "low", "close", "volume")}
        log.append({"ts": [ts_ns], **prices}, IntervalSet.of(ts_ns, ts_ns + HOUR_NS))
        log.finish()
    assert dccd("check", "all") == 1
    printed = capsys.readouterr().out
    assert "479 equal, 1 differ" in printed
    assert "2024-02-10T05:00:00Z" in printed
    assert "is a gap now: dccd repair fetches it" in printed
    (gap,) = gaps(dccd, capsys)[str(BARS)]
    assert (gap["cause"], gap["code"]) == ("differs from the exchange", "differs")
    assert dccd("repair") == 0
    capsys.readouterr()
    assert dccd("check", "all", "--windows", "3", "--seed", "5", "--json") == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert (result["passed"], result["seed"], result["equal"]) == (True, 5, 480)


def test_what_is_from_documentation_only_is_confirmed_by_a_check(
    dccd: Dccd, capsys: Printed, monkeypatch: pytest.MonkeyPatch, places: list[str]
) -> None:
    documented = tuple(
        item.model_copy(update={"evidence": Evidence.DOCUMENTED}) for item in BINANCE.capabilities
    )
    monkeypatch.setattr(service_factory, "SOURCES", (replace(BINANCE, capabilities=documented),))
    assert dccd("capabilities") == 0
    before = capsys.readouterr().out
    assert "not yet checked against real data" in before
    assert "confirmed here" not in before
    assert not Path(places[3]).exists()  # looking makes no folder

    fetched(dccd, "2024-02-01", "2024-02-21")
    assert dccd("check", *HOURLY) == 0
    assert "confirmed here now" in capsys.readouterr().out
    assert dccd("capabilities", "binance") == 0
    bars, *others = [line for line in capsys.readouterr().out.splitlines() if line.startswith("binance")]
    assert re.search(r"documentation only, spot confirmed here on 20\d\d-\d\d-\d\d", bars)
    assert "confirmed" not in "".join(others)
    assert dccd("capabilities", "--json") == 0
    ((check,),) = (exchange["confirmed"] for exchange in json.loads(capsys.readouterr().out))
    assert (check["data_type"], check["market"], check["rows"]) == ("ohlc", "spot", 480)
    assert dccd("capabilities", "binanse") == 2


def test_bars_are_made_from_trades_and_audited(dccd: Dccd, capsys: Printed, exchange: BinanceStandIn) -> None:
    for start, end in (("2024-03-01T08:00", "2024-03-01T09:00"), ("2024-03-01T10:00", "2024-03-01T11:00")):
        assert dccd("backfill", *TRADES, "--start", start, "--end", end) == 0
    exchange.log.clear()
    derive = ("backfill", "binance", "BTC/USDT", "--span", "20m", "--derive-from", "trades")
    # From there on all is wanted, also where no trades are.
    assert dccd(*derive, "--start", "2024-03-01T08:00") == 0
    assert "6 rows stored" in capsys.readouterr().out
    assert not exchange.log
    ((gap,),) = gaps(dccd, capsys).values()
    assert gap["end_ms"] - gap["start_ms"] == HOUR_NS // MS_NS
    # The exchange has no such bars: the gap is filled by trades, once there are any.
    assert dccd("repair") == 1
    assert "Not filled: stored trades do not cover it" in capsys.readouterr().out
    assert dccd("backfill", *TRADES, "--start", "2024-03-01T08:00", "--end", "2024-03-01T11:00") == 0
    assert dccd("repair") == 0
    assert gaps(dccd, capsys) == {}

    minutes = ("binance", "BTC/USDT", "--span", "1m")
    assert dccd("audit", *minutes) == 2
    assert "stored" in capsys.readouterr().err
    assert dccd("backfill", *minutes, "--start", "2024-03-01T08:30", "--end", "2024-03-01T08:40") == 0
    capsys.readouterr()
    # The stand-in makes its bars of nothing but numbers of its own.
    assert dccd("audit", *minutes) == 1
    assert "0 bars equal, 10 differ" in capsys.readouterr().out
    assert dccd("audit", *minutes, "--start", "2024-03-01T08:30", "--end", "2024-03-01T08:31", "--json") == 1
    result = json.loads(capsys.readouterr().out)
    assert {item["ts"] for item in result["differences"]} == {"2024-03-01T08:30:00Z"}
    assert dccd("audit", *minutes, "--start", "2024-02-01", "--end", "2024-02-02") == 2
    assert "nothing to compare" in capsys.readouterr().err


def test_a_check_of_all_says_what_it_leaves_out(dccd: Dccd, capsys: Printed) -> None:
    assert dccd("backfill", *TRADES, "--start", "2024-03-01T08:00", "--end", "2024-03-01T09:00") == 0
    assert dccd("backfill", "binance", "BTC/USDT", "--span", "20m", "--derive-from", "trades") == 0
    assert dccd("check", "all", "--windows", "1") == 0
    printed = capsys.readouterr()
    assert "left out: binance:BTC-USDT:ohlc:20m; the exchange offers nothing" in printed.err
    assert "in 1 stretch compared" in printed.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("check",), "dccd check all"),
        (("check", "binance"), "dccd check all"),
        (("repair", "binance"), "exchange and a symbol"),
        (("check", *HOURLY, "--windows", "0"), "windows"),
        (("audit", *TRADES), "only bars"),
        (("backfill", *HOURLY, "--derive-from", "trades", "--plan"), "--plan"),
        (("backfill", "binance", "BTC/USDT", "--span", "5m", "--derive-from", "trades"), "Nothing is stored"),
    ],
)
def test_wrong_use_is_one_clear_sentence(
    dccd: Dccd, capsys: Printed, places: list[str], arguments: tuple[str, ...], words: str
) -> None:
    with open_store(places) as store:
        store.add_asked(BARS, Interval(0, HOUR_NS))
    assert dccd(*arguments) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert "Traceback" not in printed.err
