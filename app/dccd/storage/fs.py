"""The one door to the disk, small enough that tests can put another disk behind it.

A name becomes durable when its folder is synced, bytes become durable when their file is. Nothing else is
assumed of a file system, and nothing in the storage layer goes round this interface.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol

from dccd.domain.errors import DiskFull, StorageError

if TYPE_CHECKING:
    import pyarrow as pa

Bytes = bytes | bytearray | memoryview

_NO_ROOM = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_WINDOWS_LONG_PATH = 240  # below the 260 of MAX_PATH, so that a temporary suffix still fits
_WINDOWS_SHARING = {5, 32, 33}  # access denied, sharing violation, lock violation
_REPLACE_PAUSES_S = (0.01, 0.03, 0.1, 0.3, 0.6, 1.0) if sys.platform == "win32" else ()
_LOCK_OFFSET = 1 << 30  # Windows locks bytes against reading too: one that nobody reads


class Entry(NamedTuple):
    """One name in a folder."""

    name: str
    is_folder: bool
    size: int
    mtime_ns: int


class Usage(NamedTuple):
    """Room on a disk: what this user may still write, and all there is."""

    free_bytes: int
    total_bytes: int


class SharingViolation(StorageError):
    """Another program holds the file open; the same call may succeed later (Windows)."""

    code = "sharing_violation"
    retryable = True


class File(Protocol):
    """An open file that grows at its end."""

    @property
    def size(self) -> int:
        """Bytes in the file."""
        ...

    def append(self, *parts: Bytes) -> None:
        """Write all parts at the end, or raise with some of them written."""
        ...

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer only at the end."""
        ...

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""
        ...

    def sync(self) -> None:
        """Make bytes and length durable."""
        ...

    def close(self) -> None:
        """Release the file, which refuses all from then on; idempotent."""
        ...


class Lock(Protocol):
    """An exclusive lock on a file, held until released or until the process ends."""

    def write(self, text: str) -> None:
        """Replace the lock file's text."""
        ...

    def release(self) -> None:
        """Let others have it; idempotent."""
        ...


class FileSystem(Protocol):
    """What the storage layer needs of a disk. All errors are :class:`OSError`, as the system raises them."""

    def create(self, path: Path) -> File:
        """A new file; one that exists already is an error."""
        ...

    def open(self, path: Path, *, write: bool = False) -> File:
        """A file that exists."""
        ...

    def source(self, path: Path) -> pa.NativeFile:
        """A file that exists, for Arrow to read."""
        ...

    def replace(self, source: Path, target: Path) -> None:
        """Rename over whatever `target` is, in one step."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file; one that is missing is fine."""
        ...

    def make_folder(self, path: Path) -> None:
        """Make a folder and what it lies in, each name durable."""
        ...

    def remove_folder(self, path: Path) -> None:
        """Remove a folder with nothing in it; one that is missing or holds something is left as it is."""
        ...

    def entries(self, path: Path) -> list[Entry]:
        """What lies in a folder, in no order; nothing when there is no such folder."""
        ...

    def stat(self, path: Path) -> Entry | None:
        """One name, None when it does not exist."""
        ...

    def sync_folder(self, path: Path) -> None:
        """Make the folder's names durable."""
        ...

    def usage(self, path: Path) -> Usage:
        """Room on the disk that a folder lies on."""
        ...

    def lock(self, path: Path) -> Lock | None:
        """Lock a file (made when missing) without waiting, None when another holds it."""
        ...

    def database(self, path: Path, *, durable: bool) -> sqlite3.Connection:
        """A SQLite database; `durable` makes each commit survive a power cut.

        Where another program holds it, one that is durable is waited for ten seconds. One that is not can be
        made anew, and half a second is enough.
        """
        ...


@contextmanager
def in_words(doing: str) -> Iterator[None]:
    """Turn :class:`OSError` into a :class:`StorageError` that says what was being done.

    Raises
    ------
    DiskFull
        No room, or the quota is used up.
    SharingViolation
        Windows: another program has the file open.
    StorageError
        All else.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise DiskFull(
                f"The disk is full: {doing} found no room. Free some space; nothing stored is lost."
            ) from error
        if getattr(error, "winerror", None) in _WINDOWS_SHARING:
            raise SharingViolation(
                f"Another program holds the file open: {doing} will be tried again."
            ) from error
        raise StorageError(f"The disk refused: {doing} failed ({error.strerror or error}).") from error
    except sqlite3.Error as error:
        if "full" in str(error):
            raise DiskFull(
                f"The disk is full: {doing} found no room. Free some space; nothing stored is lost."
            ) from error
        raise StorageError(f"The database refused: {doing} failed ({error}).") from error


class RealFile:
    """A file of the operating system.

    Once closed, it refuses all: the system gives its descriptor's number to the next file that is opened, and
    whatever comes late would be written into that one.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._mutex = threading.Lock()  # where there is no pread, reading moves the one position
        self._size = os.lseek(descriptor, 0, os.SEEK_END)

    @property
    def size(self) -> int:
        """Bytes in the file, as far as written here."""
        return self._size

    def append(self, *parts: Bytes) -> None:
        """See :meth:`File.append`."""
        views = [memoryview(part).cast("B") for part in parts if memoryview(part)]
        with self._mutex:
            while views:
                if sys.platform == "win32":
                    written = os.write(self._open, views[0])
                else:
                    written = os.writev(self._open, views)
                self._size += written
                while views and written >= len(views[0]):
                    written -= len(views.pop(0))
                if written:
                    views[0] = views[0][written:]

    def read_at(self, offset: int, size: int) -> bytes:
        """See :meth:`File.read_at`."""
        if sys.platform != "win32":
            return os.pread(self._open, size, offset)
        with self._mutex:
            os.lseek(self._open, offset, os.SEEK_SET)
            try:
                return os.read(self._open, size)
            finally:
                os.lseek(self._open, 0, os.SEEK_END)

    def truncate(self, size: int) -> None:
        """See :meth:`File.truncate`."""
        with self._mutex:
            os.ftruncate(self._open, size)
            self._size = os.lseek(self._open, 0, os.SEEK_END)

    def sync(self) -> None:
        """See :meth:`File.sync`."""
        if sys.platform == "darwin":
            import fcntl

            fcntl.fcntl(self._open, fcntl.F_FULLFSYNC)  # fsync alone stops at the drive's cache
        elif sys.platform == "win32":
            os.fsync(self._open)
        else:
            os.fdatasync(self._open)  # length included; times are not needed

    def close(self) -> None:
        """See :meth:`File.close`."""
        with self._mutex:
            descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    @property
    def _open(self) -> int:
        """Its descriptor."""
        if self._descriptor < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._descriptor


class RealLock:
    """A lock file of the operating system: `flock`, or a locked byte on Windows."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """See :meth:`Lock.write`."""
        self._file.seek(0)
        self._file.write(text.encode())
        self._file.truncate()
        self._file.flush()

    def release(self) -> None:
        """See :meth:`Lock.release`."""
        self._file.close()


class RealFileSystem:
    """The operating system's."""

    def create(self, path: Path) -> File:
        """See :meth:`FileSystem.create`."""
        return RealFile(os.open(_native(path), FLAGS | os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644))

    def open(self, path: Path, *, write: bool = False) -> File:
        """See :meth:`FileSystem.open`."""
        return RealFile(os.open(_native(path), FLAGS | (os.O_RDWR if write else os.O_RDONLY)))

    def source(self, path: Path) -> pa.NativeFile:
        """See :meth:`FileSystem.source`."""
        import pyarrow as pa  # late: to see whether a folder is locked must not cost a third of a second

        return pa.OSFile(_native(path), "rb")

    def replace(self, source: Path, target: Path) -> None:
        """See :meth:`FileSystem.replace`; on Windows a virus scanner may hold the target for a moment."""
        for pause_s in _REPLACE_PAUSES_S:
            try:
                os.replace(_native(source), _native(target))
            except PermissionError:
                time.sleep(pause_s)
            else:
                return
        os.replace(_native(source), _native(target))

    def remove(self, path: Path) -> None:
        """See :meth:`FileSystem.remove`."""
        try:
            os.remove(_native(path))
        except FileNotFoundError:
            pass

    def make_folder(self, path: Path) -> None:
        """See :meth:`FileSystem.make_folder`."""
        if os.path.isdir(_native(path)):
            return
        self.make_folder(path.parent)
        try:
            os.mkdir(_native(path))
        except FileExistsError:
            if not os.path.isdir(_native(path)):
                reason = f"{path} is a file, not a folder"
                raise NotADirectoryError(errno.ENOTDIR, reason, os.fspath(path)) from None
        self.sync_folder(path.parent)

    def remove_folder(self, path: Path) -> None:
        """See :meth:`FileSystem.remove_folder`."""
        try:
            os.rmdir(_native(path))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
                raise

    def entries(self, path: Path) -> list[Entry]:
        """See :meth:`FileSystem.entries`."""
        found: list[Entry] = []
        try:
            with os.scandir(_native(path)) as listing:
                for item in listing:
                    try:
                        stat = item.stat()
                    except FileNotFoundError:  # gone since it was listed
                        continue
                    found.append(Entry(item.name, item.is_dir(), stat.st_size, stat.st_mtime_ns))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return found

    def stat(self, path: Path) -> Entry | None:
        """See :meth:`FileSystem.stat`."""
        try:
            stat = os.stat(_native(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Entry(path.name, os.path.isdir(_native(path)), stat.st_size, stat.st_mtime_ns)

    def sync_folder(self, path: Path) -> None:
        """See :meth:`FileSystem.sync_folder`; NTFS journals names itself and has no such call."""
        if sys.platform == "win32":
            return
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def usage(self, path: Path) -> Usage:
        """See :meth:`FileSystem.usage`."""
        found = shutil.disk_usage(_native(path))
        return Usage(found.free, found.total)

    def lock(self, path: Path) -> Lock | None:
        """See :meth:`FileSystem.lock`."""
        file = os.fdopen(os.open(_native(path), FLAGS | os.O_RDWR | os.O_CREAT, 0o644), "r+b", buffering=0)
        if lock_descriptor(file.fileno()):
            return RealLock(file)
        file.close()
        return None

    def database(self, path: Path, *, durable: bool) -> sqlite3.Connection:
        """See :meth:`FileSystem.database`."""
        connection = sqlite3.connect(
            _native(path), check_same_thread=False, isolation_level=None, timeout=10 if durable else 0.5
        )
        try:
            connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")
        except BaseException:  # of a damaged file not even SQLite's words need be text
            connection.close()
            raise
        return connection


def lock_descriptor(descriptor: int) -> bool:
    """Lock an open file against other processes; whether it worked. Closing it lets go."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, _LOCK_OFFSET, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise
    return True


FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0)


def _native(path: Path) -> str:
    text = str(path)
    if sys.platform == "win32" and len(text) > _WINDOWS_LONG_PATH and not text.startswith("\\\\"):
        return f"\\\\?\\{path.absolute()}"
    return text
