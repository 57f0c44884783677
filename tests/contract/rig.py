"""An exchange's data type in one market, with its stand-in: what it has, and what is fetched from it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from dccd.application.bound_source import FetchedPage
from dccd.application.service_factory import SOURCES
from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.instrument import Instrument
from dccd.domain.span import Span
from dccd.domain.timeutils import HOUR_NS, MINUTE_NS, MS_NS, S_NS, parse_time
from dccd.domain.types import DataType, InstrumentType, Market, Mode, Transport
from dccd.sources.base import ByCursor, ByTile, Latest, Snapshot, Source, Target
from tests.contract.kit import (
    SKEW_NS,
    Clock,
    Fetched,
    assert_rows,
    bound,
    expected_opens,
)
from tests.contract.truth import TRUTHS, Row, Truth
from tests.exchanges import engine

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

    @property
    def largest_instant(self) -> int:
        """How many trades at most are of one time; 1 of what is no trades."""
        if self.case.data_type is not DataType.TRADES:
            return 1
        return max(Counter(row[0] for row in self.true_rows(*self.range_of(1000))).values())

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
