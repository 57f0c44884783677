"""A stand-in for Bybit's public WebSocket streams, V5."""

import json
from collections.abc import Sequence
from typing import Any

from tests.exchanges.live.engine import Bar, Frame, Key, LiveStandIn, Peer, Trade

_INTERVALS = {
    "1m": "1", "3m": "3", "5m": "5", "15m": "15", "30m": "30", "1h": "60", "2h": "120", "4h": "240",
    "6h": "360", "12h": "720", "1d": "D", "1w": "W", "1mo": "M",
}  # fmt: skip
_DEPTHS = ("1", "50", "200", "1000")
_SPOT_ARGS_MAX = 10
_ARGS_CHARACTERS_MAX = 21_000
_SIDES = {"buy": "Buy", "sell": "Sell"}


class BybitLive(LiveStandIn):
    """One of Bybit's markets, with the contracts of `symbols`."""

    strange = '{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT"},"ts":1714564800000}'

    def __init__(self, market: str = "spot", symbols: Sequence[str] = ("BTCUSDT", "BTCUSD")) -> None:
        super().__init__()
        self.paths = (f"/v5/public/{market}",)
        self.market, self.symbols = market, symbols

    async def hear(self, peer: Peer, text: str) -> None:
        """See `LiveStandIn`."""
        message = json.loads(text)
        assert message.keys() <= {"op", "args", "req_id"}
        op, topics = message["op"], message.get("args", [])
        answer: dict[str, Any] = {"success": True, "ret_msg": op if self.market == "spot" else ""}
        answer |= {"conn_id": "2324d924", "op": op}
        if self.market != "spot" or "req_id" in message:
            answer["req_id"] = message.get("req_id", "")
        if op == "ping":
            await peer.send(json.dumps(answer | {"ret_msg": "pong"}))
            return
        if problem := self._problem(peer, topics):
            await self.refuse(peer, problem, answer | {"success": False, "ret_msg": problem})
            return
        if op == "unsubscribe":
            peer.keys -= set(topics)
            await peer.send(json.dumps(answer))
            return
        await peer.send(json.dumps(answer))
        for topic in topics:
            await self.accept(peer, topic)
            if topic.startswith("orderbook."):
                await peer.send(self._snapshot(topic))

    def _problem(self, peer: Peer, topics: list[str]) -> str:
        """One topic that is wrong is enough."""
        if self.market == "spot" and len(topics) > _SPOT_ARGS_MAX:
            return "args size >10"
        if len(json.dumps([*map(str, peer.keys), *topics])) > _ARGS_CHARACTERS_MAX:
            return "args length too long"
        for topic in topics:
            name, *details, symbol = topic.split(".")
            known = {"publicTrade": [""], "kline": _INTERVALS.values(), "orderbook": _DEPTHS}.get(name, ())
            if symbol not in self.symbols or ".".join(details) not in known:
                return f"error:handler not found,topic:{topic}"
        return ""

    def word_trade(self, symbol: str, trade: Trade) -> tuple[Key, Frame]:
        """See `LiveStandIn`."""
        ts = trade.ts_ns // 1_000_000
        row = {
            "i": f"22900000000{trade.tid}", "T": ts, "p": trade.price, "v": trade.amount,
            "S": _SIDES[trade.side], "s": symbol, "BT": False, "RPI": False, "seq": trade.tid,
        }  # fmt: skip
        key = f"publicTrade.{symbol}"
        return key, json.dumps({"topic": key, "ts": ts + 1, "type": "snapshot", "data": [row]})

    def word_bar(self, symbol: str, span: str, bar: Bar) -> tuple[Key, Frame]:
        """See `LiveStandIn`."""
        start = bar.ts_ns // 1_000_000
        worth = float(bar.close) if self.market != "inverse" else 1 / float(bar.close)
        row = {
            "start": start, "end": start + 59_999, "interval": _INTERVALS[span], "open": bar.open,
            "close": bar.close, "high": bar.high, "low": bar.low, "volume": bar.volume,
            "turnover": repr(float(bar.volume) * worth), "confirm": bar.closed, "timestamp": start + 1,
        }  # fmt: skip
        key = f"kline.{_INTERVALS[span]}.{symbol}"
        return key, json.dumps({"topic": key, "data": [row], "ts": start + 1, "type": "snapshot"})

    def is_book(self, key: Key, symbol: str) -> bool:
        """See `LiveStandIn`."""
        name, *_, last = str(key).split(".")
        return name == "orderbook" and last == symbol

    def _snapshot(self, topic: str) -> Frame:
        _, depth, symbol = topic.split(".")
        book = self.book(symbol)
        best = (dict(book.best(side, int(depth))) for side in ("bid", "ask"))
        return self.word_book(symbol, topic, *best, snapshot=True)

    def word_book(
        self, symbol: str, key: Key, bids: dict[str, str], asks: dict[str, str], *, snapshot: bool
    ) -> Frame:
        """See `LiveStandIn`; the best price alone always comes as a snapshot."""
        book = self.book(symbol)
        if str(key).startswith("orderbook.1."):
            bids, asks, snapshot = dict(book.best("bid", 1)), dict(book.best("ask", 1)), True
        told = {
            "s": symbol, "b": list(bids.items()), "a": list(asks.items()), "u": book.seq, "seq": 7 * book.seq,
        }  # fmt: skip
        kind = "snapshot" if snapshot else "delta"
        moment = 1_714_564_800_000 + book.seq
        return json.dumps({"topic": key, "ts": moment, "type": kind, "data": told, "cts": moment - 2})
