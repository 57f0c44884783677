"""What every start does first: clear the unfinished, find the unpublished, put aside the unreadable."""

from __future__ import annotations

import threading
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from dccd.domain.errors import CorruptFile, StorageError
from dccd.domain.gaps import GapCause
from dccd.storage.catalog import Catalog
from dccd.storage.coverage_db import FILE_NAME, CoverageDb, What
from dccd.storage.footer import FileInfo
from dccd.storage.fs import FileSystem, in_words
from dccd.storage.journal import SUFFIX, Journal
from dccd.storage.layout import Layout
from dccd.storage.quarantine import Quarantine
from dccd.storage.unpublished import Unpublished


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
        unpublished: Unpublished,
    ) -> None:
        self._fs, self._layout, self._quarantine = fs, layout, quarantine
        self._catalog, self._coverage, self._unpublished = catalog, coverage, unpublished
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
            finally:
                self._progress = None
            self._over = True

    def stop(self) -> None:
        """End it where it stands; returns when it has ended. The next start begins again."""
        self._stopped = True
        with self._turn:
            pass

    def _recover(self) -> None:
        self._at("clearing unfinished files")
        clear_tmp(self._fs, self._layout)
        self._at("comparing files with the index")
        self._catalog.refresh(self._put_aside)
        self._at("reading journals")
        scan_journals(self._fs, self._layout, self._quarantine, self._catalog, self._unpublished)
        self._unpublished.retire()  # those that died between their last file and their own end

    def _put_aside(self, path: str, error: CorruptFile, known: FileInfo | None) -> None:
        quarantine_file(self._layout, self._quarantine, self._coverage, path, error, known)

    def _at(self, step: str, done: int = 0, total: int = 0) -> None:
        if self._stopped:
            raise StorageError("The data folder was closed while it was being recovered.")
        self._progress = RecoveryProgress(step, done, total)


def clear_tmp(fs: FileSystem, layout: Layout) -> None:
    """Remove files that were being written when the last process ended; none was named yet."""
    with in_words("clearing unfinished files"):
        for entry in fs.entries(layout.tmp):
            fs.remove(layout.tmp / entry.name)


def open_coverage(fs: FileSystem, layout: Layout, quarantine: Quarantine) -> CoverageDb:
    """The coverage database; one that cannot be read is put aside and begun anew."""
    try:
        return CoverageDb.open(fs, layout.state)
    except StorageError as error:
        path = layout.state / FILE_NAME
        if fs.stat(path) is None:
            raise
        quarantine.move(path, f"The record of what was asked for cannot be read ({error}).")
        fs.remove(path.with_name(f"{FILE_NAME}-journal"))
        return CoverageDb.open(fs, layout.state)


def quarantine_file(
    layout: Layout,
    quarantine: Quarantine,
    coverage: CoverageDb,
    path: str,
    error: CorruptFile,
    known: FileInfo | None,
) -> None:
    """Put a period file aside; what it covered, or was to, is a gap from now on, and says why."""
    quarantine.move(layout.data_path / path, str(error))
    place = PurePosixPath(path)
    dataset = layout.dataset_in(place.parent)
    if dataset is None or (period := layout.period_named(dataset, place.stem)) is None:
        return
    lost = known.footer.covered if known else coverage.get(dataset, What.ASKED).clip(*period.interval)
    coverage.add(dataset, What.LOST, lost, GapCause.PUT_ASIDE.value)


def scan_journals(
    fs: FileSystem, layout: Layout, quarantine: Quarantine, catalog: Catalog, unpublished: Unpublished
) -> None:
    """Find the pages that earlier processes left; a torn end is cut off and kept."""
    for entry in sorted(fs.entries(layout.journals)):
        path = layout.journals / entry.name
        if not entry.name.endswith(SUFFIX):
            continue
        try:
            journal = Journal.open(fs, path)
        except CorruptFile as error:
            _put_aside_headless(fs, quarantine, path, entry.size, error)
            continue
        if journal.torn:
            torn = journal.torn
            tail = journal.read_torn()
            quarantine.keep(
                f"{entry.name}@{torn.offset}",
                tail,
                f"The last {torn.size} bytes of the journal {entry.name} are no whole page, and put aside.",
            )
            journal.cut_torn()
        unpublished.recover(journal, catalog.get)


def _put_aside_headless(
    fs: FileSystem, quarantine: Quarantine, path: Path, size: int, error: CorruptFile
) -> None:
    """A journal without a header: nothing was acknowledged if it is no longer than one."""
    if size <= Journal.HEADER_SIZE:
        with in_words("removing an empty journal"):
            fs.remove(path)
    else:
        quarantine.move(path, str(error))
