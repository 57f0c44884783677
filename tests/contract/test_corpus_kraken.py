"""Every recorded answer of Kraken whose channel we read: each value of it."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dccd.domain.errors import ExchangeError
from dccd.domain.instrument import InstrumentList
from dccd.domain.records import Columns
from dccd.domain.timeutils import S_NS
from dccd.domain.types import DataType, Market
from dccd.sources.base import Response
from dccd.sources.kraken import KRAKEN
from tests.contract import kit
from tests.contract.corpus import rest_cases
from tests.contract.excused_kraken import EXCUSED

CHANNELS = {
    "ohlcv": DataType.OHLC,
    "trades": DataType.TRADES,
    "book_snapshot": DataType.ORDERBOOK,
}
CASES = rest_cases("kraken", {*CHANNELS, "instruments", "error", "time"})
READ = [name for name in CASES if name not in EXCUSED]

pytestmark = pytest.mark.needs("shared")


def of(channel: str) -> list[str]:
    return [name for name in READ if CASES[name].channel == channel]


def result(name: str) -> Any:
    return json.loads(CASES[name].response.body, parse_float=Decimal)["result"]


def rows(name: str) -> list[list[Any]]:
    return next(value for key, value in result(name).items() if key != "last")


def parsed(name: str) -> Columns:
    case = CASES[name]
    whose = kit.target("kraken", Market.SPOT)
    return kit.parsed(KRAKEN, CHANNELS[case.channel], whose, case.response)


@pytest.mark.parametrize("name", of("ohlcv"))
def test_bars(name: str) -> None:
    columns, every = parsed(name), rows(name)
    assert list(columns["ts"]) == [row[0] * S_NS for row in every]
    place = {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 6, "trades": 7}
    for column, at in place.items():
        assert list(columns[column]) == [float(row[at]) for row in every]
    assert columns["ts"][-2] == result(name)["last"] * S_NS  # what comes after it is still open


@pytest.mark.parametrize("name", of("trades"))
def test_trades(name: str) -> None:
    columns, every = parsed(name), rows(name)
    assert list(columns["ts"]) == [int(row[2] * S_NS) for row in every]
    assert list(columns["price"]) == [float(row[0]) for row in every]
    assert list(columns["amount"]) == [float(row[1]) for row in every]
    assert list(columns["side"]) == [{"b": "buy", "s": "sell"}[row[3]] for row in every]
    assert list(columns["tid_num"]) == [row[6] if len(row) > 6 else None for row in every]
    # The cursor is the last trade's true time: what is told of it is off by less than we ask earlier.
    assert 0 < abs(columns["ts"][-1] - int(result(name)["last"])) < 50_000  # type: ignore[operator]


@pytest.mark.parametrize("name", of("book_snapshot"))
def test_books(name: str) -> None:
    (book,) = result(name).values()
    columns = parsed(name)
    every = [(float(price), float(amount)) for price, amount, _ in book["bids"] + book["asks"]]
    assert list(zip(columns["price"], columns["amount"], strict=True)) == every
    assert list(columns["side"]) == ["bid"] * len(book["bids"]) + ["ask"] * len(book["asks"])


@pytest.mark.parametrize("name", of("time"))
def test_time(name: str) -> None:
    assert KRAKEN.error(CASES[name].response) is None
    assert KRAKEN.clock_ns(CASES[name].response) == result(name)["unixtime"] * S_NS


@pytest.mark.parametrize("name", of("error"))
def test_errors(name: str) -> None:
    stated = json.loads(CASES[name].response.body)["error"]
    words = stated if isinstance(stated, str) else stated[0]
    error = KRAKEN.error(CASES[name].response)
    if words.startswith("W"):
        assert error is None
    else:
        assert isinstance(error, ExchangeError)
        assert words in str(error)


def listed(response: Response) -> InstrumentList:
    (listing,) = KRAKEN.listings
    items = list(listing.parse(response))
    pairs = json.loads(response.body)["result"].values()
    assert [item.native for item in items] == [pair["altname"] for pair in pairs if "wsname" in pair]
    found = InstrumentList("kraken", items)
    kit.assert_whole(found, items)
    return found


@pytest.mark.parametrize("name", of("instruments"))
def test_instruments(name: str) -> None:
    assert len(listed(CASES[name].response))


def test_whole_listing(shared: Path) -> None:
    path = shared / "datasets" / "instruments" / "kraken__api_kraken_com_0_public_AssetPairs.json.gz"
    body = json.loads(gzip.decompress(path.read_bytes()))["body"]
    found = listed(Response(200, {}, body.encode()))
    assert len(found) == 293  # 304 with the dark pools
    natives = {"BTC/USD": "XBTUSD", "DOGE/BTC": "XDGXBT", "ETH/USDT": "ETHUSDT", "XBT/EUR": "XBTEUR"}
    for name, native in natives.items():
        assert found.resolve(name).native == native


def test_how_many_pass_and_how_many_are_excused(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(EXCUSED) <= set(CASES)
    read = Counter(CASES[name].channel for name in READ)
    with capsys.disabled():
        counts = ", ".join(f"{channel} {count}" for channel, count in sorted(read.items()))
        print(f"\nKraken corpus (REST): {len(READ)} read ({counts}), {len(EXCUSED)} excused")  # noqa: T201
