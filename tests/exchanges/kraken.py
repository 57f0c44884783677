"""A stand-in for Kraken's public REST API, spot."""

import gzip
import json
import time
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from tests.exchanges.engine import Request, Response, StandIn
from tests.exchanges.fills import Fill, Fills
from tests.exchanges.walk import Walk, decimal

_LISTING = "datasets/instruments/kraken__api_kraken_com_0_public_AssetPairs.json.gz"
_MINUTES = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)
_S_NS = 1_000_000_000
_BARS = 720
LISTED_S = 1_381_095_255  # 2013-10-06: Kraken's first trade
_PAIRS = [  # key, name, websocket name, decimals of price and amount, tick size, status
    ("XXBTZUSD", "XBTUSD", "XBT/USD", 1, 8, "0.1", "online"),
    ("XBTUSDT", "XBTUSDT", "XBT/USDT", 1, 8, "0.1", "online"),
    ("XETHXXBT", "ETHXBT", "ETH/XBT", 5, 8, "0.00001", "online"),
    ("XDGUSD", "XDGUSD", "XDG/USD", 7, 8, "0.0000001", "online"),
    ("LUNAUSD", "LUNAUSD", "LUNA/USD", 8, 8, "0.00000001", "cancel_only"),
]


class Refused(Exception):
    """A request answered with an error of the exchange's."""


class KrakenStandIn(StandIn):
    """Kraken on the loopback address.

    Parameters
    ----------
    shared
        Folder with the recorded `datasets`, of which the listing is served; without one, five pairs are.
    now_ns
        The exchange's clock.
    every_s
        Least time between two requests.
    burst
        Trades of a burst, of which some are of one instant; a burst comes every as many seconds.
    quiet
        Each so many-th bar has no trades and is left out; 0 for none.

    Attributes
    ----------
    rows_most
        Trades of a page at most, whatever was asked for.
    refused
        What it has refused, in its words.
    """

    def __init__(
        self,
        *,
        shared: Path | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        every_s: float = 1.0,
        burst: int = 7,
        quiet: int = 0,
        port: int = 0,
        latency_s: float = 0.0,
    ) -> None:
        super().__init__(port=port, latency_s=latency_s)
        self.now_ns = now_ns
        self.quiet = quiet
        self.rows_most = 1000
        self.refused: list[str] = []
        self._every_ns = round(every_s * _S_NS)
        self._free_ns = 0
        self._burst = burst
        self.listing: dict[str, Any] = {pair[0]: _entry(*pair) for pair in _PAIRS}
        if shared is not None:
            recorded = json.loads(gzip.decompress((shared / _LISTING).read_bytes()))
            self.listing = json.loads(recorded["body"])["result"]
        self._keys = {entry["altname"]: key for key, entry in self.listing.items()}
        self._handlers = {
            "Time": self._time,
            "AssetPairs": self._asset_pairs,
            "OHLC": self._ohlc,
            "Trades": self._trades,
            "Depth": self._depth,
        }

    @property
    def config(self) -> str:
        """Lines for dccd's configuration that point its Kraken source here."""
        return f'[sources.kraken]\nrest_url = "{self.url}"'

    def respond(self, request: Request) -> Response:
        """See `StandIn`; errors come under HTTP 200."""
        try:
            self._count()
            prefix, _, name = request.path.rpartition("/")
            handler = self._handlers.get(name)
            if prefix != "/0/public" or handler is None or request.method != "GET":
                raise Refused("EGeneral:Unknown method")
            body = {"error": [], "result": handler(request)}
        except Refused as refused:
            self.refused.append(str(refused))
            body = {"error": [str(refused)]}
        return Response(json.dumps(body, separators=(",", ":")).encode())

    def walk(self, key: str) -> Walk:
        """The market of a pair."""
        number = zlib.crc32(key.encode())
        return Walk(number % 1000, 10_000 + number % 500_000, (LISTED_S + number % 86_400) * 1000)

    def fills(self, key: str) -> Fills:
        """The trades of a pair."""
        walk = self.walk(key)
        return Fills(
            walk.seed, walk.price, walk.first_ms * 10**6, burst=self._burst, period_ns=self._burst * _S_NS
        )

    def _count(self) -> None:
        now_ns = self.now_ns()
        if now_ns < self._free_ns:
            raise Refused("EGeneral:Too many requests")
        self._free_ns = now_ns + self._every_ns

    def _read(self, request: Request, allowed: Collection[str]) -> tuple[str, dict[str, str]]:
        """The pair's key and the other parameters."""
        query = request.query
        if len(query) < len(request.pairs) or not query.keys() <= {"pair", *allowed}:
            raise Refused("EGeneral:Invalid arguments")
        name = query.pop("pair", "")
        key = self._keys.get(name, name)
        if key not in self.listing:
            raise Refused("EQuery:Unknown asset pair")
        return key, query

    def _time(self, request: Request) -> dict[str, Any]:
        now_s = self.now_ns() // _S_NS
        told = time.strftime("%a, %d %b %y %H:%M:%S +0000", time.gmtime(now_s))
        return {"unixtime": now_s, "rfc1123": told}

    def _asset_pairs(self, request: Request) -> dict[str, Any]:
        if request.pairs:
            raise NotImplementedError("a part of the list")
        return self.listing

    def _ohlc(self, request: Request) -> dict[str, Any]:
        key, query = self._read(request, ("interval", "since"))
        minutes = _number(query.get("interval", "1"), _MINUTES)
        length_s = minutes * 60
        # Multiples of the interval since 1970, weeks too: the documentation does not say.
        open_s = self.now_ns() // _S_NS // length_s * length_s
        walk = self.walk(key)
        listed_s = walk.first_ms // 1000 // length_s * length_s
        opens_s = [
            each_s
            for each_s in range(max(listed_s, open_s - _BARS * length_s), open_s, length_s)
            if each_s > int(query.get("since", "0"))
            and not (self.quiet and each_s // length_s % self.quiet == 0)
        ]
        rows = []
        for made in walk.bars(f"{minutes}m", [each_s * 1000 for each_s in (*opens_s, open_s)]):
            prices = (made.open, made.high, made.low, made.close, (made.high + made.low) // 2)
            price = [decimal(each, self._decimals(key)) for each in prices]
            rows.append([made.open_ms // 1000, *price, decimal(made.volume, 8), made.volume % 50])
        return {key: rows, "last": open_s - length_s}

    def _trades(self, request: Request) -> dict[str, Any]:
        key, query = self._read(request, ("since", "count"))
        count = _number(query.get("count", "1000"), range(1, 1001))
        fills = self.fills(key)
        stop = fills.first_from(self.now_ns())
        if "since" not in query:
            first = max(0, stop - count)
        elif query["since"].isdecimal():
            since = int(query["since"])
            first = fills.first_from((since if since > 10**11 else since * _S_NS) + 1)
        else:
            raise Refused("EGeneral:Invalid arguments")
        found = fills.between(first, min(stop, first + min(count, self.rows_most)))
        last = str(found[-1].ts_ns) if found else query.get("since", "0")
        return {key: [self._row(key, fill) for fill in found], "last": last}

    def _row(self, key: str, fill: Fill) -> list[Any]:
        price = decimal(fill.price, self._decimals(key))
        side, order = "b" if fill.is_buy else "s", "m" if fill.amount % 3 else "l"
        # Times are floating-point numbers, which have too few digits for nanoseconds.
        return [price, decimal(fill.amount, 8), fill.ts_ns / _S_NS, side, order, "", fill.number + 1]

    def _depth(self, request: Request) -> dict[str, Any]:
        key, query = self._read(request, ("count",))
        now_s = self.now_ns() // _S_NS
        sides = self.walk(key).book(_number(query.get("count", "100"), range(1, 501)), now_s * 1000)
        bids, asks = (
            [[decimal(price, self._decimals(key)), decimal(amount, 3), now_s] for price, amount in side]
            for side in sides
        )
        return {key: {"asks": asks, "bids": bids}}

    def _decimals(self, key: str) -> int:
        return int(self.listing[key]["pair_decimals"])


def _number(text: str, allowed: Collection[int]) -> int:
    if not text.isdecimal() or int(text) not in allowed:
        raise Refused("EGeneral:Invalid arguments")
    return int(text)


def _entry(
    key: str, altname: str, wsname: str, price_decimals: int, lot_decimals: int, tick: str, status: str
) -> dict[str, Any]:
    base, quote = wsname.split("/")
    return {
        "altname": altname,
        "wsname": wsname,
        "aclass_base": "currency",
        "base": key[: len(base)] if len(key) < 8 else key[:4],
        "aclass_quote": "currency",
        "quote": key[-len(quote) :] if len(key) < 8 else key[4:],
        "lot": "unit",
        "pair_decimals": price_decimals,
        "lot_decimals": lot_decimals,
        "lot_multiplier": 1,
        "ordermin": "0.0001",
        "costmin": "0.5",
        "tick_size": tick,
        "status": status,
    }
