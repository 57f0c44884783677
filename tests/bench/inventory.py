"""How long a folder of many files takes to open and to list: ``python -m tests.bench.inventory``."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import DAY_NS
from dccd.storage.catalog_db import FILE_NAME
from dccd.storage.store import Store

START = 1_577_836_800_000_000_000  # 2020-01-01
PER_DATASET = 500


def fill(path: Path, files: int) -> None:
    """Days of three trades, 500 of them a dataset."""
    store = Store.open(path)
    for number in range(-(-files // PER_DATASET)):
        dataset = DatasetId.parse(f"binance:COIN{number}-USDT:trades")
        log = store.begin_backfill(dataset, "bench", source="bench")
        days = range(min(PER_DATASET, files - number * PER_DATASET))
        times = [START + day * DAY_NS + n for day in days for n in range(0, 3000, 1000)]
        count = len(times)
        columns: dict[str, list[Any]] = {
            "ts": times,
            "price": [1.0] * count,
            "amount": [1.0] * count,
            "tid_num": [*range(count)],
        }
        log.append(columns, IntervalSet.of(START, START + len(days) * DAY_NS), None)
        log.finish()
    store.close()


def report(what: str, work: Callable[[], object]) -> None:
    """Print how long `work` takes."""
    start = time.perf_counter()
    work()
    print(f"{what}: {(time.perf_counter() - start) * 1e3:.0f} ms")


def main() -> None:
    """Make the folder, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    files = parser.parse_args().files
    with tempfile.TemporaryDirectory(prefix="dccd-bench-") as folder:
        path = Path(folder)
        report(f"write {files:,} files", lambda: fill(path, files))
        stores: list[Store] = []
        report("open, indexed", lambda: stores.append(Store.open(path)))
        report("inventory, first", stores[0].inventory)
        report("inventory, again", stores[0].inventory)
        stores[0].close()
        (path / ".dccd" / FILE_NAME).unlink()
        report("open without an index", lambda: stores.append(Store.open(path)))
        assert sum(info.files for info in stores[1].inventory()) == files
        stores[1].close()


if __name__ == "__main__":
    main()
