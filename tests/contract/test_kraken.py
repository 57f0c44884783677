"""Kraken's source, its transport and the paginators together, over sockets, against the stand-in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from dccd.application.bound_source import BoundSource
from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import ExchangeError
from dccd.domain.timeutils import S_NS, parse_time
from dccd.domain.types import DataType
from dccd.sources.kraken import KRAKEN
from tests.contract.kit import SKEW_NS, Clock, Fetched, bound, fetch
from tests.exchanges import engine
from tests.exchanges.engine import Fault
from tests.exchanges.kraken import KrakenStandIn

NOW_NS = parse_time("2026-03-03T12:34:56.789Z")  # a Tuesday
KEY = "XXBTZUSD"


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW_NS)


@pytest.fixture
async def exchange(clock: Clock) -> AsyncIterator[KrakenStandIn]:
    async with KrakenStandIn(now_ns=lambda: clock.ns + SKEW_NS) as server:
        yield server
    assert not server.refused  # never too many requests, nor any that it does not know


@pytest.fixture
async def kraken(exchange: KrakenStandIn, clock: Clock) -> AsyncIterator[BoundSource]:
    source = bound(KRAKEN, exchange.url, clock)
    yield source
    await source.aclose()


def told_ns(ts_ns: int) -> int:
    """A trade's time as Kraken writes it: a float of seconds."""
    return int(Decimal(repr(ts_ns / S_NS)) * S_NS)


def expected(exchange: KrakenStandIn, start_ns: int, end_ns: int) -> dict[int, int]:
    """Ids and times of the trades of a range."""
    fills = exchange.fills(KEY)
    around = fills.between(fills.first_from(start_ns - S_NS), fills.first_from(end_ns + S_NS))
    told = {fill.number + 1: told_ns(fill.ts_ns) for fill in around}
    return {number: ts for number, ts in told.items() if start_ns <= ts < end_ns}


def trades_of(got: Fetched) -> dict[int, int]:
    ids = got.columns.get("tid_num", [])
    assert len(set(ids)) == len(ids)
    return dict(zip(ids, got.ts, strict=True))


async def test_a_range_that_begins_in_an_instant(exchange: KrakenStandIn, kraken: BoundSource) -> None:
    """Each side of a trade's time as it is told, which is before its true one or after it."""
    fills = exchange.fills(KEY)
    first = fills.first_from(parse_time("2025-06-01"))
    for fill in fills.between(first, first + 8):
        for start_ns in (told_ns(fill.ts_ns), told_ns(fill.ts_ns) + 1):
            got = await fetch(kraken, "BTC/USD", DataType.TRADES, start_ns, start_ns + S_NS)
            assert trades_of(got) == expected(exchange, start_ns, start_ns + S_NS)


@pytest.mark.parametrize("burst", [400, 990])
async def test_many_fills_in_one_instant(clock: Clock, burst: int) -> None:
    """Fault 1: instants that the ends of pages cut."""
    async with KrakenStandIn(now_ns=lambda: clock.ns + SKEW_NS, burst=burst) as exchange:
        kraken = bound(KRAKEN, exchange.url, clock)
        start_ns = parse_time("2025-06-01")
        end_ns = start_ns + 8 * burst * S_NS
        got = await fetch(kraken, "BTC/USD", DataType.TRADES, start_ns, end_ns)
        await kraken.aclose()
        wanted = expected(exchange, start_ns, end_ns)
    assert len(wanted) > 7 * burst
    assert trades_of(got) == wanted
    assert got.covered == IntervalSet.of(start_ns, end_ns)


@pytest.mark.parametrize(
    ("words", "wait_s"),
    [("EAPI:Rate limit exceeded", 0.5), (f"EService: Throttled: {NOW_NS // S_NS + 40}", 30)],
)
async def test_throttling_is_heeded(
    exchange: KrakenStandIn, kraken: BoundSource, clock: Clock, words: str, wait_s: float
) -> None:
    answer = engine.Response(json.dumps({"error": [words]}).encode())
    exchange.faults.append(Fault("answer", "/0/public/OHLC", response=answer))
    got = await fetch(kraken, "BTC/USD", DataType.OHLC, 0, NOW_NS, "1h")
    assert len(got.ts) == 720
    assert max(clock.slept) >= wait_s


async def test_names_of_elsewhere_and_pairs_that_trade_no_more(
    kraken: BoundSource,
) -> None:
    every = await kraken.instruments()
    assert every.resolve("DOGE/USD").native == "XDGUSD"
    assert not every.resolve("LUNA/USD").active


async def test_a_pair_delisted_since_the_list_was_kept(clock: Clock) -> None:
    async with KrakenStandIn(now_ns=lambda: clock.ns + SKEW_NS) as exchange:
        kraken = bound(KRAKEN, exchange.url, clock)
        await kraken.instruments()
        del exchange.listing[KEY]
        with pytest.raises(ExchangeError, match="EQuery:Unknown asset pair"):
            await fetch(kraken, "BTC/USD", DataType.OHLC, 0, NOW_NS, "1h")
        await kraken.aclose()
