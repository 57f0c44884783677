"""Every recorded answer and message of Deribit whose channel we read: each value of it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from dccd.domain.book import BookSync
from dccd.domain.instrument import InstrumentList
from dccd.domain.span import Span
from dccd.domain.timeutils import MS_NS
from dccd.domain.types import DataType, Evidence, InstrumentType, Market
from dccd.sources.base import Change, Channel, Message, Refused, Rows, Subscribed, Target
from dccd.sources.deribit import DERIBIT
from dccd.transport.live import LiveConnection
from tests.contract.corpus import LIVE, RECORDED, rest_cases, ws_cases
from tests.contract.excused_deribit import EXCUSED, EXCUSED_LIVE
from tests.contract.kit import assert_whole, parsed, target

CHANNELS = {
    "ohlcv": DataType.OHLC,
    "trades": DataType.TRADES,
    "book_snapshot": DataType.ORDERBOOK,
}
CASES = rest_cases("deribit", {*CHANNELS, "instruments", "time"})
LIVE_CASES = ws_cases("deribit", LIVE)
READ = [name for name in CASES if name not in EXCUSED]
READ_LIVE = [name for name in LIVE_CASES if name not in EXCUSED_LIVE]
PRICES = ("open", "high", "low", "close", "volume")
WHOSE = target("deribit", Market.INVERSE, contract_size=1.0)

pytestmark = pytest.mark.needs("shared")


def of(channel: str) -> list[str]:
    return [name for name in READ if CASES[name].channel == channel]


def told(*channels: str) -> list[str]:
    return [name for name in READ_LIVE if LIVE_CASES[name].channel in channels]


def columns(name: str) -> dict[str, list[Any]]:
    found = parsed(DERIBIT, CHANNELS[CASES[name].channel], WHOSE, CASES[name].response)
    return {column: list(values) for column, values in found.items()}


@pytest.mark.parametrize("name", of("ohlcv"))
def test_bars(name: str) -> None:
    chart, got = CASES[name].content["result"], columns(name)
    assert got["ts"] == [tick * MS_NS for tick in chart["ticks"]]
    assert {column: got[column] for column in PRICES} == {column: chart[column] for column in PRICES}
    assert got["quote_volume"] == chart["cost"]


def assert_trades(got: Any, stated: list[dict[str, Any]]) -> None:
    """All of them, in order of their numbers."""
    rows = sorted(stated, key=lambda row: row["trade_seq"])
    assert rows
    assert list(got["ts"]) == [row["timestamp"] * MS_NS for row in rows]
    renamed = {"price": "price", "amount": "amount", "side": "direction", "tid_num": "trade_seq"}
    for column, name in renamed.items():
        assert list(got[column]) == [row[name] for row in rows]


@pytest.mark.parametrize("name", of("trades"))
def test_trades(name: str) -> None:
    assert_trades(columns(name), CASES[name].content["result"]["trades"])


@pytest.mark.parametrize("name", of("book_snapshot"))
def test_books(name: str) -> None:
    book, got = CASES[name].content["result"], columns(name)
    sides = ["bid"] * len(book["bids"]) + ["ask"] * len(book["asks"])
    rows = list(zip(got["side"], got["price"], got["amount"], strict=True))
    assert rows == [(side, *level) for side, level in zip(sides, book["bids"] + book["asks"], strict=True)]
    assert set(got["ts"]) == {book["timestamp"] * MS_NS}


@pytest.mark.parametrize("name", of("time"))
def test_the_clock(name: str) -> None:
    assert DERIBIT.error(CASES[name].response) is None
    assert DERIBIT.clock_ns(CASES[name].response) == CASES[name].content["result"] * MS_NS


@pytest.mark.parametrize("name", of("instruments"))
def test_instruments(name: str) -> None:
    """Options and combinations are left out."""
    case = CASES[name]
    assert DERIBIT.error(case.response) is None
    items = list(DERIBIT.listings[0].parse(case.response))
    rows = [row for row in case.content["result"] if row["kind"] in ("future", "spot")]
    assert [item.native for item in items] == [row["instrument_name"] for row in rows]
    for item, row in zip(items, rows, strict=True):
        linear = "_USDC" in row["instrument_name"]
        assert item.market is (Market.LINEAR if linear else Market.INVERSE)
        assert (item.symbol.base, item.symbol.quote) == (row["base_currency"], row["quote_currency"])
        assert item.symbol.settle == (row["quote_currency"] if linear else row["base_currency"])
        dated = not row["instrument_name"].endswith("PERPETUAL")
        assert (item.type is InstrumentType.FUTURE) is dated
        assert item.expiry_ns == (row["expiration_timestamp"] * MS_NS if dated else None)
        assert (item.tick_size, item.lot_size) == (row["tick_size"], row["min_trade_amount"])
        assert item.listed_ns == row["creation_timestamp"] * MS_NS
        assert item.active is row["is_active"]
    assert_whole(InstrumentList("deribit", items), items)


def test_recorded_contracts_by_name() -> None:
    items = [item for name in of("instruments") for item in DERIBIT.listings[0].parse(CASES[name].response)]
    found = InstrumentList("deribit", items)
    natives = {
        "BTC/USD:BTC": "BTC-PERPETUAL",
        "BTC/USDC:USDC": "BTC_USDC-PERPETUAL",
        "ETH/USD:ETH-210723": "ETH-23JUL21",
    }
    assert {symbol: found.resolve(symbol).native for symbol in natives} == natives


def listening(channels: list[Channel]) -> LiveConnection:
    """A connection that has asked for these, as its first request."""
    feed = DERIBIT.streams[DataType.TRADES].feeds[Market.INVERSE]
    connection = LiveConnection("Deribit", feed, "ws://127.0.0.1:1")
    connection.targets.update((each, Target(WHOSE.instrument, Span.parse("1m"))) for each in channels)
    connection.dialect.subscribe(channels)
    return connection


def channel_of(text: str) -> Channel:
    name, symbol, detail = text.rsplit(".", 2)
    return Channel(name, symbol, detail)


def heard(name: str) -> tuple[list[Message], list[dict[str, Any]]]:
    """Our messages and their notifications, read by another parser than ours."""
    stated = [json.loads(frame) for frame in LIVE_CASES[name].frames]
    notified = [each["params"] for each in stated if each.get("method") == "subscription"]
    connection = listening([channel_of(params["channel"]) for params in notified])
    messages = [message for frame in LIVE_CASES[name].frames for message in connection.read(frame)]
    return messages, notified


@pytest.mark.parametrize("name", told("trades"))
def test_trades_as_they_happen(name: str) -> None:
    messages, notified = heard(name)
    for message, params in zip(messages, notified, strict=True):
        assert isinstance(message, Rows)
        assert message.channel == channel_of(params["channel"])
        assert_trades(message.columns, params["data"])


@pytest.mark.parametrize("name", told("ohlcv"))
def test_bars_as_they_happen(name: str) -> None:
    messages, notified = heard(name)
    for message, params in zip(messages, notified, strict=True):
        assert isinstance(message, Rows)
        data, got = params["data"], message.columns
        assert list(got["ts"]) == [data["tick"] * MS_NS] == [message.open_from_ns]
        assert [got[column][0] for column in PRICES] == [data[column] for column in PRICES]
        assert list(got["quote_volume"]) == [data["cost"]]


@pytest.mark.parametrize("name", told("book", "book_delta", "book_snapshot"))
def test_books_as_they_happen(name: str) -> None:
    messages, notified = heard(name)
    changes = [message for message in messages if isinstance(message, Change)]
    for change, params in zip(changes, notified, strict=True):
        update, data = change.update, params["data"]
        for levels, stated in ((update.bids, data["bids"]), (update.asks, data["asks"])):
            assert [(float(level.price), float(level.amount)) for level in levels] == [
                (price, amount) for _, price, amount in stated
            ]
        assert (update.seq, update.ts_ns) == (data["change_id"], data["timestamp"] * MS_NS)
        assert update.is_snapshot == (data["type"] == "snapshot")
        assert update.follows == data.get("prev_change_id")
    if LIVE_CASES[name].seq:
        sync = BookSync()
        assert [sync.take(change.update) for change in changes] == [[change.update] for change in changes]


@pytest.mark.parametrize("name", told("error"))
def test_errors(name: str) -> None:
    (stated,) = map(json.loads, LIVE_CASES[name].frames)
    connection = listening([Channel("trades", "BTC-PERPETUAL", "100ms")])
    (message,) = connection.read(LIVE_CASES[name].frames[0])
    words = f"{stated['error']['code']} {stated['error']['message']}"
    assert message == Refused(Channel("trades", "BTC-PERPETUAL", "100ms"), words)


@pytest.mark.parametrize("name", told("session", "subscribe_ack"))
def test_recorded_sessions(name: str) -> None:
    """All that was asked for is accepted; books follow without a hole, and only tickers are not for us."""
    frames = [
        frame.replace(b'"id":0', b'"id":1').replace(b'"id": 0', b'"id":1')
        for frame in LIVE_CASES[name].frames
    ]
    (answer,) = [each for each in map(json.loads, frames) if "id" in each]
    asked = [channel_of(text) for text in answer["result"]]
    connection = listening(asked)
    messages = [message for frame in frames for message in connection.read(frame)]
    accepted = [message.channel for message in messages if isinstance(message, Subscribed)]
    assert accepted == asked
    assert set(connection.unknown) <= {"ticker"}
    books: dict[Channel, BookSync] = {}
    for message in messages:
        if isinstance(message, Change):
            taken = books.setdefault(message.channel, BookSync()).take(message.update)
            assert taken == [message.update]
    assert set(books) <= set(asked)
    assert bool(books) is (LIVE_CASES[name].channel == "session")


def test_how_many_pass_and_how_many_are_excused(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(EXCUSED) <= set(CASES)
    assert set(EXCUSED_LIVE) <= set(LIVE_CASES)
    assert {LIVE_CASES[name].channel for name in READ_LIVE} <= {
        "trades", "ohlcv", "book", "book_delta", "book_snapshot", "error", "session", "subscribe_ack",
    }  # fmt: skip
    recorded = Counter(each.tier in RECORDED for each in map(CASES.get, READ) if each)
    with capsys.disabled():
        print(  # noqa: T201
            f"\nDeribit corpus (REST): {len(READ)} read ({recorded[True]} recorded), {len(EXCUSED)} excused; "
            f"(WebSocket): {len(READ_LIVE)} read, {len(EXCUSED_LIVE)} excused"
        )
    for capability in DERIBIT.capabilities:
        if capability.evidence is Evidence.RECORDED and capability.data_type is DataType.ORDERBOOK:
            assert any(CASES[name].tier in RECORDED for name in of("book_snapshot"))
