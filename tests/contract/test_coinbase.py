"""Coinbase's source, its transport and the paginators together, over sockets, against the stand-in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dccd.application.bound_source import BoundSource
from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import ExchangeError
from dccd.domain.timeutils import S_NS, parse_time
from dccd.domain.types import DataType
from dccd.sources.coinbase import COINBASE
from tests.contract.kit import SKEW_NS, Clock, Fetched, bound, fetch
from tests.exchanges import engine
from tests.exchanges.coinbase import CoinbaseStandIn
from tests.exchanges.engine import Fault

NOW_NS = parse_time("2026-03-03T12:34:20.789Z")
PAIR = "BTC-USD"


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW_NS)


@pytest.fixture
async def exchange(clock: Clock) -> AsyncIterator[CoinbaseStandIn]:
    async with CoinbaseStandIn(now_ns=lambda: clock.ns + SKEW_NS) as server:
        yield server
    assert not server.refused  # never too many requests, nor any that it does not know


@pytest.fixture
async def coinbase(exchange: CoinbaseStandIn, clock: Clock) -> AsyncIterator[BoundSource]:
    source = bound(COINBASE, exchange.url, clock)
    yield source
    await source.aclose()


def expected(exchange: CoinbaseStandIn, start_ns: int, end_ns: int) -> dict[int, int]:
    """Ids and times of the trades of a range, told in microseconds."""
    fills = exchange.fills(PAIR)
    around = fills.between(fills.first_from(start_ns - S_NS), fills.first_from(end_ns + S_NS))
    told = {fill.number + 1: fill.ts_ns // 1000 * 1000 for fill in around}
    return {
        number: ts
        for number, ts in told.items()
        if start_ns <= ts < end_ns and number not in exchange.missing
    }


def trades_of(got: Fetched) -> dict[int, int]:
    ids = got.columns.get("tid_num", [])
    assert len(set(ids)) == len(ids)
    return dict(zip(ids, got.ts, strict=True))


async def test_pages_that_shrink_and_ids_that_are_missing(clock: Clock) -> None:
    async with CoinbaseStandIn(now_ns=lambda: clock.ns + SKEW_NS) as exchange:
        first = exchange.fills(PAIR).first_from(parse_time("2025-06-01"))
        exchange.missing = {*range(first + 100, first + 130), *range(first + 700, first + 2200)}
        exchange.rows_most = 300
        coinbase = bound(COINBASE, exchange.url, clock)
        start_ns = parse_time("2025-06-01")
        got = await fetch(coinbase, "BTC/USD", DataType.TRADES, start_ns, start_ns + 2500 * S_NS)
        await coinbase.aclose()
        assert trades_of(got) == expected(exchange, start_ns, start_ns + 2500 * S_NS)
        assert got.covered == IntervalSet.of(start_ns, start_ns + 2500 * S_NS)


async def test_throttling_is_heeded(exchange: CoinbaseStandIn, coinbase: BoundSource, clock: Clock) -> None:
    answer = engine.Response(b'{"message":"Public rate limit exceeded"}', 429, {"Retry-After": "7"})
    exchange.faults.append(Fault("answer", f"/products/{PAIR}/candles", response=answer))
    got = await fetch(coinbase, "BTC/USD", DataType.OHLC, "2026-01-01", "2026-01-02", "1m")
    assert len(got.ts) == 1440
    assert max(clock.slept) >= 6.9


async def test_the_allowance_is_kept_over_hundreds_of_requests(
    exchange: CoinbaseStandIn, coinbase: BoundSource
) -> None:
    """Ten a second, by the stand-in's bucket of fifteen; the fixture sees that it refuses none."""
    got = await fetch(coinbase, "BTC/USD", DataType.OHLC, "2026-01-01", "2026-02-01", "1m")
    assert len(got.ts) == 44_640
    assert exchange.requests >= 149


async def test_a_product_that_trades_no_more_and_one_that_is_gone(
    exchange: CoinbaseStandIn, coinbase: BoundSource
) -> None:
    every = await coinbase.instruments()
    assert not every.resolve("REP/USD").active
    del exchange.listing[0]
    with pytest.raises(ExchangeError, match="NotFound"):
        await fetch(coinbase, "BTC/USD", DataType.OHLC, "2026-01-01", "2026-01-02", "1h")
    assert set(exchange.refused) == {"NotFound"}
    exchange.refused.clear()
