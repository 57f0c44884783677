"""Every recorded WebSocket message of Bitfinex whose channel we listen to."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from dccd.domain.book import BookSync, BookUpdate
from dccd.domain.errors import NetworkError
from dccd.domain.span import Span
from dccd.domain.timeutils import MS_NS
from dccd.domain.types import DataType
from dccd.sources.base import Change, Channel, Message, Rows, Subscribed, Target, Unknown
from dccd.sources.bitfinex import BITFINEX
from dccd.sources.bitfinex.live import checksum
from dccd.transport.live import LiveConnection
from tests.contract.corpus import LIVE, RECORDED, Case, ws_cases
from tests.contract.excused_bitfinex import EXCUSED_LIVE
from tests.contract.parties import PARTIES

CASES = ws_cases("bitfinex", LIVE)
READ = [name for name in CASES if name not in EXCUSED_LIVE]
PARTY = next(party for party in PARTIES if party.source is BITFINEX)
FEED = BITFINEX.streams[DataType.TRADES].feeds[PARTY.market]
NUMBER = 7  # of the channel, where a recording has its name instead
KINDS = {"ohlcv": "candles", "trades": "trades"}  # all else is of books

pytestmark = pytest.mark.needs("shared")


def of(*channels: str) -> list[str]:
    return [name for name in READ if CASES[name].channel in channels]


def listening(*channels: Channel) -> LiveConnection:
    """A connection that has asked for channels."""
    connection = LiveConnection("Bitfinex", FEED, "ws://127.0.0.1:1")
    for channel in channels:
        span = Span.parse("1m") if channel.name == "candles" else None
        connection.targets[channel] = Target(PARTY.instrument(), span, 100)
        connection.dialect.subscribe([channel])
    return connection


def asked(told: dict[str, Any]) -> Channel:
    """What an answer, or one project's name of a channel, says."""
    return Channel(told["channel"], told.get("key") or told["symbol"], told.get("len", ""))


def heard(case: Case) -> tuple[LiveConnection, list[bytes]]:
    """A connection that has asked for what a recording is of, and the recording's frames.

    Some have the channel's description where Bitfinex has its number, or lack the answer that tells it. Those
    that are one channel's of many are numbered with holes, so their numbers are taken off.
    """
    frames, channels = [], []
    for frame in case.frames:
        message = json.loads(frame)
        if isinstance(message, list) and isinstance(message[0], dict):
            frames.append(b"[%d,%b" % (NUMBER, frame.split(b"},", 1)[1]))
            channels.append(asked(message[0]))
            continue
        if isinstance(message, dict) and message.get("event") == "subscribed":
            channels.append(asked(message))
        frames.append(re.sub(rb",\d+\]$", b"]", frame) if case.seq and frame.startswith(b"[") else frame)
    connection = listening(*dict.fromkeys(channels))
    if not any(frame.startswith(b"{") for frame in frames):
        number = json.loads(frames[0])[0]
        name = KINDS.get(case.channel, "book")
        channel = (
            channels[0] if channels else Channel(name, "trade:1m:tBTCUSD" if name == "candles" else "tBTCUSD")
        )
        connection = listening(channel)
        place = "key" if name == "candles" else "symbol"
        answer = {"event": "subscribed", "channel": name, "chanId": number, place: channel.symbol}
        if channel.detail:
            answer["len"] = channel.detail
        connection.read(json.dumps(answer).encode())
    return connection, frames


def read(name: str) -> list[Message]:
    connection, frames = heard(CASES[name])
    messages = [message for frame in frames for message in connection.read(frame)]
    assert not any(isinstance(message, Unknown) for message in messages)
    return messages


def payloads(name: str) -> list[list[Any]]:
    """What is said of a channel, message by message, read by another parser than ours: lists of rows."""
    found = []
    for frame in CASES[name].frames:
        message = json.loads(frame)
        if isinstance(message, list) and message[1] not in ("hb", "tu"):
            rows = message[2] if message[1] == "te" else message[1]
            found.append(rows if rows == [] or isinstance(rows[0], list) else [rows])
    return found


@pytest.mark.parametrize("name", of("trades"))
def test_trades(name: str) -> None:
    got = [message.columns for message in read(name) if isinstance(message, Rows)]
    for columns, rows in zip(got, payloads(name), strict=True):
        in_order = sorted((row[:4] for row in rows), key=lambda row: (row[1], row[0]))
        ids, times, amounts, prices = zip(*in_order, strict=True)
        assert columns["tid_num"] == list(ids)
        assert columns["ts"] == [each * MS_NS for each in times]
        assert columns["amount"] == [abs(each) for each in amounts]
        assert columns["side"] == ["buy" if each > 0 else "sell" for each in amounts]
        assert columns["price"] == list(prices)
    expected = CASES[name].expected
    if got and isinstance(expected, list):
        assert [[each["id"], each["price"], each["amount"], each["side"]] for each in expected] == [
            [str(columns["tid_num"][0]), columns["price"][0], columns["amount"][0], columns["side"][0]]
            for columns in got
        ]


@pytest.mark.parametrize("name", of("ohlcv"))
def test_bars(name: str) -> None:
    got = [message for message in read(name) if isinstance(message, Rows)]
    for message, rows in zip(got, payloads(name), strict=True):
        times, *values = zip(*sorted(rows), strict=True)
        assert message.columns["ts"] == [each * MS_NS for each in times]
        for column, told in zip(("open", "close", "high", "low", "volume"), values, strict=True):
            assert message.columns[column] == list(told)
        assert message.open_from_ns == times[-1] * MS_NS


def updates(name: str) -> list[BookUpdate]:
    return [message.update for message in read(name) if isinstance(message, Change)]


@pytest.mark.parametrize("name", of("book", "book_delta", "book_snapshot"))
def test_books(name: str) -> None:
    got = updates(name)
    for update, rows in zip(got, payloads(name), strict=True):
        for levels, sign in ((update.bids, 1), (update.asks, -1)):
            assert [[float(level.price), level.orders, float(level.amount)] for level in levels] == [
                [price, count, abs(amount) if count else 0]
                for price, count, amount in rows
                if amount * sign > 0
            ]
        assert update.is_snapshot == (len(rows) > 1)
    expected = CASES[name].expected
    if got and isinstance(expected, list):
        (update,) = got
        assert update.ts_ns is not None
        for levels, side in ((update.bids, "bids"), (update.asks, "asks")):
            assert [{"price": float(each.price), "amount": float(each.amount)} for each in levels] == (
                expected[0][side]
            )
        assert expected[0]["isSnapshot"] == update.is_snapshot
    elif expected:
        stated = dict(re.findall(r"orderbook\.(asks|bids)\.len\(\), (\d+)", " ".join(expected["asserts"])))
        assert {"bids": len(got[0].bids), "asks": len(got[0].asks)} == {
            side: int(count) for side, count in stated.items()
        }


SEQUENCES = [name for name in of("book") if CASES[name].seq]


@pytest.mark.parametrize("name", SEQUENCES)
def test_recorded_books_follow_message_by_message_and_stay_as_deep_as_they_were(name: str) -> None:
    """Bitfinex takes away itself what falls out of its depth; no recording has checksums."""
    got = updates(name)
    depth = int(json.loads(CASES[name].frames[0])["len"])
    sync = BookSync(checksum=checksum)
    for update in got:
        before = {level.price for level in (*sync.book.best("bid"), *sync.book.best("ask"))}
        assert sync.take(update) == [update]
        gone = {level.price for level in (*update.bids, *update.asks) if not float(level.amount)}
        assert gone <= before
        assert max(len(sync.book.best("bid")), len(sync.book.best("ask"))) <= depth
        assert float(sync.book.best("bid", 1)[0].price) < float(sync.book.best("ask", 1)[0].price)
    assert (len(sync.book.best("bid")), len(sync.book.best("ask"))) == (depth, depth)
    assert len(got) > 8


@pytest.mark.parametrize("name", of("subscribe_ack"))
def test_acknowledgements(name: str) -> None:
    """Of channels we know; one of tickers, which were recorded, is told apart."""
    for frame in CASES[name].frames:
        told = json.loads(frame)
        if told["event"] == "conf":
            assert listening().read(frame) == []
            continue
        assert listening(asked(told)).read(frame) == [Subscribed(asked(told))]
        assert listening().read(frame) == [Unknown("subscribed")]


def test_heartbeats_are_numbered_with_all_else() -> None:
    names = of("heartbeat")
    frames = [frame for name in names for frame in CASES[name].frames]
    connection = listening()
    assert [message for frame in frames for message in connection.read(frame)] == [
        Unknown("of no channel") for _ in frames
    ]
    with pytest.raises(NetworkError, match="missing between 132 and 129"):
        connection.read(frames[0])


@pytest.mark.parametrize("name", of("session"))
def test_a_whole_session(name: str) -> None:
    """Tickers, which were asked for too, are passed over; where messages were taken out, that is noticed."""
    frames = CASES[name].frames
    answers = [json.loads(frame) for frame in frames if b'"subscribed"' in frame]
    channels = [asked(answer) for answer in answers if answer["channel"] != "ticker"]
    connection = listening(*channels)
    messages: list[Message] = []
    holes = []
    for frame in frames:
        try:
            messages += connection.read(frame)
        except NetworkError as hole:
            holes.append(str(hole))
    numbers = [json.loads(frame)[-1] for frame in frames if frame.startswith(b"[")]
    assert holes == [
        f"Messages of Bitfinex are missing between {last} and {number}."
        for last, number in pairwise(numbers)
        if number != last + 1
    ]
    counts = Counter(type(message).__name__ for message in messages)
    assert [message.channel for message in messages if isinstance(message, Subscribed)] == channels
    assert counts == {"Subscribed": 8, "Rows": 5, "Change": 1, "Unknown": 16}
    assert len(holes) == 2  # each was told instead of a message


def test_how_many_pass_and_how_many_are_excused(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(EXCUSED_LIVE) <= set(CASES)
    counts = Counter(CASES[name].channel for name in READ)
    recorded = sum(CASES[name].tier in RECORDED for name in READ)
    with capsys.disabled():
        shown = ", ".join(f"{channel} {count}" for channel, count in sorted(counts.items()))
        print(  # noqa: T201
            f"\nBitfinex corpus (WebSocket): {len(READ)} read ({shown}; {recorded} recorded), "
            f"{len(EXCUSED_LIVE)} excused"
        )
    assert set(counts) == {
        "trades", "ohlcv", "book", "book_delta", "book_snapshot", "subscribe_ack", "heartbeat", "session",
    }  # fmt: skip
