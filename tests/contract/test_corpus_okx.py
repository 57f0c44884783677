"""Every recorded answer of OKX whose channel we read: each value, and the expected ones where given."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from dccd.domain.errors import Throttled
from dccd.domain.instrument import InstrumentList
from dccd.domain.timeutils import MS_NS, S_NS
from dccd.domain.types import DataType, Market
from dccd.sources.base import Response
from dccd.sources.okx import OKX
from tests.contract.corpus import RECORDED, Case, rest_cases, whole_listing
from tests.contract.excused_okx import EXCUSED
from tests.contract.kit import assert_whole, parsed, target

CHANNELS = {
    "ohlcv": DataType.OHLC,
    "trades": DataType.TRADES,
    "book_snapshot": DataType.ORDERBOOK,
    "funding": DataType.FUNDING,
}
CASES = rest_cases("okx", {*CHANNELS, "instruments", "error", "open_interest"})
READ = [name for name in CASES if name not in EXCUSED]
LISTINGS = {listing.request.query[0][1]: listing for listing in OKX.listings}
SIZE = 0.01

pytestmark = pytest.mark.needs("shared")


def of(channel: str) -> list[str]:
    return [name for name in READ if CASES[name].channel == channel]


def market(name: str) -> Market:
    """By the case's name, as some are filed under another market."""
    case = CASES[name]
    if case.market in ("spot", "mixed"):
        return Market.SPOT
    return Market.LINEAR if "linear" in name else Market.INVERSE


def columns(name: str) -> dict[str, list[object]]:
    whose = target("okx", market(name), contract_size=None if market(name) is Market.SPOT else SIZE)
    case: Case = CASES[name]
    found = parsed(OKX, CHANNELS[case.channel], whose, case.response)
    return {column: list(values) for column, values in found.items()}


@pytest.mark.parametrize("name", of("ohlcv"))
def test_bars(name: str) -> None:
    case = CASES[name]
    rows, got = case.content["data"][::-1], columns(name)
    assert got["ts"] == [int(row[0]) * MS_NS for row in rows]
    for place, column in enumerate(("open", "high", "low", "close", "volume"), 1):
        assert got[column] == [float(row[place]) for row in rows]
    assert got["quote_volume"] == [float(row[7]) for row in rows]
    for place, row in enumerate(case.expected["rows"] if case.expected else ()):
        assert got["ts"][place] == int(row[0]) * S_NS
        stated = [float(value) for value in row[1:7]]
        named = ("open", "high", "low", "close", "volume", "quote_volume")
        assert [got[column][place] for column in named] == stated


@pytest.mark.parametrize("name", of("trades"))
def test_trades(name: str) -> None:
    rows, got = CASES[name].content["data"][::-1], columns(name)
    assert got["ts"] == [int(row["ts"]) * MS_NS for row in rows]
    assert got["price"] == [float(row["px"]) for row in rows]
    assert got["amount"] == [float(row["sz"]) for row in rows]
    assert got["side"] == [row["side"] for row in rows]
    assert got["tid_num"] == [int(row["tradeId"]) for row in rows]


@pytest.mark.parametrize("name", of("book_snapshot"))
def test_books(name: str) -> None:
    case = CASES[name]
    (book,), got = case.content["data"], columns(name)
    every = book["bids"] + book["asks"]
    parts = 100 if market(name) is Market.LINEAR else 1
    assert got["price"] == [float(level[0]) for level in every]
    assert got["amount"] == [float(level[1]) / parts for level in every]
    assert got["count"] == [int(level[3]) for level in every]
    assert got["side"] == ["bid"] * len(book["bids"]) + ["ask"] * len(book["asks"])
    assert set(got["ts"]) == {int(book["ts"]) * MS_NS}
    asserts = " ".join(case.expected["asserts"]) if case.expected else book["ts"]
    assert re.search(rf"\b{book['ts']}\b", asserts)


@pytest.mark.parametrize("name", of("funding"))
def test_funding(name: str) -> None:
    rows, got = CASES[name].content["data"][::-1], columns(name)
    assert got["ts"] == [int(row["fundingTime"]) * MS_NS for row in rows]
    assert got["rate"] == [float(row["realizedRate"]) for row in rows]


@pytest.mark.parametrize("name", of("error"))
def test_errors(name: str) -> None:
    for status in (200, 429):
        error = OKX.error(Response(status, {}, CASES[name].response.body))
        assert isinstance(error, Throttled)
        assert CASES[name].content["msg"] in str(error)


@pytest.mark.parametrize("name", of("instruments"))
def test_instruments(name: str) -> None:
    rows = CASES[name].content["data"]
    items = list(LISTINGS[rows[0]["instType"]].parse(CASES[name].response))
    assert [item.native for item in items] == [row["instId"] for row in rows]
    for item, row in zip(items, rows, strict=True):
        assert (item.market is Market.INVERSE) == (row["ctType"] == "inverse")
    assert_whole(InstrumentList("okx", items), items)


@pytest.mark.parametrize(("kind", "count"), [("SPOT", 513), ("SWAP", 166)])
def test_whole_listings(shared: Path, kind: str, count: int) -> None:
    response = whole_listing(f"okx__www_okx_com_api_v5_public_instruments_instType_{kind}.json.gz")
    items = list(LISTINGS[kind].parse(response))
    assert len(items) == count
    found = InstrumentList("okx", items)
    assert_whole(found, items)
    wanted = {"BTC/USDT": "BTC-USDT", "ETH/BTC": "ETH-BTC"}
    if kind == "SWAP":
        wanted = {"BTC/USDT:USDT": "BTC-USDT-SWAP", "BTC/USD:BTC": "BTC-USD-SWAP"}
        assert found.resolve("BTC/USDT:USDT").contract_size == 0.01
    assert {symbol: found.resolve(symbol).native for symbol in wanted} == wanted


def test_how_many_pass_and_how_many_are_excused(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(EXCUSED) <= set(CASES)
    tiers = Counter("recorded" if CASES[name].tier in RECORDED else "fixtures" for name in READ)
    with capsys.disabled():
        counts = ", ".join(f"{count} {tier}" for tier, count in sorted(tiers.items()))
        print(f"\nOKX corpus (REST): {len(READ)} read ({counts}), {len(EXCUSED)} excused")  # noqa: T201
    assert {CASES[name].channel for name in READ} == {*CHANNELS, "instruments", "error"}
