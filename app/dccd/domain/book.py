"""An order book kept whole from a snapshot and the changes that follow it."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Literal, NamedTuple

from dccd.domain.errors import BrokenBook

Side = Literal["bid", "ask"]

# Changes kept while a snapshot is awaited; at ten messages a second that is a quarter of an hour.
_PENDING_MAX = 10_000


class Level(NamedTuple):
    """One price of a book.

    Price and amount are the exchange's decimal text, as checksums are made of that. An amount of zero takes
    the level away. `orders` is how many make it up, where the exchange tells it.
    """

    price: str
    amount: str
    orders: int | None = None


@dataclass(frozen=True, slots=True)
class BookUpdate:
    """One message about a book.

    Attributes
    ----------
    bids, asks : sequence of Level
        Levels as they are from now on; of a snapshot all there are.
    ts_ns : int or None
        The exchange's time of it, nanoseconds UTC, where it tells one.
    is_snapshot : bool
    seq : int or None
        The exchange's number of this state of the book.
    follows : int or None
        Number of the state it continues; None where the exchange does not say.
    checksum : int or None
        What the book amounts to once this is applied.
    is_torn : bool
        It is about a level that the book should have and does not: a message before it is missing.
    """

    bids: Sequence[Level]
    asks: Sequence[Level]
    ts_ns: int | None = None
    is_snapshot: bool = False
    seq: int | None = None
    follows: int | None = None
    checksum: int | None = None
    is_torn: bool = False


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return nan


class OrderBook:
    """The levels of both sides.

    Parameters
    ----------
    depth : int or None
        Levels a side at most: what falls out is forgotten, as the exchange tells no more of it.
    """

    def __init__(self, depth: int | None = None) -> None:
        self._depth = depth
        self._levels: dict[Side, dict[float, Level]] = {"bid": {}, "ask": {}}
        # Ranks, best first: the price of an ask, the price of a bid negated.
        self._ranks: dict[Side, list[float]] = {"bid": [], "ask": []}

    def __len__(self) -> int:
        return sum(map(len, self._ranks.values()))

    def best(self, side: Side, count: int | None = None) -> list[Level]:
        """Levels of a side, best first; all of them without a `count`."""
        levels = self._levels[side]
        return [levels[rank] for rank in self._ranks[side][:count]]

    def apply(self, update: BookUpdate) -> None:
        """Bring the book to the state after a message."""
        for side, levels in (("bid", update.bids), ("ask", update.asks)):
            self._apply(side, levels, whole=update.is_snapshot)  # type: ignore[arg-type]

    def _apply(self, side: Side, levels: Sequence[Level], *, whole: bool) -> None:
        held, ranks = self._levels[side], self._ranks[side]
        if whole:
            held.clear()
            ranks.clear()
        sign = -1 if side == "bid" else 1
        for level in levels:
            rank, amount = sign * _number(level.price), _number(level.amount)
            if not (isfinite(rank) and isfinite(amount)):
                raise BrokenBook(f"The book has a level that is no number: {level.amount} at {level.price}.")
            if amount == 0:
                if held.pop(rank, None) is not None:
                    del ranks[bisect_left(ranks, rank)]
                continue
            if rank not in held:
                insort(ranks, rank)
            held[rank] = level
        if self._depth is not None:
            for rank in ranks[self._depth :]:
                del held[rank]
            del ranks[self._depth :]


class BookSync:
    """Follows one book, and tells when a message is missing.

    Parameters
    ----------
    joins : bool
        The exchange sends changes alone, and the snapshot is asked for meanwhile: what comes before is kept
        and joined to it by its numbers. Otherwise what comes before a snapshot belongs to an older one.
    depth : int or None
        See :class:`OrderBook`.
    checksum : callable (book) -> int, or None
        How the exchange sums up a book.

    Attributes
    ----------
    book : OrderBook
    is_whole : bool
        Whether the snapshot has come.
    """

    def __init__(
        self,
        *,
        joins: bool = False,
        depth: int | None = None,
        checksum: Callable[[OrderBook], int] | None = None,
    ) -> None:
        self._joins = joins
        self.book = OrderBook(depth)
        self.is_whole = False
        self._checksum = checksum
        self._seq: int | None = None
        self._pending: list[BookUpdate] = []

    def take(self, update: BookUpdate) -> list[BookUpdate]:
        """Take a message, and return those that were applied now, in order: none, one, or all that waited.

        A snapshot older than the changes that wait for it is not taken: ask for another.

        Raises
        ------
        BrokenBook
            A message is missing, or the checksum is another. The book is right no more: begin anew.
        """
        if update.is_snapshot:
            if self._is_too_old(update):
                return []
            self.book.apply(update)
            self.is_whole, self._seq = True, update.seq
            self._verify(update)
            waiting, self._pending = self._pending, []
            return [update, *(one for one in waiting if self._follow(one))]
        if not self.is_whole and not self._joins:
            return []
        if not self.is_whole:
            if len(self._pending) == _PENDING_MAX:
                raise BrokenBook("No snapshot of the book came to begin with.")
            self._pending.append(update)
            return []
        return [update] if self._follow(update) else []

    def _is_too_old(self, snapshot: BookUpdate) -> bool:
        first = self._pending[0].follows if self._pending else None
        return first is not None and snapshot.seq is not None and snapshot.seq < first

    def _follow(self, update: BookUpdate) -> bool:
        """Apply a change; False when the book holds it already."""
        if update.is_torn:
            raise BrokenBook("Changes of the book are missing: one is about a level that there is not.")
        last, follows, seq = self._seq, update.follows, update.seq
        if last is not None and follows is not None and follows != last:
            # A number may start anew, but only right after the last: so that is looked at first. Only a
            # snapshot that was asked for meets changes that it holds already.
            if self._joins and seq is not None and seq <= last:
                return False
            if follows > last or not self._joins:
                raise BrokenBook(f"Changes of the book are missing between {last} and {follows}.")
        self.book.apply(update)
        if seq is not None:
            self._seq = seq
        self._verify(update)
        return True

    def _verify(self, update: BookUpdate) -> None:
        if self._checksum is None or update.checksum is None:
            return
        found = self._checksum(self.book)
        if found != update.checksum:
            raise BrokenBook(f"The book's checksum is {found} where the exchange has {update.checksum}.")
