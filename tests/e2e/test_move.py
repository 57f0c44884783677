"""Moving the data folder from the command line, with and without a program that runs on it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dccd.interfaces.api.runtime_file import read_runtime_file
from dccd.interfaces.cli.main import run
from dccd.interfaces.client import Client
from tests.e2e.command_line import HOURLY, Dccd, wait_for
from tests.exchanges.binance import BinanceStandIn


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere"


@pytest.fixture
def dccd_there(dccd: Dccd, places: list[str], new: Path) -> Dccd:
    """The command with the new data folder named."""
    return lambda *arguments: run([*arguments, *places[:2], "--data-path", str(new)])


def test_the_data_is_in_the_new_folder(
    dccd: Dccd, dccd_there: Dccd, new: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dccd("backfill", *HOURLY, "--start", "2024-02-01", "--end", "2024-02-02") == 0
    assert dccd("move", str(new)) == 0
    said = capsys.readouterr().out
    assert f"The data is in {new} now." in said
    assert "name the new one from now on" in said  # it was named by --data-path
    assert dccd("inventory") == 1
    assert f"was moved to {new}" in capsys.readouterr().err
    assert dccd_there("read", *HOURLY, "--format", "csv") == 0
    assert len(capsys.readouterr().out.splitlines()) == 25


def test_the_program_that_runs_goes_on_in_the_new_folder(
    dccd: Dccd,
    dccd_there: Dccd,
    new: Path,
    start_dccd: Callable[..., subprocess.Popen[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    process = start_dccd("serve")
    wait_for(lambda: read_runtime_file(tmp_path / "data") is not None)
    assert dccd("backfill", *HOURLY, "--start", "2024-02-01", "--end", "2024-02-02") == 0
    assert dccd("move", str(new)) == 0
    assert process.poll() is None
    running = read_runtime_file(new)
    assert running is not None
    assert running.pid == process.pid
    assert read_runtime_file(tmp_path / "data") is None
    assert dccd_there("backfill", *HOURLY, "--end", "2024-02-03") == 0
    capsys.readouterr()
    assert dccd_there("read", *HOURLY, "--format", "csv") == 0
    assert len(capsys.readouterr().out.splitlines()) == 49


def test_nothing_is_copied_while_a_run_is_under_way(
    dccd: Dccd,
    new: Path,
    start_dccd: Callable[..., subprocess.Popen[str]],
    exchange: BinanceStandIn,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exchange.latency_s = 0.2
    running = start_dccd("backfill", "binance", "BTC/USDT", "--span", "1m", "--start", "2023-06-01")
    wait_for(lambda: exchange.count("/api/v3/klines") > 3)
    assert dccd("move", str(new)) == 1
    said = capsys.readouterr().err
    assert "1 run is under way. Wait for the end" in said
    assert "dccd move" not in said, "something was copied"

    real = Client.call

    async def before_the_run(client: Client, method: str, path: str, **more: Any) -> dict[str, Any]:
        answer = await real(client, method, path, **more)
        return answer | {"running": 0} if path == "/api/health" else answer

    monkeypatch.setattr(Client, "call", before_the_run)  # as if it had begun while files were copied
    assert dccd("move", str(new)) == 1
    said = capsys.readouterr().err
    assert "1 run is under way" in said
    assert f"taken up by the next `dccd move {new}`" in said
    assert not new.exists()
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=30)


def test_a_folder_that_is_in_use_is_refused(
    dccd: Dccd, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dccd("backfill", *HOURLY, "--start", "2024-02-01", "--end", "2024-02-02") == 0
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    assert dccd("move", str(tmp_path / "photos")) == 1
    assert "is not empty. Choose an empty folder" in capsys.readouterr().err
    assert dccd("inventory") == 0
