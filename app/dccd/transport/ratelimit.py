"""Budgets in the exchange's own units, never spent past, and waits it asked for, kept to the second."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from math import ceil

from dccd.domain.errors import Throttled
from dccd.domain.timeutils import S_NS, iso
from dccd.sources.base import Limit
from dccd.transport.retry import Sleep

# The share of an allowance that is used: the rest is for what the exchange counts and does not say.
USABLE = 0.98
# A window is taken to begin this much late, since the exchange's clock is known to half a round trip.
LATE_NS = S_NS // 4
# The longest wait a run sits through; a longer ban ends it with an error that says until when.
PATIENCE_S = 900.0


class Budget:
    """One allowance: fixed windows of the exchange's clock, reserved before sending.

    What is in flight when a window ends is counted in both, as nobody knows where it lands. The
    exchange's own count, where its headers tell, corrects ours upwards (others may share the address).
    """

    def __init__(self, limit: Limit, *, now_ns: Callable[[], int], sleep: Sleep) -> None:
        """`now_ns` is the exchange's clock, as far as it is known."""
        self.limit = limit
        self.units = limit.units
        self.now_ns, self._sleep = now_ns, sleep
        self._turn = asyncio.Lock()
        self._window = -1
        self._used = 0
        self._in_flight = 0
        self.resumes_ns: int | None = None

    @property
    def used(self) -> int:
        """Units taken as used in the present window."""
        self._roll()
        return self._used

    @property
    def left_s(self) -> float:
        """Seconds until the next window."""
        window_ns = self.limit.window_s * S_NS
        return (window_ns - (self.now_ns() - LATE_NS) % window_ns) / S_NS

    def _roll(self) -> None:
        window = (self.now_ns() - LATE_NS) // (self.limit.window_s * S_NS)
        if window != self._window:
            self._window, self._used = window, self._in_flight

    async def reserve(self, weight: int) -> int:
        """Take `weight` units, in order of asking, waiting for the next window when this one has too few.

        Returns
        -------
        int
            The window they were taken from, for :meth:`settle`.
        """
        if weight == 0:
            return self._window
        async with self._turn:
            self._roll()
            try:
                # What weighs more than a whole window goes alone, at a window's start.
                while self._used and self._used + weight > self.units * USABLE:
                    self.resumes_ns = (self._window + 1) * self.limit.window_s * S_NS + LATE_NS
                    await self._sleep(max(0.001, (self.resumes_ns - self.now_ns()) / S_NS))
                    self._roll()
            finally:
                self.resumes_ns = None
            self._used += weight
            self._in_flight += weight
            return self._window

    def settle(self, weight: int, window: int, used: int | None) -> None:
        """A request came back, or failed; `used` is the exchange's count when it said one."""
        self._in_flight -= weight
        self._roll()
        # More than all we have asked for: somebody else uses this address too. What is in flight may not
        # be in that count yet.
        if used is not None and window == self._window and used > self._used:
            self._used = used + self._in_flight


class RollingBudget(Budget):
    """One allowance of which any stretch of time as long as its window is a window.

    A request counts from before it is sent until a window after it came back: wherever in between it
    arrived, and whatever the two clocks say.
    """

    def __init__(self, limit: Limit, *, now_ns: Callable[[], int], sleep: Sleep) -> None:
        super().__init__(limit, now_ns=now_ns, sleep=sleep)
        self._back: deque[tuple[int, int]] = deque()  # when it counts no more, units

    @property
    def left_s(self) -> float:
        """Seconds until nothing counts any more of what has been asked for."""
        return float(self.limit.window_s)

    def _roll(self) -> None:
        now_ns = self.now_ns()
        farthest_ns = now_ns + self.limit.window_s * S_NS  # beyond it when a clock was set
        while self._back and not now_ns < self._back[0][0] <= farthest_ns:
            self._back.popleft()
        self._used = self._in_flight + sum(weight for _, weight in self._back)

    async def reserve(self, weight: int) -> int:
        """Take `weight` units, in order of asking, waiting until as many count no more."""
        async with self._turn:
            self._roll()
            try:
                # What is kept back of a few units is less than one: all of those are used.
                while self._used and self._used + weight > ceil(self.units * USABLE):
                    soon_ns = self.now_ns() + S_NS // 50  # all in flight: one of them is back shortly
                    self.resumes_ns = self._back[0][0] if self._back else soon_ns
                    await self._sleep(max(0.001, (self.resumes_ns - self.now_ns()) / S_NS))
                    self._roll()
            finally:
                self.resumes_ns = None
            self._in_flight += weight
            return 0

    def settle(self, weight: int, window: int, used: int | None) -> None:
        """A request came back, or failed."""
        super().settle(weight, window, used)
        self._back.append((self.now_ns() + self.limit.window_s * S_NS, weight))


class Gate:
    """Keeps every request to one host back while the host asked for silence."""

    def __init__(self, *, now_ns: Callable[[], int], sleep: Sleep) -> None:
        self._now_ns, self._sleep = now_ns, sleep
        self.opens_ns = 0
        self._reason = ""

    @property
    def closed(self) -> bool:
        """Whether requests have to wait."""
        return self._now_ns() < self.opens_ns

    def close(self, error: Throttled, otherwise_s: float) -> None:
        """Keep the wait that the exchange named; never shortens one already kept.

        Where it named none, or one that is over, `otherwise_s` is kept: it wants fewer requests all the same.
        """
        named_s = error.retry_after_s or 0.0
        wait_s = named_s if named_s > 0 else otherwise_s
        opens_ns = self._now_ns() + round(wait_s * S_NS)
        if opens_ns > self.opens_ns:
            self.opens_ns, self._reason = opens_ns, str(error)

    async def wait(self) -> None:
        """Return once the host may be asked.

        Raises
        ------
        Throttled
            That would take longer than :data:`PATIENCE_S`.
        """
        while (left_s := (self.opens_ns - self._now_ns()) / S_NS) > 0:
            if left_s > PATIENCE_S:
                until = iso(self.opens_ns // S_NS * S_NS)
                raise Throttled(
                    f"{self._reason} It answers nothing before {until}. Start again then.", left_s
                )
            await self._sleep(left_s)
