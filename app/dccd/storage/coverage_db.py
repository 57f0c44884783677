"""What files cannot hold: asked ranges, proven absences, covered time without rows, what was lost and why.

SQLite, each commit durable, never thrown away with an index. Read once, kept in memory.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import defaultdict
from enum import StrEnum
from pathlib import Path

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import StorageError
from dccd.storage.fs import FileSystem, in_words

FILE_NAME = "coverage.db"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS intervals (
    dataset TEXT NOT NULL, kind TEXT NOT NULL, cause TEXT NOT NULL,
    start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS intervals_of ON intervals (dataset, kind, cause);
PRAGMA user_version = 1;
"""


class What(StrEnum):
    """What an interval of a dataset is."""

    ASKED = "asked"
    ABSENT = "absent"  # the exchange has nothing there; the cause says how that is known
    EMPTY = "empty"  # covered, without a row, in a period that has no file
    LOST = "lost"  # was here once, or would have been; the cause says what happened
    DOUBTED = "doubted"  # what is stored there is not believed any more; the cause says why


class CoverageDb:
    """Interval sets by dataset, kind and cause. Thread-safe."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._mutex = threading.Lock()
        self._sets: dict[DatasetId, dict[tuple[What, str], IntervalSet]] = defaultdict(dict)
        connection.executescript(_SCHEMA)
        rows: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
        for dataset, kind, cause, start, end in connection.execute(
            "SELECT dataset, kind, cause, start_ns, end_ns FROM intervals"
        ):
            rows[dataset, kind, cause].append((start, end))
        for (dataset, kind, cause), items in rows.items():
            self._sets[DatasetId.parse(dataset)][What(kind), cause] = IntervalSet(items)

    @classmethod
    def open(cls, fs: FileSystem, state: Path) -> CoverageDb:
        """The database in the folder `state`, made when missing.

        Raises
        ------
        StorageError
            It cannot be read.
        """
        with in_words("opening the coverage database"):
            connection = fs.database(state / FILE_NAME, durable=True)
            try:
                return cls(connection)
            except BaseException:
                connection.close()
                raise

    def datasets(self) -> set[DatasetId]:
        """Datasets of which anything is known."""
        with self._mutex:
            return {dataset for dataset, sets in self._sets.items() if any(sets.values())}

    def knows(self, dataset: DatasetId) -> bool:
        """Whether anything is known of the dataset."""
        return any(intervals for _, intervals in self._of(dataset))

    def get(self, dataset: DatasetId, what: What) -> IntervalSet:
        """The union over all causes."""
        found = IntervalSet()
        for (kind, _), intervals in self._of(dataset):
            if kind is what:
                found |= intervals
        return found

    def causes(self, dataset: DatasetId, what: What) -> dict[str, IntervalSet]:
        """By cause."""
        return {
            cause: intervals for (kind, cause), intervals in self._of(dataset) if kind is what and intervals
        }

    def missed(self, dataset: DatasetId) -> dict[str, IntervalSet]:
        """What was lost or is doubted, by cause."""
        found: dict[str, IntervalSet] = {}
        for (kind, cause), intervals in self._of(dataset):
            if kind in (What.LOST, What.DOUBTED) and intervals:
                found[cause] = found.get(cause, IntervalSet()) | intervals
        return found

    def add(self, dataset: DatasetId, what: What, intervals: IntervalSet, cause: str = "") -> None:
        """Record intervals; durable when this returns.

        Raises
        ------
        DiskFull, StorageError
            Nothing was recorded.
        """
        with self._mutex:
            before = self._sets[dataset].get((what, cause), IntervalSet())
            self._store(dataset, what, cause, before, before | intervals)

    def remove(self, dataset: DatasetId, what: What, intervals: IntervalSet) -> None:
        """Take intervals out, whatever their cause; durable when this returns."""
        with self._mutex:
            for (kind, cause), before in list(self._sets[dataset].items()):
                if kind is what:
                    self._store(dataset, what, cause, before, before - intervals)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _of(self, dataset: DatasetId) -> list[tuple[tuple[What, str], IntervalSet]]:
        with self._mutex:
            return list(self._sets[dataset].items()) if dataset in self._sets else []

    def _store(
        self, dataset: DatasetId, what: What, cause: str, before: IntervalSet, after: IntervalSet
    ) -> None:
        if after == before:
            return
        gone, new = set(before) - set(after), set(after) - set(before)
        key = (str(dataset), what.value, cause)
        with in_words(f"recording what was asked and covered of {dataset}"):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany(
                    "DELETE FROM intervals"
                    " WHERE dataset = ? AND kind = ? AND cause = ? AND start_ns = ? AND end_ns = ?",
                    [(*key, *item) for item in gone],
                )
                self._connection.executemany(
                    "INSERT INTO intervals VALUES (?, ?, ?, ?, ?)", [(*key, *i) for i in new]
                )
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        self._sets[dataset][what, cause] = after


def interval_set(interval: Interval) -> IntervalSet:
    """One interval as a set; refuses one that ends before it starts."""
    if interval[1] < interval[0]:
        raise StorageError(f"The interval {interval} ends before it starts.")
    return IntervalSet([interval])
