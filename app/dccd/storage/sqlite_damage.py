"""What a damaged SQLite file makes its reader raise, as one error."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dccd.domain.errors import CorruptFile, StorageError

# The system's doing, or the moment's: they say nothing of the file.
_NOT_THE_FILE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOLFS,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}


@contextmanager
def reading_sqlite(path: Path) -> Iterator[None]:
    """Have whatever a damaged file raises be a :class:`CorruptFile`.

    SQLite has no checksums. So a flipped bit may be found by SQLite, or by Python where SQLite's own words
    are no UTF-8 any more, or by whoever makes something of a value that was never written: with any error at
    all.

    Raises
    ------
    CorruptFile
        The file is damaged, or of another form than is read here.
    OSError, MemoryError, StorageError, sqlite3.Error
        As they were met: the file has no part in them.
    """
    try:
        yield
    except (OSError, MemoryError, StorageError):
        raise
    except Exception as error:
        if isinstance(error, sqlite3.Error) and not _is_damage(error, path):
            raise
        raise CorruptFile(str(error) or type(error).__name__) from error


def _is_damage(error: sqlite3.Error, path: Path) -> bool:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF  # none: text that is no UTF-8
    # One bit of the header forbids to write, as the system may.
    return code not in _NOT_THE_FILE or (code == sqlite3.SQLITE_READONLY and os.access(path, os.W_OK))
