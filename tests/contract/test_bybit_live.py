"""What is particular to listening to Bybit."""

from __future__ import annotations

import asyncio
import json

import pytest

from dccd.application.listening import LiveBook, LiveRows, Started, TurnedDown, Wanted
from dccd.domain.book import BookSync
from dccd.domain.span import Span
from dccd.domain.types import DataType, Market
from dccd.sources.base import Change, Channel, Refused, Rows, Target
from dccd.sources.bybit import BYBIT
from dccd.transport.live import LiveConnection
from tests.contract.parties import PARTIES, Party
from tests.exchanges.live.engine import Trade

PARTY = {party.market: party for party in PARTIES if party.source is BYBIT}


def channel(party: Party, kind: DataType, span: str | None = None, depth: int | None = None) -> Channel:
    target = Target(party.instrument(), Span.parse(span) if span else None, depth)
    return BYBIT.streams[kind].channel(target)


def listening(party: Party, *channels: Channel) -> LiveConnection:
    feed = BYBIT.streams[DataType.TRADES].feeds[party.market]
    connection = LiveConnection("Bybit", feed, "ws://127.0.0.1:1")
    connection.targets |= {each: Target(party.instrument()) for each in channels}
    connection.dialect.subscribe(channels)
    return connection


def test_what_is_sent_to_subscribe_and_to_end_that() -> None:
    dialect = BYBIT.streams[DataType.TRADES].feeds[Market.SPOT].dialect({})
    spot = PARTY[Market.SPOT]
    wanted = [
        channel(spot, DataType.TRADES),
        channel(spot, DataType.OHLC, "1d"),
        channel(spot, DataType.BOOK_UPDATES, depth=60),
    ]
    assert dialect.subscribe(wanted) == [
        '{"op":"subscribe","args":["publicTrade.BTCUSDT"],"req_id":"publicTrade.BTCUSDT"}',
        '{"op":"subscribe","args":["kline.D.BTCUSDT"],"req_id":"kline.D.BTCUSDT"}',
        '{"op":"subscribe","args":["orderbook.200.BTCUSDT"],"req_id":"orderbook.200.BTCUSDT"}',
    ]
    assert dialect.unsubscribe(wanted[:1]) == [
        '{"op":"unsubscribe","args":["publicTrade.BTCUSDT"],"req_id":"publicTrade.BTCUSDT"}'
    ]


@pytest.mark.parametrize(
    ("span", "interval"), [("1m", "1"), ("1h", "60"), ("12h", "720"), ("1w", "W"), ("1mo", "M")]
)
def test_bars_by_interval(span: str, interval: str) -> None:
    assert channel(PARTY[Market.LINEAR], DataType.OHLC, span) == Channel("kline", "BTCUSDT", interval)


def test_each_market_has_its_path_and_all_are_kept_alive() -> None:
    for stream in BYBIT.streams.values():
        assert {market: feed.path for market, feed in stream.feeds.items()} == {
            Market.SPOT: "/v5/public/spot",
            Market.LINEAR: "/v5/public/linear",
            Market.INVERSE: "/v5/public/inverse",
        }
        assert {(feed.ping, feed.ping_s) for feed in stream.feeds.values()} == {('{"op":"ping"}', 20.0)}


def test_the_most_topics_of_a_connection_keep_within_the_characters_they_may_have() -> None:
    feed = BYBIT.streams[DataType.BOOK_UPDATES].feeds[Market.LINEAR]
    longest = "orderbook.1000.1000000BABYDOGEUSDT-25DEC26"
    assert len(json.dumps([longest] * feed.channels_max)) <= 21_000


async def test_a_wrong_contract_is_refused_alone() -> None:
    party = PARTY[Market.SPOT]
    good = party.wanted(DataType.TRADES)
    wrong = party.wanted(DataType.TRADES, party.instrument("NIX/USDT", "NIXUSDT"))
    async with party.stand_in() as stand_in, asyncio.timeout(10):
        bound = party.bound(stand_in)
        (events,) = bound.listen([wrong, good])
        assert await anext(events) == TurnedDown(wrong, "error:handler not found,topic:publicTrade.NIXUSDT")
        assert await anext(events) == Started(good)
        await stand_in.trade("BTCUSDT", Trade(1_714_564_800_000_000_000, "1.5", "2"))
        event = await anext(events)
        assert isinstance(event, LiveRows)
        assert event.columns["price"] == [1.5]
        await events.aclose()
        await bound.aclose()


def test_a_refusal_without_a_request_is_to_none() -> None:
    connection = listening(PARTY[Market.LINEAR], Channel("publicTrade", "BTCUSDT"))
    frame = b'{"success":false,"ret_msg":"too many visits","conn_id":"1","op":"ping"}'
    assert connection.read(frame) == [Refused(None, "too many visits")]


async def test_the_best_price_alone_comes_as_snapshots() -> None:
    party = PARTY[Market.LINEAR]
    wanted = Wanted(DataType.BOOK_UPDATES, Target(party.instrument(), None, 1))
    async with party.listening(wanted) as (stand_in, events), asyncio.timeout(10):
        await stand_in.change("BTCUSDT", {"99.5": "1"}, {})
        for _ in range(2):
            event = await anext(events)
            assert isinstance(event, LiveBook)
            assert [update.is_snapshot for update in event.updates] == [True]
            assert len(event.book) == 2


def book_message(kind: str, number: int, bids: list[tuple[str, str]]) -> bytes:
    told = {"s": "BTCUSD", "b": bids, "a": [], "u": number, "seq": number}
    frame = {"topic": "orderbook.50.BTCUSD", "type": kind, "ts": 9, "cts": 7, "data": told}
    return json.dumps(frame).encode()


def test_a_book_whose_number_is_one_begins_anew_whatever_it_is_called() -> None:
    connection = listening(PARTY[Market.INVERSE])
    sync = BookSync()
    for kind, number, price in (
        ("snapshot", 500, "9"),
        ("delta", 501, "8"),
        ("delta", 1, "7"),
        ("delta", 2, "6"),
    ):
        (change,) = connection.read(book_message(kind, number, [(price, "1.50")]))
        assert isinstance(change, Change)
        assert change.update.ts_ns == 7_000_000
        assert sync.take(change.update) == [change.update]
    assert [(level.price, level.amount) for level in sync.book.best("bid")] == [("7", "1.50"), ("6", "1.50")]


def test_inverse_amounts_are_usd_and_bars_volumes_are_base() -> None:
    """As over REST."""
    bars = channel(PARTY[Market.INVERSE], DataType.OHLC, "1m")
    connection = listening(PARTY[Market.INVERSE], bars)
    trade = {"T": 1, "s": "BTCUSD", "S": "Sell", "v": "6000", "p": "9366.5", "i": "a-b"}
    frame = {"topic": "publicTrade.BTCUSD", "type": "snapshot", "ts": 1, "data": [trade]}
    assert connection.read(json.dumps(frame).encode()) == [
        Rows(
            Channel("publicTrade", "BTCUSD"),
            {"ts": [1_000_000], "price": [9366.5], "amount": [6000.0], "tid": ["a-b"], "side": ["sell"]},
        )
    ]
    bar = dict.fromkeys(("open", "high", "low", "close"), "9366.5")
    bar |= {"volume": "6000", "turnover": "0.64"}
    frame = {"topic": "kline.1.BTCUSD", "data": [{**bar, "start": 60_000, "confirm": True}], "ts": 1}
    (rows,) = connection.read(json.dumps(frame).encode())
    assert isinstance(rows, Rows)
    assert (rows.columns["volume"], rows.columns["quote_volume"]) == ([0.64], [6000.0])
    assert rows.open_from_ns is None
