"""Coinbase Exchange as it happens: trades and books of its public feed, which has no bars.

Documentation: https://docs.cdp.coinbase.com/exchange/websocket-feed/channels, and overview, rate-limits and
errors beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from dccd.domain.book import BookUpdate, Level
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
    Unknown,
    streamed,
    streamed_book,
)
from dccd.sources.coinbase.rest import SIDES, times_ns

_DOCS = "https://docs.cdp.coinbase.com/exchange/websocket-feed/channels"
_TRADES, _BOOK = "matches", "level2_batch"
# The last trade before the subscription comes first; it is of before anybody listened.
_QUIET = ("last_match", "heartbeat")
# What it calls a channel in its answers, where that is not what it is asked for as.
_NAMES = {"level2_50": _BOOK}
_PRODUCTS = re.compile(r"[\w-]+")


class _Listed(msgspec.Struct):
    name: str
    product_ids: list[str] = []


class _Told(msgspec.Struct):
    """Any message, by its type."""

    type: str
    product_id: str = ""
    message: str = ""
    reason: str = ""
    channels: list[_Listed] = []


class _Match(msgspec.Struct, gc=False):
    trade_id: int
    time: str
    price: float
    size: float
    side: str


class _Snapshot(msgspec.Struct):
    bids: list[Level]
    asks: list[Level]


class _Change(msgspec.Struct):
    changes: list[tuple[str, str, str]]
    time: str


_told = msgspec.json.Decoder(_Told)
_match = msgspec.json.Decoder(_Match, strict=False)
_snapshot = msgspec.json.Decoder(_Snapshot)
_change = msgspec.json.Decoder(_Change)


class _Dialect:
    """One product that is wrong has its whole message refused: so each is asked for by a message of its own.

    Answers carry no number. They list all that is subscribed to by then; errors name the product.
    """

    def __init__(self) -> None:
        self._asked: list[Channel] = []

    def subscribe(self, channels: Sequence[Channel]) -> Sequence[str]:
        self._asked += [channel for channel in channels if channel not in self._asked]
        return [_say("subscribe", channel) for channel in channels]

    def unsubscribe(self, channels: Sequence[Channel]) -> Sequence[str]:
        self._asked = [channel for channel in self._asked if channel not in channels]
        return [_say("unsubscribe", channel) for channel in channels]

    def read(self, frame: bytes) -> Sequence[Message]:
        told = _told.decode(frame)
        match told.type:
            case "match":
                return [_of_match(told.product_id, _match.decode(frame))]
            case "snapshot":
                book = _snapshot.decode(frame)
                update = BookUpdate(book.bids, book.asks, is_snapshot=True)
                return [Change(Channel(_BOOK, told.product_id), update)]
            case "l2update":
                return [Change(Channel(_BOOK, told.product_id), _of_change(_change.decode(frame)))]
            case "subscriptions":
                names = [(_NAMES.get(one.name, one.name), one.product_ids) for one in told.channels]
                return self._accepted([Channel(name, product) for name, ids in names for product in ids])
            case "error":
                return [self._refused(": ".join(filter(None, (told.message, told.reason))))]
        return [] if told.type in _QUIET else [Unknown(told.type)]

    def _accepted(self, listed: Sequence[Channel]) -> Sequence[Message]:
        found = [channel for channel in self._asked if channel in listed]
        self._asked = [channel for channel in self._asked if channel not in listed]
        return [Subscribed(channel) for channel in found]

    def _refused(self, words: str) -> Message:
        named = [channel for channel in self._asked if channel.symbol in _PRODUCTS.findall(words)]
        if not named:
            return Refused(None, words)
        self._asked.remove(named[0])
        return Refused(named[0], words)


def _say(method: str, channel: Channel) -> str:
    channels = [{"name": channel.name, "product_ids": [channel.symbol]}]
    return msgspec.json.encode({"type": method, "channels": channels}).decode()


def _of_match(product: str, trade: _Match) -> Message:
    return Rows(
        Channel(_TRADES, product),
        {
            "ts": times_ns([trade.time]),
            "price": [trade.price],
            "amount": [trade.size],
            "side": [SIDES[trade.side]],
            "tid_num": [trade.trade_id],
        },
    )


def _of_change(told: _Change) -> BookUpdate:
    (ts_ns,) = times_ns([told.time])
    sides: dict[str, list[Level]] = {"buy": [], "sell": []}
    for side, price, amount in told.changes:
        sides[side].append(Level(price, amount))
    # The year 1 has been told where no time was known.
    return BookUpdate(sides["buy"], sides["sell"], ts_ns=ts_ns if ts_ns > 0 else None)


# It names no most; books come whole, some of megabytes, so that a connection has not too many of them. Of a
# hundred messages a second by address, ten leave room for other connections.
_FEED = {
    Market.SPOT: Feed(
        host="live", path="/", dialect=lambda _: _Dialect(), channels_max=100, messages_per_s=10
    )
}


STREAMS = {
    DataType.TRADES: Stream(feeds=_FEED, channel=lambda target: Channel(_TRADES, target.instrument.native)),
    DataType.BOOK_UPDATES: Stream(
        feeds=_FEED, channel=lambda target: Channel(_BOOK, target.instrument.native)
    ),
}
CAPABILITIES = (
    streamed(DataType.TRADES, _DOCS + "#matches-channel", _FEED, evidence=Evidence.RECORDED),
    *streamed_book(_DOCS + "#level2-batch-channel", _FEED, evidence=Evidence.RECORDED),
)
