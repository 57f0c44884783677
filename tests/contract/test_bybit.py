"""Bybit's source, its transport and the paginators together, over sockets, against the stand-in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from dccd.application.bound_source import BoundSource
from dccd.application.jobs import JobParams
from dccd.application.operations.plan import find_work
from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import ExchangeError, InvalidRange, NoCapability, Throttled
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS, MS_NS, S_NS, parse_time
from dccd.domain.types import DataType, InstrumentType, Market
from dccd.sources.bybit import BYBIT
from dccd.storage.store import Store
from tests.contract.kit import (
    SKEW_NS,
    Clock,
    bound,
    dataset,
    fetch,
)
from tests.exchanges import engine
from tests.exchanges.bybit import LISTED, BybitStandIn
from tests.exchanges.engine import Fault

NOW_NS = parse_time("2026-03-01T12:34:56.789Z")
FIRST_NS = parse_time("2020-03-30")
PAIRS = ["BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"]
EMPTY = engine.Response(b'{"retCode":0,"retMsg":"OK","result":{"list":[]}}')


@pytest.fixture
async def exchange() -> AsyncIterator[BybitStandIn]:
    async with BybitStandIn(now_ms=NOW_NS // MS_NS) as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW_NS)


@pytest.fixture
async def bybit(exchange: BybitStandIn, clock: Clock) -> AsyncIterator[BoundSource]:
    source = bound(BYBIT, exchange.url, clock)
    yield source
    await source.aclose()


def assert_nothing_refused(exchange: BybitStandIn) -> None:
    assert set(exchange.statuses) == {200}


async def test_instruments_of_every_market_and_state(exchange: BybitStandIn, bybit: BoundSource) -> None:
    """The list comes by pages, and says only what trades unless asked for the rest."""
    exchange.rows_most = 2
    found = await bybit.instruments()
    assert not bybit.listing_errors
    assert len(found) == len(LISTED)
    it = found.resolve("BTC/USDT:USDT-261225")
    assert (it.native, it.type, it.expiry_ns) == (
        "BTCUSDT-25DEC26",
        InstrumentType.FUTURE,
        parse_time("2026-12-25T08:00:00Z"),
    )
    assert found.resolve("BTC/USDC:USDC").native == "BTCPERP"
    assert found.resolve("BTC/USD:BTC-261225").market is Market.INVERSE
    gone = found.resolve("LUNA/USDT:USDT")
    assert (gone.active, gone.expiry_ns, gone.listed_ns) == (False, None, FIRST_NS)
    assert exchange.count("/v5/market/instruments-info", category="linear", status="Trading") == 2
    assert_nothing_refused(exchange)


async def test_a_list_that_goes_in_a_circle_is_an_error(exchange: BybitStandIn, bybit: BoundSource) -> None:
    body = b'{"retCode":0,"retMsg":"OK","result":{"list":[],"nextPageCursor":"again"}}'
    wrong = Fault("answer", "/v5/market/instruments-info", times=None, response=engine.Response(body))
    exchange.faults.append(wrong)
    with pytest.raises(ExchangeError, match="circle"):
        await bybit.instruments()


async def test_what_bars_hold(exchange: BybitStandIn, bybit: BoundSource) -> None:
    """Volume is base and quote volume quote, whatever the exchange calls them."""
    for symbol, key in zip(
        PAIRS, (("spot", "BTCUSDT"), ("linear", "BTCUSDT"), ("inverse", "BTCUSD")), strict=True
    ):
        got = await fetch(bybit, symbol, DataType.OHLC, "2026-02-01", "2026-02-01T00:10:00Z", "1m")
        bars = exchange.walks[key].bars("1m", [ts // MS_NS for ts in got.ts])
        for place, bar in enumerate(bars):
            row = {name: column[place] for name, column in got.columns.items()}
            assert (row["open"], row["close"]) == (bar.open / 10, bar.close / 10)
            assert (row["high"], row["low"]) == (bar.high / 10, bar.low / 10)
            base = row["quote_volume"] / row["close"]
            assert row["volume"] == pytest.approx(base, rel=1e-6, abs=1e-8)
            counted = row["quote_volume"] if key[0] == "inverse" else row["volume"] * 1000
            assert round(counted) == bar.volume


@pytest.mark.parametrize(("symbol", "key", "rows"), [
    ("BTC/USDT", ("spot", "BTCUSDT"), 60),
    ("BTC/USDT:USDT", ("linear", "BTCUSDT"), 1000),
    ("BTC/USD:BTC", ("inverse", "BTCUSD"), 1000),
])  # fmt: skip
async def test_the_newest_trades_and_what_they_prove(
    exchange: BybitStandIn, bybit: BoundSource, symbol: str, key: tuple[str, str], rows: int
) -> None:
    got = await fetch(bybit, symbol, DataType.TRADES, NOW_NS - HOUR_NS, NOW_NS + DAY_NS)
    walk = exchange.walks[key]
    stop = walk.number_at(NOW_NS // MS_NS + 1)
    made = walk.trades(stop - rows, stop)
    assert got.ts == [each.time_ms * MS_NS for each in made]
    assert sorted(got.columns["side"]) == sorted("buy" if each.buy else "sell" for each in made)
    assert len(set(got.columns["tid"])) == rows
    lots = 1 if key[0] == "inverse" else 1000
    assert got.columns["amount"][0] == made[0].amount / lots or made[0].time_ms == made[1].time_ms
    assert got.covered == IntervalSet.of(
        got.ts[0] + MS_NS, max(got.ts[-1], NOW_NS // MS_NS * MS_NS - 10 * S_NS)
    )
    within = await fetch(bybit, symbol, DataType.TRADES, got.ts[5], got.ts[-3])
    assert within.ts == [ts for ts in got.ts if got.ts[5] <= ts < got.ts[-3]]
    assert_nothing_refused(exchange)


async def test_older_trades_are_said_not_to_be_had(bybit: BoundSource, clock: Clock, tmp_path: Path) -> None:
    """They are not absent, nor a gap to be mended: the exchange gives only the newest."""
    what, it = await dataset(bybit, "BTC/USDT", DataType.TRADES)
    oldest_ns = await bybit.earliest_ns(what, it)
    with closing(Store.open(tmp_path)) as store:
        params = JobParams(start=NOW_NS - DAY_NS)
        work = await find_work(params, what, it, source=bybit, store=store, clock=clock.now_ns)
    assert work.unserved == IntervalSet.of(NOW_NS - DAY_NS, oldest_ns)
    assert work.unserved_cause == "Bybit gives the newest 60 trades only"
    assert not work.absent
    assert work.todo.start_ns == oldest_ns
    assert not work.asked & work.unserved


async def test_the_oldest_trade_moves_on_with_time(
    exchange: BybitStandIn, bybit: BoundSource, clock: Clock
) -> None:
    what, it = await dataset(bybit, "BTC/USDT", DataType.TRADES)
    before_ns = await bybit.earliest_ns(what, it)
    assert exchange.frozen_ms is not None
    exchange.frozen_ms += 60_000
    clock.ns += MINUTE_NS
    assert before_ns + 30 * S_NS < await bybit.earliest_ns(what, it) < NOW_NS + MINUTE_NS


@pytest.mark.parametrize(
    ("symbol", "every_h"), [("BTC/USDT:USDT", 8), ("ETH/USDT:USDT", 1), ("BTC/USD:BTC", 8)]
)
async def test_funding_at_whatever_interval(
    exchange: BybitStandIn, bybit: BoundSource, symbol: str, every_h: int
) -> None:
    start_ns, end_ns = parse_time("2019-06-01"), parse_time("2020-12-01")
    got = await fetch(bybit, symbol, DataType.FUNDING, start_ns, end_ns)
    assert got.ts == list(range(FIRST_NS, end_ns, every_h * HOUR_NS))
    assert got.covered == IntervalSet.of(start_ns, end_ns)
    assert_nothing_refused(exchange)


async def test_an_allowance_is_never_passed(clock: Clock) -> None:
    """The exchange's window is any five seconds; more than it allows would be a ban of ten minutes."""
    async with BybitStandIn(now_ms=NOW_NS // MS_NS, requests_in_5_s=20) as exchange:
        slept = clock.sleep

        async def sleep(seconds: float) -> None:
            await slept(seconds)
            exchange.frozen_ms = (clock.ns + SKEW_NS) // MS_NS

        source = BoundSource(
            BYBIT, urls={"rest_url": exchange.url}, units={"rest": 20}, now_ns=clock.now_ns, sleep=sleep
        )
        got = await fetch(source, "BTC/USDT", DataType.OHLC, "2026-01-01", "2026-02-01", "1m")
        await source.aclose()
        assert len(got.ts) == 44_640
        assert_nothing_refused(exchange)
        assert 5 < sum(clock.slept) < 25


@pytest.mark.parametrize(("answer", "wait_s"), [
    (engine.Response(b"<html>access too frequent</html>", 403), 600),
    (engine.Response(b'{"retCode":10006,"retMsg":"Too many visits!","result":{}}'), 5),
    (engine.Response(b'{"retCode":10006,"retMsg":"Too many visits!"}', 200,
                     {"X-Bapi-Limit-Reset-Timestamp": str(NOW_NS // MS_NS + 1500)}), 1.5),
])  # fmt: skip
async def test_throttling_is_heeded(
    exchange: BybitStandIn, bybit: BoundSource, clock: Clock, answer: engine.Response, wait_s: float
) -> None:
    await bybit.instruments()
    await bybit.clock_offset_ns(Market.SPOT)
    exchange.faults.append(Fault("answer", "/v5/market/kline", response=answer))
    got = await fetch(bybit, "BTC/USDT", DataType.OHLC, "2026-02-01", "2026-02-01T01:00:00Z", "1m")
    assert len(got.ts) == 60
    assert sum(clock.slept) == pytest.approx(wait_s, abs=0.8)


async def test_a_country_that_is_not_served_is_no_throttle(
    exchange: BybitStandIn, bybit: BoundSource
) -> None:
    body = b"The Amazon CloudFront distribution is configured to block access from your country."
    exchange.faults.append(Fault("answer", times=None, response=engine.Response(body, 403)))
    with pytest.raises(ExchangeError, match="does not serve") as caught:
        await bybit.instruments()
    assert not isinstance(caught.value, Throttled)


async def test_nothing_at_all_is_said_so(exchange: BybitStandIn, bybit: BoundSource) -> None:
    what, it = await dataset(bybit, "BTC/USDT", DataType.OHLC, "1m")
    exchange.faults.append(Fault("answer", "/v5/market/kline", times=None, response=EMPTY))
    with pytest.raises(InvalidRange, match="has no ohlc"):
        await bybit.earliest_ns(what, it)


async def test_dated_contracts_have_no_funding(bybit: BoundSource) -> None:
    with pytest.raises(NoCapability):
        await fetch(bybit, "BTC/USDT:USDT-261225", DataType.FUNDING, "2026-02-01", "2026-02-02")
