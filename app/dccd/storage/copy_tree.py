"""Copying the files of a data folder to another volume, each read back and compared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from dccd.domain.errors import StorageError
from dccd.storage.fs import Entry, FileSystem
from dccd.storage.layout import STATE

# Of the state, what belongs to the place and not to the data.
STAYS = {"lock", "tmp", "format.json", "moving.json"}
_BUFFER_BYTES = 1 << 20


class _Seen(NamedTuple):
    """A file of the old folder as it was when it was copied."""

    size: int
    mtime_ns: int


class TreeCopy:
    """A copy of one data folder in another place, brought up to date by each :meth:`copy`."""

    def __init__(self, fs: FileSystem, source: Path, target: Path) -> None:
        self._fs, self._source, self._target = fs, source, target
        self._copied: dict[str, _Seen] = {}

    def copy(self, told: Callable[[int, int], None], stopped: Callable[[], bool]) -> int:
        """Copy what is not in the target yet; again, it copies only what has changed.

        Safe while the program works on the folder, since files appear there whole.

        Parameters
        ----------
        told : callable
            Called with the bytes done and the bytes in all.
        stopped : callable
            Whether to end here; what was copied is taken up by the next attempt.

        Returns
        -------
        int
            Bytes that were written.

        Raises
        ------
        DiskFull, StorageError
            The target would not have it; the old folder is as it was.
        """
        files = list(data_files(self._fs, self._source))
        total, done, written = sum(entry.size for _, entry in files), 0, 0
        for path, entry in files:
            if stopped():
                break
            written += self._copy_file(path, entry)
            done += entry.size
            told(done, total)
        return written

    def prune(self) -> None:
        """Take out of the copy what has left the folder since it was made: published journals."""
        here = {path for path, _ in data_files(self._fs, self._source)}
        for path, _ in list(data_files(self._fs, self._target)):
            if path not in here:
                self._fs.remove(self._target / path)

    def _copy_file(self, path: str, entry: Entry) -> int:
        """Copy one file unless the target has it; how many bytes were written."""
        seen = _Seen(entry.size, entry.mtime_ns)
        if self._copied.get(path) == seen:
            return 0
        source, target = self._source / path, self._target / path
        try:
            wanted = self._hash(source)
        except FileNotFoundError:
            return 0  # removed since it was listed: its rows are in another file of the folder now
        if self._fs.stat(target) is None or self._hash(target) != wanted:
            wanted = self._write(source, target)
            if self._hash(target) != wanted:
                raise StorageError(f"{target} reads back otherwise than it was written. Check that disk.")
            size = entry.size
        else:
            size = 0
        self._copied[path] = seen
        return size

    def _write(self, source: Path, target: Path) -> str:
        """Copy by way of a name that no reader takes for data; the SHA-256 of what was read."""
        self._fs.make_folder(target.parent)
        part = target.with_name(f"{target.name}.part")
        self._fs.remove(part)
        digest = hashlib.sha256()
        reading, writing = self._fs.open(source), self._fs.create(part)
        try:
            for block in _blocks(reading.size, reading.read_at):
                digest.update(block)
                writing.append(block)
            writing.sync()
        finally:
            reading.close()
            writing.close()
        self._fs.replace(part, target)
        self._fs.sync_folder(target.parent)
        return digest.hexdigest()

    def _hash(self, path: Path) -> str:
        digest = hashlib.sha256()
        file = self._fs.open(path)
        try:
            for block in _blocks(file.size, file.read_at):
                digest.update(block)
        finally:
            file.close()
        return digest.hexdigest()


def _blocks(size: int, read_at: Callable[[int, int], bytes]) -> Iterator[bytes]:
    for offset in range(0, size, _BUFFER_BYTES):
        yield read_at(offset, min(_BUFFER_BYTES, size - offset))


def data_files(fs: FileSystem, root: Path) -> Iterator[tuple[str, Entry]]:
    """Relative paths of all files that make up the data."""
    folders = [PurePosixPath()]
    while folders:
        folder = folders.pop()
        for entry in sorted(fs.entries(root / folder)):
            path = folder / entry.name
            if folder.name == STATE and entry.name in STAYS:
                continue
            if entry.is_folder:
                folders.append(path)
            else:
                yield str(path), entry
