"""Binance apart from its histories: instruments, allowances, clock and errors, of all three APIs.

Documentation: .../rest-api/general-endpoints and .../errors of the spot API, Exchange-Information and
error-code of both futures APIs, under https://developers.binance.com/docs/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from dccd.domain.errors import ExchangeError, ExchangeRefused, ExchangeUnavailable, Throttled
from dccd.domain.instrument import Instrument
from dccd.domain.symbol import Symbol, currency
from dccd.domain.timeutils import MS_NS, S_NS
from dccd.domain.types import InstrumentType, Market
from dccd.sources.base import Host, Limit, Listing, Request, Response

HOST = {Market.SPOT: "spot", Market.LINEAR: "linear", Market.INVERSE: "inverse"}
PREFIX = {Market.SPOT: "/api/v3/", Market.LINEAR: "/fapi/v1/", Market.INVERSE: "/dapi/v1/"}

# Bars of the futures; spot has 1s as well.
FUTURES_SPANS = (
    "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1mo",
)  # fmt: skip


def host(market: Market, url: str, setting: str) -> Host:
    """The host of a market."""
    return Host(url, setting, Request(HOST[market], PREFIX[market] + "time"))


_USED = "x-mbx-used-weight-1m"
BUDGETS = {
    "spot": Limit(6000, used_header=_USED),
    "linear": Limit(2400, used_header=_USED),
    "inverse": Limit(2400, used_header=_USED),
    # Free of weight, and counted apart by address (IP) over five minutes.
    "funding": Limit(500, window_s=300, unit="requests", host="linear"),
    "linear data": Limit(1000, window_s=300, unit="requests", host="linear"),
    # No allowance is told of its files; this is many more than a line can carry.
    "archive": Limit(3000, unit="requests", rolling=True),
}


class _Time(msgspec.Struct):
    serverTime: int


def clock_ns(response: Response) -> int:
    """The exchange's time."""
    return msgspec.json.decode(response.body, type=_Time).serverTime * MS_NS


class _Filter(msgspec.Struct):
    filterType: str
    tickSize: float | None = None
    stepSize: float | None = None


class _Listed(msgspec.Struct):
    symbol: str
    baseAsset: str
    quoteAsset: str
    status: str = ""
    contractStatus: str = ""
    contractType: str = ""
    contractSize: float = 1.0
    marginAsset: str = ""
    onboardDate: int | None = None
    deliveryDate: int | None = None
    filters: list[_Filter] = []


class _RateLimit(msgspec.Struct):
    rateLimitType: str
    limit: int


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Listed]
    rateLimits: list[_RateLimit] = []


_exchange_info = msgspec.json.Decoder(_ExchangeInfo, strict=False)
_DATED = re.compile(r"_(\d{6})$")


def _instrument(market: Market, row: _Listed) -> Instrument:
    spot = market is Market.SPOT
    dated = None if spot else _DATED.search(row.symbol)
    settle = None if spot else currency(row.marginAsset or row.quoteAsset)
    kind = InstrumentType.FUTURE if dated else InstrumentType.PERPETUAL
    filters = {entry.filterType: entry for entry in row.filters}
    price, lot = (filters.get(name, _Filter(name)) for name in ("PRICE_FILTER", "LOT_SIZE"))
    return Instrument(
        exchange="binance",
        symbol=Symbol(
            currency(row.baseAsset), currency(row.quoteAsset), settle, dated.group(1) if dated else None
        ),
        native=row.symbol,
        market=market,
        type=InstrumentType.SPOT if spot else kind,
        active=(row.status or row.contractStatus) == "TRADING",
        contract_size=None if spot else row.contractSize,
        tick_size=price.tickSize,
        lot_size=lot.stepSize,
        listed_ns=row.onboardDate * MS_NS if row.onboardDate else None,
        expiry_ns=row.deliveryDate * MS_NS if dated and row.deliveryDate else None,
    )


def listing(market: Market, weight: int) -> Listing:
    """The instruments of a market, with the allowance its list states."""

    def instruments(response: Response) -> Sequence[Instrument]:
        rows = _exchange_info.decode(response.body).symbols
        if market is Market.LINEAR:
            # Since COIN-M was joined to USDⓈ-M (2026-06), the one's list may hold the other's contracts.
            rows = [row for row in rows if row.marginAsset != row.baseAsset]
        return [_instrument(market, row) for row in rows]

    def limits(response: Response) -> Mapping[str, int]:
        stated = _exchange_info.decode(response.body).rateLimits
        weights = [rate.limit for rate in stated if rate.rateLimitType == "REQUEST_WEIGHT"]
        return {HOST[market]: min(weights)} if weights else {}

    return Listing(Request(HOST[market], PREFIX[market] + "exchangeInfo", weight=weight), instruments, limits)


class _Error(msgspec.Struct):
    code: int
    msg: str


_error_body = msgspec.json.Decoder(_Error)
_BANNED_UNTIL = re.compile(r"banned until (\d{13})")
_BUSY = {-1000, -1001, -1006, -1007, -1008, -1016}
_REGION = (
    "Binance does not serve this network (HTTP {status}{said}). Where that is because of the country, spot "
    "market data may still be had from its public mirror: set rest_url = "
    '"https://data-api.binance.vision" under [sources.binance].'
)


def error(response: Response) -> ExchangeError | None:
    """What is wrong with an answer, in Binance's words; None when nothing is."""
    status = response.status
    if status < 400 and not response.body.startswith(b'{"code"'):
        return None
    try:
        stated = _error_body.decode(response.body)
    except msgspec.MsgspecError:
        stated = None
    if status < 400 and (stated is None or stated.code >= 0):
        return None
    code = stated.code if stated else None
    said = f", {stated.msg!r}" if stated else ""
    if status in (418, 429) or code == -1003:
        until = _BANNED_UNTIL.search(stated.msg) if stated else None
        wait_s: float | None = (int(until[1]) * MS_NS - response.received_ns) / S_NS if until else None
        if response.headers.get("retry-after", "").isdecimal():
            wait_s = float(response.headers["retry-after"])
        return Throttled(f"Binance asked for fewer requests (HTTP {status}{said}).", wait_s)
    if status in (403, 451):
        return ExchangeRefused(_REGION.format(status=status, said=said), str(code or status))
    if status >= 500 or code in _BUSY:
        return ExchangeUnavailable(f"Binance cannot answer now (HTTP {status}{said}). Try again later.")
    return ExchangeRefused(f"Binance refused the request (HTTP {status}{said}).", str(code or status))
