"""BitMEX's source, its transport and the paginators together, over sockets, against the stand-in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dccd.application.bound_source import BoundSource
from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import ExchangeError, NoCapability, UnknownSymbol
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS, MS_NS, S_NS, parse_time
from dccd.domain.types import DataType, InstrumentType
from dccd.sources.bitmex import BITMEX
from tests.contract.kit import (
    SKEW_NS,
    Clock,
    bound,
    dataset,
    fetch,
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
    assert got.columns["open"][1:] == got.columns["close"][:-1]


@pytest.mark.parametrize(("symbol", "name"), MARKETS)
async def test_what_trades_hold(exchange: BitmexStandIn, bitmex: BoundSource, symbol: str, name: str) -> None:
    start_ns = NOW_NS - DAY_NS
    got = await fetch(bitmex, symbol, DataType.TRADES, start_ns, start_ns + 30 * S_NS)
    fills = exchange.fills(name)
    first = fills.first_from(start_ns)
    for place, fill in enumerate(fills.between(first, first + 20)):
        amount = exchange.listed(name).home(fill.amount, fill.price / 2)
        assert got.columns["amount"][place] == (fill.amount if name == "XBTUSD" else amount)
        assert got.columns["price"][place] == fill.price / 2
        assert got.columns["side"][place] == ("buy" if fill.is_buy else "sell")


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


async def test_a_contract_that_it_does_not_know_any_more(
    exchange: BitmexStandIn, bitmex: BoundSource
) -> None:
    await bitmex.instruments()
    words = b'{"error":{"message":"\'symbol\' is invalid.","name":"ValidationError"}}'
    answer = engine.Response(words, 400)
    exchange.faults.append(Fault("answer", "/api/v1/trade", times=None, response=answer))
    with pytest.raises(ExchangeError, match="'symbol' is invalid"):
        await fetch(bitmex, "BTC/USD:BTC", DataType.OHLC, "2026-02-01", "2026-02-02", "1h")


async def test_dated_contracts_have_no_funding(bitmex: BoundSource) -> None:
    with pytest.raises(NoCapability):
        await fetch(bitmex, "BTC/USD:BTC-260626", DataType.FUNDING, "2026-02-01", "2026-02-02")
