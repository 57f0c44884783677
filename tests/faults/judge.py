"""Opens what a crash has left and holds it against the ledger: nothing lost, twice or made up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import US_NS
from dccd.storage.fs import FileSystem, RealFileSystem
from dccd.storage.store import Store
from tests.faults.ledger import COMPARED, Expected, Ledger, Row
from tests.faults.simdisk import SimDisk
from tests.faults.story import FOLDER


@dataclass
class Verdict:
    """What is wrong with a data folder: rows lost, rows there too often, and every fault in words."""

    lost: int = 0
    twice: int = 0
    faults: list[str] = field(default_factory=list)

    def unless(self, good: object, fault: str) -> None:
        """Note a fault unless all is well."""
        if not good:
            self.faults.append(fault)


class Found(NamedTuple):
    """A data folder on some disk, and a listing of all files there, by path."""

    fs: FileSystem
    folder: Path
    files: Callable[[], Mapping[str, bytes]]

    @classmethod
    def on_the_real_disk(cls, folder: Path) -> Found:
        """A folder of the operating system's."""
        return cls(
            RealFileSystem(),
            folder,
            lambda: {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()},
        )

    def bare_rows(self, dataset: DatasetId) -> Counter[Row]:
        """What a reader that knows nothing of the program finds."""
        files, below = self.files(), f"/{dataset.folder}/".lower()
        names = sorted(name for name in files if below in name.lower())
        return _rows(
            dataset, (pq.ParquetFile(BytesIO(files[name])).read(use_threads=False) for name in names)
        )


@dataclass
class Seen:
    """What a folder was found to hold, whatever it should.

    Attributes
    ----------
    faults : list of str
        What is wrong with any folder of which it is so.
    trash : set of DatasetId
        What could be restored, and has been.
    rows, covered, asked : dict
        By dataset, once that was done.
    """

    faults: list[str] = field(default_factory=list)
    trash: set[DatasetId] = field(default_factory=set)
    rows: dict[DatasetId, Counter[Row]] = field(default_factory=dict)
    covered: dict[DatasetId, IntervalSet] = field(default_factory=dict)
    asked: dict[DatasetId, IntervalSet] = field(default_factory=dict)


def look(found: Found, datasets: Iterable[DatasetId]) -> Seen:
    """Open the folder and look at it; then publish, and look at it again and at the bare files."""
    seen = Seen()
    try:
        with closing(Store.open(found.folder, fs=found.fs)) as store:
            for entry in store.keeping.deleted():
                seen.trash.add(entry.dataset)
                store.keeping.restore(entry.id)
            for dataset in datasets:
                known = store.coverage(dataset)
                seen.rows[dataset] = rows_in(store, dataset)
                seen.covered[dataset], seen.asked[dataset] = known.covered, known.asked
            store.publish()
            for dataset, rows in seen.rows.items():
                if store.coverage(dataset).covered != seen.covered[dataset]:
                    seen.faults.append("publishing changed the coverage")
                if found.bare_rows(dataset) != rows:
                    seen.faults.append("publishing changed the rows")
        left = found.files()
        if any("/.dccd/journal/" in name for name in left):
            seen.faults.append("a published journal is left")
        if any("/.dccd/tmp/" in name for name in left):
            seen.faults.append("an unfinished file is left")
    except Exception as error:  # noqa: BLE001 - a folder that cannot be opened or read is the worst of faults
        seen.faults.append(f"{type(error).__name__}: {error}")
    return seen


def verdict_on(found: Found, ledger: Ledger, *, power_cut: bool) -> Verdict:
    """Look at a folder and hold it against the ledger."""
    return compared(look(found, datasets_of(ledger)), ledger, power_cut=power_cut)


def datasets_of(ledger: Ledger) -> set[DatasetId]:
    """Those that anything was offered for, or asked of."""
    return {page.dataset for page in ledger.offered} | ledger.asking.keys()


def compared(seen: Seen, ledger: Ledger, *, power_cut: bool) -> Verdict:
    """Hold what was seen against the ledger."""
    verdict = Verdict(faults=[*seen.faults])
    for dataset, state in ledger.trash.items():
        there = dataset in seen.trash
        verdict.unless(there or state != "deleted", "a deletion is forgotten")
        verdict.unless(not there or state != "restored", "what was restored is in the trash")
    promised = ledger.synced if power_cut else ledger.written
    for dataset in datasets_of(ledger) & seen.rows.keys():
        _compare(verdict, seen.rows[dataset], seen.covered[dataset], ledger.expected(dataset, promised))
    for dataset in ledger.asking.keys() & seen.asked.keys():
        known = seen.asked[dataset]
        verdict.unless(not ledger.asked.get(dataset, IntervalSet()) - known, "what was asked is forgotten")
        verdict.unless(not known - ledger.asking[dataset], "what nobody asked for is wanted")
    return verdict


def judge(disk: SimDisk, ledger: Ledger, *, power_cut: bool) -> None:
    """Fail unless the story's folder on this disk is sound."""
    verdict = verdict_on(Found(disk, FOLDER, disk.files), ledger, power_cut=power_cut)
    assert not verdict.faults, "; ".join(verdict.faults)


def _compare(verdict: Verdict, rows: Counter[Row], covered: IntervalSet, expected: Expected) -> None:
    lost, more = expected.due - rows, rows - expected.possible
    twice = Counter({row: count for row, count in more.items() if row in expected.possible})
    verdict.lost += lost.total()
    verdict.twice += twice.total()
    verdict.unless(not lost, f"{lost.total()} acknowledged rows are lost")
    verdict.unless(not twice, f"{twice.total()} rows are there twice")
    verdict.unless(more == twice, f"rows that should not be there: {[*(more - twice)][:3]}")
    verdict.unless(not expected.must - covered, "acknowledged coverage is lost")
    verdict.unless(not covered - expected.may, "coverage nobody proved")
    missing = [row for row in expected.standing - rows if row[0] in covered]
    verdict.unless(not missing, f"{len(missing)} rows are missing where coverage says that all are there")


def rows_in(store: Store, dataset: DatasetId) -> Counter[Row]:
    """What a store reads of a dataset; nothing where it knows none."""
    if dataset not in [info.dataset for info in store.inventory()]:
        return Counter()
    return _rows(dataset, store.read(dataset))


def _rows(dataset: DatasetId, tables: Iterable[pa.Table | pa.RecordBatch]) -> Counter[Row]:
    found: list[Row] = []
    for each in tables:
        whole_us: list[Any] = each["ts"].cast(pa.int64()).to_pylist()
        below_ns = each["ts_sub_ns"].to_pylist()
        times = [us * US_NS + (ns or 0) for us, ns in zip(whole_us, below_ns, strict=True)]
        values = (each[name].to_pylist() for name in COMPARED[dataset.data_type])
        found += zip(times, *values, strict=True)
    if [row[0] for row in found] != sorted(row[0] for row in found):
        raise AssertionError(f"rows of {dataset} are out of order")
    return Counter(found)
