"""An index of footers: memory that is asked, and a database beside it that spares reading every footer again.

The database may be lost, old or broken at any time: it is compared with the folder at each start (path, size,
time of change), and what differs is read again.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId, Period
from dccd.domain.errors import CorruptFile
from dccd.storage.footer import FileInfo, Footer
from dccd.storage.fs import Entry, FileSystem, in_words
from dccd.storage.layout import STATE, Layout
from dccd.storage.period_file import read_file_info

FILE_NAME = "catalog.db"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, footer BLOB NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = 1;
"""
_SELECT = "SELECT path, size_bytes, mtime_ns, first_ns, last_ns, footer FROM files"


class Catalog:
    """All period files of a data folder. Thread-safe."""

    def __init__(self, fs: FileSystem, layout: Layout) -> None:
        self._fs, self._layout = fs, layout
        self._mutex = threading.Lock()
        self._files: dict[DatasetId, dict[Period, FileInfo]] = {}
        self._covered: dict[DatasetId, IntervalSet] = {}
        self._connection = _open(fs, layout.state / FILE_NAME)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def datasets(self) -> list[DatasetId]:
        """Datasets that have files."""
        with self._mutex:
            return [dataset for dataset, files in self._files.items() if files]

    def files(self, dataset: DatasetId) -> list[FileInfo]:
        """A dataset's files in order of time."""
        with self._mutex:
            return sorted(self._files.get(dataset, {}).values(), key=lambda info: info.period.interval)

    def get(self, dataset: DatasetId, period: Period) -> FileInfo | None:
        """One file."""
        with self._mutex:
            return self._files.get(dataset, {}).get(period)

    def covered(self, dataset: DatasetId) -> IntervalSet:
        """What the dataset's files cover."""
        with self._mutex:
            found = self._covered.get(dataset)
            if found is None:
                infos = self._files.get(dataset, {}).values()
                found = IntervalSet(item for info in infos for item in info.footer.covered)
                self._covered[dataset] = found
            return found

    def put(self, info: FileInfo) -> None:
        """Take note of a file that was written."""
        with self._mutex:
            self._keep(info)
            _write(self._connection, [info], [])

    def drop(self, info: FileInfo) -> None:
        """Take note of a file that is gone."""
        with self._mutex:
            self._files.get(info.footer.dataset, {}).pop(info.period, None)
            self._covered.pop(info.footer.dataset, None)
            _write(self._connection, [], [info.path])

    def refresh(self, unreadable: Callable[[str, CorruptFile, FileInfo | None], None]) -> None:
        """Compare with the folder, reading the footers of what is new or has changed.

        Parameters
        ----------
        unreadable : callable
            Called for each period file that cannot be read, with what was known of it; it is not in the
            catalog then.
        """
        with in_words("reading the data folder"):
            present = dict(self._walk())
        known = _read(self._connection)
        kept = {
            path: info
            for path, info in known.items()
            if path in present
            and (info.size_bytes, info.mtime_ns) == (present[path].size, present[path].mtime_ns)
        }
        found: list[FileInfo] = []
        wanted = [path for path in present if path not in kept]
        with ThreadPoolExecutor(min(8, (os.cpu_count() or 1) + 2), "dccd-footers") as pool:
            for path, result in zip(wanted, pool.map(self._look, wanted), strict=True):
                if isinstance(result, CorruptFile):
                    unreadable(path, result, known.get(path))
                elif result is not None:
                    found.append(result)
        with self._mutex:
            self._files.clear()
            self._covered.clear()
            for info in (*kept.values(), *found):
                self._keep(info)
            _write(self._connection, found, [path for path in known if path not in kept])

    def _look(self, path: str) -> FileInfo | CorruptFile | None:
        try:
            return read_file_info(self._fs, self._layout, path)
        except FileNotFoundError:
            return None
        except CorruptFile as error:
            return error

    def _walk(self) -> Iterator[tuple[str, Entry]]:
        """Relative paths of all files that stand where a period file would."""
        folders = [entry.name for entry in self._fs.entries(self._layout.data_path) if entry.is_folder]
        while folders:
            folder = folders.pop()
            if folder == STATE:
                continue
            dataset = self._layout.dataset_in(PurePosixPath(folder))
            for entry in self._fs.entries(self._layout.data_path / folder):
                path = f"{folder}/{entry.name}"
                if entry.is_folder:
                    folders.append(path)
                elif dataset is not None and entry.name.endswith(".parquet"):
                    yield path, entry

    def _keep(self, info: FileInfo) -> None:
        self._files.setdefault(info.footer.dataset, {})[info.period] = info
        self._covered.pop(info.footer.dataset, None)


def _open(fs: FileSystem, path: Path) -> sqlite3.Connection:
    """The database, made anew when it cannot be read."""
    try:
        return _prepared(fs, path)
    except sqlite3.DatabaseError:
        for suffix in ("", "-journal"):
            fs.remove(path.with_name(path.name + suffix))
    with in_words("making the index of the data folder"):
        return _prepared(fs, path)


def _prepared(fs: FileSystem, path: Path) -> sqlite3.Connection:
    connection = fs.database(path, durable=False)
    try:
        connection.executescript(_SCHEMA)
        connection.execute(f"{_SELECT} LIMIT 1").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _read(connection: sqlite3.Connection) -> dict[str, FileInfo]:
    found: dict[str, FileInfo] = {}
    try:
        for path, size, mtime, first, last, footer in connection.execute(_SELECT):
            try:
                found[path] = FileInfo(path, size, mtime, first, last, Footer.decode(footer))
            except CorruptFile:
                continue  # read again from the file itself
    except sqlite3.DatabaseError:
        return {}
    return found


def _write(connection: sqlite3.Connection, put: list[FileInfo], drop: list[str]) -> None:
    if not put and not drop:
        return
    with in_words("updating the index of the data folder"):
        connection.execute("BEGIN")
        try:
            connection.executemany("DELETE FROM files WHERE path = ?", [(path,) for path in drop])
            connection.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)",
                [(i.path, i.size_bytes, i.mtime_ns, i.first_ns, i.last_ns, i.footer.encode()) for i in put],
            )
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
