"""Coinbase's source, its transport and the paginators together, over sockets, against the stand-in."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dccd.application.bound_source import BoundSource
from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import DccdError, ExchangeError, NoCapability, UnknownSymbol
from dccd.domain.span import Span
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS, S_NS, parse_time
from dccd.domain.types import DataType, Market, Mode
from dccd.sources.base import Response
from dccd.sources.coinbase import COINBASE
from tests.contract import kit
from tests.contract.kit import SKEW_NS, Clock, Fetched, bound, dataset, fetch
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


@pytest.mark.parametrize("span", ["1m", "5m", "15m", "1h", "6h", "1d"])
async def test_bars_up_to_the_open_one(exchange: CoinbaseStandIn, coinbase: BoundSource, span: str) -> None:
    """Fault 5: neither the open bar nor one that an answer kept for a while may tell."""
    step = Span.parse(span)
    start_ns = step.floor(NOW_NS - 1000 * step.nominal_ns)
    got = await fetch(coinbase, "BTC/USD", DataType.OHLC, start_ns, NOW_NS + DAY_NS, span)
    last_ns = step.floor(NOW_NS - 300 * S_NS)
    assert got.ts == kit.expected_opens(span, start_ns, last_ns)
    assert got.covered == IntervalSet.of(start_ns, last_ns)
    bar = exchange.walk(PAIR).bars(span, [got.ts[7] // 10**6])[0]
    assert [got.columns[name][7] for name in ("open", "high", "low", "close")] == [
        price / 100 for price in (bar.open, bar.high, bar.low, bar.close)
    ]
    assert set(got.columns) == {"ts", "open", "high", "low", "close", "volume"}


async def test_bars_without_trades_are_covered_and_empty(
    exchange: CoinbaseStandIn, coinbase: BoundSource
) -> None:
    exchange.quiet = 3
    got = await fetch(coinbase, "BTC/USD", DataType.OHLC, "2026-01-01", "2026-01-02", "1m")
    assert len(got.ts) == 960
    assert got.covered == IntervalSet.of(parse_time("2026-01-01"), parse_time("2026-01-02"))


async def test_what_lies_before_the_first_trade_is_covered_at_once(
    exchange: CoinbaseStandIn, coinbase: BoundSource
) -> None:
    first_ns = exchange.fills(PAIR).between(0, 1)[0].ts_ns
    end_ns = first_ns // HOUR_NS * HOUR_NS + 5 * HOUR_NS
    bars = await fetch(coinbase, "BTC/USD", DataType.OHLC, "2010-01-01", end_ns, "1h")
    assert bars.ts == kit.expected_opens("1h", first_ns // HOUR_NS * HOUR_NS, end_ns)
    assert bars.covered == IntervalSet.of(parse_time("2010-01-01"), end_ns)
    assert exchange.count(f"/products/{PAIR}/candles") == 1
    trades = await fetch(coinbase, "BTC/USD", DataType.TRADES, "2010-01-01", first_ns + 1500 * S_NS)
    assert trades_of(trades) == expected(exchange, 0, first_ns + 1500 * S_NS)
    assert trades.covered == IntervalSet.of(parse_time("2010-01-01"), first_ns + 1500 * S_NS)


async def test_every_trade_of_any_range_and_no_other(
    exchange: CoinbaseStandIn, coinbase: BoundSource
) -> None:
    chance = random.Random(4)
    for length_s in (1, 30, 900, 3500):
        start_ns = NOW_NS - DAY_NS - chance.randrange(10**6) * 10**9 - chance.randrange(10**9)
        end_ns = start_ns + length_s * S_NS
        got = await fetch(coinbase, "BTC/USD", DataType.TRADES, start_ns, end_ns)
        assert trades_of(got) == expected(exchange, start_ns, end_ns)
        assert got.covered == IntervalSet.of(start_ns, end_ns)
    assert len(got.ts) > 3000
    assert set(got.columns["side"]) == {"buy", "sell"}


async def test_many_fills_in_one_instant(clock: Clock) -> None:
    """Fault 1: more than a page holds, too, as pages go by id."""
    async with CoinbaseStandIn(now_ns=lambda: clock.ns + SKEW_NS, burst=2500) as exchange:
        coinbase = bound(COINBASE, exchange.url, clock)
        start_ns = parse_time("2025-06-01")
        got = await fetch(coinbase, "BTC/USD", DataType.TRADES, start_ns, start_ns + 7500 * S_NS)
        await coinbase.aclose()
        assert trades_of(got) == expected(exchange, start_ns, start_ns + 7500 * S_NS)
        assert len(got.ts) >= 7500
        assert got.covered == IntervalSet.of(start_ns, start_ns + 7500 * S_NS)


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


async def test_trades_never_past_what_has_settled(exchange: CoinbaseStandIn, coinbase: BoundSource) -> None:
    got = await fetch(coinbase, "BTC/USD", DataType.TRADES, NOW_NS - HOUR_NS, NOW_NS + DAY_NS)
    assert got.covered.end_ns is not None
    assert NOW_NS - 11 * S_NS < got.covered.end_ns <= exchange.now_ns() - 10 * S_NS
    assert trades_of(got) == expected(exchange, NOW_NS - HOUR_NS, got.covered.end_ns)


@pytest.mark.parametrize("kind", [DataType.OHLC, DataType.TRADES])
async def test_no_single_empty_answer_empties_a_range(
    exchange: CoinbaseStandIn, clock: Clock, kind: DataType
) -> None:
    start_ns = parse_time("2025-06-01")
    end_ns = start_ns + 2000 * S_NS // MINUTE_NS * MINUTE_NS
    span = "1m" if kind is DataType.OHLC else None

    async def everything() -> Fetched:
        clock.ns += 2 * S_NS
        source = bound(COINBASE, exchange.url, clock)
        got = await fetch(source, "BTC/USD", kind, start_ns, end_ns, span)
        await source.aclose()
        return got

    whole = await everything()
    path = f"/products/{PAIR}/"
    for after in range(min(8, exchange.count(path))):
        exchange.faults[:] = [Fault("answer", path, after=after, response=engine.Response(b"[]"))]
        got = await everything()
        assert exchange.faults[0].times == 0
        assert got.ts == whole.ts
        assert got.covered == IntervalSet.of(start_ns, end_ns)


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


async def test_a_book_of_now(exchange: CoinbaseStandIn, coinbase: BoundSource) -> None:
    what, it = await dataset(coinbase, "BTC/USD", DataType.ORDERBOOK, depth=50)
    (page,) = [page async for page in coinbase.history(what, it, 0, NOW_NS)]
    assert page.columns["side"] == ["bid"] * 50 + ["ask"] * 50
    assert not page.covered
    (ts,) = set(page.columns["ts"])
    assert abs(ts - exchange.now_ns()) < S_NS  # type: ignore[operator]


async def test_the_clock_is_measured_against_the_exchanges(coinbase: BoundSource) -> None:
    assert abs(await coinbase.clock_offset_ns(Market.SPOT) - SKEW_NS) < S_NS // 100


async def test_instruments_that_are_missing_or_trade_no_more(
    exchange: CoinbaseStandIn, coinbase: BoundSource
) -> None:
    every = await coinbase.instruments()
    assert not every.resolve("REP/USD").active
    with pytest.raises(UnknownSymbol, match="lists no 'BTC/XYZ'"):
        every.resolve("BTC/XYZ")
    for kind, span, depth in (
        (DataType.FUNDING, None, None),
        (DataType.OHLC, "4h", None),
        (DataType.ORDERBOOK, None, 5001),
    ):
        with pytest.raises(NoCapability):
            coinbase.require(
                kind, Mode.HISTORICAL, every.resolve("BTC/USD"), Span.parse(span) if span else None, depth
            )
    del exchange.listing[0]
    with pytest.raises(ExchangeError, match="NotFound"):
        await fetch(coinbase, "BTC/USD", DataType.OHLC, "2026-01-01", "2026-01-02", "1h")
    assert set(exchange.refused) == {"NotFound"}
    exchange.refused.clear()


WHOSE = kit.target("coinbase", Market.SPOT)
SAMPLES: dict[DataType, bytes] = {
    DataType.OHLC: b"[[1755496620,115703.97,115743.7,115733.6,115739.93,0.61798602]]",
    DataType.TRADES: b'[{"trade_id":5,"side":"buy","size":"1","price":"2","time":"2020-03-20T00:36:59.8Z"}]',
    DataType.ORDERBOOK: b'{"bids":[["1","1.5",4]],"asks":[["2","1",3]],"time":"2020-03-20T00:36:59Z"}',
}


@pytest.mark.parametrize("data_type", SAMPLES)
async def test_every_beginning_of_an_answer(data_type: DataType) -> None:
    sample = SAMPLES[data_type]
    parse = kit.parser(COINBASE.history[data_type], WHOSE)
    for length in range(len(sample)):
        assert isinstance(await kit.read(COINBASE, sample[:length], 200, parse), ExchangeError)
    assert not isinstance(await kit.read(COINBASE, sample, 200, parse), DccdError)


@pytest.mark.parametrize("data_type", SAMPLES)
async def test_any_change_of_an_answer(data_type: DataType) -> None:
    parse = kit.parser(COINBASE.history[data_type], WHOSE)
    for body in kit.mutations(SAMPLES[data_type], 150, seed=1):
        result = await kit.read(COINBASE, body, 200, parse)
        assert isinstance(result, ExchangeError) or len({len(column) for column in result.values()}) == 1  # type: ignore[attr-defined]


@settings(deadline=None)
@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=60)
    | st.text(max_size=30).map(lambda text: json.dumps({"message": text}).encode()),
)
def test_any_answer_is_an_error_of_ours_or_none(status: int, body: bytes) -> None:
    error = COINBASE.error(Response(status, {"retry-after": "soon"}, body))
    assert isinstance(error, ExchangeError | None)
    assert error is not None or status < 400
