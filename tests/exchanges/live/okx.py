"""A stand-in for OKX's public WebSocket streams, V5."""

import json
from typing import Any

from tests.exchanges.live.engine import Bar, Frame, Key, LiveStandIn, Peer, Trade

_BARS = {
    "1m": "1m", "3m": "3m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1H", "2h": "2H", "4h": "4H",
    "6h": "6Hutc", "12h": "12Hutc", "1d": "1Dutc", "1w": "1Wutc", "1mo": "1Mutc",
}  # fmt: skip
# What one contract is worth: base of linear ones, USD of inverse ones.
_CONTRACTS = {"BTC-USDT": 1.0, "BTC-USDT-SWAP": 0.01, "BTC-USD-SWAP": 100.0}
_REQUESTS_MAX = 480
_ARGS_BYTES_MAX = 64 << 10


class OkxLive(LiveStandIn):
    """A spot pair, a linear and an inverse contract."""

    paths = ("/ws/v5/public", "/ws/v5/business")
    strange = '{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"last":"1"}]}'

    async def hear(self, peer: Peer, text: str) -> None:
        """See `LiveStandIn`."""
        if text == "ping":
            await peer.send("pong")
            return
        message = json.loads(text)
        assert message.keys() <= {"id", "op", "args"}
        told = {"id": message["id"]} if "id" in message else {}
        peer.notes["requests"] = peer.notes.get("requests", 0) + 1
        if peer.notes["requests"] > _REQUESTS_MAX or len(text) > _ARGS_BYTES_MAX:
            problem = "Requests too frequent"
            await self.refuse(peer, problem, told | {"event": "error", "code": "60014", "msg": problem})
            return
        for arg in message["args"]:
            key = (arg["channel"], arg["instId"])
            if problem := self._problem(peer, *key):
                error = {"event": "error", "code": "60018", "msg": problem, "connId": "a4d3ae55"}
                await self.refuse(peer, problem, told | error)
                continue
            answer = json.dumps(told | {"event": message["op"], "arg": arg, "connId": "a4d3ae55"})
            if message["op"] == "unsubscribe":
                peer.keys.discard(key)
                await peer.send(answer)
                continue
            await self.accept(peer, key, answer)
            if key[0] == "books":
                book = self.book(key[1])
                best = (dict(book.best(side, 400)) for side in ("bid", "ask"))
                await peer.send(self.word_book(key[1], key, *best, snapshot=True))

    def _problem(self, peer: Peer, channel: str, symbol: str) -> str:
        request = peer.socket.request
        assert request is not None
        public = {"books", "trades"}
        business = {"trades-all", *(f"candle{bar}" for bar in _BARS.values())}
        if channel in (public if request.path.endswith("public") else business) and symbol in _CONTRACTS:
            return ""
        return (
            f"Wrong URL or channel:{channel},instId:{symbol} doesn't exist. "
            "Please use the correct URL, channel and parameters referring to API document."
        )

    def word_trade(self, symbol: str, trade: Trade) -> tuple[Key, Frame]:
        """See `LiveStandIn`."""
        row = {
            "instId": symbol, "tradeId": str(trade.tid), "px": trade.price, "sz": trade.amount,
            "side": trade.side, "ts": str(trade.ts_ns // 1_000_000), "source": "0", "seqId": trade.tid,
        }  # fmt: skip
        return _push("trades-all", symbol, [row])

    def word_bar(self, symbol: str, span: str, bar: Bar) -> tuple[Key, Frame]:
        """See `LiveStandIn`."""
        close, count = float(bar.close), float(bar.volume)
        worth = count * _CONTRACTS[symbol]
        base = worth / close if symbol == "BTC-USD-SWAP" else worth
        volumes = [bar.volume, repr(base), repr(base * close)]
        if symbol == "BTC-USDT":
            volumes[1] = volumes[2]
        row = [
            str(bar.ts_ns // 1_000_000), bar.open, bar.high, bar.low, bar.close, *volumes,
            str(int(bar.closed)),
        ]  # fmt: skip
        return _push(f"candle{_BARS[span]}", symbol, [row])

    def is_book(self, key: Key, symbol: str) -> bool:
        """See `LiveStandIn`."""
        return key == ("books", symbol)

    def word_book(
        self, symbol: str, key: Key, bids: dict[str, str], asks: dict[str, str], *, snapshot: bool
    ) -> Frame:
        """See `LiveStandIn`; numbers do not rise one by one."""
        number = self.book(symbol).seq
        told = {
            side: [[price, amount, "0", "1"] for price, amount in levels.items()]
            for side, levels in (("asks", asks), ("bids", bids))
        } | {
            "ts": "1714564800000", "checksum": 0, "seqId": 7 * number,
            "prevSeqId": -1 if snapshot else 7 * (number - 1),
        }  # fmt: skip
        return _push("books", symbol, [told], action="snapshot" if snapshot else "update")[1]


def _push(channel: str, symbol: str, data: list[Any], **more: str) -> tuple[Key, Frame]:
    frame = {"arg": {"channel": channel, "instId": symbol}, **more, "data": data}
    return (channel, symbol), json.dumps(frame)
