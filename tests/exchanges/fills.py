"""Trades told to the nanosecond, always the same ones; a burst of any size can be of one instant."""

from dataclasses import dataclass

import numpy as np

from tests.exchanges.rendering import Ints, hashed, price_path


@dataclass(frozen=True, slots=True)
class Fill:
    """One trade; price in ticks, amount in the smallest units."""

    number: int
    ts_ns: int
    price: int
    amount: int
    is_buy: bool


@dataclass(frozen=True, slots=True)
class Fills:
    """Trades in bursts: the first some of a burst share one instant, the others follow apart.

    Parameters
    ----------
    burst
        Trades of a burst; of these 1 to all are of one instant.
    period_ns
        From a burst to the next.
    apart_ns
        From one trade to the next after that instant; all of a burst fit into its period.
    """

    seed: int
    base: int
    since_ns: int
    burst: int = 7
    period_ns: int = 7_000_000_000
    apart_ns: int = 1_234_567

    def first_from(self, ts_ns: int) -> int:
        """Number of the first trade whose time is not before `ts_ns`."""
        first = max(0, (ts_ns - self.since_ns) // self.period_ns) * self.burst
        times = self._times_ns(np.arange(first, first + self.burst))
        return first + int(np.searchsorted(times, ts_ns))

    def between(self, first: int, stop: int) -> list[Fill]:
        """The trades with these numbers, from 0 on."""
        numbers = np.arange(max(0, first), max(0, stop))
        times_ns = self._times_ns(numbers)
        noise = hashed(self.seed + 2, numbers)
        prices = price_path(self.seed, self.base, times_ns // 1_000_000) + noise % 5
        amounts, buys = 1 + (noise >> 8) % 1_000_000, (noise >> 30 & 1).astype(bool)
        every = (column.tolist() for column in (numbers, times_ns, prices, amounts, buys))
        return [Fill(*row) for row in zip(*every, strict=True)]

    def _times_ns(self, numbers: Ints) -> Ints:
        burst, place = np.divmod(numbers, self.burst)
        together = 1 + hashed(self.seed, burst) % self.burst
        later_ns = np.maximum(0, place - together + 1) * self.apart_ns
        return self.since_ns + burst * self.period_ns + hashed(self.seed + 1, burst) % 1000 + later_ns
