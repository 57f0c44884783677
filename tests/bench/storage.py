"""Speed and memory of the storage layer: ``python -m tests.bench.storage [folder]``.

Prints one line a figure. The folder (default: a temporary one) decides which disk is measured.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import DAY_NS, MINUTE_NS
from dccd.storage.fs import RealFileSystem
from dccd.storage.journal import Journal
from dccd.storage.schema import to_batch
from dccd.storage.store import Store

BARS = DatasetId.parse("binance:BTC-USDT:ohlc:1m")
TRADES = DatasetId.parse("binance:BTC-USDT:trades")
DAY = 1_704_067_200_000_000_000  # 2024-01-01
FLOATS = (
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "taker_buy_volume",
    "taker_buy_quote_volume",
)


def bars(start: int, rows: int) -> dict[str, Any]:
    """Minutes as a parser gives them: lists."""
    rng = random.Random(start)
    price, columns = 40_000.0, {name: [0.0] * rows for name in FLOATS}
    for row in range(rows):
        price = round(price + rng.uniform(-20, 20), 2)
        for name in FLOATS[:4]:
            columns[name][row] = round(price + rng.uniform(-10, 10), 2)
        for name in FLOATS[4:]:
            columns[name][row] = round(rng.uniform(0, 100), 5)
    times = [DAY + (start + row) * MINUTE_NS for row in range(rows)]
    return {"ts": times, **columns, "trades": [rng.randrange(5000) for _ in range(rows)]}


def trades(first: int, rows: int, of: int) -> dict[str, Any]:
    """Consecutive trades out of `of` spread over one day."""
    rng = random.Random(first)
    ids = range(first, first + rows)
    price = 40_000 + first % 1000
    return {
        "ts": array("q", (DAY + i * DAY_NS // of // 1_000_000 * 1_000_000 for i in ids)),
        "price": array("d", (round(price + rng.uniform(-1, 1), 2) for _ in ids)),
        "amount": array("d", (round(rng.expovariate(20), 5) for _ in ids)),
        "side": ["buy" if rng.random() < 0.5 else "sell" for _ in ids],
        "tid": [str(10**9 + i) for i in ids],
        "tid_num": array("q", (10**9 + i for i in ids)),
    }


@contextmanager
def folder(parent: Path) -> Iterator[Path]:
    """A folder that goes away again."""
    path = Path(tempfile.mkdtemp(prefix="dccd-bench-", dir=parent))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def convert(_parent: Path) -> None:
    """A page of 1,000 bars, lists to a record batch."""
    page = bars(0, 1000)
    best = statistics.median(timed(lambda: to_batch(BARS, page)) for _ in range(200))
    print(f"to_batch, 1,000 bars from lists: {best * 1e3:.3f} ms")


def append(parent: Path) -> None:
    """Batches of 10,000 trades into a journal, CRC and a sync at the end included."""
    batch = to_batch(TRADES, trades(0, 10_000, 5_000_000))
    rows = 4_000_000
    with folder(parent) as path:
        journal = Journal.create(RealFileSystem(), path)

        def work() -> None:
            for index in range(rows // 10_000):
                journal.append(TRADES, batch, IntervalSet())
                if index % 200 == 199:
                    journal.sync()
            journal.sync()

        cpu_s = time.process_time()
        seconds = timed(work)
        cpu_s = time.process_time() - cpu_s
        print(
            f"journal append + sync: {rows / seconds / 1e6:.2f} M trades/s"
            f" ({journal.size / seconds / 1e6:.0f} MB/s); {rows / cpu_s / 1e6:.2f} M trades a second of"
            f" processor time; load {os.getloadavg()[0]:.1f}"
        )
        journal.close()
        scanned = timed(lambda: Journal.open(RealFileSystem(), journal.path).close())
        print(f"journal scan: {journal.size / scanned / 1e6:.0f} MB/s")


def whole_path(parent: Path) -> None:
    """Pages of 1,000 bars appended and published, as a backfill does it."""
    pages = [bars(index * 1000, 1000) for index in range(200)]
    with folder(parent) as path:
        store = Store.open(path)

        def work() -> None:
            log = store.begin_backfill(BARS, "bench", source="bench")
            month = None
            for page in pages:
                covered = IntervalSet.of(page["ts"][0], page["ts"][-1] + MINUTE_NS)
                log.append(page, covered, "cursor")
                period = BARS.period(page["ts"][-1])
                if month not in (None, period):
                    log.publish_before(page["ts"][-1])
                month = period
            log.finish()

        seconds = timed(work)
        rows = store.info(BARS).rows
        print(f"append + publish, pages of 1,000 bars: {rows / seconds / 1e6:.2f} M rows/s")
        print(f"  {store.info(BARS).size_bytes / rows:.1f} bytes a bar on disk")
        read = timed(lambda: [batch.num_rows for batch in store.read(BARS)])
        print(f"read bars: {rows / read / 1e6:.1f} M rows/s")
        store.close()


def trade_day(parent: Path, rows: int, *, shuffled: bool) -> None:
    """A day of trades published at once, pages in order or not."""
    page_rows = 1000
    pages = list(range(0, rows, page_rows))
    if shuffled:
        random.Random(1).shuffle(pages)
    with folder(parent) as path:
        store = Store.open(path)
        log = store.begin_backfill(TRADES, "bench", source="bench")
        for first in pages:
            page = trades(first, page_rows, rows)
            log.append(page, IntervalSet.of(page["ts"][0], page["ts"][-1]), None)
        log.sync()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        cpu_s = time.process_time()
        seconds = timed(log.finish)
        cpu_s = time.process_time() - cpu_s
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        order = "in random order" if shuffled else "in order"
        info = store.info(TRADES)
        assert info.rows == rows, info.rows
        print(
            f"publish a day of {rows:,} trades, pages {order}: {seconds:.2f} s,"
            f" {rows / seconds / 1e6:.2f} M rows/s; {cpu_s:.2f} s of processor time;"
            f" load {os.getloadavg()[0]:.1f}"
        )
        print(
            f"  {info.size_bytes / rows:.1f} bytes a trade; peak RSS {after / 1024:.0f} MB"
            f" (before: {before / 1024:.0f})"
        )
        again = store.begin_backfill(TRADES, "bench", source="bench")
        page = trades(rows // 2, page_rows, rows)
        again.append(page, IntervalSet.of(page["ts"][0], page["ts"][-1]), None)
        seconds = timed(again.finish)
        assert store.info(TRADES).rows == rows
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"  one page more into it: {seconds:.2f} s; peak RSS {after / 1024:.0f} MB")
        store.close()


PARTS: dict[str, Callable[[Path], None]] = {
    "convert": convert,
    "append": append,
    "path": whole_path,
    "day": lambda parent: trade_day(parent, 1_000_000, shuffled=False),
    "shuffled": lambda parent: trade_day(parent, 1_000_000, shuffled=True),
    "big": lambda parent: trade_day(parent, 5_000_000, shuffled=False),
}


def main() -> None:
    """Run each part in a process of its own, so that memory is each one's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--part", choices=PARTS)
    arguments = parser.parse_args()
    if arguments.part:
        PARTS[arguments.part](arguments.folder)
        return
    for part in PARTS:
        subprocess.run(
            [sys.executable, "-m", "tests.bench.storage", str(arguments.folder), "--part", part], check=True
        )


if __name__ == "__main__":
    main()
