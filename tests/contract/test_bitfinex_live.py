"""What is particular to listening to Bitfinex."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dccd.application.listening import BookLost, Event, LiveBook, LiveRows
from dccd.domain.book import BookSync, BookUpdate, Level, OrderBook
from dccd.domain.errors import ExchangeUnavailable, MalformedPayload, NetworkError
from dccd.domain.span import Span
from dccd.domain.timeutils import MS_NS, parse_time
from dccd.domain.types import DataType, Market
from dccd.sources.base import Change, Channel, Message, Refused, Rows, Subscribed, Target, Unknown
from dccd.sources.bitfinex import BITFINEX
from dccd.sources.bitfinex.live import checksum
from dccd.transport.live import LiveConnection
from tests.contract.parties import PARTIES
from tests.exchanges.live.bitfinex import NOW_MS, BitfinexLive
from tests.exchanges.live.engine import Trade

SPOT, LINEAR = (party for party in PARTIES if party.source is BITFINEX)
FEED = BITFINEX.streams[DataType.TRADES].feeds[Market.SPOT]
BOOK = Channel("book", "tBTCUSD", "25")
TRADES = Channel("trades", "tBTCUSD")
BARS = Channel("candles", "trade:14D:tBTCUSD")
NOON_NS = parse_time("2024-05-01T12:00:00")
# A book that Bitfinex has sent, and its checksum, as its own client is tested with them:
# https://github.com/bitfinexcom/bitfinex-api-py/blob/25d7480/bfxapi/tests/test_ws_orderbook.py
SMALL = (
    "[[0.00000121,5,249013.0209708],[0.0000012,6,518315.33310128],[0.00000119,4,566200.89],[0.00000118,2,260000],"
    "[0.00000117,1,100000],[0.00000116,2,160000],[0.00000114,1,60000],[0.00000113,2,198500],[0.00000112,1,60000],"
    "[0.0000011,1,60000],[0.00000106,2,113868.87735849],[0.00000105,2,105000],[0.00000103,1,3000],"
    "[0.00000102,2,105000],[0.00000101,2,202970],[0.000001,2,21000],[7e-7,1,10000],[6.6e-7,1,10000],[6e-7,1,100000],"
    "[4.9e-7,1,10000],[2.5e-7,1,2000],[6e-8,1,100000],[5e-8,1,200000],[1e-8,4,640000],[0.00000122,7,-312043.19],"
    "[0.00000123,6,-415094.8939744],[0.00000124,5,-348181.23],[0.00000125,1,-12000],[0.00000126,2,-143872.31],"
    "[0.00000127,1,-5000],[0.0000013,1,-5000],[0.00000134,1,-8249.18938656],[0.00000135,2,-230043.1337899],"
    "[0.00000136,1,-13161.25184766],[0.00000145,1,-2914],[0.0000015,3,-54448.5],[0.00000152,2,-5538.54849594],"
    "[0.00000153,1,-62691.75475079],[0.00000159,1,-2914],[0.0000016,1,-52631.10296831],[0.00000164,1,-4000],"
    "[0.00000166,1,-3831.46784605],[0.00000171,1,-14575.17730379],[0.00000174,1,-3124.81815395],[0.0000018,1,-18000],"
    "[0.00000182,1,-16000],[0.00000186,1,-4000],[0.00000189,1,-10000.686624],[0.00000191,1,-14500]]"
)  # fmt: skip


def connection(*channels: Channel) -> LiveConnection:
    """One whose channels are accepted, under the numbers 1, 2 ..."""
    found = LiveConnection("Bitfinex", FEED, "ws://127.0.0.1:1")
    it = SPOT.instrument()
    for number, channel in enumerate(channels, 1):
        found.targets[channel] = Target(it, Span.parse("14d") if channel is BARS else None, 25)
        found.dialect.subscribe([channel])
        name = "key" if channel is BARS else "symbol"
        answer = {"event": "subscribed", "channel": channel.name, "chanId": number, name: channel.symbol}
        if channel.detail:
            answer["len"] = channel.detail
        assert said(found, json.dumps(answer)) == [Subscribed(channel)]
    return found


def said(connection: LiveConnection, text: str) -> list[Message]:
    return list(connection.read(text.encode()))


def updates(messages: list[Message]) -> list[BookUpdate]:
    return [message.update for message in messages if isinstance(message, Change)]


def test_what_is_sent_to_subscribe_and_to_end_that() -> None:
    assert FEED.greeting == ('{"event":"conf","flags":229376}',)
    assert (FEED.path, FEED.channels_max, FEED.ping) == ("/ws/2", 25, None)
    spot, linear = SPOT.instrument(), LINEAR.instrument()
    wanted = [
        BITFINEX.streams[kind].channel(target)
        for kind, target in (
            (DataType.TRADES, Target(spot)),
            (DataType.TRADES, Target(linear)),
            (DataType.OHLC, Target(spot, Span.parse("1m"))),
            (DataType.OHLC, Target(linear, Span.parse("1mo"))),
            (DataType.BOOK_UPDATES, Target(spot, None, 1)),
            (DataType.BOOK_UPDATES, Target(linear, None, None)),
        )
    ]
    dialect = FEED.dialect(dict.fromkeys(wanted, Target(spot)))
    assert dialect.subscribe(wanted) == [
        '{"event":"subscribe","channel":"trades","symbol":"tBTCUSD"}',
        '{"event":"subscribe","channel":"trades","symbol":"tBTCF0:USTF0"}',
        '{"event":"subscribe","channel":"candles","key":"trade:1m:tBTCUSD"}',
        '{"event":"subscribe","channel":"candles","key":"trade:1M:tBTCF0:USTF0"}',
        '{"event":"subscribe","channel":"book","symbol":"tBTCUSD","prec":"P0","freq":"F0","len":"25"}',
        '{"event":"subscribe","channel":"book","symbol":"tBTCF0:USTF0","prec":"P0","freq":"F0","len":"250"}',
    ]
    dialect.read(
        b'{"event":"subscribed","channel":"trades","chanId":17470,"symbol":"tBTCUSD","pair":"BTCUSD"}'
    )
    assert dialect.unsubscribe(wanted[:1]) == ['{"event":"unsubscribe","chanId":17470}']


@pytest.mark.parametrize(
    ("asked", "said_to_it", "code", "channel"),
    [
        ({"channel": "trades", "symbol": "tBTCUSD"}, "symbol: invalid", 10300, TRADES),
        (
            {"channel": "book", "symbol": "tBTCUSD", "prec": "P0", "freq": "F0", "len": "25"},
            "subscribe: limit",
            10305,
            BOOK,
        ),
        ({"channel": "candles", "key": "trade:14D:tBTCUSD"}, "key: invalid", 10300, BARS),
        ({}, "unsubscribe: invalid", 10400, None),
    ],
)
def test_a_refusal_repeats_what_was_asked_for(
    asked: dict[str, str], said_to_it: str, code: int, channel: Channel | None
) -> None:
    frame = json.dumps(asked | {"event": "error", "msg": said_to_it, "code": code, "pair": "BTCUSD"})
    assert said(connection(TRADES, BOOK, BARS), frame) == [Refused(channel, f"{said_to_it} ({code})")]


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ('{"event":"info","code":20051,"msg":"Stopping. Please try to reconnect"}', "20051 'Stopping"),
        ('{"event":"info","code":20060,"msg":"Websocket server entering maintenance"}', "20060"),
        ('{"event":"info","code":20061,"msg":"Maintenance ended"}', "20061"),
        ('{"event":"info","version":2,"serverId":"x","platform":{"status":0}}', "maintenance"),
    ],
)
def test_a_notice_to_begin_anew_ends_the_connection(frame: str, words: str) -> None:
    with pytest.raises(ExchangeUnavailable, match=words):
        said(connection(TRADES), frame)


def test_another_version_of_the_api_is_not_read() -> None:
    with pytest.raises(MalformedPayload, match="version 3"):
        said(connection(), '{"event":"info","version":3,"platform":{"status":1}}')


def test_each_trade_is_taken_once() -> None:
    """At first the last thirty come, the newest first; then each twice, under one id, that of REST."""
    found = connection(TRADES)
    (begun,) = said(
        found, "[1,[[7,1714564800002,-0.5,60000],[6,1714564800001,1e-7,59999.5]],1,1714564800123]"
    )
    (told,) = said(found, '[1,"te",[8,1714564800003,0.25,60001],2,1714564800123]')
    assert said(found, '[1,"tu",[8,1714564800003,0.25,60001],3,1714564800124]') == []
    assert isinstance(begun, Rows)
    assert isinstance(told, Rows)
    assert begun.columns == {
        "ts": [1714564800001 * MS_NS, 1714564800002 * MS_NS], "price": [59999.5, 60000.0],
        "amount": [1e-7, 0.5], "side": ["buy", "sell"], "tid_num": [6, 7],
    }  # fmt: skip
    assert told.columns == {
        "ts": [1714564800003 * MS_NS], "price": [60001.0], "amount": [0.25], "side": ["buy"], "tid_num": [8],
    }  # fmt: skip
    assert said(found, '[1,"ftu",[9,1714564800003,0.25,60001],4,1714564800124]') == [Unknown('"ftu"')]


def test_bars_stay_open_until_the_next_even_if_one_is_corrected_late() -> None:
    found = connection(BARS)
    opens = [place * 14 * 86_400_000 for place in (1414, 1415, 1416)]
    rows = [f"[{at_ms},1,2,3,0.5,10]" for at_ms in opens]
    told = [
        said(found, f"[1,[{rows[1]},{rows[0]}],1]"),  # the newest first
        said(found, f"[1,{rows[2]},2]"),
        said(found, f"[1,{rows[1]},3]"),
    ]
    shown: list[tuple[Any, Any]] = []
    for (message,) in told:
        assert isinstance(message, Rows)
        shown.append((message.columns["ts"], message.open_from_ns))
        assert message.columns["close"] == [2.0] * len(message.columns["ts"])
    first, second, third = (at_ms * MS_NS for at_ms in opens)
    assert shown == [([first, second], second), ([third], third), ([second], third)]
    with pytest.raises(MalformedPayload, match="a bar of 14d begins"):
        said(found, f"[1,[{opens[0] + 4 * 86_400_000},1,2,3,0.5,10],4]")


def test_a_hole_in_the_numbers_of_a_connection_is_noticed_whatever_is_missing() -> None:
    found = connection(TRADES, BOOK)
    assert said(found, '[1,"hb",1,1714564800123]') == []
    said(found, "[2,[[99,1,1]],2,1714564800123]")
    said(found, '[2,"cs",5,3,1714564800123]')
    with pytest.raises(NetworkError, match="missing between 3 and 5"):
        said(found, '[1,"hb",5,1714564800123]')


async def to_the_end(events: AsyncIterator[Event]) -> None:
    async for event in events:
        assert isinstance(event, LiveRows | LiveBook)


async def test_a_connection_with_a_hole_ends() -> None:
    async with SPOT.listening(SPOT.wanted(DataType.TRADES), SPOT.wanted(DataType.BOOK_UPDATES)) as (
        live,
        events,
    ):
        assert isinstance(live, BitfinexLive)
        await live.beat()
        await live.trade("tBTCUSD", Trade(NOON_NS, "100", "1"))
        await live.change("tBTCUSD", {"1.5": "2"}, {})
        live.skip = 1
        await live.beat()
        with pytest.raises(NetworkError, match="Messages of Bitfinex are missing between"):
            await asyncio.wait_for(to_the_end(events), 10)


def test_a_checksum_is_of_the_numbers_as_they_are_written_and_of_asks_negative() -> None:
    """Fewer than 25 levels a side, one of which is written as 7e-7."""
    sync = BookSync(checksum=checksum)
    found = connection(BOOK)
    frames = [
        f"[1,{SMALL}]",
        "[1,[0.00000121,4,228442.6609708]]",
        "[1,[0.00000121,6,304023.8109708]]",
        '[1,"cs",1770440002]',
    ]
    told = [update for frame in frames for update in updates(said(found, frame))]
    assert [sync.take(update) for update in told] == [[update] for update in told]
    assert [len(sync.book.best(side)) for side in ("bid", "ask")] == [24, 25]
    assert (sync.book.best("bid")[16], sync.book.best("ask")[0]) == (
        Level("7e-7", "10000", 1),
        Level("0.00000122", "312043.19", 7),
    )


def test_a_checksum_is_signed_and_of_25_levels_a_side() -> None:
    book, deeper = OrderBook(), OrderBook()
    for each, count in ((book, 25), (deeper, 30)):
        bids = [Level(str(6000 - place), "1.5") for place in range(count)]
        asks = [Level(str(6001 + place), "2") for place in range(count)]
        each.apply(BookUpdate(bids, asks, is_snapshot=True))
    texts = [f"{6000 - place}:1.5:{6001 + place}:-2" for place in range(25)]
    crc = zlib.crc32(":".join(texts).encode())
    assert checksum(book) == checksum(deeper)
    assert checksum(book) % (1 << 32) == crc
    assert -(1 << 31) <= checksum(book) < 1 << 31


def test_a_level_of_no_orders_is_gone_and_its_amount_tells_the_side() -> None:
    found, sync = connection(BOOK), BookSync()
    frames = (
        "[1,[[99,2,1.5],[98,1,1],[101,3,-0.25]],1,1000]",
        "[1,[99,0,1],2,2000]",
        "[1,[101,0,-1],3,3000]",
    )
    told = [update for frame in frames for update in updates(said(found, frame))]
    for update in told:
        sync.take(update)
    assert sync.book.best("bid") == [Level("98", "1", 1)]
    assert sync.book.best("ask") == []
    assert [update.is_snapshot for update in told] == [True, False, False]
    assert [update.ts_ns for update in told] == [1000 * MS_NS, 2000 * MS_NS, 3000 * MS_NS]
    (empty,) = updates(said(found, "[1,[],4,4000]"))
    assert empty.is_snapshot


async def begun_anew(events: AsyncIterator[Event]) -> LiveBook:
    """The first of a book after it was lost."""
    is_lost = False
    async for event in events:
        is_lost = is_lost or isinstance(event, BookLost)
        if is_lost and isinstance(event, LiveBook):
            return event
    raise AssertionError("the connection ended")


async def test_a_book_begins_anew_under_another_number_and_keeps_its_depth() -> None:
    """What falls out of its 100 levels is taken away by Bitfinex itself."""
    wanted = SPOT.wanted(DataType.BOOK_UPDATES)
    async with SPOT.listening(wanted) as (live, events):
        book = live.book("tBTCUSD")
        best = float(book.best("bid", 1)[0][0])
        await live.change("tBTCUSD", {f"{best - place / 10:.1f}": "1.5" for place in range(40, 140)}, {})
        await live.change("tBTCUSD", {f"{best:.1f}": "0"}, {}, lost=True)
        await live.change("tBTCUSD", {}, {f"{best + 5:.1f}": "1"})
        event = await asyncio.wait_for(begun_anew(events), 10)
        assert event.updates[0].is_snapshot
        assert event.updates[0].ts_ns == NOW_MS * MS_NS
        assert len(event.book.best("bid")) == 100
        shown = [(float(level.price), float(level.amount)) for level in event.book.best("bid")]
        assert shown == [(float(price), float(amount)) for price, amount in book.best("bid", 100)]
        subscribed = [json.loads(text) for text in live.heard]
        assert [each["event"] for each in subscribed] == ["conf", "subscribe", "unsubscribe", "subscribe"]
