"""A stand-in for Bybit's public V5 REST API, as its documentation says it answers.

See https://bybit-exchange.github.io/docs/v5/market/kline and the pages beside it. Where they are silent the
stricter reading is taken: parameters that an endpoint does not document are refused.
"""

import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.exchanges.engine import Request, Response, StandIn
from tests.exchanges.walk import Walk, decimal

_FIRST_MS = 1_585_526_400_000  # 2020-03-30
_INTERVALS = {
    "1": "1m", "3": "3m", "5": "5m", "15": "15m", "30": "30m", "60": "1h", "120": "2h", "240": "4h",
    "360": "6h", "720": "12h", "D": "1d", "W": "1w", "M": "1mo",
}  # fmt: skip
_HOUR_MS = 3_600_000
_INTEREST_MS = {
    "5min": 300_000, "15min": 900_000, "30min": 1_800_000, "1h": _HOUR_MS, "4h": 4 * _HOUR_MS,
    "1d": 24 * _HOUR_MS,
}  # fmt: skip
_BAN_MS = 600_000


@dataclass(frozen=True)
class Listed:
    """An instrument of the stand-in: price in tenths, amounts in thousandths (inverse: whole USD)."""

    category: str
    symbol: str
    base: str
    quote: str
    settle: str = ""
    kind: str = ""
    status: str = "Trading"
    delivery_ms: int = 0
    funding_h: int = 8
    first_ms: int = _FIRST_MS

    def entry(self) -> dict[str, Any]:
        """As the list of instruments has it."""
        lots = {"qtyStep": "1" if self.category == "inverse" else "0.001"}
        entry: dict[str, Any] = {
            "symbol": self.symbol,
            "baseCoin": self.base,
            "quoteCoin": self.quote,
            "status": self.status,
            "priceFilter": {"tickSize": "0.1"},
            "lotSizeFilter": {"basePrecision": "0.001"} if self.category == "spot" else lots,
        }
        if self.category != "spot":
            entry |= {"contractType": self.kind, "settleCoin": self.settle, "launchTime": str(self.first_ms)}
            entry |= {"deliveryTime": str(self.delivery_ms), "fundingInterval": self.funding_h * 60}
        return entry


LISTED = (
    Listed("spot", "BTCUSDT", "BTC", "USDT"),
    Listed("spot", "ETHUSDC", "ETH", "USDC"),
    Listed("linear", "BTCUSDT", "BTC", "USDT", "USDT", "LinearPerpetual"),
    Listed("linear", "ETHUSDT", "ETH", "USDT", "USDT", "LinearPerpetual", funding_h=1),
    Listed("linear", "BTCPERP", "BTC", "USDC", "USDC", "LinearPerpetual"),
    Listed("linear", "BTCUSDT-25DEC26", "BTC", "USDT", "USDT", "LinearFutures", "Trading", 1_798_185_600_000),
    Listed("linear", "NEWUSDT", "NEW", "USDT", "USDT", "LinearPerpetual", "PreLaunch"),
    Listed("linear", "LUNAUSDT", "LUNA", "USDT", "USDT", "LinearPerpetual", "Closed", 1_652_400_000_000),
    Listed("inverse", "BTCUSD", "BTC", "USD", "BTC", "InversePerpetual"),
    Listed("inverse", "BTCUSDZ26", "BTC", "USD", "BTC", "InverseFutures", "Trading", 1_798_185_600_000),
)


class Refused(Exception):
    """A request answered with a code under HTTP 200."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, words


class BybitStandIn(StandIn):
    """Bybit on the loopback address.

    Parameters
    ----------
    now_ms
        The exchange's clock, standing still; None for the real time. Can be set while running.
    requests_in_5_s
        More than so many in any five seconds of its clock, and the address is banned for ten minutes.
    quiet
        Each so many-th bar or so has no trades and is left out; 0 for none.

    Attributes
    ----------
    rows_most
        Rows of a page at most, whatever was asked for: an allowance lowered without a word.
    """

    def __init__(
        self,
        *,
        now_ms: int | None = None,
        requests_in_5_s: int = 600,
        quiet: int = 0,
        port: int = 0,
        latency_s: float = 0.0,
    ) -> None:
        super().__init__(port=port, latency_s=latency_s)
        self.frozen_ms, self.quiet, self.rows_most = now_ms, quiet, 1000
        self.requests_in_5_s = requests_in_5_s
        self._recent: deque[int] = deque()
        self._banned_until_ms = 0
        self.walks = {
            (each.category, each.symbol): Walk(place * 7 + 1, 600_000, each.first_ms)
            for place, each in enumerate(LISTED)
        }
        # A handler, what it allows and what it wants, beside the category.
        self._handlers: dict[str, tuple[Callable[[dict[str, str]], Any], str, str]] = {
            "time": (self._time, "", ""),
            "instruments-info": (self._instruments, "symbol status baseCoin limit cursor", ""),
            "kline": (self._klines, "symbol interval start end limit", "symbol interval"),
            "recent-trade": (self._trades, "symbol limit", "symbol"),
            "orderbook": (self._book, "symbol limit", "symbol"),
            "funding/history": (self._funding, "symbol startTime endTime limit", "symbol"),
            "open-interest": (
                self._interest, "symbol intervalTime startTime endTime limit cursor", "symbol intervalTime",
            ),
        }  # fmt: skip

    @property
    def now_ms(self) -> int:
        """The exchange's time."""
        return time.time_ns() // 1_000_000 if self.frozen_ms is None else self.frozen_ms

    @property
    def config(self) -> str:
        """Lines for dccd's configuration that point its Bybit source here."""
        return f'[sources.bybit]\nrest_url = "{self.url}"\narchive_url = "{self.url}"'

    def respond(self, request: Request) -> Response:
        """See `StandIn`."""
        if self._is_banned():
            return Response(b"<html><body>access too frequent</body></html>", 403, content_type="text/html")
        endpoint = request.path.removeprefix("/v5/market/")
        handler, allowed, wanted = self._handlers.get(endpoint, (None, "", ""))
        if handler is None or request.method != "GET" or endpoint == request.path:
            return Response(b"404 page not found", 404, content_type="text/plain")
        try:
            self._check(request, allowed, wanted)
            answer = {"retCode": 0, "retMsg": "OK", "result": handler(request.query)}
        except Refused as refused:
            answer = {"retCode": refused.code, "retMsg": refused.words, "result": {}}
        body = json.dumps(answer | {"retExtInfo": {}, "time": self.now_ms}, separators=(",", ":"))
        return Response(body.encode())

    def _is_banned(self) -> bool:
        now_ms = self.now_ms
        while self._recent and self._recent[0] <= now_ms - 5_000:
            self._recent.popleft()
        self._recent.append(now_ms)
        if len(self._recent) > self.requests_in_5_s:
            self._banned_until_ms = now_ms + _BAN_MS
        return now_ms < self._banned_until_ms

    def _check(self, request: Request, allowed: str, wanted: str) -> None:
        query = request.query
        names = {"category", *allowed.split()} if request.path != "/v5/market/time" else set()
        for name, value in request.pairs:
            if name not in names or not value or len(query) != len(request.pairs):
                raise Refused(10001, f"params error: {name}")
        if names and query.get("category") not in ("spot", "linear", "inverse"):
            raise Refused(10001, "Illegal category")
        for name in wanted.split():
            if name not in query:
                raise Refused(10001, f"params error: {name} is empty")
        if "symbol" in query and (query["category"], query["symbol"]) not in self.walks:
            raise Refused(10001, "Not supported symbols")

    def _walk(self, query: dict[str, str]) -> tuple[Walk, Listed]:
        key = query["category"], query["symbol"]
        return self.walks[key], next(each for each in LISTED if (each.category, each.symbol) == key)

    def _limit(self, query: dict[str, str], default: int, most: int) -> int:
        limit = query.get("limit", str(default))
        if not limit.isdecimal() or not 1 <= int(limit) <= most:
            raise Refused(10001, "Invalid limit")
        return min(int(limit), self.rows_most)

    def _range(self, query: dict[str, str], first: str, last: str) -> tuple[int, int]:
        """Both bounds inclusive, as a half-open range that ends now."""
        for name in (first, last):
            if not query.get(name, "0").isdecimal():
                raise Refused(10001, f"params error: {name}")
        start_ms, end_ms = int(query.get(first, 0)), int(query.get(last, self.now_ms))
        if start_ms > end_ms:
            raise Refused(10001, "The start time cannot be later than the end time")
        return start_ms, min(end_ms, self.now_ms) + 1

    def _time(self, _: dict[str, str]) -> Any:
        return {"timeSecond": str(self.now_ms // 1000), "timeNano": str(self.now_ms * 1_000_000)}

    def _instruments(self, query: dict[str, str]) -> Any:
        limit = self._limit(query, 500, 1000)
        status, first = query.get("status", "Trading"), int(query.get("cursor", "0"))
        wanted = (query["category"], status)
        found = [each.entry() for each in LISTED if (each.category, each.status) == wanted]
        if query["category"] == "spot":  # knows no pages
            return {"category": "spot", "list": found}
        cursor = str(first + limit) if first + limit < len(found) else ""
        return {"category": query["category"], "list": found[first : first + limit], "nextPageCursor": cursor}

    def _klines(self, query: dict[str, str]) -> Any:
        walk, listed = self._walk(query)
        span = _INTERVALS.get(query["interval"])
        if span is None:
            raise Refused(10001, "Invalid period!")
        limit = self._limit(query, 200, 1000)
        start_ms, end_ms = self._range(query, "start", "end")
        opens = walk.opens(span, start_ms, end_ms, last=2 * limit)
        if self.quiet:
            opens = [at_ms for at_ms in opens if walk.values([at_ms], self.quiet)[0]]
        rows = []
        for bar in reversed(walk.bars(span, opens[-limit:])):
            prices = (decimal(price, 1) for price in (bar.open, bar.high, bar.low, bar.close))
            volume, turnover = decimal(bar.volume, 3), decimal(bar.volume * bar.close, 4)
            if listed.category == "inverse":
                volume, turnover = str(bar.volume), f"{bar.volume * 10 / bar.close:.8f}"
            rows.append([str(bar.open_ms), *prices, volume, turnover])
        return {"category": listed.category, "symbol": listed.symbol, "list": rows}

    def _trades(self, query: dict[str, str]) -> Any:
        walk, listed = self._walk(query)
        spot = listed.category == "spot"
        stop = walk.number_at(self.now_ms + 1)
        made = walk.trades(stop - self._limit(query, 60 if spot else 500, 60 if spot else 1000), stop)
        rows = [
            {
                "execId": str(2_100_000_000_000_000_000 + each.number) if spot else f"{each.number:032x}",
                "symbol": listed.symbol,
                "price": decimal(each.price, 1),
                "size": str(each.amount) if listed.category == "inverse" else decimal(each.amount, 3),
                "side": "Buy" if each.buy else "Sell",
                "time": str(each.time_ms),
                "isBlockTrade": False,
                "isRPITrade": False,
                "seq": str(each.number // 2),
            }
            for each in reversed(made)
        ]
        return {"category": listed.category, "list": rows}

    def _book(self, query: dict[str, str]) -> Any:
        walk, listed = self._walk(query)
        depth = self._limit(query, 1 if listed.category == "spot" else 25, 1000)
        sides = walk.book(depth, self.now_ms)
        bids, asks = ([[decimal(price, 1), decimal(lots, 3)] for price, lots in side] for side in sides)
        times = {"ts": self.now_ms - 3, "u": 1, "seq": 2, "cts": self.now_ms - 8}
        return {"s": listed.symbol, "a": asks, "b": bids, **times}

    def _funding(self, query: dict[str, str]) -> Any:
        walk, listed = self._walk(query)
        if "startTime" in query and "endTime" not in query:
            raise Refused(10001, "Invalid parameter endTime")
        limit = self._limit(query, 200, 200)
        times = walk.times(listed.funding_h * _HOUR_MS, *self._range(query, "startTime", "endTime"))
        times = times[-limit:] if listed.kind.endswith("Perpetual") else []
        rates = (decimal(value - 50_000, 8) for value in walk.values(times, 200_000))
        rows = [
            {"symbol": listed.symbol, "fundingRate": rate, "fundingRateTimestamp": str(at_ms)}
            for at_ms, rate in zip(times, rates, strict=True)
        ]
        return {"category": listed.category, "list": rows[::-1]}

    def _interest(self, query: dict[str, str]) -> Any:
        walk, listed = self._walk(query)
        every_ms = _INTEREST_MS.get(query["intervalTime"])
        if every_ms is None or listed.category == "spot":
            raise Refused(10001, "params error: intervalTime")
        limit = self._limit(query, 50, 200)
        times = walk.times(every_ms, *self._range(query, "startTime", "endTime"))
        stop = int(query.get("cursor", len(times)))
        page = times[max(0, stop - limit) : stop]
        values = [decimal(value, 3) for value in walk.values(page, 10**8)]
        rows = [{"openInterest": value, "timestamp": str(ms)} for ms, value in zip(page, values, strict=True)]
        cursor = str(stop - limit) if stop > limit else ""
        where = {"symbol": listed.symbol, "category": listed.category}
        return {**where, "list": rows[::-1], "nextPageCursor": cursor}
