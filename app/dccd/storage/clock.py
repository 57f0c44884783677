"""The clocks that the store goes by; the module :mod:`time` is one."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """What is asked of a clock."""

    def monotonic(self) -> float:
        """Seconds since some instant; never steps back."""
        ...

    def time_ns(self) -> int:
        """The time of day, nanoseconds UTC; may be set at any time."""
        ...
