"""A disk that can lose power at any call: a :class:`dccd.storage.fs.FileSystem` kept in memory.

It remembers what was synced and what was not. :meth:`SimDisk.after_crash` gives the disk as the next start
finds it: what was synced for certain, what was not as `Loss` says. In POSIX mode a name is durable when its
folder was synced, each on its own. In NTFS mode names are journaled in order and flushed with any file's
sync, a file that is open cannot be replaced or removed, case folds, and some names are refused.
"""

from __future__ import annotations

import errno
import hashlib
import io
import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa

from dccd.storage.fs import Bytes, Entry, Usage
from tests.faults.loss import Loss, surviving_bytes

_IDS = count()
_TICK_NS, _EPOCH_NS = 1_000_000, 10_000_000_000_000_000
_RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{name}{n}" for name in ("COM", "LPT") for n in range(1, 10))}


def _nothing() -> None:
    pass


class Crash(BaseException):
    """The power went; nothing that the program does from here on reaches the disk."""


@dataclass(eq=False)
class Inode:
    """A file's bytes; as they were at the last sync, and after each change since."""

    data: bytearray = field(default_factory=bytearray)
    versions: list[bytes] = field(default_factory=lambda: [b""])
    handles: int = 0
    mtime_ns: int = 0

    def changed(self) -> None:
        self.versions.append(bytes(self.data))

    def synced(self) -> None:
        self.versions = [bytes(self.data)]


class SimDisk:
    """The disk.

    Attributes
    ----------
    calls : int
        Calls that changed it so far; `log` names them.
    at_call : callable
        Called at each of them, when nothing or a part of it is done: to ask what a crash would leave.
    """

    def __init__(self, *, ntfs: bool = False) -> None:
        self.ntfs = ntfs
        self.calls = 0
        self.log: list[str] = []
        self.crash_at: int | None = None
        self.at_call: Callable[[], None] = lambda: None
        self.fail: Callable[[int, str], OSError | None] = lambda _call, _name: None
        self.ignore_file_sync = self.ignore_folder_sync = False
        self.dead = False
        self._epoch_ns = 1_700_000_000_000_000_000
        self._clock = count(self._epoch_ns, _TICK_NS)
        self._names: dict[str, Inode | None] = {}  # None is a folder
        self._durable: dict[str, Inode | None] = {}
        # Each change of names in its parts: path, what it is from then on, present or not.
        self._pending: list[list[tuple[str, Inode | None, bool]]] = []
        self._display: dict[str, str] = {}  # names as they were given; NTFS keeps their case
        self._locked: set[str] = set()
        self._databases: dict[str, tuple[str, sqlite3.Connection]] = {}
        self._committed: dict[str, bytes] = {}
        self._indexes: list[bytes] = []  # the catalog after each commit: it is not synced, any may be back
        self._removed: list[bytes] = []

    # --- the FileSystem interface -------------------------------------------------------------------------

    def create(self, path: Path) -> SimFile:
        self._call(f"create {path.name}")
        key = self._key(path)
        if key in self._names:
            raise FileExistsError(errno.EEXIST, "File exists", str(path))
        self._need_folder(path.parent)
        inode = Inode(mtime_ns=next(self._clock))
        self._set(path, inode)
        return SimFile(self, inode)

    def open(self, path: Path, *, write: bool = False) -> SimFile:
        return SimFile(self, self._inode(path))

    def source(self, path: Path) -> pa.NativeFile:
        return pa.PythonFile(_Source(self._inode(path)), mode="r")

    def replace(self, source: Path, target: Path) -> None:
        self._call(f"replace {target.name}")
        inode = self._inode(source)
        self._need_folder(target.parent)
        for path in (source, target):
            self._refuse_open(path)
        self._drop(self._key(source))
        self._set(target, inode)
        self._pending[-2:] = [self._pending[-2] + self._pending[-1]]  # no file system does a half of it

    def remove(self, path: Path) -> None:
        self._call(f"remove {path.name}")
        key = self._key(path)
        self._databases.pop(key, None)
        self._committed.pop(key, None)
        if key in self._names:
            self._refuse_open(path)
            self._removed.append(bytes(self._inode(path).data))
            self._drop(key)

    def make_folder(self, path: Path) -> None:
        key = self._key(path)
        if key in self._names or str(path) == path.anchor:
            if self._names.get(key) is not None:
                raise NotADirectoryError(errno.ENOTDIR, "Not a directory", str(path))
            return
        self.make_folder(path.parent)
        self._call(f"mkdir {path.name}")
        self._set(path, None)
        self.sync_folder(path.parent)

    def remove_folder(self, path: Path) -> None:
        key = self._key(path)
        if key in self._names and not self.entries(path):
            self._call(f"rmdir {path.name}")
            self._drop(key)

    def entries(self, path: Path) -> list[Entry]:
        self._alive()
        prefix = self._key(path) + "/"
        found = []
        for key, inode in self._names.items():
            if key.startswith(prefix) and "/" not in key[len(prefix) :]:
                found.append(self._entry(self._display[key], inode))
        return found

    def stat(self, path: Path) -> Entry | None:
        self._alive()
        key = self._key(path)
        if key in self._databases:
            return Entry(path.name, False, 0, 0)
        return self._entry(path.name, self._names[key]) if key in self._names else None

    def sync_folder(self, path: Path) -> None:
        self._call(f"sync folder {path.name}")
        if self.ntfs or self.ignore_folder_sync:
            return
        key = self._key(path).rstrip("/")
        self._settle(
            [change for change in self._pending if any(part[0].rpartition("/")[0] == key for part in change)]
        )

    def lock(self, path: Path) -> SimLock | None:
        self._alive()
        if str(path) in self._locked:
            return None
        self._locked.add(str(path))
        return SimLock(self, str(path))

    def usage(self, path: Path) -> Usage:
        self._alive()
        return Usage(1 << 40, 1 << 40)

    def database(self, path: Path, *, durable: bool) -> sqlite3.Connection:
        self._alive()
        key = self._key(path)
        if key not in self._databases:
            self._databases[key] = _new_database()
        disk = self

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
                if sql == "COMMIT":
                    disk._call(f"commit {path.name}")
                disk._alive()
                cursor = super().execute(sql, parameters)
                self._note()
                return cursor

            def executescript(self, sql: str) -> sqlite3.Cursor:
                disk._alive()
                cursor = super().executescript(sql)
                self._note()
                return cursor

            def _note(self) -> None:
                if not self.in_transaction:
                    with suppress(sqlite3.OperationalError):  # nothing is in it yet
                        disk._committed[key] = self.serialize()
                        if not durable:
                            disk._indexes.append(disk._committed[key])

        return sqlite3.connect(
            self._databases[key][0],
            uri=True,
            factory=Connection,
            check_same_thread=False,
            isolation_level=None,
        )

    # --- what happens to it -------------------------------------------------------------------------------

    def after_crash(self, loss: Loss, seed: int) -> SimDisk:
        """The disk as the next start finds it; this one may be asked again."""
        rng = random.Random(seed)
        after = SimDisk(ntfs=self.ntfs)
        after._display = dict(self._display)
        after._clock = count(self._epoch_ns + _EPOCH_NS, _TICK_NS)  # the same whatever the time of the crash
        after._epoch_ns = self._epoch_ns + _EPOCH_NS
        after._databases = {
            key: _restored(data)
            for key, data in self._committed.items()
            if not loss.power_cut or not key.endswith("catalog.db")
        }
        if loss not in (Loss.NOTHING, Loss.ALL) and self._indexes and rng.random() < 0.5:
            for key in self._committed:
                if key.endswith("catalog.db"):
                    after._databases[key] = _restored(rng.choice(self._indexes))
        after._committed = {key: kept.serialize() for key, (_uri, kept) in after._databases.items()}
        after._names = dict(self._names if loss is Loss.NOTHING else self._surviving_names(loss, rng))
        copies: dict[int, Inode] = {}
        for key, inode in after._names.items():
            if inode is not None:
                if id(inode) not in copies:
                    data = surviving_bytes(inode.versions, loss, rng, self._removed)
                    copies[id(inode)] = Inode(data, [bytes(data)], 0, inode.mtime_ns)
                after._names[key] = copies[id(inode)]
        after._durable = dict(after._names)
        return after

    def _surviving_names(self, loss: Loss, rng: random.Random) -> dict[str, Inode | None]:
        names = dict(self._durable)
        if loss is not Loss.ALL:
            if self.ntfs:
                kept = self._pending[: rng.randrange(len(self._pending) + 1)]
            else:
                kept = [change for change in self._pending if rng.random() < 0.5]
            for key, inode, present in (part for change in kept for part in change):
                if present:
                    names[key] = inode
                else:
                    names.pop(key, None)
        return {key: inode for key, inode in names.items() if _reachable(key, names)}

    def files(self) -> dict[str, bytes]:
        """Every file as it stands."""
        return {key: bytes(inode.data) for key, inode in self._names.items() if inode is not None}

    def image(self) -> bytes:
        """A hash of all that a program can find here: equal disks are the same to it."""
        digest = hashlib.sha256()
        for key, inode in sorted(self._names.items()):
            digest.update(key.encode() + b"=")
            if inode is not None:
                digest.update(b"%d:%d:%b" % (inode.mtime_ns, len(inode.data), bytes(inode.data)))
            digest.update(b";")
        for key, data in sorted(self._committed.items()):
            digest.update(b"%b=%d:%b;" % (key.encode(), len(data), data))
        return digest.digest()

    def damage(self, path: Path, change: Callable[[bytearray], None]) -> None:
        """Change a file's bytes behind the program's back."""
        inode = self._inode(path)
        change(inode.data)
        inode.synced()
        inode.mtime_ns = next(self._clock)

    def counts(self) -> Counter[str]:
        """How often each kind of call was made."""
        return Counter(entry.split()[0] for entry in self.log)

    # --- inside -------------------------------------------------------------------------------------------

    def _alive(self) -> None:
        if self.dead:
            raise Crash

    def _call(
        self, name: str, half_done: Callable[[], None] = _nothing, undo: Callable[[], None] = _nothing
    ) -> None:
        """One call that changes the disk: the place to die or to fail."""
        self._alive()
        self.calls += 1
        self.log.append(name)
        if self.calls == self.crash_at:
            half_done()
            self.dead = True
            raise Crash
        half_done()
        self.at_call()
        undo()
        error = self.fail(self.calls, name)
        if error is not None:
            half_done()
            raise error

    def _key(self, path: Path) -> str:
        text = str(path)
        if not self.ntfs:
            return text
        for part in path.parts[1:]:
            if part.split(".")[0].upper() in _RESERVED or set(part) & set('<>:"|?*\\') or part[-1] in " .":
                raise OSError(
                    errno.EINVAL, "The filename, directory name, or volume label syntax is incorrect", text
                )
        if len(text) > 260:
            raise FileNotFoundError(errno.ENOENT, "The system cannot find the path specified", text)
        return text.lower()

    def _inode(self, path: Path) -> Inode:
        self._alive()
        inode = self._names.get(self._key(path))
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        return inode

    def _need_folder(self, path: Path) -> None:
        if self._key(path) not in self._names:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))

    def _refuse_open(self, path: Path) -> None:
        inode = self._names.get(self._key(path))
        if self.ntfs and inode is not None and inode.handles:
            error = PermissionError(errno.EACCES, "The process cannot access the file", str(path))
            error.winerror = 32  # type: ignore[attr-defined, unused-ignore]
            raise error

    def _set(self, path: Path, inode: Inode | None) -> None:
        key = self._key(path)
        self._display[key] = path.name
        self._names[key] = inode
        self._pending.append([(key, inode, True)])

    def _drop(self, key: str) -> None:
        del self._names[key]
        self._pending.append([(key, None, False)])

    def _settle(self, changes: list[list[tuple[str, Inode | None, bool]]]) -> None:
        for change in changes:
            self._pending.remove(change)
            for key, inode, present in change:
                if present:
                    self._durable[key] = inode
                else:
                    self._durable.pop(key, None)

    def _entry(self, name: str, inode: Inode | None) -> Entry:
        if inode is None:
            return Entry(name, True, 0, 0)
        return Entry(name, False, len(inode.data), inode.mtime_ns)


class SimFile:
    """An open file of the disk."""

    def __init__(self, disk: SimDisk, inode: Inode) -> None:
        self.disk, self.inode = disk, inode
        self._open = True
        inode.handles += 1

    @property
    def size(self) -> int:
        return len(self.inode.data)

    def append(self, *parts: Bytes) -> None:
        data, size = b"".join(bytes(part) for part in parts), self.size

        def half() -> None:
            self.inode.data += data[: len(data) // 2]
            self.inode.changed()

        def undo() -> None:
            del self.inode.data[size:]
            self.inode.versions.pop()

        self.disk._call(f"append {len(data)}", half, undo)
        self.inode.data += data
        self.inode.changed()
        self.inode.mtime_ns = next(self.disk._clock)

    def read_at(self, offset: int, size: int) -> bytes:
        self.disk._alive()
        return bytes(self.inode.data[offset : offset + size])

    def truncate(self, size: int) -> None:
        self.disk._call("truncate")
        del self.inode.data[size:]
        self.inode.changed()

    def sync(self) -> None:
        self.disk._call("sync file")
        if not self.disk.ignore_file_sync:
            self.inode.synced()
            if self.disk.ntfs:
                self.disk._settle(list(self.disk._pending))

    def close(self) -> None:
        if self._open:
            self._open = False
            self.inode.handles -= 1


class SimLock:
    """The lock; its text goes nowhere."""

    def __init__(self, disk: SimDisk, path: str) -> None:
        self._disk, self._path = disk, path

    def write(self, text: str) -> None:
        pass

    def release(self) -> None:
        self._disk._locked.discard(self._path)


class _Source(io.BytesIO):
    def __init__(self, inode: Inode) -> None:
        super().__init__(bytes(inode.data))
        self._inode: Inode | None = inode
        inode.handles += 1

    def close(self) -> None:
        if self._inode is not None:
            self._inode.handles -= 1
            self._inode = None
        super().close()


def _new_database() -> tuple[str, sqlite3.Connection]:
    """Where to find it, and what keeps it."""
    uri = f"file:sim{next(_IDS)}?mode=memory&cache=shared"
    return uri, sqlite3.connect(uri, uri=True, check_same_thread=False)


def _restored(data: bytes) -> tuple[str, sqlite3.Connection]:
    uri, database = _new_database()
    with closing(sqlite3.connect(":memory:")) as source:
        source.deserialize(data)
        source.backup(database)
    return uri, database


def _reachable(key: str, names: dict[str, Inode | None]) -> bool:
    folder = key.rpartition("/")[0]
    return not folder or (folder in names and _reachable(folder, names))
