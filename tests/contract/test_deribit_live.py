"""What is particular to listening to Deribit."""

from __future__ import annotations

import json

import pytest

from dccd.domain.book import BookSync, Level
from dccd.domain.errors import BrokenBook
from dccd.domain.span import Span
from dccd.domain.types import DataType
from dccd.sources.base import Change, Channel, Refused, Subscribed, Target
from dccd.sources.deribit import DERIBIT
from dccd.transport.live import LiveConnection
from tests.contract.parties import PARTIES

PARTY = next(party for party in PARTIES if party.source is DERIBIT and party.market == "inverse")
FEED = DERIBIT.streams[DataType.TRADES].feeds[PARTY.market]


def channels(*names: str) -> list[Channel]:
    found = []
    for name in names:
        it = PARTY.instrument(native=name)
        for kind, target in (
            (DataType.TRADES, Target(it)),
            (DataType.OHLC, Target(it, Span.parse("1d"))),
            (DataType.BOOK_UPDATES, Target(it, None, 60)),
        ):
            found.append(DERIBIT.streams[kind].channel(target))
    return found


def listening() -> tuple[LiveConnection, list[Channel]]:
    connection = LiveConnection("Deribit", FEED, "ws://127.0.0.1:1")
    wanted = channels("BTC-PERPETUAL")
    connection.targets.update((channel, Target(PARTY.instrument(), Span.parse("1d"))) for channel in wanted)
    connection.dialect.subscribe(wanted)
    return connection, wanted


def book(kind: str, number: int, follows: int | None, *bids: tuple[str, float, float]) -> bytes:
    data = {"type": kind, "timestamp": 1, "change_id": number, "bids": bids, "asks": []}
    data |= {} if follows is None else {"prev_change_id": follows}
    params = {"channel": "book.BTC-PERPETUAL.100ms", "data": data}
    return json.dumps({"jsonrpc": "2.0", "method": "subscription", "params": params}).encode()


def test_what_is_sent_to_subscribe_and_to_end_that() -> None:
    dialect = FEED.dialect({})
    wanted = channels("BTC-PERPETUAL", "BTC_USDC")
    (text,) = dialect.subscribe(wanted)
    assert text == (
        '{"jsonrpc":"2.0","id":1,"method":"public/subscribe","params":{"channels":['
        '"trades.BTC-PERPETUAL.100ms","chart.trades.BTC-PERPETUAL.1D","book.BTC-PERPETUAL.100ms",'
        '"trades.BTC_USDC.100ms","chart.trades.BTC_USDC.1D","book.BTC_USDC.100ms"]}}'
    )
    assert dialect.unsubscribe(wanted[:1]) == [
        '{"jsonrpc":"2.0","id":2,"method":"public/unsubscribe","params":{"channels":["trades.BTC-PERPETUAL.100ms"]}}'
    ]


def test_a_full_connection_subscribes_with_a_frame_of_32_kilobytes() -> None:
    it = PARTY.instrument(native="BTC_USDC-31DEC26-LONGEST")
    one = DERIBIT.streams[DataType.OHLC].channel(Target(it, Span.parse("12h")))
    (text,) = FEED.dialect({}).subscribe([one] * FEED.channels_max)
    assert len(text) < 32 * 1024


def test_a_channel_that_the_answer_lacks_is_refused_and_the_others_are_not() -> None:
    connection, (trades, bars, changes) = listening()
    result = ["book.BTC-PERPETUAL.100ms", "trades.BTC-PERPETUAL.100ms"]
    answer = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result, "usIn": 1}).encode()
    refused = Refused(bars, "chart.trades.BTC-PERPETUAL.1D is not among the channels that are subscribed to")
    assert connection.read(answer) == [Subscribed(trades), refused, Subscribed(changes)]
    assert connection.read(answer) == []  # that was all that was asked


def test_an_error_is_told_of_each_channel_that_was_asked_for() -> None:
    connection, wanted = listening()
    fault = {"code": 10028, "message": "too_many_requests", "data": None}
    error = json.dumps({"jsonrpc": "2.0", "id": 1, "error": fault}).encode()
    assert connection.read(error) == [Refused(channel, "10028 too_many_requests") for channel in wanted]
    assert connection.read(error) == [Refused(None, "10028 too_many_requests")]


def test_heartbeats_say_nothing() -> None:
    connection, _ = listening()
    for kind in ("heartbeat", "test_request"):
        frame = {"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": kind}}
        assert connection.read(json.dumps(frame).encode()) == []


def test_a_book_that_is_told_anew_and_one_of_which_a_change_is_missing() -> None:
    """Numbers are not consecutive: each change says which it follows."""
    connection, _ = listening()
    sync = BookSync()
    frames = [
        book("snapshot", 100, None, ("new", 37240.5, 20.0), ("new", 37240.0, 1e-05)),
        book("change", 107, 100, ("delete", 37240.5, 0.0), ("change", 37240.0, 30.0)),
        book("snapshot", 500, 20, ("new", 37000.0, 10.0)),  # a number before it is of no book of ours
        book("change", 503, 500, ("new", 37001.5, 7.0)),
        book("change", 520, 519),
    ]
    changes = [message for frame in frames for message in connection.read(frame)]
    updates = [change.update for change in changes if isinstance(change, Change)]
    assert updates[0].bids == [Level("37240.5", "20.0"), Level("37240.0", "0.00001")]
    for update in updates[:2]:
        sync.take(update)
    assert sync.book.best("bid") == [Level("37240.0", "30.0")]
    for update in updates[2:4]:
        sync.take(update)
    assert sync.book.best("bid") == [Level("37001.5", "7.0"), Level("37000.0", "10.0")]
    with pytest.raises(BrokenBook, match="missing between 503 and 519"):
        sync.take(updates[4])
