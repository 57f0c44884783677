"""Every recorded answer of BitMEX whose channel we read: each value, and the expected ones where given."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dccd.domain.errors import ExchangeRefused, Throttled
from dccd.domain.instrument import InstrumentList
from dccd.domain.timeutils import MINUTE_NS, MS_NS, parse_time
from dccd.domain.types import DataType, Evidence, InstrumentType, Market
from dccd.sources.base import Response
from dccd.sources.bitmex import BITMEX
from tests.contract.corpus import RECORDED, rest_cases, whole_listing
from tests.contract.excused_bitmex import EXCUSED
from tests.contract.kit import assert_whole, parsed, target

CHANNELS = {
    "ohlcv": DataType.OHLC,
    "trades": DataType.TRADES,
    "book_snapshot": DataType.ORDERBOOK,
}
CASES = rest_cases("bitmex", {*CHANNELS, "instruments", "error", "funding"})
READ = [name for name in CASES if name not in EXCUSED]
SIZES = {Market.INVERSE: 1.0, Market.LINEAR: 1e-6, Market.SPOT: 1e-8}

pytestmark = pytest.mark.needs("shared")


def of(channel: str) -> list[str]:
    return [name for name in READ if CASES[name].channel == channel]


def columns(name: str) -> dict[str, list[Any]]:
    case = CASES[name]
    market = Market.LINEAR if "linear" in name else Market.INVERSE
    whose = target("bitmex", market, contract_size=SIZES[market])
    found = parsed(BITMEX, CHANNELS[case.channel], whose, case.response)
    return {column: list(values) for column, values in found.items()}


@pytest.mark.parametrize("name", of("ohlcv"))
def test_bars(name: str) -> None:
    rows, got = CASES[name].content, columns(name)
    assert got["ts"] == [parse_time(row["timestamp"]) - MINUTE_NS for row in rows]
    for column in ("open", "high", "low", "close", "trades"):
        assert got[column] == [row[column] for row in rows]
    assert got["volume"] == [row["homeNotional"] for row in rows]
    assert got["quote_volume"] == [row["foreignNotional"] for row in rows]


@pytest.mark.parametrize("name", of("trades"))
def test_trades(name: str) -> None:
    rows, got = CASES[name].content, columns(name)
    assert got["ts"] == [parse_time(row["timestamp"]) for row in rows]
    assert got["price"] == [row["price"] for row in rows]
    assert got["amount"] == [row["size"] for row in rows]
    assert got["side"] == [row["side"].lower() for row in rows]
    assert got["tid"] == [row["trdMatchID"] for row in rows]


@pytest.mark.parametrize("name", of("book_snapshot"))
def test_books(name: str) -> None:
    rows, got = CASES[name].content, columns(name)
    asks, bids = ([row for row in rows if row["side"] == side] for side in ("Sell", "Buy"))
    every = bids + asks[::-1]
    per = 10**6 if "linear" in name else 1
    assert got["price"] == [row["price"] for row in every]
    assert got["amount"] == [row["size"] / per for row in every]
    assert got["side"] == ["bid"] * len(bids) + ["ask"] * len(asks)
    assert f'"{rows[0]["symbol"]}"' in CASES[name].expected["asserts"][0]
    books = [each for each in BITMEX.capabilities if each.data_type is DataType.ORDERBOOK]
    assert {each.evidence for each in books} == {Evidence.RECORDED}


@pytest.mark.parametrize(
    ("name", "market"),
    [
        ("spot_26", Market.SPOT),
        ("inverse_swap_27", Market.INVERSE),
        ("linear_swap_28", Market.LINEAR),
        ("inverse_future_29", Market.INVERSE),
        ("quanto_swap_31", Market.LINEAR),
    ],
)
def test_bars_of_a_stream_are_the_same_rows(shared: Path, name: str, market: Market) -> None:
    """Somebody else says when each began, and what of it is base."""
    path = shared / "corpus" / "bitmex" / "ohlcv" / f"cmp_bitmex_candlestick_{name}.json"
    case = json.loads(path.read_bytes())
    span = case["payload"]["table"].removeprefix("tradeBin")
    body = json.dumps(case["payload"]["data"]).encode()
    whose = target("bitmex", market, span=span)
    got = parsed(BITMEX, DataType.OHLC, whose, Response(200, {}, body))
    said = {
        field.strip().removeprefix("candlestick_msg."): value
        for value, _, field in (each.strip().rpartition(", ") for each in case["expected"]["asserts"])
    }
    assert got["ts"] == [int(said["begin_time"]) * MS_NS]
    for column in ("open", "high", "low", "close", "volume"):
        assert got[column] == [pytest.approx(float(said[column]), rel=1e-12)]
    assert got["quote_volume"] == [pytest.approx(float(said["quote_volume"].strip("Some()")), rel=1e-12)]


@pytest.mark.parametrize("name", of("error"))
def test_errors(name: str) -> None:
    case = CASES[name]
    error = BITMEX.error(Response(case.http_status or 401, {}, case.response.body))
    assert isinstance(error, Throttled if case.http_status == 429 else ExchangeRefused)
    assert case.content["error"]["message"] in str(error)
    assert getattr(error, "retry_after_s", 2.0) == 2.0


def listed(response: Response) -> list[Any]:
    (listing,) = BITMEX.listings
    return list(listing.parse(response))


@pytest.mark.parametrize("name", of("instruments"))
def test_instruments(name: str) -> None:
    """Two are single rows of a list; a spread is no instrument of ours."""
    case = CASES[name]
    rows = case.content if isinstance(case.content, list) else [case.content]
    items = listed(Response(200, {}, json.dumps(rows).encode()))
    assert [item.native for item in items] == [row["symbol"] for row in rows if row["typ"] != "FFMCSX"]
    for item in items:
        (row,) = (row for row in rows if row["symbol"] == item.native)
        assert (item.market is Market.INVERSE) == row["isInverse"]
        assert (item.contract_size is None) == row["isQuanto"]
        assert (item.type is InstrumentType.FUTURE) == (row.get("expiry") is not None)
    assert_whole(InstrumentList("bitmex", items), items)


def test_the_whole_listing(shared: Path) -> None:
    items = listed(whole_listing("bitmex__www_bitmex_com_api_v1_instrument_active.json.gz"))
    found = InstrumentList("bitmex", items)
    assert_whole(found, items)
    assert len(found) == 34
    wanted = {
        "BTC/USD:BTC": "XBTUSD",
        "BTC/EUR:BTC": "XBTEUR",
        "ETH/USD:BTC": "ETHUSD",
        "ETH/BTC:BTC-210924": "ETHU21",
        "BTC/USD:BTC-211231": "XBTZ21",
        "ETH/USD:BTC-210924": "ETHUSDU21",
        "DOGE/USDT:BTC": "DOGEUSDT",
    }
    assert {symbol: found.resolve(symbol).native for symbol in wanted} == wanted
    assert found.resolve("ETHU21").contract_size == 1.0


def test_how_many_pass_and_how_many_are_excused(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(EXCUSED) <= set(CASES)
    tiers = Counter("recorded" if CASES[name].tier in RECORDED else "fixtures" for name in READ)
    with capsys.disabled():
        counts = ", ".join(f"{count} {tier}" for tier, count in sorted(tiers.items()))
        print(f"\nBitMEX corpus (REST): {len(READ)} read ({counts}), {len(EXCUSED)} excused")  # noqa: T201
    assert {CASES[name].channel for name in READ} == {*CHANNELS, "instruments", "error"}
