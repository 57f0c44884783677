"""An index of footers: memory that is asked, and a database beside it that spares reading every footer again.

The folder is the truth: it is compared with the index at each start (path, size, time of change), and so is a
file before it is written anew or read, since people move, delete and restore files while the program runs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import NamedTuple

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId, Period
from dccd.domain.errors import CorruptFile, StorageError
from dccd.storage.catalog_db import CatalogDb
from dccd.storage.file_faults import FileFaults, RefusedFile
from dccd.storage.footer import FileInfo
from dccd.storage.fs import Entry, FileSystem, in_words
from dccd.storage.layout import STATE, Layout
from dccd.storage.period_file import read_file_info
from dccd.storage.turns import Turns

_DEEPEST = 4  # data type, exchange, symbol, span: no file of ours lies deeper, and a link may lead in circles


class Differences(NamedTuple):
    """What a comparison with the folder came to.

    Attributes
    ----------
    found : list of FileInfo
        New or changed.
    gone : dict of str to FileInfo
        By path, as they were known: no longer there, or changed.
    aside : list of str
        Paths of what was put aside.
    """

    found: list[FileInfo]
    gone: dict[str, FileInfo]
    aside: list[str]


class Catalog:
    """All period files of a data folder. Thread-safe.

    Parameters
    ----------
    note_epoch : callable
        Told of each file that is taken note of the dataset, and the greatest epoch of its pages.
    """

    def __init__(
        self,
        fs: FileSystem,
        layout: Layout,
        faults: FileFaults,
        turns: Turns,
        note_epoch: Callable[[DatasetId, int], None],
    ) -> None:
        self._fs, self._layout, self._faults, self._turns = fs, layout, faults, turns
        self._note_epoch = note_epoch
        self._mutex = threading.Lock()
        self._closed = False
        self._files: dict[DatasetId, dict[Period, FileInfo]] = {}
        self._covered: dict[DatasetId, IntervalSet] = {}
        self._db = CatalogDb(fs, layout.state)
        self._indexed = {info.path: info for info in self._db.load()}
        for info in self._indexed.values():
            self._keep(info)

    def close(self) -> None:
        """Close the database; from now on the folder may be moved, and files that are gone tell nothing."""
        with self._mutex:
            self._closed = True
            self._db.close()

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
            self._db.write([info], [])
        self._faults.well(info.path)

    def drop(self, info: FileInfo) -> None:
        """Take note of a file that was taken away on purpose."""
        with self._mutex:
            self._files.get(info.footer.dataset, {}).pop(info.period, None)
            self._covered.pop(info.footer.dataset, None)
            self._db.write([], [info.path])

    def put_aside(self, info: FileInfo, error: CorruptFile) -> None:
        """Put a file aside whose rows turned out to be damaged.

        Raises
        ------
        RefusedFile
            It could not be, and stays where it is.
        """
        self._faults.damaged(info.path, error, info)
        self.drop(info)

    def current(self, dataset: DatasetId, period: Period) -> FileInfo | None:
        """The file of a period as it is on the disk now, whatever became of it since it was last looked at.

        What is found damaged is put aside, what is gone is recorded as lost. The caller has the dataset's
        turn.

        Raises
        ------
        RefusedFile
            There is one, and it can neither be read nor be put aside now.
        """
        known = self.get(dataset, period)
        found = self._look_again(dataset, period, known)
        if not isinstance(found, CorruptFile):
            return found
        path = _path(dataset, period)
        self._faults.damaged(path, found, known)
        if self._swap(dataset, period, known, None):
            self._write([], [path])
        return None

    def still(self, info: FileInfo) -> FileInfo | None:
        """As :meth:`current`, of a file that was known a moment ago; for callers who have no turn.

        None, too, where it is known no more: what is being deleted must not be taken in again.
        """
        dataset, period = info.footer.dataset, info.period
        known = self.get(dataset, period)
        if known is None:
            return None
        found = self._look_again(dataset, period, known)
        if not isinstance(found, CorruptFile):
            return found
        with self._turns.turn(dataset):  # somebody may have put another in its place meanwhile
            return None if self.get(dataset, period) is None else self.current(dataset, period)

    def _look_again(
        self, dataset: DatasetId, period: Period, known: FileInfo | None
    ) -> FileInfo | CorruptFile | None:
        """As :meth:`current`, but that a damaged file is left where it is, and said to be damaged."""
        path = _path(dataset, period)
        with in_words(f"looking at {path}"):
            entry = self._fs.stat(self._layout.data_path / path)
        if self._closed:  # asked only now: until then nobody has moved it
            raise StorageError("The data folder has been closed.")
        if _same(known, entry):
            return known
        found = self._look(path)
        if isinstance(found, CorruptFile):
            return found
        if isinstance(found, OSError):
            refusal = self._faults.refused(path, found, known)
            self._swap(dataset, period, known, None)
            raise refusal from found
        if self._swap(dataset, period, known, found):
            self._changed(dataset, path, known, found)
        return self.get(dataset, period)

    def refresh(self, tell: Callable[[int, int], None]) -> Differences:
        """Compare with the folder, reading the footers of what is new or has changed.

        Parameters
        ----------
        tell : callable
            Called with how many of how many files were read; what it raises ends the work.
        """
        self._faults.forget()
        present, closed = self._walk()
        known = self._indexed
        kept = {path for path, info in known.items() if _same(info, present.get(path))}
        gone = {path: info for path, info in known.items() if path not in kept}
        for info in gone.values():
            self._swap(info.footer.dataset, info.period, info, None)
        for folder, error in closed.items():
            below = [path for path in gone if path.startswith(f"{folder}/")]
            self._faults.shut(folder, error, [gone.pop(path) for path in below])
        outcome = Differences([], gone, [])
        wanted = [path for path in present if path not in kept]
        for number, (path, found) in enumerate(self._look_at_all(wanted)):
            tell(number, len(wanted))
            if isinstance(found, FileInfo):
                with self._mutex:
                    self._keep(found)
                self._faults.well(path)
                outcome.found.append(found)
                continue
            if found is None:  # went between the two looks
                continue
            gone.pop(path, None)
            if isinstance(found, CorruptFile):
                try:
                    self._faults.damaged(path, found, known.get(path))
                except RefusedFile:
                    continue  # noted there; it is looked at again before its period is written
                outcome.aside.append(path)
            else:
                self._faults.refused(path, found, known.get(path))
        return outcome

    def settle(self, found: list[FileInfo], dropped: list[str]) -> None:
        """Bring the database up to date with a comparison whose losses are recorded."""
        self._write(found, dropped)
        self._indexed = {}

    def _changed(self, dataset: DatasetId, path: str, known: FileInfo | None, found: FileInfo | None) -> None:
        """Record what a file, changed behind the program's back, no longer holds and what it does."""
        self._faults.well(path)
        covered = found.footer.covered if found else IntervalSet()
        if covered:
            self._faults.back(dataset, covered)
        lost = (known.footer.covered if known else IntervalSet()) - covered
        if not lost or self._faults.gone(dataset, lost, path):
            self._write([found] if found else [], [] if found else [path])

    def _look_at_all(self, paths: list[str]) -> Iterator[tuple[str, FileInfo | CorruptFile | OSError | None]]:
        pool = ThreadPoolExecutor(min(8, (os.cpu_count() or 1) + 2), "dccd-footers")
        try:
            yield from zip(paths, pool.map(self._look, paths), strict=True)
        finally:
            pool.shutdown(cancel_futures=True)

    def _look(self, path: str) -> FileInfo | CorruptFile | OSError | None:
        try:
            return read_file_info(self._fs, self._layout, path)
        except FileNotFoundError:
            return None
        except (CorruptFile, OSError) as error:
            return error

    def _walk(self) -> tuple[dict[str, Entry], dict[str, OSError]]:
        """Relative paths of all files that stand where a period file would, and folders that stay shut."""
        with in_words("reading the data folder"):
            top = self._fs.entries(self._layout.data_path)
        folders = [entry.name for entry in top if entry.is_folder and entry.name != STATE]
        found: dict[str, Entry] = {}
        closed: dict[str, OSError] = {}
        while folders:
            folder = folders.pop()
            try:
                entries = self._fs.entries(self._layout.data_path / folder)
            except OSError as error:
                closed[folder] = error
                continue
            depth = folder.count("/") + 1
            dataset = self._layout.dataset_in(PurePosixPath(folder))
            for entry in entries:
                path = f"{folder}/{entry.name}"
                if entry.is_folder and depth < _DEEPEST:
                    folders.append(path)
                elif dataset is not None and entry.name.endswith(".parquet") and not entry.is_folder:
                    found[path] = entry
        return found, closed

    def _keep(self, info: FileInfo) -> None:
        self._note_epoch(info.footer.dataset, info.footer.epoch)
        self._files.setdefault(info.footer.dataset, {})[info.period] = info
        self._covered.pop(info.footer.dataset, None)

    def _swap(self, dataset: DatasetId, period: Period, known: FileInfo | None, now: FileInfo | None) -> bool:
        """Put `now` in the place of `known`; not if something else is there meanwhile."""
        with self._mutex:
            if self._files.get(dataset, {}).get(period) is not known:
                return False
            if now is not None:
                self._keep(now)
            elif known is not None:
                del self._files[dataset][period]
                self._covered.pop(dataset, None)
            return True

    def _write(self, put: list[FileInfo], drop: list[str]) -> None:
        with self._mutex:
            self._db.write(put, drop)


def _path(dataset: DatasetId, period: Period) -> str:
    return f"{dataset.folder}/{period.name}.parquet"


def _same(known: FileInfo | None, entry: Entry | None) -> bool:
    """Whether a file is as it was known, as far as its size and time of change tell."""
    if known is None or entry is None:
        return known is None and entry is None
    return (known.size_bytes, known.mtime_ns) == (entry.size, entry.mtime_ns)
