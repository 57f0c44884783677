"""A clock for the store that goes when it is told to."""

from __future__ import annotations

from dccd.domain.timeutils import S_NS


class StoreClock:
    """Time of day and monotonic time, moved together by :meth:`pass_s`."""

    def __init__(self, start_ns: int) -> None:
        self.ns = start_ns
        self._monotonic_s = 1000.0

    def monotonic(self) -> float:
        return self._monotonic_s

    def time_ns(self) -> int:
        return self.ns

    def pass_s(self, seconds: float) -> None:
        self.ns += round(seconds * S_NS)
        self._monotonic_s += seconds
