"""Every recorded WebSocket message of Bybit whose channel we listen to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from dccd.domain.book import BookSync, BookUpdate
from dccd.domain.errors import BrokenBook
from dccd.domain.instrument import Instrument
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import MINUTE_NS, MS_NS, parse_time
from dccd.domain.types import InstrumentType, Market
from dccd.sources.base import Change, Channel, Message, Refused, Rows, Subscribed, Target
from dccd.sources.bybit.live import STREAMS
from dccd.transport.live import LiveConnection
from tests.contract.corpus import RECORDED, Case, ws_cases
from tests.contract.excused_bybit import EXCUSED_LIVE

DATA = {"trades", "ohlcv", "book", "book_delta", "book_snapshot"}
CHANNELS = DATA | {"subscribe_ack", "error", "heartbeat", "session"}
CASES = ws_cases("bybit", CHANNELS)
READ = [name for name in CASES if name not in EXCUSED_LIVE]
BOOKS = [name for name in READ if CASES[name].channel.startswith("book")]

pytestmark = pytest.mark.needs("shared")


def listening(case: Case) -> LiveConnection:
    """A connection that has asked for what the messages are of."""
    market = Market.SPOT if case.market == "spot" else Market.LINEAR
    feed = next(iter(STREAMS.values())).feeds[market]
    connection = LiveConnection("Bybit", feed, "ws://127.0.0.1:1")
    wanted = {}
    for topic in asked(case):
        name, *detail, symbol = topic.split(".")
        kind = InstrumentType.SPOT if market is Market.SPOT else InstrumentType.PERPETUAL
        settle = None if market is Market.SPOT else "USDT"
        it = Instrument("bybit", Symbol("XYZ", "USDT", settle), symbol, market, kind)
        wanted[Channel(name, symbol, *detail)] = Target(it)
    connection.targets |= wanted
    connection.dialect.subscribe(list(wanted))
    return connection


def asked(case: Case) -> list[str]:
    """Topics of a session in the order they were asked for; else those there are messages of, or one."""
    if case.direction is not None:
        sent = zip(case.content, case.direction, strict=True)
        return [topic for message, way in sent if way == "sent" for topic in message["args"]]
    return [message.get("topic", "publicTrade.XYZUSDT") for message in told(case)]


def read(case: Case) -> list[Message]:
    connection = listening(case)
    messages = [message for frame in case.frames for message in connection.read(frame)]
    assert not connection.unknown
    return messages


def of(channel: str) -> list[str]:
    return [name for name in READ if CASES[name].channel == channel]


def told(case: Case) -> Iterator[dict[str, Any]]:
    """Messages, read by another parser than ours."""
    yield from map(json.loads, case.frames)


@pytest.mark.parametrize("name", of("trades"))
def test_trades(name: str) -> None:
    case = CASES[name]
    found = [message.columns for message in read(case) if isinstance(message, Rows)]
    for got, message in zip(found, told(case), strict=True):
        rows = message["data"]
        assert got["ts"] == [row["T"] * MS_NS for row in rows]
        assert got["price"] == [float(row["p"]) for row in rows]
        assert got["amount"] == [float(row["v"]) for row in rows]
        assert got["side"] == [row["S"].lower() for row in rows]
        assert got["tid"] == [row["i"] for row in rows]
    for place, row in enumerate(case.expected or ()):
        stated = [parse_time(row["timestamp"]), row["price"], row["amount"], row["side"], row["id"]]
        assert [found[0][each][place] for each in ("ts", "price", "amount", "side", "tid")] == stated


@pytest.mark.parametrize("name", of("ohlcv"))
def test_bars(name: str) -> None:
    fields = {"ts": "start", "quote_volume": "turnover"}
    fields |= {each: each for each in ("open", "high", "low", "close", "volume")}
    rows = [message for message in read(CASES[name]) if isinstance(message, Rows)]
    for row, message in zip(rows, told(CASES[name]), strict=True):
        bars = message["data"]
        assert row.columns["ts"] == [bar["start"] * MS_NS for bar in bars]
        for column, field in list(fields.items())[1:]:
            assert row.columns[column] == [float(bar[field]) for bar in bars]
        still_open = [bar["start"] * MS_NS for bar in bars if not bar["confirm"]]
        assert row.open_from_ns == min(still_open, default=None)


def test_a_recorded_bar_closes_before_the_next_opens() -> None:
    rows = [message for message in read(CASES["cf_BYBIT5_ohlcv_BTCUSDT"]) if isinstance(message, Rows)]
    closed = [place for place, row in enumerate(rows) if row.open_from_ns is None]
    assert closed
    for place in closed:
        (start,) = rows[place].columns["ts"]
        assert isinstance(start, int)
        assert rows[place + 1].open_from_ns == start + MINUTE_NS


@pytest.mark.parametrize("name", BOOKS)
def test_books(name: str) -> None:
    case = CASES[name]
    updates = [message.update for message in read(case) if isinstance(message, Change)]
    for update, message in zip(updates, told(case), strict=True):
        book = message["data"]
        for levels, shown in ((update.bids, book["b"]), (update.asks, book["a"])):
            assert [[level.price, level.amount] for level in levels] == shown
        assert update.seq == book["u"]
        assert update.is_snapshot == (message["type"] == "snapshot")
        assert update.ts_ns == message.get("cts", message["ts"]) * MS_NS
    for expected in case.expected or ():
        for levels, shown in ((updates[0].bids, expected["bids"]), (updates[0].asks, expected["asks"])):
            assert [[float(level.price), float(level.amount)] for level in levels] == [
                [level["price"], level["amount"]] for level in shown
            ]


@pytest.mark.parametrize("name", of("book")[:3])
def test_recorded_books_follow_message_by_message_and_stay_as_deep_as_they_were(name: str) -> None:
    """Bybit takes away itself what falls out of its depth."""
    updates = [message.update for message in read(CASES[name]) if isinstance(message, Change)]
    assert len(updates) == 150
    sync = BookSync()
    for update in updates:
        assert sync.take(update) == [update]
        assert [len(sync.book.best(side)) for side in ("bid", "ask")] == [200, 200]
        assert float(sync.book.best("bid", 1)[0].price) < float(sync.book.best("ask", 1)[0].price)
    assert_one_lost_is_noticed(updates)


def assert_one_lost_is_noticed(updates: list[BookUpdate]) -> None:
    sync = BookSync()
    sync.take(updates[0])
    with pytest.raises(BrokenBook, match="missing"):
        sync.take(updates[2])


@pytest.mark.parametrize("name", of("subscribe_ack"))
def test_acknowledgements(name: str) -> None:
    """With the id of a request they are to that, without one to the oldest."""
    wanted = [Channel("publicTrade", symbol) for symbol in ("AUSDT", "BUSDT", "CUSDT")]
    connection = listening(CASES[name])
    connection.dialect.subscribe(wanted)
    connection.dialect.unsubscribe(wanted)
    (first, *_) = told(CASES[name])
    mine = json.dumps(first | {"req_id": "publicTrade.BUSDT"} if first.get("req_id") else first)
    answered = Channel("publicTrade", "BUSDT" if first.get("req_id") else "XYZUSDT")
    assert connection.read(mine.encode()) == [Subscribed(answered)]


@pytest.mark.parametrize("name", of("error"))
def test_refusals(name: str) -> None:
    (first,) = told(CASES[name])
    channel = Channel("publicTrade", "XYZUSDT") if first["op"] else None
    assert read(CASES[name]) == [Refused(channel, first.get("ret_msg", ""))]


@pytest.mark.parametrize("name", of("heartbeat"))
def test_heartbeats(name: str) -> None:
    assert not read(CASES[name])


@pytest.mark.parametrize("name", of("session"))
def test_whole_sessions(name: str) -> None:
    """Each answer is to the oldest request; tickers, which were asked for too, are passed over."""
    case = CASES[name]
    connection = listening(case)
    messages = [message for frame in case.frames for message in connection.read(frame)]
    shown = Counter(type(message).__name__ for message in messages)
    topics = Counter(str(message.get("topic", "answer")).split(".")[0] for message in told(case))
    accepted = [message.channel for message in messages if isinstance(message, Subscribed)]
    assert accepted == list(connection.targets)[: topics["answer"]]
    assert shown["Unknown"] == topics["tickers"] > 0
    assert shown["Change"] == topics["orderbook"] > 0
    assert shown["Rows"] == topics["kline"] + topics["publicTrade"]


def test_how_many_pass_and_how_many_are_excused(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(EXCUSED_LIVE) <= set(CASES)
    counts = Counter(CASES[name].channel for name in READ)
    recorded = sum(CASES[name].tier in RECORDED for name in READ)
    with capsys.disabled():
        shown = ", ".join(f"{channel} {count}" for channel, count in sorted(counts.items()))
        print(  # noqa: T201
            f"\nBybit corpus (WebSocket): {len(READ)} read ({shown}; {recorded} recorded), "
            f"{len(EXCUSED_LIVE)} excused"
        )
    assert set(counts) == CHANNELS
