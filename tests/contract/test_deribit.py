"""Deribit's source, its transport and the paginators together, over sockets, against the stand-in."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from dccd.application.bound_source import BoundSource
from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import (
    ExchangeError,
    ExchangeRefused,
    ExchangeUnavailable,
    MalformedPayload,
    NoCapability,
    Throttled,
)
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MS_NS, S_NS, parse_time
from dccd.domain.types import DataType, InstrumentType, Market
from dccd.sources.base import ById, Response
from dccd.sources.deribit import DERIBIT
from tests.contract.kit import (
    SKEW_NS,
    Clock,
    Fetched,
    assert_whole,
    bound,
    dataset,
    fetch,
    target,
)
from tests.exchanges import engine
from tests.exchanges.deribit import FIRST_MS, LISTED, DeribitStandIn, trade_id
from tests.exchanges.engine import Fault

NOW_NS = parse_time("2026-03-03T12:34:56.789Z")
FIRST_NS = FIRST_MS * MS_NS
PUBLIC = "/api/v2/public/get_"
MARKETS = {
    "BTC/USD:BTC": "BTC-PERPETUAL",
    "BTC/USDC:USDC": "BTC_USDC-PERPETUAL",
    "BTC/USDC": "BTC_USDC",
    "BTC/USD:BTC-260626": "BTC-26JUN26",
}
AMOUNTS = {name: 10.0 if "USDC" not in name else 1 / 1000 for name in MARKETS.values()}


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW_NS)


@pytest.fixture
async def exchange(clock: Clock) -> AsyncIterator[DeribitStandIn]:
    async with DeribitStandIn(now_ns=lambda: clock.ns + SKEW_NS, starts_included=False) as server:
        yield server
    assert not server.refused  # never too many requests, nor any that it does not know


@pytest.fixture
async def deribit(exchange: DeribitStandIn, clock: Clock) -> AsyncIterator[BoundSource]:
    source = bound(DERIBIT, exchange.url, clock)
    yield source
    await source.aclose()


async def test_instruments_by_what_they_settle_in(deribit: BoundSource) -> None:
    found = await deribit.instruments()
    assert not deribit.listing_errors
    assert {item.native for item in found} == {each.name for each in LISTED if each.kind != "option"}
    assert_whole(found, list(found))
    assert {symbol: found.resolve(symbol).native for symbol in MARKETS} == MARKETS
    markets = [Market.INVERSE, Market.LINEAR, Market.SPOT, Market.INVERSE]
    assert [found.resolve(symbol).market for symbol in MARKETS] == markets
    it = found.resolve("BTC-26JUN26")
    assert (it.type, it.expiry_ns) == (InstrumentType.FUTURE, parse_time("2026-06-26T08:00:00Z"))
    assert (it.contract_size, it.lot_size, it.listed_ns) == (1.0, 10.0, FIRST_NS)
    assert found.resolve("BTC/USD:BTC-260227").active is False
    assert found.resolve("BTC/USD:perp").native == "BTC-PERPETUAL"


@pytest.mark.parametrize("symbol", MARKETS)
async def test_what_bars_hold(exchange: DeribitStandIn, deribit: BoundSource, symbol: str) -> None:
    """Volume is in base, of inverse contracts as well."""
    got = await fetch(deribit, symbol, DataType.OHLC, "2026-02-01", "2026-02-01T00:10:00Z", "1m")
    name = MARKETS[symbol]
    bars = exchange.walk(name).bars("1m", [ts // MS_NS for ts in got.ts])
    for place, column in enumerate(("open", "high", "low", "close"), 1):
        assert got.columns[column] == [bar[place] / 2 for bar in bars]
    worth = [bar.volume * AMOUNTS[name] for bar in bars]
    own, other = ("quote_volume", "volume") if "USDC" not in name else ("volume", "quote_volume")
    assert got.columns[own] == pytest.approx(worth)
    power = -1 if own == "quote_volume" else 1
    values = [units * (bar.close / 2) ** power for units, bar in zip(worth, bars, strict=True)]
    assert got.columns[other] == pytest.approx(values)


async def test_what_is_asked_for(exchange: DeribitStandIn, deribit: BoundSource) -> None:
    start_ns = parse_time("2026-02-01")
    start_ms = start_ns // MS_NS
    await fetch(deribit, "BTC/USD:BTC", DataType.OHLC, start_ns, start_ns + 10 * HOUR_NS, "3h")
    await fetch(deribit, "BTC/USD:BTC", DataType.FUNDING, start_ns, start_ns + 10 * HOUR_NS)
    *_, chart, rates = exchange.log
    assert chart.path == PUBLIC + "tradingview_chart_data"
    assert chart.pairs == [
        ("instrument_name", "BTC-PERPETUAL"),
        ("start_timestamp", str(start_ms - 1)),
        ("end_timestamp", str(start_ms + 10 * 3_600_000 - 1)),
        ("resolution", "180"),
    ]
    assert rates.path == PUBLIC + "funding_rate_history"
    assert rates.pairs[0] == ("instrument_name", "BTC-PERPETUAL")
    lists = [request.pairs for request in exchange.log if request.path == PUBLIC + "instruments"]
    assert sorted(lists) == [
        [("currency", "any"), ("kind", "future"), ("expired", "false")],
        [("currency", "any"), ("kind", "future"), ("expired", "true")],
        [("currency", "any"), ("kind", "spot"), ("expired", "false")],
    ]


def test_a_page_of_trades_is_asked_for_by_both_its_ends() -> None:
    history = DERIBIT.history[DataType.TRADES]
    assert isinstance(history, ById)
    page = history.request(target("deribit", Market.INVERSE), 5001, 1000)
    assert (page.host, page.path) == ("history", PUBLIC + "last_trades_by_instrument")
    assert page.query == (
        ("instrument_name", "XY"), ("start_seq", "5001"), ("end_seq", "6000"), ("count", "1000"),
        ("sorting", "asc"),
    )  # fmt: skip
    one = history.request(target("deribit", Market.INVERSE), 5001, 1)
    assert one.query[1:] == (("start_seq", "5001"), ("count", "10"), ("sorting", "asc"))


async def test_trades_are_asked_of_the_host_that_has_all(clock: Clock) -> None:
    async with (
        DeribitStandIn(now_ns=lambda: clock.ns + SKEW_NS) as main,
        DeribitStandIn(now_ns=lambda: clock.ns + SKEW_NS) as other,
    ):
        urls = {"rest_url": main.url, "history_url": other.url}
        source = BoundSource(DERIBIT, urls=urls, now_ns=clock.now_ns, sleep=clock.sleep)
        await fetch(source, "BTC/USD:BTC", DataType.TRADES, "2025-01-01", "2025-01-01T00:01:00Z")
        await source.aclose()
        assert {request.path.partition("get_")[2] for request in main.log} == {"time", "instruments"}
        assert other.count(PUBLIC + "last_trades_by_instrument") == other.requests > 0


@pytest.mark.parametrize("kind", [DataType.OHLC, DataType.TRADES, DataType.FUNDING])
async def test_starts_that_are_included_change_nothing(
    clock: Clock, exchange: DeribitStandIn, deribit: BoundSource, kind: DataType
) -> None:
    """Whether they are is not documented; the other stand-in leaves them out."""
    start_ns, span = parse_time("2026-02-01"), "1m" if kind is DataType.OHLC else None
    async with DeribitStandIn(now_ns=lambda: clock.ns + SKEW_NS) as other:
        source = bound(DERIBIT, other.url, clock)
        whole = [
            await fetch(each, "BTC/USDC:USDC", kind, start_ns, start_ns + 3 * HOUR_NS, span)
            for each in (deribit, source)
        ]
        await source.aclose()
    assert whole[0].columns == whole[1].columns
    assert whole[0].columns


async def test_days_that_begin_at_another_hour_are_an_error(clock: Clock) -> None:
    async with DeribitStandIn(now_ns=lambda: clock.ns + SKEW_NS, day_starts=8) as exchange:
        deribit = bound(DERIBIT, exchange.url, clock)
        with pytest.raises(MalformedPayload, match="a bar of 1d opens at"):
            await fetch(deribit, "BTC/USD:BTC", DataType.OHLC, "2026-01-01", "2026-02-01", "1d")
        await deribit.aclose()


def trades_of(got: Fetched) -> list[tuple[int, int]]:
    return list(zip(got.columns.get("tid_num", []), got.ts, strict=True))


def expected(exchange: DeribitStandIn, name: str, start_ns: int, end_ns: int) -> list[tuple[int, int]]:
    """Numbers and times of the trades of a range; times are told in milliseconds."""
    fills = exchange.fills(name)
    around = fills.between(fills.first_from(start_ns - S_NS), fills.first_from(end_ns + S_NS))
    told = [(fill.number + 1, fill.ts_ns // MS_NS * MS_NS) for fill in around]
    return [(number, ts) for number, ts in told if start_ns <= ts < end_ns]


@pytest.mark.parametrize("symbol", MARKETS)
async def test_every_trade_of_any_range_and_no_other(
    exchange: DeribitStandIn, deribit: BoundSource, symbol: str
) -> None:
    """Some have their ids, which answers are sorted by, the other way round."""
    chance, name = random.Random(4), MARKETS[symbol]
    for length_ns in (S_NS, 30 * S_NS, 2500 * S_NS):
        start_ns = NOW_NS - DAY_NS - chance.randrange(10**15)
        got = await fetch(deribit, symbol, DataType.TRADES, start_ns, start_ns + length_ns)
        assert trades_of(got) == expected(exchange, name, start_ns, start_ns + length_ns)
        assert got.covered == IntervalSet.of(start_ns, start_ns + length_ns)
    numbers = got.columns["tid_num"]
    assert len(numbers) > 2000
    assert sorted(numbers, key=lambda number: trade_id(number - 1)) != numbers
    fills = exchange.fills(name)
    for place, fill in enumerate(fills.between(numbers[0] - 1, numbers[0] + 19)):
        assert got.columns["amount"][place] == pytest.approx(fill.amount * AMOUNTS[name], rel=1e-12)
        assert got.columns["price"][place] == fill.price / 2
        assert got.columns["side"][place] == ("buy" if fill.is_buy else "sell")


@pytest.mark.parametrize("seed", range(6))
async def test_ranges_that_begin_and_end_anywhere(
    exchange: DeribitStandIn, deribit: BoundSource, seed: int
) -> None:
    """Between two trades whose ids are the other way round as well."""
    chance = random.Random(seed)
    for _ in range(8):
        start_ns = FIRST_NS + chance.randrange(10**14) // MS_NS * MS_NS
        end_ns = start_ns + chance.randrange(60_000) * MS_NS
        got = await fetch(deribit, "BTC/USD:BTC", DataType.TRADES, start_ns, end_ns)
        assert trades_of(got) == expected(exchange, "BTC-PERPETUAL", start_ns, end_ns)


async def test_the_first_trade_is_found_and_what_lies_before_it_is_covered(deribit: BoundSource) -> None:
    got = await fetch(deribit, "BTC/USD:BTC", DataType.TRADES, "2010-01-01", FIRST_NS + 100 * S_NS)
    assert got.columns["tid_num"] == list(range(1, len(got.ts) + 1))
    assert got.covered == IntervalSet.of(parse_time("2010-01-01"), FIRST_NS + 100 * S_NS)


@pytest.mark.parametrize("symbol", ["BTC/USD:BTC", "BTC/USDC:USDC"])
async def test_funding_by_the_hour(exchange: DeribitStandIn, deribit: BoundSource, symbol: str) -> None:
    """Two months are more than come at once; the rate is of an hour and not of eight."""
    start_ns, end_ns = parse_time("2025-11-01"), parse_time("2026-01-05T00:30:00Z")
    got = await fetch(deribit, symbol, DataType.FUNDING, start_ns, end_ns)
    assert got.ts == list(range(start_ns, end_ns, HOUR_NS))
    values = exchange.walk(MARKETS[symbol]).values([ts // MS_NS for ts in got.ts], 10_000)
    assert got.columns["rate"] == [value / 10**8 for value in values]
    assert got.covered == IntervalSet.of(start_ns, end_ns)


@pytest.mark.parametrize("symbol", MARKETS)
async def test_a_book_of_now(exchange: DeribitStandIn, deribit: BoundSource, symbol: str) -> None:
    what, it = await dataset(deribit, symbol, DataType.ORDERBOOK, depth=100)
    (page,) = [page async for page in deribit.history(what, it, 0, NOW_NS)]
    (ts,) = set(page.columns["ts"])
    bids, asks = exchange.walk(MARKETS[symbol]).book(100, ts // MS_NS)  # type: ignore[operator]
    assert page.columns["side"] == ["bid"] * 100 + ["ask"] * 100
    assert page.columns["price"] == [price / 2 for price, _ in bids + asks]
    amounts = [units * AMOUNTS[MARKETS[symbol]] for _, units in bids + asks]
    assert page.columns["amount"] == pytest.approx(amounts, rel=1e-12)
    assert not page.covered


async def test_dated_contracts_have_no_funding(deribit: BoundSource) -> None:
    with pytest.raises(NoCapability):
        await fetch(deribit, "BTC/USD:BTC-260626", DataType.FUNDING, "2026-02-01", "2026-02-02")


async def test_throttling_and_silence_are_heeded(exchange: DeribitStandIn, deribit: BoundSource) -> None:
    await deribit.instruments()
    limited = b'{"jsonrpc":"2.0","error":{"message":"too_many_requests","code":10028},"testnet":false}'
    busy = b'{"jsonrpc":"2.0","error":{"message":"settlement_in_progress","code":10041},"testnet":false}'
    for answer in (engine.Response(limited, 400), engine.Response(b"<html>", 502), engine.Response(busy)):
        exchange.faults.append(Fault("answer", PUBLIC + "tradingview", response=answer))
    got = await fetch(deribit, "BTC/USD:BTC", DataType.OHLC, "2026-02-01", "2026-02-01T01:00:00Z", "1m")
    assert len(got.ts) == 60


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (
            400,
            b'{"jsonrpc":"2.0","error":{"message":"too_many_requests","code":10028}}',
            Throttled,
            "too_many",
        ),
        (429, b"", Throttled, "HTTP 429"),
        (400, b'{"error":{"message":"retry","code":10040}}', ExchangeUnavailable, "10040 'retry'"),
        (503, b"<html>", ExchangeUnavailable, "HTTP 503"),
        (200, b'{"jsonrpc":"2.0","error":{"message":"not_found","code":13020}}', ExchangeRefused, "13020"),
        (400, b'{"error":{"message":"Invalid params","code":-32602}}', ExchangeRefused, "Invalid params"),
    ],
)
def test_errors_in_its_own_words(status: int, body: bytes, kind: type[ExchangeError], words: str) -> None:
    error = DERIBIT.error(Response(status, {}, body))
    assert type(error) is kind
    assert words in str(error)


async def test_an_allowance_is_never_passed(
    exchange: DeribitStandIn, deribit: BoundSource, clock: Clock
) -> None:
    """Three lists are three seconds; 90 days are 26 pages of bars."""
    start_ns = parse_time("2025-11-01")
    got = await fetch(deribit, "BTC/USD:BTC", DataType.OHLC, start_ns, start_ns + 90 * DAY_NS, "1m")
    assert len(got.ts) == 129_600
    assert 3 <= sum(clock.slept) < 30  # some of them side by side
    assert set(exchange.statuses) == {200}


NO_BARS = (
    b'{"jsonrpc":"2.0","result":{"volume":[],"ticks":[],"status":"no_data","open":[],"low":[],"high":[],'
    b'"cost":[],"close":[]}}'
)
NO_TRADES = b'{"jsonrpc":"2.0","result":{"trades":[],"has_more":false}}'


async def test_a_contract_that_it_does_not_know_any_more(
    exchange: DeribitStandIn, deribit: BoundSource
) -> None:
    await deribit.instruments()
    answer = engine.Response(b'{"jsonrpc":"2.0","error":{"message":"not_found","code":13020}}', 400)
    exchange.faults.append(Fault("answer", PUBLIC + "funding", times=None, response=answer))
    with pytest.raises(ExchangeError, match="not_found"):
        await fetch(deribit, "BTC/USD:BTC", DataType.FUNDING, "2026-02-01", "2026-02-02")
