"""What is in the journals and in no file yet, by dataset."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId, Period
from dccd.storage.footer import FileInfo
from dccd.storage.journal import Frame, Journal
from dccd.storage.slices import Unit


class Due(NamedTuple):
    """A frame, and the periods of which no file had its rows when it was asked for."""

    frame: Frame
    periods: frozenset[Period]


class Pending(NamedTuple):
    """A dataset's rows in journals at a glance; timestamps in microseconds, both inclusive."""

    rows: int
    first_us: int
    last_us: int


class Unpublished:
    """Journals, and their frames that something is due of. Thread-safe."""

    def __init__(self) -> None:
        self._mutex = threading.RLock()
        self._journals: dict[str, Journal] = {}
        self._writing: set[str] = set()
        self._frames: dict[DatasetId, list[Frame]] = {}
        self._covered: dict[DatasetId, IntervalSet] = {}

    def datasets(self) -> list[DatasetId]:
        """Datasets with anything due."""
        with self._mutex:
            return list(self._frames)

    def knows(self, dataset: DatasetId) -> bool:
        """Whether anything of the dataset is due."""
        with self._mutex:
            return dataset in self._frames

    def covered(self, dataset: DatasetId) -> IntervalSet:
        """What the frames cover."""
        with self._mutex:
            return self._covered.get(dataset, IntervalSet())

    def pending(self, dataset: DatasetId) -> Pending | None:
        """How many rows are due, None when there are none."""
        with self._mutex:
            frames = [frame for frame in self._frames.get(dataset, ()) if frame.rows_due]
            if not frames:
                return None
            return Pending(
                sum(sum(frame.rows_due.values()) for frame in frames),
                min(frame.min_us for frame in frames),
                max(frame.max_us for frame in frames),
            )

    def journal_ids(self) -> set[str]:
        """All journals that still exist."""
        with self._mutex:
            return set(self._journals)

    @contextmanager
    def pinned(self, dataset: DatasetId) -> Iterator[list[Due]]:
        """Frames with anything due, oldest first, readable until the context ends."""
        with self._mutex:
            due = [Due(frame, frozenset(frame.rows_due)) for frame in self._frames.get(dataset, ())]
            journals = {item.frame.journal for item in due}
            for journal in journals:
                journal.pin()
        try:
            yield due
        finally:
            for journal in journals:
                journal.unpin()

    def begin(self, journal: Journal) -> None:
        """A new journal, being written."""
        with self._mutex:
            self._journals[journal.id] = journal
            self._writing.add(journal.id)

    def recover(self, journal: Journal, file_of: Callable[[DatasetId, Period], FileInfo | None]) -> None:
        """A journal of an earlier process: what its frames say is in files already is not due again."""
        for frame in journal.frames:
            done = IntervalSet()
            for period in {*frame.rows_due, *_periods(frame.dataset, frame.cover_due, file_of)}:
                info = file_of(frame.dataset, period)
                if info is not None and info.footer.applied.get(journal.id, 0) >= frame.seq:
                    frame.rows_due.pop(period, None)
                    done |= IntervalSet([period.interval])
            frame.cover_due -= done
        journal.settle()
        with self._mutex:
            self._journals[journal.id] = journal
            for frame in journal.frames:
                self.add(frame)

    def add(self, frame: Frame) -> None:
        """A page that was appended."""
        with self._mutex:
            self._frames.setdefault(frame.dataset, []).append(frame)
            self._covered[frame.dataset] = self._covered.get(frame.dataset, IntervalSet()) | frame.covered

    def done(
        self, dataset: DatasetId, frames: Iterable[Frame], periods: Iterable[Period], covered: IntervalSet
    ) -> None:
        """Frames of which these periods' rows, and this coverage, are durable elsewhere now."""
        periods = list(periods)
        with self._mutex:
            for frame in frames:
                for period in periods:
                    frame.rows_due.pop(period, None)
                if covered:
                    frame.cover_due -= covered
            left = [frame for frame in self._frames.get(dataset, ()) if frame.due]
            if left:
                self._frames[dataset] = left
                self._covered[dataset] = IntervalSet(item for frame in left for item in frame.covered)
            else:
                self._frames.pop(dataset, None)
                self._covered.pop(dataset, None)

    def ended(self, journal: Journal) -> None:
        """Nobody appends to the journal any more; it retires once nothing of it is due."""
        with self._mutex:
            self._writing.discard(journal.id)

    def retire(self) -> None:
        """Remove the journals of which all is published and that nobody writes to."""
        with self._mutex:
            free = []
            for journal in list(self._journals.values()):
                journal.settle()
                if not journal.frames and journal.id not in self._writing:
                    free.append(self._journals.pop(journal.id))
        for journal in free:
            journal.retire()

    def close(self) -> None:
        """Close the journals and leave them for the next start."""
        with self._mutex:
            for journal in self._journals.values():
                journal.close()


def _periods(
    dataset: DatasetId, covered: IntervalSet, file_of: Callable[[DatasetId, Period], FileInfo | None]
) -> Iterator[Period]:
    for start, end in covered:
        for period in dataset.periods(start, end):
            if file_of(dataset, period) is not None:
                yield period


def frame_units(frames: Iterable[Frame]) -> list[Unit]:
    """Frames as units to merge."""
    return [
        Unit(
            frame.min_us,
            frame.max_us,
            frame.rows,
            frame.table,
            frame.observation or frame,
        )
        for frame in frames
        if frame.rows
    ]
