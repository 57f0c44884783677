"""What was fetched anew, so that rows from before it are dead: a map from instants to epochs.

Every frame of a journal has an epoch: how many replacements of its dataset were known when it was written. A
replacing frame starts a new one, and names the intervals of which it has all there is. Rows in them from an
earlier epoch, wherever they lie, are dead from then on. At each instant the greatest epoch counts, which does
not depend on the order in which pages arrive or are published, nor on their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dccd.domain.coverage import IntervalSet


class Replaced:
    """Immutable: of each instant the last epoch in which it was replaced, if it ever was.

    Supports ``|`` (of each instant the greater epoch), ``==``, truth and iteration over
    ``(epoch, intervals)``, the greatest epoch first, no instant twice.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[tuple[int, IntervalSet]] = ()) -> None:
        by_epoch: dict[int, IntervalSet] = {}
        for epoch, intervals in items:
            by_epoch[epoch] = by_epoch.get(epoch, IntervalSet()) | intervals
        left: list[tuple[int, IntervalSet]] = []
        above = IntervalSet()
        for epoch in sorted(by_epoch, reverse=True):
            if intervals := by_epoch[epoch] - above:
                left.append((epoch, intervals))
                above |= intervals
        self._items = tuple(left)

    def __iter__(self) -> Iterator[tuple[int, IntervalSet]]:
        return iter(self._items)

    def __bool__(self) -> bool:
        return bool(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Replaced) and self._items == other._items

    def __hash__(self) -> int:
        return hash(self._items)

    def __repr__(self) -> str:
        return f"Replaced({list(self._items)})"

    def __or__(self, other: Replaced) -> Replaced:
        if not other._items or self._items == other._items:
            return self
        return Replaced((*self._items, *other._items)) if self._items else other

    def clip(self, start_ns: int, end_ns: int) -> Replaced:
        """What of it lies in ``[start_ns, end_ns)``."""
        return Replaced((epoch, intervals.clip(start_ns, end_ns)) for epoch, intervals in self._items)

    @property
    def epoch(self) -> int:
        """The greatest, 0 where nothing was replaced."""
        return self._items[0][0] if self._items else 0

    def dead(self, epoch: int, own: Replaced) -> IntervalSet:
        """Where the rows of a unit are dead: those of a frame of `epoch`, or of a file that says `own`.

        What a file holds at an instant is at least as new as what it says was replaced there.
        """
        found = IntervalSet()
        for later, intervals in self._items:
            if later <= epoch:
                break
            alive = IntervalSet(item for known, held in own if known >= later for item in held)
            found |= intervals - alive
        return found


NOTHING_REPLACED = Replaced()
