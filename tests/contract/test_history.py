"""What every exchange's past has to hold, each data type in each of its markets, against its stand-in."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import pytest

from dccd.application.bound_source import BoundSource, FetchedPage
from dccd.application.service_factory import SOURCES
from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import ExchangeError, MalformedPayload, NoCapability, UnknownSymbol
from dccd.domain.instrument import Instrument
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS, MS_NS, S_NS, parse_time
from dccd.domain.types import DataType, InstrumentType, Market, Mode, Transport
from dccd.sources.base import ByCursor, ByTile, ByTime, Latest, Snapshot, Source, Target
from tests.contract.kit import (
    SKEW_NS,
    Canned,
    Clock,
    Fetched,
    assert_rows,
    assert_safe,
    assert_whole,
    bound,
    expected_opens,
    parser,
)
from tests.contract.truth import TRUTHS, Row, Truth
from tests.exchanges import engine
from tests.exchanges.engine import Fault

NOW_NS = parse_time("2026-03-03T12:34:56.789Z")  # a Tuesday
LATE_NS = parse_time("2026-03-03")  # all that is asked for ends before it, and has long settled
SERIES = (DataType.OHLC, DataType.OPEN_INTEREST)  # with a span


@dataclass(frozen=True, slots=True)
class Case:
    """A data type of an exchange in one of its markets."""

    source: Source
    market: Market
    data_type: DataType
    spans: tuple[str, ...]
    lookback_s: int | None
    depths: tuple[int, ...]

    @property
    def id(self) -> str:
        """Names the case in tests."""
        return f"{self.source.id}-{self.market}-{self.data_type}"

    @property
    def history(self) -> Any:
        """How it is asked for."""
        return self.source.history[self.data_type]

    @property
    def rows(self) -> int:
        """Of a page at most."""
        rows = self.history.rows
        return rows[self.market] if isinstance(rows, Mapping) else rows

    @property
    def span(self) -> str | None:
        """One of its spans: a minute where there is one."""
        return next((span for span in ("1m", *self.spans) if span in self.spans), None)

    @property
    def depth(self) -> int | None:
        """Of books the least."""
        return self.depths[0] if self.depths else None

    @property
    def truth(self) -> Truth:
        """What its stand-in has."""
        return TRUTHS[self.source.id]


def _cases() -> Iterator[Case]:
    for source in SOURCES:
        served = [
            each
            for each in source.capabilities
            if each.mode is Mode.HISTORICAL and each.transport is Transport.REST
        ]
        for data_type in source.history:
            for market in Market:
                mine = [each for each in served if each.data_type is data_type and market in each.markets]
                if mine:
                    spans = [span for each in mine for span in each.spans.get(market, ())]
                    yield Case(source, market, data_type, tuple(spans), mine[0].lookback_s, mine[0].depths)


CASES = tuple(_cases())
PAGED = [case for case in CASES if not isinstance(case.history, Latest | Snapshot)]
LATEST = [case for case in CASES if isinstance(case.history, Latest)]
BOOKS = [case for case in CASES if isinstance(case.history, Snapshot)]
BARS = [case for case in CASES if case.data_type is DataType.OHLC]


@dataclass(slots=True)
class Rig:
    """A case with its stand-in: what it has, and what is fetched from it."""

    case: Case
    stand_in: Any
    clock: Clock
    instrument: Instrument
    source: Source
    got: Fetched = field(default_factory=Fetched)

    def dataset(self, span: str | None = None) -> DatasetId:
        span = span or self.case.span
        case = self.case
        return DatasetId(
            case.source.id, self.instrument.symbol, case.data_type, Span.parse(span) if span else None
        )

    async def fetch(self, start_ns: int, end_ns: int, span: str | None = None) -> Fetched:
        """A range, by a source that knows nothing of what was fetched before; `got` is there at once."""
        self.clock.ns += MINUTE_NS  # what the last one has asked counts at the exchange
        source = bound(self.source, self.stand_in.url, self.clock)
        self.got = Fetched()
        try:
            async for page in source.history(self.dataset(span), self.instrument, start_ns, end_ns):
                self.got.add(page)
        finally:
            await source.aclose()
        if self.got.ts:
            assert_rows(self.case.data_type, self.got.columns)
            assert start_ns <= self.got.ts[0] <= self.got.ts[-1] < end_ns
        return self.got

    async def book(self, depth: int) -> FetchedPage:
        """A book, by a source that knows nothing of before."""
        self.clock.ns += MINUTE_NS
        source = bound(self.source, self.stand_in.url, self.clock)
        dataset = DatasetId(self.source.id, self.instrument.symbol, DataType.ORDERBOOK, depth=depth)
        (page,) = [page async for page in source.history(dataset, self.instrument, 0, NOW_NS)]
        await source.aclose()
        return page

    def true_rows(self, start_ns: int, end_ns: int, span: str | None = None) -> list[Row]:
        """What the stand-in has by now."""
        case, truth = self.case, self.case.truth
        end_ns = min(end_ns, self.now_ns)
        first_ns = truth.first_ns(self.stand_in, self.instrument)
        if case.data_type is DataType.TRADES:
            return truth.trades(self.stand_in, self.instrument, start_ns, end_ns)
        if case.data_type is DataType.FUNDING:
            every_ns, later_ns = truth.funding_h * HOUR_NS, truth.funding_later_h * HOUR_NS
            place = -(-max(start_ns - later_ns, first_ns) // every_ns)
            return [(at_ns, None) for at_ns in range(place * every_ns + later_ns, end_ns, every_ns)]
        span = span or case.span
        assert span is not None
        anchor_ns = truth.anchors_ns.get(span)
        first_ns = Span.parse(span).floor(first_ns, anchor_ns)
        return [(ns, None) for ns in expected_opens(span, max(start_ns, first_ns), end_ns, anchor_ns)]

    @property
    def now_ns(self) -> int:
        """The exchange's time."""
        own = getattr(self.stand_in, "now_ns", None)
        return own() if own else self.stand_in.now_ms * MS_NS

    @property
    def every_ns(self) -> int:
        """From one row to the next; of trades more than most are apart."""
        if self.case.data_type is DataType.TRADES:
            return 10 * S_NS
        if self.case.data_type is DataType.FUNDING:
            return self.case.truth.funding_h * HOUR_NS
        assert self.case.span is not None
        return Span.parse(self.case.span).nominal_ns

    def rows(self, got: Fetched) -> list[Row]:
        """What was fetched; of rates and the like the minute, as some come a little later."""
        if self.case.data_type is not DataType.TRADES:
            return [(ns // self.fine_ns * self.fine_ns, None) for ns in got.ts]
        ids = got.columns.get("tid_num") or got.columns.get("tid") or []
        return list(zip(got.ts, ids, strict=True))

    @property
    def fine_ns(self) -> int:
        """How exactly the times of rows are known here."""
        return 1 if self.case.data_type in (DataType.OHLC, DataType.TRADES) else MINUTE_NS

    def assert_true(self, got: Fetched, start_ns: int, end_ns: int, span: str | None = None) -> None:
        """All that is covered has the stand-in's rows, and none are of others."""
        every = set(self.true_rows(start_ns // self.fine_ns * self.fine_ns, end_ns, span))
        rows = set(self.rows(got))
        assert rows <= every
        covered = {row for row in every if got.covered.covers(row[0], row[0] + self.fine_ns)}
        assert covered <= rows

    def assert_whole(self, got: Fetched, start_ns: int, end_ns: int, span: str | None = None) -> None:
        """That, nothing twice, and all is covered."""
        self.assert_true(got, start_ns, end_ns, span)
        assert len(set(self.rows(got))) == len(got.ts)
        assert got.covered == IntervalSet.of(start_ns, end_ns)

    def range_of(self, rows: int) -> tuple[int, int]:
        """A range with at least so many rows."""
        case = self.case
        if case.data_type is DataType.TRADES:
            start_ns = LATE_NS - HOUR_NS + 500_001
            length_ns = 8 * S_NS
            while len(self.true_rows(start_ns, start_ns + length_ns)) < rows:
                length_ns *= 2
            return start_ns, start_ns + length_ns
        return LATE_NS - rows * self.every_ns, LATE_NS

    def asks_for_rows(self, request: engine.Request) -> bool:
        """Whether a request is none for the clock or for instruments."""
        source = self.case.source
        others = [host.clock for host in source.hosts.values() if host.clock]
        others += [listing.request for listing in source.listings]
        return request.path not in {other.path for other in others}

    def give(self, rows: int) -> None:
        """The exchange gives no more rows on a page."""
        self.stand_in.rows_most = rows * self.case.truth.answer_rows.get(self.case.data_type, 1)

    def ask_for(self, rows: int) -> None:
        """Pages of so many rows are asked for, where that can be said."""
        history, target = self.case.history, Target(self.instrument)
        if isinstance(history, ByCursor) or (
            isinstance(history, ByTile)
            and history.request(target, 0, S_NS, 5) == history.request(target, 0, S_NS, 6)
        ):
            return
        most: Any = dict.fromkeys(history.rows, rows) if isinstance(history.rows, Mapping) else rows
        small = {**self.case.source.history, self.case.data_type: replace(history, rows=most)}
        self.source = replace(self.case.source, history=small)


@asynccontextmanager
async def running(case: Case, skew_ns: int = SKEW_NS) -> AsyncIterator[Rig]:
    clock = Clock(NOW_NS, skew_ns)
    async with case.truth.stand_in(clock) as stand_in:
        source = bound(case.source, stand_in.url, clock)
        every = [
            each for each in await source.instruments()
            if each.market is case.market and each.active and each.type is not InstrumentType.FUTURE
        ]  # fmt: skip
        await source.aclose()
        yield Rig(case, stand_in, clock, every[0], case.source)
        assert not getattr(
            stand_in, "refused", None
        )  # never too many requests, nor any that it does not know


@pytest.fixture
async def rig(case: Case) -> AsyncIterator[Rig]:
    async with running(case) as made:
        yield made


def each(cases: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.id)


@each(PAGED)
async def test_a_range_over_two_pages(rig: Rig) -> None:
    """As it is asked for: pages as large as the exchange gives them, up to some thousands of rows."""
    most = {DataType.OHLC: 2500, DataType.TRADES: 2500, DataType.FUNDING: 300}.get(rig.case.data_type, 700)
    start_ns, end_ns = rig.range_of(min(most, rig.case.rows * 4 // 3))
    start_ns = max(start_ns, LATE_NS - (rig.case.lookback_s or 10**9) * S_NS + DAY_NS)
    rig.assert_whole(await rig.fetch(start_ns, end_ns), start_ns, end_ns)
    assert len(rig.got.ts) > 1
    assert set(rig.stand_in.statuses) == {200}


def largest_instant(rig: Rig) -> int:
    if rig.case.data_type is not DataType.TRADES:
        return 1
    start_ns, end_ns = rig.range_of(1000)
    return max(Counter(row[0] for row in rig.true_rows(start_ns, end_ns)).values())


@each([case for case in PAGED if case.data_type is DataType.TRADES])
async def test_an_instant_larger_than_a_page(rig: Rig) -> None:
    """Fault 1: more trades of one time than a page holds."""
    page = min(rig.case.rows, 1 + largest_instant(rig) // 2)
    rig.give(page)
    rig.ask_for(page)
    start_ns, end_ns = rig.range_of(max(8 * page, 50))
    if rig.case.truth.stuck == "error":
        with pytest.raises(MalformedPayload, match="full of rows of before"):
            await rig.fetch(start_ns, end_ns)
    else:
        await rig.fetch(start_ns, end_ns)
    if rig.case.truth.stuck is None:
        rig.assert_whole(rig.got, start_ns, end_ns)
    else:
        rig.assert_true(rig.got, start_ns, end_ns)
        assert 0 < rig.got.covered.length_ns < end_ns - start_ns
    assert sum(map(rig.asks_for_rows, rig.stand_in.log)) > 2


@each(PAGED)
@pytest.mark.parametrize("after", [0, 3])
async def test_a_page_that_shrinks(rig: Rig, after: int) -> None:
    """From the beginning on, or on the way: it has fewer rows than were asked for and allowed."""
    page = 6 + (largest_instant(rig) if isinstance(rig.case.history, ByTime) else 0)
    start_ns, end_ns = rig.range_of(8 * page)
    rig.ask_for(min(rig.case.rows, 3 * page))
    asked = 0

    def shrink(request: engine.Request) -> bool:
        nonlocal asked
        asked += rig.asks_for_rows(request)
        if asked > after:
            rig.give(page)
        return False

    rig.stand_in.faults.append(Fault("answer", when=shrink))
    rig.assert_whole(await rig.fetch(start_ns, end_ns), start_ns, end_ns)


def cut_to(rows: int, response: engine.Response) -> engine.Response:
    """The same answer with so many rows, and no word of more: its outermost lists are cut."""

    def cut(part: Any) -> None:
        if isinstance(part, list):
            del part[rows:]
        elif isinstance(part, dict):
            lists = [each for each in part.values() if isinstance(each, list) and each]
            for each in lists or part.values():
                cut(each)

    told = json.loads(response.body)
    cut(told)
    return engine.Response(json.dumps(told, separators=(",", ":")).encode(), response.status)


@each(PAGED)
async def test_no_single_empty_answer_empties_a_range(rig: Rig) -> None:
    """Whichever of the requests it meets: the first row's, a moment's, a page's."""
    page = 6 + (largest_instant(rig) if isinstance(rig.case.history, ByTime) else 0)
    rig.give(page)
    rig.ask_for(min(rig.case.rows, page))
    start_ns, end_ns = rig.range_of(3 * page)
    rig.stand_in.log.clear()
    rig.assert_whole(await rig.fetch(start_ns, end_ns), start_ns, end_ns)
    asked = sum(map(rig.asks_for_rows, rig.stand_in.log))
    assert asked
    for after in range(asked):
        empty = Fault("answer", when=rig.asks_for_rows, after=after, change=partial(cut_to, 0))
        rig.stand_in.faults[:] = [empty]
        rig.assert_whole(await rig.fetch(start_ns, end_ns), start_ns, end_ns)
        assert empty.times == 0


@each(PAGED)
async def test_what_breaks_on_its_way_is_fetched_again(rig: Rig) -> None:
    rig.give(20)
    rig.ask_for(min(rig.case.rows, 20))
    start_ns, end_ns = rig.range_of(60)
    kinds: tuple[Literal["reset", "close", "truncate"], ...] = ("reset", "close", "truncate")
    for place, kind in enumerate(kinds):
        rig.stand_in.faults.append(Fault(kind, when=rig.asks_for_rows, after=place))
    rig.assert_whole(await rig.fetch(start_ns, end_ns), start_ns, end_ns)
    assert rig.stand_in.faults[0].times == 0
    getattr(rig.stand_in, "refused", []).clear()  # aiohttp asks at once again where a connection was reused


@each(PAGED)
async def test_what_was_given_before_an_error_stands_and_the_rest_comes_later(rig: Rig) -> None:
    """Fault 2: what was proven is whole, whichever page fails; the next run goes on from there."""
    page = 6 + (largest_instant(rig) if isinstance(rig.case.history, ByTime) else 0)
    rig.give(page)
    rig.ask_for(min(rig.case.rows, page))
    start_ns, end_ns = rig.range_of(6 * page)
    garbage = engine.Response(b'[[1767225600000,"1')
    for after in (0, 2, 5):
        fails = Fault("answer", when=rig.asks_for_rows, after=after, times=None, response=garbage)
        rig.stand_in.faults[:] = [fails]
        try:
            await rig.fetch(start_ns, end_ns)
        except ExchangeError:
            rig.assert_true(rig.got, start_ns, end_ns)
        else:
            assert fails.after  # it was through before
        rig.stand_in.faults.clear()
        first = rig.got
        on_ns = first.covered.end_ns or start_ns
        assert first.covered == IntervalSet.of(start_ns, on_ns)
        rig.assert_whole(await rig.fetch(on_ns, end_ns), on_ns, end_ns)


@each(PAGED)
async def test_stopping_in_the_middle_leaves_nothing_running(rig: Rig) -> None:
    rig.give(6)
    rig.ask_for(min(rig.case.rows, 6))
    start_ns, end_ns = rig.range_of(60)
    rig.clock.ns += MINUTE_NS
    source = bound(rig.source, rig.stand_in.url, rig.clock)
    tasks = asyncio.all_tasks()
    pages = source.history(rig.dataset(), rig.instrument, start_ns, end_ns)
    async for _ in pages:
        break
    await pages.aclose()
    assert asyncio.all_tasks() == tasks
    await source.aclose()


@each([case for case in PAGED if isinstance(case.history, ByCursor)])
async def test_a_cursor_that_repeats_is_an_error_and_no_end(rig: Rig) -> None:
    rig.give(20)
    start_ns, end_ns = rig.range_of(60)
    answers: list[engine.Response] = []

    def again(response: engine.Response) -> engine.Response:
        answers.append(response)
        return answers[0]

    rig.stand_in.faults.append(Fault("answer", when=rig.asks_for_rows, after=1, times=None, change=again))
    with pytest.raises(MalformedPayload, match="twice: its pages go in a circle"):
        await rig.fetch(start_ns, end_ns)
    rig.assert_true(rig.got, start_ns, end_ns)


@each([case for case in CASES if case.spans])
async def test_every_span_on_its_boundaries_and_not_the_open_bar(rig: Rig) -> None:
    """Faults 5 and 7: as many bars as there are, up to the one still open."""
    for span in rig.case.spans:
        step = Span.parse(span)
        anchor_ns = rig.case.truth.anchors_ns.get(span)
        start_ns = step.floor(NOW_NS - 25 * step.nominal_ns, anchor_ns)
        got = await rig.fetch(start_ns, NOW_NS + DAY_NS, span)
        rig.assert_true(got, start_ns, NOW_NS + DAY_NS, span)
        assert len(got.ts) >= 9
        assert got.covered.start_ns == start_ns
        if rig.case.data_type is DataType.OHLC:
            settle_ns = round(getattr(rig.case.history, "settle_s", 0) * S_NS)
            assert got.covered.end_ns == min(
                step.floor(rig.now_ns - settle_ns, each) for each in {anchor_ns, None}
            )


@each(PAGED)
@pytest.mark.parametrize("skew_ns", [SKEW_NS, -SKEW_NS], ids=["slow", "fast"])
async def test_nothing_is_given_or_covered_that_has_not_settled(case: Case, skew_ns: int) -> None:
    """By the exchange's clock, and not by ours, which is five minutes off."""
    async with running(case, skew_ns) as rig:
        settle_ns = round(case.history.settle_s * S_NS)
        start_ns = NOW_NS - settle_ns - 12 * rig.every_ns
        got = await rig.fetch(start_ns, NOW_NS + DAY_NS)
        rig.assert_true(got, start_ns, NOW_NS + DAY_NS)
        until_ns = rig.now_ns - settle_ns
        if case.data_type is DataType.OHLC and case.span:
            until_ns = Span.parse(case.span).floor(until_ns)
        assert got.covered.end_ns is not None
        assert until_ns - 4 * S_NS < got.covered.end_ns <= until_ns  # it takes seconds where few are allowed
        assert got.ts[-1] < got.covered.end_ns


@each([case for case in PAGED if case.lookback_s is None])
async def test_what_lies_before_the_first_row_is_covered_at_once(rig: Rig) -> None:
    first_ns = rig.case.truth.first_ns(rig.stand_in, rig.instrument)
    start_ns = parse_time("2009-01-01")
    for span in dict.fromkeys((rig.case.span, *({"1h", "1w", "1mo"} & {*rig.case.spans}))):
        step = Span.parse(span) if span else None
        end_ns = step.floor(first_ns + 3 * step.nominal_ns) if step else first_ns + 12 * rig.every_ns
        rig.stand_in.log.clear()
        rig.assert_whole(await rig.fetch(start_ns, end_ns, span), start_ns, end_ns, span)
        assert rig.got.ts
        assert sum(map(rig.asks_for_rows, rig.stand_in.log)) < 30


@each([case for case in PAGED if case.lookback_s is not None])
async def test_what_is_served_no_more_is_not_taken_for_none(rig: Rig) -> None:
    assert rig.case.lookback_s is not None
    lookback_ns = rig.case.lookback_s * S_NS
    start_ns, end_ns = NOW_NS - 2 * lookback_ns, NOW_NS - lookback_ns + 12 * rig.every_ns
    got = await rig.fetch(start_ns, end_ns)
    assert got.ts
    assert got.covered.end_ns == end_ns
    assert got.covered.start_ns is not None
    rig.assert_true(got, min(got.ts[0], got.covered.start_ns), end_ns)
    assert NOW_NS - lookback_ns <= got.covered.start_ns <= NOW_NS - lookback_ns + rig.every_ns + HOUR_NS
    older = await rig.fetch(start_ns, start_ns + lookback_ns // 2)
    assert not older.ts
    assert not older.covered


@each([case for case in BARS if case.source.id != "binance"])  # which tells every bar
async def test_bars_that_are_left_out_are_covered(rig: Rig) -> None:
    """As of minutes without trades; the same ones whatever the pages."""
    rig.stand_in.quiet = 3
    start_ns, end_ns = (NOW_NS - 300 * MINUTE_NS, NOW_NS - 20 * MINUTE_NS)
    end_ns -= end_ns % MINUTE_NS
    start_ns -= start_ns % MINUTE_NS
    got = await rig.fetch(start_ns, end_ns)
    rows = {row[0] for row in rig.true_rows(start_ns, end_ns)}
    assert rows > set(got.ts)
    assert 0.6 < len(got.ts) / len(rows) < 0.75
    assert got.covered == IntervalSet.of(start_ns, end_ns)
    if rig.case in PAGED:
        rig.give(40)
        rig.ask_for(100)
        again = await rig.fetch(start_ns, end_ns)
        assert (again.columns, again.covered) == (got.columns, got.covered)


@each(LATEST)
async def test_the_newest_rows_and_what_they_prove(rig: Rig) -> None:
    start_ns = NOW_NS - 30 * DAY_NS
    got = await rig.fetch(start_ns, NOW_NS + DAY_NS)
    rig.assert_true(got, got.ts[0], NOW_NS + DAY_NS)
    assert got.covered.start_ns is not None
    assert got.covered.start_ns >= got.ts[0]
    assert len(got.ts) in range(rig.case.rows - 1, rig.case.rows + 1)
    assert got.covered.end_ns is not None
    assert rig.now_ns - 2 * MINUTE_NS < got.covered.end_ns <= rig.now_ns
    assert sum(ns in got.covered for ns in got.ts) > rig.case.rows // 2
    middle_ns = got.ts[len(got.ts) // 2]
    within = await rig.fetch(middle_ns, got.ts[-3])
    assert within.ts == [ns for ns in got.ts if middle_ns <= ns < got.ts[-3]]
    older = await rig.fetch(start_ns, start_ns + DAY_NS)
    assert not older.ts
    assert not older.covered
    rig.stand_in.faults.append(Fault("answer", when=rig.asks_for_rows, times=None, change=partial(cut_to, 0)))
    none = await rig.fetch(start_ns, NOW_NS)
    assert not none.covered


@each(BOOKS)
async def test_a_book_of_now(rig: Rig) -> None:
    """Each side from the best level on, no more of them than were asked for, covering nothing."""
    for depth in rig.case.depths[:2]:
        page = await rig.book(depth)
        assert_rows(DataType.ORDERBOOK, page.columns)
        assert page.columns["side"] == ["bid"] * depth + ["ask"] * depth
        prices: Any = page.columns["price"]
        assert list(prices[:depth]) == sorted(prices[:depth], reverse=True)
        assert list(prices[depth:]) == sorted(prices[depth:])
        assert prices[0] < prices[depth]
        (ts,) = set(page.columns["ts"])
        (received_ns,) = set(page.columns["recv_ts"])
        assert isinstance(ts, int)
        assert isinstance(received_ns, int)
        assert rig.now_ns - 3 * S_NS < ts <= received_ns <= rig.now_ns + S_NS
        assert not page.covered


@each(CASES)
async def test_every_prefix_and_mutation_of_an_answer_raises_only_our_error(rig: Rig) -> None:
    """Each beginning of one with two rows, and bytes of it changed, left out or filled with others."""
    whose = Target(rig.instrument, Span.parse(rig.case.span) if rig.case.span else None, rig.case.depth)
    parse = parser(rig.case.history, whose)
    answers: list[engine.Response] = []

    def note(response: engine.Response) -> engine.Response:
        answers.append(cut_to(2, response))
        return response

    rig.stand_in.faults.append(Fault("answer", when=rig.asks_for_rows, times=None, change=note))
    if rig.case in BOOKS:
        await rig.book(rig.case.depths[0])
    elif rig.case in LATEST:
        await rig.fetch(NOW_NS - HOUR_NS, NOW_NS)
    else:
        await rig.fetch(*rig.range_of(5))
    canned = Canned(rig.source)
    read = {
        len(answer.body): answer.body for answer in answers if has_rows(await canned.read(answer.body, parse))
    }
    await assert_safe(rig.source, read[max(read)], parse, 100)


def has_rows(found: object) -> bool:
    return isinstance(found, Mapping) and bool(found["side" if "side" in found else "ts"])


@pytest.fixture
async def market(source: Source) -> AsyncIterator[tuple[Any, BoundSource]]:
    """An exchange's stand-in and our source."""
    clock = Clock(NOW_NS)
    async with TRUTHS[source.id].stand_in(clock) as stand_in:
        ours = bound(source, stand_in.url, clock)
        yield stand_in, ours
        await ours.aclose()
        assert not getattr(stand_in, "refused", None)


every_source = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.id)
Made = tuple[Any, BoundSource]


@every_source
async def test_symbols_there_and_back(source: Source, market: Made) -> None:
    found = await market[1].instruments()
    assert not market[1].listing_errors
    items = list(found)
    assert_whole(found, items, has_ticks=items[0].tick_size is not None)
    for item in items:
        assert Symbol.parse(str(item.symbol)) == item.symbol
        assert item in (found.resolve(item.native), found.resolve(str(item.symbol)))
    assert {item.market for item in items} == set(source.host_of)
    with pytest.raises(UnknownSymbol):
        found.resolve("NONE/SUCH")


@every_source
async def test_the_clock_is_measured(source: Source, market: Made) -> None:
    for each_market in source.host_of:
        assert abs(await market[1].clock_offset_ns(each_market) - SKEW_NS) <= S_NS + MS_NS


@every_source
async def test_what_is_not_offered_is_refused_by_name(source: Source, market: Made) -> None:
    offered = {(case.market, case.data_type) for case in CASES if case.source is source}
    instruments = {item.market: item for item in await market[1].instruments()}
    for each_market, it in instruments.items():
        for kind in DataType:
            span = Span.parse("7m") if kind in SERIES else None
            depth = 10**6 if kind is DataType.ORDERBOOK else None
            if (each_market, kind) in offered and not (span or depth):
                continue
            with pytest.raises(NoCapability) as caught:
                market[1].require(kind, Mode.HISTORICAL, it, span, depth)
            assert source.id in str(caught.value)


@every_source
async def test_every_prefix_and_mutation_of_a_list_raises_only_our_error(
    source: Source, market: Made
) -> None:
    stand_in, ours = market
    bodies: dict[str, bytes] = {}

    def note(response: engine.Response) -> engine.Response:
        bodies[stand_in.log[-1].path + str(stand_in.log[-1].pairs)] = response.body
        return response

    stand_in.faults.append(Fault("answer", times=None, change=note))
    await ours.instruments()
    for listing in source.listings:
        key = listing.request.path + str(list(listing.request.query))
        body = bodies[key]
        small = cut_to(2, engine.Response(body)).body
        canned = Canned(source)
        body = small if isinstance(await canned.read(small, listing.parse), list) else body
        await assert_safe(source, body, listing.parse, 100)


def test_every_exchange_has_its_truth() -> None:
    """What is registered is tested: one entry in `truth.py` is wanted of each."""
    assert TRUTHS.keys() == {source.id for source in SOURCES}
    assert {(case.source.id, case.data_type) for case in CASES} == {
        (source.id, kind) for source in SOURCES for kind in source.history
    }
