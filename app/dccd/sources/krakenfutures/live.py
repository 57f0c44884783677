"""Kraken Futures as it happens: trades and whole books. There are no bars.

Documentation: https://docs.kraken.com/exchange/api-reference/futures-websocket/trade and book beside it; of
pings https://docs.kraken.com/api/docs/guides/futures-websockets, of limits
https://docs.kraken.com/exchange/guides/futures/ratelimits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from dccd.domain.book import BookUpdate, Level
from dccd.domain.errors import Throttled
from dccd.domain.timeutils import MS_NS
from dccd.domain.types import DataType, Evidence
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
    columns,
    contract_worth,
    in_base,
    streamed,
    streamed_book,
)
from dccd.sources.krakenfutures.rest import MARKETS

_DOCS = "https://docs.kraken.com/exchange/api-reference/futures-websocket/"
_PRODUCTS = re.compile(r"\w+")
_TROUBLES = ("alert", "error", "subscribed_failed", "unsubscribed_failed")
_QUIET = ("info", "unsubscribed")


class _Told(msgspec.Struct):
    """Any message: of a feed, or about one or the connection."""

    feed: str = ""
    product_id: str = ""
    event: str = ""
    message: str = ""
    product_ids: list[str] = []


class _Trade(msgspec.Struct, gc=False):
    time: int
    price: float
    qty: float
    side: Literal["buy", "sell"]
    uid: str


class _Trades(msgspec.Struct):
    trades: list[_Trade]


class _Level(msgspec.Struct, gc=False):
    price: Decimal
    qty: Decimal


class _Book(msgspec.Struct):
    bids: list[_Level]
    asks: list[_Level]
    timestamp: int
    seq: int


class _Changed(msgspec.Struct):
    side: Literal["buy", "sell"]
    price: Decimal
    qty: Decimal
    seq: int
    timestamp: int | None = None  # since 2019


_told = msgspec.json.Decoder(_Told)
_trade = msgspec.json.Decoder(_Trade)
_trades = msgspec.json.Decoder(_Trades)
_book = msgspec.json.Decoder(_Book)
_changed = msgspec.json.Decoder(_Changed)


class _Dialect:
    """Each product is asked for alone: what is refused is told by its name, whatever was asked of it."""

    def __init__(self, targets: Mapping[Channel, Target]) -> None:
        self._targets = targets
        self._asked: list[Channel] = []

    def subscribe(self, channels: Sequence[Channel]) -> Sequence[str]:
        self._asked += channels
        return [_say("subscribe", channel) for channel in channels]

    def unsubscribe(self, channels: Sequence[Channel]) -> Sequence[str]:
        return [_say("unsubscribe", channel) for channel in channels]

    def read(self, frame: bytes) -> Sequence[Message]:
        told = _told.decode(frame)
        if told.event:
            return self._of_event(told)
        channel = Channel(told.feed.removesuffix("_snapshot"), told.product_id)
        target = self._targets.get(channel)
        if target is None:
            return [Unknown(told.feed or "nameless")]
        match told.feed:
            case "trade":
                return [_rows(channel, target, [_trade.decode(frame)])]
            case "trade_snapshot":  # the newest first
                return [_rows(channel, target, _trades.decode(frame).trades[::-1])]
            case "book":
                return [Change(channel, _update(target, _changed.decode(frame)))]
        return [Change(channel, _whole(target, _book.decode(frame)))]

    def _of_event(self, told: _Told) -> Sequence[Message]:
        if told.event == "subscribed":
            told_of = [Channel(told.feed, product) for product in told.product_ids]
            self._asked = [channel for channel in self._asked if channel not in told_of]
            return [Subscribed(channel) for channel in told_of if channel in self._targets]
        if told.event in _TROUBLES:
            return [self._refused(told)]
        return [] if told.event in _QUIET else [Unknown(told.event)]

    def _refused(self, told: _Told) -> Message:
        words = told.message or told.event
        if words == "rate_limited":
            raise Throttled(f"Kraken Futures asked for fewer messages ({words!r}).", None)
        named = {*told.product_ids, *_PRODUCTS.findall(words)}
        for channel in self._asked:
            if channel.symbol in named and told.feed in ("", channel.name):
                self._asked.remove(channel)
                return Refused(channel, words)
        return Refused(None, words)


def _say(event: str, channel: Channel) -> str:
    message = {"event": event, "feed": channel.name, "product_ids": [channel.symbol]}
    return msgspec.json.encode(message).decode()


def _rows(channel: Channel, target: Target, trades: Sequence[_Trade]) -> Message:
    """As over REST; the side is the taker's."""
    found = columns(trades, "price", "side", ts="time", tid="uid")
    return Rows(channel, {**found, "amount": in_base(target, [trade.qty for trade in trades])})


def _levels(target: Target, told: Sequence[_Level | _Changed]) -> list[Level]:
    worth = contract_worth(target)
    return [Level(f"{one.price:f}", f"{one.qty * worth:f}") for one in told]


def _whole(target: Target, book: _Book) -> BookUpdate:
    bids, asks = _levels(target, book.bids), _levels(target, book.asks)
    return BookUpdate(bids, asks, ts_ns=book.timestamp * MS_NS, is_snapshot=True, seq=book.seq)


def _update(target: Target, told: _Changed) -> BookUpdate:
    """One level; numbers rise by one."""
    levels = _levels(target, [told])
    return BookUpdate(
        bids=levels if told.side == "buy" else [],
        asks=levels if told.side == "sell" else [],
        ts_ns=None if told.timestamp is None else told.timestamp * MS_NS,
        seq=told.seq,
        follows=told.seq - 1,
    )


# It names no most of feeds; whole books are long, so that not too many share a connection, which may send a
# hundred messages a second. WebSocket's own pings, which it wants each minute, are sent anyway.
_FEED = dict.fromkeys(
    MARKETS,
    Feed(host="live", path="/ws/v1", dialect=_Dialect, channels_max=200, messages_per_s=20.0),
)


STREAMS = {
    DataType.TRADES: Stream(feeds=_FEED, channel=lambda target: Channel("trade", target.instrument.native)),
    DataType.BOOK_UPDATES: Stream(
        feeds=_FEED, channel=lambda target: Channel("book", target.instrument.native)
    ),
}
CAPABILITIES = (
    streamed(DataType.TRADES, _DOCS + "trade", _FEED, evidence=Evidence.RECORDED),
    *streamed_book(_DOCS + "book", _FEED, evidence=Evidence.RECORDED),
)
