"""Opening `coverage.db`, whatever became of it: what is damaged is kept aside, what can be saved of it is."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import CorruptFile
from dccd.storage.coverage_db import FILE_NAME, CoverageDb, Row, What, row_is_sound
from dccd.storage.fs import FileSystem, in_words
from dccd.storage.layout import Layout
from dccd.storage.quarantine import Quarantine
from dccd.storage.sqlite_damage import reading_sqlite

# From both ends, up to what is damaged.
_SELECTS = (
    "SELECT rowid, * FROM intervals NOT INDEXED ORDER BY rowid",
    "SELECT rowid, * FROM intervals NOT INDEXED ORDER BY rowid DESC",
)


def open_coverage(fs: FileSystem, layout: Layout, quarantine: Quarantine) -> CoverageDb:
    """The coverage database, made when missing, and made anew of what can be read when it is damaged.

    Raises
    ------
    StorageError
        The system would not have it opened now (locked, no access, a full disk); it stays as it is.
    """
    try:
        return CoverageDb.open(fs, layout.state)
    except CorruptFile as error:
        path = layout.state / FILE_NAME
        rows = _salvage(fs, layout)
        quarantine.move(
            path,
            f"The record of what was asked for and lost, {FILE_NAME}, is damaged ({error}). {len(rows)} of "
            "its entries could be read and still hold.",
        )
        with in_words("putting the coverage database aside"):
            fs.remove(path.with_name(f"{FILE_NAME}-journal"))
        db = CoverageDb.open(fs, layout.state)
        db.insert(rows)
        return db


def ask_for_what_is_covered(db: CoverageDb, covered: Mapping[DatasetId, IntervalSet]) -> None:
    """After the record of asked ranges was lost: all that lies between a dataset's ends counts as wanted.

    That may be more than was ever asked for; a gap that is shown needlessly does less harm than one that is
    not. A dataset of which an asked range could be saved keeps to that.
    """
    for dataset, intervals in covered.items():
        start, end = intervals.start_ns, intervals.end_ns
        if start is not None and end is not None and not db.get(dataset, What.ASKED):
            db.add(dataset, What.ASKED, IntervalSet.of(start, end))
    db.set_whole()


def _salvage(fs: FileSystem, layout: Layout) -> list[Row]:
    """Rows that are sound."""
    found: dict[int, Row] = {}
    path = layout.state / FILE_NAME
    with (
        contextlib.suppress(CorruptFile, sqlite3.Error),
        reading_sqlite(path),
        contextlib.closing(fs.database(path, durable=True)) as connection,
    ):
        connection.text_factory = lambda text: text.decode(errors="replace")
        for select in _SELECTS:
            with contextlib.suppress(CorruptFile, sqlite3.Error), reading_sqlite(path):
                for rowid, *row in connection.execute(select):
                    if row_is_sound(row):
                        found[rowid] = (row[0], row[1], row[2], row[3], row[4])
    return list(found.values())
