"""A stand-in for BitMEX's public REST API, as https://www.bitmex.com/api/explorer/ says it answers.

Where that is silent the stricter reading is taken: parameters that an endpoint does not document are refused.
"""

import json
import re
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Any

from dccd.domain.span import Span
from tests.exchanges.engine import Request, Response, StandIn
from tests.exchanges.fills import Fill, Fills
from tests.exchanges.walk import Walk

_S_NS = 1_000_000_000
_MS_NS = 1_000_000
_HOUR_MS = 3_600_000
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z")
_BUCKET, _REFILL_NS = 30, 2 * _S_NS
FIRST_MS = 1_463_140_800_000  # 2016-05-13, twelve o'clock
QUANTO_BASE = 0.0625  # what a quanto contract is worth in base; really it moves


@dataclass(frozen=True)
class Listed:
    """An instrument of the stand-in: prices in halves."""

    symbol: str
    typ: str
    base: str
    quote: str
    settle: str | None = None
    per: int | None = None
    is_inverse: bool = False
    expiry: str | None = None
    state: str = "Open"

    def entry(self) -> dict[str, Any]:
        """As the list of instruments has it."""
        return {
            "symbol": self.symbol, "rootSymbol": self.base, "state": self.state, "typ": self.typ,
            "listing": "2016-05-13T12:00:00.000Z", "expiry": self.expiry, "underlying": self.base,
            "quoteCurrency": self.quote, "settlCurrency": self.settle, "lotSize": 100, "tickSize": 0.5,
            "underlyingToPositionMultiplier": self.per, "isInverse": self.is_inverse,
            "isQuanto": self.per is None and not self.is_inverse,
            "timestamp": "2026-03-01T00:00:00.000Z",
        }  # fmt: skip

    def home(self, size: int, price: float) -> float:
        """What so many contracts are worth in base."""
        if self.is_inverse:
            return size / price
        return size / self.per if self.per else size * QUANTO_BASE


LISTED = (
    Listed("XBTUSD", "FFWCSX", "XBT", "USD", "XBt", is_inverse=True),
    Listed("XBTUSDT", "FFWCSX", "XBT", "USDT", "USDt", 1_000_000),
    Listed("ETHUSD", "FFWCSX", "ETH", "USD", "XBt"),
    Listed("XBT_USDT", "IFXXXP", "XBT", "USDT", None, 100_000_000),
    Listed("XBTM26", "FFCCSX", "XBT", "USD", "XBt", is_inverse=True, expiry="2026-06-26T12:00:00.000Z"),
    Listed("LTCUSDT", "FFWCSX", "LTC", "USDT", "USDt", 10_000, state="Closed"),
)


class Refused(Exception):
    """A request answered with an error."""

    def __init__(self, status: int, message: str, name: str = "ValidationError", wait_s: int = 0) -> None:
        super().__init__(message)
        self.status, self.name, self.wait_s = status, name, wait_s


class BitmexStandIn(StandIn):
    """BitMEX on the loopback address.

    Parameters
    ----------
    now_ns
        The exchange's clock.
    burst
        Trades of a burst, of which some are of one instant; a burst comes every as many seconds.
    quiet
        Each so many-th bar is left out; 0 for none.

    Attributes
    ----------
    rows_most
        Rows of a page at most, whatever was asked for: an allowance lowered without a word.
    refused
        What it has refused, in its words.
    """

    def __init__(
        self,
        *,
        now_ns: Callable[[], int] = time.time_ns,
        burst: int = 7,
        quiet: int = 0,
        port: int = 0,
        latency_s: float = 0.0,
    ) -> None:
        super().__init__(port=port, latency_s=latency_s)
        self.now_ns, self.quiet, self.rows_most = now_ns, quiet, 1000
        self.refused: list[str] = []
        self._burst = burst
        self._tokens, self._filled_ns = float(_BUCKET), 0
        self._listed = {each.symbol: each for each in LISTED}
        rows = "symbol count start reverse startTime endTime"
        self._handlers: dict[str, tuple[Callable[[dict[str, str]], Any], str]] = {
            "": (self._version, ""),
            "instrument/active": (self._instruments, ""),
            "trade/bucketed": (self._buckets, rows + " binSize partial"),
            "trade": (self._trades, rows),
            "orderBook/L2": (self._book, "symbol depth"),
            "funding": (self._funding, rows),
        }

    @property
    def now_ms(self) -> int:
        """The exchange's time."""
        return self.now_ns() // _MS_NS

    @property
    def config(self) -> str:
        """Lines for dccd's configuration that point its BitMEX source here."""
        return f'[sources.bitmex]\nrest_url = "{self.url}"\narchive_url = "{self.url}/files"'

    def respond(self, request: Request) -> Response:
        """See `StandIn`."""
        if request.path.startswith("/files/"):  # another host, whose requests count for nothing
            return Response(b"", 404)
        endpoint = request.path.removeprefix("/api/v1").strip("/")
        headers: dict[str, str] = {}
        try:
            self._count()
            if endpoint not in self._handlers or request.method != "GET":
                raise Refused(404, "Not Found", "HTTPError")
            handler, allowed = self._handlers[endpoint]
            query = request.query
            if len(query) < len(request.pairs) or not query.keys() <= set(allowed.split()):
                raise Refused(400, "Unknown parameter.")
            if "symbol" in allowed and query.get("symbol", "") not in self._listed:
                raise Refused(400, "'symbol' is invalid.")
            status, body = 200, handler(query)
        except Refused as refused:
            self.refused.append(str(refused))
            status, body = refused.status, {"error": {"message": str(refused), "name": refused.name}}
            if refused.wait_s:
                headers["Retry-After"] = str(refused.wait_s)
        headers |= {"X-RateLimit-Limit": str(_BUCKET), "X-RateLimit-Remaining": str(int(self._tokens))}
        return Response(json.dumps(body, separators=(",", ":")).encode(), status, headers)

    def listed(self, symbol: str) -> Listed:
        """An instrument by its name."""
        return self._listed[symbol]

    def walk(self, symbol: str) -> Walk:
        """The market of an instrument."""
        number = zlib.crc32(symbol.encode())
        return Walk(number % 1000, 100_000 + number % 50_000, FIRST_MS)

    def fills(self, symbol: str) -> Fills:
        """The trades of an instrument."""
        walk = self.walk(symbol)
        period_ns = self._burst * _S_NS
        return Fills(walk.seed, walk.price, FIRST_MS * _MS_NS, burst=self._burst, period_ns=period_ns)

    def _count(self) -> None:
        """A bucket of thirty tokens, refilled with one in two seconds."""
        now_ns = self.now_ns()
        self._tokens = min(_BUCKET, self._tokens + max(0, now_ns - self._filled_ns) / _REFILL_NS)
        self._filled_ns = now_ns
        if self._tokens < 1:
            wait_s = ceil((1 - self._tokens) * _REFILL_NS / _S_NS)
            words = f"Rate limit exceeded, retry in {wait_s} seconds."
            raise Refused(429, words, "RateLimitError", wait_s)
        self._tokens -= 1

    def _rows(self, query: dict[str, str], most: int, now_ms: int) -> tuple[int, int, int, int]:
        """How many, from which place on, from which millisecond (inclusive) to which (exclusive)."""
        count, start = query.get("count", "100"), query.get("start", "0")
        if not count.isdecimal() or not 0 < int(count) <= most or not start.isdecimal():
            raise Refused(400, "'count' or 'start' is invalid.")
        stop_ms = now_ms + 1
        if "endTime" in query:
            stop_ms = min(stop_ms, _ms(query["endTime"]) + 1)
        start_ms = _ms(query["startTime"]) if "startTime" in query else 0
        return min(int(count), self.rows_most), int(start), start_ms, stop_ms

    def _version(self, query: dict[str, str]) -> Any:
        return {"name": "BitMEX API", "version": "2.0.0", "timestamp": self.now_ms}

    def _instruments(self, query: dict[str, str]) -> Any:
        return [each.entry() for each in LISTED]

    def _buckets(self, query: dict[str, str]) -> Any:
        """By their ends; a bar opens where the one before it closed."""
        span, partial = query.get("binSize", "1m"), query.get("partial", "false").lower()
        if span not in ("1m", "5m", "1h", "1d") or partial not in ("false", "true"):
            raise Refused(400, "'binSize' or 'partial' is invalid.")
        walk, length_ms = self.walk(query["symbol"]), Span.parse(span).seconds * 1000
        open_ms = length_ms if partial == "true" else 0  # the bar that is still open ends later
        count, start, start_ms, stop_ms = self._rows(query, 1000, self.now_ms + open_ms)
        is_back, many_ms = (
            _is_reverse(query),
            2 * (start + count + 1) * length_ms,
        )  # however many are left out
        first_ms, last_ms = max(start_ms, FIRST_MS) - length_ms, stop_ms - length_ms
        first_ms, last_ms = (
            (max(first_ms, last_ms - many_ms), last_ms)
            if is_back
            else (first_ms, min(last_ms, first_ms + many_ms))
        )
        opens = walk.opens(span, first_ms, last_ms)
        if self.quiet:
            opens = [at_ms for at_ms in opens if walk.values([at_ms], self.quiet)[0]]
        opens = (opens[::-1] if is_back else opens)[start : start + count]
        before = walk.bars(span, [at_ms - length_ms for at_ms in opens])
        rows = []
        for bar, last in zip(walk.bars(span, opens), before, strict=True):
            home = self._listed[query["symbol"]].home(bar.volume, bar.close / 2)
            rows.append({
                "timestamp": _told(bar.open_ms + length_ms), "symbol": query["symbol"],
                "open": last.close / 2, "high": bar.high / 2, "low": bar.low / 2, "close": bar.close / 2,
                "trades": bar.volume % 97, "volume": bar.volume, "vwap": None, "lastSize": None,
                "turnover": 0, "homeNotional": home, "foreignNotional": home * bar.close / 2,
            })  # fmt: skip
        return rows

    def _trades(self, query: dict[str, str]) -> Any:
        count, start, start_ms, stop_ms = self._rows(query, 1000, self.now_ms)
        fills, listed = self.fills(query["symbol"]), self._listed[query["symbol"]]
        first, stop = fills.first_from(start_ms * _MS_NS), fills.first_from(stop_ms * _MS_NS)
        if _is_reverse(query):
            found = fills.between(max(first, stop - start - count), stop - start)[::-1]
        else:
            found = fills.between(first + start, min(stop, first + start + count))
        return [self._trade(listed, fill) for fill in found]

    def _trade(self, listed: Listed, fill: Fill) -> dict[str, Any]:
        home = listed.home(fill.amount, fill.price / 2)
        return {
            "timestamp": _told(fill.ts_ns // _MS_NS), "symbol": listed.symbol,
            "side": "Buy" if fill.is_buy else "Sell", "size": fill.amount, "price": fill.price / 2,
            "tickDirection": "PlusTick", "trdMatchID": f"00000000-006d-1000-0000-{fill.number:012d}",
            "grossValue": 0, "homeNotional": home, "foreignNotional": home * fill.price / 2,
            "trdType": "Regular",
        }  # fmt: skip

    def _book(self, query: dict[str, str]) -> Any:
        depth = query.get("depth", "25")
        if not depth.isdecimal():
            raise Refused(400, "'depth' is invalid.")
        bids, asks = self.walk(query["symbol"]).book(int(depth) or 2000, self.now_ms)
        told = [("Sell", level) for level in reversed(asks)] + [("Buy", level) for level in bids]
        return [
            {"symbol": query["symbol"], "id": 10**10 - price, "side": side, "size": size, "price": price / 2}
            for side, (price, size) in told
        ]

    def _funding(self, query: dict[str, str]) -> Any:
        """At four, twelve and twenty o'clock."""
        count, start, start_ms, stop_ms = self._rows(query, 500, self.now_ms)
        listed, walk = self._listed[query["symbol"]], self.walk(query["symbol"])
        if not listed.typ.startswith("FFW") or _is_reverse(query):
            return []
        shift_ms = 4 * _HOUR_MS
        times = walk.times(8 * _HOUR_MS, start_ms - shift_ms, stop_ms - shift_ms)[start : start + count]
        return [
            {
                "timestamp": _told(at_ms + shift_ms), "symbol": listed.symbol,
                "fundingInterval": "2000-01-01T08:00:00.000Z", "fundingRate": (value - 50_000) / 10**8,
                "fundingRateDaily": 3 * (value - 50_000) / 10**8,
            }
            for at_ms, value in zip(times, walk.values(times, 200_000), strict=True)
        ]  # fmt: skip


def _is_reverse(query: dict[str, str]) -> bool:
    return query.get("reverse", "false").lower() == "true"


def _ms(text: str) -> int:
    if not _TIME.fullmatch(text):
        raise Refused(400, f"{text!r} is not a valid date.")
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _told(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"
