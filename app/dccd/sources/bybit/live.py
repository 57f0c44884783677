"""Bybit as it happens: trades, bars and books, over the public streams of the V5 API.

Documentation: https://bybit-exchange.github.io/docs/v5/ws/connect (limits, pings, answers), and of what comes
https://bybit-exchange.github.io/docs/v5/websocket/public/trade, kline and orderbook beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

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
    columns,
    deep_enough,
    streamed,
    streamed_book,
)
from dccd.sources.bybit.rest import SIDES, SPANS, bar_columns

_DOCS = "https://bybit-exchange.github.io/docs/v5/websocket/public/"
_DEPTHS = (1, 50, 200, 1000)
_QUIET = ("unsubscribe", "ping", "pong")


class _Told(msgspec.Struct):
    """Any message: of a topic, or the answer to an `op`."""

    topic: str = ""
    type: str = ""
    ts: int = 0
    cts: int = 0
    data: msgspec.Raw = msgspec.Raw(b"")
    op: str = ""
    success: bool = True
    ret_msg: str = ""
    req_id: str = ""


class _Trade(msgspec.Struct, gc=False):
    T: int
    S: str
    v: float
    p: float
    i: str


class _Bar(msgspec.Struct, gc=False):
    start: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    turnover: float
    confirm: bool


class _Book(msgspec.Struct):
    b: list[Level]
    a: list[Level]
    u: int


_told = msgspec.json.Decoder(_Told, strict=False)
_trades = msgspec.json.Decoder(list[_Trade], strict=False)
_bars = msgspec.json.Decoder(list[_Bar], strict=False)
_book = msgspec.json.Decoder(_Book)


class _Dialect:
    """Each topic is asked for alone, as one that is wrong has all of its request refused."""

    def __init__(self, targets: Mapping[Channel, Target]) -> None:
        self._targets = targets
        self._asked: dict[str, Channel] = {}

    def subscribe(self, channels: Sequence[Channel]) -> Sequence[str]:
        self._asked |= {_topic(channel): channel for channel in channels}
        return [_say("subscribe", channel) for channel in channels]

    def unsubscribe(self, channels: Sequence[Channel]) -> Sequence[str]:
        return [_say("unsubscribe", channel) for channel in channels]

    def read(self, frame: bytes) -> Sequence[Message]:
        told = _told.decode(frame)
        if not told.topic:
            return self._answer(told)
        channel = _channel(told.topic)
        match channel.name:
            case "publicTrade":
                trades = _trades.decode(told.data)
                sides = [SIDES[trade.S] for trade in trades]
                found = columns(trades, ts="T", price="p", amount="v", tid="i")
                return [Rows(channel, {**found, "side": sides})]
            case "kline":
                return [self._of_bars(channel, _bars.decode(told.data))]
            case "orderbook":
                return [Change(channel, _update(told, _book.decode(told.data)))]
        return [Unknown(channel.name)]

    def _answer(self, told: _Told) -> Sequence[Message]:
        """An answer carries its request's id, which is the topic; without one it is to the oldest request."""
        if told.op == "subscribe":
            channel = self._asked.pop(told.req_id or next(iter(self._asked), ""), None)
            if channel is not None:
                return [Subscribed(channel) if told.success else Refused(channel, told.ret_msg)]
        if not told.success:
            return [Refused(None, told.ret_msg)]
        return [] if told.op in _QUIET else [Unknown(told.op or "nameless")]

    def _of_bars(self, channel: Channel, bars: Sequence[_Bar]) -> Message:
        """States of bars, each of which says whether it is closed."""
        still_open = [bar.start * MS_NS for bar in bars if not bar.confirm]
        market = self._targets[channel].instrument.market
        return Rows(channel, bar_columns(market, bars, ts="start"), min(still_open, default=None))


def _topic(channel: Channel) -> str:
    return ".".join(filter(None, (channel.name, channel.detail, channel.symbol)))


def _say(op: str, channel: Channel) -> str:
    topic = _topic(channel)
    return msgspec.json.encode({"op": op, "args": [topic], "req_id": topic}).decode()


def _channel(topic: str) -> Channel:
    """From ``publicTrade.BTCUSDT`` or ``kline.1.BTCUSDT``."""
    name, _, rest = topic.partition(".")
    detail, _, symbol = rest.rpartition(".")
    return Channel(name, symbol, detail)


def _update(told: _Told, book: _Book) -> BookUpdate:
    """A number of one is a snapshot, whatever it is called: the service has begun anew."""
    is_snapshot = told.type == "snapshot" or book.u == 1
    return BookUpdate(
        bids=book.b,
        asks=book.a,
        ts_ns=(told.cts or told.ts) * MS_NS,
        is_snapshot=is_snapshot,
        seq=book.u,
        follows=None if is_snapshot else book.u - 1,
    )


# Topics of a connection may have 21,000 characters, which are 500 of the longest; so many keep its messages
# far from what it can carry.
_FEEDS = {
    market: Feed(
        host="live",
        path=f"/v5/public/{market}",
        dialect=_Dialect,
        channels_max=200,
        messages_per_s=20.0,
        ping='{"op":"ping"}',
    )
    for market in Market
}


def _stream(name: str, detail: Callable[[Target], str] = lambda _: "") -> Stream:
    return Stream(
        feeds=_FEEDS, channel=lambda target: Channel(name, target.instrument.native, detail(target))
    )


STREAMS = {
    DataType.TRADES: _stream("publicTrade"),
    DataType.OHLC: _stream("kline", lambda target: SPANS[str(target.span)]),
    DataType.BOOK_UPDATES: _stream("orderbook", lambda target: str(deep_enough(_DEPTHS, target.depth))),
}
CAPABILITIES = (
    streamed(DataType.TRADES, _DOCS + "trade", _FEEDS, evidence=Evidence.RECORDED),
    streamed(DataType.OHLC, _DOCS + "kline", _FEEDS, spans=SPANS, evidence=Evidence.RECORDED),
    *streamed_book(_DOCS + "orderbook", _FEEDS, _DEPTHS, evidence=Evidence.RECORDED),
)
