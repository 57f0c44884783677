"""The storage code with one thing left out or done too early: what the crash tests must notice.

Some are done to the code, in this process or in one that is to be killed. The others are done to the disk:
calls that the code makes are left out there, or come late.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pyarrow as pa

from dccd.domain.dataset import DatasetId
from dccd.domain.types import DataType
from dccd.storage import frames, journal, slices
from dccd.storage.backfill_log import BackfillLog
from dccd.storage.fs import FileSystem
from dccd.storage.journal import Journal
from dccd.storage.merge import Part, merge
from dccd.storage.publish import Publisher
from dccd.storage.store import Store
from dccd.storage.stream_log import StreamLog
from tests.faults.loss import Loss
from tests.faults.simdisk import Inode, SimDisk, SimFile


@dataclass(frozen=True)
class Mutant:
    """A way to be wrong.

    Attributes
    ----------
    name : str
        In words.
    shown_by : tuple of Loss
        The kinds of loss that show it, the plainest first; after `NOTHING` the process was only killed.
    code : callable
        Gives a context in which the code is so.
    disk : type
        A disk on which it is so.
    ntfs : str
        Why it makes no sense on NTFS; empty: it does.
    """

    name: str
    shown_by: tuple[Loss, ...]
    code: Callable[[], AbstractContextManager[object]] = nullcontext
    disk: type[SimDisk] = SimDisk
    ntfs: str = ""


class NoFileSync(SimDisk):
    """Forgets to sync files."""

    def __init__(self, *, ntfs: bool = False) -> None:
        super().__init__(ntfs=ntfs)
        self.ignore_file_sync = True


class NoFolderSync(SimDisk):
    """Forgets to sync folders."""

    def __init__(self, *, ntfs: bool = False) -> None:
        super().__init__(ntfs=ntfs)
        self.ignore_folder_sync = True


class LateSync(SimDisk):
    """Syncs a period file only later than it should."""

    def __init__(self, *, ntfs: bool = False) -> None:
        super().__init__(ntfs=ntfs)
        self.late: list[Inode] = []

    def create(self, path: Path) -> SimFile:
        file = super().create(path)
        if path.parent.name != "tmp":
            return file
        file.close()
        return _LateFile(self, file.inode)

    def catch_up(self) -> None:
        """Sync what should have been before."""
        late, self.late = self.late, []
        for inode in late:
            file = SimFile(self, inode)
            file.sync()
            file.close()


class _LateFile(SimFile):
    def sync(self) -> None:
        assert isinstance(self.disk, LateSync)
        self.disk.late.append(self.inode)


class RenameBeforeSync(LateSync):
    """Renames a period file over the old one before it syncs it."""

    def replace(self, source: Path, target: Path) -> None:
        super().replace(source, target)
        self.catch_up()


class RetireBeforeSync(LateSync):
    """Removes a journal before the file that has its rows now, and that file's name, are durable."""

    def __init__(self, *, ntfs: bool = False) -> None:
        super().__init__(ntfs=ntfs)
        self._folders: list[Path] = []

    def sync_folder(self, path: Path) -> None:
        if "exchange=" in str(path):
            self._folders.append(path)
            return
        super().sync_folder(path)
        if path.name == "journal" and self.log[-2].startswith("remove"):
            self.catch_up()
            folders, self._folders = self._folders, []
            for folder in folders:
                super().sync_folder(folder)


@contextmanager
def no_checksum() -> Iterator[None]:
    """Frames without a CRC."""
    other = SimpleNamespace(crc32=lambda _data, _start=0: 0)
    with patch.object(frames, "zlib", other), patch.object(journal, "zlib", other):
        yield


def no_deduplication() -> AbstractContextManager[object]:
    """Rows are put beside each other."""

    def concatenate(data_type: DataType, parts: list[Part]) -> pa.Table:
        return pa.concat_tables([merge(data_type, [part]) for part in parts]).sort_by("ts")

    return patch.object(slices, "merge", concatenate)


def names_given_again() -> AbstractContextManager[object]:
    """A new journal gets the name of one that is gone, and so its numbers: the sequence starts again."""
    create = Journal.create.__func__  # type: ignore[attr-defined]

    def recreate(cls: type[Journal], fs: FileSystem, folder: Path) -> Journal:
        taken = {entry.name for entry in fs.entries(folder)}
        free = next(name for name in map(_numbered, count(1)) if f"{name.hex}{journal.SUFFIX}" not in taken)
        with patch.object(journal, "uuid", SimpleNamespace(UUID=uuid.UUID, uuid4=lambda: free)):
            found: Journal = create(cls, fs, folder)
        return found

    return patch.object(Journal, "create", classmethod(recreate))


def _numbered(number: int) -> uuid.UUID:
    return uuid.UUID(int=number)


def found_journal_taken_up() -> AbstractContextManager[object]:
    """A journal that was there at the start takes pages, numbered from 1."""
    begin = Store.new_journal

    def take_up(self: Store, **options: Any) -> Journal:
        for found in self.unpublished._journals.values():
            if found.usable and found.id not in self.unpublished._writing:
                found._seq = 0
                self.unpublished.begin(found, **options)
                return found
        return begin(self, **options)

    return patch.object(Store, "new_journal", take_up)


def removed_before_published() -> AbstractContextManager[object]:
    """A journal is removed, and then what it has is written into a file."""
    publish = Publisher.publish

    def remove_first(self: Publisher, dataset: DatasetId, *options: Any, **more: Any) -> None:
        with self._unpublished.pinned(dataset) as due:
            for each in {item.frame.journal for item in due}:
                if each.id not in self._unpublished._writing:
                    each.retire()
                    self._fs.remove(each.path)
            publish(self, dataset, *options, **more)

    return patch.object(Publisher, "publish", remove_first)


@contextmanager
def acknowledged_before_sync() -> Iterator[None]:
    """What should make pages durable returns without."""
    with patch.object(BackfillLog, "sync", _nothing), patch.object(StreamLog, "flush", _nothing):
        yield


def _nothing(_self: object) -> None:
    pass


_CUTS = (Loss.ALL, Loss.TORN, Loss.ZEROED)
_ANY = (Loss.NOTHING, *_CUTS)
MUTANTS = (
    Mutant("no file is synced", _CUTS, disk=NoFileSync),
    Mutant("no folder is synced", _CUTS, disk=NoFolderSync, ntfs="it has no such call: names are journaled"),
    Mutant("no CRC", (Loss.ZEROED, Loss.SCATTERED, Loss.STALE), no_checksum),
    Mutant("no de-duplication", _ANY, no_deduplication),
    Mutant("a sequence starts again in a journal of an old one's name", _ANY, names_given_again),
    Mutant("a sequence starts again in a journal found at the start", _ANY, found_journal_taken_up),
    Mutant("a file is renamed before it is synced", (Loss.TORN, Loss.ZEROED), disk=RenameBeforeSync),
    Mutant("a journal is retired before the file is durable", _CUTS, disk=RetireBeforeSync),
    Mutant(
        "a journal is removed before the file is there",
        (Loss.NOTHING, Loss.TORN, Loss.ZEROED),
        removed_before_published,
        ntfs="it removes no open file, and the journal is open while it is read",
    ),
    Mutant("acknowledged before it is synced", _CUTS, acknowledged_before_sync),
)
