"""The stand-in in a process of its own, on another processor where there are two."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.exchanges.engine import STATS_PATH

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class RunningStandIn:
    """A stand-in that was started; `url` serves all of the exchange's hosts."""

    url: str

    def stats(self) -> dict[str, Any]:
        """Return its counters: requests, answers by status, most in flight, most weight in a window."""
        stats: dict[str, Any] = httpx.get(self.url + STATS_PATH).json()
        return stats


@contextlib.contextmanager
def stand_in_process(*options: str) -> Iterator[RunningStandIn]:
    """Start ``python -m tests.exchanges.binance`` with these options, and end it.

    With two processors or more, the stand-in is put on the last and this process on the first, so that the
    figures are those of one processor.
    """
    processors = sorted(os.sched_getaffinity(0))
    command = [sys.executable, "-m", "tests.exchanges.binance", *options]
    if len(processors) > 1:
        command += ["--cpu", str(processors[-1])]
        os.sched_setaffinity(0, {processors[0]})
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            try:
                first = process.stdout.readline()
                if not first:
                    raise RuntimeError(f"the stand-in did not start (status {process.wait()})")
                yield RunningStandIn(first.split()[-1])
            finally:
                process.terminate()
    finally:
        os.sched_setaffinity(0, processors)
