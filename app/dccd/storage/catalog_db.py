"""The index of footers on disk: it spares a start reading every footer, and may be lost at any time.

Whatever is wrong with it, it is begun anew, and where that cannot be, kept in memory: no fault of an index
may keep anybody from data. Each row has a checksum, since SQLite has none and a wrong row would be a wrong
answer.
"""

from __future__ import annotations

import logging
import sqlite3
import zlib
from collections.abc import Iterable
from pathlib import Path

from dccd.domain.errors import CorruptFile
from dccd.storage.footer import FileInfo, Footer
from dccd.storage.fs import FileSystem
from dccd.storage.sqlite_damage import reading_sqlite

FILE_NAME = "catalog.db"
_VERSION = 2
_SCHEMA = f"""
CREATE TABLE files (
    path TEXT PRIMARY KEY, size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, footer BLOB NOT NULL, crc INTEGER NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = {_VERSION};
"""
_SELECT = "SELECT path, size_bytes, mtime_ns, first_ns, last_ns, footer, crc FROM files"
_log = logging.getLogger(__name__)
Row = tuple[str, int, int, int, int, bytes, int]


class CatalogDb:
    """Rows by path. No method raises what is only the index's own fault; not thread-safe."""

    def __init__(self, fs: FileSystem, state: Path) -> None:
        self._fs, self._path = fs, state / FILE_NAME
        self._connection, self._rows = self._open()

    def load(self) -> list[FileInfo]:
        """What it held when it was opened, without rows that cannot be trusted; once."""
        rows, self._rows = self._rows, []
        return [info for row in rows if (info := self._decoded(row)) is not None]

    def write(self, put: Iterable[FileInfo], drop: Iterable[str]) -> bool:
        """Change rows, all or none; whether it worked. What failed is found out by the next start."""
        drops, puts = [(path,) for path in drop], [_encode(info) for info in put]
        if not drops and not puts:
            return True
        try:
            self._connection.execute("BEGIN")
            self._connection.executemany("DELETE FROM files WHERE path = ?", drops)
            self._connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)", puts)
            self._connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            _log.warning("updating the index of the data folder failed: %s", error)
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            return False
        return True

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    def _open(self) -> tuple[sqlite3.Connection, list[Row]]:
        try:
            return self._prepared()
        except (CorruptFile, sqlite3.Error) as error:
            _log.warning("the index of the data folder cannot be read (%s); it is made anew", error)
            locked = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
        try:
            if not locked:
                for suffix in ("", "-journal"):
                    self._fs.remove(self._path.with_name(self._path.name + suffix))
                return self._prepared()
        except (CorruptFile, sqlite3.Error, OSError) as error:
            _log.warning("making the index of the data folder failed: %s", error)
        connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        connection.executescript(_SCHEMA)
        return connection, []

    def _prepared(self) -> tuple[sqlite3.Connection, list[Row]]:
        with reading_sqlite(self._path):
            connection = self._fs.database(self._path, durable=False)
            try:
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
                if version == 0 and empty:
                    connection.executescript(f"BEGIN;{_SCHEMA}COMMIT;")
                elif version != _VERSION:
                    raise CorruptFile(f"it has version {version}, not {_VERSION}")
                connection.execute("DELETE FROM files WHERE FALSE")  # one bit may forbid writing and no more
                return connection, connection.execute(_SELECT).fetchall()
            except BaseException:
                connection.close()
                raise

    def _decoded(self, row: Row) -> FileInfo | None:
        """The file of a row, None when the row is damaged: the file itself is read again then."""
        path, size, mtime, first, last, footer, crc = row
        try:
            with reading_sqlite(self._path):
                if _crc(path, size, mtime, first, last, footer) != crc:
                    return None
                return FileInfo(path, size, mtime, first, last, Footer.decode(footer))
        except CorruptFile:
            return None


def _encode(info: FileInfo) -> Row:
    values = (info.path, info.size_bytes, info.mtime_ns, info.first_ns, info.last_ns, info.footer.encode())
    return *values, _crc(*values)


def _crc(path: str, size: int, mtime: int, first: int, last: int, footer: bytes) -> int:
    return zlib.crc32(footer, zlib.crc32(f"{path}\0{size}\0{mtime}\0{first}\0{last}".encode()))
