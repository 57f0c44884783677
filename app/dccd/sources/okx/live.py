"""OKX as it happens: trades, bars and books, over the streams of the V5 API that need no login.

Documentation: https://www.okx.com/docs-v5/en/#overview-websocket (limits, pings, answers, notices), and
#order-book-trading-market-data-ws-all-trades-channel, -candlesticks-channel and -order-book-channel.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import chain, count, zip_longest

import msgspec

from dccd.domain.book import BookUpdate, Level, OrderBook
from dccd.domain.errors import ExchangeUnavailable
from dccd.domain.timeutils import MS_NS
from dccd.domain.types import DataType, Evidence, Market
from dccd.sources.base import (
    Change,
    Channel,
    Feed,
    Message,
    Refused,
    Rows,
    Stream,
    Subscribed,
    Target,
    Unknown,
    streamed,
    streamed_book,
)
from dccd.sources.okx.rest import SPANS, Bar, Trade, bar_columns, trade_columns

_DOCS = "https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-"
_DEPTH = 400
_SUMMED = 25  # levels a side that a checksum is of
_QUIET = ("unsubscribe", "channel-conn-count")


class _Arg(msgspec.Struct):
    channel: str = ""
    instId: str = ""


class _Told(msgspec.Struct):
    """Any message: of a channel, or about one or the connection."""

    arg: _Arg = msgspec.field(default_factory=_Arg)
    action: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    event: str = ""
    id: str = ""
    msg: str = ""


class _LiveBar(Bar):
    confirm: int


class _Book(msgspec.Struct):
    asks: list[tuple[str, str, str, int]]
    bids: list[tuple[str, str, str, int]]
    ts: int
    seqId: int | None = None
    prevSeqId: int | None = None
    checksum: int = 0


_told = msgspec.json.Decoder(_Told)
_trades = msgspec.json.Decoder(list[Trade], strict=False)
_bars = msgspec.json.Decoder(list[_LiveBar], strict=False)
_books = msgspec.json.Decoder(list[_Book], strict=False)


class _Dialect:
    """Each channel is asked for alone, as a refusal says of which request it is, and not of which channel."""

    def __init__(self, targets: Mapping[Channel, Target]) -> None:
        self._targets = targets
        self._asked: dict[str, Channel] = {}
        self._numbers = count(1)

    def subscribe(self, channels: Sequence[Channel]) -> Sequence[str]:
        return [self._say("subscribe", channel) for channel in channels]

    def unsubscribe(self, channels: Sequence[Channel]) -> Sequence[str]:
        return [self._say("unsubscribe", channel) for channel in channels]

    def _say(self, op: str, channel: Channel) -> str:
        number = str(next(self._numbers))
        if op == "subscribe":
            self._asked[number] = channel
        args = [{"channel": channel.name, "instId": channel.symbol}]
        return msgspec.json.encode({"id": number, "op": op, "args": args}).decode()

    def read(self, frame: bytes) -> Sequence[Message]:
        if frame == b"pong":
            return []
        told = _told.decode(frame)
        channel = Channel(told.arg.channel, told.arg.instId)
        if told.event:
            return self._answer(told, channel)
        target = self._targets.get(channel)
        if target is None:
            return [Unknown(channel.name or "nameless")]
        if channel.name == "trades-all":
            return [Rows(channel, trade_columns(target, _trades.decode(told.data)))]
        if channel.name == "books":
            is_snapshot = told.action == "snapshot"
            return [Change(channel, _update(target, book, is_snapshot)) for book in _books.decode(told.data)]
        bars = _bars.decode(told.data)
        still_open = [bar.ts * MS_NS for bar in bars if not bar.confirm]
        return [Rows(channel, bar_columns(target.instrument.market, bars), min(still_open, default=None))]

    def _answer(self, told: _Told, channel: Channel) -> Sequence[Message]:
        asked = self._asked.pop(told.id, None)
        match told.event:
            case "subscribe" if channel in self._targets:
                return [Subscribed(channel)]
            case "error":
                return [Refused(asked, told.msg)]
            case "notice":
                raise ExchangeUnavailable(f"OKX is about to end the connection ({told.msg!r}).")
        return [] if told.event in _QUIET else [Unknown(told.event)]


def _update(target: Target, book: _Book, is_snapshot: bool) -> BookUpdate:
    """Amounts of linear contracts become base, and what was summed up is then not told any more."""
    size = target.instrument.contract_size
    of = Decimal(str(size)) if target.instrument.market is Market.LINEAR and size else Decimal(1)

    def levels(told: list[tuple[str, str, str, int]]) -> list[Level]:
        if of == 1:
            return [Level(price, amount, orders) for price, amount, _, orders in told]
        return [Level(price, f"{Decimal(amount) * of:f}", orders) for price, amount, _, orders in told]

    return BookUpdate(
        bids=levels(book.bids),
        asks=levels(book.asks),
        ts_ns=book.ts * MS_NS,
        is_snapshot=is_snapshot,
        seq=book.seqId,
        follows=None if is_snapshot else book.prevSeqId,
        checksum=(book.checksum or None) if of == 1 else None,
    )


def checksum(book: OrderBook) -> int:
    """CRC32, signed, over the best levels: bid and ask by turns, each its price and amount."""
    turns = zip_longest(book.best("bid", _SUMMED), book.best("ask", _SUMMED))
    levels = (level for level in chain.from_iterable(turns) if level is not None)
    found = zlib.crc32(":".join(f"{level.price}:{level.amount}" for level in levels).encode())
    return found - (1 << 32) if found >= 1 << 31 else found


def _feeds(path: str) -> Mapping[Market, Feed]:
    """A connection may ask 480 times an hour, and a book that begins anew asks twice: so 200 at first."""
    feed = Feed(
        host="live",
        path=f"/ws/v5/{path}",
        dialect=_Dialect,
        channels_max=200,
        messages_per_s=10.0,
        ping="ping",
    )
    return dict.fromkeys(Market, feed)


_PUBLIC, _BUSINESS = _feeds("public"), _feeds("business")

STREAMS = {
    # What `trades` tells may be several fills at once, under the id of the last.
    DataType.TRADES: Stream(
        feeds=_BUSINESS, channel=lambda target: Channel("trades-all", target.instrument.native)
    ),
    DataType.OHLC: Stream(
        feeds=_BUSINESS,
        channel=lambda target: Channel(f"candle{SPANS[str(target.span)]}", target.instrument.native),
    ),
    DataType.BOOK_UPDATES: Stream(
        feeds=_PUBLIC,
        channel=lambda target: Channel("books", target.instrument.native),
        checksum=checksum,
    ),
}
CAPABILITIES = (
    streamed(DataType.TRADES, _DOCS + "all-trades-channel", Market, evidence=Evidence.RECORDED),
    streamed(DataType.OHLC, _DOCS + "candlesticks-channel", Market, spans=SPANS),
    *streamed_book(_DOCS + "order-book-channel", Market, (_DEPTH,), evidence=Evidence.RECORDED),
)
