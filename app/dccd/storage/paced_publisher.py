"""Publishes what `publish_policy` says is due, and at the end what can be published in a few seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from dccd.domain.dataset import DatasetId, Period
from dccd.domain.errors import StorageError
from dccd.storage.catalog import Catalog
from dccd.storage.clock import Clock
from dccd.storage.publish_policy import LOG_BYTES_MAX, RETRY_S, cost_bytes, due
from dccd.storage.unpublished import Unpublished

BYTES_PER_S = 10e6  # published at the least, of a dataset's files and journals together


class _Publish(Protocol):
    def __call__(self, dataset: DatasetId, before_ns: int | None, *, stopped: Callable[[], bool]) -> None: ...


class PacedPublisher:
    """Calls `publish` for datasets whose time has come. Thread-safe.

    Parameters
    ----------
    publish : callable
        See :meth:`dccd.storage.store.Store.publish`.
    """

    def __init__(
        self,
        catalog: Catalog,
        unpublished: Unpublished,
        publish: _Publish,
        clock: Clock,
    ) -> None:
        self._catalog, self._unpublished = catalog, unpublished
        self._publish, self._clock = publish, clock
        self._tried_s: dict[DatasetId, float] = {}
        self._turn = threading.Lock()
        self._is_ending = False

    def publish_due(self) -> None:
        """Publish what is due; what fails, or is held open by another program, is left alone for a while.

        Raises
        ------
        StorageError
            The first one met, after all the others have been published.
        """
        with self._turn:
            self._publish_due()

    def _publish_due(self) -> None:
        now_s = self._clock.monotonic()
        waits = {dataset for dataset, tried_s in self._tried_s.items() if now_s < tried_s + RETRY_S}
        publications = due(
            [backlog for backlog in self._unpublished.backlogs() if backlog.dataset not in waits],
            self._file_bytes,
            now_s=now_s,
            now_ns=self._clock.time_ns(),
            holding=self._unpublished.holding(LOG_BYTES_MAX),
        )
        failed: StorageError | None = None
        for dataset, before_ns, _cost in publications:
            if self._is_ending:
                return
            self._tried_s[dataset] = now_s
            try:
                self._publish(dataset, before_ns, stopped=lambda: self._is_ending)
            except StorageError as error:
                failed = failed or error
            else:
                if not self._is_left(dataset, before_ns, now_s):
                    del self._tried_s[dataset]
        if failed is not None:
            raise failed

    def publish_last(self, limit_s: float) -> None:
        """Publish what takes no longer than that altogether, the cheapest first; the program is ending.

        :meth:`publish_due` begins no file any more, and what runs over the time ends after the file at hand.

        Raises
        ------
        StorageError
            The rest was not tried then.
        """
        end_s = self._clock.monotonic() + limit_s
        self._is_ending = True
        with self._turn:
            costs = {
                backlog.dataset: cost_bytes(backlog, self._file_bytes)
                for backlog in self._unpublished.backlogs()
            }
            for dataset, cost in sorted(costs.items(), key=lambda item: item[1]):
                if self._clock.monotonic() + cost / BYTES_PER_S > end_s:
                    return
                self._publish(dataset, None, stopped=lambda: self._clock.monotonic() > end_s)

    def _file_bytes(self, dataset: DatasetId, period: Period) -> int:
        info = self._catalog.get(dataset, period)
        return 0 if info is None else info.size_bytes

    def _is_left(self, dataset: DatasetId, before_ns: int | None, now_s: float) -> bool:
        """Whether what was to be published still waits."""
        return any(
            since_s <= now_s and (before_ns is None or period.interval.end_ns <= before_ns)
            for backlog in self._unpublished.backlogs()
            if backlog.dataset == dataset
            for period, since_s in backlog.since_s.items()
        )
