"""A stand-in for Binance's public REST API: spot, USDⓈ-M and COIN-M on one address.

By hand, so that a person can point the app at it::

    python -m tests.exchanges.binance --port 8081 --latency-ms 150 --weight-limit 6000
"""

import argparse
import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import needs
from tests.exchanges import binance_rules as rules
from tests.exchanges.binance_archive import BinanceArchive
from tests.exchanges.binance_listing import Entry, Instrument, Market, entries, instrument
from tests.exchanges.binance_rules import Budget, Refused
from tests.exchanges.binance_series import (
    SPANS_MS,
    GeneratedKlines,
    GeneratedTrades,
    Series,
    depth,
    funding,
    open_interest,
    recorded_klines,
    recorded_trades,
)
from tests.exchanges.engine import Request, Response, StandIn

_PREFIXES: dict[str, Market] = {"/api/v3/": "spot", "/fapi/v1/": "usdm", "/dapi/v1/": "coinm"}
_INTEREST_PATH = "/futures/data/openInterestHist"
_INTEREST_PERIODS = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")
_INTEREST_REACH_MS = 30 * 86_400_000
_COINM_REACH_MS = 200 * 86_400_000
_HOUR_MS = 3_600_000
_MICRO_FROM = 10**14  # a spot timestamp this large is in microseconds
_FUTURES_DEPTHS = (5, 10, 20, 50, 100, 500, 1_000)
_RECORDED_TRADES = {
    "XRPETH": "datasets/binance_aggtrades/XRP_ETH_binance_aggTrades_ccxt_with_info.json.gz",
}


@dataclass(slots=True)
class _Call:
    """A request on its way through a handler."""

    market: Market
    pairs: list[tuple[str, str]]
    micro: bool
    now_ms: int
    head: dict[str, str]


class BinanceStandIn(StandIn):
    """Binance on the loopback address.

    Parameters
    ----------
    shared
        Folder with the recorded `datasets`; without one everything is generated.
    now_ms
        The exchange's clock, standing still; None for the real time. Can be set while running.
    limits
        Changes to the budgets: weight a minute of ``spot``, ``usdm``, ``coinm``; requests in five minutes
        of ``funding`` (USDⓈ-M funding rates) and ``data`` (open-interest history).
    trades_per_s
        Rate of generated aggregate trades.
    has_archive
        Whether it serves public files as well, at the same address; without, there are none.

    Attributes
    ----------
    rows_most
        Rows of a page at most, whatever was asked for: an allowance lowered without a word.
    """

    def __init__(
        self,
        *,
        shared: Path | None = None,
        now_ms: int | None = None,
        limits: Mapping[str, int] | None = None,
        trades_per_s: int = 10,
        has_archive: bool = False,
        port: int = 0,
        latency_s: float = 0.0,
    ) -> None:
        super().__init__(port=port, latency_s=latency_s)
        self._frozen_ms = now_ms
        self._shared = shared
        self._trades_per_s = trades_per_s
        self.rows_most = 1_500
        five_minutes = {"funding", "data"}
        self.budgets = {
            name: Budget(limit, rules.FIVE_MINUTES_MS if name in five_minutes else rules.MINUTE_MS)
            for name, limit in {**rules.DEFAULT_LIMITS, **(limits or {})}.items()
        }
        self.listings: dict[Market, list[Entry]] = {}
        self._instruments: dict[Market, dict[str, Instrument]] = {}
        for market in _PREFIXES.values():
            self.listings[market] = entries(market, shared)
            self._instruments[market] = {e["symbol"]: instrument(market, e) for e in self.listings[market]}
        self.archive = BinanceArchive(self.series) if has_archive else None
        self._series: dict[tuple[str, ...], Series] = {}
        self._handlers: dict[str, Callable[[_Call], bytes]] = {
            "ping": self._ping,
            "time": self._time,
            "exchangeInfo": self._exchange_info,
            "klines": self._klines,
            "aggTrades": self._agg_trades,
            "depth": self._depth,
            "fundingRate": self._funding_rate,
            "openInterest": self._open_interest,
        }

    @property
    def now_ms(self) -> int:
        """The exchange's time."""
        return time.time_ns() // 1_000_000 if self._frozen_ms is None else self._frozen_ms

    @now_ms.setter
    def now_ms(self, value: int | None) -> None:
        self._frozen_ms = value

    @property
    def config(self) -> str:
        """Lines for dccd's configuration that point its Binance source here."""
        keys = ("rest_url", "futures_url", "delivery_url", "archive_url")
        return "\n".join(["[sources.binance]", *(f'{key} = "{self.url}"' for key in keys)])

    def stats(self) -> dict[str, Any]:
        """See `StandIn`; with the most weight that any window saw."""
        return super().stats() | {
            "used_max": {name: budget.used_max for name, budget in self.budgets.items()}
        }

    def respond(self, request: Request) -> Response:
        """See `StandIn`."""
        if self.archive is not None and request.path.startswith("/data/"):
            return self.archive.respond(request, self.now_ms)
        head: dict[str, str] = {}
        try:
            return Response(self._handle(request, head), headers=head)
        except Refused as refused:
            if refused.retry_after_s is not None:
                head["Retry-After"] = str(refused.retry_after_s)
            body = json.dumps({"code": refused.code, "msg": refused.message}, separators=(",", ":"))
            return Response(body.encode(), refused.status, head)

    def _handle(self, request: Request, head: dict[str, str]) -> bytes:
        handler: Callable[[_Call], bytes] | None
        prefix, _, name = request.path.rpartition("/")
        market = _PREFIXES.get(prefix + "/")
        if request.path == _INTEREST_PATH:
            coins = any(key in ("pair", "contractType") for key, _ in request.pairs)
            market, handler = "coinm" if coins else "usdm", self._open_interest_history
        elif market is None or (name in ("fundingRate", "openInterest") and market == "spot"):
            handler = None
        else:
            handler = self._handlers.get(name)
        if handler is None or market is None or request.method != "GET":
            raise Refused(-5000, f"Path {request.path}, Method {request.method} is invalid", status=404)
        micro = market == "spot" and b"x-mbx-time-unit: microsecond" in request.head.lower()
        return handler(_Call(market, request.pairs, micro, self.now_ms, head))

    def _spend(self, call: _Call, weight: int, budget: str | None = None) -> None:
        """Charge the market's weight, or one request to a budget of its own; put the header on the answer."""
        try:
            if budget is not None:
                self.budgets[budget].spend(1, call.now_ms)
            self.budgets[call.market].spend(weight, call.now_ms)
        finally:
            used = str(self.budgets[call.market].used)
            if call.market == "spot":
                call.head["X-MBX-USED-WEIGHT"] = used
            call.head["X-MBX-USED-WEIGHT-1M"] = used

    def _read(self, call: _Call, allowed: str, required: str = "symbol") -> dict[str, str]:
        return rules.read_parameters(
            call.pairs, allowed.split(), required.split(), strict_names=call.market == "spot"
        )

    def _instrument(self, call: _Call, symbol: str) -> Instrument:
        if symbol not in self._instruments[call.market]:
            raise Refused(-1121, "Invalid symbol.")
        return self._instruments[call.market][symbol]

    # General endpoints

    def _ping(self, call: _Call) -> bytes:
        self._spend(call, 1)
        return b"{}"

    def _time(self, call: _Call) -> bytes:
        self._spend(call, 1)
        return b'{"serverTime":%d}' % (call.now_ms * (1_000 if call.micro else 1))

    def _exchange_info(self, call: _Call) -> bytes:
        self._spend(call, 20 if call.market == "spot" else 1)
        listed = self.listings[call.market]
        if call.market == "spot":
            values = self._read(call, "symbol symbols permissions showPermissionSets symbolStatus", "")
            if values.keys() - {"symbol", "symbols"}:
                raise NotImplementedError(f"exchangeInfo with {sorted(values)}")
            wanted = [values["symbol"]] if "symbol" in values else json.loads(values.get("symbols", "[]"))
            for symbol in wanted:
                self._instrument(call, symbol)
            listed = [entry for entry in listed if entry["symbol"] in wanted] if wanted else listed
        limit = {
            "rateLimitType": "REQUEST_WEIGHT",
            "interval": "MINUTE",
            "intervalNum": 1,
            "limit": self.budgets[call.market].limit,
        }
        info: dict[str, Any] = {"timezone": "UTC", "serverTime": call.now_ms * (1_000 if call.micro else 1)}
        if call.market == "usdm":
            info["futuresType"] = "U_MARGINED"
        info |= {"rateLimits": [limit], "exchangeFilters": [], "symbols": listed}
        return json.dumps(info, separators=(",", ":"), ensure_ascii=False).encode()

    # Market data

    def _klines(self, call: _Call) -> bytes:
        limit = self._limit_sent(call, 500)
        self._spend(call, 2 if call.market == "spot" else rules.klines_weight(limit))
        zone = " timeZone" if call.market == "spot" else ""
        values = self._read(call, "symbol interval startTime endTime limit" + zone, "symbol interval")
        it = self._instrument(call, values["symbol"])
        span = values["interval"]
        if span not in SPANS_MS or (span == "1s" and call.market != "spot"):
            raise Refused(-1120, "Invalid interval.")
        if values.get("timeZone", "0") != "0":
            raise NotImplementedError("klines in another time zone")
        limit = _limit(call.market, limit, 1_000 if call.market == "spot" else 1_500)
        start_ms, end_ms = _range(call.market, values)
        newest = False
        if call.market == "coinm":
            start_ms, end_ms = _coinm_range(start_ms, end_ms, call.now_ms)
            newest = True  # "the most recent limit data from endTime will be returned"
        return self._page(self._kline_series(it, span), call, start_ms, end_ms, limit, newest=newest)

    def _agg_trades(self, call: _Call) -> bytes:
        self._spend(call, 4 if call.market == "spot" else 20)
        values = self._read(call, "symbol fromId startTime endTime limit")
        it = self._instrument(call, values["symbol"])
        limit = _limit(call.market, int(values.get("limit", 500)), 1_000)
        start_ms, end_ms = _range(call.market, values)
        series = self._trade_series(it)
        if "fromId" in values:
            # The futures' pages say only that this "might cause response timeout": refused all the same.
            if start_ms is not None or end_ms is not None:
                raise Refused(-1128, "Combination of optional parameters invalid.")
            first, stop = series.bounds(call.now_ms)
            first = max(first, int(values["fromId"]))
            return _array(series, first, min(stop, first + min(limit, self.rows_most)), call)
        window_ms = end_ms - start_ms if start_ms is not None and end_ms is not None else 0
        if call.market != "spot" and window_ms >= _HOUR_MS:
            raise Refused(-1127, "More than 1 hours between startTime and endTime.")
        return self._page(series, call, start_ms, end_ms, limit)

    def _depth(self, call: _Call) -> bytes:
        spot = call.market == "spot"
        limit = self._limit_sent(call, 100 if spot else 500)
        self._spend(call, rules.spot_depth_weight(limit) if spot else rules.futures_depth_weight(limit))
        values = self._read(call, "symbol limit symbolStatus" if spot else "symbol limit")
        it = self._instrument(call, values["symbol"])
        if spot:
            limit = _limit("spot", limit, 5_000)
        elif limit not in _FUTURES_DEPTHS:
            raise Refused(-4021, f"'{limit}' is not valid depth limit")
        body: dict[str, Any] = {"lastUpdateId": call.now_ms // 100}
        if not spot:
            body |= {"E": call.now_ms, "T": call.now_ms - 8}
        if call.market == "coinm":
            body |= {"symbol": it.symbol, "pair": it.pair}
        return json.dumps(body | depth(it, limit, call.now_ms), separators=(",", ":")).encode()

    def _funding_rate(self, call: _Call) -> bytes:
        if call.market == "usdm":
            self._spend(call, 0, "funding")
        else:
            self._spend(call, 1)
        values = self._read(call, "symbol startTime endTime limit", "" if call.market == "usdm" else "symbol")
        limit = _limit(call.market, int(values.get("limit", 100)), 1_000)
        it = self._instrument(call, values.get("symbol", "BTCUSDT"))
        if it.contract_type != "PERPETUAL":
            return b"[]"
        start_ms, end_ms = _range(call.market, values)
        series = self._keep(("funding", call.market, it.symbol), lambda: funding(it))
        return self._page(series, call, start_ms, end_ms, limit)

    def _open_interest(self, call: _Call) -> bytes:
        self._spend(call, 1)
        it = self._instrument(call, self._read(call, "symbol")["symbol"])
        amount = json.loads(_array(open_interest(it, "5m"), *_last(call.now_ms // 300_000), call))[0]
        body = {"openInterest": amount["sumOpenInterest"], "symbol": it.symbol, "time": call.now_ms}
        if call.market == "coinm":
            body |= {"pair": it.pair, "contractType": it.contract_type}
        return json.dumps(body, separators=(",", ":")).encode()

    def _open_interest_history(self, call: _Call) -> bytes:
        coins = call.market == "coinm"
        self._spend(call, 1 if coins else 0, "data")
        names = "pair contractType period" if coins else "symbol period"
        values = self._read(call, names + " limit startTime endTime", names)
        if coins:
            it = next(
                (
                    each
                    for each in self._instruments["coinm"].values()
                    if each.pair == values["pair"] and values["contractType"] in (each.contract_type, "ALL")
                ),
                None,
            )
            if it is None:
                raise Refused(-1121, "Invalid symbol.")
        else:
            it = self._instrument(call, values["symbol"])
        if values["period"] not in _INTEREST_PERIODS:
            raise Refused(-1130, "parameter 'period' is invalid.")
        limit = int(values.get("limit", 30))
        start_ms, end_ms = _range(call.market, values)
        if not 0 < limit <= 500:
            raise Refused(-1130, "parameter 'limit' is invalid.")
        for name, at_ms in (("startTime", start_ms), ("endTime", end_ms)):
            if at_ms is not None and at_ms < call.now_ms - _INTEREST_REACH_MS:
                raise Refused(-1130, f"parameter '{name}' is invalid.")
        if start_ms is None:
            start_ms = call.now_ms - _INTEREST_REACH_MS
        series = self._keep(
            ("interest", call.market, it.symbol, values["period"]),
            lambda: open_interest(it, values["period"]),
        )
        return self._page(series, call, start_ms, end_ms, limit, newest=True)

    # Series

    def series(self, kind: str, market: Market, symbol: str, span: str) -> Series | None:
        """What a public file has rows of: klines, aggTrades or metrics."""
        it = self._instruments[market].get(symbol)
        if it is None:
            return None
        if kind == "klines":
            return self._kline_series(it, span)
        return self._trade_series(it) if kind == "aggTrades" else open_interest(it, "5m")

    def _kline_series(self, it: Instrument, span: str) -> Series:
        def make() -> Series:
            path = f"datasets/binance_klines/{it.symbol}_{span}.jsonl.gz"
            if self._shared is not None and it.market == "spot" and (self._shared / path).exists():
                return recorded_klines(self._shared / path)
            return GeneratedKlines(it, span)

        return self._keep(("klines", it.market, it.symbol, span), make)

    def _trade_series(self, it: Instrument) -> Series:
        def make() -> Series:
            path = _RECORDED_TRADES.get(it.symbol)
            if self._shared is not None and it.market == "spot" and path is not None:
                return recorded_trades(self._shared / path)
            return GeneratedTrades(it, self._trades_per_s)

        return self._keep(("trades", it.market, it.symbol), make)

    def _keep(self, key: tuple[str, ...], make: Callable[[], Series]) -> Series:
        if key not in self._series:
            self._series[key] = make()
        return self._series[key]

    def _limit_sent(self, call: _Call, default: int) -> int:
        """The limit as weights are counted by it, before anything is checked."""
        sent = dict(call.pairs).get("limit", "")
        return int(sent) if sent.isdecimal() else default

    def _page(
        self,
        series: Series,
        call: _Call,
        start_ms: int | None,
        end_ms: int | None,
        limit: int,
        *,
        newest: bool = False,
    ) -> bytes:
        """Cut a page, both bounds inclusive: the oldest rows from `start_ms`, or the newest ones.

        Without a start, and on endpoints that count from the end (`newest`), the rows nearest the end.
        """
        limit = min(limit, self.rows_most)
        first, stop = series.bounds(call.now_ms)
        if start_ms is not None:
            first = max(first, series.at_or_after(start_ms))
        if end_ms is not None:
            stop = min(stop, series.at_or_after(end_ms + 1))
        if newest or start_ms is None:
            first = max(first, stop - limit)
        return _array(series, first, min(stop, first + limit), call)


def _array(series: Series, first: int, stop: int, call: _Call) -> bytes:
    return (
        b"[" + series.rows(first, stop, call.now_ms, micro=call.micro)[:-1] + b"]" if stop > first else b"[]"
    )


def _last(index: int) -> tuple[int, int]:
    return index, index + 1


def _limit(market: Market, limit: int, most: int) -> int:
    """Spot gives its most when asked for more; the futures refuse."""
    if limit < 1 or (limit > most and market != "spot"):
        raise Refused(-1130, "Data sent for parameter 'limit' is not valid.")
    return min(limit, most)


def _range(market: Market, values: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Read startTime and endTime, inclusive, in ms; spot takes microseconds too."""
    start, end = (int(values[name]) if name in values else None for name in ("startTime", "endTime"))
    if market == "spot":
        start = -(-start // 1_000) if start is not None and start >= _MICRO_FROM else start
        end = end // 1_000 if end is not None and end >= _MICRO_FROM else end
    elif start is not None and end is not None and start > end:
        raise Refused(-1023, "Start time is greater than end time.")
    return start, end


def _coinm_range(start_ms: int | None, end_ms: int | None, now_ms: int) -> tuple[int | None, int | None]:
    """COIN-M klines look at no more than 200 days."""
    if start_ms is not None and end_ms is not None:
        if end_ms - start_ms > _COINM_REACH_MS:
            raise Refused(-4088, "Maximum time interval is 200 days.")
    elif start_ms is not None:
        end_ms = min(start_ms + _COINM_REACH_MS, now_ms)
    elif end_ms is not None:
        start_ms = end_ms - _COINM_REACH_MS
    return start_ms, end_ms


async def _serve(stand_in: BinanceStandIn) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with stand_in:
        print(f"Binance stand-in at {stand_in.url}\n\n{stand_in.config}", flush=True)  # noqa: T201
        await stop.wait()


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description="A loopback stand-in for Binance's public REST API.")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="wait before each answer")
    parser.add_argument("--weight-limit", type=int, default=6_000, help="spot weight a minute")
    parser.add_argument(
        "--futures-weight-limit", type=int, default=2_400, help="USD-M and COIN-M weight a minute"
    )
    parser.add_argument("--trades-per-s", type=int, default=10, help="rate of generated trades")
    parser.add_argument("--now-ms", type=int, help="let the exchange's clock stand still at this time")
    parser.add_argument("--generated", action="store_true", help="leave the recorded data out")
    parser.add_argument("--archive", action="store_true", help="serve public files at the same address")
    parser.add_argument("--cpu", type=int, help="run on this processor only")
    options = parser.parse_args()
    if options.cpu is not None:
        os.sched_setaffinity(0, {options.cpu})
    futures = options.futures_weight_limit
    stand_in = BinanceStandIn(
        shared=None if options.generated or needs.missing("shared") else needs.shared_folder(),
        now_ms=options.now_ms,
        limits={"spot": options.weight_limit, "usdm": futures, "coinm": futures},
        trades_per_s=options.trades_per_s,
        has_archive=options.archive,
        port=options.port,
        latency_s=options.latency_ms / 1_000,
    )
    asyncio.run(_serve(stand_in))


if __name__ == "__main__":
    main()
