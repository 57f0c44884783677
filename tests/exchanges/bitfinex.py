"""A stand-in for Bitfinex's public REST API v2, as https://docs.bitfinex.com/reference/ says it answers.

Where that is silent the stricter reading is taken: parameters that an endpoint does not document are refused.
"""

import json
import time
from collections import defaultdict, deque
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from dccd.domain.span import Span
from dccd.domain.timeutils import MS_NS, S_NS
from tests.exchanges.engine import Request, Response, StandIn
from tests.exchanges.walk import Trade, Walk

FIRST_MS = 1_580_515_500_000  # 2020-02-01, a Saturday, five minutes past midnight
_PERIOD_MS = 8 * 3_600_000
_SPANS = {
    "1m": "1m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1h", "3h": "3h", "6h": "6h", "12h": "12h",
    "1D": "1d", "1W": "1w", "14D": "14d", "1M": "1mo",
}  # fmt: skip
PAIRS = ["AAABBB", "BTCUSD", "BTCUST", "DOGE:USD", "ALGUDC", "TESTBTC:TESTUSD"]
CONTRACTS = ["ALGF0:USTF0", "BTCF0:USTF0", "ETHF0:BTCF0", "TESTBTCF0:TESTUSDTF0"]
_NAMES = [
    ["AAA", "TESTAAA"], ["ALG", "ALGO"], ["BBB", "TESTBBB"], ["TESTBTC", "BTC"], ["TESTUSD", "USD"],
    ["TESTUSDT", "USDT"], ["UDC", "USDC"], ["UST", "USDt"], ["USTF0", "USDt0"],
]  # fmt: skip
# Smallest and largest order at 3 and 4, margins at 8 and 9.
_INFO = [None, None, None, "0.00004", "2000.0", None, None, None, 0.1, 0.05, None, None]
_LISTS: dict[str, list[Any]] = {
    "pub:list:pair:exchange": PAIRS,
    "pub:list:pair:futures": CONTRACTS,
    "pub:list:pair:margin": ["BTCUSD", "BTCUST"],
    "pub:info:pair": [[pair, _INFO] for pair in PAIRS],
    "pub:info:pair:futures": [[pair, _INFO] for pair in CONTRACTS],
    "pub:map:currency:sym": _NAMES,
}
_ALLOWED = {"conf": 90, "candles": 30, "trades": 15, "book": 240, "status": 90, "platform": 30}  # a minute


class Refused(Exception):
    """A request answered with an error."""

    def __init__(self, code: int, words: str, status: int = 500) -> None:
        super().__init__(words)
        self.body: Any = ["error", code, words] if code else {"error": words}
        self.status = status


class BitfinexStandIn(StandIn):
    """Bitfinex on the loopback address.

    Parameters
    ----------
    now_ns
        The exchange's clock.
    every_ms
        Mean time between two trades.
    quiet
        Each so many-th bar has no trades and is left out; 0 for none.

    Attributes
    ----------
    rows_most
        Rows of a page at most, whatever was asked for.
    weeks_from_ms
        How much later than on Mondays weeks begin.
    refused
        What it has refused, in its words.
    """

    def __init__(
        self,
        *,
        now_ns: Callable[[], int] = time.time_ns,
        every_ms: int = 100,
        quiet: int = 0,
        port: int = 0,
        latency_s: float = 0.0,
    ) -> None:
        super().__init__(port=port, latency_s=latency_s)
        self.now_ns, self.quiet = now_ns, quiet
        self.rows_most = 10_000
        self.weeks_from_ms = 0
        self.refused: list[str] = []
        self.walks = {
            "t" + pair: Walk(place * 7 + 2, 60_000, FIRST_MS, every_ms)
            for place, pair in enumerate(PAIRS + CONTRACTS)
        }
        self._recent: dict[str, deque[int]] = defaultdict(deque)
        self._blocked_until_ns = 0

    @property
    def config(self) -> str:
        """Lines for dccd's configuration that point its Bitfinex source here."""
        return f'[sources.bitfinex]\nrest_url = "{self.url}"'

    @property
    def now_ms(self) -> int:
        """The exchange's time."""
        return self.now_ns() // MS_NS

    def respond(self, request: Request) -> Response:
        """See `StandIn`."""
        headers = {"Date": formatdate(self.now_ns() // S_NS, usegmt=True)}
        try:
            body, status = self._handle(request), 200
        except Refused as refused:
            self.refused.append(str(refused))
            body, status = refused.body, refused.status
        return Response(json.dumps(body, separators=(",", ":")).encode(), status, headers)

    def _count(self, endpoint: str) -> None:
        """So many of an endpoint in any minute; then the address is shut out for one."""
        now_ns, recent = self.now_ns(), self._recent[endpoint]
        while recent and recent[0] <= now_ns - 60 * S_NS:
            recent.popleft()
        recent.append(now_ns)
        if len(recent) > _ALLOWED[endpoint]:
            self._blocked_until_ns = now_ns + 60 * S_NS
        if now_ns < self._blocked_until_ns:
            raise Refused(0, "ERR_RATE_LIMIT", 429)

    def _handle(self, request: Request) -> Any:
        parts = request.path.strip("/").split("/")[1:]
        if not request.path.startswith("/v2/") or parts[0] not in _ALLOWED or request.method != "GET":
            raise Refused(0, "Cannot GET", 404)
        self._count(parts[0])
        match parts:
            case ["platform", "status"]:
                _read(request)
                return [1]
            case ["conf", labels]:
                _read(request)
                return [_LISTS.get(label) for label in labels.split(",")]
            case ["candles", key, "hist"]:
                kind, span, symbol = key.split(":", 2)
                if kind != "trade" or span not in _SPANS:
                    raise Refused(10020, "time_interval: invalid")
                return self._candles(self._walk(symbol), span, request)
            case ["trades", symbol, "hist"]:
                return self._trades(self._walk(symbol), request)
            case ["book", symbol, "P0" | "R0" as precision]:
                return self._book(self._walk(symbol), request, is_raw=precision == "R0")
            case ["status", "deriv", key, "hist"]:
                is_known = key.removeprefix("t") in CONTRACTS
                return self._status(self.walks[key], request) if is_known else []
        raise Refused(0, "Cannot GET", 404)

    def _walk(self, symbol: str) -> Walk:
        if symbol not in self.walks:
            raise Refused(10020, "symbol: invalid")
        return self.walks[symbol]

    def _range(self, request: Request, most: int, default: int) -> tuple[int, int, bool, int]:
        """From when on, until when (inclusive), whether the oldest first, how many rows; 0 is as nothing."""
        query = _read(request, "sort", "start", "end", "limit")
        for name, value in query.items():
            if not value.removeprefix("-").isdecimal():
                raise Refused(10020, f"{name}: invalid")
        limit = int(query.get("limit", 0)) or default
        if not 0 < limit <= most:
            raise Refused(10020, "limit: invalid")
        end_ms = int(query.get("end", 0)) or self.now_ms
        start_ms = int(query.get("start", 0))
        return start_ms, min(end_ms, self.now_ms), query.get("sort") == "1", min(limit, self.rows_most)

    def _candles(self, walk: Walk, key: str, request: Request) -> list[Any]:
        start_ms, end_ms, is_oldest, limit = self._range(request, 10_000, 100)
        span, later_ms = _SPANS[key], self.weeks_from_ms if key == "1W" else 0
        if is_oldest:  # no further than the rows asked for can reach
            reach_ms = (2 * limit + 2) * Span.parse(span).nominal_ns // MS_NS
            end_ms = min(end_ms, max(start_ms, FIRST_MS) + reach_ms)
        opens = walk.opens(span, start_ms - later_ms, end_ms + 1 - later_ms)
        if self.quiet:
            opens = [at_ms for at_ms in opens if walk.values([at_ms], self.quiet)[0]]
        rows = [
            [
                bar.open_ms + later_ms,
                bar.open / 10,
                bar.close / 10,
                bar.high / 10,
                bar.low / 10,
                bar.volume / 1e8,
            ]
            for bar in walk.bars(span, opens[:limit] if is_oldest else opens[-limit:])
        ]
        return rows if is_oldest else rows[::-1]

    def _trades(self, walk: Walk, request: Request) -> list[Any]:
        """Of one millisecond the newest come first, whatever the order of times."""
        start_ms, end_ms, is_oldest, limit = self._range(request, 10_000, 125)
        first, stop = walk.number_at(start_ms), walk.number_at(end_ms + 1)
        if is_oldest:
            found = walk.trades(first, min(stop, first + limit + 250))
            found = sorted(found, key=lambda trade: (trade.time_ms, -trade.number))
        else:
            found = walk.trades(max(first, stop - limit), stop)[::-1]
        return [trade_row(trade) for trade in found[:limit]]

    def _book(self, walk: Walk, request: Request, *, is_raw: bool) -> list[Any]:
        """Levels; raw, single orders, of which each level has one here."""
        depth = _read(request, "len").get("len", "25")
        if depth not in ("1", "25", "100", "250"):
            raise Refused(10020, "len: invalid")
        sides = walk.book(int(depth), self.now_ms)
        return [
            [price, price / 10, sign * amount / 1e8]
            if is_raw
            else [price / 10, amount % 9 + 1, sign * amount / 1e8]
            for side, sign in zip(sides, (1, -1), strict=True)
            for price, amount in side
        ]

    def _status(self, walk: Walk, request: Request) -> list[Any]:
        start_ms, end_ms, is_oldest, limit = self._range(request, 5000, 100)
        if is_oldest:
            end_ms = min(end_ms, max(start_ms, FIRST_MS) + (limit + 2) * 60_000)
        minutes = walk.times(60_000, start_ms - 60_000, end_ms + 1)
        # At any second of its minute; each row is found by its minute alone.
        within = [second * 1000 for second in walk.values(minutes, 60)]
        times = [at_ms + later_ms for at_ms, later_ms in zip(minutes, within, strict=True)]
        times = [at_ms for at_ms in times if start_ms <= at_ms <= end_ms]
        rows = states(walk, times[:limit] if is_oldest else times[-limit:])
        return rows if is_oldest else rows[::-1]


def states(walk: Walk, times: list[int]) -> list[list[Any]]:
    """The status of some moments; nothing is current in the first seconds of a period."""
    nexts = [at_ms // _PERIOD_MS * _PERIOD_MS + _PERIOD_MS for at_ms in times]
    found = zip(times, nexts, walk.values(nexts, 500_000), walk.values(times, 500_000), strict=True)
    rows = []
    for at_ms, next_ms, rate, interest in found:
        since_ms = at_ms % _PERIOD_MS
        current = None if since_ms < 30_000 else (rate - 250_000) / 1e8
        row: list[Any] = [None] * 23
        row[0], row[2], row[3], row[5], row[14] = at_ms, 9166.30324769, 9169.35, 1372762.95402242, 9170.3525
        row[7], row[8], row[9], row[11] = next_ms, -0.00001415, since_ms // 3000, current
        row[17], row[21], row[22] = interest / 100, 0.0005, 0.0025
        rows.append(row)
    return rows


def trade_row(trade: Trade) -> list[Any]:
    """A trade as it is listed: ids rise, and some are another pair's."""
    return [
        1_000 + trade.number * 3,
        trade.time_ms,
        (trade.amount if trade.buy else -trade.amount) / 1e8,
        trade.price / 10,
    ]


def _read(request: Request, *allowed: str) -> dict[str, str]:
    query = request.query
    for name in query:
        if name not in allowed or len(query) < len(request.pairs):
            raise Refused(10020, f"{name}: invalid")
    return query
