"""A stand-in for Kraken Futures' WebSocket API, version 1."""

import json
from collections.abc import Sequence

from tests.exchanges.live.engine import Bar, Frame, Key, LiveStandIn, Peer, Trade

_FEEDS = ("trade", "book", "ticker")
_TIME_MS = 1_714_564_800_000


class KrakenFuturesLive(LiveStandIn):
    """The contracts of `products`.

    Attributes
    ----------
    recent
        Trades of each product that a subscription begins with, as they came.
    """

    paths = ("/ws/v1",)
    strange = '{"event":"moon","phase":"full"}'

    def __init__(self, products: Sequence[str] = ("PF_XBTUSD", "PI_XBTUSD")) -> None:
        super().__init__()
        self.products = products
        self.recent: list[Trade] = []

    async def greet(self, peer: Peer) -> None:
        """See `LiveStandIn`."""
        await peer.send('{"event":"info","version":1}')

    async def hear(self, peer: Peer, text: str) -> None:
        """See `LiveStandIn`."""
        message = json.loads(text)
        assert message.keys() == {"event", "feed", "product_ids"}
        event, feed = message["event"], message["feed"]
        for product in message["product_ids"]:
            key = (feed, product)
            if feed not in _FEEDS:
                await self._alert(peer, "Invalid feed")
            elif product not in self.products:
                await self._alert(peer, f"Couldn't {event} to invalid product `{product}`")
            elif event == "unsubscribe":
                peer.keys.discard(key)
                await self._answer(peer, "unsubscribed", key)
            else:
                await self._answer(peer, "subscribed", key)
                await self.accept(peer, key, self._snapshot(feed, product))

    async def _alert(self, peer: Peer, words: str) -> None:
        await self.refuse(peer, words, {"event": "alert", "message": words})

    async def _answer(self, peer: Peer, event: str, key: tuple[str, str]) -> None:
        await peer.send(json.dumps({"event": event, "feed": key[0], "product_ids": [key[1]]}))

    def _snapshot(self, feed: str, product: str) -> str:
        told: dict[str, object] = {"feed": f"{feed}_snapshot", "product_id": product}
        if feed == "trade":
            trades = [_trade(product, trade) for trade in reversed(self.recent)]
            return json.dumps(told | {"trades": trades})
        book = self.book(product)
        bids, asks = (
            [{"price": float(price), "qty": float(amount)} for price, amount in book.best(side)]
            for side in ("bid", "ask")
        )
        told |= {"timestamp": _TIME_MS, "seq": book.seq, "tickSize": None, "bids": bids, "asks": asks}
        return json.dumps(told)

    def word_trade(self, symbol: str, trade: Trade) -> tuple[Key, Frame]:
        """See `LiveStandIn`."""
        return ("trade", symbol), json.dumps(_trade(symbol, trade))

    def word_bar(self, symbol: str, span: str, bar: Bar) -> tuple[Key, Frame]:
        """Kraken Futures tells of no bars."""
        raise NotImplementedError

    def is_book(self, key: Key, symbol: str) -> bool:
        """See `LiveStandIn`."""
        return key == ("book", symbol)

    async def change(
        self, symbol: str, bids: dict[str, str], asks: dict[str, str], *, lost: bool = False
    ) -> None:
        """See `LiveStandIn`; each level is a message, with a number."""
        for price, amount in bids.items():
            await super().change(symbol, {price: amount}, {}, lost=lost)
        for price, amount in asks.items():
            await super().change(symbol, {}, {price: amount}, lost=lost)

    def word_book(
        self, symbol: str, key: Key, bids: dict[str, str], asks: dict[str, str], *, snapshot: bool
    ) -> Frame:
        """See `LiveStandIn`."""
        ((price, amount),) = (bids or asks).items()
        seq = self.book(symbol).seq
        told = {
            "feed": "book", "product_id": symbol, "side": "buy" if bids else "sell", "seq": seq,
            "price": float(price), "qty": float(amount), "timestamp": _TIME_MS + seq,
        }  # fmt: skip
        return json.dumps(told)


def _trade(product: str, trade: Trade) -> dict[str, object]:
    return {
        "feed": "trade", "product_id": product, "uid": f"05af78ac-a774-478c-a50c-{trade.tid:012d}",
        "side": trade.side, "type": "fill", "seq": trade.tid, "time": trade.ts_ns // 10**6,
        "qty": float(trade.amount), "price": float(trade.price),
    }  # fmt: skip
