"""Bitfinex as it happens: trades, bars and books, over version 2 of its WebSocket API.

Documentation: https://docs.bitfinex.com/docs/ws-general (events, flags, errors, notices), …/docs/ws-public
(channels of a connection), …/docs/ws-websocket-checksum, and of what comes
https://docs.bitfinex.com/reference/ws-public-trades, …-candles and …-books.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest

import msgspec

from dccd.domain.book import BookUpdate, Level, OrderBook
from dccd.domain.errors import ExchangeUnavailable, NetworkError
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
    deep_enough,
    streamed,
    streamed_book,
)
from dccd.sources.bitfinex.rest import MARKETS, SPANS, Bar, Trade, bar_columns, trade_columns

_DOCS = "https://docs.bitfinex.com/reference/ws-public-"
_FLAGS = 32768 + 65536 + 131072  # a time, a number of each message, and checksums of books
_DEPTHS = (25, 100, 250)  # of a single level nobody says what its checksum is of
_SUMMED = 25  # levels a side that a checksum is of
_VERSION = 2
_QUIET = ("info", "conf", "unsubscribed", "pong")


class _Platform(msgspec.Struct):
    status: int = 1  # 0 is maintenance


class _Event(msgspec.Struct):
    """What is not of a channel; an answer repeats what was asked for."""

    event: str = ""
    channel: str = ""
    symbol: str = ""
    key: str = ""
    levels: str = msgspec.field(default="", name="len")
    chanId: int = 0
    code: int = 0
    msg: str = ""
    version: int = _VERSION
    platform: _Platform = msgspec.field(default_factory=_Platform)


_event = msgspec.json.Decoder(_Event)
_parts = msgspec.json.Decoder(list[msgspec.Raw])
_trades = msgspec.json.Decoder(list[Trade])
_bars = msgspec.json.Decoder(list[Bar])
_levels = msgspec.json.Decoder(list[tuple[msgspec.Raw, int, msgspec.Raw]])


class _Dialect:
    """A channel's messages carry a number for it, told with the answer to its subscription."""

    def __init__(self, targets: Mapping[Channel, Target]) -> None:
        self._targets = targets
        self._channels: dict[int, Channel] = {}
        self._newest_ns: dict[Channel, int] = {}
        self._number: int | None = None

    def subscribe(self, channels: Sequence[Channel]) -> Sequence[str]:
        return [_subscription(channel) for channel in channels]

    def unsubscribe(self, channels: Sequence[Channel]) -> Sequence[str]:
        known = [chan_id for chan_id, channel in self._channels.items() if channel in channels]
        return [_text({"event": "unsubscribe", "chanId": chan_id}) for chan_id in known]

    def read(self, frame: bytes) -> Sequence[Message]:
        if frame.startswith(b"{"):
            return self._of_event(_event.decode(frame))
        chan_id, *said = (bytes(part) for part in _parts.decode(frame))
        kind = said.pop(0).decode() if said[0].startswith(b'"') else ""
        payload = b"" if kind == '"hb"' else said.pop(0)
        self._count(said)
        channel = self._channels.get(int(chan_id))
        if channel is None:
            return [Unknown("of no channel")]
        match kind:
            case '"hb"' | '"tu"':  # what `tu` says was said by `te`, with the same id
                return []
            case '"te"':
                return [self._rows(channel, b"[%b]" % payload)]
            case '"cs"':
                return [Change(channel, BookUpdate((), (), _ts_ns(said), checksum=int(payload)))]
            case "" if channel.name == "book":
                rows, is_snapshot = _all(payload)
                return [Change(channel, _update(rows, _ts_ns(said), is_snapshot))]
            case "":
                return [self._rows(channel, _all(payload)[0])]
        return [Unknown(kind)]

    def _of_event(self, event: _Event) -> Sequence[Message]:
        channel = Channel(event.channel, event.key or event.symbol, event.levels)
        known = channel in self._targets
        match event.event:
            case "subscribed" if known:
                self._channels[event.chanId] = channel
                return [Subscribed(channel)]
            case "error":
                return [Refused(channel if known else None, f"{event.msg} ({event.code})")]
            case "info" if event.code or not event.platform.status:
                said = f"({event.code} {event.msg!r})" if event.code else "(maintenance)"
                raise ExchangeUnavailable(f"Bitfinex wants connections to begin anew {said}.")
            case "info" if event.version != _VERSION:
                raise ValueError(f"version {event.version} of the API")
            case "unsubscribed":
                self._channels.pop(event.chanId, None)
        return [] if event.event in _QUIET else [Unknown(event.event or "nameless")]

    def _count(self, said: Sequence[bytes]) -> None:
        """All messages of channels are numbered together, heartbeats too."""
        last, self._number = self._number, int(said[0]) if said else None
        if last is not None and self._number is not None and self._number != last + 1:
            raise NetworkError(f"Messages of Bitfinex are missing between {last} and {self._number}.")

    def _rows(self, channel: Channel, rows: bytes) -> Message:
        """Trades; or states of bars, of which the newest stays open until one comes of the next."""
        if channel.name == "trades":
            return Rows(channel, trade_columns(_trades.decode(rows)))
        bars = sorted(_bars.decode(rows), key=lambda bar: bar.ts)
        newest_ns = max([self._newest_ns.get(channel, 0), *(bar.ts * MS_NS for bar in bars)])
        self._newest_ns[channel] = newest_ns
        return Rows(channel, bar_columns(self._targets[channel], bars), open_from_ns=newest_ns)


def _text(message: dict[str, object]) -> str:
    return msgspec.json.encode(message).decode()


def _subscription(channel: Channel) -> str:
    asked: dict[str, object] = {"event": "subscribe", "channel": channel.name}
    match channel.name:
        case "candles":
            asked["key"] = channel.symbol
        case "book":
            asked |= {"symbol": channel.symbol, "prec": "P0", "freq": "F0", "len": channel.detail}
        case _:
            asked["symbol"] = channel.symbol
    return _text(asked)


def _all(payload: bytes) -> tuple[bytes, bool]:
    """The list of a payload's rows, and whether it is a snapshot: all else is one row."""
    is_snapshot = payload[1:2] in (b"[", b"]")
    return payload if is_snapshot else b"[%b]" % payload, is_snapshot


def _ts_ns(said: Sequence[bytes]) -> int | None:
    return int(said[1]) * MS_NS if len(said) > 1 else None


def _update(rows: bytes, ts_ns: int | None, is_snapshot: bool) -> BookUpdate:
    """Amounts of asks are negative, and a level of no orders is gone."""
    bids: list[Level] = []
    asks: list[Level] = []
    for price, count, amount in _levels.decode(rows):
        text = _number(amount)
        side = asks if text.startswith("-") else bids
        side.append(Level(_number(price), text.removeprefix("-") if count else "0", count))
    return BookUpdate(bids, asks, ts_ns, is_snapshot)


def _number(raw: msgspec.Raw) -> str:
    """A number as it is written, as the checksum is made of that."""
    text = bytes(raw).decode()
    float(text)
    return text


def checksum(book: OrderBook) -> int:
    """CRC32, signed, over the best levels: bid and ask by turns, each its price and amount."""
    bids = [f"{level.price}:{level.amount}" for level in book.best("bid", _SUMMED)]
    asks = [f"{level.price}:-{level.amount}" for level in book.best("ask", _SUMMED)]
    turns = chain.from_iterable(zip_longest(bids, asks))
    found = zlib.crc32(":".join(filter(None, turns)).encode())
    return found - (1 << 32) if found >= 1 << 31 else found


_FEED = dict.fromkeys(
    MARKETS,
    Feed(
        host="live",
        path="/ws/2",
        dialect=_Dialect,
        channels_max=25,
        greeting=(_text({"event": "conf", "flags": _FLAGS}),),
    ),
)


def _depth_of(target: Target) -> int:
    return deep_enough(_DEPTHS, target.depth)


STREAMS = {
    DataType.TRADES: Stream(feeds=_FEED, channel=lambda target: Channel("trades", target.instrument.native)),
    DataType.OHLC: Stream(
        feeds=_FEED,
        channel=lambda target: Channel(
            "candles", f"trade:{SPANS[str(target.span)]}:{target.instrument.native}"
        ),
    ),
    DataType.BOOK_UPDATES: Stream(
        feeds=_FEED,
        channel=lambda target: Channel("book", target.instrument.native, str(_depth_of(target))),
        checksum=checksum,
    ),
}
CAPABILITIES = (
    streamed(DataType.TRADES, _DOCS + "trades", MARKETS, evidence=Evidence.RECORDED),
    streamed(DataType.OHLC, _DOCS + "candles", MARKETS, spans=SPANS, evidence=Evidence.RECORDED),
    *streamed_book(_DOCS + "books", MARKETS, _DEPTHS, evidence=Evidence.RECORDED),
)
