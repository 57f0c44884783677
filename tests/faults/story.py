"""A short life of a data folder, to be interrupted anywhere, and the judge of what is found afterwards."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS, US_NS
from dccd.storage.backfill_log import BackfillLog
from dccd.storage.fs import FileSystem
from dccd.storage.store import Store
from tests.faults.simdisk import SimDisk

FOLDER = Path("/data")
BARS = DatasetId.parse("binance:BTC-USDT:ohlc:1m")
TRADES = DatasetId.parse("bitfinex:BTC-USD:trades")
EDGE = 1_706_745_600_000_000_000  # 2024-02-01, where a month and a day end
Row = tuple[Any, ...]


@dataclass
class Ledger:
    """What the program was given, and what it said was safe."""

    offered: dict[DatasetId, set[Row]] = field(default_factory=lambda: {BARS: set(), TRADES: set()})
    written: dict[DatasetId, set[Row]] = field(default_factory=lambda: {BARS: set(), TRADES: set()})
    synced: dict[DatasetId, set[Row]] = field(default_factory=lambda: {BARS: set(), TRADES: set()})
    covered_written: dict[DatasetId, IntervalSet] = field(default_factory=dict)
    covered_synced: dict[DatasetId, IntervalSet] = field(default_factory=dict)
    covered_offered: dict[DatasetId, IntervalSet] = field(default_factory=dict)
    asked: dict[DatasetId, IntervalSet] = field(default_factory=dict)

    def append(self, log: BackfillLog, columns: dict[str, list[Any]], covered: IntervalSet) -> None:
        dataset = log.dataset
        rows = rows_of(dataset, columns)
        self.offered[dataset] |= rows
        self.covered_offered[dataset] = self.covered_offered.get(dataset, IntervalSet()) | covered
        log.append(columns, covered, "cursor")
        self.written[dataset] |= rows
        self.covered_written[dataset] = self.covered_written.get(dataset, IntervalSet()) | covered

    def safe(self, dataset: DatasetId) -> None:
        self.synced[dataset] |= self.written[dataset]
        self.covered_synced[dataset] = self.covered_written.get(dataset, IntervalSet())


def rows_of(dataset: DatasetId, columns: dict[str, list[Any]]) -> set[Row]:
    names = ("ts", "open", "volume") if dataset == BARS else ("ts", "price", "tid_num")
    return set(zip(*(columns.get(name, []) for name in names), strict=True))


def bars(first: int, last: int) -> dict[str, list[Any]]:
    """Minutes from `first` to `last` (exclusive), counted from the edge."""
    minutes = range(first, last)
    values = [float(minute) + 0.25 for minute in minutes]
    names = ("open", "high", "low", "close", "volume")
    return {"ts": [EDGE + minute * MINUTE_NS for minute in minutes], **dict.fromkeys(names, values)}


def minutes(first: int, last: int) -> IntervalSet:
    return IntervalSet.of(EDGE + first * MINUTE_NS, EDGE + last * MINUTE_NS)


def trades(first: int, last: int) -> dict[str, list[Any]]:
    """One trade a minute around the edge, each pair in one millisecond."""
    numbers = range(first, last)
    return {
        "ts": [EDGE + number // 2 * 2 * MINUTE_NS + 100 * (number % 2) for number in numbers],
        "price": [1.5 + number for number in numbers],
        "amount": [1.0 for _ in numbers],
        "tid_num": [10_000 + number for number in numbers],
    }


def live(fs: FileSystem, ledger: Ledger) -> None:
    """Two sessions of work: pages in and out of order, across period edges, overlapping, without rows."""
    store = Store.open(FOLDER, fs=fs)
    try:
        store.add_asked(BARS, Interval(EDGE - HOUR_NS, EDGE + HOUR_NS))
        ledger.asked[BARS] = IntervalSet.of(EDGE - HOUR_NS, EDGE + HOUR_NS)
        log = store.begin_backfill(BARS, "one", source="binance")
        ledger.append(log, bars(-60, -30), minutes(-60, -30))
        log.sync()
        ledger.safe(BARS)
        ledger.append(log, bars(-30, 20), minutes(-30, 20))  # across the edge
        ledger.append(log, bars(10, 30), minutes(10, 30))  # overlapping
        log.publish_before(EDGE + 30 * MINUTE_NS)
        other = store.begin_backfill(TRADES, "two", source="bitfinex")
        ledger.append(other, trades(-20, 0), minutes(-20, 0))
        ledger.append(other, {}, IntervalSet.of(EDGE + 3 * DAY_NS, EDGE + 5 * DAY_NS))  # covered and empty
        other.sync()
        ledger.safe(TRADES)
        ledger.append(log, bars(30, 40), minutes(30, 40))
        log.finish()
        ledger.safe(BARS)
        ledger.append(other, trades(-10, 10), minutes(-10, 10))
    finally:
        store.close()
    store = Store.open(FOLDER, fs=fs)
    try:
        late = store.begin_backfill(TRADES, "three", source="bitfinex")
        ledger.append(late, trades(10, 30), minutes(10, 30))
        late.finish()
        ledger.safe(TRADES)
        again = store.begin_backfill(BARS, "four", source="binance")
        ledger.append(again, bars(-40, 10), minutes(-40, 10))  # into both files once more
        again.finish()
        ledger.safe(BARS)
    finally:
        store.close()


def judge(disk: SimDisk, ledger: Ledger, *, power_cut: bool) -> None:
    """Open what is left, and hold it against the ledger; then publish, and hold the bare files against it."""
    store = Store.open(FOLDER, fs=disk)
    try:
        for dataset in (BARS, TRADES):
            _judge_rows(store, dataset, ledger, power_cut=power_cut)
        known = store.coverage(BARS).asked
        assert known - ledger.asked.get(BARS, IntervalSet.of(EDGE - HOUR_NS, EDGE + HOUR_NS)) == IntervalSet()
        assert not ledger.asked.get(BARS, IntervalSet()) - known, "what was asked for is forgotten"
        before = {
            dataset: (_read(store, dataset), store.coverage(dataset).covered) for dataset in (BARS, TRADES)
        }
        store.publish()
        for dataset, (rows, covered) in before.items():
            assert _read(store, dataset) == rows, "publishing changed the rows"
            assert store.coverage(dataset).covered == covered, "publishing changed the coverage"
            assert bare_rows(disk, dataset) == rows, "the files alone have other rows"
        assert not any("/.dccd/journal/" in path for path in disk.files()), "a published journal is left"
        assert not any("/tmp/" in path for path in disk.files()), "an unfinished file is left"
    finally:
        store.close()


def _judge_rows(store: Store, dataset: DatasetId, ledger: Ledger, *, power_cut: bool) -> None:
    rows = _read(store, dataset)
    assert len(rows) == len(set(rows)), "a row is there twice"
    found = set(rows)
    assert found <= ledger.offered[dataset], (
        f"rows nobody wrote: {sorted(found - ledger.offered[dataset])[:3]}"
    )
    safe = (ledger.synced if power_cut else ledger.written)[dataset]
    assert safe <= found, f"{len(safe - found)} acknowledged rows are lost"
    covered = store.coverage(dataset).covered
    promised = (ledger.covered_synced if power_cut else ledger.covered_written).get(dataset, IntervalSet())
    assert not promised - covered, "acknowledged coverage is lost"
    assert not covered - ledger.covered_offered.get(dataset, IntervalSet()), "coverage nobody proved"
    missing = {row for row in ledger.offered[dataset] - found if row[0] in covered}
    assert not missing, f"{len(missing)} rows are missing where coverage says that all are there"


def _read(store: Store, dataset: DatasetId) -> list[Row]:
    if dataset not in [info.dataset for info in store.inventory()]:
        return []
    return _rows(dataset, store.read(dataset))


def bare_rows(disk: SimDisk, dataset: DatasetId) -> list[Row]:
    """What a reader that knows nothing of the program finds, files in order of name."""
    folder = f"{FOLDER / dataset.folder}/"
    folder = folder.lower() if disk.ntfs else folder
    paths = sorted(path for path in disk.files() if path.startswith(folder))
    return _rows(dataset, (pq.ParquetFile(io.BytesIO(disk.files()[path])).read() for path in paths))


def _rows(dataset: DatasetId, tables: Iterable[pa.Table | pa.RecordBatch]) -> list[Row]:
    names = ("open", "volume") if dataset == BARS else ("price", "tid_num")
    found: list[Row] = []
    for each in tables:
        whole_us: list[Any] = each["ts"].cast(pa.int64()).to_pylist()
        below_ns = each["ts_sub_ns"].to_pylist()
        times = [us * US_NS + (ns or 0) for us, ns in zip(whole_us, below_ns, strict=True)]
        found += zip(times, *(each[name].to_pylist() for name in names), strict=True)
    assert [row[0] for row in found] == sorted(row[0] for row in found), "rows are out of order"
    return found
