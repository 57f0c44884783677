"""Every recorded WebSocket message of Coinbase Exchange whose channel we listen to."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest

from dccd.domain.book import BookSync
from dccd.domain.errors import BrokenBook
from dccd.domain.timeutils import parse_time
from dccd.domain.types import DataType, Market
from dccd.sources.base import Change, Channel, Message, Refused, Rows, Subscribed, Unknown
from dccd.sources.coinbase import COINBASE
from dccd.transport.live import LiveConnection
from tests.contract.corpus import LIVE, RECORDED, ws_cases
from tests.contract.excused_coinbase import EXCUSED_LIVE

CASES = ws_cases("coinbase", LIVE | {"other"})
READ = [name for name in CASES if name not in EXCUSED_LIVE]
SIDES = {"buy": "sell", "sell": "buy"}  # the maker's, and the taker's

pytestmark = pytest.mark.needs("shared")


def frames(name: str) -> list[bytes]:
    """The messages; where a recorder has turned a book's numbers into numbers, they are text again."""
    return [
        json.dumps(json.loads(text, parse_float=str)).encode() if b'"snapshot"' in text else text
        for text in CASES[name].frames
    ]


def told(name: str, *kinds: str) -> list[dict[str, Any]]:
    """Messages of some types, read by another parser than ours."""
    return [message for message in map(json.loads, frames(name)) if message.get("type") in kinds]


def listening(name: str) -> LiveConnection:
    """One that has asked for trades and books of all products that are named."""
    feed = COINBASE.streams[DataType.TRADES].feeds[Market.SPOT]
    found = LiveConnection("Coinbase", feed, "ws://127.0.0.1:1")
    products = {message["product_id"] for message in map(json.loads, frames(name)) if "product_id" in message}
    for message in told(name, "subscriptions"):
        products.update(product for one in message["channels"] for product in one["product_ids"])
    found.dialect.subscribe(
        [Channel(kind, each) for each in sorted(products) for kind in ("matches", "level2_batch")]
    )
    return found


def read(name: str) -> list[Message]:
    connection = listening(name)
    return [message for text in frames(name) for message in connection.read(text)]


def of(*channels: str) -> list[str]:
    return [name for name in READ if CASES[name].channel in channels]


@pytest.mark.parametrize("name", of("trades"))
def test_trades(name: str) -> None:
    rows = [message for message in read(name) if isinstance(message, Rows)]
    stated = told(name, "match")
    assert [row.channel for row in rows] == [Channel("matches", trade["product_id"]) for trade in stated]
    assert [row.columns["ts"] for row in rows] == [[parse_time(trade["time"])] for trade in stated]
    assert [row.columns["price"] for row in rows] == [[float(trade["price"])] for trade in stated]
    assert [row.columns["amount"] for row in rows] == [[float(trade["size"])] for trade in stated]
    assert [row.columns["side"] for row in rows] == [[SIDES[trade["side"]]] for trade in stated]
    assert [row.columns["tid_num"] for row in rows] == [[trade["trade_id"]] for trade in stated]
    for product in {trade["product_id"] for trade in stated}:
        last = [trade["trade_id"] for trade in told(name, "last_match") if trade["product_id"] == product]
        ids = [*last, *(trade["trade_id"] for trade in stated if trade["product_id"] == product)]
        assert ids == list(range(ids[0], ids[0] + len(ids)))  # the first comes right after the one before
    for row, shown in zip(rows, CASES[name].expected or (), strict=False):
        columns = {column: values[0] for column, values in row.columns.items()}
        assert (columns["price"], columns["amount"], columns["side"], columns["tid_num"]) == (
            shown["price"], shown["amount"], shown["side"], int(shown["id"])
        )  # fmt: skip
        assert columns["ts"] == parse_time(shown["timestamp"])


def levels(changes: list[list[str]], side: str) -> list[tuple[str, str, None]]:
    return [(price, amount, None) for each, price, amount in changes if each == side]


@pytest.mark.parametrize("name", of("book", "book_delta", "book_snapshot", "other"))
def test_books(name: str) -> None:
    updates = [message.update for message in read(name) if isinstance(message, Change)]
    stated = told(name, "snapshot", "l2update")
    assert stated
    for update, book in zip(updates, stated, strict=True):
        assert update.is_snapshot == (book["type"] == "snapshot")
        if update.is_snapshot:
            assert list(update.bids) == [(*level, None) for level in book["bids"]]
            assert list(update.asks) == [(*level, None) for level in book["asks"]]
            continue
        assert list(update.bids) == levels(book["changes"], "buy")
        assert list(update.asks) == levels(book["changes"], "sell")
        assert update.ts_ns == (None if book["time"].startswith("0001") else parse_time(book["time"]))
    expected = CASES[name].expected
    for update, shown in zip(updates, expected if isinstance(expected, list) else (), strict=False):
        for ours, theirs in ((update.bids, shown["bids"]), (update.asks, shown["asks"])):
            # One that is no number is left out there.
            assert [(float(level.price), float(level.amount)) for level in ours[: len(theirs)]] == [
                (level["price"], level["amount"]) for level in theirs
            ]
    for text in expected["asserts"] if isinstance(expected, dict) else ():
        if place := re.fullmatch(r"orderbook\.(bids|asks)\[(\d)\]\.(price|quantity_base), ([0-9.]+)", text):
            level = getattr(updates[0], place[1])[int(place[2])]
            assert float(level.price if place[3] == "price" else level.amount) == float(place[4])


@pytest.mark.parametrize("name", [name for name in of("book") if CASES[name].seq])
def test_recorded_books_are_followed_and_never_crossed(name: str) -> None:
    sync = BookSync()
    updates = [message.update for message in read(name) if isinstance(message, Change)]
    assert updates[0].is_snapshot
    for update in updates:
        assert sync.take(update) == [update]
        (bid,), (ask,) = sync.book.best("bid", 1), sync.book.best("ask", 1)
        assert float(bid.price) < float(ask.price)


def test_a_recorded_book_with_text_that_is_no_number_is_not_believed() -> None:
    (message,) = read("tn_coinbase_coinbase_messages_6")
    assert isinstance(message, Change)
    with pytest.raises(BrokenBook, match=r"no number: 0\.-10000"):
        BookSync().take(message.update)


@pytest.mark.parametrize("name", of("subscribe_ack"))
def test_answers(name: str) -> None:
    (message,) = told(name, "subscriptions")
    names = {"matches": "matches", "level2_50": "level2_batch"}
    listed = {
        Channel(names[one["name"]], product)
        for one in message["channels"]
        for product in one["product_ids"]
        if one["name"] in names
    }
    assert listed
    assert {each.channel for each in read(name) if isinstance(each, Subscribed)} == listed


@pytest.mark.parametrize("name", of("error"))
def test_errors(name: str) -> None:
    (error,) = told(name, "error")
    assert read(name) == [Refused(None, ": ".join(filter(None, (error.get("message"), error.get("reason")))))]


@pytest.mark.parametrize("name", of("session"))
def test_sessions(name: str) -> None:
    messages, stated = read(name), Counter(message["type"] for message in map(json.loads, frames(name)))
    assert Counter(type(message) for message in messages if not isinstance(message, Subscribed)) == {
        Change: stated["snapshot"],
        Unknown: stated["ticker"],  # asked for by the recorder, not by us
    }
    products = [
        product for one in told(name, "subscriptions")[0]["channels"] for product in one["product_ids"]
    ]
    accepted = {message.channel for message in messages if isinstance(message, Subscribed)}
    assert accepted == {Channel("matches", product) for product in products}


def test_how_many_pass_and_how_many_are_excused(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(EXCUSED_LIVE) <= set(CASES)
    counts = Counter(CASES[name].channel for name in READ)
    tiers = Counter("recorded" if CASES[name].tier in RECORDED else "fixtures" for name in READ)
    with capsys.disabled():
        shown = ", ".join(f"{what} {count}" for what, count in sorted((counts + tiers).items()))
        print(f"\nCoinbase corpus (WebSocket): {len(READ)} read ({shown}), {len(EXCUSED_LIVE)} excused")  # noqa: T201
