"""Every recorded answer of Binance whose channel we read: each value, and the expected ones where given."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dccd.domain.errors import ExchangeError
from dccd.domain.instrument import Instrument, InstrumentList
from dccd.domain.records import SCHEMAS, Columns
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import MS_NS
from dccd.domain.types import DataType, InstrumentType, Market
from dccd.sources.base import ByCursor, ByWindow, Response, Target
from dccd.sources.binance import BINANCE
from tests import needs
from tests.contract.excused_binance import EXCUSED

CHANNELS = {
    "ohlcv": DataType.OHLC,
    "agg_trades": DataType.TRADES,
    "book_snapshot": DataType.ORDERBOOK,
    "funding": DataType.FUNDING,
    "open_interest": DataType.OPEN_INTEREST,
}
MARKETS = {"spot": Market.SPOT, "usdm": Market.LINEAR, "coinm": Market.INVERSE} | {
    "linear_future": Market.LINEAR,
    "inverse_swap": Market.INVERSE,
}
CONTRACT_SIZE = 100.0


class Case(msgspec.Struct):
    channel: str
    market: str
    kind: str
    tier: str
    payload: msgspec.Raw
    payload_text: str | None = None
    http_status: int | None = None
    expected: Any = None

    @property
    def response(self) -> Response:
        body = self.payload_text.encode() if self.payload_text is not None else bytes(self.payload)
        return Response(self.http_status or 200, {}, body)

    @property
    def target(self) -> Target:
        market = MARKETS[self.market]
        kind = InstrumentType.SPOT if market is Market.SPOT else InstrumentType.PERPETUAL
        settle = None if market is Market.SPOT else "USDT"
        size = CONTRACT_SIZE if market is Market.INVERSE else None
        it = Instrument("binance", Symbol("X", "Y", settle), "XY", market, kind, contract_size=size)
        return Target(it, Span.parse("1m"), 5000)


def _files() -> list[Path]:
    try:
        folder = needs.shared_folder() / "corpus" / "binance"
    except Exception:  # noqa: BLE001 (without the shared data the tests below skip, with the reason)
        return []
    return sorted(folder.glob("*/*.json"))


def _cases() -> dict[str, Case]:
    wanted = {*CHANNELS, "instruments", "error"}
    cases = {
        path.stem: msgspec.json.decode(path.read_bytes(), type=Case)
        for path in _files()
        if path.parent.name in wanted
    }
    return {name: case for name, case in cases.items() if case.kind == "rest" and case.tier in ("A", "A-")}


CASES = _cases()
READ = [name for name, case in CASES.items() if name not in EXCUSED]


def of(channel: str) -> list[str]:
    return [name for name in READ if CASES[name].channel == channel]


def parsed(case: Case) -> Columns:
    assert BINANCE.error(case.response) is None
    data_type = CHANNELS[case.channel]
    history = BINANCE.history[data_type]
    assert not isinstance(history, ByCursor)
    columns = history.parse(case.target, case.response)
    known = {column.name for column in SCHEMAS[data_type].columns}
    assert set(columns) <= known
    assert len({len(column) for column in columns.values()}) == 1
    return columns


def payload(case: Case) -> Any:
    return json.loads(case.response.body)


pytestmark = pytest.mark.needs("shared")


@pytest.mark.parametrize("name", of("ohlcv"))
def test_bars(name: str) -> None:
    case = CASES[name]
    rows, columns = payload(case), parsed(case)
    inverse = case.target.instrument.market is Market.INVERSE
    unit_ns = 1_000 if case.market == "spot" else MS_NS
    place = {"open": 1, "high": 2, "low": 3, "close": 4, "trades": 8}
    place |= {"volume": 7, "taker_buy_volume": 10} if inverse else {"volume": 5, "taker_buy_volume": 9}
    assert list(columns["ts"]) == [row[0] * unit_ns for row in rows]
    for column, at in place.items():
        assert list(columns[column]) == [float(row[at]) for row in rows]
    worth = [(float(row[5]), float(row[9])) for row in rows]
    quote = [(a * CONTRACT_SIZE, b * CONTRACT_SIZE) for a, b in worth]
    if not inverse:
        quote = [(float(row[7]), float(row[10])) for row in rows]
    assert list(zip(columns["quote_volume"], columns["taker_buy_quote_volume"], strict=True)) == quote


@pytest.mark.parametrize("name", of("agg_trades"))
def test_trades(name: str) -> None:
    case = CASES[name]
    rows, columns = payload(case), parsed(case)
    unit_ns = 1_000 if case.market == "spot" else MS_NS
    assert columns["ts"] == [row["T"] * unit_ns for row in rows]
    assert columns["price"] == [float(row["p"]) for row in rows]
    assert columns["amount"] == [float(row["q"]) for row in rows]
    assert columns["tid_num"] == [row["a"] for row in rows]
    assert columns["side"] == ["sell" if row["m"] else "buy" for row in rows]
    for index, row in enumerate(case.expected["rows"] if case.expected else ()):
        read = {column: values[index] for column, values in columns.items()}
        assert read["ts"] == row["timestamp"] * unit_ns
        assert (str(read["tid_num"]), read["side"]) == (row["id"], row["side"])
        assert (read["price"], read["amount"]) == (row["price"], row["amount"])


@pytest.mark.parametrize("name", of("book_snapshot"))
def test_books(name: str) -> None:
    case = CASES[name]
    book, columns = payload(case), parsed(case)
    bids, asks = ([(float(p), float(q)) for p, q, *_ in book[side]] for side in ("bids", "asks"))
    assert list(zip(columns["price"], columns["amount"], strict=True)) == bids + asks
    assert columns["side"] == ["bid"] * len(bids) + ["ask"] * len(asks)
    if case.market != "spot":
        assert set(columns["ts"]) == {book["T"] * MS_NS}
    quantity = "contract" if case.target.instrument.market is Market.INVERSE else "base"
    stated = re.compile(
        rf"orderbook\.(asks|bids)\[(\d+)\]\.(price|quantity_{quantity}), (?:Some\()?([\d.]+)\)?$"
    )
    for text in case.expected["asserts"] if case.expected else ():
        if found := stated.match(text.strip()):
            levels = bids if found[1] == "bids" else asks
            assert levels[int(found[2])][0 if found[3] == "price" else 1] == float(found[4])


@pytest.mark.parametrize("name", of("funding"))
def test_funding(name: str) -> None:
    case = CASES[name]
    rows, columns = payload(case), parsed(case)
    assert columns["ts"] == [row["fundingTime"] * MS_NS for row in rows]
    assert columns["rate"] == [float(row["fundingRate"]) for row in rows]
    marks = [float(row["markPrice"]) if row.get("markPrice") else None for row in rows]
    assert columns["mark_price"] == marks


@pytest.mark.parametrize("name", of("open_interest"))
def test_open_interest(name: str) -> None:
    case = CASES[name]
    rows = payload(case)
    if "contractType" in rows[0]:  # recorded from COIN-M's form of the endpoint, filed under USD-M
        case = msgspec.structs.replace(case, market="coinm")
    columns = parsed(case)
    amounts = [float(row["sumOpenInterest"]) for row in rows]
    values = [float(row["sumOpenInterestValue"]) for row in rows]
    inverse = case.market == "coinm"
    assert columns["ts"] == [row["timestamp"] * MS_NS for row in rows]
    assert columns["open_interest"] == (values if inverse else amounts)
    value = [count * CONTRACT_SIZE for count in amounts] if inverse else values
    assert list(columns["open_interest_value"]) == value


@pytest.mark.parametrize("name", of("error"))
def test_errors(name: str) -> None:
    case = CASES[name]
    error = BINANCE.error(case.response)
    assert isinstance(error, ExchangeError)
    assert payload(case)["msg"] in str(error)


def listed(market: Market, response: Response) -> InstrumentList:
    listing = next(each for each in BINANCE.listings if each.request.host == BINANCE.host_of[market])
    items = listing.parse(response)
    rows = json.loads(response.body)["symbols"]
    assert [item.native for item in items] == [row["symbol"] for row in rows]
    for item, row in zip(items, rows, strict=True):
        assert item.symbol.base == row["baseAsset"].upper()
        assert (item.symbol.settle is None) == (market is Market.SPOT)
        assert (item.symbol.expiry is not None) == (item.type is InstrumentType.FUTURE)
        assert item.tick_size is not None
        assert item.lot_size is not None
    assert listing.limits is not None
    assert set(listing.limits(response)) == {BINANCE.host_of[market]}
    found = InstrumentList("binance", items)
    assert len(found) == len(items)  # no two contracts share a unified name
    for item in items:
        assert found.resolve(str(item.symbol)) == item
        assert Symbol.from_slug(item.symbol.slug) == item.symbol
    return found


@pytest.mark.parametrize("name", of("instruments"))
def test_instruments(name: str) -> None:
    assert len(listed(MARKETS[CASES[name].market], CASES[name].response))


@pytest.mark.parametrize(
    ("file", "market", "count", "wanted"),
    [
        ("api_binance_com_api_v3", Market.SPOT, 1000, ["BTC/USDT", "ETH/BTC"]),
        ("fapi_binance_com_fapi_v1", Market.LINEAR, 100, ["BTC/USDT:USDT", "BTC/USDT:perp"]),
    ],
)
def test_whole_listings(shared: Path, file: str, market: Market, count: int, wanted: list[str]) -> None:
    path = shared / "datasets" / "instruments" / f"binance__{file}_exchangeInfo.json.gz"
    body = json.loads(gzip.decompress(path.read_bytes()))["body"]
    found = listed(market, Response(200, {}, body.encode()))
    assert len(found) > count
    for name in wanted:
        assert found.resolve(name).native == "".join(re.split(r"[/:]", name)[:2])


def test_every_real_bar_is_read_bit_for_bit(shared: Path) -> None:
    history = BINANCE.history[DataType.OHLC]
    assert isinstance(history, ByWindow)
    spot = Instrument("binance", Symbol("X", "Y"), "XY", Market.SPOT, InstrumentType.SPOT)
    place = {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "quote_volume": 7, "trades": 8}
    place |= {"taker_buy_volume": 9, "taker_buy_quote_volume": 10}
    count = 0
    for path in sorted((shared / "datasets" / "binance_klines").glob("*.jsonl.gz")):
        lines = gzip.decompress(path.read_bytes()).splitlines()
        columns = history.parse(Target(spot), Response(200, {}, b"[" + b",".join(lines) + b"]"))
        rows = [json.loads(line) for line in lines]
        for name, at in place.items():
            assert list(columns[name]) == [float(row[at]) for row in rows]
        count += len(rows)
    assert count == 129_329


def test_how_many_pass_and_how_many_are_excused(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(EXCUSED) <= set(CASES)
    read = Counter(CASES[name].channel for name in READ)
    with capsys.disabled():
        counts = ", ".join(f"{channel} {count}" for channel, count in sorted(read.items()))
        print(f"\nBinance corpus (REST): {len(READ)} read ({counts}), {len(EXCUSED)} excused")  # noqa: T201
    assert set(read) == {*CHANNELS, "instruments", "error"}
