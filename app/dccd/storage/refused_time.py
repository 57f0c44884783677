"""Time that streams brought and the disk did not take: a gap, as soon as that can be written down."""

from __future__ import annotations

import threading
from typing import NamedTuple

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.gaps import GapCause


class _Session(NamedTuple):
    """What was refused of a session that goes on."""

    observation: str | None
    interval: Interval


class RefusedTime:
    """What was refused of each dataset, from its first instant to its last. Thread-safe.

    A session may prove time whole after its rows of it were refused. Of what it proves next, that time is
    taken out: see :meth:`proven`.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._sessions: dict[DatasetId, _Session] = {}
        self._unrecorded: dict[tuple[DatasetId, GapCause], IntervalSet] = {}

    def __bool__(self) -> bool:
        """Whether anything is to be recorded."""
        return bool(self._unrecorded)

    def note(
        self, dataset: DatasetId, observation: str | None, refused: IntervalSet, cause: GapCause
    ) -> None:
        """Take note of what was refused of a session: the times of rows, and what was to be proven."""
        if refused.start_ns is None or refused.end_ns is None:
            return
        start_ns, end_ns = refused.start_ns, refused.end_ns
        with self._mutex:
            session = self._sessions.get(dataset)
            if session is not None and session.observation == observation:
                start_ns, end_ns = (
                    min(start_ns, session.interval.start_ns),
                    max(end_ns, session.interval.end_ns),
                )
            interval = Interval(start_ns, end_ns)
            self._sessions[dataset] = _Session(observation, interval)
            key = (dataset, cause)
            self._unrecorded[key] = self._unrecorded.get(key, IntervalSet()) | IntervalSet([interval])

    def proven(self, dataset: DatasetId, observation: str | None, covered: IntervalSet) -> IntervalSet:
        """What of `covered`, which rows that are taken prove, rests on no row that was refused."""
        with self._mutex:
            session = self._sessions.get(dataset)
            if session is None:
                return covered
            if session.observation != observation:  # it proves nothing of a session before it
                del self._sessions[dataset]
                return covered
            if covered.end_ns is not None and covered.end_ns > session.interval.end_ns:
                del self._sessions[dataset]  # what it proves after this is later
            return covered - IntervalSet([session.interval])

    def unrecorded(self) -> list[tuple[DatasetId, GapCause, IntervalSet]]:
        """What is to be recorded."""
        with self._mutex:
            return [(*key, intervals) for key, intervals in self._unrecorded.items()]

    def recorded(self, dataset: DatasetId, cause: GapCause, intervals: IntervalSet) -> None:
        """Take note that this is recorded durably."""
        with self._mutex:
            if self._unrecorded.get((dataset, cause)) == intervals:  # else there is more by now
                del self._unrecorded[dataset, cause]
