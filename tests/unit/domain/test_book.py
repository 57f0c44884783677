"""Books: levels in order, messages in sequence."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dccd.domain.book import BookSync, BookUpdate, Level, OrderBook
from dccd.domain.errors import BrokenBook

PRICES = st.integers(1, 30).map(lambda tenths: f"{tenths / 10}")
AMOUNTS = st.sampled_from(["0", "0.00000000", "1.5", "2"])
LEVELS = st.lists(st.builds(Level, PRICES, AMOUNTS), max_size=8)


def update(seq: int | None = None, follows: int | None = None, *bids: tuple[str, str]) -> BookUpdate:
    return BookUpdate([Level(*bid) for bid in bids], [], seq=seq, follows=follows)


def snapshot(seq: int | None = None, *bids: tuple[str, str]) -> BookUpdate:
    return BookUpdate([Level(*bid) for bid in bids], [], is_snapshot=True, seq=seq)


@given(st.lists(st.tuples(LEVELS, LEVELS, st.booleans()), max_size=12))
def test_a_book_is_what_its_messages_leave(messages: list[tuple[list[Level], list[Level], bool]]) -> None:
    book, bids, asks = OrderBook(), dict[float, str](), dict[float, str]()
    for bid_levels, ask_levels, whole in messages:
        book.apply(BookUpdate(bid_levels, ask_levels, is_snapshot=whole))
        for side, levels in ((bids, bid_levels), (asks, ask_levels)):
            if whole:
                side.clear()
            for level in levels:
                side.pop(float(level.price), None)
                if float(level.amount):
                    side[float(level.price)] = level.amount
    assert [(float(each.price), each.amount) for each in book.best("bid")] == sorted(
        bids.items(), reverse=True
    )
    assert [(float(each.price), each.amount) for each in book.best("ask")] == sorted(asks.items())
    assert len(book) == len(bids) + len(asks)


def test_what_falls_out_of_a_shallow_book_does_not_come_back() -> None:
    book = OrderBook(depth=2)
    book.apply(snapshot(None, ("3", "1"), ("2", "1")))
    book.apply(update(None, None, ("4", "1")))
    assert [level.price for level in book.best("bid")] == ["4", "3"]
    book.apply(update(None, None, ("4", "0")))
    assert [level.price for level in book.best("bid")] == ["3"]


@pytest.mark.parametrize("level", [("nan", "1"), ("1", "inf"), ("-inf", "1"), ("1", "0.-1")])
def test_a_level_that_is_no_number(level: tuple[str, str]) -> None:
    with pytest.raises(BrokenBook, match="no number"):
        OrderBook().apply(update(None, None, level))


def test_changes_are_joined_to_a_snapshot_that_comes_later() -> None:
    sync = BookSync(joins=True)
    early = [update(11, 10, ("1", "1")), update(12, 11, ("2", "1")), update(15, 12, ("3", "1"))]
    assert [sync.take(each) for each in early] == [[], [], []]
    begun = snapshot(12, ("9", "9"))
    assert sync.take(begun) == [begun, early[2]]
    assert [level.price for level in sync.book.best("bid")] == ["9", "3"]


def test_a_snapshot_in_the_middle_of_a_change_is_joined() -> None:
    sync = BookSync(joins=True)
    assert sync.take(update(15, 10, ("1", "1"))) == []
    assert len(sync.take(snapshot(12, ("9", "9")))) == 2


def test_a_snapshot_older_than_the_changes_is_not_taken() -> None:
    sync = BookSync(joins=True)
    sync.take(update(15, 14, ("1", "1")))
    assert [sync.take(snapshot(seq)) for seq in (12, 13)] == [[], []]
    assert not sync.is_whole
    assert len(sync.take(snapshot(14))) == 2


def test_where_snapshots_come_by_themselves_what_is_before_belongs_to_an_older_one() -> None:
    sync = BookSync()
    assert sync.take(update(None, None, ("1", "1"))) == []
    sync.take(snapshot(None, ("2", "2")))
    assert [level.price for level in sync.book.best("bid")] == ["2"]


def test_a_missing_message() -> None:
    sync = BookSync()
    sync.take(snapshot(5))
    sync.take(update(6, 5))
    with pytest.raises(BrokenBook, match="missing between 6 and 7"):
        sync.take(update(8, 7))


def test_messages_that_the_book_holds_already_are_left_out() -> None:
    sync = BookSync(joins=True)
    sync.take(snapshot(9))
    assert sync.take(update(9, 8, ("1", "1"))) == []
    assert len(sync.book) == 0


@pytest.mark.parametrize(("seq", "follows"), [(9, 8), (5, 3), (12, 8)])
def test_where_snapshots_come_by_themselves_each_change_follows_the_last(seq: int, follows: int) -> None:
    """Numbers that began anew, unnoticed, would else be taken for old ones, or for known ones in part."""
    sync = BookSync()
    sync.take(snapshot(9))
    with pytest.raises(BrokenBook, match=f"missing between 9 and {follows}"):
        sync.take(update(seq, follows))


def test_numbers_may_start_anew_right_after_the_last() -> None:
    sync = BookSync()
    sync.take(snapshot(100))
    assert len(sync.take(update(3, 100))) == 1
    assert len(sync.take(update(4, 3))) == 1


def test_a_wrong_checksum() -> None:
    sync = BookSync(checksum=len)
    sync.take(BookUpdate([Level("1", "1")], [], is_snapshot=True, checksum=1))
    with pytest.raises(BrokenBook, match="checksum is 2 where the exchange has 1"):
        sync.take(BookUpdate([Level("2", "1")], [], checksum=1))


def test_a_wrong_checksum_of_a_snapshot() -> None:
    with pytest.raises(BrokenBook, match="checksum is 1 where the exchange has 2"):
        BookSync(checksum=len).take(BookUpdate([Level("1", "1")], [], is_snapshot=True, checksum=2))


def test_no_snapshot_ever() -> None:
    sync = BookSync(joins=True)
    counts = Counter(len(sync.take(update(n + 1, n))) for n in range(10_000))
    assert counts == {0: 10_000}
    with pytest.raises(BrokenBook, match="No snapshot"):
        sync.take(update(10_001, 10_000))


def test_a_change_of_a_level_that_there_is_not_tears_the_book() -> None:
    sync = BookSync()
    torn = BookUpdate([], [], is_torn=True)
    assert sync.take(torn) == []  # of an older book
    sync.take(snapshot(None, ("3", "1")))
    with pytest.raises(BrokenBook, match="missing"):
        sync.take(torn)
