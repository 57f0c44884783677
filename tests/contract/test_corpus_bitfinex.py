"""Every recorded answer of Bitfinex whose channel we read: each value, and the expected ones where given."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dccd.domain.errors import Throttled
from dccd.domain.instrument import InstrumentList
from dccd.domain.timeutils import HOUR_NS, MINUTE_NS, MS_NS
from dccd.domain.types import DataType, Market
from dccd.sources.base import Response
from dccd.sources.bitfinex import BITFINEX
from tests.contract.corpus import RECORDED, rest_cases
from tests.contract.excused_bitfinex import EXCUSED
from tests.contract.kit import assert_whole, parsed, target

CHANNELS = {
    "ohlcv": DataType.OHLC,
    "trades": DataType.TRADES,
    "book_snapshot": DataType.ORDERBOOK,
}
CASES = rest_cases("bitfinex", {*CHANNELS, "instruments", "error", "ticker"})
READ = [name for name in CASES if name not in EXCUSED]
LISTS = "cf_BITFINEX_v2-conf-pub-list-"
# As they were when the lists were recorded, which is without them.
NAMES = [["AAA", "TESTAAA"], ["ALG", "ALGO"], ["BBB", "TESTBBB"], ["UDC", "USDC"], ["UST", "USDt"]]

pytestmark = pytest.mark.needs("shared")


def of(channel: str) -> list[str]:
    return [name for name in READ if CASES[name].channel == channel]


def columns(name: str) -> dict[str, list[Any]]:
    case = CASES[name]
    whose = target("bitfinex", Market.LINEAR if "linear" in case.market else Market.SPOT)
    found = parsed(BITFINEX, CHANNELS[case.channel], whose, case.response)
    return {column: list(values) for column, values in found.items()}


@pytest.mark.parametrize("name", of("ohlcv"))
def test_bars(name: str) -> None:
    """The oldest first, as we ask for them, but for one answer to another question."""
    rows, got = CASES[name].content, columns(name)
    assert got["ts"] == [row[0] * MS_NS for row in rows]
    for place, column in enumerate(("open", "close", "high", "low", "volume"), 1):
        assert got[column] == [float(row[place]) for row in rows]
    for low, high, first, last in zip(*(got[each] for each in ("low", "high", "open", "close")), strict=True):
        assert low <= min(first, last) <= max(first, last) <= high
    assert (got["ts"] == sorted(got["ts"])) == (name != "bbgo_bitfinex_TestClient_1")


@pytest.mark.parametrize("name", of("book_snapshot"))
def test_books(name: str) -> None:
    rows, got = CASES[name].content, columns(name)
    assert got["price"] == [float(row[0]) for row in rows]
    assert got["count"] == [row[1] for row in rows]
    assert got["amount"] == [abs(row[2]) for row in rows]
    assert got["side"] == ["bid" if row[2] > 0 else "ask" for row in rows]
    sides = {
        side: [level for level, each in enumerate(got["side"]) if each == side[:-1]]
        for side in ("asks", "bids")
    }
    stated = 0
    for text in CASES[name].expected["asserts"]:
        if found := re.fullmatch(r"orderbook\.(asks|bids)\[(\d)\]\.(price|quantity_base), ([\d.]+)", text):
            column = {"price": "price", "quantity_base": "amount"}[found[3]]
            assert got[column][sides[found[1]][int(found[2])]] == float(found[4])
            stated += 1
    assert stated == 8


@pytest.mark.parametrize("name", of("error"))
def test_errors(name: str) -> None:
    assert CASES[name].http_status == 429
    error = BITFINEX.error(CASES[name].response)
    assert isinstance(error, Throttled)
    assert str(error) == "Bitfinex asked for fewer requests (HTTP 429, 'ERR_RATE_LIMIT')."


def test_instruments() -> None:
    """The lists were asked for one by one; all at once they come in one answer."""
    (pairs,), (contracts,), (currencies,) = (
        CASES[LISTS + each].content for each in ("pair-exchange", "pair-future", "currency")
    )
    (listing,) = BITFINEX.listings
    items = list(listing.parse(Response(200, {}, json.dumps([pairs, contracts, NAMES]).encode())))
    on_paper = {"AAABBB", "TESTBTC:TESTUSD", "TESTBTC:TESTUSDT", "TESTBTCF0:TESTUSDTF0"}
    assert [item.native for item in items] == [
        "t" + pair for pair in pairs + contracts if pair not in on_paper
    ]
    found = InstrumentList("bitfinex", items)
    assert len(found) == 324
    assert_whole(found, items, has_ticks=False)
    called = {name: code for code, name in NAMES} | {"USDT": "UST"}
    split = [each for it in items if it.market is Market.SPOT for each in (it.symbol.base, it.symbol.quote)]
    assert {called.get(name, name) for name in split} <= set(currencies)
    wanted = {
        "BTC/USD": "tBTCUSD",
        "BTC/USDT": "tBTCUST",
        "AAVE/USDT": "tAAVE:UST",
        "ALGO/BTC": "tALGBTC",
        "BTC/USDT:USDT": "tBTCF0:USTF0",
        "ALGO/USDT:USDT": "tALGF0:USTF0",
        "ETH/BTC:BTC": "tETHF0:BTCF0",
    }
    assert {symbol: found.resolve(symbol).native for symbol in wanted} == wanted


def test_a_year_of_minutes(shared: Path) -> None:
    """Each two hours of 2018 in an answer of its own."""
    whose, rows = target("bitfinex", Market.SPOT), 0
    path = shared / "datasets" / "bitfinex_1m" / "BTCUSD_1m_2018_raw_responses.jsonl.gz"
    with gzip.open(path) as lines:
        for line in lines:
            answer = json.loads(line)
            found = parsed(BITFINEX, DataType.OHLC, whose, Response(200, {}, answer["body"].encode()))
            ts: Any = found["ts"]
            start_ns = answer["window_start_ms"] * MS_NS
            assert set(ts) <= set(range(start_ns, start_ns + 2 * HOUR_NS, MINUTE_NS))
            assert ts == sorted(set(ts))
            rows += len(ts)
    assert rows == 520_499


def test_how_many_pass_and_how_many_are_excused(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(EXCUSED) <= set(CASES)
    tiers = Counter("recorded" if CASES[name].tier in RECORDED else "fixtures" for name in READ)
    with capsys.disabled():
        counts = ", ".join(f"{count} {tier}" for tier, count in sorted(tiers.items()))
        print(f"\nBitfinex corpus (REST): {len(READ)} read ({counts}), {len(EXCUSED)} excused")  # noqa: T201
    assert {CASES[name].channel for name in READ} == {"ohlcv", "book_snapshot", "instruments", "error"}
