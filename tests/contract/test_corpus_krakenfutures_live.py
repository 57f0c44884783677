"""Every recorded WebSocket message of Kraken Futures whose channel we listen to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from dccd.domain.book import BookSync
from dccd.domain.errors import BrokenBook
from dccd.domain.instrument import Instrument
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import MS_NS, parse_time
from dccd.domain.types import InstrumentType, Market
from dccd.sources.base import Change, Channel, Message, Rows, Subscribed, Target
from dccd.sources.krakenfutures.live import STREAMS
from dccd.transport.live import LiveConnection
from tests.contract.corpus import LIVE, RECORDED, Case, ws_cases

CASES = ws_cases("krakenfutures", LIVE)
# Some were filed under the spot market's name.
CASES |= {name: case for name, case in ws_cases("kraken", LIVE).items() if "_inverse_" in name}
WHOLE = [name for name, case in CASES.items() if case.seq and case.channel == "book"]

pytestmark = pytest.mark.needs("shared")


def listening(case: Case) -> LiveConnection:
    """A connection that has asked for what the messages are of."""
    connection = LiveConnection(
        "Kraken Futures", next(iter(STREAMS.values())).feeds[Market.INVERSE], "ws://127.0.0.1:1"
    )
    products = {message["product_id"] for message in told(case) if "product_id" in message}
    products |= {product for message in told(case) for product in message.get("product_ids", ())}
    for product in products:
        it = Instrument(
            "krakenfutures", Symbol("XYZ", "USD", "XYZ"), product, Market.INVERSE, InstrumentType.PERPETUAL
        )
        wanted = {Channel(feed, product): Target(it) for feed in ("trade", "book")}
        connection.targets |= wanted
        connection.dialect.subscribe(list(wanted))
    return connection


def read(case: Case) -> list[Message]:
    connection = listening(case)
    return [message for frame in case.frames for message in connection.read(frame)]


def of(*channels: str) -> list[str]:
    return [name for name, case in CASES.items() if case.channel in channels]


def told(case: Case) -> Iterator[dict[str, Any]]:
    """Messages, read by another parser than ours."""
    yield from map(json.loads, case.frames)


def listed(expected: Any) -> list[Any]:
    """What is expected, where it is rows."""
    return expected if isinstance(expected, list) else []


@pytest.mark.parametrize("name", of("trades"))
def test_trades(name: str) -> None:
    case = CASES[name]
    for message, stated in zip(read(case), told(case), strict=True):
        assert isinstance(message, Rows)
        rows = stated["trades"][::-1] if stated["feed"] == "trade_snapshot" else [stated]
        assert rows == sorted(rows, key=lambda row: row["seq"])
        columns = {"price": "price", "amount": "qty", "side": "side", "tid": "uid"}
        assert message.columns["ts"] == [row["time"] * MS_NS for row in rows]
        for column, field in columns.items():
            assert message.columns[column] == [row[field] for row in rows]
        for place, row in enumerate(listed(case.expected)):
            wanted = [parse_time(row["timestamp"]), row["price"], row["amount"], row["side"], row["id"]]
            assert [message.columns[each][place] for each in ("ts", *columns)] == wanted


@pytest.mark.parametrize("name", of("book", "book_delta", "book_snapshot"))
def test_books(name: str) -> None:
    case = CASES[name]
    for message, stated in zip(read(case), told(case), strict=True):
        assert isinstance(message, Change)
        update, is_snapshot = message.update, stated["feed"] == "book_snapshot"
        assert (update.is_snapshot, update.seq) == (is_snapshot, stated["seq"])
        assert update.ts_ns == (stated["timestamp"] * MS_NS if "timestamp" in stated else None)
        for side, levels in (("buy", update.bids), ("sell", update.asks)):
            rows = [stated] if stated.get("side") == side else []
            rows = stated["bids" if side == "buy" else "asks"] if is_snapshot else rows
            assert [(float(level.price), float(level.amount)) for level in levels] == [
                (row["price"], row["qty"]) for row in rows
            ]
        for expected in listed(case.expected):
            for levels, shown in ((update.bids, expected["bids"]), (update.asks, expected["asks"])):
                assert [[float(level.price), float(level.amount)] for level in levels] == [
                    [level["price"], level["amount"]] for level in shown
                ]


@pytest.mark.parametrize("name", WHOLE)
def test_recorded_books_follow_message_by_message(name: str) -> None:
    """Each book of 150 messages, in which no number is left out; what it leaves is what the levels leave."""
    case = CASES[name]
    updates = [message.update for message in read(case) if isinstance(message, Change)]
    assert len(updates) == 150
    sync, sides = BookSync(), {"buy": dict[float, float](), "sell": dict[float, float]()}
    for update, stated in zip(updates, told(case), strict=True):
        assert sync.take(update) == [update]
        for side, rows in (("buy", stated.get("bids", ())), ("sell", stated.get("asks", ()))):
            sides[side] |= {row["price"]: row["qty"] for row in rows}
        if "side" in stated:
            sides[stated["side"]][stated["price"]] = stated["qty"]
    for ours, theirs in ((sync.book.best("bid")[::-1], sides["buy"]), (sync.book.best("ask"), sides["sell"])):
        left = sorted((price, qty) for price, qty in theirs.items() if qty)
        assert [(float(level.price), float(level.amount)) for level in ours] == left
    lost = BookSync()
    lost.take(updates[0])
    with pytest.raises(BrokenBook, match="missing"):
        lost.take(updates[2])


@pytest.mark.parametrize("name", of("subscribe_ack"))
def test_acknowledgements(name: str) -> None:
    case = CASES[name]
    products = [product for message in told(case) for product in message["product_ids"]]
    assert read(case) == [Subscribed(Channel("book", product)) for product in products]


@pytest.mark.parametrize("name", of("session"))
def test_whole_sessions(name: str) -> None:
    """Tickers, which were asked for too, are passed over."""
    case = CASES[name]
    shown = Counter(type(message).__name__ for message in read(case))
    feeds = Counter(message["feed"] for message in told(case) if "event" not in message)
    accepted = [message["feed"] for message in told(case) if message.get("event") == "subscribed"]
    assert shown["Subscribed"] == len(accepted) - accepted.count("ticker_lite") > 0
    assert shown["Unknown"] == feeds["ticker_lite"] > 0
    assert shown["Rows"] == feeds["trade_snapshot"] > 0
    assert shown["Change"] == feeds["book_snapshot"] > 0
    assert shown.total() == shown["Subscribed"] + feeds.total()


def test_how_many_pass(capsys: pytest.CaptureFixture[str]) -> None:
    counts = Counter(case.channel for case in CASES.values())
    recorded = sum(case.tier in RECORDED for case in CASES.values())
    with capsys.disabled():
        shown = ", ".join(f"{channel} {count}" for channel, count in sorted(counts.items()))
        print(  # noqa: T201
            f"\nKraken Futures corpus (WebSocket): {len(CASES)} read ({shown}; {recorded} recorded)"
        )
    assert set(counts) == LIVE - {"agg_trades", "error", "heartbeat", "ohlcv"}
