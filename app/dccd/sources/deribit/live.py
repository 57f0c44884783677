"""Deribit as it happens: trades, bars and books, over notifications of its JSON-RPC.

Documentation: https://docs.deribit.com/articles/notifications, https://docs.deribit.com/articles/rate-limits,
and of each channel a page under https://docs.deribit.com/subscriptions/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import count
from typing import Literal

import msgspec

from dccd.domain.book import BookUpdate, Level
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
from dccd.sources.deribit.rest import SPANS, Chart, Fault, Trade, bar_columns, trade_columns

_DOCS = "https://docs.deribit.com/subscriptions/"


class _Params(msgspec.Struct):
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")


class _Told(msgspec.Struct):
    """A notification, or the answer to the request of that id."""

    method: str = ""
    params: _Params = msgspec.field(default_factory=_Params)
    id: int = 0
    result: list[str] = []
    error: Fault | None = None


class _Bar(msgspec.Struct):
    """The fields of `Chart`, in their order."""

    tick: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    cost: float


class _Update(msgspec.Struct):
    type: Literal["snapshot", "change"]
    timestamp: int
    change_id: int
    bids: list[tuple[str, Decimal, Decimal]]
    asks: list[tuple[str, Decimal, Decimal]]
    prev_change_id: int | None = None


_told = msgspec.json.Decoder(_Told)
_trades = msgspec.json.Decoder(list[Trade])
_bar = msgspec.json.Decoder(_Bar)
_update = msgspec.json.Decoder(_Update)


class _Dialect:
    """Many channels are asked for at once; those that it does not have are missing in the answer."""

    def __init__(self, targets: Mapping[Channel, Target]) -> None:
        self._targets = targets
        self._asked: dict[int, Sequence[Channel]] = {}
        self._numbers = count(1)

    def subscribe(self, channels: Sequence[Channel]) -> Sequence[str]:
        number = next(self._numbers)
        self._asked[number] = channels
        return [_say(number, "subscribe", channels)]

    def unsubscribe(self, channels: Sequence[Channel]) -> Sequence[str]:
        return [_say(next(self._numbers), "unsubscribe", channels)]

    def read(self, frame: bytes) -> Sequence[Message]:
        told = _told.decode(frame)
        match told.method:
            case "subscription":
                return [self._notified(_channel(told.params.channel), told.params.data)]
            case "":
                return self._answered(told)
        return [] if told.method == "heartbeat" else [Unknown(told.method)]

    def _answered(self, told: _Told) -> Sequence[Message]:
        asked = self._asked.pop(told.id, ())
        if told.error is not None:
            words = f"{told.error.code} {told.error.message}"
            return [Refused(channel, words) for channel in asked or (None,)]
        words = "is not among the channels that are subscribed to"
        texts = {channel: _text(channel) for channel in asked}
        return [
            Subscribed(channel) if text in told.result else Refused(channel, f"{text} {words}")
            for channel, text in texts.items()
        ]

    def _notified(self, channel: Channel, data: msgspec.Raw) -> Message:
        match channel.name:
            case "trades":
                return Rows(channel, trade_columns(_trades.decode(data)))
            case "chart.trades":  # a state of a bar, which stays open until one comes of the next
                bar = _bar.decode(data)
                chart = Chart(*([value] for value in msgspec.structs.astuple(bar)))
                return Rows(channel, bar_columns(self._targets[channel], chart), bar.tick * MS_NS)
            case "book":
                return Change(channel, _of_book(_update.decode(data)))
        return Unknown(channel.name)


def _text(channel: Channel) -> str:
    return f"{channel.name}.{channel.symbol}.{channel.detail}"


def _channel(text: str) -> Channel:
    """From ``book.BTC-PERPETUAL.100ms`` or ``chart.trades.BTC-PERPETUAL.1D``."""
    rest, _, detail = text.rpartition(".")
    name, _, symbol = rest.rpartition(".")
    return Channel(name, symbol, detail)


def _say(number: int, verb: str, channels: Sequence[Channel]) -> str:
    params = {"channels": [_text(channel) for channel in channels]}
    said = {"jsonrpc": "2.0", "id": number, "method": f"public/{verb}", "params": params}
    return msgspec.json.encode(said).decode()


def _of_book(told: _Update) -> BookUpdate:
    """The amount of a level that is deleted is zero."""
    return BookUpdate(
        bids=[Level(str(price), str(amount)) for _, price, amount in told.bids],
        asks=[Level(str(price), str(amount)) for _, price, amount in told.asks],
        ts_ns=told.timestamp * MS_NS,
        is_snapshot=told.type == "snapshot",
        seq=told.change_id,
        follows=told.prev_change_id,
    )


# It names no most; so many keep a message below the 32 kB of a frame. Of messages that subscribe ten come in
# three seconds.
_FEED = Feed(host="live", path="/ws/api/v2", dialect=_Dialect, channels_max=200, messages_per_s=3.0)
_FEEDS = dict.fromkeys(Market, _FEED)


def _stream(name: str) -> Stream:
    return Stream(feeds=_FEEDS, channel=lambda target: Channel(name, target.instrument.native, "100ms"))


def _bar_channel(target: Target) -> Channel:
    return Channel("chart.trades", target.instrument.native, SPANS[str(target.span)])


STREAMS = {
    DataType.TRADES: _stream("trades"),
    DataType.OHLC: Stream(feeds=_FEEDS, channel=_bar_channel),
    DataType.BOOK_UPDATES: _stream("book"),
}
_OF_TRADES = _DOCS + "trades/tradesinstrument_nameinterval"
_OF_BARS = _DOCS + "market-data/charttradesinstrument_nameresolution"
_OF_BOOKS = _DOCS + "orderbook/bookinstrument_nameinterval"
CAPABILITIES = (
    streamed(DataType.TRADES, _OF_TRADES, _FEEDS, evidence=Evidence.RECORDED),
    streamed(DataType.OHLC, _OF_BARS, _FEEDS, spans=SPANS, evidence=Evidence.RECORDED),
    *streamed_book(_OF_BOOKS, _FEEDS, evidence=Evidence.RECORDED),
)
