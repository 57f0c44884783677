"""Every recorded WebSocket message of BitMEX whose channel we listen to."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from dccd.domain.book import BookSync
from dccd.domain.instrument import Instrument
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import MS_NS, parse_time
from dccd.domain.types import InstrumentType, Market
from dccd.sources.base import Change, Channel, Message, Rows, Subscribed, Target
from dccd.sources.bitmex.live import STREAMS
from dccd.transport.live import LiveConnection
from tests.contract.corpus import LIVE, RECORDED, Case, ws_cases
from tests.contract.excused_bitmex import EXCUSED_LIVE

CASES = ws_cases("bitmex", LIVE)
READ = [name for name in CASES if name not in EXCUSED_LIVE]
WHOLE = [name for name in READ if CASES[name].seq and CASES[name].channel == "book"]
# Changes of before 2023 leave out prices; these were recorded without what came before.
PRICES = {8796323950: 36760.5, 8799141400: 8586, 17999995000: 50}

# What was kept of what another project says of a settlement is of a trade that was not kept.
OF_ANOTHER = "cmp_bitmex_trade_inverse_future_2_3"
_FIELD = re.compile(r"\b(?:trade|candlestick_msg)\.(\w+)")
_NUMBER = re.compile(r"(?:^|[ (])(\d+(?:\.\d+)?)")

pytestmark = pytest.mark.needs("shared")


def is_inverse(symbol: str) -> bool:
    return symbol in ("XBTUSD", "XBTF23", "XBTH23", "XBTZ21")


def listening(case: Case) -> LiveConnection:
    """A connection that has asked for what the messages are of."""
    connection = LiveConnection(
        "BitMEX", next(iter(STREAMS.values())).feeds[Market.LINEAR], "ws://127.0.0.1:1"
    )
    for topic in asked(case):
        name, _, symbol = topic.partition(":")
        market = Market.INVERSE if is_inverse(symbol) else Market.LINEAR
        it = Instrument("bitmex", Symbol("XYZ", "USD", "XYZ"), symbol, market, InstrumentType.PERPETUAL)
        span = Span.parse(name.removeprefix("tradeBin")) if name.startswith("tradeBin") else None
        connection.targets[Channel(name, symbol)] = Target(it, span)
    return connection


def asked(case: Case) -> set[str]:
    """Topics that a session subscribed to; else those there are messages of."""
    if case.direction is not None:
        sent = zip(map(json.loads, case.payload_text or ()), case.direction, strict=True)
        return {topic for message, way in sent if way == "sent" for topic in message["args"]}
    topics = set()
    for message in told(case):
        rows = message.get("data") or [message.get("filter", {"symbol": ""})]
        topics |= {f"{message['table']}:{row['symbol']}" for row in rows} if "table" in message else set()
        topics |= {message["subscribe"]} if "subscribe" in message else set()
    return topics


def read(case: Case) -> list[Message]:
    connection = listening(case)
    messages = [message for frame in case.frames for message in connection.read(frame)]
    assert not connection.unknown
    return messages


def of(*channels: str) -> list[str]:
    return [name for name in READ if CASES[name].channel in channels]


def told(case: Case) -> Iterator[dict[str, Any]]:
    """Messages, read by another parser than ours."""
    yield from map(json.loads, case.frames)


def said(case: Case) -> dict[str, float]:
    """What another project says of a message's only row, by field."""
    asserts = case.expected["asserts"] if isinstance(case.expected, dict) else []
    found: dict[str, float] = {}
    for each in asserts:
        field, number = _FIELD.search(each), _NUMBER.search(each)
        if field and number:
            found[field[1]] = float(number[1])
    return found


@pytest.mark.parametrize("name", of("trades"))
def test_trades(name: str) -> None:
    case = CASES[name]
    found = [message for message in read(case) if isinstance(message, Rows)]
    for message, stated in zip(found, told(case), strict=True):
        got, rows = message.columns, stated["data"]
        assert got["ts"] == [parse_time(row["timestamp"]) for row in rows]
        assert got["price"] == [row["price"] for row in rows]
        field = "size" if is_inverse(rows[0]["symbol"]) else "homeNotional"
        assert got["amount"] == [row[field] for row in rows]
        assert got["side"] == [row["side"].lower() if "side" in row else None for row in rows]
        assert got["tid"] == [row["trdMatchID"] for row in rows]
    for place, row in enumerate(case.expected if isinstance(case.expected, list) else ()):
        wanted = [parse_time(row["timestamp"]), row["price"], row["amount"], row["side"], row["id"]]
        assert [found[0].columns[each][place] for each in ("ts", "price", "amount", "side", "tid")] == wanted
    theirs = said(case)
    if theirs and name != OF_ANOTHER:
        quantity = "quantity_contract" if is_inverse(rows[0]["symbol"]) else "quantity_base"
        assert [got["price"][0], got["amount"][0]] == [theirs["price"], theirs[quantity]]


@pytest.mark.parametrize("name", of("ohlcv"))
def test_bars(name: str) -> None:
    case = CASES[name]
    (message,), (stated,) = read(case), told(case)
    assert isinstance(message, Rows)
    assert message.open_from_ns is None
    got, rows = message.columns, stated["data"]
    length_ns = Span.parse(stated["table"].removeprefix("tradeBin")).nominal_ns
    assert got["ts"] == [parse_time(row["timestamp"]) - length_ns for row in rows]
    names = {"volume": "homeNotional", "quote_volume": "foreignNotional"}
    for column in ("open", "high", "low", "close", "trades", *names):
        assert got[column] == [row[names.get(column, column)] for row in rows]
    assert got["ts"] == [said(case)["begin_time"] * MS_NS]


def without_before(case: Case) -> LiveConnection:
    """A connection whose books have the levels that single changes are of."""
    connection = listening(case)
    for table, symbol, _ in connection.targets:
        rows = [
            {"symbol": symbol, "id": number, "side": side, "size": 1, "price": price}
            for number, price in PRICES.items()
            for side in ("Buy", "Sell")
        ]
        whole = {"table": table, "action": "partial", "data": rows, "filter": {"symbol": symbol}}
        connection.read(json.dumps(whole).encode())
    return connection


@pytest.mark.parametrize("name", of("book", "book_delta", "book_snapshot"))
def test_books(name: str) -> None:
    case, prices = CASES[name], dict(PRICES)
    connection = without_before(case)
    messages = [message for frame in case.frames for message in connection.read(frame)]
    something = [message for message in told(case) if message["data"] or message["action"] == "partial"]
    for message, stated in zip(messages, something, strict=True):
        assert isinstance(message, Change)
        update, action = message.update, stated["action"]
        assert (update.is_snapshot, update.is_torn) == (action == "partial", False)
        prices |= {row["id"]: row["price"] for row in stated["data"] if "price" in row}
        for side, levels in (("Buy", update.bids), ("Sell", update.asks)):
            rows = [row for row in stated["data"] if row["side"] == side]
            assert [float(level.price) for level in levels] == [prices[row["id"]] for row in rows]
            sizes = [0 if action == "delete" else row["size"] for row in rows]
            assert [float(level.amount) for level in levels] == sizes
        times = [parse_time(row["timestamp"]) for row in stated["data"] if "timestamp" in row]
        assert update.ts_ns == max(times, default=None)
    for expected in case.expected if isinstance(case.expected, list) else ():
        for levels, shown in ((update.bids, expected["bids"]), (update.asks, expected["asks"])):
            assert [[float(level.price), float(level.amount)] for level in levels] == [
                [level["price"], level["amount"]] for level in shown
            ]


@pytest.mark.parametrize("name", WHOLE)
def test_recorded_books_follow_message_by_message(name: str) -> None:
    """What each leaves is what the rows leave by id; one that is lost is noticed once its level changes."""
    case = CASES[name]
    updates = [message.update for message in read(case) if isinstance(message, Change)]
    sync, rows = BookSync(), dict[tuple[int, str], dict[str, Any]]()
    for update, message in zip(updates, told(case), strict=True):
        assert sync.take(update) == [update]
        for row in message["data"]:
            key = row["id"], row["side"]
            if message["action"] == "delete":
                del rows[key]
            else:
                rows[key] = rows.get(key, {}) | row
        for side, name_of, sign in (("bid", "Buy", -1), ("ask", "Sell", 1)):
            theirs = [(row["price"], row["size"]) for row in rows.values() if row["side"] == name_of]
            ours = [(float(level.price), float(level.amount)) for level in sync.book.best(side)]  # type: ignore[arg-type]
            assert ours == sorted(theirs, key=lambda level: level[0])[::sign]
    assert_one_lost_is_noticed(case)


def assert_one_lost_is_noticed(case: Case) -> None:
    """An insert is left out whose level is deleted later."""
    messages = list(told(case))
    gone = {row["id"] for message in messages if message["action"] == "delete" for row in message["data"]}
    lost = next(
        place
        for place, message in enumerate(messages)
        if message["action"] == "insert" and {row["id"] for row in message["data"]} & gone
    )
    connection = listening(case)
    left = [frame for place, frame in enumerate(case.frames) if place != lost]
    updates = [one.update for frame in left for one in connection.read(frame) if isinstance(one, Change)]
    assert updates[lost - 1].is_torn is False
    assert any(update.is_torn for update in updates[lost:])


@pytest.mark.parametrize("name", of("subscribe_ack"))
def test_acknowledgements(name: str) -> None:
    topics = [message["subscribe"].partition(":") for message in told(CASES[name])]
    assert read(CASES[name]) == [Subscribed(Channel(table, symbol)) for table, _, symbol in topics]


@pytest.mark.parametrize("name", of("session"))
def test_whole_sessions(name: str) -> None:
    """Quotes, which were asked for too, are passed over."""
    case = CASES[name]
    connection = listening(case)
    messages = [message for frame in case.frames for message in connection.read(frame)]
    shown = Counter(type(message).__name__ for message in messages)
    tables = Counter(message.get("table", "answer") for message in told(case))
    assert shown["Subscribed"] == tables["answer"] - 1  # one is the greeting
    assert shown["Unknown"] == tables["quote"] > 0
    assert shown["Rows"] == tables["trade"] > 0
    assert shown["Change"] == tables["orderBookL2"] > 0
    assert all(message.update.is_snapshot for message in messages if isinstance(message, Change))


def test_how_many_pass_and_how_many_are_excused(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(EXCUSED_LIVE) <= set(CASES)
    counts = Counter(CASES[name].channel for name in READ)
    recorded = sum(CASES[name].tier in RECORDED for name in READ)
    with capsys.disabled():
        shown = ", ".join(f"{channel} {count}" for channel, count in sorted(counts.items()))
        print(  # noqa: T201
            f"\nBitMEX corpus (WebSocket): {len(READ)} read ({shown}; {recorded} recorded), "
            f"{len(EXCUSED_LIVE)} excused"
        )
    assert set(counts) == LIVE - {"agg_trades", "error", "heartbeat"}
