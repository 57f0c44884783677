"""What is particular to listening to OKX."""

from __future__ import annotations

import asyncio
import json
import zlib

import pytest

from dccd.application.listening import LiveRows, Started, TurnedDown, grouped
from dccd.domain.book import BookSync, BookUpdate, Level, OrderBook
from dccd.domain.errors import BrokenBook, ExchangeUnavailable
from dccd.domain.span import Span
from dccd.domain.types import DataType, Market
from dccd.sources.base import Change, Channel, Message, Refused, Rows, Target
from dccd.sources.okx import OKX
from dccd.sources.okx.live import checksum
from dccd.transport.live import LiveConnection
from tests.contract.parties import PARTIES
from tests.exchanges.live.engine import Trade

PARTY = {party.market: party for party in PARTIES if party.source is OKX}
NOTICE = (
    '{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. '
    'Please reconnect.","connId":"a4d3ae55"}'
)


def channel(market: Market, kind: DataType, span: str | None = None) -> Channel:
    target = Target(PARTY[market].instrument(), Span.parse(span) if span else None)
    return OKX.streams[kind].channel(target)


def heard(market: Market, kind: DataType, frame: object, span: str | None = None) -> list[Message]:
    """What a frame says to somebody who has asked for its channel."""
    connection = LiveConnection("OKX", OKX.streams[kind].feeds[market], "ws://127.0.0.1:1")
    asked = channel(market, kind, span)
    connection.targets[asked] = Target(PARTY[market].instrument())
    connection.dialect.subscribe([asked])
    return list(connection.read(json.dumps(frame).encode()))


def test_what_is_sent_to_subscribe_and_to_end_that() -> None:
    dialect = OKX.streams[DataType.TRADES].feeds[Market.LINEAR].dialect({})
    wanted = [channel(Market.LINEAR, DataType.TRADES), channel(Market.SPOT, DataType.OHLC, "1w")]
    wanted.append(channel(Market.INVERSE, DataType.BOOK_UPDATES))
    assert dialect.subscribe(wanted) == [
        '{"id":"1","op":"subscribe","args":[{"channel":"trades-all","instId":"BTC-USDT-SWAP"}]}',
        '{"id":"2","op":"subscribe","args":[{"channel":"candle1Wutc","instId":"BTC-USDT"}]}',
        '{"id":"3","op":"subscribe","args":[{"channel":"books","instId":"BTC-USD-SWAP"}]}',
    ]
    assert dialect.unsubscribe(wanted[:1]) == [
        '{"id":"4","op":"unsubscribe","args":[{"channel":"trades-all","instId":"BTC-USDT-SWAP"}]}'
    ]


@pytest.mark.parametrize(
    ("span", "name"),
    [("1m", "candle1m"), ("4h", "candle4H"), ("6h", "candle6Hutc"), ("1mo", "candle1Mutc")],
)
def test_bars_open_at_midnight_utc(span: str, name: str) -> None:
    assert channel(Market.SPOT, DataType.OHLC, span) == Channel(name, "BTC-USDT")


def test_books_come_over_another_path_than_trades_and_bars() -> None:
    party = PARTY[Market.SPOT]
    kinds = (DataType.TRADES, DataType.OHLC, DataType.BOOK_UPDATES)
    groups = grouped(OKX, [party.wanted(kind) for kind in kinds])
    assert [(group.feed.path, len(group.wanted)) for group in groups] == [
        ("/ws/v5/business", 2),
        ("/ws/v5/public", 1),
    ]
    assert all((group.feed.ping, group.feed.ping_s) == ("ping", 20.0) for group in groups)


async def test_a_wrong_contract_is_refused_alone() -> None:
    party = PARTY[Market.LINEAR]
    good = party.wanted(DataType.TRADES)
    wrong = party.wanted(DataType.TRADES, party.instrument("NIX/USDT:USDT", "NIX-USDT-SWAP"))
    async with party.stand_in() as stand_in, asyncio.timeout(10):
        bound = party.bound(stand_in)
        (events,) = bound.listen([wrong, good])
        refused = await anext(events)
        assert isinstance(refused, TurnedDown)
        assert refused.wanted == wrong
        assert refused.words.startswith("Wrong URL or channel:trades-all,instId:NIX-USDT-SWAP doesn't exist.")
        assert await anext(events) == Started(good)
        await stand_in.trade(party.wire, Trade(1_714_564_800_000_000_000, "1.5", "2"))
        event = await anext(events)
        assert isinstance(event, LiveRows)
        assert event.columns["amount"] == [0.02]
        await events.aclose()
        await bound.aclose()


async def test_a_connection_that_is_about_to_be_ended_is_left_at_once() -> None:
    party = PARTY[Market.SPOT]
    async with party.listening(party.wanted(DataType.TRADES)) as (stand_in, events):
        await stand_in.shout(NOTICE)
        async with asyncio.timeout(10):
            with pytest.raises(ExchangeUnavailable, match=r"about to end the connection .*service upgrade"):
                await anext(events)


def test_an_error_that_is_to_no_request() -> None:
    frame = {"event": "error", "code": "60012", "msg": "Invalid request: {}", "connId": "a4d3ae55"}
    assert heard(Market.SPOT, DataType.TRADES, frame) == [Refused(None, "Invalid request: {}")]


@pytest.mark.parametrize(
    ("market", "amount"), [(Market.SPOT, 3.0), (Market.LINEAR, 0.03), (Market.INVERSE, 3.0)]
)
def test_trades_are_in_base_but_for_inverse_contracts(market: Market, amount: float) -> None:
    native = PARTY[market].native
    row = {"instId": native, "tradeId": "130639474", "px": "42219.9", "sz": "3", "side": "buy"}
    row |= {"ts": "1630048897897", "source": "0"}
    frame = {"arg": {"channel": "trades-all", "instId": native}, "data": [row]}
    assert heard(market, DataType.TRADES, frame) == [
        Rows(
            Channel("trades-all", native),
            {
                "ts": [1_630_048_897_897_000_000], "price": [42219.9], "tid_num": [130639474],
                "amount": [amount], "side": ["buy"],
            },
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("market", "volume"), [(Market.SPOT, 45247.0), (Market.LINEAR, 529.5), (Market.INVERSE, 529.5)]
)
def test_bars_have_their_volume_in_base(market: Market, volume: float) -> None:
    native = PARTY[market].native
    row = ["1597026360000", "1", "4", "0.5", "2", "45247", "529.5", "5529.5", "1"]
    frame = {"arg": {"channel": "candle1m", "instId": native}, "data": [row]}
    (rows,) = heard(market, DataType.OHLC, frame, "1m")
    assert isinstance(rows, Rows)
    assert (rows.columns["volume"], rows.columns["quote_volume"]) == ([volume], [5529.5])
    assert rows.open_from_ns is None


def book(market: Market, action: str, follows: int, number: int, *bids: str, summed: int = 0) -> Change:
    levels = [[price, "3", "0", "7"] for price in bids]
    data = {"asks": [], "bids": levels, "ts": "9", "checksum": summed, "prevSeqId": follows, "seqId": number}
    frame = {"arg": {"channel": "books", "instId": PARTY[market].native}, "action": action, "data": [data]}
    (change,) = heard(market, DataType.BOOK_UPDATES, frame)
    assert isinstance(change, Change)
    return change


def documented() -> list[Change]:
    """The documentation's example: a change, no change, numbers that begin anew, a change."""
    return [
        book(Market.SPOT, "snapshot", -1, 10, "5.0"),
        book(Market.SPOT, "update", 10, 15, "6.0"),
        book(Market.SPOT, "update", 15, 15),
        book(Market.SPOT, "update", 15, 3, "7.0"),
        book(Market.SPOT, "update", 3, 5, "8.0"),
    ]


def test_books_follow_as_documented_also_when_numbers_begin_anew() -> None:
    sync = BookSync(checksum=checksum)
    for change in documented():
        assert sync.take(change.update) == [change.update]
    assert [level.price for level in sync.book.best("bid")] == ["8.0", "7.0", "6.0", "5.0"]
    assert sync.book.best("bid", 1)[0].orders == 7


@pytest.mark.parametrize("lost", [1, 3])
def test_a_lost_message_of_a_book_is_noticed_also_where_numbers_begin_anew(lost: int) -> None:
    sync = BookSync(checksum=checksum)
    changes = documented()
    for change in changes[:lost]:
        sync.take(change.update)
    with pytest.raises(BrokenBook, match="missing"):
        sync.take(changes[lost + 1].update)


@pytest.mark.parametrize(
    ("bids", "asks", "summed_up"),
    [
        (
            [("3366.1", "7"), ("3366", "6")],
            [("3366.8", "9"), ("3368", "8")],
            "3366.1:7:3366.8:9:3366:6:3368:8",
        ),
        ([("9.1", "7")], [("9.8", "9"), ("9.9", "8")], "9.1:7:9.8:9:9.9:8"),
    ],
)
def test_a_checksum_is_of_both_sides_by_turns(
    bids: list[tuple[str, str]], asks: list[tuple[str, str]], summed_up: str
) -> None:
    book = OrderBook()
    book.apply(BookUpdate([Level(*bid) for bid in bids], [Level(*ask) for ask in asks], is_snapshot=True))
    assert checksum(book) & 0xFFFF_FFFF == zlib.crc32(summed_up.encode())
    assert -(1 << 31) <= checksum(book) < 1 << 31


def test_a_checksum_of_zero_is_none_and_others_are_verified() -> None:
    sync = BookSync(checksum=checksum)
    assert book(Market.SPOT, "snapshot", -1, 10, "5.0").update.checksum is None
    wrong = book(Market.INVERSE, "snapshot", -1, 10, "5.0", summed=1)
    with pytest.raises(BrokenBook, match="checksum"):
        sync.take(wrong.update)


def test_amounts_of_linear_contracts_are_base_to_the_digit_and_no_longer_what_was_summed_up() -> None:
    change = book(Market.LINEAR, "snapshot", -1, 10, "5.0", summed=1)
    assert [(level.price, level.amount) for level in change.update.bids] == [("5.0", "0.03")]
    assert change.update.checksum is None
