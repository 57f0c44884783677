"""Bytes written over a day of five million trades, and how old what readers miss grows at most.

``python -m tests.bench.amplification [--scene one] [--trades 5000000] [--hours 24] [folder]``

The store, the stream log and the policy are the real ones, on a real disk; only the clock is not: rows are
given to the log by its windows of 250 ms, the policy is asked every ten seconds, and syncs are left out: they
write nothing. Bytes are counted where files are written; "all" is what the process wrote by the system's own
account (``wchar`` of ``/proc/self/io``), databases included.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import tempfile
import time
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import MINUTE_NS, MS_NS, S_NS
from dccd.domain.types import DataType
from dccd.storage.fs import Bytes, File, RealFileSystem
from dccd.storage.store import Store
from dccd.storage.stream_group import WRITE_EVERY_S
from dccd.storage.stream_log import StreamLog
from tests.bench.storage import bars
from tests.store_clock import StoreClock

DAY = 1_706_659_200_000_000_000  # 2024-01-31: the month's file is as large as it gets
WINDOWS = round(86_400 / WRITE_EVERY_S)
ASK_EVERY = round(10 / WRITE_EVERY_S)
QUIET = (DataType.OHLC, DataType.FUNDING)


class CountedFile:
    """A file whose bytes are counted, and that is not synced."""

    def __init__(self, file: File, count: Callable[[int], None]) -> None:
        self._file, self._count = file, count
        self.read_at, self.truncate, self.close = file.read_at, file.truncate, file.close

    @property
    def size(self) -> int:
        return self._file.size

    def append(self, *parts: Bytes) -> None:
        self._file.append(*parts)
        self._count(sum(memoryview(part).nbytes for part in parts))

    def sync(self) -> None:
        """Nothing: it writes no byte that was not written."""


class CountingFileSystem(RealFileSystem):
    """Counts the bytes written, by folder."""

    def __init__(self) -> None:
        self.written: Counter[str] = Counter()

    def create(self, path: Path) -> File:
        def count(size: int) -> None:
            self.written[path.parent.name] += size

        return CountedFile(super().create(path), count)


@dataclass(frozen=True)
class Source:
    """A dataset's arrivals: the share of the day's rows that has come by each window."""

    dataset: DatasetId
    rows: int
    come: Callable[[int], float]


def even(window: int) -> float:
    """As many in each window."""
    return min(1.0, window / WINDOWS)


def bursts(window: int) -> float:
    """All of a minute in its first six seconds, and three times as much in the day's busy third."""
    minute, place = divmod(min(window, WINDOWS), 240)
    return (_busy(minute) + (_busy(minute + 1) - _busy(minute)) * min(1.0, place / 24)) / _busy(1440)


def _busy(minute: int) -> float:
    return minute + 2 * max(0, min(minute, 960) - 480)


def scene(name: str, trades: int) -> list[Source]:
    """What streams."""
    if name in ("one", "bursts"):
        return [Source(DatasetId.parse("x:BTC-USD:trades"), trades, even if name == "one" else bursts)]
    shares = [
        1 / place for place in range(1, 21)
    ]  # twenty markets, each half as large as the one of half its place
    sources = [
        Source(
            DatasetId.parse(f"x:C{place}-USD:trades"),
            round(trades * share / sum(shares)),
            (even, bursts)[place % 2],
        )
        for place, share in enumerate(shares)
    ]
    sources += [Source(DatasetId.parse(f"x:C{n}-USD:ohlc:1m"), 1440, even) for n in range(20)]
    return sources + [Source(DatasetId.parse(f"x:C{n}-USD:funding"), 3, even) for n in range(20)]


def columns(source: Source, first: int, last: int, start_ns: int, rng: random.Random) -> dict[str, Any]:
    """The rows of a window."""
    rows = last - first
    kind = source.dataset.data_type
    if kind is DataType.OHLC:
        return bars((DAY - 1_704_067_200_000_000_000) // MINUTE_NS + first, rows)
    if kind is DataType.FUNDING:
        return {"ts": [start_ns], "rate": [0.0001]}
    step = round(WRITE_EVERY_S * S_NS) // rows
    return {
        "ts": array("q", ((start_ns + n * step) // MS_NS * MS_NS for n in range(rows))),
        "price": array("d", (round(40_000 + rng.gauss(0, 20), 2) for _ in range(rows))),
        "amount": array("d", (round(rng.expovariate(20), 5) for _ in range(rows))),
        "side": ["buy" if rng.random() < 0.5 else "sell" for _ in range(rows)],
        "tid": [str(10**9 + n) for n in range(first, last)],
        "tid_num": array("q", (10**9 + n for n in range(first, last))),
    }


def prepare(path: Path, sources: list[Source]) -> None:
    """The month's bars of the days before."""
    store, page = Store.open(path), bars(0, 30 * 1440)
    for source in sources:
        if source.dataset.data_type is DataType.OHLC:
            log = store.begin_backfill(source.dataset, "before", source="x")
            log.append(page, IntervalSet.of(page["ts"][0], page["ts"][-1] + MINUTE_NS))
            log.finish()
    store.close()


def run(parent: Path, name: str, trades: int, hours: float) -> dict[str, Any]:
    """Live through the day."""
    path = Path(tempfile.mkdtemp(prefix="dccd-bench-", dir=parent))
    sources, rng = scene(name, trades), random.Random(1)
    prepare(path, sources)
    fs, clock = CountingFileSystem(), StoreClock(DAY)
    store = Store.open(path, fs=fs, clock=clock)
    log = StreamLog(store, clock.monotonic)
    oldest: dict[bool, float] = {True: 0.0, False: 0.0}
    published, journals_max, begun_s, before = 0, 0, time.perf_counter(), wchar()
    slowest_s = 0.0
    windows = round(hours * 3600 / WRITE_EVERY_S)
    for window in range(windows + ASK_EVERY * 60):  # and ten minutes, for the day's end
        if window < windows:
            start_ns = clock.ns
            for source in sources:
                first, last = (int(source.rows * source.come(each)) for each in (window, window + 1))
                if last > first:
                    end_ns = start_ns + round(WRITE_EVERY_S * S_NS)
                    rows = columns(source, first, last, start_ns, rng)
                    covered = IntervalSet.of(start_ns, end_ns)
                    if source.dataset.data_type is DataType.OHLC:
                        covered = IntervalSet.of(rows["ts"][0], rows["ts"][-1] + MINUTE_NS)
                    log.append(source.dataset, rows, covered, source="x", observation="session")
        clock.pass_s(WRITE_EVERY_S)
        log.step()
        if window % ASK_EVERY == 0:
            for backlog in store.unpublished.backlogs():
                quiet = backlog.dataset.data_type in QUIET
                oldest[quiet] = max(oldest[quiet], clock.monotonic() - min(backlog.since_s.values()))
            journals = sum(file.stat().st_size for file in (path / ".dccd" / "journal").iterdir())
            journals_max = max(journals_max, journals)
            waiting = len(store.unpublished.backlogs())
            asked_s = time.perf_counter()
            store.publish_due()
            slowest_s = max(slowest_s, time.perf_counter() - asked_s)
            published += waiting - len(store.unpublished.backlogs())
    took_s, written = time.perf_counter() - begun_s, wchar() - before
    trades_in_files = sum(
        info.rows
        for source in sources
        if source.dataset.data_type is DataType.TRADES
        for info in store.files(source.dataset)
    )
    left = len(store.unpublished.backlogs())
    log.close()
    store.close()
    shutil.rmtree(path)
    journal = fs.written["journal"]
    return {
        "scene": name,
        "trades_in_files": trades_in_files,
        "journal_mb": round(journal / 1e6),
        "files_mb": round(fs.written["tmp"] / 1e6),
        "all_mb": round(written / 1e6),
        "all_over_journal": round(written / journal, 2),
        "publications": published,
        "oldest_min_quiet": round(oldest[True] / 60, 1),
        "oldest_min_trades": round(oldest[False] / 60, 1),
        "left": left,
        "journals_mb_max": round(journals_max / 1e6),
        "slowest_publish_due_s": round(slowest_s, 1),
        "rss_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "took_s": round(took_s),
        "load": os.getloadavg()[0],
    }


def wchar() -> int:
    """Bytes that this process has written so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["wchar"])


def main() -> None:
    """Print a line of JSON a scene."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--scene", choices=("one", "bursts", "market"), default="one")
    parser.add_argument("--trades", type=int, default=5_000_000)
    parser.add_argument("--hours", type=float, default=24.0)
    arguments = parser.parse_args()
    print(json.dumps(run(arguments.folder, arguments.scene, arguments.trades, arguments.hours)), flush=True)


if __name__ == "__main__":
    main()
