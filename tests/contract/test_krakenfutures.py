"""Kraken Futures' source, its transport and the paginators together, over sockets, against the stand-in."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from dccd.application.bound_source import BoundSource
from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import ExchangeError, MalformedPayload, NoCapability, UnknownSymbol
from dccd.domain.span import Span
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MS_NS, S_NS, parse_time
from dccd.domain.types import DataType, InstrumentType, Market
from dccd.sources.krakenfutures import KRAKENFUTURES
from tests.contract.kit import (
    SKEW_NS,
    Clock,
    Fetched,
    assert_no_empty_answer_believed,
    assert_only_our_errors,
    bound,
    dataset,
    expected_opens,
    fetch,
    target,
)
from tests.exchanges import engine
from tests.exchanges.engine import Fault
from tests.exchanges.krakenfutures import FIRST_MS, LISTED, KrakenFuturesStandIn

NOW_NS = parse_time("2026-03-03T12:34:56.789Z")  # a Tuesday
FIRST_NS = FIRST_MS * MS_NS
MARKETS = [
    ("BTC/USD:USD", "PF_XBTUSD"),
    ("BTC/USD:BTC", "PI_XBTUSD"),
    ("BTC/USD:BTC-260626", "FI_XBTUSD_260626"),
]
SAMPLES: dict[DataType, bytes] = {
    DataType.OHLC: b'{"candles":[{"time":1731715200000,"open":"91069","high":"91373.5","low":"90956",'
    b'"close":"91045.5","volume":"319499"}],"more_candles":false}',
    DataType.TRADES: b'{"elements":[{"uid":"03591930","event":{"Execution":{"execution":{"uid":"419060e5",'
    b'"takerOrder":{"direction":"Sell"},"timestamp":1764206270368,"quantity":"0.0113","price":"90771"}}}}]}',
    DataType.ORDERBOOK: b'{"orderBook":{"bids":[[40178,5],[40174,4.2]],"asks":[[40186,5.0183]]},'
    b'"result":"success","serverTime":"2020-08-27T17:03:33.196Z"}',
    DataType.FUNDING: b'{"result":"success","rates":[{"timestamp":"2025-07-11T08:00:00.000Z",'
    b'"relativeFundingRate":0.0001,"fundingRate":0.00005}]}',
}


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW_NS)


@pytest.fixture
async def exchange(clock: Clock) -> AsyncIterator[KrakenFuturesStandIn]:
    async with KrakenFuturesStandIn(now_ns=lambda: clock.ns + SKEW_NS) as server:
        yield server
    assert not server.refused  # never too many requests, nor any that it does not know


@pytest.fixture
async def futures(exchange: KrakenFuturesStandIn, clock: Clock) -> AsyncIterator[BoundSource]:
    source = bound(KRAKENFUTURES, exchange.url, clock)
    yield source
    await source.aclose()


async def test_instruments_by_what_they_settle_in(futures: BoundSource) -> None:
    found = await futures.instruments()
    assert not futures.listing_errors
    assert {item.native for item in found} == {each.symbol for each in LISTED if each.base}
    natives = {
        "BTC/USD:USD": "PF_XBTUSD",
        "BTC/USD:BTC": "PI_XBTUSD",
        "BTC/USD:USD-260626": "FF_XBTUSD_260626",
    }
    assert {symbol: found.resolve(symbol).native for symbol in natives} == natives
    it = found.resolve("BTC/USD:BTC-260626")
    assert (it.native, it.type, it.market) == ("FI_XBTUSD_260626", InstrumentType.FUTURE, Market.INVERSE)
    assert it.expiry_ns == parse_time("2026-06-26T15:00:00Z")
    assert not found.resolve("PF_LUNAUSD").active
    with pytest.raises(UnknownSymbol):
        found.resolve("in_xbtusd")


@pytest.mark.parametrize("span", ["1m", "5m", "15m", "30m", "1h", "4h", "12h", "1d", "1w"])
async def test_bars_up_to_the_open_one(futures: BoundSource, span: str) -> None:
    """Faults 5 and 7: not the bar still open, by the exchange's clock and not by ours; weeks on Monday."""
    step = Span.parse(span)
    start_ns = step.floor(max(NOW_NS - 2500 * step.nominal_ns, FIRST_NS + 40 * DAY_NS))
    got = await fetch(futures, "BTC/USD:USD", DataType.OHLC, start_ns, NOW_NS + DAY_NS, span)
    open_ns = step.floor(NOW_NS - 30 * S_NS)
    assert got.ts == expected_opens(span, start_ns, open_ns)
    assert got.covered == IntervalSet.of(start_ns, open_ns)


async def test_what_bars_hold(exchange: KrakenFuturesStandIn, futures: BoundSource) -> None:
    got = await fetch(futures, "BTC/USD:USD", DataType.OHLC, "2026-02-01", "2026-02-01T00:10:00Z", "1m")
    bars = exchange.walk("PF_XBTUSD").bars("1m", [ts // MS_NS for ts in got.ts])
    assert set(got.columns) == {"ts", "open", "high", "low", "close", "volume"}
    for place, name in enumerate(("open", "high", "low", "close"), 1):
        assert got.columns[name] == [bar[place] / 2 for bar in bars]
    assert got.columns["volume"] == [bar.volume / 10**4 for bar in bars]


@pytest.mark.parametrize("span", ["1h", "1d", "1w"])
async def test_what_lies_before_the_first_bar_is_covered(futures: BoundSource, span: str) -> None:
    """The first bar is looked for among weeks."""
    end_ns = parse_time("2022-05-02")
    got = await fetch(futures, "BTC/USD:USD", DataType.OHLC, "2018-01-01", end_ns, span)
    assert got.ts[0] == Span.parse(span).floor(max(FIRST_NS if span == "1w" else 0, got.ts[0]))
    assert got.ts == expected_opens(span, Span.parse(span).floor(FIRST_NS), end_ns)
    assert got.covered == IntervalSet.of(parse_time("2018-01-01"), end_ns)


async def test_weeks_that_begin_on_another_day_are_an_error(clock: Clock) -> None:
    async with KrakenFuturesStandIn(now_ns=lambda: clock.ns + SKEW_NS, week_starts=3) as exchange:
        futures = bound(KRAKENFUTURES, exchange.url, clock)
        with pytest.raises(MalformedPayload, match="a bar of 1w opens at"):
            await fetch(futures, "BTC/USD:USD", DataType.OHLC, "2026-01-01", "2026-02-01", "1w")
        await futures.aclose()


@pytest.mark.parametrize("rows", [100, 999])
async def test_pages_that_shrink_lose_no_bar(
    exchange: KrakenFuturesStandIn, futures: BoundSource, rows: int
) -> None:
    exchange.rows_most = rows
    got = await fetch(futures, "BTC/USD:USD", DataType.OHLC, "2026-02-01", "2026-02-01T20:00:00Z", "1m")
    assert len(got.ts) == len(set(got.ts)) == 1200


async def test_minutes_that_are_left_out_are_covered(
    exchange: KrakenFuturesStandIn, futures: BoundSource
) -> None:
    exchange.quiet = 23
    start_ns, end_ns = parse_time("2026-02-01"), parse_time("2026-02-01T20:00:00Z")
    got = await fetch(futures, "BTC/USD:USD", DataType.OHLC, start_ns, end_ns, "1m")
    every = expected_opens("1m", start_ns, end_ns)
    assert got.ts == [ns for ns in every if exchange.walk("PF_XBTUSD").values([ns // MS_NS], 23)[0]]
    assert len(got.ts) < len(every)
    assert got.covered == IntervalSet.of(start_ns, end_ns)


def trades_of(got: Fetched) -> list[tuple[str, int]]:
    return list(zip(got.columns.get("tid", []), got.ts, strict=True))


def expected(exchange: KrakenFuturesStandIn, name: str, start_ns: int, end_ns: int) -> list[tuple[str, int]]:
    """Ids and times of the trades of a range; times are told in milliseconds."""
    fills = exchange.fills(name)
    around = fills.between(fills.first_from(start_ns - S_NS), fills.first_from(end_ns + S_NS))
    told = [(f"00000000-0000-4000-8000-{fill.number:012d}", fill.ts_ns // MS_NS * MS_NS) for fill in around]
    return [(tid, ts) for tid, ts in told if start_ns <= ts < end_ns]


@pytest.mark.parametrize(("symbol", "name"), MARKETS)
async def test_every_trade_of_any_range_and_no_other(
    exchange: KrakenFuturesStandIn, futures: BoundSource, symbol: str, name: str
) -> None:
    chance = random.Random(4)
    for length_ns in (S_NS, 30 * S_NS, 2500 * S_NS):
        start_ns = NOW_NS - DAY_NS - chance.randrange(10**15)
        got = await fetch(futures, symbol, DataType.TRADES, start_ns, start_ns + length_ns)
        assert trades_of(got) == expected(exchange, name, start_ns, start_ns + length_ns)
        assert got.covered == IntervalSet.of(start_ns, start_ns + length_ns)
    assert len(got.ts) > 2000
    fills = exchange.fills(name)
    first = fills.first_from(start_ns)
    parts = 10**4 if name.startswith("PF") else 1  # base; of inverse contracts USD
    for place, fill in enumerate(fills.between(first, first + 20)):
        assert got.columns["amount"][place] == fill.amount / parts
        assert got.columns["price"][place] == fill.price / 2
        assert got.columns["side"][place] == ("buy" if fill.is_buy else "sell")


@pytest.mark.parametrize(("burst", "rows"), [(400, 1000), (2500, 1000), (2500, 30)])
async def test_many_fills_in_one_instant(clock: Clock, burst: int, rows: int) -> None:
    """Fault 1: instants larger than a page, and pages that shrink: tokens say where it goes on."""
    async with KrakenFuturesStandIn(now_ns=lambda: clock.ns + SKEW_NS, burst=burst) as exchange:
        exchange.rows_most = rows
        futures = bound(KRAKENFUTURES, exchange.url, clock)
        start_ns = parse_time("2025-06-01")
        end_ns = start_ns + 2 * burst * S_NS
        got = await fetch(futures, "BTC/USD:USD", DataType.TRADES, start_ns, end_ns)
        await futures.aclose()
        wanted = expected(exchange, "PF_XBTUSD", start_ns, end_ns)
        assert not exchange.refused
    assert len(wanted) > burst
    assert trades_of(got) == wanted
    assert got.covered == IntervalSet.of(start_ns, end_ns)


async def test_the_newest_trades_are_left_to_settle(
    exchange: KrakenFuturesStandIn, futures: BoundSource
) -> None:
    got = await fetch(futures, "BTC/USD:BTC", DataType.TRADES, NOW_NS - HOUR_NS, NOW_NS + HOUR_NS)
    assert got.covered.end_ns is not None
    assert NOW_NS - 62 * S_NS < got.covered.end_ns <= exchange.now_ns() - 60 * S_NS
    assert trades_of(got) == expected(exchange, "PI_XBTUSD", NOW_NS - HOUR_NS, got.covered.end_ns)


async def test_what_lies_before_the_first_trade_is_covered(futures: BoundSource) -> None:
    got = await fetch(futures, "BTC/USD:BTC", DataType.TRADES, "2010-01-01", FIRST_NS + 100 * S_NS)
    assert got.ts
    assert got.covered == IntervalSet.of(parse_time("2010-01-01"), FIRST_NS + 100 * S_NS)


async def test_a_token_that_comes_twice_is_an_error_and_no_circle(
    exchange: KrakenFuturesStandIn, futures: BoundSource
) -> None:
    headers = {"Next-Continuation-Token": "YXNjKzE="}
    answer = engine.Response(b'{"elements":[],"len":0}', headers=headers)
    exchange.faults.append(Fault("answer", "/api/history", after=1, times=None, response=answer))
    with pytest.raises(MalformedPayload, match="YXNjKzE= twice"):
        await fetch(futures, "BTC/USD:BTC", DataType.TRADES, "2025-01-01", "2025-01-02")


@pytest.mark.parametrize("symbol", ["BTC/USD:USD", "BTC/USD:BTC"])
async def test_funding_of_a_year(exchange: KrakenFuturesStandIn, futures: BoundSource, symbol: str) -> None:
    got = await fetch(futures, symbol, DataType.FUNDING, "2020-01-01", NOW_NS + DAY_NS)
    kept_ns = NOW_NS - 364 * DAY_NS
    last_ns = NOW_NS - 2 * HOUR_NS
    first_ns = -(-kept_ns // HOUR_NS) * HOUR_NS
    assert got.ts == list(range(first_ns, last_ns, HOUR_NS))
    values = exchange.walk(dict(MARKETS)[symbol]).values([ts // MS_NS for ts in got.ts], 10_000)
    assert got.columns["rate"] == [value / 10**8 for value in values]
    assert got.covered.start_ns is not None
    assert kept_ns < got.covered.start_ns < kept_ns + HOUR_NS
    assert exchange.count("/derivatives/api/v3/historical-funding-rates") == 1


@pytest.mark.parametrize(("symbol", "name"), MARKETS)
async def test_a_book_of_now(
    exchange: KrakenFuturesStandIn, futures: BoundSource, symbol: str, name: str
) -> None:
    what, it = await dataset(futures, symbol, DataType.ORDERBOOK, depth=100)
    (page,) = [page async for page in futures.history(what, it, 0, NOW_NS)]
    (ts,) = set(page.columns["ts"])
    bids, asks = exchange.walk(name).book(1500, ts // MS_NS)  # type: ignore[operator]
    every, parts = bids[:100] + asks[:100], 10**4 if name.startswith("PF") else 1
    assert page.columns["side"] == ["bid"] * 100 + ["ask"] * 100
    assert page.columns["price"] == [price / 2 for price, _ in every]
    assert page.columns["amount"] == [amount / parts for _, amount in every]
    assert not page.covered


async def test_the_clock_is_measured(futures: BoundSource) -> None:
    assert abs(await futures.clock_offset_ns(Market.INVERSE) - SKEW_NS) <= MS_NS


async def test_what_is_not_offered_is_refused_by_name(futures: BoundSource) -> None:
    """Bars of inverse contracts have a volume in USD and none in base: they are made from trades."""
    refusals = [
        ("BTC/USD:BTC", DataType.OHLC, "1h"),
        ("BTC/USD:USD", DataType.OHLC, "1mo"),
        ("BTC/USD:USD-260626", DataType.FUNDING, None),
        ("BTC/USD:USD", DataType.OPEN_INTEREST, "1h"),
    ]
    for symbol, kind, span in refusals:
        with pytest.raises(NoCapability):
            await fetch(futures, symbol, kind, "2026-02-01", "2026-02-02", span)


async def test_throttling_and_silence_are_heeded(
    exchange: KrakenFuturesStandIn, futures: BoundSource, clock: Clock
) -> None:
    await futures.instruments()
    limited = engine.Response(b'{"result":"error","error":"apiLimitExceeded"}')
    asked = engine.Response(b"", 429, {"Retry-After": "9"})
    for answer in (limited, engine.Response(b"<html>", 502), asked):
        exchange.faults.append(Fault("answer", "/api/charts", response=answer))
    got = await fetch(futures, "BTC/USD:USD", DataType.OHLC, "2026-02-01", "2026-02-01T01:00:00Z", "1m")
    assert len(got.ts) == 60
    assert max(clock.slept) == pytest.approx(9)


async def test_an_allowance_is_never_passed(
    exchange: KrakenFuturesStandIn, futures: BoundSource, clock: Clock
) -> None:
    """Thirty days are 22 pages: four seconds at five a second."""
    start_ns = parse_time("2025-11-01")
    got = await fetch(futures, "BTC/USD:USD", DataType.OHLC, start_ns, start_ns + 30 * DAY_NS, "1m")
    assert len(got.ts) == 43_200
    assert 4 <= sum(clock.slept) < 12  # some of them side by side
    assert set(exchange.statuses) == {200}


@pytest.mark.parametrize(
    ("kind", "path", "empty", "span"),
    [
        (DataType.OHLC, "/api/charts", b'{"candles":[],"more_candles":false}', "1m"),
        (DataType.TRADES, "/api/history", b'{"elements":[],"len":0}', None),
        (DataType.FUNDING, "/derivatives/api/v3/historical", b'{"result":"success","rates":[]}', None),
    ],
)
async def test_no_single_empty_answer_empties_a_range(
    exchange: KrakenFuturesStandIn, clock: Clock, kind: DataType, path: str, empty: bytes, span: str | None
) -> None:
    start_ns = parse_time("2026-02-01")
    end_ns = start_ns + (2500 * S_NS if kind is DataType.TRADES else 40 * HOUR_NS)

    async def everything() -> Fetched:
        clock.ns += S_NS  # a new source knows nothing of what the last has asked
        source = bound(KRAKENFUTURES, exchange.url, clock)
        try:
            return await fetch(source, "BTC/USD:USD", kind, start_ns, end_ns, span)
        finally:
            await source.aclose()

    await assert_no_empty_answer_believed(exchange, everything, path, engine.Response(empty))


@pytest.mark.parametrize("kind", SAMPLES)
async def test_every_beginning_and_any_change_of_an_answer(kind: DataType) -> None:
    whose = target("krakenfutures", Market.LINEAR, contract_size=1.0)
    await assert_only_our_errors(KRAKENFUTURES, kind, whose, SAMPLES[kind])


async def test_a_contract_that_it_does_not_know_any_more(
    exchange: KrakenFuturesStandIn, futures: BoundSource
) -> None:
    await futures.instruments()
    answer = engine.Response(b'{"result":"error","error":"contractNotFound"}')
    exchange.faults.append(Fault("answer", "/derivatives/api/v3/hist", times=None, response=answer))
    with pytest.raises(ExchangeError, match="contractNotFound"):
        await fetch(futures, "BTC/USD:USD", DataType.FUNDING, "2026-02-01", "2026-02-02")
