"""Large datasets: memory of publishing a day whatever its size, and of reading 50 million rows.

``python -m tests.bench.large [--part publish|read] [--rows 20000000] [folder]``

Each figure is taken in a process of its own, so that memory is that figure's alone. "over" is the peak of
resident memory above what the process had with everything imported and the store open.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute

from dccd.domain.coverage import IntervalSet
from dccd.domain.timeutils import DAY_NS, HOUR_NS
from dccd.storage.store import Store
from tests.bench.storage import DAY, TRADES, folder

pc: Any = pyarrow.compute

PAGE_ROWS = 10_000
READ_ROWS, READ_DAYS = 50_000_000, 10


@cache
def template() -> dict[str, pa.Array[Any]]:
    """What the rows of the pages are made from."""
    rng = random.Random(1)
    return {
        "price": pa.array([round(40_000 + rng.gauss(0, 20), 2) for _ in range(PAGE_ROWS)]),
        "amount": pa.array([round(rng.expovariate(20), 5) for _ in range(PAGE_ROWS)]),
        "side": pa.array(["buy" if rng.random() < 0.5 else "sell" for _ in range(PAGE_ROWS)]),
    }


def page(number: int, of: int, start_ns: int, length_ns: int) -> tuple[dict[str, Any], IntervalSet]:
    """A page of trades out of `of` that fill ``[start_ns, start_ns + length_ns)`` evenly."""
    values = template()
    ids = pa.array(range(number * PAGE_ROWS, (number + 1) * PAGE_ROWS), pa.int64())
    step_ns = length_ns // (of * PAGE_ROWS) // 1000 * 1000
    ts = pc.add(pc.multiply(ids, step_ns), start_ns)
    price = pc.add(values["price"], pa.scalar(number * 7 % 1000 / 100))
    amount = pc.multiply(values["amount"], pa.scalar(1 + number % 97 / 100))
    rows = {
        "ts": ts,
        **values,
        "price": price,
        "amount": amount,
        "tid": ids.cast(pa.string()),
        "tid_num": ids,
    }
    return rows, IntervalSet.of(ts[0].as_py(), ts[-1].as_py() + step_ns)


def fill(store: Store, rows: int, days: int) -> Iterator[int]:
    """Append pages in order; yields the time that each page ends at."""
    log = store.begin_backfill(TRADES, "bench", source="bench")
    pages = rows // PAGE_ROWS
    for number in range(pages):
        columns, covered = page(number, pages, DAY, days * DAY_NS)
        log.append(columns, covered)
        end_ns = covered.end_ns
        assert end_ns is not None
        yield end_ns
        if days > 1 and end_ns % DAY_NS == 0:
            log.publish_before(end_ns)
    log.close()


def append(path: Path, rows: int) -> dict[str, Any]:
    """A day's pages, left in journals."""
    store = Store.open(path)
    for _ in fill(store, rows, 1):
        pass
    store.close()
    return {}


def publish(path: Path, rows: int) -> dict[str, Any]:
    """Publish what :func:`append` left."""
    store = Store.open(path)
    before = rss_mb()
    took_s = timed(store.publish)
    [info] = store.files(TRADES)
    assert info.rows == rows
    store.close()
    return {
        "rows": rows,
        "file_mb": info.size_bytes // 1_000_000,
        "took_s": round(took_s, 1),
        "rss_peak_mb": rss_mb(),
        "rss_before_mb": before,
    }


def again(path: Path, rows: int) -> dict[str, Any]:
    """One page more into the file."""
    store = Store.open(path)
    log = store.begin_backfill(TRADES, "more", source="bench")
    before = rss_mb()
    log.append(*page(rows // PAGE_ROWS // 2, rows // PAGE_ROWS, DAY, DAY_NS))
    took_s = timed(log.finish)
    store.close()
    return {"into_rows": rows, "took_s": round(took_s, 1), "rss_peak_mb": rss_mb(), "rss_before_mb": before}


def build(path: Path, rows: int) -> dict[str, Any]:
    """The dataset to read."""
    store = Store.open(path)
    for _ in fill(store, rows, READ_DAYS):
        pass
    store.publish()
    info = store.info(TRADES)
    store.close()
    assert info.rows == rows
    return {"built_rows": rows, "built_mb": info.size_bytes // 1_000_000}


def read(
    what: str, start_ns: int, end_ns: int, columns: list[str] | None
) -> Callable[[Path, int], dict[str, Any]]:
    """A reading whose batches are looked at and let go."""

    def work(path: Path, rows: int) -> dict[str, Any]:
        store = Store.open(path)
        before, begun_s = rss_mb(), time.perf_counter()
        found = size = largest = 0
        for batch in store.read(TRADES, start_ns, end_ns, columns):
            found, size = found + batch.num_rows, size + batch.nbytes
            largest = max(largest, batch.nbytes)
        took_s = time.perf_counter() - begun_s
        store.close()
        return {
            "read": what,
            "rows": found,
            "of": rows,
            "result_mb": round(size / 1e6, 1),
            "batch_mb_max": round(largest / 1e6, 1),
            "took_s": round(took_s, 2),
            "rss_peak_mb": rss_mb(),
            "over_mb": rss_mb() - before,
        }

    return work


STEPS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "append": append,
    "publish": publish,
    "again": again,
    "build": build,
    "hour": read("an hour, all columns", DAY + 30 * HOUR_NS, DAY + 31 * HOUR_NS, None),
    "column": read("a day, one column", DAY + DAY_NS, DAY + 2 * DAY_NS, ["price"]),
    "all-column": read("all, one column", DAY, DAY + READ_DAYS * DAY_NS, ["price"]),
    "all": read("all, all columns", DAY, DAY + READ_DAYS * DAY_NS, None),
}
PARTS = {"publish": ("append", "publish", "again"), "read": ("build", "hour", "column", "all-column", "all")}


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    begun_s = time.perf_counter()
    work()
    return time.perf_counter() - begun_s


def rss_mb() -> int:
    """The most memory that the process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """Print a line of JSON a step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--part", choices=PARTS, default="publish")
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        found = STEPS[arguments.step](arguments.folder, arguments.rows)
        if found:
            print(json.dumps({**found, "load": os.getloadavg()[0]}), flush=True)
        return
    for rows in (
        [arguments.rows]
        if arguments.rows
        else {"publish": [5_000_000, 20_000_000]}.get(arguments.part, [READ_ROWS])
    ):
        with folder(arguments.folder) as path:
            for step in PARTS[arguments.part]:
                command = [
                    sys.executable,
                    "-m",
                    "tests.bench.large",
                    str(path),
                    "--step",
                    step,
                    "--rows",
                    str(rows),
                ]
                subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
