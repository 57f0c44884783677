"""Stand-ins for Binance's streams: spot, USDⓈ-M and COIN-M, each with the snapshots its books begin with."""

import json
from collections.abc import Callable
from typing import Any, Self

from dccd.domain.span import Span
from tests.exchanges import engine
from tests.exchanges.live.engine import Bar, Frame, Key, LiveStandIn, Peer, Trade

_NOON_NS = 1_714_564_800 * 10**9  # 2024-05-01T12:00:00Z
_IDS = 7  # that a message of a book takes


class _Snapshots(engine.StandIn):
    """The one endpoint of REST that streams need: books as the streams have them."""

    def __init__(self, live: "BinanceLive") -> None:
        super().__init__()
        self._live = live

    def respond(self, request: engine.Request) -> engine.Response:
        """See `StandIn`."""
        live, symbol, limit = self._live, request.query["symbol"], int(request.query["limit"])
        assert request.path == live.depth_path
        assert limit <= live.levels_max
        if live.late:
            live.late -= 1
            return engine.Response(b'{"lastUpdateId":1,"bids":[],"asks":[]}')
        body: dict[str, Any] = {"lastUpdateId": live.book(symbol).seq * _IDS}
        if live.is_futures:
            body |= {"E": _NOON_NS // 1_000_000 + 8, "T": _NOON_NS // 1_000_000}
        bids, asks = (live.book(symbol).best(side, limit) for side in ("bid", "ask"))
        return engine.Response(json.dumps(body | {"bids": bids, "asks": asks}).encode())


class BinanceLive(LiveStandIn):
    """Spot; times are in milliseconds where a connection has not asked for microseconds.

    Attributes
    ----------
    depth_path
        Where REST has its books.
    levels_max
        Most levels of those.
    streams_max
        Most streams of a connection.
    nowhere
        Symbols that it refuses. Binance itself accepts a stream of a symbol that there is not, and refuses
        what is written wrong: so are refusals worded.
    late
        How many of the next snapshots are of long ago, when there were no orders.
    rest
        Serves the snapshots.
    """

    paths: tuple[str, ...] = ("/stream",)
    strange = '{"stream":"btcusdt@moonPhase","data":{"e":"moonPhase"}}'
    depth_path = "/api/v3/depth"
    levels_max = 5000
    streams_max = 1024
    is_futures = False
    nowhere = ("nixnix",)

    def __init__(self) -> None:
        super().__init__()
        self.late = 0
        self.rest = _Snapshots(self)

    async def __aenter__(self) -> Self:
        await self.rest.start()
        self.rest_url = self.rest.url
        return await super().__aenter__()

    async def __aexit__(self, *error: object) -> None:
        await self.rest.close()
        await super().__aexit__(*error)

    async def hear(self, peer: Peer, text: str) -> None:
        """See `LiveStandIn`."""
        message = json.loads(text)
        streams = set(message["params"])
        words = self._problem(message["method"], message.keys(), streams, peer)
        if words:
            error = {"code": 2, "msg": words}
            await self.refuse(peer, words, {"error": error, "id": message["id"]})
            return
        if message["method"] == "UNSUBSCRIBE":
            peer.keys -= streams
        else:
            peer.keys |= {stream for stream in streams if self.carries(_path(peer), stream)}
        await peer.send(json.dumps({"result": None, "id": message["id"]}))

    def _problem(self, method: str, fields: Any, streams: set[str], peer: Peer) -> str:
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            return f"Invalid request: unknown variant `{method}`"
        if fields != {"method", "params", "id"}:
            return "Invalid request: too many parameters"
        symbols = {stream.partition("@")[0] for stream in streams}
        if symbols & set(self.nowhere) or any(symbol != symbol.lower() for symbol in symbols):
            return "Invalid request: no such stream"
        return "Invalid request: too many streams" if len(peer.keys | streams) > self.streams_max else ""

    def carries(self, path: str, stream: str) -> bool:
        """Whether what is accepted on a path is sent there as well."""
        return True

    def word_trade(self, symbol: str, trade: Trade) -> tuple[Key, Frame]:
        """See `LiveStandIn`."""
        return self._frame(symbol, "aggTrade", lambda unit_ns: {
            "e": "aggTrade", "E": trade.ts_ns // unit_ns, "s": symbol, "a": trade.tid, "p": trade.price,
            "q": trade.amount, "f": 3 * trade.tid, "l": 3 * trade.tid + 2, "T": trade.ts_ns // unit_ns,
            "m": trade.side == "sell",
        })  # fmt: skip

    def word_bar(self, symbol: str, span: str, bar: Bar) -> tuple[Key, Frame]:
        """See `LiveStandIn`."""
        named = "1M" if span == "1mo" else span
        end_ns = Span.parse(span).next(bar.ts_ns)
        volume, quote = self.volumes(bar)
        return self._frame(symbol, f"kline_{named}", lambda unit_ns: {
            "e": "kline", "E": bar.ts_ns // unit_ns, "s": symbol, "k": {
                "t": bar.ts_ns // unit_ns, "T": end_ns // unit_ns - 1, "s": symbol, "i": named, "f": 1,
                "L": bar.trades, "o": bar.open, "c": bar.close, "h": bar.high, "l": bar.low, "v": volume,
                "n": bar.trades, "x": bar.closed, "q": quote, "V": volume, "Q": quote, "B": "0",
            },
        })  # fmt: skip

    def volumes(self, bar: Bar) -> tuple[str, str]:
        """Volume in base, and what it is worth in quote."""
        return bar.volume, repr(float(bar.volume) * float(bar.close))

    def is_book(self, key: Key, symbol: str) -> bool:
        """See `LiveStandIn`."""
        return key == f"{symbol.lower()}@depth@100ms"

    def word_book(
        self, symbol: str, key: Key, bids: dict[str, str], asks: dict[str, str], *, snapshot: bool
    ) -> Frame:
        """See `LiveStandIn`; snapshots come from `rest` alone."""
        assert not snapshot
        return self._frame(symbol, "depth@100ms", lambda unit_ns: {
            "e": "depthUpdate", "E": _NOON_NS // unit_ns, "s": symbol, **self.ids(self.book(symbol).seq),
            "b": list(bids.items()), "a": list(asks.items()),
        })[1]  # fmt: skip

    def ids(self, seq: int) -> dict[str, int]:
        """The first and the last id of a message of a book: they follow without a hole."""
        return {"U": (seq - 1) * _IDS + 1, "u": seq * _IDS}

    def _frame(self, symbol: str, name: str, data: Callable[[int], dict[str, Any]]) -> tuple[Key, Frame]:
        stream = f"{symbol.lower()}@{name}"

        def frame(peer: Peer) -> str:
            unit_ns = 1_000 if "timeUnit=MICROSECOND" in _path(peer) else 1_000_000
            return json.dumps({"stream": stream, "data": data(unit_ns)})

        return stream, frame


class BinanceFuturesLive(BinanceLive):
    """COIN-M: bars have their volume in contracts, and its worth in base where others have quote."""

    depth_path = "/dapi/v1/depth"
    levels_max = 1000
    streams_max = 200
    is_futures = True
    contract_size: float | None = 100.0

    def volumes(self, bar: Bar) -> tuple[str, str]:
        """See `BinanceLive`."""
        if self.contract_size is None:
            return super().volumes(bar)
        return bar.volume, repr(float(bar.volume) * self.contract_size / float(bar.close))

    def ids(self, seq: int) -> dict[str, int]:
        """Ids are of all books together, so that there are holes; `pu` is the message before."""
        return {"U": seq * _IDS - 2, "u": seq * _IDS, "pu": (seq - 1) * _IDS, "T": _NOON_NS // 1_000_000}


class BinanceLinearLive(BinanceFuturesLive):
    """USDⓈ-M: two paths, and an old one that goes on with what one of them has."""

    paths = ("/stream", "/public/stream", "/market/stream")
    depth_path = "/fapi/v1/depth"
    contract_size = None

    def carries(self, path: str, stream: str) -> bool:
        """See `BinanceLive`."""
        return ("@depth" in stream) == (not path.startswith("/market/"))


def _path(peer: Peer) -> str:
    assert peer.socket.request is not None
    return peer.socket.request.path
