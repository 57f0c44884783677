"""What files cannot hold: asked ranges, proven absences, covered time without rows, what was lost and why.

SQLite, each commit durable, never thrown away with an index. Read once, kept in memory. Each row has a
checksum: SQLite has none, and one flipped bit would have the program believe that it holds what it does not.
"""

from __future__ import annotations

import sqlite3
import threading
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import CorruptFile, StorageError, UsageError
from dccd.storage.fs import FileSystem, in_words
from dccd.storage.sqlite_damage import reading_sqlite

FILE_NAME = "coverage.db"
_VERSION = 2
_INCOMPLETE = 1  # in the database's `application_id`: it was begun, and may know less than the files
_SCHEMA = f"""
CREATE TABLE intervals (
    dataset TEXT NOT NULL, kind TEXT NOT NULL, cause TEXT NOT NULL,
    start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, crc INTEGER NOT NULL
);
CREATE INDEX intervals_of ON intervals (dataset, kind, cause);
PRAGMA application_id = {_INCOMPLETE};
PRAGMA user_version = {_VERSION};
"""
_INSERT = "INSERT INTO intervals VALUES (?, ?, ?, ?, ?, ?)"
Row = tuple[str, str, str, int, int]


class What(StrEnum):
    """What an interval of a dataset is."""

    ASKED = "asked"
    ABSENT = "absent"  # the exchange has nothing there; the cause says how that is known
    EMPTY = "empty"  # covered, without a row, in a period that has no file
    LOST = "lost"  # was here once, or would have been; the cause says what happened
    DOUBTED = "doubted"  # what is stored there is not believed any more; the cause says why
    DERIVED = "derived"  # its bars were made from trades; the cause says from which (``derivations``)


class CoverageDb:
    """Interval sets by dataset, kind and cause. Thread-safe.

    Attributes
    ----------
    incomplete : bool
        It was begun anew, and what was asked for before has not been made good yet.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._mutex = threading.Lock()
        self._sets: dict[DatasetId, dict[tuple[What, str], IntervalSet]] = defaultdict(dict)
        _prepare(connection)
        rows: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
        for row in connection.execute("SELECT dataset, kind, cause, start_ns, end_ns, crc FROM intervals"):
            if not row_is_sound(row):
                raise CorruptFile("an entry fails its checksum")
            dataset, kind, cause, start, end, _ = row
            rows[dataset, kind, cause].append((start, end))
        for (dataset, kind, cause), items in rows.items():
            self._sets[DatasetId.parse(dataset)][What(kind), cause] = IntervalSet(items)
        self.incomplete = connection.execute("PRAGMA application_id").fetchone()[0] == _INCOMPLETE

    @classmethod
    def open(cls, fs: FileSystem, state: Path) -> CoverageDb:
        """The database in the folder `state`, made when missing.

        Raises
        ------
        CorruptFile
            It is damaged.
        StorageError
            The system would not have it opened now.
        """
        path = state / FILE_NAME
        with in_words("opening the coverage database"), reading_sqlite(path):
            connection = fs.database(path, durable=True)
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

    def records(self, dataset: DatasetId) -> dict[tuple[What, str], IntervalSet]:
        """All that is known of the dataset, by kind and cause."""
        return {key: intervals for key, intervals in self._of(dataset) if intervals}

    def forget(self, dataset: DatasetId) -> None:
        """Take out all that is known of the dataset; durable when this returns.

        Raises
        ------
        DiskFull, StorageError
            Nothing was taken out.
        """
        with self._mutex, in_words(f"forgetting what was asked and covered of {dataset}"):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.execute("DELETE FROM intervals WHERE dataset = ?", (str(dataset),))
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            self._sets.pop(dataset, None)

    def add(self, dataset: DatasetId, what: What, intervals: IntervalSet, cause: str = "") -> None:
        """Record intervals; durable when this returns.

        Raises
        ------
        DiskFull, StorageError
            Nothing was recorded.
        """
        with self._mutex:
            before = self._sets[dataset].get((what, cause), IntervalSet())
            self._store(dataset, what, {cause: before | intervals})

    def remove(self, dataset: DatasetId, what: What, intervals: IntervalSet) -> None:
        """Take intervals out, whatever their cause; durable when this returns."""
        with self._mutex:
            left = {
                cause: before - intervals
                for (kind, cause), before in self._sets[dataset].items()
                if kind is what
            }
            self._store(dataset, what, left)

    def put(self, dataset: DatasetId, what: What, by_cause: Mapping[str, IntervalSet]) -> None:
        """Record under each of these causes these intervals and no others, all at once; durable then.

        Raises
        ------
        DiskFull, StorageError
            Nothing was recorded.
        """
        with self._mutex:
            self._store(dataset, what, by_cause)

    def insert(self, rows: list[Row]) -> None:
        """Record rows of another database, all or none."""
        sets: dict[tuple[str, str, str], IntervalSet] = {}
        for dataset, kind, cause, start, end in rows:
            key = (dataset, kind, cause)
            sets[key] = sets.get(key, IntervalSet()) | IntervalSet.of(start, end)
        for (dataset, kind, cause), intervals in sets.items():
            self.add(DatasetId.parse(dataset), What(kind), intervals, cause)

    def set_whole(self) -> None:
        """Record that it is not :attr:`incomplete` any more."""
        with self._mutex, in_words("recording what was asked"):
            self._connection.execute("PRAGMA application_id = 0")
            self.incomplete = False

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _of(self, dataset: DatasetId) -> list[tuple[tuple[What, str], IntervalSet]]:
        with self._mutex:
            return list(self._sets[dataset].items()) if dataset in self._sets else []

    def _store(self, dataset: DatasetId, what: What, by_cause: Mapping[str, IntervalSet]) -> None:
        """Bring these causes' intervals to what is given, in one transaction."""
        sets = self._sets[dataset]
        gone: list[Row] = []
        new: list[Row] = []
        for cause, after in by_cause.items():
            before = sets.get((what, cause), IntervalSet())
            key = (str(dataset), what.value, cause)
            gone += [(*key, *item) for item in set(before) - set(after)]
            new += [(*key, *item) for item in set(after) - set(before)]
        if not gone and not new:
            return
        with in_words(f"recording what was asked and covered of {dataset}"):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany(
                    "DELETE FROM intervals"
                    " WHERE dataset = ? AND kind = ? AND cause = ? AND start_ns = ? AND end_ns = ?",
                    gone,
                )
                self._connection.executemany(_INSERT, [(*row, _crc(*row)) for row in new])
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        for cause, after in by_cause.items():
            if after:
                sets[what, cause] = after
            else:
                sets.pop((what, cause), None)


def _prepare(connection: sqlite3.Connection) -> None:
    """Check the database and bring it to the present version; one that is has nothing written to it."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        connection.executescript(f"BEGIN;{_SCHEMA}COMMIT;")
        return
    fault = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if fault != "ok":
        raise CorruptFile(str(fault).replace("\n", " "))
    if version == 1:
        rows = connection.execute("SELECT dataset, kind, cause, start_ns, end_ns FROM intervals").fetchall()
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute("DELETE FROM intervals")
            connection.execute("ALTER TABLE intervals ADD COLUMN crc INTEGER NOT NULL DEFAULT 0")
            connection.executemany(_INSERT, [(*row, _crc(*row)) for row in rows])
            connection.execute(f"PRAGMA user_version = {_VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    elif version != _VERSION:
        raise CorruptFile(f"it has version {version}, not {_VERSION}")
    connection.execute("DELETE FROM intervals WHERE FALSE")  # one bit may forbid writing and no more


def row_is_sound(row: Sequence[object]) -> bool:
    """Whether a row is one that was written here: its types, its words, and its checksum where it has one."""
    if len(row) not in (5, 6):
        return False
    dataset, kind, cause, start, end, *crc = row
    if not (isinstance(dataset, str) and isinstance(cause, str) and kind in {what.value for what in What}):
        return False
    if not (isinstance(start, int) and isinstance(end, int) and start < end):
        return False
    try:
        DatasetId.parse(dataset)
    except UsageError:
        return False
    return crc in ([], [_crc(dataset, str(kind), cause, start, end)])


def _crc(dataset: str, kind: str, cause: str, start: int, end: int) -> int:
    return zlib.crc32(f"{dataset}\0{kind}\0{cause}\0{start}\0{end}".encode())


def interval_set(interval: Interval) -> IntervalSet:
    """One interval as a set; refuses one that ends before it starts."""
    if interval[1] < interval[0]:
        raise StorageError(f"The interval {interval} ends before it starts.")
    return IntervalSet([interval])
