"""The real disk, of which any call may fail: reads, databases, and writes after half of them was written."""

from __future__ import annotations

import errno
import io
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from dccd.storage.fs import RealFileSystem


class FaultyFs:
    """A :class:`dccd.storage.fs.FileSystem`.

    Attributes
    ----------
    fail : callable
        Given a call's number, its name and the path: the error that it is to meet, None for none.
    log : list of str
        What was called.
    """

    def __init__(
        self, fail: Callable[[int, str, Path], int | None] = lambda _call, _name, _path: None
    ) -> None:
        self.fail = fail
        self.log: list[str] = []
        self._fs = RealFileSystem()

    def call(self, name: str, path: Path, half: Callable[[], None] | None = None) -> None:
        """One call: the place to fail."""
        self.log.append(f"{name} {path.name}")
        number = self.fail(len(self.log), name, path)
        if number is not None:
            if half is not None:
                half()
            raise OSError(number, os.strerror(number), str(path))

    def create(self, path: Path) -> FaultyFile:
        self.call("create", path)
        return FaultyFile(self, path, self._fs.create(path))

    def open(self, path: Path, *, write: bool = False) -> FaultyFile:
        self.call("open", path)
        return FaultyFile(self, path, self._fs.open(path, write=write))

    def source(self, path: Path) -> pa.NativeFile:
        self.call("source", path)
        return pa.PythonFile(_Source(self, path), mode="r")

    def database(self, path: Path, *, durable: bool) -> sqlite3.Connection:
        faulty = self

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, *more: Any) -> sqlite3.Cursor:
                self._call(sql)
                return super().execute(sql, *more)

            def executemany(self, sql: str, *more: Any) -> sqlite3.Cursor:
                self._call(sql)
                return super().executemany(sql, *more)

            def executescript(self, sql: str) -> sqlite3.Cursor:
                self._call(sql)
                return super().executescript(sql)

            def _call(self, sql: str) -> None:
                if sql == "ROLLBACK":
                    return  # touches no disk that the journal has not
                faulty.call_sql(sql.split(maxsplit=1)[0].lower(), path)

        self.call_sql("open", path)
        connection = sqlite3.connect(
            path, check_same_thread=False, isolation_level=None, timeout=10, factory=Connection
        )
        sqlite3.Connection.execute(connection, f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")
        return connection

    def call_sql(self, name: str, path: Path) -> None:
        """One call to SQLite, which has errors of its own."""
        try:
            self.call(f"sql {name}", path)
        except OSError as refusal:
            no_room = refusal.errno == errno.ENOSPC
            error = sqlite3.OperationalError("database or disk is full" if no_room else "disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL if no_room else sqlite3.SQLITE_IOERR
            raise error from refusal

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._fs, name)

        def called(path: Path, *more: Any) -> Any:
            self.call(name, path)
            return real(path, *more)

        return called


class FaultyFile:
    """An open file on it."""

    def __init__(self, fs: FaultyFs, path: Path, file: Any) -> None:
        self._fs, self._path, self._file = fs, path, file

    @property
    def size(self) -> int:
        return int(self._file.size)

    def append(self, *parts: Any) -> None:
        data = b"".join(bytes(part) for part in parts)
        self._fs.call("append", self._path, lambda: self._file.append(data[: len(data) // 2]))
        self._file.append(data)

    def read_at(self, offset: int, size: int) -> bytes:
        self._fs.call("read_at", self._path)
        return bytes(self._file.read_at(offset, size))

    def truncate(self, size: int) -> None:
        self._fs.call("truncate", self._path)
        self._file.truncate(size)

    def sync(self) -> None:
        self._fs.call("sync", self._path)
        self._file.sync()

    def close(self) -> None:
        self._file.close()


class _Source(io.FileIO):
    def __init__(self, fs: FaultyFs, path: Path) -> None:
        super().__init__(path, "rb")
        self._fs, self._path = fs, path

    def read(self, size: int | None = -1, /) -> bytes:
        self._fs.call("read", self._path)
        return super().read(-1 if size is None else size) or b""
