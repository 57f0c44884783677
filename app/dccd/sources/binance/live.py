"""Binance as it happens: aggregate trades, bars and books of all three markets.

Documentation: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams, and
websocket-market-streams of both futures under https://developers.binance.com/docs/derivatives/. On which path
USDⓈ-M tells a stream is in Important-WebSocket-Change-Notice beside its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count

import msgspec

from dccd.domain.book import BookUpdate, Level
from dccd.domain.errors import ExchangeUnavailable
from dccd.domain.timeutils import MS_NS
from dccd.domain.types import DataType, Evidence, Market
from dccd.sources.base import (
    BookStart,
    Change,
    Channel,
    Feed,
    Host,
    Message,
    Refused,
    Request,
    Response,
    Rows,
    Stream,
    Subscribed,
    Target,
    Unknown,
    deep_enough,
    streamed,
    streamed_book,
)
from dccd.sources.binance.common import FUTURES_SPANS
from dccd.sources.binance.histories import Bar, Trade, bar_columns, book_request, trade_columns, unit_ns_of

_DOCS = "https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams"
_SPANS = {
    Market.SPOT: ("1s", *FUTURES_SPANS),
    Market.LINEAR: FUTURES_SPANS,
    Market.INVERSE: FUTURES_SPANS,
}
# Levels of the snapshot a book begins with. Deeper ones are told of once they change, so it is deep: those
# wanted stay known when the best are taken away. The deepest of spot weighs five times as much as this.
_DEPTHS = {Market.SPOT: (1000, 5000), Market.LINEAR: (1000,), Market.INVERSE: (1000,)}
_ASKED_MAX = 100  # streams in one message; no most is documented


class _Error(msgspec.Struct):
    code: int
    msg: str


class _Told(msgspec.Struct):
    """Any message: of a stream, or the answer to a method."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")
    id: int | None = None
    error: _Error | None = None
    msg: str = ""


_BAR_FIELDS = {
    "ts": "t", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v", "close_ts": "T",
    "quote": "q", "trades": "n", "buy": "V", "buy_quote": "Q", "closed": "x",
}  # fmt: skip


class _Bar(Bar, array_like=False, rename=_BAR_FIELDS):
    """The same as an object; what is not repeated here would keep its long name."""

    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    close_ts: int
    quote: float
    trades: int
    buy: float
    buy_quote: float
    closed: bool


class _Kline(msgspec.Struct):
    k: _Bar


class _Depth(msgspec.Struct):
    E: int
    U: int
    u: int
    b: list[Level]
    a: list[Level]
    T: int | None = None  # of the futures: when it happened, and `E` when it was sent
    pu: int | None = None


class _Snapshot(msgspec.Struct):
    lastUpdateId: int
    bids: list[Level]
    asks: list[Level]
    T: int | None = None


_told = msgspec.json.Decoder(_Told)
_trade = msgspec.json.Decoder(Trade, strict=False)
_kline = msgspec.json.Decoder(_Kline, strict=False)
_depth = msgspec.json.Decoder(_Depth)
_snapshot = msgspec.json.Decoder(_Snapshot)


class _Dialect:
    """Streams are asked for many at a time, and accepted or refused together, by the message's number."""

    def __init__(self, targets: Mapping[Channel, Target]) -> None:
        self._targets = targets
        self._asked: dict[int, Sequence[Channel]] = {}
        self._numbers = count(1)

    def subscribe(self, channels: Sequence[Channel]) -> Sequence[str]:
        return self._say("SUBSCRIBE", channels)

    def unsubscribe(self, channels: Sequence[Channel]) -> Sequence[str]:
        return self._say("UNSUBSCRIBE", channels)

    def _say(self, method: str, channels: Sequence[Channel]) -> Sequence[str]:
        texts = []
        for first in range(0, len(channels), _ASKED_MAX):
            some, number = channels[first : first + _ASKED_MAX], next(self._numbers)
            self._asked[number] = some if method == "SUBSCRIBE" else ()
            text = {"method": method, "params": [_stream(channel) for channel in some], "id": number}
            texts.append(msgspec.json.encode(text).decode())
        return texts

    def read(self, frame: bytes) -> Sequence[Message]:
        told = _told.decode(frame)
        if not told.stream:
            return self._answer(told)
        if told.stream == "!serverShutdown":
            raise ExchangeUnavailable("Binance is about to end the connection, as it shuts a server down.")
        channel = _channel(told.stream)
        target, reader = self._targets.get(channel), _READERS.get(channel.name)
        if target is None or reader is None:
            return [Unknown(channel.name or told.stream)]
        return [reader(channel, target, told.data)]

    def _answer(self, told: _Told) -> Sequence[Message]:
        words = told.error.msg if told.error else told.msg
        if told.id is None or told.id not in self._asked:
            return [Refused(None, words)] if words else [Unknown("answer")]
        asked = self._asked.pop(told.id)
        return [Refused(channel, words) if words else Subscribed(channel) for channel in asked]


def _of_trade(channel: Channel, target: Target, data: msgspec.Raw) -> Message:
    return Rows(channel, trade_columns(target, [_trade.decode(data)]))


def _of_bar(channel: Channel, target: Target, data: msgspec.Raw) -> Message:
    """A state of a bar, the last one once it says so."""
    bar = _kline.decode(data).k
    open_from = bar.close_ts + 1 if bar.closed else bar.ts
    return Rows(channel, bar_columns(target, [bar]), open_from_ns=open_from * unit_ns_of(target))


def _of_book(channel: Channel, target: Target, data: msgspec.Raw) -> Message:
    """Spot numbers every change without a hole; the futures tell the last of the message before."""
    book = _depth.decode(data)
    update = BookUpdate(
        bids=book.b,
        asks=book.a,
        ts_ns=(book.E if book.T is None else book.T) * unit_ns_of(target),
        seq=book.u,
        follows=book.U - 1 if book.pu is None else book.pu,
    )
    return Change(channel, update)


_READERS: Mapping[str, Callable[[Channel, Target, msgspec.Raw], Message]] = {
    "aggTrade": _of_trade,
    "kline": _of_bar,
    "depth": _of_book,
}


def _stream(channel: Channel) -> str:
    """A stream's name: ``btcusdt@aggTrade``, ``btcusdt@kline_1m``, ``btcusdt@depth@100ms``."""
    name, symbol, detail = channel
    return f"{symbol}@{name}" + (f"{'_' if name == 'kline' else '@'}{detail}" if detail else "")


def _channel(stream: str) -> Channel:
    symbol, _, rest = stream.partition("@")
    name, _, detail = rest.replace("_", "@", 1).partition("@")
    return Channel(name, symbol, detail)


def _feed(market: Market, path: str) -> Feed:
    """Of five messages a second on spot, ten on the futures, some are left for pings and pongs."""
    spot = market is Market.SPOT
    return Feed(
        host=f"{market} live",
        path=path,
        dialect=_Dialect,
        channels_max=1024 if spot else 200,
        messages_per_s=4 if spot else 8,
    )


# USDⓈ-M tells each kind on a path of its own: on another one it accepts a subscription and stays mute.
_MARKET = {
    Market.SPOT: _feed(Market.SPOT, "/stream?timeUnit=MICROSECOND"),
    Market.LINEAR: _feed(Market.LINEAR, "/market/stream"),
    Market.INVERSE: _feed(Market.INVERSE, "/stream"),
}
_PUBLIC = {**_MARKET, Market.LINEAR: _feed(Market.LINEAR, "/public/stream")}


def _named(name: str, target: Target, detail: str = "") -> Channel:
    return Channel(name, target.instrument.native.lower(), detail)


def _bars_of(target: Target) -> Channel:
    return _named("kline", target, "1M" if str(target.span) == "1mo" else str(target.span))


def _start_of(target: Target) -> Request:
    depth = deep_enough(_DEPTHS[target.instrument.market], target.depth)
    return book_request(Target(target.instrument, depth=depth))


def _parse_start(target: Target, response: Response) -> BookUpdate:
    book = _snapshot.decode(response.body)
    ts_ns = None if book.T is None else book.T * MS_NS
    return BookUpdate(book.bids, book.asks, ts_ns, is_snapshot=True, seq=book.lastUpdateId)


STREAMS = {
    DataType.TRADES: Stream(feeds=_MARKET, channel=lambda target: _named("aggTrade", target)),
    DataType.OHLC: Stream(feeds=_MARKET, channel=_bars_of),
    DataType.BOOK_UPDATES: Stream(
        feeds=_PUBLIC,
        channel=lambda target: _named("depth", target, "100ms"),
        start=BookStart(request=_start_of, parse=_parse_start),
    ),
}
HOSTS = {
    "spot live": Host("wss://stream.binance.com:9443", "live_url"),
    "linear live": Host("wss://fstream.binance.com", "futures_live_url"),
    "inverse live": Host("wss://dstream.binance.com", "delivery_live_url"),
}
_RECORDED = Evidence.RECORDED  # messages; the paths of USDⓈ-M and microseconds are newer than the recordings
_BARS = streamed(DataType.OHLC, _DOCS + "#klinecandlestick-streams-for-utc", Market, evidence=_RECORDED)
_BOOKS = streamed_book(_DOCS + "#diff-depth-stream", Market, _DEPTHS[Market.SPOT], evidence=_RECORDED)
CAPABILITIES = (
    streamed(DataType.TRADES, _DOCS + "#aggregate-trade-streams", Market, evidence=_RECORDED),
    _BARS.model_copy(update={"spans": _SPANS}),
    *(book.model_copy(update={"rows_max": {each: max(_DEPTHS[each]) for each in Market}}) for book in _BOOKS),
)
