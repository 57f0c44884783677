"""A stand-in for Bitfinex's WebSocket API, version 2.

It is as strict as the documentation where that and what others saw differ: 25 channels, not 36.
"""

import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from typing import Any

from tests.exchanges.live.engine import Bar, Frame, Key, LiveStandIn, Peer, Trade

_SPANS = {
    "1m": "1m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1h", "3h": "3h", "6h": "6h", "12h": "12h",
    "1d": "1D", "1w": "1W", "14d": "14D", "1mo": "1M",
}  # fmt: skip
_FIELDS = {"trades": {"symbol"}, "candles": {"key"}, "book": {"symbol", "prec", "freq", "len"}}
_LENGTHS = ("1", "25", "100", "250")
_TIMES, _NUMBERS, _CHECKSUMS = 32768, 65536, 131072
_CHANNELS_MAX = 25
NOW_MS = 1714564800123


class BitfinexLive(LiveStandIn):
    """Bitfinex's pairs of `symbols`.

    Attributes
    ----------
    skip
        How many of its own numbers the next message leaves out.
    """

    paths = ("/ws/2",)

    def __init__(self, symbols: Sequence[str] = ("tBTCUSD", "tBTCF0:USTF0")) -> None:
        super().__init__()
        self.symbols = symbols
        self.skip = 0
        self._told: dict[str, list[str]] = defaultdict(list)

    async def greet(self, peer: Peer) -> None:
        """See `LiveStandIn`."""
        peer.notes |= {"flags": 0, "number": 0, "ids": {}, "next": 1000 * self.connections}
        await peer.send('{"event":"info","version":2,"serverId":"5b73a436","platform":{"status":1}}')

    async def hear(self, peer: Peer, text: str) -> None:
        """See `LiveStandIn`."""
        message = json.loads(text)
        match message.pop("event"):
            case "conf":
                peer.notes["flags"] = message["flags"]
                await peer.send(json.dumps({"event": "conf", "status": "OK", "flags": message["flags"]}))
            case "subscribe":
                await self._subscribe(peer, message)
            case "unsubscribe":
                await self._unsubscribe(peer, message["chanId"])
            case _:
                await self.refuse(peer, "event: invalid", _error({}, "event: invalid", 10000))

    async def _subscribe(self, peer: Peer, asked: dict[str, Any]) -> None:
        problem, code = self._problem(peer, asked)
        if problem:
            await self.refuse(peer, problem, _error(asked, problem, code))
            return
        key = _key(asked)
        peer.notes["next"] += 1
        peer.notes["ids"][key] = peer.notes["next"]
        pair = {"pair": asked["symbol"][1:]} if "symbol" in asked else {}
        answer = {"event": "subscribed", "chanId": peer.notes["next"]} | asked | pair
        await self.accept(peer, key, json.dumps(answer))
        await peer.send(self._snapshot(key))

    async def _unsubscribe(self, peer: Peer, chan_id: int) -> None:
        keys = [key for key, each in peer.notes["ids"].items() if each == chan_id]
        if not keys:
            await self.refuse(peer, "unsubscribe: invalid", _error({}, "unsubscribe: invalid", 10400))
            return
        peer.keys.discard(keys[0])
        del peer.notes["ids"][keys[0]]
        await peer.send(json.dumps({"event": "unsubscribed", "status": "OK", "chanId": chan_id}))

    def _problem(self, peer: Peer, asked: dict[str, Any]) -> tuple[str, int]:
        fields = _FIELDS.get(asked["channel"])
        if fields is None or asked.keys() != {"channel", *fields}:
            return "channel: unknown", 10300
        kind, span, symbol = asked.get("key", f"trade:1m:{asked.get('symbol')}").split(":", 2)
        if symbol not in self.symbols:
            return "symbol: invalid", 10300
        if kind != "trade" or span not in _SPANS.values():
            return "key: invalid", 10300
        if asked.get("len", "25") not in _LENGTHS:
            return "length: invalid", 10300
        if _key(asked) in peer.keys:
            return "subscribe: dup", 10301
        return ("subscribe: limit", 10305) if len(peer.keys) == _CHANNELS_MAX else ("", 0)

    def _snapshot(self, key: tuple[str, ...]) -> Frame:
        if key[0] == "book":
            best = (dict(self.book(key[1]).best(side, int(key[2]))) for side in ("bid", "ask"))
            return self.word_book(key[1], key, *best, snapshot=True)
        # The newest come first; bars of before are not kept.
        return _frame(self, key, f"[{','.join(self._told[key[1]][:-31:-1])}]")

    async def beat(self) -> None:
        """Tell everybody of each channel that nothing happened."""
        for peer in list(self.peers):
            for key in sorted(peer.keys, key=str):
                await peer.send(_frame(self, key, '"hb"'))

    async def trade(self, symbol: str, trade: Trade) -> None:
        """Each trade is told twice."""
        await super().trade(symbol, trade)
        key = ("trades", symbol)
        await self.tell(_frame(self, key, '"tu"', _row(trade)), lambda each: each == key)
        self._told[symbol].append(_row(trade))

    def word_trade(self, symbol: str, trade: Trade) -> tuple[Key, Frame]:
        """See `LiveStandIn`."""
        key = ("trades", symbol)
        return key, _frame(self, key, '"te"', _row(trade))

    def word_bar(self, symbol: str, span: str, bar: Bar) -> tuple[Key, Frame]:
        """See `LiveStandIn`."""
        prices = (_number(price) for price in (bar.open, bar.close, bar.high, bar.low, bar.volume))
        key = ("candles", f"trade:{_SPANS[span]}:{symbol}")
        return key, _frame(self, key, f"[{bar.ts_ns // 1_000_000},{','.join(prices)}]")

    def is_book(self, key: Key, symbol: str) -> bool:
        """See `LiveStandIn`."""
        return isinstance(key, tuple) and key[:2] == ("book", symbol)

    def word_book(
        self, symbol: str, key: Key, bids: dict[str, str], asks: dict[str, str], *, snapshot: bool
    ) -> Frame:
        """See `LiveStandIn`; only snapshots are one message."""
        assert snapshot
        return _frame(self, key, f"[{','.join([*_levels(bids, ''), *_levels(asks, '-')])}]")

    async def change(
        self, symbol: str, bids: dict[str, str], asks: dict[str, str], *, lost: bool = False
    ) -> None:
        """Each level is a message of its own, and the checksum follows; what is lost takes no numbers."""
        book = self.book(symbol)
        heard = [(peer, key) for peer in self.peers for key in peer.notes["ids"] if self.is_book(key, symbol)]
        before = [[dict(book.best(side, int(key[2]))) for side in ("bid", "ask")] for _, key in heard]
        book.change(bids, asks)
        for (peer, key), known in zip(heard, [] if lost else before, strict=False):
            for side, sign, old in zip(("bid", "ask"), ("", "-"), known, strict=True):
                new = dict(book.best(side, int(key[2])))
                gone = {price: "0" for price in old if price not in new}
                set_ = {price: amount for price, amount in new.items() if old.get(price) != amount}
                for level in _levels(gone | set_, sign):
                    await peer.send(_frame(self, key, level))
            if peer.notes["flags"] & _CHECKSUMS:
                await peer.send(_frame(self, key, '"cs"', str(self._checksum(symbol))))

    def _checksum(self, symbol: str) -> int:
        sides = (
            [
                f"{_number(price)}:{sign}{_number(amount)}"
                for price, amount in self.book(symbol).best(side, 25)
            ]
            for side, sign in (("bid", ""), ("ask", "-"))
        )
        text = ":".join(each for each in chain.from_iterable(zip_longest(*sides)) if each)
        return (zlib.crc32(text.encode()) + (1 << 31)) % (1 << 32) - (1 << 31)


def _key(asked: dict[str, Any]) -> tuple[str, ...]:
    return tuple(asked[name] for name in ("channel", "symbol", "key", "len") if name in asked)


def _error(asked: dict[str, Any], words: str, code: int) -> dict[str, Any]:
    return asked | {"event": "error", "msg": words, "code": code}


def _frame(exchange: BitfinexLive, key: Key, *said: str) -> Frame:
    """A message of a channel, worded when it is sent: numbers are a connection's own."""

    def word(peer: Peer) -> str:
        more = []
        if peer.notes["flags"] & _NUMBERS:
            peer.notes["number"] += 1 + exchange.skip
            exchange.skip = 0
            more.append(str(peer.notes["number"]))
        if peer.notes["flags"] & _TIMES:
            more.append(str(NOW_MS))
        return f"[{','.join([str(peer.notes['ids'][key]), *said, *more])}]"

    return word


def _number(text: str) -> str:
    """As JavaScript writes it; none here is so small that it would have an exponent."""
    return repr(float(text)).removesuffix(".0")


def _row(trade: Trade) -> str:
    sign = "" if trade.side == "buy" else "-"
    return f"[{trade.tid},{trade.ts_ns // 1_000_000},{sign}{_number(trade.amount)},{_number(trade.price)}]"


def _levels(levels: dict[str, str], sign: str) -> Iterable[str]:
    """Of a level that is gone the amount tells the side alone."""
    for price, amount in levels.items():
        count = 1 + int(float(amount)) % 9 if float(amount) else 0
        yield f"[{_number(price)},{count},{sign}{_number(amount) if count else 1}]"
