"""What is particular to listening to Coinbase."""

from __future__ import annotations

import json

import pytest

from dccd.application.listening import LiveBook, LiveRows, TurnedDown
from dccd.domain.errors import MalformedPayload
from dccd.domain.types import DataType
from dccd.sources.base import Change, Channel, Refused, Subscribed, Target
from dccd.sources.coinbase import COINBASE
from dccd.transport.live import LiveConnection
from tests.contract.parties import PARTIES
from tests.contract.test_live import NOON_NS, following
from tests.exchanges.live.engine import Trade

(PARTY,) = (party for party in PARTIES if party.source is COINBASE)
FEED = COINBASE.streams[DataType.TRADES].feeds[PARTY.market]
TRADES, BOOK = Channel("matches", "BTC-USD"), Channel("level2_batch", "BTC-USD")


def connection(*channels: Channel) -> LiveConnection:
    found = LiveConnection("Coinbase", FEED, "ws://127.0.0.1:1")
    found.dialect.subscribe(channels)
    return found


def frame(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def test_what_is_sent_to_subscribe_and_to_end_that() -> None:
    channels = [COINBASE.streams[kind].channel(Target(PARTY.instrument())) for kind in COINBASE.streams]
    assert channels == [TRADES, BOOK]
    assert FEED.dialect({}).subscribe(channels) == [
        '{"type":"subscribe","channels":[{"name":"matches","product_ids":["BTC-USD"]}]}',
        '{"type":"subscribe","channels":[{"name":"level2_batch","product_ids":["BTC-USD"]}]}',
    ]
    assert FEED.dialect({}).unsubscribe([BOOK]) == [
        '{"type":"unsubscribe","channels":[{"name":"level2_batch","product_ids":["BTC-USD"]}]}'
    ]
    assert COINBASE.hosts[FEED.host].url + FEED.path == "wss://ws-feed.exchange.coinbase.com/"


def test_an_answer_lists_all_there_is_and_each_subscription_is_told_once() -> None:
    found = connection(TRADES, BOOK, Channel("matches", "ETH-USD"))
    trades = {"name": "matches", "product_ids": ["BTC-USD"]}
    book = {"name": "level2_50", "product_ids": ["BTC-USD"]}  # as in an answer recorded in 2025
    assert found.read(frame(type="subscriptions", channels=[trades])) == [Subscribed(TRADES)]
    assert found.read(frame(type="subscriptions", channels=[trades, book])) == [Subscribed(BOOK)]
    assert found.read(frame(type="subscriptions", channels=[trades, book])) == []


def test_a_book_under_the_name_it_is_asked_for_as() -> None:
    book = {"name": "level2_batch", "product_ids": ["BTC-USD"]}
    assert connection(BOOK).read(frame(type="subscriptions", channels=[book])) == [Subscribed(BOOK)]


def test_an_unsubscription_is_answered_with_what_is_left() -> None:
    found = connection(TRADES)
    found.dialect.unsubscribe([TRADES])
    assert found.read(frame(type="subscriptions", channels=[])) == []


@pytest.mark.parametrize(
    ("reason", "refused"),
    [
        ("BTC-USDC is not a valid product", None),
        ("BTC-USD is not a valid product", TRADES),
        ("level2, level3, and full channels now require authentication.", None),
    ],
)
def test_a_refusal_names_its_product(reason: str, refused: Channel | None) -> None:
    found = connection(TRADES)
    (message,) = found.read(frame(type="error", message="Failed to subscribe", reason=reason))
    assert message == Refused(refused, f"Failed to subscribe: {reason}")


def test_an_error_without_a_reason() -> None:
    assert connection(TRADES).read(frame(type="error", message="ErrSlowConsume")) == [
        Refused(None, "ErrSlowConsume")
    ]


async def test_a_refused_product_takes_no_other_with_it() -> None:
    nix = PARTY.instrument("NIX/USD", "NIX-USD")
    wanted = [PARTY.wanted(DataType.TRADES, nix), PARTY.wanted(DataType.TRADES)]
    async with PARTY.stand_in() as exchange:
        listening = PARTY.bound(exchange)
        (events,) = listening.listen(wanted)
        refused = await following(events, TurnedDown)
        assert (refused.wanted, refused.words) == (
            wanted[0], "Failed to subscribe: NIX-USD is not a valid product"
        )  # fmt: skip
        await exchange.until(lambda: any(peer.keys for peer in exchange.peers))
        await exchange.trade("BTC-USD", Trade(NOON_NS, "1", "1"))
        assert (await following(events, LiveRows)).wanted == wanted[1]
        await events.aclose()
        await listening.aclose()


async def test_the_trade_before_the_subscription_is_passed_over() -> None:
    async with PARTY.listening(PARTY.wanted(DataType.TRADES)) as (exchange, events):
        await exchange.trade("BTC-USD", Trade(NOON_NS, "1", "1", tid=500))
        assert (await following(events, LiveRows)).columns["tid_num"] == [500]
    last = json.dumps({"type": "last_match", "product_id": "BTC-USD", "trade_id": 499})
    assert connection(TRADES).read(last.encode()) == []


def test_heartbeats_say_nothing() -> None:
    assert connection(TRADES).read(frame(type="heartbeat", product_id="BTC-USD", last_trade_id=20)) == []


def test_a_snapshot_may_come_before_the_answer() -> None:
    found = connection(BOOK)
    (message,) = found.read(
        frame(type="snapshot", product_id="BTC-USD", bids=[["1.0", "2.50"]], asks=[["1.1", "3"]])
    )
    assert isinstance(message, Change)
    assert message.channel == BOOK
    assert (message.update.bids, message.update.asks) == ([("1.0", "2.50", None)], [("1.1", "3", None)])
    assert message.update.is_snapshot


def test_a_change_of_no_known_time_and_one_of_no_known_side() -> None:
    book = {"type": "l2update", "product_id": "BTC-USD"}
    change = frame(**book, time="0001-01-01T00:00:00.000000Z", changes=[["buy", "1", "2"]])
    (message,) = connection(BOOK).read(change)
    assert isinstance(message, Change)
    assert message.update.ts_ns is None
    with pytest.raises(MalformedPayload):
        connection(BOOK).read(frame(**book, time="2024-05-01T12:00:00Z", changes=[["hold", "1", "2"]]))


async def test_the_whole_book_is_told() -> None:
    async with PARTY.listening(PARTY.wanted(DataType.BOOK_UPDATES)) as (exchange, events):
        await exchange.change("BTC-USD", {"0.01": "7"}, {})  # far from the best
        event = await following(events, LiveBook)
        while not any(level.price == "0.01" for level in event.book.best("bid")):
            event = await following(events, LiveBook)
        assert len(event.book) == 61
