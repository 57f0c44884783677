"""OKX's source, its transport and the paginators together, over sockets, against the stand-in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dccd.application.bound_source import BoundSource
from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import NoCapability
from dccd.domain.span import Span
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS, MS_NS, S_NS, parse_time
from dccd.domain.types import DataType, InstrumentType, Market
from dccd.sources.okx import OKX
from tests.contract.kit import (
    SKEW_NS,
    Clock,
    bound,
    fetch,
)
from tests.exchanges import engine
from tests.exchanges.engine import Fault
from tests.exchanges.okx import LISTED, OkxStandIn

NOW_NS = parse_time("2026-03-01T12:34:56.789Z")
FIRST_NS = parse_time("2020-02-01")
PAIRS = ["BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"]
NAMES = ["BTC-USDT", "BTC-USDT-SWAP", "BTC-USD-SWAP"]
MARKETS = list(zip(PAIRS, NAMES, strict=True))
EMPTY = engine.Response(b'{"code":"0","msg":"","data":[]}')


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


@pytest.mark.parametrize(("symbol", "name"), MARKETS)
async def test_what_trades_hold(exchange: OkxStandIn, okx: BoundSource, symbol: str, name: str) -> None:
    start_ns = parse_time("2026-02-01T10:00:00.0005Z")
    end_ns = start_ns + 10 * S_NS
    got = await fetch(okx, symbol, DataType.TRADES, start_ns, end_ns)
    walk = exchange.walks[name]
    made = walk.trades(walk.number_at(-(-start_ns // MS_NS)), walk.number_at(-(-end_ns // MS_NS)))
    assert len(made) > 90
    assert got.columns["tid_num"] == [each.number + 1 for each in made]
    assert got.columns["side"] == ["buy" if each.buy else "sell" for each in made]
    per = {"BTC-USDT": 1000, "BTC-USDT-SWAP": 100, "BTC-USD-SWAP": 1}[name]  # base; of inverse contracts
    assert got.columns["amount"] == [each.amount / per for each in made]


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


async def test_dated_contracts_have_no_funding(okx: BoundSource) -> None:
    with pytest.raises(NoCapability):
        await fetch(okx, "BTC/USDT:USDT-261225", DataType.FUNDING, "2026-02-01", "2026-02-02")
