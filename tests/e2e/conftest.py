"""The command line and the pages over a data folder of the test, with a stand-in for the exchange."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dccd.application.config import load_config
from dccd.application.service_factory import build_service
from dccd.interfaces.api.static_shell import ROOT as BUILT_PAGE
from dccd.interfaces.cli.main import run
from dccd.interfaces.server import LocalServer
from tests.e2e.command_line import NOW_MS, Dccd
from tests.exchanges.binance import BinanceStandIn
from tests.exchanges.engine import in_thread

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from tests.e2e.window import Window


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


@pytest.fixture
async def window(
    browser: Browser, tmp_path: Path, data_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Window]:
    """Return the program at its first start, and the pages opened on it."""
    from tests.e2e.window import NOW_MS as PAGE_NOW_MS
    from tests.e2e.window import Window

    if not (BUILT_PAGE / "index.html").is_file():
        pytest.skip("the page is not built: npm ci && npm run build, in frontend")
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    config = tmp_path / "config.toml"
    async with BinanceStandIn(now_ms=PAGE_NOW_MS) as exchange:
        config.write_text(exchange.config)
        async with build_service(load_config(config, data_path=data_path)) as service:
            server = LocalServer(service)
            await server.start()
            try:
                yield Window(service, server, exchange, browser)
            finally:
                await server.stop()
