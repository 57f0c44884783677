"""What is particular to listening to Kraken Futures."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from dccd.application.listening import LiveRows, Started, TurnedDown
from dccd.domain.book import BookSync
from dccd.domain.errors import BrokenBook, MalformedPayload, Throttled
from dccd.domain.instrument import Instrument
from dccd.domain.symbol import Symbol
from dccd.domain.types import DataType, InstrumentType, Market
from dccd.sources.base import Change, Channel, Refused, Rows, Subscribed, Target
from dccd.sources.krakenfutures import KRAKENFUTURES
from dccd.transport.live import LiveConnection
from tests.contract.parties import PARTIES
from tests.exchanges.live.engine import Trade
from tests.exchanges.live.krakenfutures import KrakenFuturesLive

PARTY = {party.market: party for party in PARTIES if party.source is KRAKENFUTURES}
FEED = KRAKENFUTURES.streams[DataType.TRADES].feeds[Market.LINEAR]
TRADES, BOOK = Channel("trade", "PF_XBTUSD"), Channel("book", "PF_XBTUSD")


def listening(contract_size: float = 1.0) -> LiveConnection:
    connection = LiveConnection("Kraken Futures", FEED, "ws://127.0.0.1:1")
    it = Instrument(
        "krakenfutures", Symbol("BTC", "USD", "USD"), "PF_XBTUSD", Market.LINEAR, InstrumentType.PERPETUAL,
        contract_size=contract_size,
    )  # fmt: skip
    connection.targets |= {TRADES: Target(it), BOOK: Target(it)}
    connection.dialect.subscribe([TRADES, BOOK])
    return connection


def frame(**told: object) -> bytes:
    return json.dumps(told).encode()


def test_what_is_sent_to_subscribe_and_to_end_that() -> None:
    dialect = FEED.dialect({})
    wanted = [
        stream.channel(Target(PARTY[Market.LINEAR].instrument())) for stream in KRAKENFUTURES.streams.values()
    ]
    assert dialect.subscribe(wanted) == [
        '{"event":"subscribe","feed":"trade","product_ids":["PF_XBTUSD"]}',
        '{"event":"subscribe","feed":"book","product_ids":["PF_XBTUSD"]}',
    ]
    assert dialect.unsubscribe(wanted[:1]) == [
        '{"event":"unsubscribe","feed":"trade","product_ids":["PF_XBTUSD"]}'
    ]


def test_both_markets_share_a_connection_and_there_are_no_bars() -> None:
    feeds = [feed for stream in KRAKENFUTURES.streams.values() for feed in stream.feeds.values()]
    assert all(feed == FEED for feed in feeds)
    assert FEED.path == "/ws/v1"
    assert set(KRAKENFUTURES.streams) == {DataType.TRADES, DataType.BOOK_UPDATES}


async def test_a_wrong_contract_is_refused_alone() -> None:
    party = PARTY[Market.INVERSE]
    good = party.wanted(DataType.TRADES)
    wrong = [
        party.wanted(kind, party.instrument("NIX/USD:NIX", "PI_NIXUSD"))
        for kind in (DataType.TRADES, DataType.BOOK_UPDATES)
    ]
    words = "Couldn't subscribe to invalid product `PI_NIXUSD`"
    async with party.stand_in() as stand_in, asyncio.timeout(10):
        bound = party.bound(stand_in)
        (events,) = bound.listen([*wrong, good])
        got = [await anext(events) for _ in range(3)]
        assert got == [TurnedDown(wrong[0], words), TurnedDown(wrong[1], words), Started(good)]
        await events.aclose()
        await bound.aclose()


@pytest.mark.parametrize(
    ("told", "refused"),
    [
        ({"event": "alert", "message": "Bad request"}, Refused(None, "Bad request")),
        ({"event": "error", "message": "Invalid product id"}, Refused(None, "Invalid product id")),
        (
            {"event": "subscribed_failed", "feed": "book", "product_ids": ["PF_XBTUSD"]},
            Refused(BOOK, "subscribed_failed"),
        ),
        ({"event": "unsubscribed_failed", "feed": "trade"}, Refused(None, "unsubscribed_failed")),
    ],
)
def test_refusals(told: dict[str, Any], refused: Refused) -> None:
    assert listening().read(frame(**told)) == [refused]


def test_what_it_says_of_the_connection() -> None:
    connection = listening()
    assert connection.read(frame(event="info", version=1)) == []
    assert connection.read(frame(event="unsubscribed", feed="book", product_ids=["PF_XBTUSD"])) == []
    assert connection.read(frame(event="subscribed", feed="book", product_ids=["PF_XBTUSD"])) == [
        Subscribed(BOOK)
    ]
    # What is accepted is not refused later, whatever is said of its product.
    words = "Couldn't do it to `PF_XBTUSD`"
    assert connection.read(frame(event="alert", message=words)) == [Refused(TRADES, words)]
    assert connection.read(frame(event="alert", message=words)) == [Refused(None, words)]
    with pytest.raises(Throttled):
        connection.read(frame(event="alert", message="rate_limited"))


async def test_a_subscription_begins_with_trades_that_were_told_newest_first() -> None:
    party = PARTY[Market.INVERSE]
    noon_ns = 1_714_564_800_000_000_000
    async with party.stand_in() as stand_in, asyncio.timeout(10):
        assert isinstance(stand_in, KrakenFuturesLive)
        stand_in.recent = [Trade(noon_ns + tid * 10**6, "100.5", "396", "sell", tid) for tid in (1, 2, 3)]
        bound = party.bound(stand_in)
        (events,) = bound.listen([party.wanted(DataType.TRADES)])
        assert isinstance(await anext(events), Started)
        rows = await anext(events)
        assert isinstance(rows, LiveRows)
        assert rows.columns["ts"] == [noon_ns + tid * 10**6 for tid in (1, 2, 3)]
        assert rows.columns["tid"] == [f"05af78ac-a774-478c-a50c-{tid:012d}" for tid in (1, 2, 3)]
        assert rows.columns["amount"] == [396.0] * 3  # USD, as many as contracts
        await events.aclose()
        await bound.aclose()


def change(seq: int, side: str, price: float, qty: float) -> bytes:
    told = {"feed": "book", "product_id": "PF_XBTUSD", "side": side, "seq": seq, "price": price, "qty": qty}
    return frame(**told, timestamp=1_612_269_825_900 + seq)


def test_a_book_by_its_numbers() -> None:
    connection = listening()
    sync = BookSync()
    levels = [{"price": 34892, "qty": 0}, {"price": 34891.5, "qty": 0.0001}]
    whole = frame(
        feed="book_snapshot", product_id="PF_XBTUSD", timestamp=1_612_269_825_817, seq=9, tickSize=None,
        bids=levels, asks=[],
    )  # fmt: skip
    times: list[int | None] = []
    for told in (whole, change(10, "sell", 34911.5, 2.5), change(11, "buy", 34891.5, 0.0)):
        (message,) = connection.read(told)
        assert isinstance(message, Change)
        assert sync.take(message.update) == [message.update]
        times.append(message.update.ts_ns)
    assert times == [1_612_269_825_817_000_000, 1_612_269_825_910_000_000, 1_612_269_825_911_000_000]
    assert sync.book.best("bid") == []
    assert sync.book.best("ask") == [("34911.5", "2.5", None)]
    (message,) = connection.read(change(13, "buy", 34890, 1))
    assert isinstance(message, Change)
    with pytest.raises(BrokenBook, match="missing between 11 and 12"):
        sync.take(message.update)


def test_contracts_become_base() -> None:
    connection = listening(contract_size=0.001)
    (message,) = connection.read(change(10, "buy", 34890, 3))
    assert isinstance(message, Change)
    assert message.update.bids == [("34890", "0.003", None)]
    trade = {"uid": "a", "side": "buy", "type": "fill", "seq": 1, "time": 7, "qty": 3, "price": 34890}
    (message,) = connection.read(frame(feed="trade", product_id="PF_XBTUSD", **trade))
    assert isinstance(message, Rows)
    assert message.columns["amount"] == [0.003]


def test_a_side_that_is_none_is_no_trade() -> None:
    trade = {"uid": "a", "side": "both", "type": "fill", "seq": 1, "time": 7, "qty": 3, "price": 34890}
    with pytest.raises(MalformedPayload):
        listening().read(frame(feed="trade", product_id="PF_XBTUSD", **trade))
