"""How fast a folder of the dccd 3 package is taken over, and in how much memory.

``python -m tests.bench.adopt [MILLIONS]``: trades of as many days, a million a day, laid out as the package
does; read, stored, and read again by a second taking over that finds all of it the same.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from multiprocessing import Process
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from dccd.application.operations.adopt import Adoption
from dccd.application.operations.adoptable import find
from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import DAY_NS, ns_datetime
from dccd.storage.store import Store

pc: Any = pyarrow.compute  # its stubs refuse much of what the kernels take

DAY_ROWS = 1_000_000
START_NS = 19_723 * DAY_NS  # 2024-01-01


def write(folder: Path, days: int) -> None:
    """Make the folder."""
    place = folder / "binance" / "trades" / "BTC-USDT"
    place.mkdir(parents=True)
    step_ns = DAY_NS // DAY_ROWS // 1_000_000 * 1_000_000
    numbers = pa.array(range(DAY_ROWS), pa.int64())
    even = pc.equal(pc.bit_wise_and(numbers, 1), 0)
    for day in range(days):
        start_ns = START_NS + day * DAY_NS
        table = pa.table(
            {
                "TS": pc.add(pc.multiply(numbers, step_ns), start_ns),
                "price": pc.add(pc.divide(pc.bit_wise_and(numbers, 1023).cast("float64"), 8.0), 60_000.0),
                "amount": pc.divide(pc.bit_wise_and(numbers, 511).cast("float64"), 1024.0),
                "side": pc.if_else(even, "buy", "sell").cast(pa.large_string()),
                "tid": pc.add(numbers, day * DAY_ROWS).cast(pa.large_string()),
            }
        )
        name = ns_datetime(start_ns).strftime("%Y-%m-%d")
        pq.write_table(table, place / f"{name}.parquet", compression="snappy", row_group_size=1 << 18)


def adopt(folder: Path, store: Store) -> tuple[float, int]:
    """Take it over; seconds, and rows stored."""
    began_s = time.monotonic()
    listing = find(folder, store.data_path)
    report = Adoption(listing, store, "bench", stopped=lambda: False, progress=lambda *_: None).run()
    return time.monotonic() - began_s, sum(found.rows_stored for found in report.datasets)


def main(millions: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "crypto"
        making = Process(target=write, args=(folder, millions))  # its memory is not ours
        making.start()
        making.join()
        store = Store.open(Path(place) / "data")
        for what in ("taken over", "again, found the same"):
            seconds, stored = adopt(folder, store)
            rate = millions * DAY_ROWS / seconds
            print(f"{what}: {millions} M rows, {stored:,} stored, {seconds:.1f} s, {rate:,.0f} rows/s")
        info = store.info(DatasetId.parse("binance:BTC-USDT:trades"))
        print(f"{info.rows:,} rows in {info.files} files, {len(info.gaps)} gaps")
        peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"peak memory {peak_kb / 1024:.0f} MB")
        store.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
