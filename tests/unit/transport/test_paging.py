from __future__ import annotations

import asyncio
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import pytest

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.errors import MalformedPayload, NetworkError
from dccd.domain.instrument import Instrument
from dccd.domain.records import Columns
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import MINUTE_NS, S_NS
from dccd.domain.types import InstrumentType, Market
from dccd.sources.base import ByCursor, ById, ByWindow, Page, Request, Response, Target
from dccd.transport.paging import FetchedPage, IdHistory, by_cursor, by_id, by_window, finite
from dccd.transport.paging.by_window import windows
from dccd.transport.paging.pages import in_order

PAIR = Instrument("x", Symbol("BTC", "USDT"), "BTCUSDT", Market.SPOT, InstrumentType.SPOT)
BARS = Target(PAIR, Span.parse("1m"))
TRADES = Target(PAIR)


async def collected(pages: AsyncIterator[FetchedPage]) -> tuple[list[Any], IntervalSet, list[FetchedPage]]:
    """All rows' times, all coverage; each page's coverage begins where the one before ended."""
    every = [page async for page in pages]
    rows = [row for page in every for row in page.columns["ts"]]
    covered = IntervalSet()
    for page in every:
        assert page.rows == len(page.columns["ts"])
        covered |= page.covered
        assert len(covered) <= 1
    return rows, covered, every


@dataclass
class Bars:
    """An exchange with minute bars, which may be missing, answering as told.

    ``gives[n]`` says which of the rows of the n-th answer are given, by their places; all when left out.
    """

    ts: Sequence[int]
    most: int = 1000
    newest: bool = False
    gives: dict[int, Sequence[int]] = field(default_factory=dict)
    asked: list[tuple[int, int, int]] = field(default_factory=list)

    def request(self, target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
        return Request("x", "/", (("s", str(start_ns)), ("e", str(end_ns)), ("n", str(limit))))

    async def ask(self, request: Request, parse: Callable[[Response], Any]) -> Any:
        start_ns, end_ns, limit = (int(value) for _, value in request.query)
        given = self.gives.get(len(self.asked))
        self.asked.append((start_ns, end_ns, limit))
        await asyncio.sleep(0)
        found = self.ts[bisect_left(self.ts, start_ns) : bisect_left(self.ts, end_ns)]
        limit = min(limit, self.most)
        found = found[-limit:] if self.newest else found[:limit]
        if given is not None:
            found = [found[place] for place in given]
        return parse(Response(200, {}, b",".join(b"%d" % each for each in found)))

    def history(self, *, rows: int = 10, dense: bool = True, window_s: int | None = None) -> ByWindow:
        return ByWindow(
            request=self.request,
            parse=lambda target, r: {"ts": [int(each) for each in r.body.split(b",") if each]},
            rows={Market.SPOT: rows},
            window_s={Market.SPOT: window_s} if window_s else {},
            dense=dense,
        )


def minutes(*numbers: int) -> list[int]:
    return [number * MINUTE_NS for number in numbers]


async def test_windows_tile_the_range_and_come_in_order() -> None:
    bars = Bars(minutes(*range(100)))
    got = await collected(by_window(bars.ask, BARS, bars.history(), 5 * MINUTE_NS, 47 * MINUTE_NS, 4))
    assert got[0] == minutes(*range(5, 47))
    assert got[1] == IntervalSet.of(5 * MINUTE_NS, 47 * MINUTE_NS)
    assert [page.rows for page in got[2]] == [10, 10, 10, 10, 2]
    assert bars.asked[-1] == (45 * MINUTE_NS, 47 * MINUTE_NS, 2)


async def test_a_range_off_the_grid_gives_the_bars_that_open_in_it() -> None:
    bars = Bars(minutes(*range(10)))
    rows, covered, _ = await collected(by_window(bars.ask, BARS, bars.history(), 90 * S_NS, 270 * S_NS, 4))
    assert rows == minutes(2, 3, 4)
    assert covered == IntervalSet.of(90 * S_NS, 270 * S_NS)


@pytest.mark.parametrize("dense", [True, False])
async def test_two_empty_answers_are_covered(dense: bool) -> None:
    bars = Bars(minutes(0, 1, 95))
    history = bars.history(dense=dense)
    rows, covered, _ = await collected(by_window(bars.ask, BARS, history, 0, 100 * MINUTE_NS, 4))
    assert rows == minutes(0, 1, 95)
    assert covered == IntervalSet.of(0, 100 * MINUTE_NS)
    asked = Counter(bars.asked)
    assert [asked[start, start + 10 * MINUTE_NS, 10] for start in minutes(*range(0, 100, 10))] == [
        1, *[2] * 8, 1,
    ]  # fmt: skip


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("which", range(10))
async def test_one_empty_answer_loses_no_bars(which: int, dense: bool) -> None:
    bars = Bars(minutes(*range(100)), gives={which: range(0)})
    history = bars.history(dense=dense)
    rows, covered, _ = await collected(by_window(bars.ask, BARS, history, 0, 100 * MINUTE_NS, 4))
    assert rows == minutes(*range(100))
    assert covered == IntervalSet.of(0, 100 * MINUTE_NS)
    assert len(bars.asked) == 11


@pytest.mark.parametrize("left", [[0, 1, 2, 5, 6, 9], [9], [0], [2, 4, 6], [0, 1, 2, 3, 4, 6, 7, 8, 9]])
async def test_bars_that_one_answer_leaves_out_are_not_lost(left: list[int]) -> None:
    bars = Bars(minutes(*range(30)), gives={1: left})
    rows, covered, _ = await collected(by_window(bars.ask, BARS, bars.history(), 0, 30 * MINUTE_NS, 4))
    assert rows == minutes(*range(30))
    assert covered == IntervalSet.of(0, 30 * MINUTE_NS)


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("which", range(6))
async def test_a_page_cut_short_and_one_empty_answer_lose_no_bars(which: int, dense: bool) -> None:
    bars = Bars(minutes(*range(20)), most=6, gives={which: range(0)})
    history = bars.history(dense=dense)
    rows, covered, _ = await collected(by_window(bars.ask, BARS, history, 0, 20 * MINUTE_NS, 1))
    assert rows == minutes(*range(20))
    assert covered == IntervalSet.of(0, 20 * MINUTE_NS)


async def test_bars_that_two_answers_lack_are_missing() -> None:
    """As Binance's are, of the hours when it stood still: each gap costs one request more, two at an end."""
    there = [number for number in range(30) if number not in (12, 13, 17, 29)]
    bars = Bars(minutes(*there))
    rows, covered, _ = await collected(by_window(bars.ask, BARS, bars.history(), 0, 30 * MINUTE_NS, 4))
    assert rows == minutes(*there)
    assert covered == IntervalSet.of(0, 30 * MINUTE_NS)
    asked = [(0, 10, 10), (10, 20, 10), (12, 14, 2), (17, 18, 1), (20, 30, 10), *[(29, 30, 1)] * 2]
    assert sorted(bars.asked) == [(start * MINUTE_NS, end * MINUTE_NS, n) for start, end, n in asked]


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("newest", [False, True])
async def test_a_page_smaller_than_asked_for_leaves_no_hole(newest: bool, dense: bool) -> None:
    """Fault 1: an answer cut short, at its end or (as COIN-M does) at its beginning, is asked for again."""
    bars = Bars(minutes(*range(100)), most=3, newest=newest)
    history = bars.history(dense=dense)
    rows, covered, _ = await collected(by_window(bars.ask, BARS, history, 0, 100 * MINUTE_NS, 4))
    assert rows == minutes(*range(100))
    assert covered == IntervalSet.of(0, 100 * MINUTE_NS)


async def test_minutes_without_a_trade_within_a_page_are_not_asked_for_again() -> None:
    there = [number for number in range(30) if number not in (12, 13, 17, 29)]
    bars = Bars(minutes(*there))
    history = bars.history(dense=False)
    rows, covered, _ = await collected(by_window(bars.ask, BARS, history, 0, 30 * MINUTE_NS, 4))
    assert rows == minutes(*there)
    assert covered == IntervalSet.of(0, 30 * MINUTE_NS)
    asked = [(0, 10, 10), (10, 20, 10), (20, 30, 10), (29, 30, 1), (29, 30, 1)]
    assert sorted(bars.asked) == [(start * MINUTE_NS, end * MINUTE_NS, n) for start, end, n in asked]


async def test_rows_outside_of_the_window_are_left_out() -> None:
    bars = Bars(minutes(*range(30)))
    inner = bars.ask

    async def generous(request: Request, parse: Callable[[Response], Any]) -> Any:
        start_ns, end_ns, limit = (int(value) for _, value in request.query)
        wide = bars.request(BARS, start_ns - MINUTE_NS, end_ns + MINUTE_NS, limit + 2)
        return await inner(wide, parse)

    rows, _, _ = await collected(by_window(generous, BARS, bars.history(), 5 * MINUTE_NS, 25 * MINUTE_NS, 4))
    assert rows == minutes(*range(5, 25))


async def test_rows_out_of_order_are_an_error() -> None:
    bars = Bars(minutes(*range(10)))
    history = bars.history()
    backwards = ByWindow(
        request=history.request,
        parse=lambda target, r: {"ts": history.parse(target, r)["ts"][::-1]},
        rows=history.rows,
    )
    with pytest.raises(MalformedPayload, match="order of time"):
        await collected(by_window(bars.ask, BARS, backwards, 0, 10 * MINUTE_NS, 4))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
async def test_what_is_no_number_is_an_error(bad: float) -> None:
    for column in ([1.0, bad, 2.0], [bad], [1.0, None, bad]):
        with pytest.raises(MalformedPayload, match="price that is not a number"):
            finite({"ts": [1, 2, 3], "price": column})
    bars = Bars(minutes(*range(3)))
    history = replace(bars.history(), parse=lambda target, r: {"ts": minutes(0), "open": [bad]})
    with pytest.raises(MalformedPayload, match="open that is not a number"):
        await collected(by_window(bars.ask, BARS, history, 0, 3 * MINUTE_NS, 4))


def test_missing_numbers_are_no_fault() -> None:
    for column in ([], [None, None], [1.0, None], [None, 1.0], ["NaN"], [1e300, -1e300]):
        columns = {"ts": [1] * len(column), "price": column}
        assert finite(columns) is columns


def test_windows_respect_the_longest_an_exchange_accepts() -> None:
    week = Target(PAIR, Span.parse("1w"))
    day_s = 86_400
    found = list(windows(week, Bars([]).history(rows=499, window_s=200 * day_s), 0, 2000 * day_s * S_NS))
    assert max(stop - start for start, stop in found) <= 200 * day_s * S_NS
    assert [stop for _, stop in found[:-1]] == [start for start, _ in found[1:]]
    assert (found[0][0], found[-1][1]) == (0, 2000 * day_s * S_NS)


async def test_what_came_before_a_failure_stands_and_the_rest_is_cancelled() -> None:
    bars = Bars(minutes(*range(100)))

    async def failing(request: Request, parse: Callable[[Response], Any]) -> Any:
        start_ns = int(request.query[0][1])
        if start_ns == 30 * MINUTE_NS:
            raise NetworkError("cut")
        if start_ns > 30 * MINUTE_NS:
            await asyncio.Event().wait()
        return await bars.ask(request, parse)

    seen: list[Interval] = []
    with pytest.raises(NetworkError):  # noqa: PT012 (the loop is what raises)
        async for page in by_window(failing, BARS, bars.history(), 0, 100 * MINUTE_NS, 6):
            seen.extend(page.covered)
    assert IntervalSet(seen) == IntervalSet.of(0, 30 * MINUTE_NS)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_leaving_early_cancels_what_is_under_way() -> None:
    bars = Bars(minutes(*range(100)))
    pages = by_window(bars.ask, BARS, bars.history(), 0, 100 * MINUTE_NS, 6)
    async for _ in pages:
        break
    await pages.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_no_more_than_so_many_jobs_run_at_once() -> None:
    running = most = 0

    async def job(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(number % 7):
            await asyncio.sleep(0)
        running -= 1
        return number

    def bound(number: int) -> Callable[[], Any]:
        return lambda: job(number)

    assert [n async for n in in_order((bound(n) for n in range(50)), 5)] == list(range(50))
    assert most == 5


class Trades:
    """An exchange whose trades carry ids, some of which may be missing."""

    def __init__(self, rows: Sequence[tuple[int, int]], *, most: int = 10, window_s: int = 3600) -> None:
        self.rows, self.most, self.window_s = sorted(rows), most, window_s
        self.ids = [number for number, _ in self.rows]
        self.ts = [ts for _, ts in self.rows]
        self.asked: list[tuple[tuple[str, str], ...]] = []

    async def ask(self, request: Request, parse: Callable[[Response], Any]) -> Any:
        self.asked.append(request.query)
        await asyncio.sleep(0)
        query = {name: int(value) for name, value in request.query}
        limit = min(query["n"], self.most)
        if "id" in query:
            first = bisect_left(self.ids, query["id"])
            found = self.rows[first : first + limit]
        elif "s" in query:
            assert query["e"] - query["s"] <= self.window_s * S_NS
            first, stop = bisect_left(self.ts, query["s"]), bisect_left(self.ts, query["e"])
            found = self.rows[first:stop][:limit]
        else:
            found = self.rows[-limit:]
        return parse(Response(200, {}, repr(found).encode()))

    def history(self) -> ById:
        def parse(target: Target, response: Response) -> Columns:
            rows = eval(response.body)
            return {"ts": [ts for _, ts in rows], "tid_num": [number for number, _ in rows]}

        return ById(
            request=lambda target, number, n: Request("x", "/", (("id", str(number)), ("n", str(n)))),
            request_at=lambda target, s, e, n: Request(
                "x", "/", (("s", str(s)), ("e", str(e)), ("n", str(n)))
            ),
            latest=lambda target: Request("x", "/", (("n", "1"),)),
            parse=parse,
            rows=10,
            window_s=self.window_s,
        )

    async def fetched(self, start_ns: int, end_ns: int) -> tuple[list[int], IntervalSet, list[FetchedPage]]:
        pages = by_id(self.ask, TRADES, self.history(), start_ns, end_ns, 4)
        _, covered, every = await collected(pages)
        ids = [number for page in every if page.rows for number in page.columns["tid_num"]]
        for page in every:
            for ts in page.columns["ts"]:
                assert start_ns <= ts < end_ns  # type: ignore[operator]
        return ids, covered, every  # type: ignore[return-value]


def made_trades(seed: int, *, missing: bool) -> list[tuple[int, int]]:
    """Bursts of many trades in one instant, quiet hours, and ids that are not there."""
    draw, ts, rows = random.Random(seed), 1000 * S_NS, []
    for number in range(5000, 5400):
        ts += draw.choice([0, 0, 0, 1, S_NS, 60 * S_NS, 9000 * S_NS])
        if not (missing and draw.random() < 0.3):
            rows.append((number, ts))
    return rows


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("seed", range(8))
async def test_every_trade_of_any_range_and_no_other(seed: int, missing: bool) -> None:
    """Fault 1: more fills in one instant than a page holds cannot be lost, as pages go by id."""
    rows = made_trades(seed, missing=missing)
    draw = random.Random(seed)
    moments = [0, *(ts + draw.choice([-1, 0, 1]) for _, ts in rows), rows[-1][1] + 9000 * S_NS]
    for _ in range(12):
        start_ns, end_ns = sorted(draw.sample(moments, 2))
        exchange = Trades(rows)
        ids, covered, pages = await exchange.fetched(start_ns, end_ns)
        assert ids == [number for number, ts in rows if start_ns <= ts < end_ns]
        assert covered == IntervalSet.of(start_ns, end_ns)
        told = IntervalSet()
        arrived: set[object] = set()
        for page in pages:  # never ahead of what has arrived
            told |= page.covered
            arrived |= set(page.columns.get("tid_num", ()))
            assert arrived >= {number for number, ts in rows if ts in told}


async def test_pages_that_shrink_leave_no_hole() -> None:
    """Fault 1: an exchange that answers with fewer rows than asked for."""
    rows = [(number, number * S_NS) for number in range(100)]
    exchange = Trades(rows, most=3)
    ids, covered, _ = await exchange.fetched(0, 95 * S_NS)
    assert ids == list(range(95))
    assert covered == IntervalSet.of(0, 95 * S_NS)


async def outcome(exchange: Trades, start_ns: int, end_ns: int) -> tuple[list[int], IntervalSet] | None:
    """Rows and coverage; None where the answers were said to be malformed, with nothing wrongly covered."""
    try:
        return (await exchange.fetched(start_ns, end_ns))[:2]
    except MalformedPayload:
        return None


@pytest.mark.parametrize("retried", [True, False])
async def test_an_empty_answer_is_never_taken_for_missing_trades(retried: bool) -> None:
    """Whichever answer of a download comes empty by mistake: the page is asked again, or the run fails."""
    rows = [(number, (number + (10**6 if number > 50 else 0)) * S_NS) for number in range(100)]
    whole = Trades(rows, window_s=60)
    start_ns, end_ns = 300_000 * S_NS, (10**6 + 90) * S_NS
    expected = await outcome(whole, start_ns, end_ns)
    assert expected == (list(range(51, 90)), IntervalSet.of(start_ns, end_ns))
    failed = 0
    for which in range(len(whole.asked)):
        exchange = Trades(rows, window_s=60)

        async def mistaken(
            request: Request,
            parse: Callable[[Response], Any],
            inner: Callable[..., Any] = exchange.ask,
            asked: list[Any] = exchange.asked,
            which: int = which,
        ) -> Any:
            if len(asked) == which:
                asked.append(request.query)
                try:
                    return parse(Response(200, {}, b"[]"))
                except MalformedPayload:
                    if not retried:
                        raise
            return await inner(request, parse)

        exchange.ask = mistaken  # type: ignore[method-assign]
        got = await outcome(exchange, start_ns, end_ns)
        assert got in ((expected,) if retried else (expected, None))
        failed += got is None
    assert failed == 0 if retried else failed >= 5


async def test_a_first_id_that_is_not_served_is_no_proof_of_nothing() -> None:
    exchange = Trades([(number, number * S_NS) for number in range(100)])
    inner = exchange.ask

    async def forgetful(request: Request, parse: Callable[[Response], Any]) -> Any:
        if request.query[0] == ("id", "0"):
            return parse(Response(200, {}, b"[]"))
        return await inner(request, parse)

    exchange.ask = forgetful  # type: ignore[method-assign]
    with pytest.raises(MalformedPayload, match="none from the first id on"):
        await exchange.fetched(0, 50 * S_NS)


async def test_no_trades_at_all_is_covered_and_empty() -> None:
    assert (await Trades([]).fetched(0, 10))[:2] == ([], IntervalSet.of(0, 10))
    assert (await Trades([(1, 5)]).fetched(6, 10))[:2] == ([], IntervalSet.of(6, 10))
    assert (await Trades([(1, 5)]).fetched(0, 5))[:2] == ([], IntervalSet.of(0, 5))


async def test_a_quiet_stretch_is_crossed_in_few_requests() -> None:
    rows = [(number, (number + (10**6 if number > 50_000 else 0)) * S_NS) for number in range(100_000)]
    exchange = Trades(rows, window_s=60)
    ids = IdHistory(exchange.ask, TRADES, exchange.history())
    found = await ids.locate(300_000 * S_NS, 2_000_000 * S_NS)
    assert found is not None
    assert (found.first_id, found.stop_id) == (50_001, 100_000)
    assert len(exchange.asked) < 40


async def test_rows_from_before_the_id_asked_for_are_an_error() -> None:
    exchange = Trades([(number, number * S_NS) for number in range(100)])
    inner = exchange.ask

    async def stuck(request: Request, parse: Callable[[Response], Any]) -> Any:
        if request.query == (("id", "30"), ("n", "10")):
            request = Request("x", "/", (("id", "20"), ("n", "10")))
        return await inner(request, parse)

    exchange.ask = stuck  # type: ignore[method-assign]
    with pytest.raises(MalformedPayload, match="from id 30 on begin at 20"):
        await exchange.fetched(0, 50 * S_NS)


def cursors(answers: dict[str, tuple[list[int], str | None]]) -> tuple[Any, ByCursor]:
    async def ask(request: Request, parse: Callable[[Response], Any]) -> Any:
        return parse(Response(200, {"next": request.path}, b""))

    history = ByCursor(
        start=lambda target, start_ns, end_ns: "a",
        request=lambda target, cursor, start_ns, end_ns: Request("x", cursor),
        parse=lambda target, response, cursor: Page(
            {"ts": answers[response.headers["next"]][0]}, answers[cursor][1]
        ),
        rows=3,
        typical_s=1.0,
    )
    return ask, history


async def test_cursors_are_followed_to_the_end() -> None:
    ask, history = cursors({"a": ([1, 2, 3], "b"), "b": ([4, 5, 9], "c"), "c": ([], None)})
    rows, covered, pages = await collected(by_cursor(ask, TRADES, history, 0, 9))
    assert rows == [1, 2, 3, 4, 5]
    assert covered == IntervalSet.of(0, 9)
    assert [tuple(page.covered) for page in pages[:1]] == [(Interval(0, 3),)]


@pytest.mark.parametrize("mistaken", [0, 1])
async def test_an_empty_last_page_is_asked_for_again(mistaken: int) -> None:
    ask, history = cursors({"a": ([1, 2, 3], "b"), "b": ([4, 5], None)})
    parse, answers = history.parse, count()

    def forgetful(target: Target, response: Response, cursor: str) -> Page:
        return Page({"ts": []}, None) if next(answers) == mistaken else parse(target, response, cursor)

    pages = by_cursor(ask, TRADES, replace(history, parse=forgetful), 0, 9)
    rows, covered, _ = await collected(pages)
    assert rows == [1, 2, 3, 4, 5]
    assert covered == IntervalSet.of(0, 9)


async def test_a_cursor_that_repeats_is_an_error() -> None:
    ask, history = cursors({"a": ([1, 2], "b"), "b": ([3], "a")})
    with pytest.raises(MalformedPayload, match="twice"):
        await collected(by_cursor(ask, TRADES, history, 0, 9))


async def test_an_empty_page_that_goes_on_is_passed_over_and_proves_nothing() -> None:
    ask, history = cursors({"a": ([1], "b"), "b": ([], "c"), "c": ([3], None)})
    rows, covered, pages = await collected(by_cursor(ask, TRADES, history, 0, 10))
    assert rows == [1, 3]
    assert covered == IntervalSet.of(0, 10)
    assert [page.covered for page in pages] == [
        IntervalSet.of(0, 1),
        IntervalSet(),
        IntervalSet.of(1, 10),
    ]
