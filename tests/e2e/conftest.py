"""The command line over a data folder of the test, with a stand-in for the exchange."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dccd.interfaces.cli.main import run
from tests.e2e.command_line import NOW_MS, Dccd
from tests.exchanges.binance import BinanceStandIn
from tests.exchanges.engine import in_thread


@pytest.fixture
def exchange() -> Iterator[BinanceStandIn]:
    stand_in = BinanceStandIn(now_ms=NOW_MS, trades_per_s=1)
    with in_thread(stand_in):
        yield stand_in


@pytest.fixture
def places(exchange: BinanceStandIn, tmp_path: Path) -> list[str]:
    config = tmp_path / "config.toml"
    config.write_text(exchange.config)
    return ["--config", str(config), "--data-path", str(tmp_path / "data")]


@pytest.fixture
def dccd(places: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Dccd:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "run").mkdir(mode=0o700)
    return lambda *arguments: run([*arguments, *places])


@pytest.fixture
def start_dccd(places: list[str], dccd: Dccd) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the command as a process of its own; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "dccd", *arguments, *places],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"DISPLAY": "", "WAYLAND_DISPLAY": ""},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
