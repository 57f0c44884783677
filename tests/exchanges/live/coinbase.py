"""A stand-in for Coinbase Exchange's public feed."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tests.exchanges.live.engine import Bar, Frame, Key, LiveStandIn, Peer, Trade

_OTHER_NAMES = {"level2_batch": "level2_50"}  # its answers have one name, requests the other
_ID = "ac928c66-ca53-498f-9c13-a110027a60e8"


class CoinbaseLive(LiveStandIn):
    """The products of `products`."""

    strange = '{"type":"moon_phase","product_id":"BTC-USD"}'

    def __init__(self, products: Sequence[str] = ("BTC-USD", "ETH-USD")) -> None:
        super().__init__()
        self.products = products
        self._listed: dict[Peer, dict[str, list[str]]] = {}

    async def hear(self, peer: Peer, text: str) -> None:
        """See `LiveStandIn`."""
        message = json.loads(text)
        asked = [(one["name"], product) for one in message["channels"] for product in one["product_ids"]]
        problem = self._problem(message, asked)
        if problem:
            answer = {"type": "error", "message": f"Failed to {message['type']}", "reason": problem}
            await self.refuse(peer, problem, answer)
            return
        listed = self._listed.setdefault(peer, {})
        for name, product in asked:
            if message["type"] == "unsubscribe":
                peer.keys.discard((name, product))
                listed[name].remove(product)
            elif product not in listed.setdefault(name, []):
                peer.keys.add((name, product))
                listed[name].append(product)
        channels = [
            {"name": _OTHER_NAMES.get(name, name), "product_ids": products}
            for name, products in listed.items()
            if products
        ]
        await peer.send(json.dumps({"type": "subscriptions", "channels": channels}))
        for name, product in asked if message["type"] == "subscribe" else ():
            await peer.send(self._first(name, product))

    def _problem(self, message: dict[str, Any], asked: list[tuple[str, str]]) -> str:
        if message.keys() != {"type", "channels"} or message["type"] not in ("subscribe", "unsubscribe"):
            return "Malformed JSON"
        for name, product in asked:
            if name == "level2":
                return "level2, level3, and full channels now require authentication."
            if name not in ("matches", "level2_batch", "heartbeat"):
                return f"{name} is not a valid channel"
            if product not in self.products:
                return f"{product} is not a valid product"
        return "" if asked else "No channels provided"

    def _first(self, name: str, product: str) -> Frame:
        """What comes once a subscription is there: of trades the last one before it."""
        if name == "matches":
            return self._match("last_match", product, Trade(1_714_500_000 * 10**9, "99", "1", "buy", 499))
        book = self.book(product)
        bids, asks = ([list(level) for level in book.best(side)] for side in ("bid", "ask"))
        return json.dumps({"type": "snapshot", "product_id": product, "bids": bids, "asks": asks})

    def _match(self, kind: str, product: str, trade: Trade) -> str:
        makers = {"buy": "sell", "sell": "buy"}[trade.side]
        return json.dumps({
            "type": kind, "trade_id": trade.tid, "maker_order_id": _ID, "taker_order_id": _ID, "side": makers,
            "size": trade.amount, "price": trade.price, "product_id": product, "sequence": 7 * trade.tid,
            "time": _iso(trade.ts_ns),
        })  # fmt: skip

    def word_trade(self, symbol: str, trade: Trade) -> tuple[Key, Frame]:
        """See `LiveStandIn`."""
        return ("matches", symbol), self._match("match", symbol, trade)

    def word_bar(self, symbol: str, span: str, bar: Bar) -> tuple[Key, Frame]:
        """See `LiveStandIn`; it tells no bars."""
        raise NotImplementedError

    def is_book(self, key: Key, symbol: str) -> bool:
        """See `LiveStandIn`."""
        return key == ("level2_batch", symbol)

    def word_book(
        self, symbol: str, key: Key, bids: dict[str, str], asks: dict[str, str], *, snapshot: bool
    ) -> Frame:
        """See `LiveStandIn`; snapshots come with the subscription alone."""
        assert not snapshot
        changes = [[side, *level] for side, both in (("buy", bids), ("sell", asks)) for level in both.items()]
        at = _iso(1_714_564_800 * 10**9)
        return json.dumps({"type": "l2update", "product_id": symbol, "changes": changes, "time": at})


def _iso(ts_ns: int) -> str:
    return f"{datetime.fromtimestamp(ts_ns // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{ts_ns % 10**9 // 1000:06d}Z"
