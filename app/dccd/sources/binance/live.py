"""Binance as it happens: aggregate trades, bars and books of all three markets.

Documentation: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams, and
websocket-market-streams of both futures under https://developers.binance.com/docs/derivatives/. On which path
USDⓈ-M tells a stream is in Important-WebSocket-Change-Notice beside its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count

import msgspec

from dccd.domain.book import BookUpdate, Level
from dccd.domain.errors import ExchangeUnavailable
from dccd.domain.records import Columns
from dccd.domain.timeutils import MS_NS, US_NS
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
from dccd.sources.binance.histories import book_request, worth

_DOCS = "https://developers.binance.com/docs/"
_SPOT_DOCS = _DOCS + "binance-spot-api-docs/web-socket-streams"
_LINEAR_DOCS = _DOCS + "derivatives/usds-margined-futures/websocket-market-streams/"
_FUTURES_SPANS = (
    "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1mo",
)  # fmt: skip
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


class _Trade(msgspec.Struct, gc=False):
    a: int
    p: float
    q: float
    T: int
    m: bool


class _Bar(msgspec.Struct, gc=False):
    t: int
    T: int
    o: float
    h: float
    l: float  # noqa: E741
    c: float
    v: float
    q: float
    n: int
    V: float
    Q: float
    x: bool


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
_trade = msgspec.json.Decoder(_Trade, strict=False)
_kline = msgspec.json.Decoder(_Kline, strict=False)
_depth = msgspec.json.Decoder(_Depth)
_snapshot = msgspec.json.Decoder(_Snapshot)


class _Dialect:
    """Streams are asked for many at a time, and accepted or refused together, by the message's number."""

    def __init__(self, unit_ns: int, targets: Mapping[Channel, Target]) -> None:
        self._unit_ns, self._targets = unit_ns, targets
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
        match channel.name:
            case "aggTrade":
                return [Rows(channel, self._of_trade(_trade.decode(told.data)))]
            case "kline":
                return [self._of_bar(channel, _kline.decode(told.data).k)]
            case "depth":
                return [Change(channel, self._of_book(_depth.decode(told.data)))]
        return [Unknown(channel.name)]

    def _answer(self, told: _Told) -> Sequence[Message]:
        words = told.error.msg if told.error else told.msg
        if told.id is None or told.id not in self._asked:
            return [Refused(None, words)] if words else [Unknown("answer")]
        asked = self._asked.pop(told.id)
        return [Refused(channel, words) if words else Subscribed(channel) for channel in asked]

    def _of_trade(self, trade: _Trade) -> Columns:
        """An aggregate trade; `m` says that the buyer was the maker, so the taker sold."""
        return {
            "ts": [trade.T * self._unit_ns],
            "price": [trade.p],
            "amount": [trade.q],
            "side": ["sell" if trade.m else "buy"],
            "tid_num": [trade.a],
        }

    def _of_bar(self, channel: Channel, bar: _Bar) -> Message:
        """A state of a bar, the last one once `x` says so."""
        volume, quote, buy, buy_quote = [bar.v], [bar.q], [bar.V], [bar.Q]
        target = self._targets.get(channel)
        if target is None:
            return Unknown("kline of another symbol")
        columns: Columns = {
            "ts": [bar.t * self._unit_ns],
            "open": [bar.o],
            "high": [bar.h],
            "low": [bar.l],
            "close": [bar.c],
            "volume": volume,
            "quote_volume": quote,
            "trades": [bar.n],
            "taker_buy_volume": buy,
            "taker_buy_quote_volume": buy_quote,
        }
        if target.instrument.market is Market.INVERSE:
            # Contracts where others give base, and base where others give quote.
            columns = {
                **columns,
                "volume": quote,
                "quote_volume": worth(target, volume),
                "taker_buy_volume": buy_quote,
                "taker_buy_quote_volume": worth(target, buy),
            }
        return Rows(channel, columns, open_from_ns=(bar.T + 1 if bar.x else bar.t) * self._unit_ns)

    def _of_book(self, book: _Depth) -> BookUpdate:
        """Spot numbers every change without a hole; the futures tell the last of the message before."""
        return BookUpdate(
            bids=book.b,
            asks=book.a,
            ts_ns=(book.E if book.T is None else book.T) * self._unit_ns,
            seq=book.u,
            follows=book.U - 1 if book.pu is None else book.pu,
        )


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
        dialect=partial(_Dialect, US_NS if spot else MS_NS),
        channels_max=1024 if spot else 200,
        messages_per_s=4 if spot else 8,
    )


_SPOT = _feed(Market.SPOT, "/stream?timeUnit=MICROSECOND")
_INVERSE = _feed(Market.INVERSE, "/stream")
# USDⓈ-M tells each kind on a path of its own: on another one it accepts a subscription and stays mute.
_MARKET = {
    Market.SPOT: _SPOT,
    Market.LINEAR: _feed(Market.LINEAR, "/market/stream"),
    Market.INVERSE: _INVERSE,
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
_FUTURES = (Market.LINEAR, Market.INVERSE)
_RECORDED = Evidence.RECORDED
CAPABILITIES = (
    streamed(DataType.TRADES, _SPOT_DOCS + "#aggregate-trade-streams", Market, evidence=_RECORDED),
    streamed(
        DataType.OHLC,
        _SPOT_DOCS + "#klinecandlestick-streams-for-utc",
        (Market.SPOT,),
        spans=("1s", *_FUTURES_SPANS),
        evidence=_RECORDED,
    ),
    streamed(
        DataType.OHLC,
        _LINEAR_DOCS + "Kline-Candlestick-Streams",
        _FUTURES,
        spans=_FUTURES_SPANS,
        evidence=_RECORDED,
    ),
    *streamed_book(
        _SPOT_DOCS + "#diff-depth-stream", (Market.SPOT,), _DEPTHS[Market.SPOT], evidence=_RECORDED
    ),
    *streamed_book(
        _LINEAR_DOCS + "How-to-manage-a-local-order-book-correctly",
        _FUTURES,
        _DEPTHS[Market.LINEAR],
        evidence=_RECORDED,
    ),
)
