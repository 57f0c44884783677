"""BitMEX as it happens: trades, closed bars and whole books, as changes to its tables.

Documentation: https://www.bitmex.com/app/wsAPI (topics, actions, heartbeats). Of books: times since 2022,
https://blog.bitmex.com/api_announcement/changes-to-order-book-level-2-data/; a price in each row, and ids
that mean nothing, since 2023: https://blog.bitmex.com/api_announcement/removing-id-schema-on-orderbook-feeds/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from dccd.domain.book import BookUpdate, Level
from dccd.domain.errors import Throttled
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
    contract_worth,
    streamed,
    streamed_book,
)
from dccd.sources.bitmex.rest import SPANS, Bar, Trade, bar_columns, trade_columns

_DOCS = "https://www.bitmex.com/app/wsAPI"
_TRADES, _BARS, _BOOK, _BEST = "trade", "tradeBin", "orderBookL2", "orderBookL2_25"
_BEST_LEVELS = 25
_TOO_MANY = 429


class _Filter(msgspec.Struct):
    symbol: str = ""


class _Request(msgspec.Struct):
    op: str = ""
    args: list[str] = []


class _Told(msgspec.Struct):
    """Any message: of a table, or about a request or the connection."""

    table: str = ""
    action: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")
    filter: _Filter = msgspec.field(default_factory=_Filter)
    subscribe: str = ""
    unsubscribe: str = ""
    info: str = ""
    status: int = 0
    error: str = ""
    request: _Request = msgspec.field(default_factory=_Request)


class _LiveTrade(Trade, kw_only=True):
    symbol: str


class _LiveBar(Bar, kw_only=True):
    symbol: str


class _Level(msgspec.Struct, gc=False):
    symbol: str
    id: int
    side: str
    size: Decimal = Decimal(0)  # what is deleted has none
    price: Decimal | None = None  # of changes since 2023
    timestamp: datetime | None = None  # since 2022


_told = msgspec.json.Decoder(_Told)
_rows: Mapping[str, msgspec.json.Decoder[Any]] = {
    _TRADES: msgspec.json.Decoder(list[_LiveTrade]),
    **dict.fromkeys([_BOOK, _BEST], msgspec.json.Decoder(list[_Level])),
    **dict.fromkeys([_BARS + span for span in SPANS], msgspec.json.Decoder(list[_LiveBar])),
}


class _Book:
    """A book's prices by id and side, as changes may leave them out; messages have no number."""

    def __init__(self) -> None:
        self._prices: dict[tuple[int, str], Decimal] = {}

    def update(self, target: Target, action: str, rows: Sequence[_Level]) -> BookUpdate:
        """What a message changes."""
        is_snapshot, is_gone = action == "partial", action == "delete"
        if is_snapshot:
            self._prices.clear()
        is_torn = action in ("update", "delete") and not all(map(self._is_known, rows))
        worth = Decimal(0) if is_gone else contract_worth(target)
        sides: dict[str, list[Level]] = {"Buy": [], "Sell": []}
        for row in [] if is_torn else rows:
            price = row.price if row.price is not None else self._prices[row.id, row.side]
            self._prices[row.id, row.side] = price
            if is_gone:
                del self._prices[row.id, row.side]
            sides[row.side].append(Level(f"{price:f}", f"{row.size * worth:f}"))
        return BookUpdate(
            bids=sides["Buy"],
            asks=sides["Sell"],
            ts_ns=max((datetime_ns(row.timestamp) for row in rows if row.timestamp), default=None),
            is_snapshot=is_snapshot,
            is_torn=is_torn,
        )

    def _is_known(self, row: _Level) -> bool:
        known = self._prices.get((row.id, row.side))
        return known is not None and row.price in (None, known)


class _Dialect:
    """Each topic is asked for alone, so that a refusal, which repeats the request, is of one."""

    def __init__(self, targets: Mapping[Channel, Target]) -> None:
        self._targets = targets
        self._books: dict[Channel, _Book] = {}

    def subscribe(self, channels: Sequence[Channel]) -> Sequence[str]:
        return [_say("subscribe", channel) for channel in channels]

    def unsubscribe(self, channels: Sequence[Channel]) -> Sequence[str]:
        return [_say("unsubscribe", channel) for channel in channels]

    def read(self, frame: bytes) -> Sequence[Message]:
        if frame == b"pong":
            return []
        told = _told.decode(frame)
        if told.table:
            return self._of_table(told)
        if told.error:
            return [self._refused(told)]
        channel = _channel(told.subscribe)
        if channel in self._targets:
            return [Subscribed(channel)]
        return [] if told.unsubscribe or told.info else [Unknown("nameless")]

    def _refused(self, told: _Told) -> Message:
        if told.status == _TOO_MANY:
            raise Throttled(f"BitMEX asked for fewer requests ({told.error!r}).", None)
        asked = [_channel(topic) for topic in told.request.args if told.request.op == "subscribe"]
        return Refused(next((channel for channel in asked if channel in self._targets), None), told.error)

    def _of_table(self, told: _Told) -> Sequence[Message]:
        decoder = _rows.get(told.table)
        if decoder is None:
            return [Unknown(told.table)]
        found: dict[str, list[Any]] = {}
        for row in decoder.decode(told.data):
            found.setdefault(row.symbol, []).append(row)
        if told.action == "partial" and not found:
            found[told.filter.symbol] = []
        return [self._of_rows(Channel(told.table, symbol), told, rows) for symbol, rows in found.items()]

    def _of_rows(self, channel: Channel, told: _Told, rows: Sequence[Any]) -> Message:
        target = self._targets.get(channel)
        if target is None:
            return Unknown(f"{channel.name} of another contract")
        if channel.name in (_BOOK, _BEST):
            return Change(channel, self._books.setdefault(channel, _Book()).update(target, told.action, rows))
        return Rows(channel, (trade_columns if channel.name == _TRADES else bar_columns)(target, rows))


def _say(op: str, channel: Channel) -> str:
    return msgspec.json.encode({"op": op, "args": [f"{channel.name}:{channel.symbol}"]}).decode()


def _channel(topic: str) -> Channel:
    """From ``trade:XBTUSD``."""
    name, _, symbol = topic.partition(":")
    return Channel(name, symbol)


# It names no most. Sixty connections an hour may be opened, and whole books are long: so many share one.
_FEED = dict.fromkeys(
    Market, Feed(host="live", path="/realtime", dialect=_Dialect, channels_max=100, ping="ping")
)


def _named(name: str, target: Target) -> Channel:
    return Channel(name, target.instrument.native)


def _book_of(target: Target) -> Channel:
    """All levels as they change, or the best 25 a little later."""
    return _named(_BOOK if target.depth is None or target.depth > _BEST_LEVELS else _BEST, target)


STREAMS = {
    DataType.TRADES: Stream(feeds=_FEED, channel=lambda target: _named(_TRADES, target)),
    DataType.OHLC: Stream(feeds=_FEED, channel=lambda target: _named(f"{_BARS}{target.span}", target)),
    DataType.BOOK_UPDATES: Stream(feeds=_FEED, channel=_book_of),
}
CAPABILITIES = (
    streamed(DataType.TRADES, _DOCS, _FEED, evidence=Evidence.RECORDED),
    streamed(DataType.OHLC, _DOCS, _FEED, spans=SPANS, evidence=Evidence.RECORDED),
    *streamed_book(_DOCS, _FEED, evidence=Evidence.RECORDED),
)
