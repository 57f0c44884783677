"""From journals to period files: the one place that writes into the user's folders."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TypeVar

import pyarrow as pa

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId, Period
from dccd.storage.catalog import Catalog
from dccd.storage.coverage_db import CoverageDb, What
from dccd.storage.epochs import NOTHING_REPLACED
from dccd.storage.file_faults import RefusedFile
from dccd.storage.footer import FileInfo
from dccd.storage.frames import Frame
from dccd.storage.fs import FileSystem, SharingViolation
from dccd.storage.layout import Layout
from dccd.storage.period_file import (
    Contents,
    UnreadablePeriodFile,
    file_units,
    us_bounds,
    write_period_file,
)
from dccd.storage.slices import merged
from dccd.storage.turns import Turns
from dccd.storage.unpublished import Due, Unpublished, frame_units

_ALL = (0, 1 << 63)
_Written = TypeVar("_Written")


class Publisher:
    """Publishes datasets, one publication of a dataset at a time. Thread-safe."""

    def __init__(
        self,
        fs: FileSystem,
        layout: Layout,
        catalog: Catalog,
        coverage: CoverageDb,
        unpublished: Unpublished,
        turns: Turns,
    ) -> None:
        self._fs, self._layout = fs, layout
        self._catalog, self._coverage, self._unpublished = catalog, coverage, unpublished
        self._turns = turns

    def publish(
        self,
        dataset: DatasetId,
        before_ns: int | None = None,
        stopped: Callable[[], bool] | None = None,
    ) -> None:
        """Write what is due of a dataset into its files.

        Parameters
        ----------
        before_ns : int or None
            Only periods that end at or before this instant; None for all.
        stopped : callable or None
            Asked before each period; once true, the rest is left for the next time.

        A period whose file another program holds open (Windows) is left for the next time. An old file that
        is damaged is put aside, and what the journals have is published all the same.

        Raises
        ------
        RefusedFile
            An old file can neither be read nor put aside now; all other periods are published.
        CorruptFile
            A page, or the new file, does not read back; the old file and the journals stay as they are.
        DiskFull, StorageError
            The disk refused; so do they.
        """
        with self._turns.turn(dataset), self._unpublished.pinned(dataset) as due:
            frames = [item.frame for item in due]
            for journal in {frame.journal for frame in frames}:
                # NTFS keeps the order of renames and removals but has no call to make them durable: when it
                # loses the new file's name, the journal is there still, and its pages must be in it.
                if journal.usable:
                    journal.sync()
            end = _ALL[1] if before_ns is None else dataset.period(before_ns).interval.start_ns
            covered = IntervalSet(item for frame in frames for item in frame.cover_due.clip(0, end))
            periods = {
                period for frame in frames for period in frame.rows_due if period.interval.end_ns <= end
            }
            replaced = IntervalSet(item for frame in frames for item in frame.replaces_due.clip(0, end))
            for info in self._catalog.files(dataset):
                share = info.period.interval
                if covered.clip(*share) - info.footer.covered or replaced.clip(*share):
                    periods.add(info.period)
            refused: RefusedFile | None = None
            for period in sorted(periods):
                try:
                    if not self._turns.ended and (stopped is None or not stopped()):
                        self._publish_period(dataset, period, due)
                        continue
                except SharingViolation:
                    pass
                except RefusedFile as error:
                    refused = refused or error
                covered -= IntervalSet([period.interval])
                replaced -= IntervalSet([period.interval])
            self._record_empty(dataset, frames, covered, replaced)
            self._unpublished.retire()
            if refused is not None:
                raise refused

    def absorb(self, other: FileInfo) -> None:
        """Make a file that lies elsewhere in the data folder part of its period's file, durably.

        The caller holds the dataset's turn, and removes the other file. Twice is as good as once.

        Parameters
        ----------
        other : FileInfo
            Its path says where it lies.

        Raises
        ------
        UnreadablePeriodFile
            It is damaged; nothing has changed.
        SharingViolation
            Another program holds the period's file open (Windows); nothing has changed.
        DiskFull, StorageError
            Nothing has changed.
        """
        dataset, period = other.footer.dataset, other.period
        with file_units(self._fs, self._layout, other) as units:
            for unit in units:  # whichever fails below is not this one
                unit.load()
        info = self._over(self._catalog.current(dataset, period), lambda old: self._write_both(old, other))
        self._catalog.put(info)

    def _write_both(self, old: FileInfo | None, other: FileInfo) -> FileInfo:
        dataset, period = other.footer.dataset, other.period
        infos = [other] if old is None else [old, other]
        alive = self._unpublished.journal_ids()
        applied: dict[str, int] = {}
        replaced = NOTHING_REPLACED
        for info in infos:
            replaced |= info.footer.replaced
            for journal in info.footer.applied.keys() & alive:
                applied[journal] = max(info.footer.applied[journal], applied.get(journal, 0))
        contents = Contents(
            dataset,
            period,
            IntervalSet(item for info in infos for item in info.footer.covered),
            applied,
            tuple(sorted({source for info in infos for source in info.footer.sources})),
            replaced,
            max(info.footer.epoch for info in infos),
        )

        def tables() -> Generator[pa.Table, None, None]:
            with ExitStack() as stack:
                # Of two files one was written after the other was deleted: all of it is as new as its epoch.
                # Pages need not come in the order of their epochs, and a file among them says less.
                units = [
                    replace(unit, epoch=info.footer.epoch)
                    for info in infos
                    for unit in stack.enter_context(file_units(self._fs, self._layout, info))
                ]
                yield from merged(dataset.data_type, units, *us_bounds(*period.interval))

        with closing(tables()) as rows:
            return write_period_file(self._fs, self._layout, contents, rows)

    def _over(self, old: FileInfo | None, write: Callable[[FileInfo | None], _Written]) -> _Written:
        """Write a period anew over its old file; one that cannot be read is put aside, and not written over.

        It is read twice before that: a reading that fails once and then does not is no fault of the file.
        """
        try:
            return write(old)
        except UnreadablePeriodFile:
            pass
        try:
            return write(old)
        except UnreadablePeriodFile as error:
            assert old is not None, "only the old file is read as one"
            # Whatever else went wrong, a page that cannot be read back for one, the old file has no part in.
            self._catalog.put_aside(old, error)  # what the journals have is published all the same
            return write(None)

    def _publish_period(self, dataset: DatasetId, period: Period, due: list[Due]) -> None:
        frames = [item.frame for item in due]
        touching = [item.frame for item in due if item.touches(period)]

        def write(old: FileInfo | None) -> FileInfo | None:
            if old is None and not touching:
                return None
            return self._write(dataset, period, old, frames, touching)

        info = self._over(self._catalog.current(dataset, period), write)
        if info is None:
            return
        self._catalog.put(info)
        interval = IntervalSet([period.interval])
        self._answer_doubt(dataset, frames, interval)
        self._unpublished.done(dataset, frames, [period], interval)
        if self._coverage.get(dataset, What.EMPTY) & interval:
            self._coverage.remove(dataset, What.EMPTY, interval)  # the footer has it from now on
        if self._coverage.get(dataset, What.LOST) & info.footer.covered:
            self._coverage.remove(dataset, What.LOST, info.footer.covered)

    def _write(
        self,
        dataset: DatasetId,
        period: Period,
        old: FileInfo | None,
        frames: list[Frame],
        touching: list[Frame],
    ) -> FileInfo:
        covered = IntervalSet(item for frame in frames for item in frame.cover_due)
        covered |= self._coverage.get(dataset, What.EMPTY)
        covered = covered.clip(*period.interval)
        applied: dict[str, int] = {}
        sources = {frame.source for frame in touching if frame.source}
        replaced = NOTHING_REPLACED
        for frame in touching:
            replaced |= frame.replaced
        replaced = replaced.clip(*period.interval)
        epoch = max((frame.epoch for frame in touching), default=0)
        if old is not None:
            covered |= old.footer.covered
            alive = self._unpublished.journal_ids()
            applied = {journal: seq for journal, seq in old.footer.applied.items() if journal in alive}
            sources |= set(old.footer.sources)
            replaced |= old.footer.replaced
            epoch = max(epoch, old.footer.epoch)
        for frame in frames:
            applied[frame.journal.id] = max(frame.seq, applied.get(frame.journal.id, 0))
        contents = Contents(dataset, period, covered, applied, tuple(sorted(sources)), replaced, epoch)
        with closing(self._rows(dataset, period, old, touching)) as tables:
            return write_period_file(self._fs, self._layout, contents, tables)

    def _rows(
        self, dataset: DatasetId, period: Period, old: FileInfo | None, frames: list[Frame]
    ) -> Generator[pa.Table, None, None]:
        """The period's rows; the old file is closed after the last, since Windows replaces no open file."""
        units = frame_units(frames)
        bounds = us_bounds(*period.interval)
        if old is None:
            yield from merged(dataset.data_type, units, *bounds)
            return
        with file_units(self._fs, self._layout, old) as old_units:
            yield from merged(dataset.data_type, [*old_units, *units], *bounds)

    def _answer_doubt(self, dataset: DatasetId, frames: list[Frame], durable: IntervalSet) -> None:
        """What was replaced is believed again; not before the replacement is durable."""
        replaced = IntervalSet(item for frame in frames for item in frame.replaces_due) & durable
        if replaced:
            self._coverage.remove(dataset, What.DOUBTED, replaced)

    def _record_empty(
        self, dataset: DatasetId, frames: list[Frame], covered: IntervalSet, replaced: IntervalSet
    ) -> None:
        """Coverage that came with no row, in periods without a file; nothing is there to be replaced."""
        in_files = IntervalSet(info.period.interval for info in self._catalog.files(dataset))
        empty = covered - in_files
        if empty:
            self._coverage.add(dataset, What.EMPTY, empty)
            self._coverage.remove(dataset, What.LOST, empty)
        self._answer_doubt(dataset, frames, replaced - in_files)
        self._unpublished.done(dataset, frames, [], covered | replaced)
