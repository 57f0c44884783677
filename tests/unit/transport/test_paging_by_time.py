"""Rows that can be asked for by time alone: many of one instant, and few that nobody knows the times of."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import MalformedPayload
from dccd.domain.timeutils import HOUR_NS, MS_NS, S_NS
from dccd.sources.base import ByTile, ByTime, Request, Response
from dccd.transport.paging import by_tile, by_time
from tests.unit.transport.test_paging import TRADES, collected


@dataclass
class Trades:
    """An exchange that gives trades by time, in milliseconds, oldest or newest first.

    ``gives[n]`` says how many rows of the n-th answer are given, ``most`` how many of any. Rows of
    `early_ns` before are given too where it goes by other times than it tells, and those `on` past the end.
    """

    ts: list[int]
    most: int
    newest: bool = False
    early_ns: int = 0
    on: bool = False
    gives: dict[int, int] = field(default_factory=dict)
    asked: list[tuple[int, int, int]] = field(default_factory=list)

    def request(self, target: Any, start_ns: int, end_ns: int, limit: int) -> Request:
        return Request("x", "/", (("s", str(start_ns)), ("e", str(end_ns)), ("n", str(limit)), ("o", "0")))

    def request_more(self, target: Any, ts_ns: int, offset: int, limit: int) -> Request:
        query = (("s", str(ts_ns)), ("e", str(ts_ns + MS_NS)), ("n", str(limit)), ("o", str(offset)))
        return Request("x", "/", query)

    async def ask(self, request: Request, parse: Callable[[Response], Any]) -> Any:
        start_ns, end_ns, limit, offset = (int(value) for _, value in request.query)
        if offset == 0:
            assert start_ns % MS_NS == 0
            start_ns, end_ns = start_ns - self.early_ns, 10**18 if self.on else end_ns
        found = self.ts[bisect_left(self.ts, start_ns) : bisect_left(self.ts, end_ns)][offset:]
        limit = min(limit, self.most, self.gives.get(len(self.asked), limit))
        self.asked.append((start_ns, end_ns, limit))
        found = found[-limit:] if self.newest and limit else found[:limit]
        return parse(Response(200, {}, b",".join(b"%d" % each for each in found)))

    def by_time(self, *, more: bool = False) -> ByTime:
        return ByTime(
            request=self.request, parse=parse, rows=self.most, typical_s=1,
            request_more=self.request_more if more else None,
        )  # fmt: skip

    def by_tile(self, every_s: float) -> ByTile:
        def request(target: Any, start_ns: int, end_ns: int, limit: int) -> Request:
            return self.request(target, start_ns // MS_NS * MS_NS, end_ns, limit)  # asked for by milliseconds

        return ByTile(request=request, parse=parse, rows=self.most, every_s=every_s)


def parse(target: Any, response: Response) -> dict[str, list[int]]:
    return {"ts": [int(each) for each in response.body.split(b",") if each]}


def ms(*numbers: int) -> list[int]:
    return [number * MS_NS for number in numbers]


async def test_an_instant_that_a_page_cuts_comes_whole() -> None:
    trades = Trades(ms(1, 2, 2, 3, 3, 3, 4), most=4)
    rows, covered, pages = await collected(by_time(trades.ask, TRADES, trades.by_time(), 0, 10 * MS_NS))
    assert rows == trades.ts
    assert covered == IntervalSet.of(0, 10 * MS_NS)
    assert [page.rows for page in pages] == [3, 3, 1, 0]
    assert [page.covered.end_ns for page in pages] == ms(3, 4, 5, 10)


async def test_an_instant_larger_than_a_page_is_had_by_its_offset() -> None:
    trades = Trades(ms(1, *[2] * 9, 5), most=4)
    history = trades.by_time(more=True)
    rows, covered, _ = await collected(by_time(trades.ask, TRADES, history, 0, 10 * MS_NS))
    assert rows == trades.ts
    assert covered == IntervalSet.of(0, 10 * MS_NS)


async def test_an_instant_that_cannot_be_had_whole_is_not_covered() -> None:
    trades = Trades(ms(1, *[2] * 9, 5), most=4)
    pages = [page async for page in by_time(trades.ask, TRADES, trades.by_time(), 0, 10 * MS_NS)]
    covered = IntervalSet(each for page in pages for each in page.covered)
    assert covered == IntervalSet([(0, 2 * MS_NS), (3 * MS_NS, 10 * MS_NS)])
    assert [row for page in pages for row in page.columns["ts"]] == ms(1, 2, 2, 2, 2, 5)
    (note,) = (page.note for page in pages if page.note is not None)
    assert "1970-01-01T00:00:00.002" in note


@pytest.mark.parametrize(
    "gives", [{0: 3, 1: 3}, {1: 3}, dict.fromkeys(range(40), 3)], ids=["two", "one", "all"]
)
@pytest.mark.parametrize("more", [True, False])
@pytest.mark.parametrize("after", [(), (5,)], ids=["last", "not last"])
async def test_pages_that_become_smaller_than_an_instant_hide_no_row(
    gives: dict[int, int], more: bool, after: tuple[int, ...]
) -> None:
    """Nine rows of an instant, and pages of three where twenty were asked for."""
    trades = Trades(ms(1, *[2] * 9, *after), most=20, gives=gives)
    pages = [page async for page in by_time(trades.ask, TRADES, trades.by_time(more=more), 0, 10 * MS_NS)]
    covered = IntervalSet(each for page in pages for each in page.covered)
    rows = [row for page in pages for row in page.columns["ts"]]
    is_whole = more or (gives == {1: 3} and bool(after))  # what is read twice is the instant after it
    lost = IntervalSet() if is_whole else IntervalSet.of(2 * MS_NS, 3 * MS_NS)
    assert covered == IntervalSet.of(0, 10 * MS_NS) - lost
    assert [ts for ts in rows if ts in covered] == [ts for ts in trades.ts if ts in covered]


async def test_one_empty_answer_is_no_end() -> None:
    trades = Trades(ms(*range(10)), most=4, gives={1: 0})
    rows, covered, _ = await collected(by_time(trades.ask, TRADES, trades.by_time(), 0, 20 * MS_NS))
    assert rows == trades.ts
    assert covered == IntervalSet.of(0, 20 * MS_NS)


async def test_nothing_at_all_is_believed_when_it_is_said_twice() -> None:
    trades = Trades([], most=4)
    rows, covered, _ = await collected(by_time(trades.ask, TRADES, trades.by_time(), 0, 20 * MS_NS))
    assert (rows, covered, len(trades.asked)) == ([], IntervalSet.of(0, 20 * MS_NS), 2)


@pytest.mark.parametrize("early", [0, 1, 2])
async def test_rows_of_before_and_after_are_left_out(early: int) -> None:
    """A row of after shows that all of before it came."""
    trades = Trades(ms(1, 2, 2, 3, 3, 4, 4, 4, 5, 5, 6, 7), most=8, early_ns=early * MS_NS, on=True)
    rows, covered, _ = await collected(by_time(trades.ask, TRADES, trades.by_time(), 2 * MS_NS, 6 * MS_NS))
    assert rows == ms(2, 2, 3, 3, 4, 4, 4, 5, 5)
    assert covered == IntervalSet.of(2 * MS_NS, 6 * MS_NS)
    assert len(trades.asked) <= 3


async def test_a_page_full_of_rows_of_before_is_no_end() -> None:
    trades = Trades(ms(1, 2, 3, 3, 3, 3, 4), most=4, early_ns=MS_NS)
    with pytest.raises(MalformedPayload, match="full of rows of before"):
        await collected(by_time(trades.ask, TRADES, trades.by_time(), 4 * MS_NS, 10 * MS_NS))


async def test_rows_of_before_make_a_page_no_less_full() -> None:
    """Three rows of the second instant come after one of the first: there may be more of them."""
    trades = Trades(ms(1, *[2] * 9, 5), most=4, early_ns=MS_NS)
    covered = IntervalSet()
    with pytest.raises(MalformedPayload):  # noqa: PT012 (the loop is what raises)
        async for page in by_time(trades.ask, TRADES, trades.by_time(), 2 * MS_NS, 10 * MS_NS):
            covered |= page.covered
    assert not covered


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 60), max_size=60),
    st.integers(0, 30),
    st.integers(1, 70),
    st.integers(2, 9),
    st.dictionaries(st.integers(0, 20), st.integers(1, 8), max_size=5),
)
async def test_every_row_of_any_range_however_short_the_pages(
    times: list[int], start: int, length: int, most: int, gives: dict[int, int]
) -> None:
    trades = Trades(sorted(ms(*times)), most=most, gives=gives)
    start_ns, end_ns = start * MS_NS, (start + length) * MS_NS
    wanted = [ts for ts in trades.ts if start_ns <= ts < end_ns]
    pages = [p async for p in by_time(trades.ask, TRADES, trades.by_time(more=True), start_ns, end_ns)]
    covered = IntervalSet(each for page in pages for each in page.covered)
    got = Counter(row for page in pages for row in page.columns["ts"])
    smallest_page = min([*gives.values(), most])
    for ts, count in Counter(wanted).items():
        # Of an instant, and of it alone, what an answer leaves out cannot be known of.
        assert got[ts] == count if count < smallest_page or not gives else got[ts] <= count
    assert covered == IntervalSet.of(start_ns, end_ns)


async def test_tiles_hold_what_comes_no_faster_than_it_may() -> None:
    trades = Trades([n * 8 * HOUR_NS for n in range(100)], most=10, newest=True)
    history = trades.by_tile(8 * 3600)
    rows, covered, _ = await collected(by_tile(trades.ask, TRADES, history, 0, 800 * HOUR_NS, 4))
    assert rows == trades.ts
    assert covered == IntervalSet.of(0, 800 * HOUR_NS)
    assert len(trades.asked) == 12


@pytest.mark.parametrize("newest", [True, False])
async def test_rows_that_come_faster_halve_the_tile(newest: bool) -> None:
    trades = Trades([n * HOUR_NS for n in range(100)], most=10, newest=newest)
    history = trades.by_tile(8 * 3600)
    rows, covered, _ = await collected(by_tile(trades.ask, TRADES, history, 0, 100 * HOUR_NS, 4))
    assert rows == trades.ts
    assert covered == IntervalSet.of(0, 100 * HOUR_NS)


@pytest.mark.parametrize("newest", [True, False])
async def test_a_tile_of_which_a_page_leaves_an_end_out_is_whole(newest: bool) -> None:
    trades = Trades(
        [n * HOUR_NS for n in range(100)], most=30, newest=newest, gives=dict.fromkeys(range(99), 7)
    )
    rows, covered, _ = await collected(by_tile(trades.ask, TRADES, trades.by_tile(3600), 0, 100 * HOUR_NS, 1))
    assert rows == trades.ts
    assert covered == IntervalSet.of(0, 100 * HOUR_NS)


async def test_an_empty_tile_is_asked_for_again() -> None:
    trades = Trades([n * HOUR_NS for n in range(20)], most=30, gives={0: 0})
    history = trades.by_tile(3600)
    rows, _, _ = await collected(by_tile(trades.ask, TRADES, history, 0, 20 * HOUR_NS, 1))
    assert rows == trades.ts


async def test_more_rows_in_a_second_than_a_page_holds_are_an_error() -> None:
    trades = Trades([S_NS] * 11, most=10)
    with pytest.raises(MalformedPayload, match="More rows than a page holds"):
        await collected(by_tile(trades.ask, TRADES, trades.by_tile(3600), 0, HOUR_NS, 1))
