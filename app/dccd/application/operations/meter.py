"""How far a backfill is, how fast it is just now, and what is left at that pace."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from dccd.application.jobs import Progress
from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import S_NS

# How far back "just now" goes.
PACE_S = 10.0


@dataclass(frozen=True, slots=True)
class _Step:
    """What one page brought, and when."""

    at_s: float
    rows: int
    done_ns: int


class Meter:
    """Counts what was done, in bars where there are bars, else in seconds of exchange time."""

    def __init__(
        self, dataset: DatasetId, todo: IntervalSet, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._unit_ns = S_NS if dataset.span is None else dataset.span.nominal_ns
        self._unit = "seconds" if dataset.span is None else "bars"
        self._total_ns = todo.length_ns
        self._left = todo
        self._clock = clock
        self._began_s = clock()
        self._recent: deque[_Step] = deque()
        self.rows = 0

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first page was asked for."""
        return self._clock() - self._began_s

    def add(self, page_rows: int, covered: IntervalSet) -> None:
        """A page was written, and proves this covered."""
        self.rows += page_rows
        left = self._left - covered
        self._recent.append(_Step(self._clock(), page_rows, self._left.length_ns - left.length_ns))
        self._left = left

    def leave(self, interval: Interval) -> None:
        """An interval was gone through, to its end or as far as the exchange has settled."""
        self._left = self._left - IntervalSet((interval,))

    def progress(self, waiting: str | None = None) -> Progress:
        """How far it is; pace and remaining time are those of the last :data:`PACE_S` seconds."""
        while self._recent and self._recent[0].at_s <= self._clock() - PACE_S:
            self._recent.popleft()
        pace_s = max(min(self.elapsed_s, PACE_S), 1e-3)
        done_ns = sum(step.done_ns for step in self._recent)
        return Progress(
            done=(self._total_ns - self._left.length_ns) // self._unit_ns,
            total=max(1, self._total_ns // self._unit_ns),
            unit=self._unit,
            rows=self.rows,
            rows_per_s=sum(step.rows for step in self._recent) / pace_s,
            eta_s=self._left.length_ns * pace_s / done_ns if done_ns else None,
            waiting=waiting,
        )
