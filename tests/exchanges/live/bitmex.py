"""A stand-in for BitMEX's WebSocket API, as https://www.bitmex.com/app/wsAPI says it answers."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tests.exchanges.live.engine import Bar, Frame, Key, LiveStandIn, Peer, Trade

_TABLES = ("trade", "tradeBin1m", "tradeBin5m", "tradeBin1h", "tradeBin1d", "orderBookL2")
_SPAN_NS = {"1m": 60 * 10**9, "5m": 300 * 10**9, "1h": 3600 * 10**9, "1d": 86_400 * 10**9}


class BitmexLive(LiveStandIn):
    """BitMEX's contracts of `worth`: what one is in base by symbol, None where it is inverse.

    Attributes
    ----------
    tells_prices
        Whether changes of a book carry prices, as they do since 2023.
    """

    paths = ("/realtime",)
    strange = '{"table":"chat","action":"insert","data":[]}'

    def __init__(self, worth: dict[str, float | None] | None = None) -> None:
        super().__init__()
        self.worth = worth or {"XBTUSD": None, "XBTUSDT": 1e-6, "XBT_USDT": 1e-8}
        self.tells_prices = True
        self._ids: dict[tuple[str, str, str], int] = {}
        self._gone = 0
        self._action = "insert"

    async def greet(self, peer: Peer) -> None:
        """See `LiveStandIn`."""
        welcome = {
            "info": "Welcome to the BitMEX Realtime API.", "version": "2.0.0",
            "timestamp": "2026-01-26T08:17:40.000Z", "docs": "https://www.bitmex.com/app/wsAPI",
            "heartbeatEnabled": False, "limit": {}, "appName": "ws-feedhandler",
        }  # fmt: skip
        await peer.send(json.dumps(welcome))

    async def hear(self, peer: Peer, text: str) -> None:
        """See `LiveStandIn`."""
        if text == "ping":
            await peer.send("pong")
            return
        request = json.loads(text)
        assert request.keys() == {"op", "args"}
        for topic in request["args"]:
            table, _, symbol = topic.partition(":")
            if problem := self._problem(peer, request["op"], table, symbol):
                answer = {"status": 400, "error": problem, "meta": {}, "request": request}
                await self.refuse(peer, problem, answer)
                continue
            await peer.send(json.dumps({"success": True, request["op"]: topic, "request": request}))
            if request["op"] == "unsubscribe":
                peer.keys.discard((table, symbol))
                continue
            await self.accept(peer, (table, symbol))
            if table == "orderBookL2":
                sides = [dict(self.book(symbol).best(side)) for side in ("bid", "ask")]
                await peer.send(self.word_book(symbol, (table, symbol), *sides, snapshot=True))

    def _problem(self, peer: Peer, op: str, table: str, symbol: str) -> str:
        if table not in _TABLES:
            return f"Unknown table: {table}"
        if symbol not in self.worth:
            return "Unknown or expired symbol."
        if op == "subscribe" and (table, symbol) in peer.keys:
            return f"You are already subscribed to this topic: {table}:{symbol}"
        return ""

    def _home(self, symbol: str, contracts: str, price: str) -> float:
        worth = self.worth[symbol]
        return float(contracts) * (worth if worth is not None else 1 / float(price))

    def word_trade(self, symbol: str, trade: Trade) -> tuple[Key, Frame]:
        """See `LiveStandIn`."""
        home = self._home(symbol, trade.amount, trade.price)
        row = {
            "timestamp": _iso(trade.ts_ns), "symbol": symbol, "side": trade.side.capitalize(),
            "size": float(trade.amount), "price": float(trade.price), "tickDirection": "PlusTick",
            "trdMatchID": f"00000000-006d-1000-0000-{trade.tid:012d}", "grossValue": 1,
            "homeNotional": home, "foreignNotional": home * float(trade.price), "trdType": "Regular",
        }  # fmt: skip
        return ("trade", symbol), _table("trade", "insert", [row])

    async def bar(self, symbol: str, span: str, bar: Bar) -> None:
        """See `LiveStandIn`; an open one is not told."""
        if bar.closed:
            await super().bar(symbol, span, bar)

    def word_bar(self, symbol: str, span: str, bar: Bar) -> tuple[Key, Frame]:
        """See `LiveStandIn`; the time is its end."""
        home = self._home(symbol, bar.volume, bar.close)
        row = {
            "timestamp": _iso(bar.ts_ns + _SPAN_NS[span]), "symbol": symbol, "open": float(bar.open),
            "high": float(bar.high), "low": float(bar.low), "close": float(bar.close), "trades": bar.trades,
            "volume": float(bar.volume), "vwap": float(bar.close), "lastSize": 1, "turnover": 1,
            "homeNotional": home, "foreignNotional": home * float(bar.close),
        }  # fmt: skip
        table = f"tradeBin{span}"
        return (table, symbol), _table(table, "insert", [row])

    def is_book(self, key: Key, symbol: str) -> bool:
        """See `LiveStandIn`."""
        return key == ("orderBookL2", symbol)

    async def change(
        self, symbol: str, bids: dict[str, str], asks: dict[str, str], *, lost: bool = False
    ) -> None:
        """See `LiveStandIn`; what is deleted, updated and inserted are messages each."""
        book = self.book(symbol)
        kinds: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
        for place, (held, levels) in enumerate(((book.bids, bids), (book.asks, asks))):
            for price, amount in levels.items():
                known, gone = price in held, not float(amount)
                if known or not gone:
                    kind = "delete" if gone else "update" if known else "insert"
                    kinds.setdefault(kind, ({}, {}))[place][price] = amount
        for self._action, sides in kinds.items():
            await super().change(symbol, *sides, lost=lost)

    def word_book(
        self, symbol: str, key: Key, bids: dict[str, str], asks: dict[str, str], *, snapshot: bool
    ) -> Frame:
        """See `LiveStandIn`; ids mean nothing."""
        action = "partial" if snapshot else self._action
        sides = (("Buy", bids), ("Sell", asks))
        rows = [
            self._level(action, (symbol, side, price), amount)
            for side, levels in sides
            for price, amount in levels.items()
        ]
        told: dict[str, Any] = {"table": "orderBookL2", "action": action, "data": rows}
        if snapshot:
            told |= {"keys": ["symbol", "id", "side"], "types": {}, "filter": {"symbol": symbol}}
        return json.dumps(told)

    def _level(self, action: str, level: tuple[str, str, str], amount: str) -> dict[str, Any]:
        number = self._ids.setdefault(level, 50_000_000 + len(self._ids) * 7 + self._gone)
        if action == "delete":
            del self._ids[level]
            self._gone += 10**6
        symbol, side, price = level
        row: dict[str, Any] = {"symbol": symbol, "id": number, "side": side}
        if action != "delete":
            row["size"] = float(amount)
        if self.tells_prices or action in ("partial", "insert"):
            row["price"] = float(price)
        return row | {"timestamp": "2024-05-01T00:00:00.123Z", "transactTime": "2024-05-01T00:00:00.123Z"}


def _table(name: str, action: str, rows: Sequence[dict[str, Any]]) -> str:
    return json.dumps({"table": name, "action": action, "data": rows})


def _iso(ts_ns: int) -> str:
    moment = datetime.fromtimestamp(ts_ns // 10**9, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ts_ns % 10**9 // 10**6:03d}Z"
