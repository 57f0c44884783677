"""Bybit's source, its transport and the paginators together, over sockets, against the stand-in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dccd.application.bound_source import BoundSource
from dccd.application.jobs import JobParams
from dccd.application.operations.plan import find_work
from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import ExchangeError, InvalidRange, NoCapability, Throttled, UnknownSymbol
from dccd.domain.span import Span
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS, MS_NS, S_NS, parse_time
from dccd.domain.types import DataType, InstrumentType, Market
from dccd.sources.bybit import BYBIT
from dccd.storage.store import Store
from tests.contract.kit import (
    SKEW_NS,
    Clock,
    Fetched,
    bound,
    dataset,
    expected_opens,
    fetch,
    mutations,
    parser,
    read,
    target,
)
from tests.exchanges import engine
from tests.exchanges.bybit import LISTED, BybitStandIn
from tests.exchanges.engine import Fault
from tests.exchanges.walk import decimal

NOW_NS = parse_time("2026-03-01T12:34:56.789Z")
FIRST_NS = parse_time("2020-03-30")
PAIRS = ["BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"]
KEYS = [("spot", "BTCUSDT"), ("linear", "BTCUSDT"), ("inverse", "BTCUSD")]
SPANS = BYBIT.capabilities[0].spans[Market.SPOT]
EMPTY = engine.Response(b'{"retCode":0,"retMsg":"OK","result":{"list":[]}}')
SAMPLES: dict[DataType, bytes] = {
    DataType.OHLC: b'{"retCode":0,"retMsg":"OK","result":{"category":"inverse","symbol":"X","list":'
    b'[["16706088","17071","17073","17027","17055.5","268611","15.74"]]},"retExtInfo":{},"time":1672}',
    DataType.TRADES: b'{"retCode":0,"retMsg":"OK","result":{"list":[{"execId":"2100","symbol":"X","price":'
    b'"16618.49","size":"0.00012","side":"Buy","time":"1672052955758","isBlockTrade":false}]}}',
    DataType.ORDERBOOK: b'{"retCode":0,"retMsg":"OK","result":{"s":"X","b":[["1.5","2"]],"a":[["1.6","3"]],'
    b'"ts":1716863719031,"u":230704,"seq":1432604333,"cts":1716863718905}}',
    DataType.FUNDING: b'{"retCode":0,"retMsg":"OK","result":{"category":"linear","list":[{"symbol":"X",'
    b'"fundingRate":"0.0001","fundingRateTimestamp":"1672041600000"}]}}',
    DataType.OPEN_INTEREST: b'{"retCode":0,"retMsg":"OK","result":{"symbol":"X","list":[{"openInterest":'
    b'"461134384.0","singleOpenInterest":"1.0","timestamp":"1669571400000"}],"nextPageCursor":""}}',
}


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


@pytest.mark.parametrize(
    ("symbol", "span"),
    [*(("BTC/USDT", span) for span in SPANS), ("BTC/USDT:USDT", "1w"), ("BTC/USD:BTC", "1mo")],
)
async def test_bars_up_to_the_open_one(
    exchange: BybitStandIn, bybit: BoundSource, symbol: str, span: str
) -> None:
    """Faults 5 and 7: not the bar still open, by the exchange's clock and not by ours; all spans on UTC."""
    step = Span.parse(span)
    start_ns = step.floor(max(NOW_NS - 1500 * step.nominal_ns, FIRST_NS + 40 * DAY_NS))
    got = await fetch(bybit, symbol, DataType.OHLC, start_ns, NOW_NS + DAY_NS, span)
    open_ns = step.floor(NOW_NS - 5 * S_NS)
    assert got.ts == expected_opens(span, start_ns, open_ns)
    assert got.covered == IntervalSet.of(start_ns, open_ns)
    assert set(got.columns) == {"ts", "open", "high", "low", "close", "volume", "quote_volume"}
    assert_nothing_refused(exchange)


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


@pytest.mark.parametrize("span", ["1m", "1mo"])
async def test_what_lies_before_the_first_bar_is_covered(bybit: BoundSource, span: str) -> None:
    got = await fetch(bybit, "BTC/USDT", DataType.OHLC, "2018-01-01", "2020-04-02", span)
    assert got.ts == expected_opens(span, Span.parse(span).floor(FIRST_NS), parse_time("2020-04-02"))
    assert got.covered == IntervalSet.of(parse_time("2018-01-01"), parse_time("2020-04-02"))


@pytest.mark.parametrize("rows", [7, 999])
async def test_pages_that_shrink_lose_no_bar(exchange: BybitStandIn, bybit: BoundSource, rows: int) -> None:
    await bybit.instruments()
    exchange.rows_most = rows
    got = await fetch(bybit, "BTC/USDT", DataType.OHLC, "2026-02-01", "2026-02-01T17:00:00Z", "1m")
    assert len(got.ts) == len(set(got.ts)) == 1020


async def test_minutes_without_a_trade_are_covered_and_empty(
    exchange: BybitStandIn, bybit: BoundSource
) -> None:
    exchange.quiet = 23
    start_ns, end_ns = parse_time("2026-02-01"), parse_time("2026-02-02")
    got = await fetch(bybit, "BTC/USDT", DataType.OHLC, start_ns, end_ns, "1m")
    walk = exchange.walks["spot", "BTCUSDT"]
    assert got.ts == [
        ns for ns in expected_opens("1m", start_ns, end_ns) if walk.values([ns // MS_NS], 23)[0]
    ]
    assert got.covered == IntervalSet.of(start_ns, end_ns)
    assert exchange.count("/v5/market/kline") <= 9


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


@pytest.mark.parametrize(
    ("symbol", "span"), [("BTC/USDT:USDT", "5m"), ("BTC/USD:BTC", "1h"), ("BTC/USDT:USDT", "1d")]
)
async def test_open_interest(exchange: BybitStandIn, bybit: BoundSource, symbol: str, span: str) -> None:
    step = Span.parse(span)
    start_ns = FIRST_NS - 3 * DAY_NS if span == "1d" else NOW_NS - 500 * step.nominal_ns
    got = await fetch(bybit, symbol, DataType.OPEN_INTEREST, start_ns, NOW_NS + DAY_NS, span)
    assert got.ts == expected_opens(span, max(FIRST_NS, start_ns), NOW_NS - 300 * S_NS)
    assert ("open_interest_value" in got.columns) == symbol.endswith(":BTC")
    assert_nothing_refused(exchange)


@pytest.mark.parametrize("symbol", PAIRS)
async def test_a_book_of_now(exchange: BybitStandIn, bybit: BoundSource, symbol: str) -> None:
    what, it = await dataset(bybit, symbol, DataType.ORDERBOOK, depth=1000)
    (page,) = [page async for page in bybit.history(what, it, 0, NOW_NS)]
    assert page.columns["side"] == ["bid"] * 1000 + ["ask"] * 1000
    assert set(page.columns["ts"]) == {NOW_NS // MS_NS * MS_NS - 8 * MS_NS}
    assert not page.covered
    bids = exchange.walks["spot", "BTCUSDT"].book(1, NOW_NS // MS_NS)[0]
    assert symbol != "BTC/USDT" or page.columns["price"][0] == float(decimal(bids[0][0], 1))


async def test_the_clock_is_measured(bybit: BoundSource) -> None:
    assert abs(await bybit.clock_offset_ns(Market.SPOT) - SKEW_NS) <= MS_NS


async def test_what_is_not_offered_is_refused_by_name(bybit: BoundSource) -> None:
    refusals = [
        ("BTC/USDT", DataType.FUNDING, None),
        ("BTC/USDT", DataType.OHLC, "3d"),
        ("BTC/USDT:USDT-261225", DataType.FUNDING, None),
        ("BTC/USDT:USDT", DataType.OPEN_INTEREST, "1m"),
    ]
    for symbol, kind, span in refusals:
        with pytest.raises(NoCapability):
            await fetch(bybit, symbol, kind, "2026-02-01", "2026-02-02", span)
    with pytest.raises(UnknownSymbol):
        await dataset(bybit, "NONE/USDT", DataType.OHLC, "1m")


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


@pytest.mark.parametrize(("kind", "symbol", "span"), [
    (DataType.OHLC, "BTC/USDT", "1m"),
    (DataType.FUNDING, "BTC/USDT:USDT", None),
    (DataType.OPEN_INTEREST, "BTC/USDT:USDT", "5m"),
])  # fmt: skip
async def test_no_single_empty_answer_empties_a_range(
    exchange: BybitStandIn, clock: Clock, kind: DataType, symbol: str, span: str | None
) -> None:
    start_ns, end_ns = parse_time("2026-01-01"), parse_time("2026-01-03")

    def lists(request: engine.Request) -> bool:
        return request.path.endswith(("kline", "history", "open-interest"))

    whole = await _once(exchange, clock, symbol, kind, start_ns, end_ns, span)
    asked = sum(lists(request) for request in exchange.log)
    assert whole.ts
    for after in range(asked):
        exchange.faults[:] = [Fault("answer", when=lists, after=after, response=EMPTY)]
        got = await _once(exchange, clock, symbol, kind, start_ns, end_ns, span)
        assert (got.ts, got.covered) == (whole.ts, whole.covered)
        assert exchange.faults[0].times == 0


async def _once(exchange: BybitStandIn, clock: Clock, *what: Any) -> Fetched:
    source = bound(BYBIT, exchange.url, clock)
    try:
        return await fetch(source, *what)
    finally:
        await source.aclose()


@pytest.mark.parametrize("kind", ["reset", "truncate"])
async def test_a_page_cut_on_its_way_is_fetched_again(
    exchange: BybitStandIn, bybit: BoundSource, kind: str
) -> None:
    exchange.faults.append(Fault(kind, path="/v5/market/kline", after=2, times=2))  # type: ignore[arg-type]
    got = await fetch(bybit, "BTC/USDT", DataType.OHLC, "2026-01-01", "2026-01-04", "1m")
    assert len(got.ts) == len(set(got.ts)) == 4320


@pytest.mark.parametrize("kind", SAMPLES)
async def test_every_beginning_and_any_change_of_an_answer(kind: DataType) -> None:
    """Rows, or an error of ours, and nothing else."""
    parse = parser(BYBIT.history[kind], target("bybit", Market.INVERSE))
    body = SAMPLES[kind]
    for length in range(len(body)):
        assert isinstance(await read(BYBIT, body[:length], 200, parse), ExchangeError)
    for changed in mutations(body, 300, seed=1):
        result = await read(BYBIT, changed, 200, parse)
        assert isinstance(result, ExchangeError) or len({len(each) for each in result.values()}) == 1  # type: ignore[attr-defined]
    assert not isinstance(await read(BYBIT, body, 200, parse), ExchangeError)


async def test_nothing_at_all_is_said_so(exchange: BybitStandIn, bybit: BoundSource) -> None:
    what, it = await dataset(bybit, "BTC/USDT", DataType.OHLC, "1m")
    exchange.faults.append(Fault("answer", "/v5/market/kline", times=None, response=EMPTY))
    with pytest.raises(InvalidRange, match="has no ohlc"):
        await bybit.earliest_ns(what, it)
