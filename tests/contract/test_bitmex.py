"""BitMEX's source, its transport and the paginators together, over sockets, against the stand-in."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from dccd.application.bound_source import BoundSource
from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import ExchangeError, NoCapability, UnknownSymbol
from dccd.domain.span import Span
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS, MS_NS, S_NS, parse_time
from dccd.domain.types import DataType, InstrumentType, Market
from dccd.sources.bitmex import BITMEX
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
from tests.exchanges.bitmex import FIRST_MS, QUANTO_BASE, BitmexStandIn
from tests.exchanges.engine import Fault

NOW_NS = parse_time("2026-03-01T12:34:56.789Z")
FIRST_NS = FIRST_MS * MS_NS
MARKETS = [
    ("BTC/USD:BTC", "XBTUSD"),
    ("BTC/USDT:USDT", "XBTUSDT"),
    ("ETH/USD:BTC", "ETHUSD"),
    ("BTC/USDT", "XBT_USDT"),
]
SAMPLES: dict[DataType, bytes] = {
    DataType.OHLC: b'[{"timestamp":"2024-11-25T10:30:00.000Z","symbol":"XBTUSD","open":98900,"high":98980.5,'
    b'"low":98890,"close":98950,"trades":45,"homeNotional":1.520475,"foreignNotional":150000}]',
    DataType.TRADES: b'[{"timestamp":"2024-11-25T10:35:00.789Z","symbol":"XBTUSD","side":"Buy","size":100,'
    b'"price":98950,"trdMatchID":"00000000-006d-1000-0000-000e8737d540","homeNotional":0.00101065}]',
    DataType.ORDERBOOK: b'[{"symbol":"XBTUSD","id":87,"side":"Sell","size":1007600,"price":1000000},'
    b'{"symbol":"XBTUSD","id":88,"side":"Buy","size":6000,"price":1.5}]',
    DataType.FUNDING: b'[{"timestamp":"2024-11-25T04:00:00.000Z","symbol":"XBTUSD","fundingRate":0.0001}]',
}


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW_NS)


@pytest.fixture
async def exchange(clock: Clock) -> AsyncIterator[BitmexStandIn]:
    async with BitmexStandIn(now_ns=lambda: clock.ns + SKEW_NS) as server:
        yield server
    assert not server.refused  # never too many requests, nor any that it does not know


@pytest.fixture
async def bitmex(exchange: BitmexStandIn, clock: Clock) -> AsyncIterator[BoundSource]:
    source = bound(BITMEX, exchange.url, clock)
    yield source
    await source.aclose()


async def test_instruments_of_every_market(bitmex: BoundSource) -> None:
    found = await bitmex.instruments()
    assert not bitmex.listing_errors
    assert {str(item.symbol) for item in found} == {
        "BTC/USD:BTC", "BTC/USDT:USDT", "ETH/USD:BTC", "BTC/USDT", "BTC/USD:BTC-260626", "LTC/USDT:USDT",
    }  # fmt: skip
    it = found.resolve("XBTM26")
    assert (it.type, it.expiry_ns) == (InstrumentType.FUTURE, parse_time("2026-06-26T12:00:00Z"))
    assert not found.resolve("LTC/USDT:USDT").active
    assert found.resolve("ETH/USD:BTC").contract_size is None
    with pytest.raises(UnknownSymbol):
        found.resolve("BTC/XYZ")


@pytest.mark.parametrize("span", ["1m", "5m", "1h", "1d"])
async def test_bars_up_to_the_open_one(exchange: BitmexStandIn, bitmex: BoundSource, span: str) -> None:
    """Faults 5 and 7: not the bar still open, by the exchange's clock and not by ours; all at their opens."""
    step = Span.parse(span)
    start_ns = step.floor(max(NOW_NS - 1100 * step.nominal_ns, FIRST_NS + 40 * DAY_NS))
    got = await fetch(bitmex, "BTC/USD:BTC", DataType.OHLC, start_ns, NOW_NS + DAY_NS, span)
    open_ns = step.floor(NOW_NS)
    assert got.ts == expected_opens(span, start_ns, open_ns)
    assert got.covered == IntervalSet.of(start_ns, open_ns)
    last = exchange.walk("XBTUSD").bars(span, [got.ts[-2] // MS_NS, got.ts[-1] // MS_NS])
    assert (got.columns["open"][-1], got.columns["close"][-1]) == (last[0].close / 2, last[1].close / 2)


@pytest.mark.parametrize(("symbol", "name"), MARKETS)
async def test_what_bars_hold(exchange: BitmexStandIn, bitmex: BoundSource, symbol: str, name: str) -> None:
    """Volume is base and quote volume quote, whatever is counted in contracts."""
    got = await fetch(bitmex, symbol, DataType.OHLC, "2026-02-01", "2026-02-01T00:10:00Z", "1m")
    bars = exchange.walk(name).bars("1m", [ts // MS_NS for ts in got.ts])
    assert len(bars) == 10
    for place, bar in enumerate(bars):
        row = {column: values[place] for column, values in got.columns.items()}
        assert [row[each] * 2 for each in ("high", "low", "close")] == [bar.high, bar.low, bar.close]
        base = {"XBTUSDT": 1e-6, "ETHUSD": QUANTO_BASE, "XBT_USDT": 1e-8}.get(name, 2 / bar.close)
        assert row["volume"] == pytest.approx(bar.volume * base, rel=1e-12)
        assert row["quote_volume"] == pytest.approx(row["volume"] * row["close"], rel=1e-12)
        assert row["trades"] == bar.volume % 97


@pytest.mark.parametrize("span", ["1h", "1d"])
async def test_what_lies_before_the_first_bar_is_covered(bitmex: BoundSource, span: str) -> None:
    end_ns = parse_time("2016-06-01")
    got = await fetch(bitmex, "BTC/USD:BTC", DataType.OHLC, "2015-01-01", end_ns, span)
    assert got.ts == expected_opens(span, Span.parse(span).floor(FIRST_NS), end_ns)
    assert got.covered == IntervalSet.of(parse_time("2015-01-01"), end_ns)


@pytest.mark.parametrize("rows", [100, 999])
async def test_pages_that_shrink_lose_no_bar(exchange: BitmexStandIn, bitmex: BoundSource, rows: int) -> None:
    exchange.rows_most = rows
    got = await fetch(bitmex, "BTC/USD:BTC", DataType.OHLC, "2026-02-01", "2026-02-01T10:00:00Z", "1m")
    assert len(got.ts) == len(set(got.ts)) == 600


async def test_minutes_that_are_left_out_are_covered(exchange: BitmexStandIn, bitmex: BoundSource) -> None:
    exchange.quiet = 23
    start_ns, end_ns = parse_time("2026-02-01"), parse_time("2026-02-01T20:00:00Z")
    got = await fetch(bitmex, "BTC/USD:BTC", DataType.OHLC, start_ns, end_ns, "1m")
    every = expected_opens("1m", start_ns, end_ns)
    assert got.ts == [ns for ns in every if exchange.walk("XBTUSD").values([ns // MS_NS], 23)[0]]
    assert len(got.ts) < len(every)
    assert got.covered == IntervalSet.of(start_ns, end_ns)


def trades_of(got: Fetched) -> list[tuple[str, int]]:
    return list(zip(got.columns.get("tid", []), got.ts, strict=True))


def expected(exchange: BitmexStandIn, name: str, start_ns: int, end_ns: int) -> list[tuple[str, int]]:
    """Ids and times of the trades of a range; times are told in milliseconds."""
    fills = exchange.fills(name)
    around = fills.between(fills.first_from(start_ns - S_NS), fills.first_from(end_ns + S_NS))
    told = [(f"00000000-006d-1000-0000-{fill.number:012d}", fill.ts_ns // MS_NS * MS_NS) for fill in around]
    return [(tid, ts) for tid, ts in told if start_ns <= ts < end_ns]


@pytest.mark.parametrize(("symbol", "name"), MARKETS)
async def test_every_trade_of_any_range_and_no_other(
    exchange: BitmexStandIn, bitmex: BoundSource, symbol: str, name: str
) -> None:
    chance = random.Random(4)
    for length_ns in (S_NS, 30 * S_NS, 1200 * S_NS):
        start_ns = NOW_NS - DAY_NS - chance.randrange(10**15)
        got = await fetch(bitmex, symbol, DataType.TRADES, start_ns, start_ns + length_ns)
        assert trades_of(got) == expected(exchange, name, start_ns, start_ns + length_ns)
        assert got.covered == IntervalSet.of(start_ns, start_ns + length_ns)
    assert len(got.ts) > 1000  # more than a page
    fills = exchange.fills(name)
    first = fills.first_from(start_ns)
    for place, fill in enumerate(fills.between(first, first + 20)):
        amount = exchange.listed(name).home(fill.amount, fill.price / 2)
        assert got.columns["amount"][place] == (fill.amount if name == "XBTUSD" else amount)
        assert got.columns["price"][place] == fill.price / 2
        assert got.columns["side"][place] == ("buy" if fill.is_buy else "sell")


@pytest.mark.parametrize("burst", [400, 2500])
async def test_many_fills_in_one_instant(clock: Clock, burst: int) -> None:
    """Fault 1: instants that the ends of pages cut, and such as have more rows than a page."""
    async with BitmexStandIn(now_ns=lambda: clock.ns + SKEW_NS, burst=burst) as exchange:
        bitmex = bound(BITMEX, exchange.url, clock)
        start_ns = parse_time("2025-06-01")
        end_ns = start_ns + 4 * burst * S_NS
        got = await fetch(bitmex, "BTC/USD:BTC", DataType.TRADES, start_ns, end_ns)
        await bitmex.aclose()
        wanted = expected(exchange, "XBTUSD", start_ns, end_ns)
        counts = [request.query["start"] for request in exchange.log if "start" in request.query]
    assert len(wanted) > 3 * burst
    assert trades_of(got) == wanted
    assert got.covered == IntervalSet.of(start_ns, end_ns)
    assert bool(counts) == (burst > 1000)
    assert not exchange.refused


async def test_the_newest_trades_are_left_to_settle(exchange: BitmexStandIn, bitmex: BoundSource) -> None:
    start_ns = NOW_NS - 5 * MINUTE_NS
    got = await fetch(bitmex, "BTC/USD:BTC", DataType.TRADES, start_ns, NOW_NS + HOUR_NS)
    assert got.covered.end_ns is not None
    assert NOW_NS - 62 * S_NS < got.covered.end_ns <= exchange.now_ns() - 60 * S_NS
    assert trades_of(got) == expected(exchange, "XBTUSD", start_ns, got.covered.end_ns)


@pytest.mark.parametrize("kind", [DataType.TRADES, DataType.FUNDING])
async def test_what_lies_before_the_first_row_is_covered(bitmex: BoundSource, kind: DataType) -> None:
    end_ns = FIRST_NS + (100 * S_NS if kind is DataType.TRADES else 10 * DAY_NS)
    got = await fetch(bitmex, "BTC/USD:BTC", kind, "2010-01-01", end_ns)
    assert got.ts
    assert got.covered == IntervalSet.of(parse_time("2010-01-01"), end_ns)


@pytest.mark.parametrize("symbol", ["BTC/USD:BTC", "BTC/USDT:USDT", "ETH/USD:BTC"])
async def test_funding_of_a_year(exchange: BitmexStandIn, bitmex: BoundSource, symbol: str) -> None:
    got = await fetch(bitmex, symbol, DataType.FUNDING, "2025-01-01", "2026-01-01")
    start_ns = parse_time("2025-01-01T04:00:00Z")
    assert got.ts == list(range(start_ns, start_ns + 365 * DAY_NS, 8 * HOUR_NS))
    walk = exchange.walk(dict(MARKETS)[symbol])
    values = walk.values([(ts - 4 * HOUR_NS) // MS_NS for ts in got.ts], 200_000)
    assert got.columns["rate"] == [(value - 50_000) / 10**8 for value in values]
    assert got.covered == IntervalSet.of(parse_time("2025-01-01"), parse_time("2026-01-01"))


@pytest.mark.parametrize(("symbol", "name"), MARKETS)
async def test_a_book_of_now(exchange: BitmexStandIn, bitmex: BoundSource, symbol: str, name: str) -> None:
    what, it = await dataset(bitmex, symbol, DataType.ORDERBOOK, depth=100)
    (page,) = [page async for page in bitmex.history(what, it, 0, NOW_NS)]
    bids, asks = exchange.walk(name).book(100, exchange.now_ns() // MS_NS)
    per = {"XBTUSDT": 10**6, "XBT_USDT": 10**8}.get(name, 1)  # of quanto and inverse ones contracts
    assert page.columns["side"] == ["bid"] * 100 + ["ask"] * 100
    assert page.columns["price"] == [price / 2 for price, _ in bids + asks]
    assert page.columns["amount"] == [size / per for _, size in bids + asks]
    assert not page.covered


async def test_the_clock_is_measured(bitmex: BoundSource) -> None:
    assert abs(await bitmex.clock_offset_ns(Market.SPOT) - SKEW_NS) <= MS_NS


async def test_what_is_not_offered_is_refused_by_name(bitmex: BoundSource) -> None:
    refusals = [
        ("BTC/USDT", DataType.FUNDING, None),
        ("BTC/USD:BTC-260626", DataType.FUNDING, None),
        ("BTC/USD:BTC", DataType.OHLC, "15m"),
        ("BTC/USD:BTC", DataType.OPEN_INTEREST, "1h"),
    ]
    for symbol, kind, span in refusals:
        with pytest.raises(NoCapability):
            await fetch(bitmex, symbol, kind, "2026-02-01", "2026-02-02", span)


async def test_an_allowance_is_never_passed(
    exchange: BitmexStandIn, bitmex: BoundSource, clock: Clock
) -> None:
    """Forty-four pages, and four requests more: two minutes at thirty a minute."""
    exchange.rows_most = 100
    start_ns = parse_time("2025-11-01")
    got = await fetch(bitmex, "BTC/USD:BTC", DataType.OHLC, start_ns, start_ns + 4400 * MINUTE_NS, "1m")
    assert len(got.ts) == 4400
    assert 44 < len(exchange.log) < 60
    assert 59 <= sum(clock.slept) < 125
    assert set(exchange.statuses) == {200}


async def test_throttling_and_overload_are_heeded(
    exchange: BitmexStandIn, bitmex: BoundSource, clock: Clock
) -> None:
    await bitmex.instruments()
    busy = b'{"error":{"message":"The system is currently overloaded.","name":"HTTPError"}}'
    limited = b'{"error":{"message":"Rate limit exceeded, retry in 9 seconds.","name":"RateLimitError"}}'
    for status, body in ((503, busy), (429, limited)):
        answer = engine.Response(body, status)
        exchange.faults.append(Fault("answer", "/api/v1/trade/bucketed", response=answer))
    got = await fetch(bitmex, "BTC/USD:BTC", DataType.OHLC, "2026-02-01", "2026-02-01T01:00:00Z", "1m")
    assert len(got.ts) == 60
    assert max(clock.slept) == pytest.approx(9)


@pytest.mark.parametrize(
    ("kind", "path", "span"),
    [
        (DataType.OHLC, "/api/v1/trade/bucketed", "1m"),
        (DataType.TRADES, "/api/v1/trade", None),
        (DataType.FUNDING, "/api/v1/funding", None),
    ],
)
async def test_no_single_empty_answer_empties_a_range(
    exchange: BitmexStandIn, clock: Clock, kind: DataType, path: str, span: str | None
) -> None:
    exchange.rows_most = 100  # three pages of trades and bars
    start_ns = parse_time("2026-02-01")
    end_ns = start_ns + {DataType.OHLC: 250 * MINUTE_NS, DataType.TRADES: 250 * S_NS}.get(kind, 40 * HOUR_NS)

    async def everything() -> Fetched:
        clock.ns += MINUTE_NS  # a new source knows nothing of what the last has asked
        source = bound(BITMEX, exchange.url, clock)
        try:
            return await fetch(source, "BTC/USD:BTC", kind, start_ns, end_ns, span)
        finally:
            await source.aclose()

    await assert_no_empty_answer_believed(exchange, everything, path, engine.Response(b"[]"))
    assert kind is DataType.FUNDING or exchange.count(path) > 9


@pytest.mark.parametrize("kind", SAMPLES)
async def test_every_beginning_and_any_change_of_an_answer(kind: DataType) -> None:
    await assert_only_our_errors(
        BITMEX, kind, target("bitmex", Market.LINEAR, contract_size=1e-6), SAMPLES[kind]
    )


async def test_a_contract_that_it_does_not_know_any_more(
    exchange: BitmexStandIn, bitmex: BoundSource
) -> None:
    await bitmex.instruments()
    words = b'{"error":{"message":"\'symbol\' is invalid.","name":"ValidationError"}}'
    answer = engine.Response(words, 400)
    exchange.faults.append(Fault("answer", "/api/v1/trade", times=None, response=answer))
    with pytest.raises(ExchangeError, match="'symbol' is invalid"):
        await fetch(bitmex, "BTC/USD:BTC", DataType.OHLC, "2026-02-01", "2026-02-02", "1h")
