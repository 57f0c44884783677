"""Sets of half-open intervals of exchange time: what was fetched whole."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Self


class Interval(NamedTuple):
    """``[start_ns, end_ns)``, nanoseconds UTC."""

    start_ns: int
    end_ns: int


class IntervalSet:
    """An immutable set of instants, kept as sorted, disjoint, non-touching intervals.

    Supports ``|`` (union), ``&`` (intersection), ``-`` (difference), ``in`` (an instant), ``==``,
    truth (not empty) and iteration over its :class:`Interval` items in order.
    """

    __slots__ = ("_items",)

    def __init__(self, intervals: Iterable[tuple[int, int]] = ()) -> None:
        """Empty and reversed intervals contribute nothing; overlapping and touching ones merge."""
        merged: list[Interval] = []
        found = [(s, e) for s, e in intervals if s < e]
        if len(found) == 1:  # so are nearly all of the hundreds of thousands that a journal may hold
            self._items: tuple[Interval, ...] = (Interval(*found[0]),)
            return
        for start, end in sorted(found):
            if merged and start <= merged[-1].end_ns:
                if end > merged[-1].end_ns:
                    merged[-1] = Interval(merged[-1].start_ns, end)
            else:
                merged.append(Interval(start, end))
        self._items = tuple(merged)

    @classmethod
    def _of_sorted(cls, items: Iterable[Interval]) -> Self:
        made = cls.__new__(cls)
        made._items = tuple(items)
        return made

    @classmethod
    def of(cls, start_ns: int, end_ns: int) -> Self:
        """The single interval ``[start_ns, end_ns)``; empty when it ends before it starts."""
        return cls(((start_ns, end_ns),))

    def __iter__(self) -> Iterator[Interval]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IntervalSet) and self._items == other._items

    def __hash__(self) -> int:
        return hash(self._items)

    def __repr__(self) -> str:
        return f"IntervalSet({[tuple(item) for item in self._items]})"

    def __contains__(self, ts_ns: object) -> bool:
        if not isinstance(ts_ns, int):
            return False
        index = bisect_right(self._items, ts_ns, key=lambda item: item.start_ns) - 1
        return index >= 0 and ts_ns < self._items[index].end_ns

    def __or__(self, other: IntervalSet) -> IntervalSet:
        if not other._items:
            return self
        if not self._items:
            return other
        last, (first, *more) = self._items[-1], other._items
        if not more and first.start_ns >= last.start_ns:  # data comes in the order of time, mostly
            if first.start_ns > last.end_ns:
                return IntervalSet._of_sorted((*self._items, first))
            joined = Interval(last.start_ns, max(last.end_ns, first.end_ns))
            return IntervalSet._of_sorted((*self._items[:-1], joined))
        return IntervalSet((*self._items, *other._items))

    def __and__(self, other: IntervalSet) -> IntervalSet:
        result: list[Interval] = []
        i = j = 0
        while i < len(self._items) and j < len(other._items):
            a, b = self._items[i], other._items[j]
            start, end = max(a.start_ns, b.start_ns), min(a.end_ns, b.end_ns)
            if start < end:
                result.append(Interval(start, end))
            if a.end_ns <= b.end_ns:
                i += 1
            else:
                j += 1
        return IntervalSet._of_sorted(result)

    def __sub__(self, other: IntervalSet) -> IntervalSet:
        result: list[Interval] = []
        j = 0
        for start, end in self._items:
            cursor = start
            while j < len(other._items) and other._items[j].end_ns <= cursor:
                j += 1
            k = j
            while k < len(other._items) and other._items[k].start_ns < end:
                hole = other._items[k]
                if hole.start_ns > cursor:
                    result.append(Interval(cursor, hole.start_ns))
                cursor = max(cursor, hole.end_ns)
                k += 1
            if cursor < end:
                result.append(Interval(cursor, end))
        return IntervalSet._of_sorted(result)

    def clip(self, start_ns: int, end_ns: int) -> IntervalSet:
        """What of the set lies in ``[start_ns, end_ns)``."""
        return self & IntervalSet.of(start_ns, end_ns)

    def covers(self, start_ns: int, end_ns: int) -> bool:
        """Whether all of ``[start_ns, end_ns)`` is in the set (an empty range always is)."""
        return not (IntervalSet.of(start_ns, end_ns) - self)

    @property
    def start_ns(self) -> int | None:
        """First instant of the set, None when it is empty."""
        return self._items[0].start_ns if self._items else None

    @property
    def end_ns(self) -> int | None:
        """First instant after the set, None when it is empty."""
        return self._items[-1].end_ns if self._items else None

    @property
    def length_ns(self) -> int:
        """Sum of the intervals' lengths."""
        return sum(end - start for start, end in self._items)
