"""Kraken Futures' source, its transport and the paginators together, over sockets, against the stand-in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dccd.application.bound_source import BoundSource
from dccd.domain.errors import ExchangeError, MalformedPayload, NoCapability, UnknownSymbol
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MS_NS, S_NS, parse_time
from dccd.domain.types import DataType, InstrumentType, Market
from dccd.sources.krakenfutures import KRAKENFUTURES
from tests.contract.kit import (
    SKEW_NS,
    Clock,
    bound,
    dataset,
    fetch,
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


async def test_what_bars_hold(exchange: KrakenFuturesStandIn, futures: BoundSource) -> None:
    got = await fetch(futures, "BTC/USD:USD", DataType.OHLC, "2026-02-01", "2026-02-01T00:10:00Z", "1m")
    bars = exchange.walk("PF_XBTUSD").bars("1m", [ts // MS_NS for ts in got.ts])
    assert set(got.columns) == {"ts", "open", "high", "low", "close", "volume"}
    for place, name in enumerate(("open", "high", "low", "close"), 1):
        assert got.columns[name] == [bar[place] / 2 for bar in bars]
    assert got.columns["volume"] == [bar.volume / 10**4 for bar in bars]


async def test_weeks_that_begin_on_another_day_are_an_error(clock: Clock) -> None:
    async with KrakenFuturesStandIn(now_ns=lambda: clock.ns + SKEW_NS, week_starts=3) as exchange:
        futures = bound(KRAKENFUTURES, exchange.url, clock)
        with pytest.raises(MalformedPayload, match="a bar of 1w opens at"):
            await fetch(futures, "BTC/USD:USD", DataType.OHLC, "2026-01-01", "2026-02-01", "1w")
        await futures.aclose()


@pytest.mark.parametrize(("symbol", "name"), MARKETS)
async def test_what_trades_hold(
    exchange: KrakenFuturesStandIn, futures: BoundSource, symbol: str, name: str
) -> None:
    start_ns = NOW_NS - DAY_NS
    got = await fetch(futures, symbol, DataType.TRADES, start_ns, start_ns + 30 * S_NS)
    fills = exchange.fills(name)
    first = fills.first_from(start_ns)
    parts = 10**4 if name.startswith("PF") else 1  # base; of inverse contracts USD
    for place, fill in enumerate(fills.between(first, first + 20)):
        assert got.columns["amount"][place] == fill.amount / parts
        assert got.columns["price"][place] == fill.price / 2
        assert got.columns["side"][place] == ("buy" if fill.is_buy else "sell")


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


async def test_dated_contracts_have_no_funding(futures: BoundSource) -> None:
    with pytest.raises(NoCapability):
        await fetch(futures, "BTC/USD:USD-260626", DataType.FUNDING, "2026-02-01", "2026-02-02")


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


async def test_a_contract_that_it_does_not_know_any_more(
    exchange: KrakenFuturesStandIn, futures: BoundSource
) -> None:
    await futures.instruments()
    answer = engine.Response(b'{"result":"error","error":"contractNotFound"}')
    exchange.faults.append(Fault("answer", "/derivatives/api/v3/hist", times=None, response=answer))
    with pytest.raises(ExchangeError, match="contractNotFound"):
        await fetch(futures, "BTC/USD:USD", DataType.FUNDING, "2026-02-01", "2026-02-02")
