"""A stand-in for Deribit's public methods over HTTP, see https://docs.deribit.com/api-reference/market-data.

Where that is silent the stricter reading is taken: parameters that a method does not document are refused,
and trades are sorted by their ids, which do not always rise with their numbers.
"""

import json
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.exchanges.engine import Request, Response, StandIn
from tests.exchanges.fills import Fill, Fills
from tests.exchanges.walk import Walk

_S_NS = 1_000_000_000
_MS_NS = 1_000_000
_HOUR_MS = 3_600_000
_SPANS = {
    "1": "1m", "3": "3m", "5": "5m", "10": "10m", "15": "15m", "30": "30m", "60": "1h", "120": "2h",
    "180": "3h", "360": "6h", "720": "12h", "1D": "1d",
}  # fmt: skip
_BARS, _TRADES, _RATES = 5000, 1000, 744
_DEPTHS = ("1", "5", "10", "20", "50", "100", "1000", "10000")
_COST, _COST_OF_LIST, _CREDITS_EACH_S = 500, 10_000, 10_000
_CREDITS_MAX = {_COST: 50_000, _COST_OF_LIST: 12_000}
_NEVER_MS = 32_503_708_800_000
FIRST_MS = 1_534_242_287_000  # 2018-08-14, 10:24:47


@dataclass(frozen=True)
class Listed:
    """An instrument of the stand-in: prices in halves; amounts in tens of USD (inverse), or thousandths."""

    name: str
    kind: str
    base: str
    quote: str = "USD"
    settle: str = ""
    expires: str = ""
    expired: bool = False

    @property
    def inverse(self) -> bool:
        """Whether amounts are in USD."""
        return self.settle == self.base

    def amount(self, units: int) -> float:
        """An amount as it is told."""
        return units * 10.0 if self.inverse else units / 1000

    def entry(self) -> dict[str, Any]:
        """As lists have it."""
        expires = datetime.fromisoformat(self.expires) if self.expires else None
        entry: dict[str, Any] = {
            "kind": self.kind, "instrument_name": self.name, "instrument_id": zlib.crc32(self.name.encode()),
            "base_currency": self.base, "quote_currency": self.quote, "counter_currency": self.quote,
            "price_index": f"{self.base}_{self.quote}".lower(), "is_active": not self.expired,
            "state": "archivized" if self.expired else "open", "tick_size": 0.5, "tick_size_steps": [],
            "min_trade_amount": self.amount(1), "contract_size": self.amount(1),
            "creation_timestamp": FIRST_MS, "maker_commission": 0.0, "taker_commission": 0.0005,
            "expiration_timestamp": int(expires.timestamp() * 1000) if expires else _NEVER_MS,
        }  # fmt: skip
        if self.settle:
            kind = "reversed" if self.inverse else "linear"
            entry |= {"settlement_currency": self.settle, "instrument_type": kind, "future_type": kind}
            entry["settlement_period"] = "month" if expires else "perpetual"
        if self.kind == "option":
            entry |= {"strike": 80_000.0, "option_type": "call"}
        return entry


LISTED = (
    Listed("BTC-PERPETUAL", "future", "BTC", settle="BTC"),
    Listed("ETH-PERPETUAL", "future", "ETH", settle="ETH"),
    Listed("BTC-26JUN26", "future", "BTC", settle="BTC", expires="2026-06-26T08:00:00Z"),
    Listed("BTC-27FEB26", "future", "BTC", settle="BTC", expires="2026-02-27T08:00:00Z", expired=True),
    Listed("BTC_USDC-PERPETUAL", "future", "BTC", "USDC", settle="USDC"),
    Listed("BTC_USDC", "spot", "BTC", "USDC"),
    Listed("BTC-26JUN26-80000-C", "option", "BTC", settle="BTC", expires="2026-06-26T08:00:00Z"),
)


class Refused(Exception):
    """A request answered with an error."""

    def __init__(self, status: int, code: int, words: str) -> None:
        super().__init__(words)
        self.status, self.code = status, code


class DeribitStandIn(StandIn):
    """Deribit on the loopback address, both of its hosts.

    Parameters
    ----------
    now_ns
        The exchange's clock.
    burst
        Trades of a burst, of which some are of one instant; a burst comes every as many seconds.
    quiet
        Each so many-th bar is left out; 0 for none.
    day_starts
        Hours after midnight at which days begin.
    starts_included
        Whether what is of the start that is asked for comes.

    Attributes
    ----------
    rows_most
        Rows of a page of bars or funding at most, whatever was asked for.
    refused
        What it has refused, in its words.
    """

    def __init__(
        self,
        *,
        now_ns: Callable[[], int] = time.time_ns,
        burst: int = 7,
        quiet: int = 0,
        day_starts: int = 0,
        starts_included: bool = True,
        port: int = 0,
        latency_s: float = 0.0,
    ) -> None:
        super().__init__(port=port, latency_s=latency_s)
        self.now_ns, self.quiet, self.day_starts, self.rows_most = now_ns, quiet, day_starts, _BARS
        self.refused: list[str] = []
        self._burst, self._later_ms = burst, 0 if starts_included else 1
        self._credits: dict[int, float] = dict(_CREDITS_MAX)
        self._counted_ns = now_ns()
        self._listed = {each.name: each for each in LISTED}

    @property
    def config(self) -> str:
        """Lines for dccd's configuration that point its Deribit source here."""
        return f'[sources.deribit]\nrest_url = "{self.url}"\nhistory_url = "{self.url}"'

    def respond(self, request: Request) -> Response:
        """See `StandIn`."""
        now_us = self.now_ns() // 1000
        body: dict[str, Any] = {"jsonrpc": "2.0"}
        status = 200
        try:
            prefix, _, method = request.path.rpartition("/get_")
            if prefix != "/api/v2/public" or request.method != "GET":
                raise Refused(400, -32601, "Method not found")
            self._count(_COST_OF_LIST if method == "instruments" else _COST)
            if len(request.query) < len(request.pairs):
                raise Refused(400, -32602, "Invalid params")
            body["result"] = self._handle(method, request.query)
        except Refused as refused:
            self.refused.append(str(refused))
            status, body["error"] = refused.status, {"message": str(refused), "code": refused.code}
        body |= {"usIn": now_us, "usOut": now_us + 200, "usDiff": 200, "testnet": False}
        return Response(json.dumps(body, separators=(",", ":")).encode(), status)

    def walk(self, name: str) -> Walk:
        """The market of an instrument."""
        number = zlib.crc32(name.encode())
        return Walk(number % 1000, 100_000 + number % 50_000, FIRST_MS)

    def fills(self, name: str) -> Fills:
        """The trades of an instrument; the first, which is 0 here, is told as 1."""
        walk = self.walk(name)
        period_ns = self._burst * _S_NS
        return Fills(walk.seed, walk.price, FIRST_MS * _MS_NS, burst=self._burst, period_ns=period_ns)

    def _count(self, cost: int) -> None:
        """Two pools of credits, of which that for lists is its own."""
        now_ns = self.now_ns()
        more, self._counted_ns = (now_ns - self._counted_ns) / _S_NS * _CREDITS_EACH_S, now_ns
        self._credits = {pool: min(_CREDITS_MAX[pool], left + more) for pool, left in self._credits.items()}
        if self._credits[cost] < cost:
            raise Refused(429, 10028, "too_many_requests")
        self._credits[cost] -= cost

    def _handle(self, method: str, query: dict[str, str]) -> Any:
        match method:
            case "time":
                self._check(query)
                return self.now_ns() // _MS_NS
            case "instruments":
                return self._list(query)
            case "order_book":
                return self._book(query)
            case "tradingview_chart_data":
                return self._chart(query)
            case "funding_rate_history":
                return self._rates(query)
            case "last_trades_by_instrument":
                return self._by_number(query)
            case "last_trades_by_instrument_and_time":
                return self._by_time(query)
        raise Refused(400, -32601, "Method not found")

    def _check(self, query: dict[str, str], needed: Sequence[str] = (), allowed: Sequence[str] = ()) -> None:
        numbers = {"start_timestamp", "end_timestamp", "start_seq", "end_seq", "count", "depth"}
        if not set(needed) <= query.keys() <= {*needed, *allowed}:
            raise Refused(400, -32602, "Invalid params")
        if not all(query[name].isdecimal() for name in numbers & query.keys()):
            raise Refused(400, -32602, "Invalid params")
        if "instrument_name" in needed and query["instrument_name"] not in self._listed:
            raise Refused(400, 13020, "not_found")

    def _list(self, query: dict[str, str]) -> Any:
        """Without a currency it works as well, by what another client asks for."""
        self._check(query, (), ("currency", "kind", "expired"))
        if query.get("currency", "any") != "any" or query.get("expired", "false") not in ("true", "false"):
            raise Refused(400, -32602, "Invalid params")
        expired = query.get("expired") == "true"
        found = [each for each in LISTED if each.expired is expired]
        return [each.entry() for each in found if query.get("kind", each.kind) == each.kind]

    def _book(self, query: dict[str, str]) -> Any:
        self._check(query, ("instrument_name",), ("depth",))
        if query.get("depth", "5") not in _DEPTHS:
            raise Refused(400, -32602, "Invalid params")
        it, now_ms = self._listed[query["instrument_name"]], self.now_ns() // _MS_NS
        bids, asks = (
            [[price / 2, it.amount(units)] for price, units in side]
            for side in self.walk(it.name).book(int(query.get("depth", "5")), now_ms)
        )
        return {"timestamp": now_ms, "instrument_name": it.name, "state": "open", "bids": bids, "asks": asks,
                "change_id": now_ms, "best_bid_price": bids[0][0], "best_ask_price": asks[0][0]}  # fmt: skip

    def _chart(self, query: dict[str, str]) -> Any:
        """The oldest of a range, both ends of which are included; a bar that is open is among them."""
        self._check(query, ("instrument_name", "start_timestamp", "end_timestamp", "resolution"))
        span = _SPANS.get(query["resolution"])
        if span is None:
            raise Refused(400, -32602, "Invalid params")
        it = self._listed[query["instrument_name"]]
        stop_ms = min(int(query["end_timestamp"]) + 1, self.now_ns() // _MS_NS)
        start_ms = max(int(query["start_timestamp"]) + self._later_ms, FIRST_MS - 24 * _HOUR_MS)
        walk = self.walk(it.name)
        opens = walk.opens(span, start_ms, stop_ms)
        if self.quiet:
            opens = [at_ms for at_ms in opens if walk.values([at_ms], self.quiet)[0]]
        bars = walk.bars(span, opens[: min(self.rows_most, _BARS)])
        shift_ms = self.day_starts * _HOUR_MS if span == "1d" else 0
        worth = [it.amount(bar.volume) for bar in bars]
        closes = [bar.close / 2 for bar in bars]
        other = [
            round(each / close if it.inverse else each * close, 8)
            for each, close in zip(worth, closes, strict=True)
        ]
        return {
            "status": "ok" if bars else "no_data", "ticks": [bar.open_ms + shift_ms for bar in bars],
            "open": [bar.open / 2 for bar in bars], "high": [bar.high / 2 for bar in bars],
            "low": [bar.low / 2 for bar in bars], "close": closes,
            "volume": other if it.inverse else worth, "cost": worth if it.inverse else other,
        }  # fmt: skip

    def _rates(self, query: dict[str, str]) -> Any:
        """Of the hours that have ended, and of no more than a month and a day."""
        self._check(query, ("instrument_name", "start_timestamp", "end_timestamp"))
        it, walk = self._listed[query["instrument_name"]], self.walk(query["instrument_name"])
        if it.expires or not it.settle:
            raise Refused(400, 10031, "invalid_args_for_instrument")
        stop_ms = min(int(query["end_timestamp"]), self.now_ns() // _MS_NS) + 1
        times = walk.times(_HOUR_MS, int(query["start_timestamp"]) + self._later_ms, stop_ms)
        times = times[: min(self.rows_most, _RATES)]
        return [
            {"timestamp": at_ms, "index_price": 1841.62, "prev_index_price": 1837.77,
             "interest_8h": value / 10**7, "interest_1h": value / 10**8}
            for at_ms, value in zip(times, walk.values(times, 10_000), strict=True)
        ]  # fmt: skip

    def _by_number(self, query: dict[str, str]) -> Any:
        bounds = ("start_seq", "end_seq", "start_timestamp", "end_timestamp")
        self._check(query, ("instrument_name",), (*bounds, "count", "sorting", "include_old"))
        fills = self.fills(query["instrument_name"])
        newest = fills.first_from(self.now_ns())
        first = max(1, int(query.get("start_seq", 1)))
        last = min(newest, int(query.get("end_seq", newest)))
        return self._page(query, fills, first - 1, last)

    def _by_time(self, query: dict[str, str]) -> Any:
        times = ("start_timestamp", "end_timestamp")
        self._check(query, ("instrument_name", *times), ("count", "sorting", "include_old"))
        fills = self.fills(query["instrument_name"])
        start_ms, stop_ms = int(query[times[0]]) + self._later_ms, int(query[times[1]]) + 1
        first = fills.first_from(start_ms * _MS_NS)
        return self._page(query, fills, first, fills.first_from(min(self.now_ns(), stop_ms * _MS_NS)))

    def _page(self, query: dict[str, str], fills: Fills, first: int, stop: int) -> Any:
        """The trades from one number to another that come first by their ids, or last."""
        count, sorting = int(query.get("count", 10)), query.get("sorting", "desc")
        if not 1 <= count <= _TRADES or sorting not in ("asc", "desc", "default"):
            raise Refused(400, -32602, "Invalid params")
        some = range(first, stop)[: count + 2] if sorting == "asc" else range(first, stop)[-count - 2 :]
        numbers = sorted(some, key=trade_id, reverse=sorting != "asc")[:count]
        found = {fill.number: fill for fill in fills.between(some.start, some.stop)} if numbers else {}
        it = self._listed[query["instrument_name"]]
        trades = [_trade(it, found[number]) for number in numbers]
        return {"trades": trades, "has_more": stop - first > len(numbers)}


def trade_id(number: int) -> int:
    """Of ten trades, two have their ids the other way round."""
    return number ^ 1 if number // 2 % 5 == 0 else number


def _trade(it: Listed, fill: Fill) -> dict[str, Any]:
    price, amount = fill.price / 2, it.amount(fill.amount)
    return {
        "timestamp": fill.ts_ns // _MS_NS, "price": price, "amount": amount,
        "direction": "buy" if fill.is_buy else "sell", "instrument_name": it.name,
        "index_price": price + 1.25, "mark_price": price - 0.75, "tick_direction": fill.number % 4,
        "trade_seq": fill.number + 1,
        "contracts": float(fill.amount), "trade_id": str(9_000_000 + trade_id(fill.number)),
    }  # fmt: skip
