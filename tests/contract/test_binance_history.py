"""Binance's source, its transport and the paginators together, over sockets, against the stand-in."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dccd.application.bound_source import BoundSource
from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import ExchangeError, ExchangeRefused, NoCapability
from dccd.domain.instrument import Instrument
from dccd.domain.span import Span
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS, MS_NS, S_NS, parse_time
from dccd.domain.types import DataType, Market, Mode
from dccd.sources.binance import BINANCE
from tests.contract.kit import SKEW_NS, Canned, Clock, bound, dataset, fetch, parser, target
from tests.exchanges import engine
from tests.exchanges.binance import BinanceStandIn
from tests.exchanges.engine import Fault

NOW_NS = parse_time("2026-03-01T12:34:56.789Z")


@pytest.fixture
async def exchange() -> AsyncIterator[BinanceStandIn]:
    async with BinanceStandIn(now_ms=NOW_NS // MS_NS) as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW_NS)


@pytest.fixture
async def binance(exchange: BinanceStandIn, clock: Clock) -> AsyncIterator[BoundSource]:
    source = bound(BINANCE, exchange.url, clock)
    yield source
    await source.aclose()


async def test_recorded_bars_bit_for_bit(shared: Path, clock: Clock) -> None:
    path = shared / "datasets" / "binance_klines" / "BTCUSDT_1w.jsonl.gz"
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()][:-1]
    async with BinanceStandIn(shared=shared, now_ms=NOW_NS // MS_NS) as exchange:
        binance = bound(BINANCE, exchange.url, clock)
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


async def test_trades_no_longer_served_are_not_taken_for_none(shared: Path, clock: Clock) -> None:
    """The recorded pair begins at id 13,519,807: what was before is not known to be empty."""
    async with BinanceStandIn(shared=shared, now_ms=NOW_NS // MS_NS) as exchange:
        binance = bound(BINANCE, exchange.url, clock)
        got = await fetch(binance, "XRP/ETH", DataType.TRADES, "2019-01-01", "2019-12-01")
        before = await fetch(binance, "XRP/ETH", DataType.TRADES, "2019-01-01", "2019-02-01")
        await binance.aclose()
    assert len(got.ts) == 12_477
    assert got.covered == IntervalSet.of(got.ts[0], parse_time("2019-12-01"))
    assert not before.pages


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


async def test_an_error_that_is_no_text_is_an_error_of_ours() -> None:
    parse = parser(BINANCE.history[DataType.TRADES], target("binance", Market.SPOT))
    assert isinstance(await Canned(BINANCE).read(b'{"code":-1,"msg":"\xd6"}', parse), ExchangeError)
