"""A stand-in for Deribit's JSON-RPC over WebSocket: its public notifications."""

import json
from collections.abc import Sequence
from typing import Any

from tests.exchanges.live.engine import Bar, Frame, Key, LiveStandIn, Peer, Trade

_RESOLUTIONS = {
    "1m": "1", "3m": "3", "5m": "5", "10m": "10", "15m": "15", "30m": "30", "1h": "60", "2h": "120",
    "3h": "180", "6h": "360", "12h": "720", "1d": "1D",
}  # fmt: skip
_FRAME_MAX = 32 * 1024


class DeribitLive(LiveStandIn):
    """Deribit's instruments of `symbols`, amounts of which are in USD where a contract is inverse."""

    paths = ("/ws/api/v2",)
    strange = (
        '{"jsonrpc":"2.0","method":"subscription","params":{"channel":"moon.BTC-PERPETUAL.100ms","data":{}}}'
    )

    def __init__(self, symbols: Sequence[str] = ("BTC-PERPETUAL", "BTC_USDC-PERPETUAL", "BTC_USDC")) -> None:
        super().__init__()
        self.symbols = symbols

    async def hear(self, peer: Peer, text: str) -> None:
        """See `LiveStandIn`."""
        message = json.loads(text)
        assert message.keys() == {"jsonrpc", "id", "method", "params"}
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        method, channels = message["method"], message["params"].get("channels")
        if method not in ("public/subscribe", "public/unsubscribe"):
            await self._refuse_all(peer, answer, -32601, "Method not found")
        elif len(text) > _FRAME_MAX:
            await self._refuse_all(peer, answer, -32600, "request entity too large")
        elif any(channel.endswith(".raw") for channel in channels):
            await self._refuse_all(peer, answer, 13778, "raw_subscriptions_not_available_for_unauthorized")
        else:
            known = [channel for channel in channels if self._knows(channel)]
            self.refused += [channel for channel in channels if channel not in known]
            await peer.send(json.dumps(answer | {"result": known, "usIn": 1, "usOut": 2, "usDiff": 1}))
            if method == "public/unsubscribe":
                peer.keys -= set(known)
                return
            for channel in known:
                await self._begin(peer, channel)

    async def _refuse_all(self, peer: Peer, answer: dict[str, Any], code: int, words: str) -> None:
        await self.refuse(peer, words, answer | {"error": {"message": words, "code": code}})

    def _knows(self, channel: str) -> bool:
        rest, _, detail = channel.rpartition(".")
        name, _, symbol = rest.rpartition(".")
        details = {"trades": ("100ms",), "book": ("100ms",), "chart.trades": _RESOLUTIONS.values()}
        return symbol in self.symbols and detail in details.get(name, ())

    async def _begin(self, peer: Peer, channel: str) -> None:
        await self.accept(peer, channel)
        if channel.startswith("book."):
            symbol = channel.split(".")[1]
            book = self.book(symbol)
            await peer.send(self.word_book(symbol, channel, book.bids, book.asks, snapshot=True))

    def word_trade(self, symbol: str, trade: Trade) -> tuple[Key, Frame]:
        """See `LiveStandIn`."""
        row = (
            f'{{"timestamp":{trade.ts_ns // 1_000_000},"price":{trade.price},"amount":{trade.amount},'
            f'"direction":"{trade.side}","index_price":1.5,"instrument_name":"{symbol}",'
            f'"trade_seq":{trade.tid},"mark_price":1.25,"tick_direction":2,"trade_id":"9{trade.tid}"}}'
        )
        key = f"trades.{symbol}.100ms"
        return key, _notify(key, f"[{row}]")

    def word_bar(self, symbol: str, span: str, bar: Bar) -> tuple[Key, Frame]:
        """See `LiveStandIn`; whether it is closed is not told."""
        value, close = float(bar.volume), float(bar.close)
        if symbol == "BTC-PERPETUAL":
            volume, cost = value / close, value
        else:
            volume, cost = value, value * close
        data = (
            f'{{"tick":{bar.ts_ns // 1_000_000},"open":{bar.open},"high":{bar.high},"low":{bar.low},'
            f'"close":{bar.close},"volume":{volume},"cost":{cost}}}'
        )
        key = f"chart.trades.{symbol}.{_RESOLUTIONS[span]}"
        return key, _notify(key, data)

    def is_book(self, key: Key, symbol: str) -> bool:
        """See `LiveStandIn`."""
        return key == f"book.{symbol}.100ms"

    def word_book(
        self, symbol: str, key: Key, bids: dict[str, str], asks: dict[str, str], *, snapshot: bool
    ) -> Frame:
        """See `LiveStandIn`; a state follows the one before, also where that was not told."""
        number = self.book(symbol).seq * 7
        follows = "" if snapshot else f'"prev_change_id":{number - 7},'
        sides = (_levels(side, snapshot=snapshot) for side in (bids, asks))
        data = (
            f'{{"type":"{"snapshot" if snapshot else "change"}","timestamp":{1_714_564_800_000 + number},'
            f'{follows}"instrument_name":"{symbol}","change_id":{number},'
            f'"bids":[{next(sides)}],"asks":[{next(sides)}]}}'
        )
        return _notify(str(key), data)


def _levels(levels: dict[str, str], *, snapshot: bool) -> str:
    """Of a level that goes away the amount told is zero."""
    words = ("change", "delete") if not snapshot else ("new", "new")
    return ",".join(f'["{words[not float(amount)]}",{price},{amount}]' for price, amount in levels.items())


def _notify(channel: str, data: str) -> str:
    return f'{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"{channel}","data":{data}}}}}'
