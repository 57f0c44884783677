"""What is stored and not believed any more, and the backfills that may answer that."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol
from weakref import WeakSet

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.gaps import GapCause
from dccd.storage.backfill_log import BackfillLog
from dccd.storage.coverage_db import CoverageDb, What
from dccd.storage.fs import SharingViolation
from dccd.storage.unpublished import Unpublished


class _Publish(Protocol):
    def __call__(self, dataset: DatasetId) -> None: ...


class Doubts:
    """Doubts of a store, told apart from the backfills that began before them. Thread-safe."""

    def __init__(self, coverage: CoverageDb, unpublished: Unpublished, publish: _Publish) -> None:
        self._coverage, self._unpublished, self._publish = coverage, unpublished, publish
        self._mutex = threading.Lock()
        self._logs: WeakSet[BackfillLog] = WeakSet()

    def of(self, dataset: DatasetId) -> IntervalSet:
        """What is not believed any more."""
        return self._coverage.get(dataset, What.DOUBTED)

    def begin(self, make: Callable[[], BackfillLog]) -> BackfillLog:
        """A backfill that answers the doubts there are now, and none that comes later."""
        with self._mutex:
            log = make()
            self._logs.add(log)
        return log

    def add(self, dataset: DatasetId, intervals: IntervalSet, cause: GapCause) -> None:
        """See :meth:`dccd.storage.store.Store.add_doubt`."""
        with self._mutex:
            for log in self._logs:
                if log.dataset == dataset:
                    log.replace_no_more(intervals)  # whatever it brings from now on was asked for before
            if self._unpublished.replaced(dataset) & intervals:
                self._publish(dataset)  # what was fetched before a doubt must not answer it
                if self._unpublished.replaced(dataset) & intervals:
                    raise SharingViolation(
                        f"Another program holds a file of {dataset} open, into which rows are to go that "
                        "were fetched again. Close it there, and check again."
                    )
            self._coverage.add(dataset, What.DOUBTED, intervals, cause.value)
