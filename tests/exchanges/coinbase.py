"""A stand-in for Coinbase Exchange's public REST API."""

import gzip
import json
import time
import zlib
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.exchanges.engine import Request, Response, StandIn
from tests.exchanges.fills import Fill, Fills
from tests.exchanges.walk import Walk, decimal

_LISTING = "datasets/instruments/coinbase__api_pro_coinbase_com_products.json.gz"
_SPANS = {60: "1m", 300: "5m", 900: "15m", 3600: "1h", 21600: "6h", 86400: "1d"}
_S_NS = 1_000_000_000
_BURST, _REFILL_NS = 15, _S_NS // 10
OPENED_S = 1_437_350_400  # 2015-07-20
_PRODUCTS = [("BTC", "USD", "online"), ("ETH", "BTC", "online"), ("REP", "USD", "delisted")]


class Refused(Exception):
    """A request answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class CoinbaseStandIn(StandIn):
    """Coinbase Exchange on the loopback address.

    Parameters
    ----------
    shared
        Folder with the recorded `datasets`, of which the listing is served; without one, three pairs are.
    now_ns
        The exchange's clock.
    burst
        Trades of a burst, of which some are of one instant; a burst comes every as many seconds.
    quiet
        Each so many-th bar has no trades and is left out; 0 for none.
    missing
        Ids that no trade has.

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
        burst: int = 7,
        quiet: int = 0,
        missing: Collection[int] = (),
        port: int = 0,
        latency_s: float = 0.0,
    ) -> None:
        super().__init__(port=port, latency_s=latency_s)
        self.now_ns = now_ns
        self.quiet = quiet
        self.missing = missing
        self.rows_most = 1000
        self.refused: list[str] = []
        self._burst = burst
        self._tokens, self._filled_ns = float(_BURST), 0
        self.listing: list[dict[str, Any]] = [_entry(*product) for product in _PRODUCTS]
        if shared is not None:
            recorded = json.loads(gzip.decompress((shared / _LISTING).read_bytes()))
            self.listing = json.loads(recorded["body"])

    @property
    def config(self) -> str:
        """Lines for dccd's configuration that point its Coinbase source here."""
        return f'[sources.coinbase]\nrest_url = "{self.url}"'

    def respond(self, request: Request) -> Response:
        """See `StandIn`."""
        try:
            self._count()
            return self._handle(request)
        except Refused as refused:
            self.refused.append(str(refused))
            return Response(json.dumps({"message": str(refused)}).encode(), refused.status)

    def walk(self, native: str) -> Walk:
        """The market of a product."""
        number = zlib.crc32(native.encode())
        return Walk(number % 1000, 10_000 + number % 500_000, (OPENED_S + number % 86_400) * 1000)

    def fills(self, native: str) -> Fills:
        """The trades of a product; their ids are one more than their numbers."""
        walk = self.walk(native)
        return Fills(
            walk.seed, walk.price, walk.first_ms * 10**6, burst=self._burst, period_ns=self._burst * _S_NS
        )

    def _count(self) -> None:
        """A bucket of 15 tokens, refilled with ten a second."""
        now_ns = self.now_ns()
        self._tokens = min(_BURST, self._tokens + max(0, now_ns - self._filled_ns) / _REFILL_NS)
        self._filled_ns = now_ns
        if self._tokens < 1:
            raise Refused(429, "Public rate limit exceeded")
        self._tokens -= 1

    def _handle(self, request: Request) -> Response:
        if request.method != "GET":
            raise Refused(405, "Method not allowed")
        parts = request.path.strip("/").split("/")
        if parts == ["time"]:
            now_ms = self.now_ns() // 10**6
            return _answer({"iso": _iso(now_ms * 10**6, 3), "epoch": now_ms / 1000})
        if parts == ["products"]:
            return _answer(self.listing)
        handlers = {"candles": self._candles, "trades": self._trades, "book": self._book}
        if len(parts) != 3 or parts[0] != "products" or parts[2] not in handlers:
            raise Refused(404, "Route not found")
        if parts[1] not in {entry["id"] for entry in self.listing}:
            raise Refused(404, "NotFound")
        return handlers[parts[2]](parts[1], request)

    def _candles(self, native: str, request: Request) -> Response:
        query = _read(request, {"granularity", "start", "end"})
        length_s = int(query["granularity"]) if query.get("granularity", "").isdecimal() else 60
        if length_s not in _SPANS:
            raise Refused(400, "Unsupported granularity")
        now_s = self.now_ns() // _S_NS
        start_s, end_s = now_s - 350 * length_s, now_s
        if "start" in query and "end" in query:  # one alone is ignored
            start_s, end_s = (
                int(datetime.fromisoformat(query[name]).timestamp()) for name in ("start", "end")
            )
            if (end_s - start_s) / length_s > 300:
                raise Refused(
                    400,
                    "granularity too small for the requested time range. "
                    "Count of aggregations requested exceeds 300",
                )
        walk = self.walk(native)
        stop_s = min(end_s, now_s) + 1
        opens = walk.opens(_SPANS[length_s], start_s * 1000, stop_s * 1000)
        opens = [ms for ms in opens if not (self.quiet and ms // 1000 // length_s % self.quiet == 0)]
        rows = [
            [
                bar.open_ms // 1000,
                bar.low / 100,
                bar.high / 100,
                bar.open / 100,
                bar.close / 100,
                bar.volume / 10**8,
            ]
            for bar in walk.bars(_SPANS[length_s], opens)
        ]
        return _answer(rows[::-1])

    def _trades(self, native: str, request: Request) -> Response:
        query = _read(request, {"limit", "before", "after"})
        limit, before, after = (query.get(name, "") for name in ("limit", "before", "after"))
        if any(each and not each.isdecimal() for each in (limit, before, after)):
            raise Refused(400, "Invalid pagination parameter")
        if limit and not 1 <= int(limit) <= 1000:
            raise Refused(400, "limit must be between 1 and 1000")
        fills = self.fills(native)
        stop = fills.first_from(self.now_ns()) + 1
        stop, first = min(stop, int(after or stop)), int(before or 0) + 1
        wanted = min(int(limit or 1000), self.rows_most)
        found: list[Fill] = []
        while len(found) < wanted and stop > first:
            some = fills.between(max(first, stop - wanted) - 1, stop - 1)
            found = [fill for fill in some if fill.number + 1 not in self.missing] + found
            stop = max(first, stop - wanted)
        rows = [
            {
                "trade_id": fill.number + 1,
                "side": "sell" if fill.is_buy else "buy",
                "size": decimal(fill.amount, 8),
                "price": decimal(fill.price, 2),
                "time": _iso(fill.ts_ns // 1000 * 1000, 6),
            }
            for fill in found[-wanted:][::-1]
        ]
        headers = {}
        if rows:
            headers = {"CB-BEFORE": str(rows[0]["trade_id"]), "CB-AFTER": str(rows[-1]["trade_id"])}
        return _answer(rows, headers)

    def _book(self, native: str, request: Request) -> Response:
        level = _read(request, {"level"}).get("level", "1")
        if level not in ("1", "2"):
            raise NotImplementedError(f"level {level}")
        now_ns = self.now_ns()
        bids, asks = (
            [[decimal(price, 2), decimal(amount, 8), 1 + amount % 9] for price, amount in side]
            for side in self.walk(native).book(1 if level == "1" else 700, now_ns // 10**6)
        )
        book = {
            "bids": bids,
            "asks": asks,
            "sequence": now_ns // 1000,
            "auction_mode": False,
            "auction": None,
        }
        return _answer(book | {"time": _iso(now_ns // 1000 * 1000, 6)})


def _answer(body: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(body, separators=(",", ":")).encode(), headers=headers or {})


def _read(request: Request, allowed: Collection[str]) -> dict[str, str]:
    query = request.query
    if len(query) < len(request.pairs) or not query.keys() <= set(allowed):
        raise Refused(400, "Unknown parameter")
    return query


def _iso(ts_ns: int, digits: int) -> str:
    second = datetime.fromtimestamp(ts_ns // _S_NS, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{second}.{ts_ns % _S_NS:09d}"[: 20 + digits] + "Z"


def _entry(base: str, quote: str, status: str) -> dict[str, Any]:
    return {
        "id": f"{base}-{quote}",
        "base_currency": base,
        "quote_currency": quote,
        "quote_increment": "0.01",
        "base_increment": "1e-08",
        "display_name": f"{base}-{quote}",
        "status": status,
        "status_message": "",
        "trading_disabled": status != "online",
        "auction_mode": False,
    }
