"""A stand-in for OKX's public V5 REST API, as https://www.okx.com/docs-v5/en/ says it answers.

Where that is silent the stricter reading is taken: parameters that an endpoint does not document are refused.
"""

import json
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.exchanges.engine import Request, Response, StandIn
from tests.exchanges.walk import Walk, decimal

_FIRST_MS = 1_580_515_200_000  # 2020-02-01, a Saturday
_BARS = {
    "1m": "1m", "3m": "3m", "5m": "5m", "15m": "15m", "30m": "30m", "1H": "1h", "2H": "2h", "4H": "4h",
    "6Hutc": "6h", "12Hutc": "12h", "1Dutc": "1d", "1Wutc": "1w", "1Mutc": "1mo",
}  # fmt: skip
_HOUR_MS = 3_600_000
_PERIODS_MS = {
    "5m": 300_000, "15m": 900_000, "30m": 1_800_000, "1H": _HOUR_MS, "2H": 2 * _HOUR_MS, "4H": 4 * _HOUR_MS,
    "6Hutc": 6 * _HOUR_MS, "12Hutc": 12 * _HOUR_MS,
}  # fmt: skip
_KEPT_MS = 92 * 24 * _HOUR_MS
_INTEREST_KEPT = 1440
_WINDOW_MS = 2_000


@dataclass(frozen=True)
class Listed:
    """An instrument of the stand-in: price in tenths, spot amounts in thousandths, else whole contracts."""

    kind: str
    name: str
    settle: str = ""
    contract: str = ""
    value: str = ""
    expiry_ms: int = 0
    funding_h: int = 8
    state: str = "live"
    first_ms: int = _FIRST_MS

    def entry(self) -> dict[str, Any]:
        """As the list of instruments has it."""
        base, quote = self.name.split("-")[:2]
        spot = self.kind == "SPOT"
        return {
            "instType": self.kind, "instId": self.name, "state": self.state, "tickSz": "0.1",
            "lotSz": "0.001" if spot else "1", "listTime": str(self.first_ms + 10**9),
            "expTime": str(self.expiry_ms or ""), "baseCcy": base if spot else "",
            "quoteCcy": quote if spot else "", "uly": "" if spot else f"{base}-{quote}",
            "settleCcy": self.settle, "ctType": self.contract, "ctVal": self.value,
            "ctMult": "" if spot else "1",
        }  # fmt: skip


LISTED = (
    Listed("SPOT", "BTC-USDT"),
    Listed("SPOT", "ETH-BTC"),
    Listed("SPOT", "TEST-USDT", state="test"),
    Listed("SWAP", "BTC-USDT-SWAP", "USDT", "linear", "0.01"),
    Listed("SWAP", "ETH-USDT-SWAP", "USDT", "linear", "0.1", funding_h=4),
    Listed("SWAP", "BTC-USD-SWAP", "BTC", "inverse", "100"),
    Listed("FUTURES", "BTC-USDT-261225", "USDT", "linear", "0.01", 1_798_185_600_000),
    Listed("FUTURES", "BTC-USD-261225", "BTC", "inverse", "100", 1_798_185_600_000),
)


class Refused(Exception):
    """A request answered with an error code."""

    def __init__(self, code: str, words: str, status: int = 400) -> None:
        super().__init__(words)
        self.code, self.words, self.status = code, words, status


class OkxStandIn(StandIn):
    """OKX on the loopback address.

    Parameters
    ----------
    now_ms
        The exchange's clock, standing still; None for the real time. Can be set while running.
    quiet
        Each so many-th bar or so has no trades and is left out; 0 for none.
    is_limited
        Whether requests are counted: so many in any two seconds of its clock.

    Attributes
    ----------
    rows_most
        Rows of a page at most, whatever was asked for: an allowance lowered without a word.
    """

    def __init__(
        self,
        *,
        now_ms: int | None = None,
        quiet: int = 0,
        is_limited: bool = True,
        port: int = 0,
        latency_s: float = 0.0,
    ) -> None:
        super().__init__(port=port, latency_s=latency_s)
        self.frozen_ms, self.quiet, self.is_limited, self.rows_most = now_ms, quiet, is_limited, 1000
        self.walks = {
            each.name: Walk(place * 7 + 2, 600_000, each.first_ms) for place, each in enumerate(LISTED)
        }
        self._listed = {each.name: each for each in LISTED}
        self._recent: dict[str, deque[int]] = defaultdict(deque)
        # A handler, requests in two seconds, what it allows and what it wants.
        self._handlers: dict[str, tuple[Callable[[dict[str, str]], Any], int, str, str]] = {
            "public/time": (lambda _: [{"ts": str(self.now_ms)}], 10, "", ""),
            "public/instruments": (self._instruments, 20, "instType instFamily instId", "instType"),
            "market/candles": (self._candles, 40, "instId after before bar limit", "instId"),
            "market/trades": (self._trades, 100, "instId limit", "instId"),
            "market/history-candles": (self._candles, 20, "instId after before bar limit", "instId"),
            "market/history-trades": (self._trades, 20, "instId type after before limit", "instId"),
            "market/books": (self._book, 40, "instId sz", "instId"),
            "public/funding-rate-history": (self._funding, 10, "instId before after limit", "instId"),
            "rubik/stat/contracts/open-interest-history": (
                self._interest, 10, "instId period end begin limit", "instId",
            ),
        }  # fmt: skip

    @property
    def now_ms(self) -> int:
        """The exchange's time."""
        return time.time_ns() // 1_000_000 if self.frozen_ms is None else self.frozen_ms

    @property
    def config(self) -> str:
        """Lines for dccd's configuration that point its OKX source here."""
        return f'[sources.okx]\nrest_url = "{self.url}"\narchive_url = "{self.url}"'

    def respond(self, request: Request) -> Response:
        """See `StandIn`."""
        endpoint = request.path.removeprefix("/api/v5/")
        try:
            if endpoint not in self._handlers or request.method != "GET":
                raise Refused("404", "Not Found", 404)
            handler, allowance, allowed, wanted = self._handlers[endpoint]
            self._count(endpoint, allowance)
            self._check(request, allowed.split(), wanted.split())
            status, answer = 200, {"code": "0", "msg": "", "data": handler(request.query)}
        except Refused as refused:
            status, answer = refused.status, {"msg": refused.words, "code": refused.code}
        return Response(json.dumps(answer, separators=(",", ":")).encode(), status)

    def _count(self, endpoint: str, allowance: int) -> None:
        now_ms, recent = self.now_ms, self._recent[endpoint]
        while recent and recent[0] <= now_ms - _WINDOW_MS:
            recent.popleft()
        recent.append(now_ms)
        if self.is_limited and len(recent) > allowance:
            raise Refused("50011", "Too Many Requests", 429)

    def _check(self, request: Request, allowed: list[str], wanted: list[str]) -> None:
        for name, value in request.pairs:
            if name not in allowed or not value or len(request.query) != len(request.pairs):
                raise Refused("51000", f"Parameter {name} error")
            if name in ("after", "before", "end", "begin", "limit", "sz") and not value.isdecimal():
                raise Refused("51000", f"Parameter {name} error")
        for name in wanted:
            if name not in request.query:
                raise Refused("50014", f"Parameter {name} can not be empty.")
        if request.query.get("instId", "BTC-USDT") not in self._listed:
            raise Refused("51001", "Instrument ID, Instrument ID code or Spread ID doesn't exist.", 200)

    def _limit(self, query: dict[str, str], default: int, most: int) -> int:
        limit = int(query.get("limit", default))
        if not 0 < limit <= most:
            raise Refused("51000", "Parameter limit error")
        return min(limit, self.rows_most)

    def _range(self, query: dict[str, str], older: str, newer: str, kept_ms: int = 0) -> tuple[int, int]:
        """Both bounds exclusive, as a half-open range that ends now."""
        start_ms = max(int(query.get(newer, -1)) + 1, kept_ms)
        return start_ms, min(int(query.get(older, self.now_ms + 1)), self.now_ms + 1)

    def _instruments(self, query: dict[str, str]) -> Any:
        if query["instType"] not in ("SPOT", "SWAP", "FUTURES"):
            raise Refused("51000", "Parameter instType error")
        return [each.entry() for each in LISTED if each.kind == query["instType"]]

    def _candles(self, query: dict[str, str]) -> Any:
        listed, walk = self._listed[query["instId"]], self.walks[query["instId"]]
        span = _BARS.get(query.get("bar", "1m"))
        if span is None:
            raise Refused("51000", "Parameter bar error")
        limit = self._limit(query, 100, 300)
        start_ms, end_ms = self._range(query, "after", "before")
        opens = walk.opens(span, start_ms, end_ms, last=2 * limit)
        if self.quiet:
            opens = [at_ms for at_ms in opens if walk.values([at_ms], self.quiet)[0]]
        rows = []
        for bar in reversed(walk.bars(span, opens[-limit:])):
            prices = [decimal(price, 1) for price in (bar.open, bar.high, bar.low, bar.close)]
            lots = decimal(bar.volume, 3) if listed.kind == "SPOT" else str(bar.volume)
            size = 0.001 if listed.kind == "SPOT" else float(listed.value)
            quote = bar.volume * size * (1 if listed.contract == "inverse" else bar.close / 10)
            base = quote / (bar.close / 10)
            values = [lots, f"{quote if listed.kind == 'SPOT' else base:.8f}", f"{quote:.8f}"]
            rows.append([str(bar.open_ms), *prices, *values, "1"])
        return rows

    def _trades(self, query: dict[str, str]) -> Any:
        """Ids count from 1; only those are served that are not older than three months."""
        listed, walk = self._listed[query["instId"]], self.walks[query["instId"]]
        if query.get("type", "1") not in ("1", "2") or ("before" in query and query.get("type") == "2"):
            raise Refused("51000", "Parameter type error")
        limit = self._limit(query, 100, 100)
        stop = walk.number_at(self.now_ms + 1)
        if "after" in query:
            after = int(query["after"])
            stop = min(stop, walk.number_at(after) if query.get("type") == "2" else after - 1)
        first = max(walk.number_at(self.now_ms - _KEPT_MS), int(query.get("before", 0)), stop - limit)
        return [
            {
                "instId": listed.name, "side": "buy" if each.buy else "sell", "source": "0",
                "sz": decimal(each.amount, 3) if listed.kind == "SPOT" else str(each.amount),
                "px": decimal(each.price, 1), "tradeId": str(each.number + 1), "ts": str(each.time_ms),
            }
            for each in reversed(walk.trades(first, stop))
        ]  # fmt: skip

    def _book(self, query: dict[str, str]) -> Any:
        depth = int(query.get("sz", 1))
        if not 0 < depth <= 400:
            raise Refused("51000", "Parameter sz error")
        lots = 3 if self._listed[query["instId"]].kind == "SPOT" else 0
        sides = self.walks[query["instId"]].book(depth, self.now_ms)
        bids, asks = ([[decimal(p, 1), decimal(q, lots), "0", "4"] for p, q in side] for side in sides)
        return [{"asks": asks, "bids": bids, "ts": str(self.now_ms - 4)}]

    def _funding(self, query: dict[str, str]) -> Any:
        listed, walk = self._listed[query["instId"]], self.walks[query["instId"]]
        if listed.kind != "SWAP":
            raise Refused("51000", "Parameter instId error")
        limit = self._limit(query, 400, 400)
        bounds = self._range(query, "after", "before", self.now_ms - _KEPT_MS)
        times = walk.times(listed.funding_h * _HOUR_MS, *bounds)[-limit:]
        rows = [
            {
                "instType": "SWAP", "instId": listed.name, "fundingRate": decimal(value - 49_000, 8),
                "realizedRate": decimal(value - 50_000, 8), "fundingTime": str(at_ms),
                "method": "current_period", "formulaType": "withRate",
            }
            for at_ms, value in zip(times, walk.values(times, 200_000), strict=True)
        ]  # fmt: skip
        return rows[::-1]

    def _interest(self, query: dict[str, str]) -> Any:
        walk, every_ms = self.walks[query["instId"]], _PERIODS_MS.get(query.get("period", "5m"))
        if every_ms is None or self._listed[query["instId"]].kind == "SPOT":
            raise Refused("51000", "Parameter period error")
        limit = self._limit(query, 100, 100)
        bounds = self._range(query, "end", "begin", self.now_ms - _INTEREST_KEPT * every_ms)
        times = walk.times(every_ms, *bounds)[-limit:]
        rows = [
            [str(at_ms), decimal(value, 2), decimal(value, 4), decimal(value * 6, 0)]
            for at_ms, value in zip(times, walk.values(times, 10**8), strict=True)
        ]
        return rows[::-1]
