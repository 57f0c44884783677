"""What every start does first: clear the unfinished, find the unpublished, put aside the unreadable."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dccd.domain.errors import CorruptFile, StorageError
from dccd.domain.gaps import GapCause
from dccd.storage.catalog import Catalog
from dccd.storage.coverage_db import FILE_NAME, CoverageDb, What
from dccd.storage.footer import FileInfo
from dccd.storage.fs import FileSystem, in_words
from dccd.storage.journal import SUFFIX, Journal
from dccd.storage.layout import Layout
from dccd.storage.unpublished import Unpublished


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that could not be read, and where it is kept."""

    text: str
    kept: Path | None = None


class Quarantine:
    """The folder for what cannot be read: moved there, named, reported, never dropped."""

    def __init__(self, fs: FileSystem, layout: Layout, clock: Callable[[], float] = time.time) -> None:
        self._fs, self._layout, self._clock = fs, layout, clock
        self.problems: list[Problem] = []

    def move(self, path: Path, why: str) -> None:
        """Put a file aside."""
        kept = self._place(path.relative_to(self._layout.data_path).as_posix())
        with in_words(f"putting {path.name} aside"):
            self._fs.replace(path, kept)
            self._fs.sync_folder(kept.parent)
            self._fs.sync_folder(path.parent)
        self.problems.append(Problem(f"{why} It was put aside.", kept))

    def keep(self, name: str, data: bytes, why: str) -> None:
        """Put bytes aside, in a file of their own."""
        kept = self._place(name)
        with in_words(f"putting {name} aside"):
            file = self._fs.create(kept)
            try:
                file.append(data)
                file.sync()
            finally:
                file.close()
            self._fs.sync_folder(kept.parent)
        self.problems.append(Problem(why, kept))

    def _place(self, name: str) -> Path:
        """A name not yet taken, which says when and where from."""
        stem = f"{int(self._clock())}-{name.replace('/', '~')}"
        taken = {entry.name for entry in self._fs.entries(self._layout.quarantine)}
        number = 0
        while (found := f"{stem}.{number}" if number else stem) in taken:
            number += 1
        return self._layout.quarantine / found


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
