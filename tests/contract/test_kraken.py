"""Kraken's source, its transport and the paginators together, over sockets, against the stand-in."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dccd.application.bound_source import BoundSource
from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import DccdError, ExchangeError, MalformedPayload, NoCapability, UnknownSymbol
from dccd.domain.span import Span
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS, S_NS, parse_time
from dccd.domain.types import DataType, Market, Mode
from dccd.sources.base import Response
from dccd.sources.kraken import KRAKEN
from tests.contract.kit import SKEW_NS, Clock, Fetched, bound, dataset, fetch, mutations, parser, read, target
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


@pytest.mark.parametrize("span", ["1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w", "15d"])
async def test_bars_up_to_the_open_one(exchange: KrakenStandIn, kraken: BoundSource, span: str) -> None:
    """Fault 5, wherever bars begin: the stand-in's weeks do on Thursdays."""
    length_ns = Span.parse(span).nominal_ns
    got = await fetch(kraken, "BTC/USD", DataType.OHLC, 0, NOW_NS + DAY_NS, span)
    open_ns = NOW_NS // length_ns * length_ns
    listed_ns = exchange.walk(KEY).first_ms * 10**6 // length_ns * length_ns
    first_ns = max(listed_ns, open_ns - 720 * length_ns)
    assert got.ts == list(range(first_ns, open_ns, length_ns))
    last_ns = min(open_ns, Span.parse(span).floor(NOW_NS))
    assert got.covered == IntervalSet.of(first_ns, last_ns)
    made = exchange.walk(KEY).bars(f"{length_ns // MINUTE_NS}m", [got.ts[0] // 10**6])[0]
    assert got.columns["open"][0] == made.open / 10
    assert got.columns["volume"][0] == made.volume / 10**8
    assert set(got.columns) == {"ts", "open", "high", "low", "close", "volume", "trades"}


async def test_what_is_older_than_the_newest_bars_is_no_gap_of_ours(kraken: BoundSource) -> None:
    got = await fetch(kraken, "BTC/USD", DataType.OHLC, "2026-01-01", "2026-02-01", "1m")
    assert not got.ts
    assert not got.covered


async def test_bars_without_trades_are_covered_and_empty(
    exchange: KrakenStandIn, kraken: BoundSource
) -> None:
    exchange.quiet = 3
    got = await fetch(kraken, "BTC/USD", DataType.OHLC, NOW_NS - 5 * HOUR_NS, NOW_NS, "1m")
    assert 198 <= len(got.ts) <= 200
    assert len(got.covered) == 1


async def test_every_trade_of_any_range_and_no_other(exchange: KrakenStandIn, kraken: BoundSource) -> None:
    chance = random.Random(4)
    ranges = [
        (chance.randrange(10**6) * 10**9 + chance.randrange(10**9), n * S_NS) for n in (1, 30, 900, 3500)
    ]
    for ago_ns, length_ns in ranges:
        start_ns = NOW_NS - DAY_NS - ago_ns
        got = await fetch(kraken, "BTC/USD", DataType.TRADES, start_ns, start_ns + length_ns)
        assert trades_of(got) == expected(exchange, start_ns, start_ns + length_ns)
        assert got.covered == IntervalSet.of(start_ns, start_ns + length_ns)
    assert len(got.ts) > 3000
    assert set(got.columns["side"]) == {"buy", "sell"}


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


async def test_an_instant_larger_than_a_page_is_an_error_and_no_skip(clock: Clock) -> None:
    async with KrakenStandIn(now_ns=lambda: clock.ns + SKEW_NS, burst=2500) as exchange:
        kraken = bound(KRAKEN, exchange.url, clock)
        got, start_ns = Fetched(), parse_time("2025-06-01")
        what, it = await dataset(kraken, "BTC/USD", DataType.TRADES)
        with pytest.raises(MalformedPayload, match="full of rows of before"):  # noqa: PT012
            async for page in kraken.history(what, it, start_ns, start_ns + DAY_NS):
                got.add(page)
        await kraken.aclose()
        assert got.covered.end_ns is not None
        whole = expected(exchange, start_ns, got.covered.end_ns)
    assert whole.items() <= trades_of(got).items()


async def test_pages_that_shrink(exchange: KrakenStandIn, kraken: BoundSource) -> None:
    exchange.rows_most = 60
    start_ns = parse_time("2025-06-01")
    got = await fetch(kraken, "BTC/USD", DataType.TRADES, start_ns, start_ns + 500 * S_NS)
    assert trades_of(got) == expected(exchange, start_ns, start_ns + 500 * S_NS)
    assert got.covered == IntervalSet.of(start_ns, start_ns + 500 * S_NS)


async def test_trades_never_past_what_has_settled(exchange: KrakenStandIn, kraken: BoundSource) -> None:
    got = await fetch(kraken, "BTC/USD", DataType.TRADES, NOW_NS - HOUR_NS, NOW_NS + DAY_NS)
    assert got.covered.end_ns is not None
    assert NOW_NS - 12 * S_NS < got.covered.end_ns <= exchange.now_ns() - 10 * S_NS
    assert trades_of(got) == expected(exchange, NOW_NS - HOUR_NS, got.covered.end_ns)


async def test_what_lies_before_the_first_trade_is_covered_at_once(
    exchange: KrakenStandIn, kraken: BoundSource
) -> None:
    first_ns = exchange.fills(KEY).between(0, 1)[0].ts_ns
    end_ns = first_ns + 100 * S_NS
    got = await fetch(kraken, "BTC/USD", DataType.TRADES, "2010-01-01", end_ns)
    assert trades_of(got) == expected(exchange, 0, end_ns)
    assert got.covered == IntervalSet.of(parse_time("2010-01-01"), end_ns)
    assert exchange.count("/0/public/Trades") == 2


async def test_no_single_empty_answer_empties_a_range(
    exchange: KrakenStandIn, kraken: BoundSource, clock: Clock
) -> None:
    start_ns = parse_time("2025-06-01")
    end_ns = start_ns + 2500 * S_NS
    empty = engine.Response(json.dumps({"error": [], "result": {KEY: [], "last": "0"}}).encode())
    wanted = expected(exchange, start_ns, end_ns)
    for after in range(4):
        exchange.faults[:] = [Fault("answer", "/0/public/Trades", after=after, response=empty)]
        source = bound(KRAKEN, exchange.url, clock)
        clock.ns += 2 * S_NS  # another program's requests count too
        got = await fetch(source, "BTC/USD", DataType.TRADES, start_ns, end_ns)
        await source.aclose()
        assert exchange.faults[0].times == 0
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


async def test_a_book_of_now(exchange: KrakenStandIn, kraken: BoundSource) -> None:
    what, it = await dataset(kraken, "BTC/USD", DataType.ORDERBOOK, depth=25)
    (page,) = [page async for page in kraken.history(what, it, 0, NOW_NS)]
    assert page.columns["side"] == ["bid"] * 25 + ["ask"] * 25
    assert not page.covered
    (ts,) = set(page.columns["ts"])
    assert abs(ts - exchange.now_ns()) < 2 * S_NS  # type: ignore[operator]


async def test_the_clock_is_measured_against_the_exchanges(kraken: BoundSource, clock: Clock) -> None:
    assert 0 <= SKEW_NS - await kraken.clock_offset_ns(Market.SPOT) < S_NS


async def test_instruments_that_are_missing_or_trade_no_more(kraken: BoundSource) -> None:
    every = await kraken.instruments()
    assert every.resolve("DOGE/USD").native == "XDGUSD"
    assert not every.resolve("LUNA/USD").active
    with pytest.raises(UnknownSymbol, match="lists no 'BTC/XYZ'"):
        every.resolve("BTC/XYZ")
    for kind, span, depth in (
        (DataType.FUNDING, None, None),
        (DataType.OHLC, "1mo", None),
        (DataType.ORDERBOOK, None, 501),
    ):
        with pytest.raises(NoCapability):
            kraken.require(
                kind, Mode.HISTORICAL, every.resolve("BTC/USD"), Span.parse(span) if span else None, depth
            )


async def test_a_pair_delisted_since_the_list_was_kept(clock: Clock) -> None:
    async with KrakenStandIn(now_ns=lambda: clock.ns + SKEW_NS) as exchange:
        kraken = bound(KRAKEN, exchange.url, clock)
        await kraken.instruments()
        del exchange.listing[KEY]
        with pytest.raises(ExchangeError, match="EQuery:Unknown asset pair"):
            await fetch(kraken, "BTC/USD", DataType.OHLC, 0, NOW_NS, "1h")
        await kraken.aclose()


WHOSE = target("kraken", Market.SPOT)
SAMPLES: dict[DataType, bytes] = {
    DataType.OHLC: b'{"error":[],"result":{"XY":[[60,"1","3","1","2","1.5","7.5",4]],"last":60}}',
    DataType.TRADES: b'{"error":[],"result":{"XY":[["1.5","2",1688669597.82773,"s","m","",6]],"last":"1"}}',
    DataType.ORDERBOOK: b'{"error":[],"result":{"XY":{"asks":[["2","1",3]],"bids":[["1","1.5",4]]}}}',
}


@pytest.mark.parametrize("data_type", SAMPLES)
async def test_every_beginning_of_an_answer(data_type: DataType) -> None:
    sample = SAMPLES[data_type]
    parse = parser(KRAKEN.history[data_type], WHOSE)
    for length in range(len(sample)):
        assert isinstance(await read(KRAKEN, sample[:length], 200, parse), ExchangeError)
    assert not isinstance(await read(KRAKEN, sample, 200, parse), DccdError)


@pytest.mark.parametrize("data_type", SAMPLES)
async def test_any_change_of_an_answer(data_type: DataType) -> None:
    parse = parser(KRAKEN.history[data_type], WHOSE)
    for body in mutations(SAMPLES[data_type], 150, seed=1):
        result = await read(KRAKEN, body, 200, parse)
        assert isinstance(result, ExchangeError) or len({len(column) for column in result.values()}) == 1  # type: ignore[attr-defined]


@settings(deadline=None)
@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=60)
    | st.text(max_size=30).map(lambda text: json.dumps({"error": [text]}).encode()),
)
def test_any_answer_is_an_error_of_ours_or_none(status: int, body: bytes) -> None:
    error = KRAKEN.error(Response(status, {"retry-after": "soon"}, body))
    assert isinstance(error, ExchangeError | None)
    assert error is not None or status < 400
