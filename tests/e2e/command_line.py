"""What tests of the command line have in common beside their fixtures."""

from __future__ import annotations

import time
from collections.abc import Callable

from dccd.domain.timeutils import MS_NS, parse_time

NOW_MS = parse_time("2024-03-01T12:20:00Z") // MS_NS
HOURLY = ("binance", "BTC/USDT", "--span", "1h")

Dccd = Callable[..., int]


def wait_for(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    """Return once it is so."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
