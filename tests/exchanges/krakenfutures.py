"""A stand-in for the public REST APIs of Kraken Futures, as https://docs.kraken.com/api-reference/ has them.

Where that is silent the stricter reading is taken: parameters that an endpoint does not document are refused.
"""

import base64
import json
import time
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.exchanges.engine import Request, Response, StandIn
from tests.exchanges.fills import Fill, Fills
from tests.exchanges.walk import Walk, decimal

_S_NS = 1_000_000_000
_MS_NS = 1_000_000
_HOUR_MS = 3_600_000
_SPANS = ("1m", "5m", "15m", "30m", "1h", "4h", "12h", "1d", "1w")
_CANDLES, _EXECUTIONS = 2000, 1000
_RATES_KEPT = 8_800  # hours
_EACH_SECOND = 5
FIRST_MS = 1_647_954_000_000  # 2022-03-22, thirteen o'clock


@dataclass(frozen=True)
class Listed:
    """An instrument of the stand-in: prices in halves, amounts in ten-thousandths (inverse: whole USD)."""

    symbol: str
    type: str
    base: str = ""
    last_trading: str | None = None
    tradeable: bool = True

    @property
    def decimals(self) -> int:
        """Of amounts."""
        return 0 if self.type == "futures_inverse" else 4

    def entry(self) -> dict[str, Any]:
        """As the list of instruments has it; of an index little."""
        entry: dict[str, Any] = {"symbol": self.symbol, "type": self.type, "tradeable": self.tradeable}
        if self.base:
            entry |= {
                "tickSize": 0.5, "contractSize": 1, "contractValueTradePrecision": self.decimals,
                "base": self.base, "quote": "USD", "pair": f"{self.base}:USD",
                "openingDate": "2022-03-22T13:00:00Z", "postOnly": False,
            }  # fmt: skip
        return entry | ({"lastTradingTime": self.last_trading} if self.last_trading else {})


LISTED = (
    Listed("PF_XBTUSD", "flexible_futures", "BTC"),
    Listed("PF_ETHUSD", "flexible_futures", "ETH"),
    Listed("PI_XBTUSD", "futures_inverse", "BTC"),
    Listed("FI_XBTUSD_260626", "futures_inverse", "BTC", "2026-06-26T15:00:00.000Z"),
    Listed("FF_XBTUSD_260626", "flexible_futures", "BTC", "2026-06-26T15:00:00.000Z"),
    Listed("PF_LUNAUSD", "flexible_futures", "LUNA", tradeable=False),
    Listed("in_xbtusd", "spot index", tradeable=False),
)


class Refused(Exception):
    """A request answered with an error, in the form of the service that was asked."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class KrakenFuturesStandIn(StandIn):
    """Kraken Futures on the loopback address.

    Parameters
    ----------
    now_ns
        The exchange's clock.
    burst
        Trades of a burst, of which some are of one instant; a burst comes every as many seconds.
    quiet
        Each so many-th bar is left out; 0 for none.
    week_starts
        Days after Monday on which weeks begin.

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
        week_starts: int = 0,
        port: int = 0,
        latency_s: float = 0.0,
    ) -> None:
        super().__init__(port=port, latency_s=latency_s)
        self.now_ns, self.quiet, self.week_starts, self.rows_most = now_ns, quiet, week_starts, _CANDLES
        self.refused: list[str] = []
        self._burst = burst
        self._recent: deque[int] = deque()
        self._listed = {each.symbol: each for each in LISTED if each.base}

    @property
    def config(self) -> str:
        """Lines for dccd's configuration that point its Kraken Futures source here."""
        return f'[sources.krakenfutures]\nrest_url = "{self.url}"'

    def respond(self, request: Request) -> Response:
        """See `StandIn`."""
        headers: dict[str, str] = {}
        try:
            self._count()
            query = request.query
            if request.method != "GET" or len(query) < len(request.pairs):
                raise Refused(405, "Method Not Allowed")
            status, body = 200, self._handle(request.path.strip("/").split("/"), query, headers)
        except Refused as refused:
            self.refused.append(str(refused))
            status, body = refused.status, {"result": "error", "error": str(refused)}
            if not request.path.startswith("/derivatives"):
                fault = {"severity": "error", "error_class": "Client", "type": "invalid", "msg": str(refused)}
                body = {"errors": [fault]}
        return Response(json.dumps(body, separators=(",", ":")).encode(), status, headers)

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
        now_ns = self.now_ns()
        while self._recent and self._recent[0] <= now_ns - _S_NS:
            self._recent.popleft()
        self._recent.append(now_ns)
        if len(self._recent) > _EACH_SECOND:
            raise Refused(200, "apiLimitExceeded")

    def _handle(self, path: list[str], query: dict[str, str], headers: dict[str, str]) -> Any:
        match path:
            case ["derivatives", "api", "v3", "instruments"]:
                return self._told(query, "", instruments=[each.entry() for each in LISTED])
            case ["derivatives", "api", "v3", "tickers", symbol] if symbol in self._listed:
                return self._told(query, "", ticker={"symbol": symbol, "suspended": False})
            case ["derivatives", "api", "v3", "orderbook"]:
                return self._told(query, "symbol", orderBook=self._book(query))
            case ["derivatives", "api", "v3", "historical-funding-rates"]:
                return self._told(query, "symbol", rates=self._rates(query))
            case ["api", "charts", "v1", "trade", symbol, span] if symbol in self._listed:
                return self._candles(symbol, span, query)
            case ["api", "history", "v3", "market", symbol, "executions"] if symbol in self._listed:
                return self._executions(symbol, query, headers)
        raise Refused(404, "notFound")

    def _told(self, query: dict[str, str], allowed: str, **content: Any) -> dict[str, Any]:
        if " ".join(query) != allowed:
            raise Refused(200, "requiredArgumentMissing")
        return {"result": "success", **content, "serverTime": _iso(self.now_ns() // _MS_NS)}

    def _symbol(self, query: dict[str, str]) -> str:
        if query.get("symbol") not in self._listed:
            raise Refused(200, "contractNotFound")
        return query["symbol"]

    def _book(self, query: dict[str, str]) -> Any:
        symbol = self._symbol(query)
        parts = 10 ** self._listed[symbol].decimals
        bids, asks = (
            [[price / 2, amount / parts] for price, amount in side]
            for side in self.walk(symbol).book(1500, self.now_ns() // _MS_NS)
        )
        return {"bids": bids, "asks": asks}

    def _rates(self, query: dict[str, str]) -> Any:
        """Of the last year or so, newest first; hours by their beginnings."""
        walk, now_ms = self.walk(self._symbol(query)), self.now_ns() // _MS_NS
        times = walk.times(_HOUR_MS, now_ms - _RATES_KEPT * _HOUR_MS, now_ms)
        return [
            {"timestamp": _iso(at_ms), "fundingRate": value / 100, "relativeFundingRate": value / 10**8}
            for at_ms, value in zip(reversed(times), reversed(walk.values(times, 10_000)), strict=True)
        ]

    def _candles(self, symbol: str, span: str, query: dict[str, str]) -> Any:
        """The oldest of a range, and whether there are more."""
        if span not in _SPANS:
            raise Refused(400, "Invalid resolution")
        if not query.keys() <= {"from", "to", "count"} or not all(map(str.isdecimal, query.values())):
            raise Refused(400, "Query has invalid arguments")
        walk, now_ms = self.walk(symbol), self.now_ns() // _MS_NS
        start_ms = int(query.get("from", 0)) * 1000
        stop_ms = min(int(query["to"]) * 1000 + 1, now_ms) if "to" in query else now_ms
        opens = walk.opens(span, max(start_ms, FIRST_MS - 7 * 24 * _HOUR_MS), stop_ms)
        if self.quiet:
            opens = [at_ms for at_ms in opens if walk.values([at_ms], self.quiet)[0]]
        most = min(self.rows_most, _CANDLES)
        shift_ms = self.week_starts * 24 * _HOUR_MS if span == "1w" else 0
        candles = [
            {
                "time": bar.open_ms + shift_ms, "open": decimal(bar.open * 5, 1),
                "high": decimal(bar.high * 5, 1), "low": decimal(bar.low * 5, 1),
                "close": decimal(bar.close * 5, 1),
                "volume": decimal(bar.volume, self._listed[symbol].decimals),
            }
            for bar in walk.bars(span, opens[:most])
        ]  # fmt: skip
        return {"candles": candles, "more_candles": len(opens) > most}

    def _executions(self, symbol: str, query: dict[str, str], headers: dict[str, str]) -> Any:
        """Bounds are inclusive; where the next page begins is in a token, in a header."""
        allowed = {"since", "before", "sort", "continuation_token", "count"}
        numbers = [query[name] for name in ("since", "before", "count") if name in query]
        sort = query.get("sort", "desc")
        if not query.keys() <= allowed or sort not in ("asc", "desc") or not all(map(str.isdecimal, numbers)):
            raise Refused(400, "Query has invalid arguments")
        fills, count = self.fills(symbol), int(query.get("count", _EXECUTIONS))
        first = fills.first_from(int(query.get("since", 0)) * _MS_NS)
        stop = fills.first_from(min(self.now_ns(), (int(query.get("before", 10**13)) + 1) * _MS_NS))
        if "continuation_token" in query:
            order, _, place = base64.b64decode(query["continuation_token"]).decode().partition("+")
            if order != sort:
                raise Refused(400, "The sort parameter must be the same as in the previous request")
            first, stop = (int(place), stop) if sort == "asc" else (first, int(place))
        most = min(count, self.rows_most, _EXECUTIONS)
        page = range(first, stop)[:most] if sort == "asc" else range(first, stop)[-most:]
        headers["is-truncated"] = str(len(page) < stop - first).lower()
        if len(page) < stop - first:
            token = f"{sort}+{page.stop if sort == 'asc' else page.start}"
            headers["Next-Continuation-Token"] = base64.b64encode(token.encode()).decode()
        found = fills.between(page.start, page.stop)[:: 1 if sort == "asc" else -1]
        elements = [self._element(symbol, fill) for fill in found]
        return {"elements": elements, "len": len(elements)}

    def _element(self, symbol: str, fill: Fill) -> dict[str, Any]:
        at_ms, amount = fill.ts_ns // _MS_NS, decimal(fill.amount, self._listed[symbol].decimals)
        sides = ("Sell", "Buy") if fill.is_buy else ("Buy", "Sell")
        maker, taker = (
            {"uid": f"{side}-{fill.number}", "tradeable": symbol, "direction": side, "quantity": amount}
            for side in sides
        )
        execution = {
            "uid": f"00000000-0000-4000-8000-{fill.number:012d}", "makerOrder": maker, "takerOrder": taker,
            "timestamp": at_ms, "quantity": amount, "price": decimal(fill.price * 5, 1), "limitFilled": True,
        }  # fmt: skip
        event = {"Execution": {"execution": execution, "takerReducedQuantity": ""}}
        return {"uid": f"event-{fill.number}", "timestamp": at_ms, "event": event}


def _iso(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"
