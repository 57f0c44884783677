"""What every start does first: clear the unfinished, find the unpublished, put aside the unreadable."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import CorruptFile, StorageError
from dccd.storage.catalog import Catalog, Differences
from dccd.storage.coverage_db import CoverageDb
from dccd.storage.coverage_repair import ask_for_what_is_covered
from dccd.storage.file_faults import FileFaults
from dccd.storage.footer import FileInfo
from dccd.storage.fs import FileSystem, in_words
from dccd.storage.journal import SUFFIX, Journal
from dccd.storage.journal_holes import put_holes_aside
from dccd.storage.layout import Layout
from dccd.storage.quarantine import Problem, Quarantine
from dccd.storage.trash_entry import Buried, look
from dccd.storage.unpublished import Unpublished

_ASKED_ANEW = (
    "The record of what was asked for had to be begun anew. What lies between the first and the last stored "
    "instant of a dataset counts as asked for; what was asked for beyond that is not known any more."
)


class Interrupted(StorageError):
    """The data folder is being closed."""


class RecoveryProgress(NamedTuple):
    """How far the recovery of a data folder is.

    Attributes
    ----------
    step : str
        What it does, in words.
    done, total : int
        Of this step, in its own units; a total of 0 is not known yet.
    """

    step: str
    done: int
    total: int


class Recovery:
    """What has to be done once after a data folder was opened, before anything it says is right. Thread-safe.

    Whoever needs it :meth:`ensure` s it: the first does it, the others wait. One that failed is done again by
    the next who needs it.
    """

    def __init__(
        self,
        fs: FileSystem,
        layout: Layout,
        quarantine: Quarantine,
        catalog: Catalog,
        coverage: CoverageDb,
        faults: FileFaults,
        unpublished: Unpublished,
        resume_trash: Callable[[], None],
        changed: Callable[[], None],
    ) -> None:
        self._fs, self._layout, self._quarantine = fs, layout, quarantine
        self._resume_trash, self._changed = resume_trash, changed
        self._catalog, self._coverage, self._faults = catalog, coverage, faults
        self._unpublished = unpublished
        self._holed: list[Journal] = []
        self._turn = threading.Lock()
        self._progress: RecoveryProgress | None = RecoveryProgress("starting", 0, 0)
        self._over = self._stopped = False

    @property
    def progress(self) -> RecoveryProgress | None:
        """How far it is; None once it ended, well or not."""
        return self._progress

    @property
    def over(self) -> bool:
        """Whether it was done."""
        return self._over

    def ensure(self) -> None:
        """Return once it is done, doing it where nobody did.

        Raises
        ------
        StorageError
            The disk refused, or the folder is being closed.
        """
        if self._over:
            return
        with self._turn:
            if self._over:
                return
            try:
                self._recover()
                self._changed()  # before anybody goes on: what was remembered is of before
                self._over = True
            finally:
                self._progress = None

    def stop(self) -> None:
        """Ask it to end where it stands; the next start begins again."""
        self._stopped = True

    def wait(self) -> None:
        """Wait until nobody is at it."""
        with self._turn:
            pass

    def _recover(self) -> None:
        self._at("clearing unfinished files")
        clear_tmp(self._fs, self._layout)
        with in_words("looking into the trash"):
            buried = Buried(look(self._fs, self._layout))
        self._at("comparing files with the index")
        differences = self._catalog.refresh(partial(self._at, "reading files that the index does not know"))
        for journal in scan_journals(
            self._fs,
            self._layout,
            self._quarantine,
            self._catalog,
            self._unpublished,
            buried,
            partial(self._at, "reading journals"),
        ):
            if journal.holes:
                self._holed.append(journal)  # kept in mind: an attempt that fails further on is not the last
        while self._holed:
            put_holes_aside(self._holed[-1], self._quarantine, self._coverage, self._covered)
            self._holed.pop()
        self._at("recording what is gone")
        self._record(differences, buried)
        if self._coverage.incomplete:
            known = {*self._catalog.datasets(), *self._unpublished.datasets()}
            if known or self._coverage.datasets():  # the latter: files that are gone, recorded just now
                self._quarantine.problems.append(Problem(_ASKED_ANEW))
            ask_for_what_is_covered(self._coverage, {each: self._covered(each) for each in known})
        self._unpublished.retire()  # those that died between their last file and their own end
        self._resume_trash()

    def _record(self, differences: Differences, buried: Buried) -> None:
        """What files do not hold any more is lost, unless journals have it; what they hold again is not."""
        for dataset, infos in _by_dataset(differences.found).items():
            self._faults.back(dataset, _union(infos))
        dropped = list(differences.aside)
        dropped += [path for path, info in differences.gone.items() if buried.holds(info)]
        gone = [info for info in differences.gone.values() if not buried.holds(info)]
        for dataset, infos in _by_dataset(gone).items():
            lost = _union(infos) - self._covered(dataset)
            if not lost or self._faults.gone(dataset, lost, infos[0].path):
                dropped += [info.path for info in infos]
        self._catalog.settle(differences.found, dropped)

    def _covered(self, dataset: DatasetId) -> IntervalSet:
        return self._catalog.covered(dataset) | self._unpublished.covered(dataset)

    def _at(self, step: str, done: int = 0, total: int = 0) -> None:
        if self._stopped:
            raise Interrupted("The data folder was closed while it was being recovered.")
        self._progress = RecoveryProgress(step, done, total)


def clear_tmp(fs: FileSystem, layout: Layout) -> None:
    """Remove files that were being written when the last process ended; none was named yet."""
    with in_words("clearing unfinished files"):
        for entry in fs.entries(layout.tmp):
            fs.remove(layout.tmp / entry.name)


def _by_dataset(infos: Iterable[FileInfo]) -> dict[DatasetId, list[FileInfo]]:
    found: dict[DatasetId, list[FileInfo]] = defaultdict(list)
    for info in infos:
        found[info.footer.dataset].append(info)
    return found


def _union(infos: Iterable[FileInfo]) -> IntervalSet:
    return IntervalSet(item for info in infos for item in info.footer.covered)


def scan_journals(
    fs: FileSystem,
    layout: Layout,
    quarantine: Quarantine,
    catalog: Catalog,
    unpublished: Unpublished,
    buried: Buried,
    tell: Callable[[int, int], None],
) -> Iterator[Journal]:
    """Find the pages that earlier processes left; gives each journal once they are known.

    Parameters
    ----------
    tell : callable
        Called with how many of how many bytes were read; what it raises ends the work.
    """
    with in_words("looking for journals"):
        entries = sorted(each for each in fs.entries(layout.journals) if each.name.endswith(SUFFIX))
    before, total = 0, sum(entry.size for entry in entries)
    known = unpublished.journal_ids()  # of an attempt that failed later on
    for entry in entries:
        path = layout.journals / entry.name
        if path.stem in known:
            continue
        start, before = before, before + entry.size
        try:
            journal = Journal.open(fs, path, tell=partial(_tell, tell, start, total))
        except CorruptFile as error:
            _put_aside_headless(fs, quarantine, path, entry.size, error)
            continue
        except Interrupted:
            raise
        except StorageError as error:  # nobody is kept from the rest
            text = f"The journal {entry.name} cannot be read now ({error}). It is left for the next start."
            quarantine.problems.append(Problem(text, path))
            continue
        journal.frames = [
            frame for frame in journal.frames if not buried.has_frame(frame.dataset, journal.id, frame.seq)
        ]
        unpublished.recover(journal, catalog.files)
        yield journal


def _tell(tell: Callable[[int, int], None], start: int, total: int, offset: int) -> None:
    tell(start + offset, total)


def _put_aside_headless(
    fs: FileSystem, quarantine: Quarantine, path: Path, size: int, error: CorruptFile
) -> None:
    """A journal without a header: nothing was acknowledged if it is no longer than one."""
    if size <= Journal.HEADER_SIZE:
        with in_words("removing an empty journal"):
            fs.remove(path)
    else:
        quarantine.move(path, str(error))
