"""What is in the journals and in no file yet, by dataset."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId, Period
from dccd.domain.errors import StorageError
from dccd.storage.footer import FileInfo
from dccd.storage.frames import Frame
from dccd.storage.journal import Journal
from dccd.storage.open_bars import OpenBars
from dccd.storage.predecessors import Predecessors
from dccd.storage.publish_policy import Backlog
from dccd.storage.slices import Unit

_SETTLE_FRAMES = 1000


class Due(NamedTuple):
    """A frame, and what of it no file had when it was asked for: periods with rows, replaced time."""

    frame: Frame
    periods: frozenset[Period]
    replaces: IntervalSet

    def touches(self, period: Period) -> bool:
        """Whether the period's rows are others with the frame than without."""
        return period in self.periods or bool(self.replaces and self.replaces.clip(*period.interval))


@dataclass(slots=True)
class Weight:
    """Bytes of the frames of a dataset that anything is due of: all, and those with rows of each period."""

    size_bytes: int = 0
    by_period: dict[Period, int] = field(default_factory=dict)

    def add(self, frame: Frame) -> None:
        """One more frame."""
        self.size_bytes += frame.size
        for period in frame.rows_due:
            self.by_period[period] = self.by_period.get(period, 0) + frame.size


class Unpublished:
    """Journals, and their frames that something is due of. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._mutex = threading.RLock()
        self._journals: dict[str, Journal] = {}  # in the order of their beginning
        self._added: dict[str, int] = {}  # by journal, the last frame that was taken note of
        self._writing: set[str] = set()
        self._own: set[str] = set()  # of those, the ones whose writers publish them
        self._frames: dict[DatasetId, list[Frame]] = {}
        self._covered: dict[DatasetId, IntervalSet] = {}
        self._backlogs: dict[DatasetId, _Backlog] = {}
        self._weights: defaultdict[DatasetId, Weight] = defaultdict(Weight)
        self._predecessors = Predecessors()
        self._closed = False
        self.open_bars = OpenBars()

    def datasets(self) -> list[DatasetId]:
        """Datasets with anything due."""
        with self._mutex:
            return list(self._frames)

    def knows(self, dataset: DatasetId) -> bool:
        """Whether anything of the dataset is due."""
        with self._mutex:
            return dataset in self._frames

    def covered(self, dataset: DatasetId) -> IntervalSet:
        """What the frames cover, and no file does yet: a file that goes takes its coverage with it."""
        with self._mutex:
            return self._covered.get(dataset, IntervalSet())

    def replaced(self, dataset: DatasetId) -> IntervalSet:
        """What the frames replace, and no file does yet."""
        with self._mutex:
            frames = self._frames.get(dataset, ())
            return IntervalSet(item for frame in frames for item in frame.replaces_due)

    def note_epoch(self, dataset: DatasetId, epoch: int) -> None:
        """A file, or a deletion, has pages of this epoch."""
        self._predecessors.note(dataset, epoch)

    def epoch(self, dataset: DatasetId) -> int:
        """The greatest epoch of which anything tells."""
        return self._predecessors.epoch(dataset)

    def due_rows(self, dataset: DatasetId) -> list[tuple[Frame, dict[Period, int]]]:
        """Frames with the rows that no file had when this was asked, by period."""
        with self._mutex:
            return [
                (frame, dict(frame.rows_due)) for frame in self._frames.get(dataset, ()) if frame.rows_due
            ]

    def sequences(self) -> dict[str, int]:
        """Of each journal that still exists, the number of the last frame that was added.

        One that has been written, and is about to be added, does not count: it is not due yet, either.
        """
        with self._mutex:
            return {journal_id: self._added.get(journal_id, 0) for journal_id in self._journals}

    def journal_ids(self) -> set[str]:
        """All journals that still exist."""
        with self._mutex:
            return set(self._journals)

    @contextmanager
    def pinned(self, dataset: DatasetId) -> Iterator[list[Due]]:
        """Frames with anything due, oldest first, readable until the context ends."""
        with self._mutex:
            due = [
                Due(frame, frozenset(frame.rows_due), frame.replaces_due)
                for frame in self._frames.get(dataset, ())
            ]
            journals = {item.frame.journal for item in due}
            for journal in journals:
                journal.pin()
        try:
            yield due
        finally:
            for journal in journals:
                journal.unpin()

    def backlogs(self) -> list[Backlog]:
        """What is due of each dataset, but for what its writer will publish itself."""
        with self._mutex:
            return [
                Backlog(dataset, item.size_bytes, dict(item.since_s))
                for dataset, item in self._backlogs.items()
            ]

    def weights(self) -> dict[DatasetId, Weight]:
        """How much is due of each dataset, whoever publishes it."""
        with self._mutex:
            return {
                dataset: Weight(weight.size_bytes, dict(weight.by_period))
                for dataset, weight in self._weights.items()
            }

    def holding(self, size_bytes: int) -> set[DatasetId]:
        """Datasets with anything due in journals older than the newest `size_bytes` of them."""
        found: set[DatasetId] = set()
        size = 0
        with self._mutex:
            for journal in reversed(list(self._journals.values())):
                if journal.id not in self._own:
                    size += journal.size
                    if size > size_bytes:
                        found.update(frame.dataset for frame in journal.frames if frame.due)
        return found

    def begin(self, journal: Journal, *, publishes_itself: bool) -> None:
        """A new journal, being written; by somebody who has it published, or for the policy to see to it.

        Raises
        ------
        StorageError
            All has been closed.
        """
        journal.predecessors = self._predecessors
        with self._mutex:
            if self._closed:
                journal.close()
                raise StorageError("The data folder has been closed.")
            self._journals[journal.id] = journal
            self._writing.add(journal.id)
            if publishes_itself:
                self._own.add(journal.id)

    def recover(self, journal: Journal, files_of: Callable[[DatasetId], list[FileInfo]]) -> None:
        """A journal of an earlier process: what its frames say is in files already is not due again."""
        by_dataset: dict[DatasetId, list[Frame]] = defaultdict(list)
        for frame in journal.frames:
            by_dataset[frame.dataset].append(frame)
        for dataset, frames in by_dataset.items():
            # Few files have heard of a journal that is there still, and few journals are of one dataset.
            heard = [info for info in files_of(dataset) if journal.id in info.footer.applied]
            for frame in frames if heard else ():
                _forget_applied(frame, heard)
        journal.settle()
        with self._mutex:
            self._journals[journal.id] = journal
            self._added[journal.id] = journal.seq
            for frame in journal.frames:
                self._predecessors.note(frame.dataset, frame.epoch)
                self._count(frame)
            for dataset, frames in by_dataset.items():
                due = [frame for frame in frames if frame.due]
                for frame in due:
                    self._weights[dataset].add(frame)
                if due:
                    known = self._covered.get(dataset, IntervalSet())
                    self._frames.setdefault(dataset, []).extend(due)
                    self._covered[dataset] = known | IntervalSet(i for frame in due for i in frame.cover_due)

    def add(self, frame: Frame) -> None:
        """A page that was appended; it takes the place of the one that it is a copy of."""
        frame.added_s = self._clock()
        if frame.provisional:
            self.open_bars.take(frame)
            return
        with self._mutex:
            self._added[frame.journal.id] = frame.seq
            if frame.copy_of is not None:
                same = [
                    each for each in self._frames.get(frame.dataset, ()) if each.identity == frame.copy_of
                ]
                for each in same:
                    self.done(frame.dataset, same, [*each.rows_due], each.covered)
            self._add(frame)

    def _add(self, frame: Frame) -> None:
        self._predecessors.note(frame.dataset, frame.epoch)
        self._frames.setdefault(frame.dataset, []).append(frame)
        self._covered[frame.dataset] = self._covered.get(frame.dataset, IntervalSet()) | frame.covered
        self._weights[frame.dataset].add(frame)
        self._count(frame)

    def _count(self, frame: Frame) -> None:
        if frame.due and frame.journal.id not in self._own:
            backlog = self._backlogs.get(frame.dataset)
            if backlog is None:
                backlog = self._backlogs[frame.dataset] = _Backlog()
            backlog.count(frame)

    def done(
        self, dataset: DatasetId, frames: Iterable[Frame], periods: Iterable[Period], covered: IntervalSet
    ) -> None:
        """Frames of which these periods' rows, and what they cover and replace here, are durable by now."""
        periods = list(periods)
        with self._mutex:
            for frame in frames:
                for period in periods:
                    frame.rows_due.pop(period, None)
                if covered:
                    frame.cover_due -= covered
                    frame.replaces_due -= covered
            left = [frame for frame in self._frames.get(dataset, ()) if frame.due]
            self._backlogs.pop(dataset, None)
            self._weights.pop(dataset, None)
            for frame in left:
                self._weights[dataset].add(frame)
                self._count(frame)
            if left:
                self._frames[dataset] = left
                self._covered[dataset] = IntervalSet(item for frame in left for item in frame.cover_due)
            else:
                self._frames.pop(dataset, None)
                self._covered.pop(dataset, None)

    def ended(self, journal: Journal) -> None:
        """Nobody appends to the journal any more; it retires once nothing of it is due."""
        with self._mutex:
            self._writing.discard(journal.id)
            if journal.id in self._own:
                self._own.discard(journal.id)
                for frame in journal.frames:
                    self._count(frame)

    def retire(self) -> None:
        """Remove the journals of which all is published and that nobody writes to."""
        with self._mutex:
            free = []
            for journal in list(self._journals.values()):
                left = next((n for n, frame in enumerate(journal.frames) if frame.due), None)
                if (
                    left is None or left > _SETTLE_FRAMES
                ):  # to go through them all for each dataset takes long
                    journal.settle()
                if not journal.frames and journal.id not in self._writing:
                    free.append(self._journals.pop(journal.id))
                    self._added.pop(journal.id, None)
        for journal in free:
            journal.retire()

    def close(self) -> None:
        """Close the journals and leave them for the next start."""
        with self._mutex:
            self._closed = True
            for journal in self._journals.values():
                journal.close()


class _Backlog:
    """A :class:`dccd.storage.publish_policy.Backlog` that grows."""

    __slots__ = ("since_s", "size_bytes")

    def __init__(self) -> None:
        self.size_bytes = 0
        self.since_s: dict[Period, float] = {}

    def count(self, frame: Frame) -> None:
        """One more frame."""
        self.size_bytes += frame.size
        periods = [*frame.rows_due]
        for start, end in frame.cover_due | frame.replaces_due:
            if not any(
                period.interval.start_ns <= start and end <= period.interval.end_ns for period in periods
            ):
                periods += frame.dataset.periods(start, end)
        for period in periods:
            self.since_s[period] = min(frame.added_s, self.since_s.get(period, frame.added_s))


def _forget_applied(frame: Frame, files: list[FileInfo]) -> None:
    """Take out of what is due of a frame what files say that they have of it."""
    done = [info.period for info in files if info.footer.applied[frame.journal.id] >= frame.seq]
    for period in done:
        frame.rows_due.pop(period, None)
    intervals = IntervalSet(period.interval for period in done)
    frame.cover_due -= intervals
    frame.replaces_due -= intervals


def frame_units(frames: Iterable[Frame]) -> list[Unit]:
    """Frames as units to merge. A page and its copies merge into one: they count from the same number on."""
    return [
        Unit(
            frame.min_us,
            frame.max_us,
            frame.rows,
            frame.table,
            frame,
            frame.epoch,
            frame.replaced,
        )
        for frame in frames
    ]
