"""The whole app with its window: what the window's end does to downloads, and what a second launch does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dccd.domain.timeutils import MS_NS, parse_time
from tests.e2e.desktop_screen import PATIENCE_S, Screen, trayer, wait_until
from tests.exchanges.binance import BinanceStandIn
from tests.exchanges.engine import in_thread

pytestmark = pytest.mark.needs("display")

NOW_MS = parse_time("2024-03-01T12:20:00Z") // MS_NS
MINUTES = 60 * 1440 + 739  # 2024 up to the last settled bar


@pytest.fixture
def exchange() -> Iterator[BinanceStandIn]:
    stand_in = BinanceStandIn(now_ms=NOW_MS)
    with in_thread(stand_in):
        yield stand_in


class Person:
    """Who types commands on one screen, all about one data folder."""

    def __init__(self, screen: Screen, config: str, folder: Path) -> None:
        (folder / "config.toml").write_text(config)
        (folder / "run").mkdir(mode=0o700)
        places = ["--config", str(folder / "config.toml"), "--data-path", str(folder / "data")]
        self._command = [sys.executable, "-m", "dccd"]
        self._places = places
        self._environment = screen.environment | {"XDG_RUNTIME_DIR": str(folder / "run")}

    def types(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command."""
        return subprocess.Popen(
            [*self._command, *arguments, *self._places],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def test_the_windows_crash_leaves_downloads_running_and_a_second_launch_shows_it_again(
    display: str, exchange: BinanceStandIn, tmp_path: Path
) -> None:
    screen = Screen(display)
    person = Person(screen, exchange.config, tmp_path)
    with trayer(screen), person.types() as app:
        try:
            wait_until("the window", screen.shown)
            exchange.latency_s = 0.5
            download = person.types(
                "backfill", "binance", "BTC/USDT", "--span", "1m", "--start", "2024-01-01"
            )
            wait_until("some pages", lambda: exchange.count("/api/v3/klines") > 2)

            os.kill(_window_of(app.pid).pid, signal.SIGKILL)
            wait_until("the window to be gone", lambda: not screen.windows())
            exchange.latency_s = 0
            said, errors = download.communicate(timeout=PATIENCE_S)
            assert download.returncode == 0, errors
            assert f"{MINUTES:,} rows stored" in said

            second = person.types()
            assert second.wait(PATIENCE_S) == 0
            second.communicate()
            wait_until("the window again", screen.shown)

            app.send_signal(signal.SIGTERM)
            assert app.wait(PATIENCE_S) == 0
            wait_until("the window to be gone", lambda: not screen.windows())
        finally:
            if app.poll() is None:
                app.kill()


def _window_of(pid: int) -> psutil.Process:
    """The process of the window: the child that the app was told to start as one."""
    return next(child for child in psutil.Process(pid).children() if "--window" in child.cmdline())
