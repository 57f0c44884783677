"""Deleting a dataset so that it can be had back: into the trash, by renames, and out of it.

Files are renamed within the volume, one by one; the deletion holds from when its manifest is called
`deleted.json`. Whatever stops it before that, the files are put back: at once, or at the next start.
"""

from __future__ import annotations

import errno
import logging
import uuid
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Lock

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import CorruptFile, DatasetBusy, StorageError, UnknownTrash
from dccd.domain.gaps import GapCause
from dccd.domain.timeutils import ns_datetime
from dccd.storage.catalog import Catalog
from dccd.storage.clock import Clock
from dccd.storage.coverage_db import CoverageDb, What
from dccd.storage.file_faults import FileFaults
from dccd.storage.footer import FileInfo, read_info
from dccd.storage.fs import FileSystem, in_words
from dccd.storage.layout import Layout
from dccd.storage.period_file import read_file_info
from dccd.storage.publish import Publisher
from dccd.storage.quarantine import Problem, Quarantine
from dccd.storage.trash_entry import (
    PART,
    Found,
    Manifest,
    Record,
    State,
    TrashEntry,
    enter,
    flush,
    leave,
    look,
    write_manifest,
)
from dccd.storage.turns import Turns
from dccd.storage.unpublished import Unpublished

_log = logging.getLogger(__name__)


class Trash:
    """The trash of a data folder. Thread-safe."""

    def __init__(
        self,
        fs: FileSystem,
        layout: Layout,
        catalog: Catalog,
        coverage: CoverageDb,
        faults: FileFaults,
        unpublished: Unpublished,
        publisher: Publisher,
        turns: Turns,
        quarantine: Quarantine,
        clock: Clock,
    ) -> None:
        self._fs, self._layout = fs, layout
        self._catalog, self._coverage, self._unpublished = catalog, coverage, unpublished
        self._publisher, self._turns, self._quarantine = publisher, turns, quarantine
        self._faults, self._clock = faults, clock
        self._mutex = Lock()

    def entries(self) -> list[TrashEntry]:
        """What can be restored, the oldest first."""
        with in_words("looking into the trash"):
            return [
                found.manifest.entry
                for found in look(self._fs, self._layout)
                if found.manifest is not None and found.state is not State.EMPTIED
            ]

    def delete(self, dataset: DatasetId) -> TrashEntry:
        """See :meth:`dccd.storage.keeping.Keeping.delete`."""
        with self._mutex:
            self._publisher.publish(dataset)  # what is in journals only goes with the files
            with self._turns.turn(dataset):
                journals = self._unpublished.sequences()
                if self._unpublished.knows(dataset):
                    raise DatasetBusy(
                        f"{dataset} cannot be deleted now: it is being written to, or another program holds "
                        "one of its files open. End what does, and try again."
                    )
                manifest = self._manifest(dataset, journals)
                folder = self._layout.trash / manifest.entry.id
                with in_words(f"moving {dataset} to the trash"):
                    write_manifest(self._fs, folder, manifest)
                    try:
                        self._take(manifest, folder)
                    except (OSError, StorageError):
                        self._put_back(manifest, folder)
                        raise
                with suppress(OSError):  # somebody may be looking into it (Windows); it may stay
                    self._fs.remove_folder(self._layout.data_path / dataset.folder)
                return manifest.entry

    def restore(self, entry_id: str) -> TrashEntry:
        """See :meth:`dccd.storage.keeping.Keeping.restore`."""
        with self._mutex:
            for found in self._look():
                if found.folder.name != entry_id or found.manifest is None or found.state is State.EMPTIED:
                    continue
                entry = found.manifest.entry
                with self._turns.turn(entry.dataset), in_words(f"restoring {entry.dataset}"):
                    self._doubt_replacements(found.manifest)
                    if found.state is State.DELETED:
                        enter(self._fs, found.folder, State.DELETED, State.UNFINISHED)
                    self._put_back(found.manifest, found.folder)
                return entry
        raise UnknownTrash(f"There is no {entry_id!r} in the trash; it was restored, or emptied.")

    def empty(self, before_ns: int | None) -> list[TrashEntry]:
        """See :meth:`dccd.storage.keeping.Keeping.empty_trash`."""
        emptied: list[TrashEntry] = []
        with self._mutex, in_words("emptying the trash"):
            for found in self._look():
                if found.manifest is None:
                    continue
                entry = found.manifest.entry
                if found.state is State.DELETED and (before_ns is None or entry.deleted_ns < before_ns):
                    enter(self._fs, found.folder, State.DELETED, State.EMPTIED)
                    emptied.append(entry)
                elif found.state is not State.EMPTIED:
                    continue
                self._clear(found.manifest, found.folder)
        return emptied

    def resume(self) -> None:
        """Finish what the last process left half done; what cannot be is told, and waits for the next."""
        with self._mutex:
            for found in self._look():
                if found.manifest is not None and found.state is not State.EMPTIED:
                    self._unpublished.note_epoch(found.manifest.entry.dataset, found.manifest.epoch)
                try:
                    with in_words(f"tidying the trash ({found.folder.name})"):
                        self._resume(found)
                except StorageError as error:
                    _log.warning("the trash: %s", error)
                    self._quarantine.problems.append(Problem(str(error), found.folder))

    def _look(self) -> list[Found]:
        with in_words("looking into the trash"):
            return look(self._fs, self._layout)

    def _resume(self, found: Found) -> None:
        if found.manifest is None:
            if {entry.name for entry in self._fs.entries(found.folder)} - {PART}:
                raise CorruptFile(
                    f"The manifest of {found.folder.name} in the trash cannot be read. What was deleted is "
                    "kept in that folder; its files can be moved back by hand."
                )
            leave(self._fs, found.folder, State.UNFINISHED)  # nothing had been moved here yet
        elif found.state is State.UNFINISHED:
            with self._turns.turn(found.manifest.entry.dataset):
                self._put_back(found.manifest, found.folder)
        elif found.state is State.EMPTIED:
            self._clear(found.manifest, found.folder)

    def _manifest(self, dataset: DatasetId, journals: dict[str, int]) -> Manifest:
        now_ns = self._clock.time_ns()
        infos = self._catalog.files(dataset)
        entry = TrashEntry(
            f"{ns_datetime(now_ns):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}",
            dataset,
            now_ns,
            len(infos),
            sum(info.rows for info in infos),
            sum(info.size_bytes for info in infos),
            min((info.first_ns for info in infos if info.rows), default=None),
            max((info.last_ns for info in infos if info.rows), default=None),
        )
        hashes = {_name(info.path): info.sha256 for info in infos}
        records = (Record(*key, intervals) for key, intervals in self._coverage.records(dataset).items())
        return Manifest(entry, hashes, tuple(records), journals, self._unpublished.epoch(dataset))

    def _take(self, manifest: Manifest, folder: Path) -> None:
        """Move the files; nobody is to find them missing, so the index forgets them first."""
        dataset = manifest.entry.dataset
        home = self._layout.data_path / dataset.folder
        self._forget(dataset)
        for name in manifest.hashes:
            if self._fs.stat(home / name) is not None:
                self._fs.replace(home / name, folder / name)
        flush(self._fs, folder, State.UNFINISHED)
        if manifest.hashes:
            self._fs.sync_folder(home)
        self._forget(dataset)  # a reader may have taken one in again before it was moved
        self._coverage.forget(dataset)
        self._unpublished.open_bars.forget(dataset)
        enter(self._fs, folder, State.UNFINISHED, State.DELETED)

    def _put_back(self, manifest: Manifest, folder: Path) -> None:
        """Undo a deletion, whatever of it was done, and whatever was stored since."""
        dataset = manifest.entry.dataset
        home = self._layout.data_path / dataset.folder
        names = sorted(entry.name for entry in self._fs.entries(folder) if entry.name.endswith(".parquet"))
        if names:
            self._fs.make_folder(home)
        for name in names:
            if self._fs.stat(home / name) is None:
                self._fs.replace(folder / name, home / name)
            else:
                self._merge(dataset, folder, name)
        if names:
            self._fs.sync_folder(home)
            self._fs.sync_folder(folder)
        for name in manifest.hashes:
            self._take_in(dataset, name)
        for what, cause, intervals in manifest.records:
            self._coverage.add(dataset, what, intervals, cause)
        self._coverage.remove(dataset, What.LOST, self._catalog.covered(dataset))
        leave(self._fs, folder, State.UNFINISHED)

    def _doubt_replacements(self, manifest: Manifest) -> None:
        """Have what later deletions hold as replaced, of periods that are put back now, be doubted there.

        The rows of these are older than that. Once they stand in a file with younger ones, nothing tells them
        apart any more, and they would not be replaced when the later deletion is put back as well.
        """
        dataset = manifest.entry.dataset
        for found in self._look():
            later = found.manifest
            if later is None or later.entry.dataset != dataset or found.state is not State.DELETED:
                continue
            replaced = IntervalSet()
            for name in manifest.hashes.keys() & later.hashes.keys():
                with suppress(CorruptFile, FileNotFoundError):  # which is told once it is put back
                    info = self._footer(dataset, found.folder, name)
                    replaced |= IntervalSet(
                        item
                        for epoch, intervals in info.footer.replaced
                        if epoch > manifest.epoch
                        for item in intervals
                    )
            if replaced:
                doubt = Record(What.DOUBTED, GapCause.DIFFERS.value, replaced)
                records = (*(each for each in later.records if each != doubt), doubt)
                write_manifest(self._fs, found.folder, replace(later, records=records), State.DELETED)

    def _footer(self, dataset: DatasetId, folder: Path, name: str) -> FileInfo:
        """What a file in the trash says of itself."""
        entry = self._fs.stat(folder / name)
        if entry is None:
            raise FileNotFoundError(errno.ENOENT, "No such file", str(folder / name))
        with self._fs.source(folder / name) as source:
            return read_info(source, f"{dataset.folder}/{name}", entry)

    def _take_in(self, dataset: DatasetId, name: str) -> None:
        path = f"{dataset.folder}/{name}"
        try:
            info = read_file_info(self._fs, self._layout, path)
        except CorruptFile as error:
            self._faults.damaged(path, error, None)
        except FileNotFoundError:  # it was missing when the rest was deleted, or was put aside since
            pass
        else:
            self._catalog.put(info)

    def _merge(self, dataset: DatasetId, folder: Path, name: str) -> None:
        """Of a period that has a file again, the one becomes part of the other."""
        relative = (folder / name).relative_to(self._layout.data_path).as_posix()
        try:
            info = self._footer(dataset, folder, name)
            self._publisher.absorb(replace(info, path=relative))
        except CorruptFile as error:
            self._quarantine.move(folder / name, str(error))
        else:
            self._fs.remove(folder / name)

    def _clear(self, manifest: Manifest, folder: Path) -> None:
        """Remove an emptied entry's files, and it once no journal has pages of the dataset any more."""
        for entry in self._fs.entries(folder):
            if entry.name.endswith(".parquet"):
                self._fs.remove(folder / entry.name)
        self._fs.sync_folder(folder)
        if not manifest.journals.keys() & self._unpublished.journal_ids():
            leave(self._fs, folder, State.EMPTIED)

    def _forget(self, dataset: DatasetId) -> None:
        for info in self._catalog.files(dataset):
            self._catalog.drop(info)


def _name(path: str) -> str:
    return path.rpartition("/")[2]
