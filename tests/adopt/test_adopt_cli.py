"""``dccd adopt`` and its routes: what is printed, the exit status, and who may name a path."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dccd.interfaces.cli.main import run
from dccd.interfaces.client import ApiError, Client
from tests.adopt.old_files import bars, write
from tests.adopt.test_adopt import fingerprint

Dccd = Callable[..., int]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    folder = tmp_path / "crypto"
    write(folder, "binance/ohlc/BTC-USDT/1h/2024.parquet", bars(10, close=[0.0, *[2.0] * 9]))
    write(folder, "binance/ohlc/BTC-USDT_QUARTER/1h/2024.parquet", bars(2))
    (tmp_path / "config.yml").write_text(
        "settings: {timezone: local, ui_port: 1}\njobs: [{exchange: binance, pairs: [BTC/USDT], span: 60}]\n"
    )
    return folder


@pytest.fixture
def dccd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dccd:
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    places = ["--config", str(tmp_path / "config.toml"), "--data-path", str(tmp_path / "data")]
    return lambda *arguments: run([*arguments, *places])


def test_the_command_says_what_there_is_then_takes_it_over(
    dccd: Dccd, old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["adopt", str(old), "--config-file", str(old.parent / "config.yml")]
    assert dccd(*command, "--dry-run") == 0
    planned = capsys.readouterr().out
    assert "binance:BTC-USDT:ohlc:1h" in planned
    assert "configuration to be written: timezone; 1 job" in planned
    assert not (tmp_path / "data").exists()
    assert (tmp_path / "config.toml").read_text() == ""

    assert dccd(*command) == 0
    said = capsys.readouterr().out
    assert "9 rows stored." in said
    assert "1 row left out: a price of 0" in said
    assert "not taken: binance/ohlc/BTC-USDT_QUARTER/1h: BTC-USDT_QUARTER is a row of dated futures" in said
    assert f"configuration written to {tmp_path / 'config.toml'}: timezone; 1 job" in said
    assert "not carried over: settings.ui_port: the port is named when serving" in said
    assert "every 60 s" in (tmp_path / "config.toml").read_text()

    assert dccd("inventory", "--json") == 0
    (dataset,) = json.loads(capsys.readouterr().out)
    assert (dataset["id"], dataset["rows"], dataset["gap_count"]) == ("binance:BTC-USDT:ohlc:1h", 9, 1)
    assert dccd(*command) == 0
    assert "0 rows stored." in capsys.readouterr().out


def test_exchanges_that_this_version_has_not_are_taken_over_and_shown(
    dccd: Dccd, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "crypto", "bitfinex/ohlc/BTC-USD/1h/2024.parquet", bars(3))
    assert dccd("adopt", str(tmp_path / "crypto")) == 0
    assert dccd("read", "bitfinex", "BTC/USD", "--span", "1h", "--format", "csv") == 0
    assert capsys.readouterr().out.count("2024-01-01T") == 3
    assert dccd("inventory") == 0
    assert "bitfinex" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", ["nowhere", "data", "."])
def test_what_cannot_be_taken_over_is_wrong_use(
    dccd: Dccd, old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    for options in ([], ["--dry-run"]):
        assert dccd("adopt", str(tmp_path / wrong), *options) == 2
        assert "dccd: Adopting" in capsys.readouterr().err


def test_the_folder_of_the_package_is_refused_with_a_way_on(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for command in (["inventory"], ["gaps"], ["backfill", "binance", "BTC/USDT"]):
        assert run([*command, "--data-path", str(old)]) == 1
        assert f"dccd adopt {old}" in capsys.readouterr().err
    assert not (old / ".dccd").exists()


def test_nothing_is_moved_or_adopted_into_a_folder_of_the_package(
    dccd: Dccd, old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = fingerprint(old)
    write(tmp_path / "another", "binance/ohlc/ETH-USDT/1h/2024.parquet", bars(3))
    assert dccd("adopt", str(tmp_path / "another")) == 0
    assert dccd("move", str(old)) == 1
    config = ["--config", str(tmp_path / "config.toml")]
    assert run(["adopt", str(tmp_path / "another"), "--data-path", str(old), *config]) == 1
    assert f"dccd adopt {old}" in capsys.readouterr().err
    assert fingerprint(old) == before


async def test_the_client_plans_and_adopts(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "config.toml").touch()
    async with Client(tmp_path / "config.toml", data_path=tmp_path / "data") as client:
        asked = {"folder": str(old), "config_file": str(old.parent / "config.yml")}
        plan = await client.call("POST", "/api/adopt/plan", json=asked)
        assert [(d["dataset"], d["rows"]) for d in plan["datasets"]] == [("binance:BTC-USDT:ohlc:1h", 10)]
        assert plan["not_taken_count"] == 1
        assert [item["place"] for item in plan["config"]["not_carried"]] == [
            "settings.ui_port",
            "jobs[0].trigger_kind",
        ]
        outcome = await client.adopt(old)
        assert (outcome["state"], outcome["rows_written"]) == ("succeeded", 9)
        assert outcome["result"]["config"] is None
        for wrong in ({"folder": "crypto"}, {"folder": str(old), "config_file": "config.yml"}, {}):
            with pytest.raises(ApiError):
                await client.call("POST", "/api/adopt", json=wrong)
