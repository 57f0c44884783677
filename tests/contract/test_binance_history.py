"""Binance's source, its transport and the paginators together, over sockets, against the stand-in."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dccd.application.bound_source import BoundSource, FetchedPage
from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import ExchangeError, ExchangeRefused, NoCapability
from dccd.domain.instrument import Instrument
from dccd.domain.span import Span
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS, MS_NS, S_NS, parse_time
from dccd.domain.types import DataType, Market, Mode
from dccd.sources.binance import BINANCE
from dccd.transport.retry import Backoff
from tests.exchanges import engine
from tests.exchanges.binance import BinanceStandIn
from tests.exchanges.engine import Fault

NOW_NS = parse_time("2026-03-01T12:34:56.789Z")
SKEW_NS = 300 * S_NS


class Clock:
    """Our clock, five minutes slow, which runs on by what is slept."""

    def __init__(self) -> None:
        self.ns = NOW_NS - SKEW_NS
        self.slept: list[float] = []

    def now_ns(self) -> int:
        return self.ns

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.ns += round(seconds * S_NS)
        await asyncio.sleep(0)


@pytest.fixture
async def exchange() -> AsyncIterator[BinanceStandIn]:
    async with BinanceStandIn(now_ms=NOW_NS // MS_NS) as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def binance(exchange: BinanceStandIn, clock: Clock) -> AsyncIterator[BoundSource]:
    urls = dict.fromkeys(("rest_url", "futures_url", "delivery_url"), exchange.url)
    source = BoundSource(
        BINANCE, urls=urls, backoff=Backoff(attempts=4), now_ns=clock.now_ns, sleep=clock.sleep
    )
    yield source
    await source.aclose()


class Fetched:
    """A history fetched whole, its pages checked on the way."""

    def __init__(self) -> None:
        self.pages: list[FetchedPage] = []
        self.columns: dict[str, list[Any]] = {}
        self.covered = IntervalSet()

    def add(self, page: FetchedPage) -> None:
        assert page.rows == len(page.columns["ts"])
        assert len({len(column) for column in page.columns.values()}) == 1
        self.pages.append(page)
        self.covered |= page.covered
        assert len(self.covered) <= 1
        if page.rows:
            for name, column in page.columns.items():
                self.columns.setdefault(name, []).extend(column)

    @property
    def ts(self) -> list[int]:
        return self.columns.get("ts", [])


async def dataset(
    binance: BoundSource, symbol: str, kind: DataType, span: str | None = None, depth: int | None = None
) -> tuple[DatasetId, Instrument]:
    it = (await binance.instruments()).resolve(symbol)
    return DatasetId("binance", it.symbol, kind, Span.parse(span) if span else None, depth), it


async def fetch(
    binance: BoundSource,
    symbol: str,
    kind: DataType,
    start: str | int,
    end: str | int,
    span: str | None = None,
) -> Fetched:
    what, it = await dataset(binance, symbol, kind, span)
    got = Fetched()
    async for page in binance.history(what, it, parse_time(start), parse_time(end)):
        got.add(page)
    return got


@pytest.mark.parametrize("symbol", ["BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"])
@pytest.mark.parametrize("span", ["1m", "1h", "3d", "1w", "1mo"])
async def test_bars_up_to_the_open_one(binance: BoundSource, symbol: str, span: str) -> None:
    """Fault 5: the bar still open, by the exchange's clock and not by ours, is not given."""
    step = Span.parse(span)
    start_ns = step.floor(NOW_NS - 3000 * step.nominal_ns if span == "1m" else NOW_NS - 700 * DAY_NS)
    got = await fetch(binance, symbol, DataType.OHLC, start_ns, NOW_NS + DAY_NS, span)
    open_ns = step.floor(NOW_NS - 5 * S_NS)
    expected = []
    while start_ns < open_ns:
        expected.append(start_ns)
        start_ns = step.next(start_ns)
    assert got.ts == expected
    assert got.covered == IntervalSet.of(expected[0], open_ns)
    assert set(got.columns) >= {"volume", "quote_volume", "trades", "taker_buy_volume"}


async def test_a_bar_that_has_just_closed_is_left_to_settle(
    exchange: BinanceStandIn, binance: BoundSource, clock: Clock
) -> None:
    minute_ns = parse_time("2026-03-01T12:00:00Z")
    clock.ns = minute_ns - SKEW_NS + 2 * S_NS
    exchange.now_ms = (minute_ns + 2 * S_NS) // MS_NS
    got = await fetch(binance, "BTC/USDT", DataType.OHLC, minute_ns - HOUR_NS, minute_ns + HOUR_NS, "1m")
    assert got.ts[-1] == minute_ns - 2 * MINUTE_NS
    assert got.covered.end_ns == minute_ns - MINUTE_NS


async def test_what_lies_before_the_first_bar_is_covered_at_once(
    exchange: BinanceStandIn, binance: BoundSource
) -> None:
    got = await fetch(binance, "BTC/USDT", DataType.OHLC, "2010-01-01", "2017-08-18", "1h")
    assert got.ts[0] == parse_time("2017-08-17T04:00:00Z")
    assert got.covered == IntervalSet.of(parse_time("2010-01-01"), parse_time("2017-08-18"))
    assert exchange.count("/api/v3/klines") == 2


async def test_recorded_bars_bit_for_bit(shared: Path, clock: Clock) -> None:
    path = shared / "datasets" / "binance_klines" / "BTCUSDT_1w.jsonl.gz"
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()][:-1]
    async with BinanceStandIn(shared=shared, now_ms=NOW_NS // MS_NS) as exchange:
        binance = BoundSource(
            BINANCE,
            urls=dict.fromkeys(("rest_url", "futures_url", "delivery_url"), exchange.url),
            now_ns=clock.now_ns,
            sleep=clock.sleep,
        )
        got = await fetch(binance, "BTC/USDT", DataType.OHLC, 0, NOW_NS, "1w")
        await binance.aclose()
    closed = [row for row in rows if row[6] < NOW_NS // MS_NS - 5000]
    assert got.ts == [row[0] * MS_NS for row in closed]
    for name, place in (
        ("open", 1),
        ("close", 4),
        ("volume", 5),
        ("quote_volume", 7),
        ("taker_buy_volume", 9),
    ):
        assert got.columns[name] == [float(row[place]) for row in closed]


@pytest.mark.parametrize("symbol", ["BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"])
async def test_trades_of_a_range_whole_and_in_order(binance: BoundSource, symbol: str) -> None:
    start_ns = parse_time("2026-02-01T10:00:00.5Z")
    got = await fetch(binance, symbol, DataType.TRADES, start_ns, start_ns + 7 * MINUTE_NS)
    assert got.covered == IntervalSet.of(start_ns, start_ns + 7 * MINUTE_NS)
    ids = got.columns["tid_num"]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert start_ns <= got.ts[0]
    assert got.ts[-1] < start_ns + 7 * MINUTE_NS
    assert len(got.pages) == -(-len(ids) // 1000)
    assert set(got.columns["side"]) == {"buy", "sell"}
    whole = await fetch(binance, symbol, DataType.TRADES, start_ns - S_NS, start_ns + 8 * MINUTE_NS)
    assert [ts for ts in whole.ts if start_ns <= ts < start_ns + 7 * MINUTE_NS] == got.ts


async def test_trades_never_past_what_has_settled(binance: BoundSource) -> None:
    got = await fetch(binance, "BTC/USDT", DataType.TRADES, NOW_NS - MINUTE_NS, NOW_NS + DAY_NS)
    assert got.covered == IntervalSet.of(NOW_NS - MINUTE_NS, NOW_NS - 10 * S_NS)
    assert got.ts[-1] < NOW_NS - 10 * S_NS


async def test_trades_no_longer_served_are_not_taken_for_none(shared: Path, clock: Clock) -> None:
    """The recorded pair begins at id 13,519,807: what was before is not known to be empty."""
    async with BinanceStandIn(shared=shared, now_ms=NOW_NS // MS_NS) as exchange:
        urls = dict.fromkeys(("rest_url", "futures_url", "delivery_url"), exchange.url)
        binance = BoundSource(BINANCE, urls=urls, now_ns=clock.now_ns, sleep=clock.sleep)
        got = await fetch(binance, "XRP/ETH", DataType.TRADES, "2019-01-01", "2019-12-01")
        before = await fetch(binance, "XRP/ETH", DataType.TRADES, "2019-01-01", "2019-02-01")
        await binance.aclose()
    assert len(got.ts) == 12_477
    assert got.covered == IntervalSet.of(got.ts[0], parse_time("2019-12-01"))
    assert not before.pages


async def test_stopping_in_the_middle_leaves_nothing_running(binance: BoundSource) -> None:
    what, it = await dataset(binance, "BTC/USDT", DataType.OHLC, "1m")
    tasks = asyncio.all_tasks()
    pages = binance.history(what, it, parse_time("2026-01-01"), parse_time("2026-02-01"))
    async for _ in pages:
        break
    await pages.aclose()
    assert asyncio.all_tasks() == tasks


@pytest.mark.parametrize("symbol", ["BTC/USDT:USDT", "BTC/USD:BTC"])
async def test_funding_over_several_pages(binance: BoundSource, symbol: str) -> None:
    got = await fetch(binance, symbol, DataType.FUNDING, "2021-01-01", "2025-01-01")
    assert len(got.ts) == len(set(got.ts)) > 4000
    assert got.covered == IntervalSet.of(parse_time("2021-01-01"), parse_time("2025-01-01"))
    assert max(b - a for a, b in zip(got.ts, got.ts[1:], strict=False)) < 8 * HOUR_NS + MINUTE_NS


@pytest.mark.parametrize("symbol", ["BTC/USDT:USDT", "BTC/USD:BTC"])
async def test_open_interest_as_far_back_as_it_goes(binance: BoundSource, symbol: str) -> None:
    got = await fetch(binance, symbol, DataType.OPEN_INTEREST, "2020-01-01", NOW_NS, "1h")
    assert 718 <= len(got.ts) <= 720
    assert got.covered.start_ns is not None
    assert 0 < got.covered.start_ns - (NOW_NS - 30 * DAY_NS) < HOUR_NS


async def test_a_book_of_now(binance: BoundSource) -> None:
    for symbol, exact in (("BTC/USDT", False), ("BTC/USDT:USDT", True)):
        what, it = await dataset(binance, symbol, DataType.ORDERBOOK, depth=20)
        (page,) = [page async for page in binance.history(what, it, 0, NOW_NS)]
        assert page.columns["side"] == ["bid"] * 20 + ["ask"] * 20
        assert not page.covered
        (ts,) = set(page.columns["ts"])
        assert isinstance(ts, int)
        assert abs(ts - NOW_NS) < S_NS
        assert (ts == NOW_NS // MS_NS * MS_NS - 8 * MS_NS) is exact


@pytest.mark.parametrize("kind", ["reset", "close", "truncate"])
async def test_a_page_cut_on_its_way_is_fetched_again(
    exchange: BinanceStandIn, binance: BoundSource, kind: str
) -> None:
    exchange.faults.append(Fault(kind, path="/api/v3/klines", after=3, times=2))  # type: ignore[arg-type]
    got = await fetch(binance, "BTC/USDT", DataType.OHLC, "2026-01-01", "2026-01-11", "1m")
    assert len(got.ts) == len(set(got.ts)) == 14_400


async def test_when_a_page_cannot_be_had_those_before_it_stand(
    exchange: BinanceStandIn, binance: BoundSource
) -> None:
    """Fault 2: what was proven covers exactly what was given, so that the next run goes on from there."""
    stop_ns = parse_time("2026-01-05")

    def late(request: engine.Request) -> bool:
        return int(request.query["startTime"]) * 1000 >= stop_ns

    garbage = engine.Response(b'[[1767225600000,"1')
    exchange.faults.append(Fault("answer", "/api/v3/klines", late, times=None, response=garbage))
    what, it = await dataset(binance, "BTC/USDT", DataType.OHLC, "1m")
    got = Fetched()
    with pytest.raises(ExchangeError, match="something else"):  # noqa: PT012 (the loop is what raises)
        async for page in binance.history(what, it, parse_time("2026-01-01"), parse_time("2026-01-11")):
            got.add(page)
    assert got.covered.end_ns is not None
    assert len(got.ts) == (got.covered.end_ns - parse_time("2026-01-01")) // MINUTE_NS > 4000


async def test_no_request_ever_passes_the_allowance(clock: Clock) -> None:
    """In real time: the allowance is small, and the minutes are those of the stand-in's own clock."""
    async with BinanceStandIn(limits={"spot": 40}) as exchange:
        moved_ns = 0

        async def sleep(seconds: float) -> None:
            nonlocal moved_ns
            moved_ns += round(seconds * S_NS)
            exchange.now_ms = (time.time_ns() + moved_ns) // MS_NS
            await asyncio.sleep(0)

        binance = BoundSource(
            BINANCE,
            urls=dict.fromkeys(("rest_url", "futures_url", "delivery_url"), exchange.url),
            now_ns=lambda: time.time_ns() + moved_ns,
            sleep=sleep,
        )
        got = await fetch(binance, "BTC/USDT", DataType.OHLC, "2026-01-01", "2026-02-01", "1m")
        await binance.aclose()
        assert len(got.ts) == 44_640
        assert set(exchange.stats()["statuses"]) == {"200"}
        assert moved_ns > 60 * S_NS


async def test_one_market_out_of_reach_leaves_the_others(
    exchange: BinanceStandIn, binance: BoundSource
) -> None:
    blocked = engine.Response(b"<html>Forbidden</html>", 451)
    exchange.faults.append(Fault("answer", "/fapi/", times=None, response=blocked))
    found = await binance.instruments()
    assert {item.market for item in found} == {Market.SPOT, Market.INVERSE}
    assert isinstance(binance.listing_errors["linear"], ExchangeRefused)
    exchange.faults.clear()
    assert await binance.instruments() is found
    assert {item.market for item in await binance.instruments(refresh=True)} == set(Market)
    assert not binance.listing_errors


async def test_no_list_at_all_is_an_error(exchange: BinanceStandIn, binance: BoundSource) -> None:
    exchange.faults.append(Fault("answer", times=None, response=engine.Response(b"", 451)))
    with pytest.raises(ExchangeRefused, match=r"data-api\.binance\.vision"):
        await binance.instruments()


async def test_what_is_not_offered_is_refused_by_name(binance: BoundSource) -> None:
    spot = (await binance.instruments()).resolve("BTC/USDT")
    linear = (await binance.instruments()).resolve("BTC/USDT:USDT")
    refusals: list[tuple[DataType, Instrument, str | None, int | None, str]] = [
        (
            DataType.FUNDING,
            spot,
            None,
            None,
            "historical funding here: only for linear, inverse, and BTC/USDT",
        ),
        (DataType.OHLC, spot, "7m", None, "no span 7m. There are 1s, 1m"),
        (DataType.OHLC, linear, "1s", None, "no span 1s. There are 1m"),
        (DataType.ORDERBOOK, linear, None, 5000, "a depth of 1 to 1,000, not 5,000"),
    ]
    for kind, it, span, depth, refusal in refusals:
        with pytest.raises(NoCapability, match=refusal):
            binance.require(kind, Mode.HISTORICAL, it, Span.parse(span) if span else None, depth)
    with pytest.raises(NoCapability, match="offers no live funding"):
        binance.require(DataType.FUNDING, Mode.LIVE)


@pytest.mark.parametrize(
    ("symbol", "kind", "span"),
    [
        ("BTC/USDT:quarter", DataType.FUNDING, None),
        ("BTC/USD:quarter", DataType.FUNDING, None),
        ("BTC/USD:quarter", DataType.OPEN_INTEREST, "1h"),
    ],
)
async def test_what_dated_contracts_have_not_is_refused(
    binance: BoundSource, symbol: str, kind: DataType, span: str | None
) -> None:
    with pytest.raises(NoCapability, match="binance offers no historical"):
        await fetch(binance, symbol, kind, "2026-02-01", "2026-02-02", span)
    what, it = await dataset(binance, symbol, kind, span)
    with pytest.raises(NoCapability):
        await binance.estimate(what, it, IntervalSet.of(NOW_NS - DAY_NS, NOW_NS))


async def test_estimates_say_what_a_fetch_takes(exchange: BinanceStandIn, binance: BoundSource) -> None:
    what, it = await dataset(binance, "BTC/USDT", DataType.OHLC, "1m")
    year = IntervalSet.of(parse_time("2025-01-01"), parse_time("2026-01-01"))
    found = await binance.estimate(what, it, year)
    assert (found.rows, found.requests, found.weight) == (525_600, 526, 1052)
    assert found.bottleneck == "the connection"
    what, it = await dataset(binance, "BTC/USDT:USDT", DataType.TRADES)
    day = IntervalSet.of(parse_time("2026-01-01"), parse_time("2026-01-02"))
    found = await binance.estimate(what, it, day)
    got = await fetch(binance, "BTC/USDT:USDT", DataType.TRADES, "2026-01-01", "2026-01-01T00:10:00Z")
    assert found.rows == pytest.approx(144 * len(got.ts), rel=0.01)
    assert found.bottleneck == "Binance allows 2,400 weight a minute"
    assert found.seconds > 60


async def test_a_clock_that_is_set_is_noticed(binance: BoundSource, clock: Clock) -> None:
    """Ours jumps ahead by five minutes between two downloads; the exchange's does not."""
    for _ in range(2):
        got = await fetch(binance, "BTC/USDT", DataType.TRADES, NOW_NS - MINUTE_NS, NOW_NS + HOUR_NS)
        assert got.covered.end_ns == NOW_NS // MS_NS * MS_NS - 10 * S_NS
        clock.ns += SKEW_NS


async def test_the_clock_is_asked_for_once(exchange: BinanceStandIn) -> None:
    url = exchange.url
    binance = BoundSource(BINANCE, urls=dict.fromkeys(("rest_url", "futures_url", "delivery_url"), url))
    for _ in range(3):
        await binance.clock_offset_ns(Market.SPOT)
    await binance.aclose()
    assert exchange.count("/api/v3/time") == 1


async def test_the_clock_is_measured_against_the_exchanges(binance: BoundSource) -> None:
    assert abs(await binance.clock_offset_ns(Market.LINEAR) - SKEW_NS) <= MS_NS


@pytest.mark.parametrize(
    ("kind", "symbol", "span"),
    [
        (DataType.OHLC, "BTC/USDT", "1m"),
        (DataType.OHLC, "BTC/USD:BTC", "1m"),
        (DataType.TRADES, "BTC/USDT", None),
        (DataType.FUNDING, "BTC/USDT:USDT", None),
    ],
)
async def test_no_single_empty_answer_empties_a_range(
    exchange: BinanceStandIn,
    binance: BoundSource,
    clock: Clock,
    kind: DataType,
    symbol: str,
    span: str | None,
) -> None:
    """Whichever of the requests it meets: the first row's, a moment's, a page's."""
    start_ns = parse_time("2026-02-01")
    end_ns = start_ns + (20 * DAY_NS if kind is DataType.FUNDING else HOUR_NS)
    what, it = await dataset(binance, symbol, kind, span)

    async def everything() -> Fetched:
        source = BoundSource(
            BINANCE,
            urls=dict.fromkeys(("rest_url", "futures_url", "delivery_url"), exchange.url),
            now_ns=clock.now_ns,
            sleep=clock.sleep,
        )
        got = Fetched()
        async for page in source.history(what, it, start_ns, end_ns):
            got.add(page)
        await source.aclose()
        return got

    def lists(request: engine.Request) -> bool:
        return request.path.endswith(("klines", "aggTrades", "fundingRate"))

    expected = await everything()
    asked = sum(lists(request) for request in exchange.log)
    assert len(expected.ts) >= 60
    assert asked >= 2
    for after in range(min(asked, 20)):
        exchange.faults[:] = [Fault("answer", when=lists, after=after, response=engine.Response(b"[]"))]
        got = await everything()
        assert got.ts == expected.ts
        assert got.covered == expected.covered
        assert exchange.faults[0].times == 0


@pytest.mark.parametrize("last", [Market.SPOT, Market.LINEAR])
async def test_each_market_goes_by_the_clock_of_its_own_host(
    exchange: BinanceStandIn, clock: Clock, last: Market
) -> None:
    """A book without a time of its own gets that of its arrival, whichever clock was read last."""
    async with BinanceStandIn(now_ms=NOW_NS // MS_NS + 60_000) as futures:
        urls = {"rest_url": exchange.url, "futures_url": futures.url, "delivery_url": futures.url}
        binance = BoundSource(BINANCE, urls=urls, now_ns=clock.now_ns, sleep=clock.sleep)
        what, it = await dataset(binance, "BTC/USDT", DataType.ORDERBOOK, depth=5)
        for market in sorted((Market.SPOT, Market.LINEAR), key=lambda market: market is last):
            await binance.clock_offset_ns(market)
        async for page in binance.history(what, it, 0, 0):
            assert abs(page.columns["ts"][0] - NOW_NS) < S_NS  # type: ignore[operator]
        await binance.aclose()
