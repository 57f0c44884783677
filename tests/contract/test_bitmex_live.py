"""What is particular to listening to BitMEX."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from dccd.application.listening import BookLost, LiveBook, Started, TurnedDown, Wanted
from dccd.domain.book import BookSync, BookUpdate
from dccd.domain.errors import BrokenBook, Throttled
from dccd.domain.instrument import Instrument
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import MS_NS, parse_time
from dccd.domain.types import DataType, InstrumentType, Market
from dccd.sources.base import Change, Channel, Refused, Rows, Subscribed, Target
from dccd.sources.bitmex import BITMEX
from dccd.transport.live import LiveConnection
from tests.contract.parties import PARTIES, Party
from tests.exchanges.live.bitmex import BitmexLive

PARTY = {party.market: party for party in PARTIES if party.source is BITMEX}
FEED = BITMEX.streams[DataType.TRADES].feeds[Market.LINEAR]


def listening(party: Party, kind: DataType, span: str | None = None) -> LiveConnection:
    connection = LiveConnection("BitMEX", FEED, "ws://127.0.0.1:1")
    target = Target(party.instrument(), Span.parse(span) if span else None)
    channel = BITMEX.streams[kind].channel(target)
    connection.targets[channel] = target
    connection.dialect.subscribe([channel])
    return connection


def frame(**told: object) -> bytes:
    return json.dumps(told).encode()


def test_what_is_sent_to_subscribe_and_to_end_that() -> None:
    it = PARTY[Market.INVERSE].instrument()
    dialect = FEED.dialect({})
    wanted = [
        BITMEX.streams[DataType.TRADES].channel(Target(it)),
        BITMEX.streams[DataType.OHLC].channel(Target(it, Span.parse("5m"))),
        BITMEX.streams[DataType.BOOK_UPDATES].channel(Target(it)),
        BITMEX.streams[DataType.BOOK_UPDATES].channel(Target(it, None, 26)),
        BITMEX.streams[DataType.BOOK_UPDATES].channel(Target(it, None, 25)),
    ]
    assert dialect.subscribe(wanted) == [
        '{"op":"subscribe","args":["trade:XBTUSD"]}',
        '{"op":"subscribe","args":["tradeBin5m:XBTUSD"]}',
        '{"op":"subscribe","args":["orderBookL2:XBTUSD"]}',
        '{"op":"subscribe","args":["orderBookL2:XBTUSD"]}',
        '{"op":"subscribe","args":["orderBookL2_25:XBTUSD"]}',
    ]
    assert dialect.unsubscribe(wanted[:1]) == ['{"op":"unsubscribe","args":["trade:XBTUSD"]}']


def test_all_markets_share_a_connection_which_is_kept_alive_by_a_bare_word() -> None:
    feeds = [feed for stream in BITMEX.streams.values() for feed in stream.feeds.values()]
    assert all(feed == FEED for feed in feeds)
    assert (FEED.path, FEED.ping) == ("/realtime", "ping")
    assert listening(PARTY[Market.SPOT], DataType.TRADES).read(b"pong") == []


async def test_a_wrong_contract_is_refused_alone() -> None:
    party = PARTY[Market.INVERSE]
    good, wrong = (
        party.wanted(DataType.TRADES),
        party.wanted(DataType.TRADES, party.instrument("NIX/USD:NIX", "NIXUSD")),
    )
    async with party.stand_in() as stand_in, asyncio.timeout(10):
        bound = party.bound(stand_in)
        (events,) = bound.listen([wrong, good])
        assert await anext(events) == TurnedDown(wrong, "Unknown or expired symbol.")
        assert await anext(events) == Started(good)
        await events.aclose()
        await bound.aclose()


def test_refusals_and_throttles() -> None:
    connection = listening(PARTY[Market.INVERSE], DataType.TRADES)
    asked = {"op": "subscribe", "args": ["trade:XBTUSD"]}
    again = "You are already subscribed to this topic: trade:XBTUSD"
    assert connection.read(frame(status=400, error=again, meta={}, request=asked)) == [
        Refused(Channel("trade", "XBTUSD"), again)
    ]
    for other in ({"op": "unsubscribe", "args": ["trade:XBTUSD"]}, {}):
        assert connection.read(frame(status=400, error="No.", meta={}, request=other)) == [
            Refused(None, "No.")
        ]
    words = "Rate limit exceeded, retry in 1 seconds."
    with pytest.raises(Throttled, match=words):
        connection.read(frame(status=429, error=words, meta={"retryAfter": 1}, request=asked))
    assert connection.read(frame(success=True, unsubscribe="trade:XBTUSD", request={})) == []
    assert connection.read(frame(success=True, subscribe="trade:XBTUSD", request=asked)) == [
        Subscribed(Channel("trade", "XBTUSD"))
    ]


def test_a_bar_is_told_at_its_end_and_stored_at_its_open() -> None:
    connection = listening(PARTY[Market.INVERSE], DataType.OHLC, "1h")
    bar = {
        "timestamp": "2023-02-01T01:00:00.000Z", "symbol": "XBTUSD", "open": 23077.5, "high": 23096.5,
        "low": 23076.5, "close": 23085, "trades": 93, "volume": 342600, "vwap": None, "lastSize": None,
        "turnover": 1484330812, "homeNotional": 14.84330812, "foreignNotional": 342600,
    }  # fmt: skip
    (rows,) = connection.read(frame(table="tradeBin1h", action="insert", data=[bar]))
    assert isinstance(rows, Rows)
    assert rows.columns["ts"] == [parse_time("2023-02-01")]
    assert (rows.columns["volume"], rows.columns["quote_volume"]) == ([14.84330812], [342600])
    assert rows.open_from_ns is None  # no open bar is ever told


@pytest.mark.parametrize(
    ("market", "size", "home", "amount"),
    [(Market.INVERSE, 900, 0.015813, 900), (Market.LINEAR, 1000, 0.001, 0.001)],
)
def test_amounts_of_trades(market: Market, size: int, home: float, amount: float) -> None:
    """As over REST: USD of inverse contracts, else base. A settlement has no taker."""
    party = PARTY[market]
    connection = listening(party, DataType.TRADES)
    trade = {
        "timestamp": "2023-01-27T12:00:00.000Z", "symbol": party.native, "size": size, "price": 22957.36,
        "trdMatchID": "cea62111-3db1-2f9a-e03e-f0b6ae16695f", "homeNotional": home,
        "foreignNotional": 1, "trdType": "Settlement",
    }  # fmt: skip
    (rows,) = connection.read(frame(table="trade", action="insert", data=[trade]))
    assert isinstance(rows, Rows)
    assert rows.columns == {
        "ts": [parse_time("2023-01-27T12:00:00Z")], "price": [22957.36], "amount": [amount],
        "tid": ["cea62111-3db1-2f9a-e03e-f0b6ae16695f"], "side": [None],
    }  # fmt: skip


def level(number: int, side: str = "Buy", **told: Any) -> dict[str, Any]:
    return {"symbol": "XBTUSDT", "id": number, "side": side, **told}


def test_levels_are_in_base_and_as_text() -> None:
    connection = listening(PARTY[Market.LINEAR], DataType.BOOK_UPDATES)
    rows = [level(1, price=0.00001, size=2000), level(2, "Sell", price=23085.5, size=7)]
    (change,) = connection.read(
        frame(table="orderBookL2", action="partial", filter={"symbol": "XBTUSDT"}, data=rows)
    )
    assert isinstance(change, Change)
    assert change.update.bids == [("0.00001", "0.002000", None)]
    assert change.update.asks == [("23085.5", "0.000007", None)]
    assert change.update.ts_ns is None
    gone = level(1, price=0.00001, size=2000, timestamp="2024-05-01T00:00:00.123Z")
    (change,) = connection.read(frame(table="orderBookL2", action="delete", data=[gone]))
    assert isinstance(change, Change)
    ((price, amount, _),) = change.update.bids
    assert (price, float(amount)) == ("0.00001", 0.0)  # whatever size it had
    assert change.update.ts_ns == parse_time("2024-05-01") + 123 * MS_NS


def test_quanto_contracts_stay_contracts() -> None:
    it = Instrument("bitmex", Symbol("ETH", "USD", "BTC"), "ETHUSD", Market.LINEAR, InstrumentType.PERPETUAL)
    connection = LiveConnection("BitMEX", FEED, "ws://127.0.0.1:1")
    connection.targets[Channel("orderBookL2", "ETHUSD")] = Target(it)
    rows = [{"symbol": "ETHUSD", "id": 7, "side": "Buy", "size": 93, "price": 1798.2}]
    (change,) = connection.read(frame(table="orderBookL2", action="insert", data=rows))
    assert isinstance(change, Change)
    assert change.update.bids == [("1798.2", "93", None)]


def updates_of(*messages: tuple[str, list[dict[str, Any]]]) -> list[BookUpdate]:
    connection = listening(PARTY[Market.LINEAR], DataType.BOOK_UPDATES)
    found: list[BookUpdate] = []
    for action, rows in (("partial", [level(1, price=9.5, size=1), level(2, price=9, size=1)]), *messages):
        told = connection.read(frame(table="orderBookL2", action=action, data=rows))
        found += [one.update for one in told if isinstance(one, Change)]
    return found


@pytest.mark.parametrize("price", [{}, {"price": 8}])
def test_changes_without_prices_are_of_the_level_of_their_id(price: dict[str, Any]) -> None:
    first, *rest = updates_of(
        ("insert", [level(3, price=8, size=5)]),
        ("update", [level(3, size=6, **price)]),
        ("delete", [level(3, **price)]),
        ("insert", [level(3, "Sell", price=8, size=5)]),  # one id may be of either side
    )
    sync = BookSync()
    assert all(sync.take(update) for update in (first, *rest))
    assert [level.price for level in sync.book.best("bid")] == ["9.5", "9"]
    assert [level.price for level in sync.book.best("ask")] == ["8"]


@pytest.mark.parametrize(
    ("action", "row"),
    [
        ("update", level(4, price=7, size=2)),
        ("delete", level(4, price=7)),
        ("update", level(1, "Sell", size=2)),
        ("update", level(1, price=9.25, size=2)),  # it was of another price
    ],
)
def test_a_change_of_a_level_that_was_never_told_is_a_hole(action: str, row: dict[str, Any]) -> None:
    first, torn = updates_of((action, [level(2, size=2) if action == "update" else level(2), row]))
    sync = BookSync()
    sync.take(first)
    with pytest.raises(BrokenBook, match="missing"):
        sync.take(torn)


def test_what_comes_before_the_whole_book_is_of_an_older_one() -> None:
    connection = listening(PARTY[Market.LINEAR], DataType.BOOK_UPDATES)
    (change,) = connection.read(frame(table="orderBookL2", action="update", data=[level(4, size=2)]))
    assert isinstance(change, Change)
    assert BookSync().take(change.update) == []


@pytest.mark.parametrize("tells_prices", [True, False])
async def test_a_book_with_a_hole_begins_anew(tells_prices: bool) -> None:
    party = PARTY[Market.INVERSE]
    wanted: Wanted = party.wanted(DataType.BOOK_UPDATES)
    async with party.listening(wanted) as (stand_in, events), asyncio.timeout(10):
        assert isinstance(stand_in, BitmexLive)
        stand_in.tells_prices = tells_prices
        await stand_in.change(party.wire, {"99.5": "7"}, {}, lost=True)
        await stand_in.change(party.wire, {"99.5": "8"}, {})
        found = [await anext(events) for _ in range(4)]
        assert isinstance(found[0], LiveBook)
        assert found[1] == BookLost(
            wanted, "Changes of the book are missing: one is about a level that there is not."
        )
        assert found[2] == Started(wanted)
        begun = found[3]
        assert isinstance(begun, LiveBook)
        assert begun.updates[0].is_snapshot
        assert ("99.5", "8.0", None) in begun.book.best("bid")
