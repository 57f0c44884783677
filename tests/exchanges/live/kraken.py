"""A stand-in for Kraken's WebSocket API, version 2."""

import json
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tests.exchanges.live.engine import Bar, Frame, Key, LiveStandIn, Peer, Trade

_MINUTES = {
    "1m": 1,
    "5m": 5,
    "15m": 15,
    "30m": 30,
    "1h": 60,
    "4h": 240,
    "1d": 1440,
    "1w": 10080,
    "15d": 21600,
}
_DEPTHS = (10, 25, 100, 500, 1000)
_PARAMS = {"trade": {"snapshot"}, "ohlc": {"interval", "snapshot"}, "book": {"depth", "snapshot"}}


class KrakenLive(LiveStandIn):
    """Kraken's pairs of `symbols`, in its websocket spelling."""

    paths = ("/v2",)

    def __init__(self, symbols: Sequence[str] = ("BTC/USD", "ETH/USD")) -> None:
        super().__init__()
        self.symbols = symbols
        self.wrong_checksums = 0

    async def greet(self, peer: Peer) -> None:
        """See `LiveStandIn`."""
        status = {"version": "2.0.10", "system": "online", "api_version": "v2", "connection_id": 1}
        await peer.send(json.dumps({"channel": "status", "type": "update", "data": [status]}))

    async def hear(self, peer: Peer, text: str) -> None:
        """See `LiveStandIn`."""
        message = json.loads(text)
        method = message["method"]
        if method == "ping":
            await peer.send(json.dumps({"method": "pong", "req_id": message.get("req_id")}))
            return
        params = dict(message["params"])
        name, symbols = params.pop("channel"), params.pop("symbol")
        for symbol in symbols:
            problem = self._problem(name, symbol, params)
            answer: dict[str, Any] = {
                "method": method,
                "req_id": message.get("req_id"),
                "success": not problem,
            }
            if problem:
                await self.refuse(peer, problem, answer | {"error": problem, "symbol": symbol})
                continue
            detail = params.get("depth") or params.get("interval")
            key = (name, symbol, detail)
            answer["result"] = {"channel": name, "symbol": symbol} | params
            if method == "unsubscribe":
                peer.keys.discard(key)
                await peer.send(json.dumps(answer))
                continue
            await self.accept(peer, key, json.dumps(answer))
            if name == "book":
                book = self.book(symbol)
                await peer.send(self.word_book(symbol, key, dict(book.best("bid", detail)),
                                               dict(book.best("ask", detail)), snapshot=True))  # fmt: skip

    def _problem(self, name: str, symbol: str, params: dict[str, Any]) -> str:
        if name not in _PARAMS:
            return "Channel not supported"
        if symbol not in self.symbols:
            return f"Currency pair not supported {symbol}"
        if not params.keys() <= _PARAMS[name]:
            return "Unsupported field for the given msg type"
        if name == "book" and params.get("depth") not in _DEPTHS:
            return "Subscription depth not supported"
        if name == "ohlc" and params.get("interval") not in _MINUTES.values():
            return "Subscription ohlc interval not supported"
        return ""

    def word_trade(self, symbol: str, trade: Trade) -> tuple[Key, Frame]:
        """See `LiveStandIn`."""
        row = (
            f'{{"symbol":"{symbol}","side":"{trade.side}","price":{trade.price},"qty":{trade.amount},'
            f'"ord_type":"limit","trade_id":{trade.tid},"timestamp":"{_iso(trade.ts_ns)}"}}'
        )
        return ("trade", symbol, None), f'{{"channel":"trade","type":"update","data":[{row}]}}'

    def word_bar(self, symbol: str, span: str, bar: Bar) -> tuple[Key, Frame]:
        """See `LiveStandIn`."""
        row = (
            f'{{"symbol":"{symbol}","open":{bar.open},"high":{bar.high},"low":{bar.low},"close":{bar.close},'
            f'"trades":{bar.trades},"volume":{bar.volume},"vwap":{bar.close},'
            f'"interval_begin":"{_iso(bar.ts_ns)}","interval":{_MINUTES[span]},"timestamp":"{_iso(bar.ts_ns)}"}}'
        )
        key = ("ohlc", symbol, _MINUTES[span])
        return key, f'{{"channel":"ohlc","type":"update","timestamp":"{_iso(bar.ts_ns)}","data":[{row}]}}'

    def is_book(self, key: Key, symbol: str) -> bool:
        """See `LiveStandIn`."""
        return isinstance(key, tuple) and key[:2] == ("book", symbol)

    def word_book(
        self, symbol: str, key: Key, bids: dict[str, str], asks: dict[str, str], *, snapshot: bool
    ) -> Frame:
        """See `LiveStandIn`."""
        book = self.book(symbol)
        best = book.best("ask", 10) + book.best("bid", 10)
        digits = "".join(text.replace(".", "").lstrip("0") for level in best for text in level)
        checksum = zlib.crc32(digits.encode())
        if self.wrong_checksums and not snapshot:
            self.wrong_checksums -= 1
            checksum ^= 1
        kind = "snapshot" if snapshot else "update"
        return (
            f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{symbol}","bids":[{_levels(bids)}],'
            f'"asks":[{_levels(asks)}],"checksum":{checksum},"timestamp":"2024-05-01T00:00:00.000001Z"}}]}}'
        )


def _levels(levels: dict[str, str]) -> str:
    return ",".join(f'{{"price":{price},"qty":{amount}}}' for price, amount in levels.items())


def _iso(ts_ns: int) -> str:
    moment = datetime.fromtimestamp(ts_ns // 10**9, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ts_ns % 10**9 // 1000:06d}Z"
