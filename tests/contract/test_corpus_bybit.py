"""Every recorded answer of Bybit whose channel we read: each value, and the expected ones where given."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from dccd.domain.errors import Throttled
from dccd.domain.instrument import InstrumentList
from dccd.domain.timeutils import MS_NS, S_NS
from dccd.domain.types import DataType, Market
from dccd.sources.bybit import BYBIT
from tests.contract.corpus import RECORDED, Case, rest_cases, whole_listing
from tests.contract.excused_bybit import EXCUSED
from tests.contract.kit import assert_whole, parsed, target

CHANNELS = {"ohlcv": DataType.OHLC, "trades": DataType.TRADES, "book_snapshot": DataType.ORDERBOOK}
CASES = rest_cases("bybit", {*CHANNELS, "instruments", "error", "funding", "open_interest"})
READ = [name for name in CASES if name not in EXCUSED]
LISTINGS = {listing.request.query[0][1]: listing for listing in reversed(BYBIT.listings)}

pytestmark = pytest.mark.needs("shared")


def of(channel: str) -> list[str]:
    return [name for name in READ if CASES[name].channel == channel]


def columns(case: Case) -> dict[str, list[object]]:
    found = parsed(BYBIT, CHANNELS[case.channel], target("bybit", Market(case.market)), case.response)
    return {name: list(column) for name, column in found.items()}


@pytest.mark.parametrize("name", of("ohlcv"))
def test_bars(name: str) -> None:
    case = CASES[name]
    rows, got = case.content["result"]["list"][::-1], columns(case)
    assert got["ts"] == [int(row[0]) * MS_NS for row in rows]
    for place, column in enumerate(("open", "high", "low", "close", "volume", "quote_volume"), 1):
        assert got[column] == [float(row[place]) for row in rows]
    for place, row in enumerate(case.expected["rows"] if case.expected else ()):
        assert got["ts"][place] == int(row[0]) * S_NS
        stated = [float(value) for value in row[1:6]]
        assert [got[each][place] for each in ("open", "high", "low", "close", "volume")] == stated


@pytest.mark.parametrize("name", of("trades"))
def test_trades(name: str) -> None:
    rows, got = CASES[name].content["result"]["list"][::-1], columns(CASES[name])
    assert got["ts"] == [int(row["time"]) * MS_NS for row in rows]
    assert got["price"] == [float(row["price"]) for row in rows]
    assert got["amount"] == [float(row["size"]) for row in rows]
    assert got["side"] == [row["side"].lower() for row in rows]
    assert got["tid"] == [row["execId"] for row in rows]


@pytest.mark.parametrize("name", of("book_snapshot"))
def test_books(name: str) -> None:
    book, got = CASES[name].content["result"], columns(CASES[name])
    levels = [(float(price), float(amount)) for side in "ba" for price, amount in book[side]]
    assert list(zip(got["price"], got["amount"], strict=True)) == levels
    assert got["side"] == ["bid"] * len(book["b"]) + ["ask"] * len(book["a"])
    assert set(got["ts"]) == {book["cts"] * MS_NS}


@pytest.mark.parametrize("name", of("error"))
def test_errors(name: str) -> None:
    error = BYBIT.error(CASES[name].response)
    assert isinstance(error, Throttled)
    assert CASES[name].content["retMsg"] in str(error)


@pytest.mark.parametrize("name", of("instruments"))
def test_instruments(name: str) -> None:
    case = CASES[name]
    items = list(LISTINGS[case.market].parse(case.response))
    assert [item.native for item in items] == [row["symbol"] for row in case.content["result"]["list"]]
    assert_whole(InstrumentList("bybit", items), items)


@pytest.mark.parametrize(("market", "count"), [(Market.SPOT, 557), (Market.LINEAR, 800)])
def test_whole_listings(shared: Path, market: Market, count: int) -> None:
    name = (
        f"bybit__api_bybit_com_v5_market_instruments_info_category_{market}_status_Trading_limit_1000.json.gz"
    )
    response = whole_listing(name)
    listing = LISTINGS[market]
    items = list(listing.parse(response))
    assert len(items) == count
    assert listing.more is not None
    assert listing.more(response) is None
    found = InstrumentList("bybit", items)
    assert_whole(found, items)
    wanted = {"BTC/USDT": "BTCUSDT", "ETH/USDC": "ETHUSDC"}
    if market is Market.LINEAR:
        wanted = {
            "BTC/USDT:USDT": "BTCUSDT",
            "BTC/USDC:USDC": "BTCPERP",
            "BTC/USDT:USDT-261225": "BTCUSDT-25DEC26",
        }
    assert {symbol: found.resolve(symbol).native for symbol in wanted} == wanted


def test_how_many_pass_and_how_many_are_excused(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(EXCUSED) <= set(CASES)
    tiers = Counter("recorded" if CASES[name].tier in RECORDED else "fixtures" for name in READ)
    with capsys.disabled():
        counts = ", ".join(f"{count} {tier}" for tier, count in sorted(tiers.items()))
        print(f"\nBybit corpus (REST): {len(READ)} read ({counts}), {len(EXCUSED)} excused")  # noqa: T201
    assert {CASES[name].channel for name in READ} == {*CHANNELS, "instruments", "error"}
