"""Bitfinex's source, its transport and the paginators together, over sockets, against the stand-in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from dccd.application.bound_source import BoundSource
from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import ExchangeRefused, MalformedPayload
from dccd.domain.instrument import InstrumentList
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS, MS_NS, S_NS, parse_time
from dccd.domain.types import DataType, InstrumentType, Market
from dccd.sources.bitfinex import BITFINEX
from tests.contract.kit import (
    SKEW_NS,
    Clock,
    assert_whole,
    bound,
    dataset,
    fetch,
)
from tests.exchanges import engine
from tests.exchanges.bitfinex import FIRST_MS, BitfinexStandIn, states, trade_row
from tests.exchanges.engine import Fault

NOW_NS = parse_time("2026-03-01T12:34:56.789Z")  # a Sunday
FIRST_NS = FIRST_MS * MS_NS
PAIRS = [("BTC/USDT", "tBTCUST"), ("BTC/USDT:USDT", "tBTCF0:USTF0")]


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW_NS)


@pytest.fixture
async def exchange(clock: Clock) -> AsyncIterator[BitfinexStandIn]:
    async with BitfinexStandIn(now_ns=lambda: clock.ns + SKEW_NS) as server:
        yield server
    assert not server.refused  # never too many requests, nor any that it does not know


@pytest.fixture
async def bitfinex(exchange: BitfinexStandIn, clock: Clock) -> AsyncIterator[BoundSource]:
    source = bound(BITFINEX, exchange.url, clock)
    yield source
    await source.aclose()


def asked(exchange: BitfinexStandIn, path: str) -> list[str]:
    """Requests as they came, parameters in their order."""
    return [
        "&".join(f"{name}={value}" for name, value in request.pairs)
        for request in exchange.log
        if request.path.startswith(path)
    ]


async def test_instruments_of_both_markets(exchange: BitfinexStandIn, bitfinex: BoundSource) -> None:
    """Under the names of elsewhere, and without those for trading on paper, which are called the same."""
    found = await bitfinex.instruments()
    assert {str(item.symbol): item.native for item in found} == {
        "BTC/USD": "tBTCUSD",
        "BTC/USDT": "tBTCUST",
        "DOGE/USD": "tDOGE:USD",
        "ALGO/USDC": "tALGUDC",
        "ALGO/USDT:USDT": "tALGF0:USTF0",
        "BTC/USDT:USDT": "tBTCF0:USTF0",
        "ETH/BTC:BTC": "tETHF0:BTCF0",
    }
    assert_whole(InstrumentList("bitfinex", found), list(found), has_ticks=False)
    contract = found.resolve("BTC/USDT:perp")
    assert (contract.market, contract.type) == (Market.LINEAR, InstrumentType.PERPETUAL)
    assert (contract.contract_size, found.resolve("BTC/USD").contract_size) == (1.0, None)
    (request,) = exchange.log
    assert request.path == "/v2/conf/pub:list:pair:exchange,pub:list:pair:futures,pub:map:currency:sym"


async def test_a_list_that_it_does_not_know_any_more(
    exchange: BitfinexStandIn, bitfinex: BoundSource
) -> None:
    answer = engine.Response(b'[["BTCUSD"],null,[]]')
    exchange.faults.append(Fault("answer", "/v2/conf", times=None, response=answer))
    with pytest.raises(MalformedPayload):
        await bitfinex.instruments()


async def test_how_bars_are_asked_for(exchange: BitfinexStandIn, bitfinex: BoundSource) -> None:
    """Both ends are included, in milliseconds; a start of 0 would be none."""
    await fetch(bitfinex, "BTC/USDT:USDT", DataType.OHLC, "2026-02-01", "2026-02-08", "1m")
    assert {request.path for request in exchange.log if "candles" in request.path} == {
        "/v2/candles/trade:1m:tBTCF0:USTF0/hist"
    }
    first, *pages = asked(exchange, "/v2/candles")
    assert first == "sort=1&start=1&limit=1"
    assert sorted(pages) == [
        "sort=1&start=1769904000000&limit=10000&end=1770503999999",
        "sort=1&start=1770504000000&limit=80&end=1770508799999",
    ]


async def test_weeks_that_do_not_begin_on_mondays_are_an_error(
    exchange: BitfinexStandIn, bitfinex: BoundSource
) -> None:
    """The one that was still open would be stored as if it were not."""
    exchange.weeks_from_ms = 3 * DAY_NS // MS_NS
    with pytest.raises(MalformedPayload, match="a bar of 1w begins at 2020-01-30"):
        await fetch(bitfinex, "BTC/USD", DataType.OHLC, "2025-01-01", "2025-03-01", "1w")


@pytest.mark.parametrize(("symbol", "name"), PAIRS)
async def test_what_trades_hold(
    exchange: BitfinexStandIn, bitfinex: BoundSource, symbol: str, name: str
) -> None:
    """250 of one millisecond are among them, of which the newest are told first."""
    start_ns = parse_time("2026-02-01T10:00:00.0005Z")
    end_ns = start_ns + 2 * MINUTE_NS
    got = await fetch(bitfinex, symbol, DataType.TRADES, start_ns, end_ns)
    walk = exchange.walks[name]
    made = walk.trades(walk.number_at(-(-start_ns // MS_NS)), walk.number_at(-(-end_ns // MS_NS)))
    told = [trade_row(trade) for trade in made]
    assert got.columns["tid_num"] == [row[0] for row in told]
    assert got.ts == [row[1] * MS_NS for row in told]
    assert got.columns["amount"] == [abs(row[2]) for row in told]
    assert got.columns["price"] == [row[3] for row in told]
    assert got.columns["side"] == ["buy" if trade.buy else "sell" for trade in made]
    first, page = asked(exchange, f"/v2/trades/{name}/hist")[:2]
    assert first == "sort=1&start=1&limit=1"
    assert page == f"sort=1&start=1769940000001&limit=10000&end={-(-end_ns // MS_NS) - 1}"


async def test_an_instant_larger_than_a_page_is_no_skip(
    exchange: BitfinexStandIn, bitfinex: BoundSource
) -> None:
    """There is no way past a page full of one millisecond: what it has is told, and the rest is a gap."""
    rows = [[number, 1769940000000, 1, 100] for number in range(10_000)]
    answer = engine.Response(json.dumps(rows).encode())
    start_ns = parse_time("2026-02-01T10:00:00Z")
    await bitfinex.instruments()
    what, it = await dataset(bitfinex, "BTC/USD", DataType.TRADES)
    exchange.faults.append(Fault("answer", "/v2/trades", after=1, response=answer))
    pages = [page async for page in bitfinex.history(what, it, start_ns, start_ns + S_NS)]
    assert pages[0].rows == 10_000
    covered = IntervalSet()
    for page in pages:
        covered |= page.covered
    assert covered == IntervalSet.of(start_ns + MS_NS, start_ns + S_NS)


@pytest.mark.parametrize("rows", [5000, 333])
async def test_funding_is_what_was_paid_at_the_end_of_eight_hours(
    exchange: BitfinexStandIn, bitfinex: BoundSource, rows: int
) -> None:
    exchange.rows_most = rows
    start_ns, end_ns = parse_time("2026-02-01"), parse_time("2026-02-04T08:00:00Z")
    got = await fetch(bitfinex, "BTC/USDT:USDT", DataType.FUNDING, start_ns, end_ns)
    assert got.ts == list(range(start_ns, end_ns, 8 * HOUR_NS))
    assert got.covered == IntervalSet.of(start_ns, end_ns)
    hours_before = [(ts - 4 * HOUR_NS) // MS_NS for ts in got.ts]
    stood = states(exchange.walks["tBTCF0:USTF0"], hours_before)
    assert [row[7] * MS_NS for row in stood] == got.ts
    assert got.columns["rate"] == [row[11] for row in stood]
    assert set(got.columns) == {"ts", "rate"}
    first, page = asked(exchange, "/v2/status/deriv/tBTCF0:USTF0/hist")[:2]
    assert first.startswith("sort=1&start=1&limit=5000&end=")
    assert page == "sort=1&start=1769875200000&limit=5000&end=1770191999999"


async def test_what_will_be_paid_is_not_told_before(bitfinex: BoundSource) -> None:
    got = await fetch(bitfinex, "BTC/USDT:USDT", DataType.FUNDING, NOW_NS - DAY_NS, NOW_NS + DAY_NS)
    assert got.ts == [parse_time(f"2026-0{day}:00:00Z") for day in ("2-28T16", "3-01T00", "3-01T08")]


@pytest.mark.parametrize("rows", [5000, 333])
async def test_open_interest_at_its_own_seconds(
    exchange: BitfinexStandIn, bitfinex: BoundSource, rows: int
) -> None:
    exchange.rows_most = rows
    start_ns, end_ns = parse_time("2026-02-01T00:00:30Z"), parse_time("2026-02-05")
    got = await fetch(bitfinex, "ETH/BTC:BTC", DataType.OPEN_INTEREST, start_ns, end_ns, "1m")
    assert abs(len(got.ts) - 4 * 1440) <= 1
    assert start_ns <= got.ts[0] < got.ts[-1] < end_ns
    assert got.covered == IntervalSet.of(start_ns, end_ns)
    told = states(exchange.walks["tETHF0:BTCF0"], [ts // MS_NS for ts in got.ts])
    assert got.columns["open_interest"] == [row[17] for row in told]
    assert asked(exchange, "/v2/status/deriv/tETHF0:BTCF0/hist")[1] == (
        "sort=1&start=1769904030000&limit=5000&end=1770249599999"
    )


@pytest.mark.parametrize("depth", [1, 250])
@pytest.mark.parametrize(("symbol", "name"), PAIRS)
async def test_a_book_of_now(
    exchange: BitfinexStandIn, bitfinex: BoundSource, symbol: str, name: str, depth: int
) -> None:
    what, it = await dataset(bitfinex, symbol, DataType.ORDERBOOK, depth=depth)
    (page,) = [page async for page in bitfinex.history(what, it, 0, NOW_NS)]
    bids, asks = exchange.walks[name].book(depth, exchange.now_ms)
    assert page.columns["side"] == ["bid"] * depth + ["ask"] * depth
    assert page.columns["price"] == [price / 10 for price, _ in bids + asks]
    assert page.columns["amount"] == [amount / 1e8 for _, amount in bids + asks]
    assert page.columns["count"] == [amount % 9 + 1 for _, amount in bids + asks]
    assert all(abs(ts - NOW_NS) < 2 * S_NS for ts in page.columns["ts"])  # type: ignore[operator]
    assert asked(exchange, f"/v2/book/{name}/P0") == [f"len={depth}"]
    assert not page.covered


async def test_the_clock_is_that_of_the_answers(exchange: BitfinexStandIn, bitfinex: BoundSource) -> None:
    assert 0 <= SKEW_NS - await bitfinex.clock_offset_ns(Market.SPOT) <= S_NS
    assert [request.path for request in exchange.log] == ["/v2/platform/status"]


async def test_an_allowance_is_never_passed(
    exchange: BitfinexStandIn, bitfinex: BoundSource, clock: Clock
) -> None:
    """Sixteen pages of trades, and the first: one more than a minute allows."""
    exchange.rows_most = 300
    start_ns = parse_time("2026-02-01T10:00:00Z")
    got = await fetch(bitfinex, "BTC/USD", DataType.TRADES, start_ns, start_ns + 6 * MINUTE_NS)
    assert len(got.ts) > 3000
    assert 15 < exchange.count("/v2/trades") < 30
    assert 59 < sum(clock.slept) < 62


async def test_throttling_and_maintenance_are_heeded(
    exchange: BitfinexStandIn, bitfinex: BoundSource, clock: Clock
) -> None:
    """Who is shut out is so for a minute."""
    await bitfinex.instruments()
    for status, body in (
        (500, b'["error",20060,"maintenance"]'),
        (429, b'{"error":"ERR_RATE_LIMIT"}'),
        (429, b'["error",11010,"ratelimit: error"]'),
    ):
        exchange.faults.append(Fault("answer", "/v2/candles", response=engine.Response(body, status)))
    got = await fetch(bitfinex, "BTC/USD", DataType.OHLC, "2026-02-01", "2026-02-01T01:00:00Z", "1m")
    assert len(got.ts) == 60
    assert 120 <= sum(clock.slept) < 130


async def test_wrong_parameters_come_as_a_fault_of_the_server_and_are_none(
    exchange: BitfinexStandIn, bitfinex: BoundSource, clock: Clock
) -> None:
    await bitfinex.instruments()
    answer = engine.Response(b'["error",10020,"symbol: invalid"]', 500)
    exchange.faults.append(Fault("answer", "/v2/candles", times=None, response=answer))
    with pytest.raises(ExchangeRefused, match=r"HTTP 500, 10020 'symbol: invalid'"):
        await fetch(bitfinex, "BTC/USD", DataType.OHLC, "2026-02-01", "2026-02-02", "1h")
    assert not clock.slept  # it is not tried again
