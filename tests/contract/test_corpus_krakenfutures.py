"""Every recorded answer of Kraken Futures whose channel we read: each value of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from dccd.domain.instrument import InstrumentList
from dccd.domain.timeutils import MS_NS, parse_time
from dccd.domain.types import DataType, Evidence, InstrumentType, Market, Mode
from dccd.sources.krakenfutures import KRAKENFUTURES
from tests.contract.corpus import RECORDED, rest_cases
from tests.contract.excused_krakenfutures import EXCUSED
from tests.contract.kit import assert_whole, parsed, target

CHANNELS = {
    "ohlcv": DataType.OHLC,
    "trades": DataType.TRADES,
    "funding": DataType.FUNDING,
}
CASES = rest_cases("krakenfutures", {*CHANNELS, "instruments", "ticker"})
READ = [name for name in CASES if name not in EXCUSED]
SIDES = {"Buy": "buy", "Sell": "sell"}

pytestmark = pytest.mark.needs("shared")


def of(channel: str) -> list[str]:
    return [name for name in READ if CASES[name].channel == channel]


def columns(name: str) -> dict[str, list[Any]]:
    whose = target("krakenfutures", Market.LINEAR, span="1h", contract_size=1.0)
    found = parsed(KRAKENFUTURES, CHANNELS[CASES[name].channel], whose, CASES[name].response)
    return {column: list(values) for column, values in found.items()}


@pytest.mark.parametrize("name", of("ohlcv"))
def test_bars(name: str) -> None:
    rows, got = CASES[name].content["candles"], columns(name)
    assert got["ts"] == [row["time"] * MS_NS for row in rows]
    for column in ("open", "high", "low", "close", "volume"):
        assert got[column] == [float(row[column]) for row in rows]


@pytest.mark.parametrize("name", of("trades"))
def test_trades(name: str) -> None:
    """As it was asked for newest first, its order is not looked at."""
    elements, got = CASES[name].content["elements"], columns(name)
    rows = [each["event"]["Execution"]["execution"] for each in elements]
    assert rows
    assert got["ts"] == [row["timestamp"] * MS_NS for row in rows]
    assert got["price"] == [float(row["price"]) for row in rows]
    assert got["amount"] == [float(row["quantity"]) for row in rows]
    assert got["side"] == [SIDES[row["takerOrder"]["direction"]] for row in rows]
    assert got["tid"] == [row["uid"] for row in rows]


@pytest.mark.parametrize("name", of("funding"))
def test_funding(name: str) -> None:
    rows, got = CASES[name].content["rates"][::-1], columns(name)
    assert got["ts"] == [parse_time(row["timestamp"]) for row in rows]
    assert got["rate"] == [row["relativeFundingRate"] for row in rows]


@pytest.mark.parametrize("name", of("ticker"))
def test_the_clock(name: str) -> None:
    assert KRAKENFUTURES.error(CASES[name].response) is None
    told = parse_time(CASES[name].content["serverTime"])
    assert KRAKENFUTURES.clock_ns(CASES[name].response) == told


@pytest.mark.parametrize("name", of("instruments"))
def test_instruments(name: str) -> None:
    """The older one, of 2021, tells base and quote in the symbol alone."""
    case = CASES[name]
    (listing,) = KRAKENFUTURES.listings
    items = list(listing.parse(case.response))
    rows = [row for row in case.content["instruments"] if row["type"] != "spot index"]
    assert [item.native for item in items] == [row["symbol"] for row in rows]
    for item, row in zip(items, rows, strict=True):
        assert (item.market is Market.INVERSE) == (row["type"] == "futures_inverse")
        assert (item.type is InstrumentType.FUTURE) == ("lastTradingTime" in row)
        assert (item.tick_size, item.contract_size) == (row["tickSize"], row["contractSize"])
    found = InstrumentList("krakenfutures", items)
    assert_whole(found, items)
    assert found.resolve("BTC/USD:BTC").native.upper() == "PI_XBTUSD"
    if case.tier in RECORDED:
        assert len(found) == 17
        assert found.resolve("ETH/USD:ETH-211231").native == "fi_ethusd_211231"


def test_how_many_pass_and_how_many_are_excused(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(EXCUSED) <= set(CASES)
    tiers = Counter("recorded" if CASES[name].tier in RECORDED else "fixtures" for name in READ)
    with capsys.disabled():
        counts = ", ".join(f"{count} {tier}" for tier, count in sorted(tiers.items()))
        print(f"\nKraken Futures corpus (REST): {len(READ)} read ({counts}), {len(EXCUSED)} excused")  # noqa: T201
    assert {CASES[name].channel for name in READ} == {*CHANNELS, "instruments", "ticker"}
    assert {each.evidence for each in KRAKENFUTURES.capabilities if each.mode is Mode.HISTORICAL} == {
        Evidence.DOCUMENTED
    }
