"""A made market, always the same: bars, trades, books, funding and open interest, in whole ticks."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dccd.domain.span import Span
from dccd.domain.timeutils import MS_NS
from tests.exchanges.rendering import hashed, price_path

_BLOCK = 1_000  # trades, of which so many from one number to another are of one instant
_BURST = range(300, 550)


class Bar(NamedTuple):
    """Prices in ticks, volume in lots."""

    open_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int


class Trade(NamedTuple):
    """Price in ticks, amount in lots."""

    number: int
    time_ms: int
    price: int
    amount: int
    buy: bool


@dataclass(frozen=True)
class Walk:
    """One instrument's market.

    Parameters
    ----------
    seed, price
        What makes it another market; the price about which it moves, in ticks.
    first_ms
        When it began.
    every_ms
        Mean time between two trades; they come in pairs, and now and then 250 of one instant.
    """

    seed: int
    price: int
    first_ms: int
    every_ms: int = 100

    def opens(self, span: str, start_ms: int, stop_ms: int, last: int | None = None) -> list[int]:
        """Open times of the bars that open from one moment (inclusive) to another, none before the first.

        With `last`, at least so many before the end, and not all of many years.
        """
        step = Span.parse(span)
        if last is not None:
            start_ms = max(start_ms, stop_ms - (last + 1) * (step.nominal_ns // MS_NS) * 31 // 28)
        at_ns = max(step.ceil(start_ms * MS_NS), step.floor(self.first_ms * MS_NS))
        found = []
        while at_ns < stop_ms * MS_NS:
            found.append(at_ns // MS_NS)
            at_ns = step.next(at_ns)
        return found

    def bars(self, span: str, opens: Sequence[int]) -> list[Bar]:
        """Bars by their open times; the last of an instrument's may still be open."""
        if not opens:
            return []
        step = Span.parse(span)
        at, until = np.array(opens), np.array([step.next(ms * MS_NS) // MS_NS - 1 for ms in opens])
        first, last = price_path(self.seed, self.price, at), price_path(self.seed, self.price, until)
        salt = hashed(self.seed, at)
        high = np.maximum(first, last) + salt % 50
        low = np.minimum(first, last) - salt // 64 % 50
        volume = salt % 1_000_000
        columns = (values.tolist() for values in (at, first, high, low, last, volume))
        return [Bar(*values) for values in zip(*columns, strict=True)]

    def time(self, number: int) -> int:
        """When a trade was made, ms."""
        block, place = divmod(number, _BLOCK)
        place = _BURST.start if place in _BURST else place - place % 2
        return self.first_ms + (block * _BLOCK + place) * self.every_ms

    def number_at(self, time_ms: int) -> int:
        """The first trade at or after a moment."""
        most = max(0, (time_ms - self.first_ms) // self.every_ms + _BLOCK)
        return bisect_left(range(most), time_ms, key=self.time)

    def trades(self, first: int, stop: int) -> list[Trade]:
        """Trades by their numbers, from 0 on."""
        numbers = range(max(0, first), max(0, first, stop))
        times = [self.time(number) for number in numbers]
        if not times:
            return []
        salt = hashed(self.seed + 1, np.array(numbers))
        prices = price_path(self.seed, self.price, np.array(times)) + salt % 3
        amounts = (salt // 8 % 9_999 + 1).tolist()
        rows = zip(numbers, times, prices.tolist(), amounts, salt.tolist(), strict=True)
        return [Trade(number, ms, price, amount, bool(bits & 4)) for number, ms, price, amount, bits in rows]

    def book(self, depth: int, time_ms: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Bids and asks, the best first."""
        middle = int(price_path(self.seed, self.price, np.array([time_ms]))[0])
        amounts = (hashed(self.seed + 2, np.arange(2 * depth)) % 99_999 + 1).tolist()
        bids = [(middle - 1 - place, amounts[place]) for place in range(depth)]
        return bids, [(middle + 1 + place, amounts[depth + place]) for place in range(depth)]

    def times(self, every_ms: int, start_ms: int, stop_ms: int) -> list[int]:
        """Multiples of a step from one moment (inclusive) to another, none before the first."""
        start_ms = max(start_ms, self.first_ms)
        return list(range(-(-start_ms // every_ms) * every_ms, stop_ms, every_ms))

    def values(self, times: Sequence[int], below: int) -> list[int]:
        """A number for each moment: of funding, open interest and the like."""
        return (hashed(self.seed + 3, np.array(times, np.int64)) % below).tolist() if times else []


def decimal(units: int, decimals: int) -> str:
    """A number of ticks or lots as exchanges write it."""
    whole, rest = divmod(abs(units), 10**decimals)
    return f"{'-' if units < 0 else ''}{whole}.{rest:0{decimals}d}" if decimals else str(units)
