"""Kraken as it happens: trades, bars and books, over version 2 of its WebSocket API.

Documentation: https://docs.kraken.com/api/docs/websocket-v2/ (trade, ohlc, book), and of the checksum
https://docs.kraken.com/api/docs/guides/spot-ws-book-v2.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import count

import msgspec

from dccd.domain.book import BookUpdate, Level, OrderBook
from dccd.domain.records import Columns
from dccd.domain.timeutils import datetime_ns
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
    deep_enough,
    streamed,
    streamed_book,
)

_DOCS = "https://docs.kraken.com/api/docs/websocket-v2/"
_SPANS = ("1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w", "15d")
_DEPTHS = (10, 25, 100, 500, 1000)
_QUIET = ("heartbeat", "status")


class _Told(msgspec.Struct):
    """Any message: of a channel, or the answer to a method."""

    channel: str = ""
    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")
    method: str = ""
    success: bool = True
    error: str = ""
    symbol: str = ""
    req_id: int = 0
    result: dict[str, object] = {}


class _Trade(msgspec.Struct):
    symbol: str
    side: str
    price: float
    qty: float
    trade_id: int
    timestamp: datetime


class _Bar(msgspec.Struct):
    symbol: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int
    interval_begin: datetime
    interval: int


class _Level(msgspec.Struct):
    price: Decimal
    qty: Decimal


class _Book(msgspec.Struct):
    symbol: str
    bids: list[_Level]
    asks: list[_Level]
    checksum: int | None = None
    timestamp: datetime | None = None


_told = msgspec.json.Decoder(_Told)
_trades = msgspec.json.Decoder(list[_Trade])
_bars = msgspec.json.Decoder(list[_Bar])
_books = msgspec.json.Decoder(list[_Book])


class _Dialect:
    """Channels that differ in their symbol alone are asked for together, and answered one by one."""

    def __init__(self, targets: Mapping[Channel, Target]) -> None:
        self._targets = targets
        self._asked: dict[tuple[int, str], Channel] = {}
        self._books: dict[str, Channel] = {}
        self._numbers = count(1)

    def subscribe(self, channels: Sequence[Channel]) -> Sequence[str]:
        # A book's messages do not tell its depth: one depth of a pair is all that a connection can have.
        self._books |= {channel.symbol: channel for channel in channels if channel.name == "book"}
        return self._say("subscribe", channels)

    def unsubscribe(self, channels: Sequence[Channel]) -> Sequence[str]:
        return self._say("unsubscribe", channels)

    def _say(self, method: str, channels: Sequence[Channel]) -> Sequence[str]:
        alike: dict[tuple[str, str], list[str]] = {}
        for name, symbol, detail in channels:
            alike.setdefault((name, detail), []).append(symbol)
        return [self._text(method, name, detail, symbols) for (name, detail), symbols in alike.items()]

    def _text(self, method: str, name: str, detail: str, symbols: list[str]) -> str:
        number = next(self._numbers)
        params: dict[str, object] = {"channel": name, "symbol": symbols}
        if name == "ohlc":
            params["interval"] = int(detail)
        elif name == "book":
            params["depth"] = int(detail)
        elif method == "subscribe":
            params["snapshot"] = False
        if method == "subscribe":
            self._asked |= {(number, symbol): Channel(name, symbol, detail) for symbol in symbols}
        return msgspec.json.encode({"method": method, "params": params, "req_id": number}).decode()

    def read(self, frame: bytes) -> Sequence[Message]:
        told = _told.decode(frame)
        match told.channel:
            case "trade":
                return [_of_trade(trade) for trade in _trades.decode(told.data)]
            case "ohlc":
                return [_of_bar(bar) for bar in _bars.decode(told.data)]
            case "book":
                return [self._of_book(book, told.type) for book in _books.decode(told.data)]
            case "" if told.method == "subscribe":
                return [self._answer(told)]
        known = told.channel in _QUIET or told.method in ("pong", "unsubscribe")
        return [] if known else [Unknown(told.channel or told.method or "nameless")]

    def _answer(self, told: _Told) -> Message:
        symbol = told.symbol or str(told.result.get("symbol", ""))
        channel = self._asked.pop((told.req_id, symbol), None)
        if not told.success:
            return Refused(channel, told.error)
        return Unknown("subscribe") if channel is None else Subscribed(channel)

    def _of_book(self, book: _Book, kind: str) -> Message:
        channel = self._books.get(book.symbol)
        if channel is None:
            return Unknown("book of another symbol")
        of = self._targets[channel].instrument
        prices, amounts = _decimals(of.tick_size), _decimals(of.lot_size)

        def levels(told: list[_Level]) -> list[Level]:
            return [Level(_fixed(one.price, prices), _fixed(one.qty, amounts)) for one in told]

        update = BookUpdate(
            bids=levels(book.bids),
            asks=levels(book.asks),
            ts_ns=datetime_ns(book.timestamp) if book.timestamp else None,
            is_snapshot=kind == "snapshot",
            checksum=book.checksum,
        )
        return Change(channel, update)


def _of_trade(trade: _Trade) -> Message:
    columns: Columns = {
        "ts": [datetime_ns(trade.timestamp)],
        "price": [trade.price],
        "amount": [trade.qty],
        "side": [trade.side],
        "tid_num": [trade.trade_id],
    }
    return Rows(Channel("trade", trade.symbol), columns)


def _of_bar(bar: _Bar) -> Message:
    """A state of a bar, which stays open until one comes of the next."""
    opens_ns = datetime_ns(bar.interval_begin)
    fields = ("open", "high", "low", "close", "volume", "trades")
    columns: Columns = {"ts": [opens_ns], **{name: [getattr(bar, name)] for name in fields}}
    return Rows(Channel("ohlc", bar.symbol, str(bar.interval)), columns, open_from_ns=opens_ns)


def _decimals(step: float | None) -> int:
    """Digits after the point of a step's multiples."""
    exponent = Decimal(repr(step)).normalize().as_tuple().exponent if step else 0
    return max(0, -int(exponent))


def _fixed(value: Decimal, decimals: int) -> str:
    """A number with all of its pair's digits, as the checksum is made of them."""
    exponent = value.as_tuple().exponent
    return f"{value:.{max(decimals, -int(exponent))}f}"


def checksum(book: OrderBook) -> int:
    """CRC32 over the ten best levels of each side, asks first: digits without points and leading zeros."""
    best = [*book.best("ask", 10), *book.best("bid", 10)]
    digits = (text.replace(".", "").lstrip("0") for level in best for text in (level.price, level.amount))
    return zlib.crc32("".join(digits).encode())


# Kraken names no most; so many keep a connection's messages far from what it can carry.
_FEED = {Market.SPOT: Feed(host="live", path="/v2", dialect=_Dialect, channels_max=200)}


def _named(name: str, target: Target, detail: object = "") -> Channel:
    symbol = target.instrument.symbol
    return Channel(name, f"{symbol.base}/{symbol.quote}", str(detail))


def _bars_of(target: Target) -> Channel:
    assert target.span is not None
    return _named("ohlc", target, target.span.seconds // 60)


def _depth_of(target: Target) -> int:
    return deep_enough(_DEPTHS, target.depth)


STREAMS = {
    DataType.TRADES: Stream(feeds=_FEED, channel=lambda target: _named("trade", target)),
    DataType.OHLC: Stream(feeds=_FEED, channel=_bars_of),
    DataType.BOOK_UPDATES: Stream(
        feeds=_FEED,
        channel=lambda target: _named("book", target, _depth_of(target)),
        checksum=checksum,
        depth=_depth_of,
    ),
}
CAPABILITIES = (
    streamed(DataType.TRADES, _DOCS + "trade", _FEED),
    streamed(DataType.OHLC, _DOCS + "ohlc", _FEED, spans=_SPANS, evidence=Evidence.RECORDED),
    *streamed_book(_DOCS + "book", _FEED, _DEPTHS, Evidence.RECORDED),
)
