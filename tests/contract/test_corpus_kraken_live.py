"""Every recorded WebSocket message of Kraken whose channel we listen to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from dccd.domain.book import BookSync, BookUpdate, Level
from dccd.domain.errors import BrokenBook
from dccd.domain.span import Span
from dccd.domain.timeutils import MS_NS, parse_time
from dccd.domain.types import DataType
from dccd.sources.base import Change, Message, Rows, Target
from dccd.sources.kraken import KRAKEN
from dccd.sources.kraken.live import checksum
from dccd.transport.live import LiveConnection
from tests.contract.corpus import LIVE, Case, ws_cases
from tests.contract.excused_kraken import EXCUSED_LIVE
from tests.contract.parties import PARTIES

CASES = ws_cases("kraken", LIVE)
READ = [name for name in CASES if name not in EXCUSED_LIVE]
# The first version of the API had the same books, with the same checksum.
OLD_BOOKS = [name for name, case in CASES.items() if case.channel == "book" and case.api == "ws-v1/rest-v0"]
(PARTY,) = (party for party in PARTIES if party.source is KRAKEN)

pytestmark = pytest.mark.needs("shared")


def listening() -> LiveConnection:
    """A connection that has asked for all there is of BTC/USD."""
    feed = KRAKEN.streams[DataType.TRADES].feeds[PARTY.market]
    connection = LiveConnection("Kraken", feed, "ws://127.0.0.1:1")
    it = PARTY.instrument()
    for kind, target in (
        (DataType.TRADES, Target(it)),
        (DataType.OHLC, Target(it, Span.parse("1m"))),
        (DataType.BOOK_UPDATES, Target(it, None, 10)),
    ):
        channel = KRAKEN.streams[kind].channel(target)
        connection.targets[channel] = target
        connection.dialect.subscribe([channel])
    return connection


def read(name: str) -> list[Message]:
    connection = listening()
    messages = [message for frame in CASES[name].frames for message in connection.read(frame)]
    assert not connection.unknown
    return messages


def of(channel: str) -> list[str]:
    return [name for name in READ if CASES[name].channel == channel]


def told(case: Case, channel: str) -> Iterator[dict[str, Any]]:
    """Rows of a channel, read by another parser than ours."""
    for frame in case.frames:
        message = json.loads(frame)
        if message.get("channel") == channel:
            yield from message["data"]


@pytest.mark.parametrize("name", of("trades"))
def test_trades(name: str) -> None:
    rows = [message for message in read(name) if isinstance(message, Rows)]
    stated = list(told(CASES[name], "trade"))
    assert [row.columns["price"] for row in rows] == [[trade["price"]] for trade in stated]
    assert [row.columns["amount"] for row in rows] == [[trade["qty"]] for trade in stated]
    assert [row.columns["side"] for row in rows] == [[trade["side"]] for trade in stated]
    assert [row.columns["tid_num"] for row in rows] == [[trade["trade_id"]] for trade in stated]
    assert [row.columns["ts"] for row in rows] == [[parse_time(trade["timestamp"])] for trade in stated]


@pytest.mark.parametrize("name", of("ohlcv"))
def test_bars(name: str) -> None:
    rows = [message for message in read(name) if isinstance(message, Rows)]
    stated = list(told(CASES[name], "ohlc"))
    assert rows
    assert [row.columns["ts"][0] for row in rows] == [parse_time(bar["interval_begin"]) for bar in stated]
    fields = ("open", "high", "low", "close", "volume", "trades")
    assert [[row.columns[field][0] for field in fields] for row in rows] == [
        [bar[field] for field in fields] for bar in stated
    ]
    assert all(row.open_from_ns == row.columns["ts"][0] for row in rows)
    for row, expected in zip(
        rows, CASES[name].expected["rows"] if CASES[name].expected else (), strict=False
    ):
        assert [row.columns["ts"][0], *(row.columns[field][0] for field in fields[:5])] == [
            int(expected[0]) * MS_NS, *(float(value) for value in expected[1:6])
        ]  # fmt: skip


@pytest.mark.parametrize("name", [*of("book"), *of("book_delta"), *of("book_snapshot")])
def test_books(name: str) -> None:
    updates = [message.update for message in read(name) if isinstance(message, Change)]
    stated = list(told(CASES[name], "book"))
    for update, book in zip(updates, stated, strict=True):
        for levels, shown in ((update.bids, book["bids"]), (update.asks, book["asks"])):
            assert [float(level.price) for level in levels] == [level["price"] for level in shown]
            assert [float(level.amount) for level in levels] == [level["qty"] for level in shown]
        assert update.checksum == book.get("checksum")
        assert update.ts_ns == (parse_time(book["timestamp"]) if "timestamp" in book else None)


def test_a_recorded_book_of_today_is_verified_message_by_message() -> None:
    sync = BookSync(depth=10, checksum=checksum)
    updates = [message.update for message in read("ccxt_ws_kraken_book10") if isinstance(message, Change)]
    assert len(updates) == 5
    assert [sync.take(update) for update in updates] == [[update] for update in updates]


@pytest.mark.parametrize("name", OLD_BOOKS)
def test_recorded_books_of_the_first_version_are_verified_message_by_message(name: str) -> None:
    sync = BookSync(depth=1000, checksum=checksum)
    verified = 0
    for frame in CASES[name].frames:
        _, *parts, _, _ = json.loads(frame)
        both = {side: levels for part in parts for side, levels in part.items()}
        is_snapshot = "as" in both
        update = BookUpdate(
            bids=[Level(each[0], each[1]) for each in both.get("bs" if is_snapshot else "b", ())],
            asks=[Level(each[0], each[1]) for each in both.get("as" if is_snapshot else "a", ())],
            is_snapshot=is_snapshot,
            checksum=int(both["c"]) if "c" in both else None,
        )
        assert sync.take(update) == [update]
        verified += update.checksum is not None
    assert verified == len(CASES[name].frames) - 1
    left = sync.book.best("bid")[0]
    with pytest.raises(BrokenBook, match="checksum"):
        sync.take(BookUpdate([Level(left.price, "0")], [], checksum=verified))


@pytest.mark.parametrize("name", [*of("heartbeat"), *of("subscribe_ack")])
def test_what_is_no_data(name: str) -> None:
    assert not any(isinstance(message, Rows | Change) for message in read(name))


def test_how_many_pass_and_how_many_are_excused(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(EXCUSED_LIVE) <= set(CASES)
    counts = Counter(CASES[name].channel for name in READ)
    with capsys.disabled():
        shown = ", ".join(f"{channel} {count}" for channel, count in sorted(counts.items()))
        print(  # noqa: T201
            f"\nKraken corpus (WebSocket): {len(READ)} read ({shown}), {len(EXCUSED_LIVE)} excused, "
            f"{len(OLD_BOOKS)} books of version 1 verified"
        )
