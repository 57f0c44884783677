"""OKX's source, its transport and the paginators together, over sockets, against the stand-in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dccd.application.bound_source import BoundSource
from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import ExchangeError, NoCapability, UnknownSymbol
from dccd.domain.span import Span
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS, MS_NS, parse_time
from dccd.domain.types import DataType, InstrumentType, Market
from dccd.sources.okx import OKX
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
from tests.exchanges.engine import Fault
from tests.exchanges.okx import LISTED, OkxStandIn

NOW_NS = parse_time("2026-03-01T12:34:56.789Z")
FIRST_NS = parse_time("2020-02-01")
PAIRS = ["BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"]
NAMES = ["BTC-USDT", "BTC-USDT-SWAP", "BTC-USD-SWAP"]
MARKETS = list(zip(PAIRS, NAMES, strict=True))
SPANS = OKX.capabilities[0].spans[Market.SPOT]
EMPTY = engine.Response(b'{"code":"0","msg":"","data":[]}')
SAMPLES: dict[DataType, bytes] = {
    DataType.OHLC: b'{"code":"0","msg":"","data":[["1597026383085","3.7","3.9","3.6","3.8","842","48",'
    b'"32.5","1"]]}',
    DataType.TRADES: b'{"code":"0","msg":"","data":[{"instId":"BTC-USDT","side":"sell","sz":"0.0001",'
    b'"source":"0","px":"29963.2","tradeId":"242720720","ts":"1654161646974"}]}',
    DataType.ORDERBOOK: b'{"code":"0","msg":"","data":[{"asks":[["41006.8","0.6","0","1"]],"bids":'
    b'[["41006.3","0.3","0","2"]],"ts":"1629966436396"}]}',
    DataType.FUNDING: b'{"code":"0","msg":"","data":[{"fundingRate":"0.0001","fundingTime":"1703059200000",'
    b'"instId":"BTC-USD-SWAP","method":"current_period","realizedRate":"0.0002"}]}',
    DataType.OPEN_INTEREST: b'{"code":"0","msg":"","data":[["1701417600000","731377.5","111","8888888"]]}',
}


@pytest.fixture
async def exchange() -> AsyncIterator[OkxStandIn]:
    async with OkxStandIn(now_ms=NOW_NS // MS_NS, is_limited=False) as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW_NS)


@pytest.fixture
async def okx(exchange: OkxStandIn, clock: Clock) -> AsyncIterator[BoundSource]:
    source = bound(OKX, exchange.url, clock)
    yield source
    await source.aclose()


def assert_nothing_refused(exchange: OkxStandIn) -> None:
    assert set(exchange.statuses) == {200}


async def test_instruments_of_every_market(okx: BoundSource) -> None:
    found = await okx.instruments()
    assert not okx.listing_errors
    assert {item.native for item in found} == {each.name for each in LISTED if each.state == "live"}
    it = found.resolve("BTC/USDT:USDT-261225")
    assert (it.native, it.type, it.contract_size) == ("BTC-USDT-261225", InstrumentType.FUTURE, 0.01)
    assert it.expiry_ns == parse_time("2026-12-25T08:00:00Z")
    inverse = found.resolve("BTC/USD:BTC")
    assert (inverse.native, inverse.market, inverse.contract_size) == ("BTC-USD-SWAP", Market.INVERSE, 100.0)
    assert found.resolve("ETH/BTC").contract_size is None


@pytest.mark.parametrize(
    ("symbol", "span"),
    [*(("BTC/USDT", span) for span in SPANS), ("BTC/USDT:USDT", "1w"), ("BTC/USD:BTC", "1mo")],
)
async def test_bars_up_to_the_open_one(
    exchange: OkxStandIn, okx: BoundSource, symbol: str, span: str
) -> None:
    """Faults 5 and 7: not the bar still open, by the exchange's clock and not by ours; all spans on UTC."""
    step = Span.parse(span)
    start_ns = step.floor(max(NOW_NS - 700 * step.nominal_ns, FIRST_NS + 40 * DAY_NS))
    got = await fetch(okx, symbol, DataType.OHLC, start_ns, NOW_NS + DAY_NS, span)
    open_ns = step.floor(NOW_NS - MINUTE_NS)
    assert got.ts == expected_opens(span, start_ns, open_ns)
    assert got.covered == IntervalSet.of(start_ns, open_ns)
    assert_nothing_refused(exchange)


@pytest.mark.parametrize(("symbol", "name"), MARKETS)
async def test_what_bars_hold(exchange: OkxStandIn, okx: BoundSource, symbol: str, name: str) -> None:
    """Volume is base and quote volume quote, whatever the exchange calls them and counts in contracts."""
    got = await fetch(okx, symbol, DataType.OHLC, "2026-02-01", "2026-02-01T00:10:00Z", "1m")
    bars = exchange.walks[name].bars("1m", [ts // MS_NS for ts in got.ts])
    size = {"BTC-USDT": 0.001, "BTC-USDT-SWAP": 0.01, "BTC-USD-SWAP": 100}[name]
    for place, bar in enumerate(bars):
        row = {column: values[place] for column, values in got.columns.items()}
        assert [row[each] * 10 for each in ("open", "high", "low", "close")] == pytest.approx(bar[1:5])
        worth = bar.volume * size if name.startswith("BTC-USD-") else bar.volume * size * row["close"]
        assert row["quote_volume"] == pytest.approx(worth, rel=1e-9, abs=1e-7)
        assert row["volume"] == pytest.approx(worth / row["close"], rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("span", ["1h", "1w", "1mo"])
async def test_what_lies_before_the_first_bar_is_covered(okx: BoundSource, span: str) -> None:
    """The first bar is looked for among months; the week of its first day opens before that."""
    end_ns = parse_time("2020-03-05")
    got = await fetch(okx, "BTC/USDT", DataType.OHLC, "2018-01-01", end_ns, span)
    assert got.ts == expected_opens(span, Span.parse(span).floor(FIRST_NS), end_ns)
    assert got.covered == IntervalSet.of(parse_time("2018-01-01"), end_ns)


@pytest.mark.parametrize("rows", [7, 299])
async def test_pages_that_shrink_lose_no_bar(exchange: OkxStandIn, okx: BoundSource, rows: int) -> None:
    exchange.rows_most = rows
    got = await fetch(okx, "BTC/USDT", DataType.OHLC, "2026-02-01", "2026-02-01T10:00:00Z", "1m")
    assert len(got.ts) == len(set(got.ts)) == 600


async def test_minutes_without_a_trade_are_covered(exchange: OkxStandIn, okx: BoundSource) -> None:
    exchange.quiet = 23
    start_ns, end_ns = parse_time("2026-02-01"), parse_time("2026-02-01T20:00:00Z")
    got = await fetch(okx, "BTC/USDT", DataType.OHLC, start_ns, end_ns, "1m")
    walk, every = exchange.walks["BTC-USDT"], expected_opens("1m", start_ns, end_ns)
    assert got.ts == [ns for ns in every if walk.values([ns // MS_NS], 23)[0]]
    assert got.covered == IntervalSet.of(start_ns, end_ns)


@pytest.mark.parametrize("rows", [1000, 30])
@pytest.mark.parametrize(("symbol", "name"), MARKETS)
async def test_every_trade_of_a_range_and_no_other(
    exchange: OkxStandIn, okx: BoundSource, symbol: str, name: str, rows: int
) -> None:
    """Fault 1: 250 fills of one instant are in it, and pages may shrink."""
    exchange.rows_most = rows
    start_ns = parse_time("2026-02-01T10:00:00.0005Z")
    end_ns = start_ns + 2 * MINUTE_NS
    got = await fetch(okx, symbol, DataType.TRADES, start_ns, end_ns)
    walk = exchange.walks[name]
    made = walk.trades(walk.number_at(-(-start_ns // MS_NS)), walk.number_at(-(-end_ns // MS_NS)))
    assert len(made) > 900
    assert got.columns["tid_num"] == [each.number + 1 for each in made]
    assert got.ts == [each.time_ms * MS_NS for each in made]
    assert got.columns["side"] == ["buy" if each.buy else "sell" for each in made]
    per = {"BTC-USDT": 1000, "BTC-USDT-SWAP": 100, "BTC-USD-SWAP": 1}[name]  # base; of inverse contracts
    assert got.columns["amount"] == [each.amount / per for each in made]
    assert got.covered == IntervalSet.of(start_ns, end_ns)
    assert_nothing_refused(exchange)


async def test_trades_no_further_back_than_three_months(okx: BoundSource) -> None:
    kept_ns = NOW_NS - 89 * DAY_NS
    got = await fetch(okx, "BTC/USDT", DataType.TRADES, NOW_NS - 200 * DAY_NS, kept_ns + 2 * MINUTE_NS)
    assert got.covered == IntervalSet.of(kept_ns + MINUTE_NS, kept_ns + 2 * MINUTE_NS)
    assert got.ts


@pytest.mark.parametrize(
    ("symbol", "every_h"), [("BTC/USDT:USDT", 8), ("ETH/USDT:USDT", 4), ("BTC/USD:BTC", 8)]
)
async def test_funding_of_three_months(
    exchange: OkxStandIn, okx: BoundSource, symbol: str, every_h: int
) -> None:
    got = await fetch(okx, symbol, DataType.FUNDING, "2024-01-01", NOW_NS + DAY_NS)
    start_ns, step_ns = NOW_NS - 89 * DAY_NS + MINUTE_NS, every_h * HOUR_NS
    assert got.ts == list(range(-(-start_ns // step_ns) * step_ns, NOW_NS, step_ns))
    name = {"BTC/USDT:USDT": "BTC-USDT-SWAP", "ETH/USDT:USDT": "ETH-USDT-SWAP"}.get(symbol, "BTC-USD-SWAP")
    values = exchange.walks[name].values([ts // MS_NS for ts in got.ts], 200_000)
    assert got.columns["rate"] == [(value - 50_000) / 10**8 for value in values]  # paid, not predicted
    assert_nothing_refused(exchange)


@pytest.mark.parametrize(
    ("symbol", "span"), [("BTC/USDT:USDT", "5m"), ("BTC/USD:BTC", "1h"), ("BTC/USDT:USDT", "12h")]
)
async def test_open_interest_as_far_back_as_it_is_kept(
    exchange: OkxStandIn, okx: BoundSource, symbol: str, span: str
) -> None:
    step_ns = Span.parse(span).nominal_ns
    got = await fetch(okx, symbol, DataType.OPEN_INTEREST, "2020-06-01", NOW_NS + DAY_NS, span)
    assert 1437 <= len(got.ts) <= 1440
    assert {b - a for a, b in zip(got.ts, got.ts[1:], strict=False)} == {step_ns}
    assert got.covered == IntervalSet.of(got.ts[0], got.covered.end_ns or 0)
    assert len(got.columns["open_interest_value"]) == len(got.columns["open_interest"]) == len(got.ts)
    assert_nothing_refused(exchange)


async def test_less_than_is_said_to_be_kept_is_no_proof_of_nothing(
    exchange: OkxStandIn, okx: BoundSource
) -> None:
    """Somebody measured five days of hours, where sixty are documented."""
    await okx.instruments()
    since_ms = (NOW_NS - 5 * DAY_NS) // MS_NS

    def is_older(request: engine.Request) -> bool:
        return int(request.query.get("end", since_ms + 1)) <= since_ms

    exchange.faults.append(Fault("answer", "/api/v5/rubik", is_older, times=None, response=EMPTY))
    got = await fetch(okx, "BTC/USDT:USDT", DataType.OPEN_INTEREST, NOW_NS - 50 * DAY_NS, NOW_NS, "1h")
    assert got.covered.start_ns == got.ts[0] > NOW_NS - 11 * DAY_NS


@pytest.mark.parametrize("symbol", PAIRS)
async def test_a_book_of_now(okx: BoundSource, symbol: str) -> None:
    what, it = await dataset(okx, symbol, DataType.ORDERBOOK, depth=400)
    (page,) = [page async for page in okx.history(what, it, 0, NOW_NS)]
    assert page.columns["side"] == ["bid"] * 400 + ["ask"] * 400
    assert set(page.columns["ts"]) == {NOW_NS // MS_NS * MS_NS - 4 * MS_NS}
    assert set(page.columns["count"]) == {4}
    assert not page.covered


async def test_the_clock_is_measured(okx: BoundSource) -> None:
    assert abs(await okx.clock_offset_ns(Market.SPOT) - SKEW_NS) <= MS_NS


async def test_what_is_not_offered_is_refused_by_name(okx: BoundSource) -> None:
    refusals = [
        ("BTC/USDT", DataType.FUNDING, None),
        ("BTC/USDT", DataType.OHLC, "3d"),
        ("BTC/USDT:USDT-261225", DataType.FUNDING, None),
        ("BTC/USDT:USDT", DataType.OPEN_INTEREST, "1d"),
    ]
    for symbol, kind, span in refusals:
        with pytest.raises(NoCapability):
            await fetch(okx, symbol, kind, "2026-02-01", "2026-02-02", span)
    with pytest.raises(UnknownSymbol):
        await dataset(okx, "NONE/USDT", DataType.OHLC, "1m")


async def test_an_allowance_is_never_passed(clock: Clock) -> None:
    async with OkxStandIn(now_ms=NOW_NS // MS_NS) as exchange:
        slept = clock.sleep

        async def sleep(seconds: float) -> None:
            await slept(seconds)
            exchange.frozen_ms = (clock.ns + SKEW_NS) // MS_NS

        source = BoundSource(OKX, urls={"rest_url": exchange.url}, now_ns=clock.now_ns, sleep=sleep)
        got = await fetch(source, "BTC/USDT", DataType.OHLC, "2026-01-01", "2026-01-15", "1m")
        await source.aclose()
        assert len(got.ts) == 20_160
        assert_nothing_refused(exchange)
        assert 4 < sum(clock.slept) < 13


async def test_throttling_is_heeded(exchange: OkxStandIn, okx: BoundSource, clock: Clock) -> None:
    await okx.instruments()
    for body, status in (
        (b'{"msg":"Too Many Requests","code":"50011"}', 429),
        (b'{"code":"50011","msg":"x"}', 200),
    ):
        answer = engine.Response(body, status)
        exchange.faults.append(Fault("answer", "/api/v5/market", response=answer))
    got = await fetch(okx, "BTC/USDT", DataType.OHLC, "2026-02-01", "2026-02-01T01:00:00Z", "1m")
    assert len(got.ts) == 60
    assert 3.99 < sum(clock.slept) < 10


@pytest.mark.parametrize(
    ("kind", "symbol", "span"),
    [
        (DataType.OHLC, "BTC/USDT", "1m"),
        (DataType.TRADES, "BTC/USDT", None),
        (DataType.FUNDING, "BTC/USDT:USDT", None),
        (DataType.OPEN_INTEREST, "BTC/USDT:USDT", "5m"),
    ],
)
async def test_no_single_empty_answer_empties_a_range(
    exchange: OkxStandIn, clock: Clock, kind: DataType, symbol: str, span: str | None
) -> None:
    start_ns = NOW_NS // DAY_NS * DAY_NS - DAY_NS
    end_ns = start_ns + (MINUTE_NS if kind is DataType.TRADES else 10 * HOUR_NS)

    async def everything() -> Fetched:
        source = bound(OKX, exchange.url, clock)
        try:
            return await fetch(source, symbol, kind, start_ns, end_ns, span)
        finally:
            await source.aclose()

    def lists(request: engine.Request) -> bool:
        return "history" in request.path

    whole = await everything()
    asked = sum(lists(request) for request in exchange.log)
    assert whole.ts
    for after in range(asked):
        exchange.faults[:] = [Fault("answer", when=lists, after=after, response=EMPTY)]
        got = await everything()
        assert (got.ts, got.covered) == (whole.ts, whole.covered)
        assert exchange.faults[0].times == 0


@pytest.mark.parametrize("kind", SAMPLES)
async def test_every_beginning_and_any_change_of_an_answer(kind: DataType) -> None:
    """Rows, or an error of ours, and nothing else."""
    parse = parser(OKX.history[kind], target("okx", Market.LINEAR, contract_size=0.01))
    body = SAMPLES[kind]
    for length in range(len(body)):
        assert isinstance(await read(OKX, body[:length], 200, parse), ExchangeError)
    for changed in mutations(body, 300, seed=1):
        result = await read(OKX, changed, 200, parse)
        assert isinstance(result, ExchangeError) or len({len(each) for each in result.values()}) == 1  # type: ignore[attr-defined]
    assert not isinstance(await read(OKX, body, 200, parse), ExchangeError)
