"""Every recorded WebSocket message of OKX whose channel we listen to, or whose channel has the same rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from dccd.domain.book import BookSync, BookUpdate, Level
from dccd.domain.errors import BrokenBook
from dccd.domain.instrument import Instrument
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import MS_NS, parse_time
from dccd.domain.types import DataType, InstrumentType, Market
from dccd.sources.base import Change, Channel, Message, Refused, Rows, Subscribed, Target
from dccd.sources.okx.live import STREAMS, checksum
from dccd.transport.live import LiveConnection
from tests.contract.corpus import RECORDED, Case, ws_cases
from tests.contract.excused_okx import EXCUSED_LIVE

CHANNELS = {
    "trades", "ohlcv", "book", "book_delta", "book_snapshot", "subscribe_ack", "error", "session"
}  # fmt: skip
CASES = ws_cases("okx", CHANNELS)
READ = [name for name in CASES if name not in EXCUSED_LIVE]
BOOKS = [name for name in READ if CASES[name].channel.startswith("book")]
SEQUENCES = [name for name in BOOKS if CASES[name].seq]
# Channels whose messages are ours but for the name: trades merged, books at once, with a login.
ALIKE = {b'"trades"': b'"trades-all"', b'"books-l2-tbt"': b'"books"'}
CONTRACT = Decimal("0.1")

pytestmark = pytest.mark.needs("shared")


def frames(case: Case) -> list[bytes]:
    """The messages, under the names of the channels that we listen to."""
    found = case.frames
    for theirs, ours in ALIKE.items():
        found = [frame.replace(theirs, ours) for frame in found]
    return found


def told(case: Case) -> Iterator[dict[str, Any]]:
    """Messages, read by another parser than ours."""
    yield from map(json.loads, frames(case))


def target(native: str) -> Target:
    """A contract by its name; linear ones have a size of their own."""
    _, quote, *dated = native.split("-")
    market = Market.SPOT if not dated else Market.INVERSE if quote == "USD" else Market.LINEAR
    settle = {Market.SPOT: None, Market.LINEAR: "USDT", Market.INVERSE: "XYZ"}[market]
    kind = InstrumentType.SPOT if market is Market.SPOT else InstrumentType.PERPETUAL
    size = {Market.SPOT: None, Market.LINEAR: float(CONTRACT), Market.INVERSE: 100.0}[market]
    it = Instrument("okx", Symbol("XYZ", "USD", settle), native, market, kind, contract_size=size)
    return Target(it)


def worth(native: str, amount: str) -> float:
    linear = target(native).instrument.market is Market.LINEAR
    return float(Decimal(amount) * CONTRACT) if linear else float(amount)


def listening(case: Case) -> LiveConnection:
    """A connection that has asked for what the messages are of, but for tickers."""
    connection = LiveConnection("OKX", STREAMS[DataType.TRADES].feeds[Market.SPOT], "ws://127.0.0.1:1")
    for message in told(case):
        arg = message.get("arg", {"channel": "tickers"})
        if arg["channel"] != "tickers":
            connection.targets[Channel(arg["channel"], arg["instId"])] = target(arg["instId"])
    connection.dialect.subscribe(list(connection.targets))
    return connection


def read(case: Case) -> list[Message]:
    connection = listening(case)
    messages = [message for frame in frames(case) for message in connection.read(frame)]
    assert not connection.unknown
    return messages


def of(channel: str) -> list[str]:
    return [name for name in READ if CASES[name].channel == channel]


@pytest.mark.parametrize("name", of("trades"))
def test_trades(name: str) -> None:
    case = CASES[name]
    found = [message.columns for message in read(case) if isinstance(message, Rows)]
    stated = [message for message in told(case) if "event" not in message]
    for got, message in zip(found, stated, strict=True):
        rows = message["data"]
        assert got["ts"] == [int(row["ts"]) * MS_NS for row in rows]
        assert got["price"] == [float(row["px"]) for row in rows]
        assert got["amount"] == [worth(row["instId"], row["sz"]) for row in rows]
        assert got["side"] == [row["side"] for row in rows]
        assert got["tid_num"] == [int(row["tradeId"]) for row in rows]
    for place, row in enumerate(case.expected if isinstance(case.expected, list) else ()):
        stated_row = [parse_time(row["timestamp"]), row["price"], row["amount"], row["side"], int(row["id"])]
        columns = ("ts", "price", "amount", "side", "tid_num")
        assert [found[0][each][place] for each in columns] == stated_row


@pytest.mark.parametrize("name", of("ohlcv"))
def test_bars(name: str) -> None:
    rows = [message for message in read(CASES[name]) if isinstance(message, Rows)]
    for row, message in zip(rows, told(CASES[name]), strict=True):
        bars = message["data"]
        volume = 5 if target(message["arg"]["instId"]).instrument.market is Market.SPOT else 6
        places = {"open": 1, "high": 2, "low": 3, "close": 4, "volume": volume, "quote_volume": 7}
        assert row.columns["ts"] == [int(bar[0]) * MS_NS for bar in bars]
        for column, place in places.items():
            assert row.columns[column] == [float(bar[place]) for bar in bars]
        still_open = [int(bar[0]) * MS_NS for bar in bars if bar[8] == "0"]
        assert row.open_from_ns == min(still_open, default=None)


@pytest.mark.parametrize("name", BOOKS)
def test_books(name: str) -> None:
    case = CASES[name]
    updates = [message.update for message in read(case) if isinstance(message, Change)]
    for update, message in zip(updates, told(case), strict=True):
        (book,) = message["data"]
        native = message["arg"]["instId"]
        linear = target(native).instrument.market is Market.LINEAR
        for levels, shown in ((update.bids, book["bids"]), (update.asks, book["asks"])):
            assert [(level.price, level.orders) for level in levels] == [
                (each[0], int(each[3])) for each in shown
            ]
            assert [float(level.amount) for level in levels] == [worth(native, each[1]) for each in shown]
        assert update.checksum == (None if linear else book["checksum"])
        assert update.seq == book.get("seqId")
        assert update.is_snapshot == (message["action"] == "snapshot")
        assert update.follows == (None if update.is_snapshot else book.get("prevSeqId"))
        assert update.ts_ns == int(book["ts"]) * MS_NS


@pytest.mark.parametrize("name", SEQUENCES)
def test_recorded_books_are_verified_message_by_message(name: str) -> None:
    updates = [message.update for message in read(CASES[name]) if isinstance(message, Change)]
    sync = BookSync(checksum=checksum)
    assert [sync.take(update) for update in updates] == [[update] for update in updates]
    assert len(updates) >= 46
    left = sync.book.best("bid")[0]
    with pytest.raises(BrokenBook, match="checksum"):
        sync.take(BookUpdate([Level(left.price, "0")], [], checksum=updates[-1].checksum))


@pytest.mark.parametrize("name", of("subscribe_ack"))
def test_acknowledgements_of_tickers_are_to_nothing_of_ours(name: str) -> None:
    connection = listening(CASES[name])
    for frame, message in zip(frames(CASES[name]), told(CASES[name]), strict=True):
        assert message["event"] == "subscribe"
        assert not any(isinstance(each, Subscribed) for each in connection.read(frame))
        channel = Channel("trades-all", message["arg"]["instId"])
        connection.targets[channel] = target(channel.symbol)
        assert connection.read(frame.replace(b'"tickers"', b'"trades-all"')) == [Subscribed(channel)]


@pytest.mark.parametrize("name", of("error"))
def test_refusals(name: str) -> None:
    """To a request by its id; without one, to none."""
    wanted = [Channel("trades-all", symbol) for symbol in ("A-USDT", "B-USDT", "C-USDT")]
    (message,) = told(CASES[name])
    assert read(CASES[name]) == [Refused(None, message["msg"])]
    connection = listening(CASES[name])
    connection.dialect.subscribe(wanted)
    frame = json.dumps(message | {"id": "2"}).encode()
    assert connection.read(frame) == [Refused(wanted[1], message["msg"])]


@pytest.mark.parametrize("name", of("session"))
def test_whole_sessions(name: str) -> None:
    """Tickers, which were asked for too, are passed over."""
    case = CASES[name]
    connection = listening(case)
    messages = [message for frame in frames(case) for message in connection.read(frame)]
    shown = Counter(type(message).__name__ for message in messages)
    stated = [("event" in message, message["arg"]["channel"]) for message in told(case)]
    counts = Counter(stated)
    assert shown["Subscribed"] == counts[True, "trades-all"] + counts[True, "books"] > 0
    assert shown["Unknown"] == counts[True, "tickers"] + counts[False, "tickers"] > 0
    assert shown["Rows"] == counts[False, "trades-all"]
    assert shown["Change"] == counts[False, "books"] > 0
    assert sum(shown.values()) == len(stated)


def test_how_many_pass_and_how_many_are_excused(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(EXCUSED_LIVE) <= set(CASES)
    counts = Counter(CASES[name].channel for name in READ)
    recorded = sum(CASES[name].tier in RECORDED for name in READ)
    with capsys.disabled():
        shown = ", ".join(f"{channel} {count}" for channel, count in sorted(counts.items()))
        print(  # noqa: T201
            f"\nOKX corpus (WebSocket): {len(READ)} read ({shown}; {recorded} recorded), "
            f"{len(EXCUSED_LIVE)} excused"
        )
    assert set(counts) == CHANNELS
