"""Every recorded answer of Coinbase Exchange whose channel we read: each value of it."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dccd.domain.instrument import Instrument, InstrumentList
from dccd.domain.timeutils import S_NS
from dccd.domain.types import DataType, Market
from dccd.sources.base import Response
from dccd.sources.coinbase import COINBASE
from tests.contract import kit
from tests.contract.corpus import rest_cases
from tests.contract.excused_coinbase import EXCUSED

CHANNELS = {
    "ohlcv": DataType.OHLC,
    "trades": DataType.TRADES,
    "book_snapshot": DataType.ORDERBOOK,
}
CASES = rest_cases("coinbase", {*CHANNELS, "instruments", "error", "time"})
READ = [name for name in CASES if name not in EXCUSED]

pytestmark = pytest.mark.needs("shared")


def of(channel: str) -> list[str]:
    return [name for name in READ if CASES[name].channel == channel]


def test_all_of_these_channels_are_looked_at() -> None:
    assert {CASES[name].channel for name in READ} == {"ohlcv", "instruments"}


@pytest.mark.parametrize("name", of("ohlcv"))
def test_bars(name: str) -> None:
    response = CASES[name].response
    columns = kit.parsed(COINBASE, DataType.OHLC, kit.target("coinbase", Market.SPOT), response)
    rows = json.loads(response.body)[::-1]
    assert list(columns["ts"]) == [row[0] * S_NS for row in rows] == sorted(row[0] * S_NS for row in rows)
    for column, place in {"low": 1, "high": 2, "open": 3, "close": 4, "volume": 5}.items():
        assert list(columns[column]) == [float(row[place]) for row in rows]


def listed(rows: list[dict[str, Any]]) -> InstrumentList:
    (listing,) = COINBASE.listings
    items: list[Instrument] = list(listing.parse(Response(200, {}, json.dumps(rows).encode())))
    assert [item.native for item in items] == [row["id"] for row in rows]
    assert [item.active for item in items] == [
        row["status"] == "online" and not row.get("trading_disabled") for row in rows
    ]
    found = InstrumentList("coinbase", items)
    assert len(found) == len(items)
    for item in items:
        assert found.resolve(str(item.symbol)) == found.resolve(item.native) == item
        assert item.tick_size
    return found


@pytest.mark.parametrize("name", of("instruments"))
def test_instruments(name: str) -> None:
    rows = json.loads(CASES[name].response.body)
    found = listed(rows)
    lots = {row["id"]: row.get("base_increment") for row in rows}
    assert all(item.lot_size == (float(lots[item.native]) if lots[item.native] else None) for item in found)


def test_whole_listing(shared: Path) -> None:
    path = shared / "datasets" / "instruments" / "coinbase__api_pro_coinbase_com_products.json.gz"
    found = listed(json.loads(json.loads(gzip.decompress(path.read_bytes()))["body"]))
    assert len(found) == 162
    kit.assert_whole(found, list(found))
    assert found.resolve("BTC/USD").native == "BTC-USD"


def test_how_many_pass_and_how_many_are_excused(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(EXCUSED) <= set(CASES)
    read = Counter(CASES[name].channel for name in READ)
    with capsys.disabled():
        counts = ", ".join(f"{channel} {count}" for channel, count in sorted(read.items()))
        print(f"\nCoinbase corpus (REST): {len(READ)} read ({counts}), {len(EXCUSED)} excused")  # noqa: T201
