"""Bybit: spot, linear (USDT, USDC) and inverse contracts, market data of the V5 API that needs no key.

Documentation: https://bybit-exchange.github.io/docs/v5/market/kline and the pages beside it, and the pages
rate-limit and error; what was found odd is in ``docs/exchanges/bybit.md``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from dccd.domain.errors import ExchangeError, ExchangeRefused, ExchangeUnavailable, NoCapability, Throttled
from dccd.domain.instrument import Instrument
from dccd.domain.records import Columns
from dccd.domain.symbol import Symbol, currency
from dccd.domain.timeutils import MS_NS, S_NS, ns_datetime
from dccd.domain.types import DataType, InstrumentType, Market, Mode
from dccd.sources.base import (
    ByTile,
    ByWindow,
    History,
    Latest,
    Listing,
    Request,
    Response,
    Snapshot,
    Target,
    columns,
    historical,
    levels,
)

_DOCS = "https://bybit-exchange.github.io/docs/v5/market/"
_SPANS = {
    "1m": "1", "3m": "3", "5m": "5", "15m": "15", "30m": "30", "1h": "60", "2h": "120", "4h": "240",
    "6h": "360", "12h": "720", "1d": "D", "1w": "W", "1mo": "M",
}  # fmt: skip
_INTEREST_SPANS = {"5m": "5min", "15m": "15min", "30m": "30min", "1h": "1h", "4h": "4h", "1d": "1d"}
_FUTURES = (Market.LINEAR, Market.INVERSE)
_THOUSAND = dict.fromkeys(Market, 1000)
_TRADE_ROWS = {**_THOUSAND, Market.SPOT: 60}
_FEW_ROWS = dict.fromkeys(_FUTURES, 200)
_SIDES = {"Buy": "buy", "Sell": "sell"}
_BUSY = {429, 10000, 10016}
_ABROAD = re.compile(rb"country|region|U\.S\.|CloudFront", re.IGNORECASE)
_BAN_S = 600.0  # "wait for at least 10 minutes"

T = TypeVar("T")


class _Answer(msgspec.Struct, Generic[T]):
    result: T


class _List(msgspec.Struct, Generic[T]):
    rows: list[T] = msgspec.field(name="list")
    nextPageCursor: str | None = None


def _get(target: Target, endpoint: str, **query: object) -> Request:
    query = {"category": target.instrument.market, "symbol": target.instrument.native, **query}
    return Request("rest", f"/v5/market/{endpoint}", tuple((name, str(query[name])) for name in query))


def _ms(start_ns: int, end_ns: int) -> tuple[int, int]:
    """A half-open range as Bybit wants it: both bounds inclusive, in milliseconds."""
    return -(-start_ns // MS_NS), -(-end_ns // MS_NS) - 1


class _Steps(msgspec.Struct):
    tickSize: float | None = None
    qtyStep: float | None = None
    basePrecision: float | None = None


class _Listed(msgspec.Struct):
    symbol: str
    baseCoin: str
    quoteCoin: str
    status: str
    priceFilter: _Steps
    lotSizeFilter: _Steps
    contractType: str = ""
    settleCoin: str = ""
    launchTime: int = 0
    deliveryTime: int = 0


_instruments = msgspec.json.Decoder(_Answer[_List[_Listed]], strict=False)


def _instrument(market: Market, row: _Listed) -> Instrument:
    spot, dated = market is Market.SPOT, row.contractType.endswith("Futures")
    expiry_ns = row.deliveryTime * MS_NS if dated else None  # of perpetuals it is when they were delisted
    settle = None if spot else currency(row.settleCoin)
    expiry = None if expiry_ns is None else f"{ns_datetime(expiry_ns):%y%m%d}"
    return Instrument(
        exchange="bybit",
        symbol=Symbol(currency(row.baseCoin), currency(row.quoteCoin), settle, expiry),
        native=row.symbol,
        market=market,
        type=InstrumentType.SPOT if spot else InstrumentType.FUTURE if dated else InstrumentType.PERPETUAL,
        active=row.status == "Trading",
        contract_size=None if spot else 1.0,  # amounts are in base (linear) or USD (inverse)
        tick_size=row.priceFilter.tickSize,
        lot_size=row.lotSizeFilter.basePrecision if spot else row.lotSizeFilter.qtyStep,
        listed_ns=row.launchTime * MS_NS or None,
        expiry_ns=expiry_ns,
    )


def _listing(market: Market, status: str) -> Listing:
    """A market's instruments in one state; unasked, only those that trade are listed."""
    query = (("category", str(market)), ("status", status), ("limit", "1000"))
    request = Request("rest", "/v5/market/instruments-info", query)

    def instruments(response: Response) -> Sequence[Instrument]:
        return [_instrument(market, row) for row in _instruments.decode(response.body).result.rows]

    def more(response: Response) -> Request | None:
        cursor = _instruments.decode(response.body).result.nextPageCursor
        return Request(request.host, request.path, (*query, ("cursor", cursor))) if cursor else None

    return Listing(request, instruments, more=more)


class _Bar(msgspec.Struct, array_like=True, gc=False):
    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    turnover: float


_bars = msgspec.json.Decoder(_Answer[_List[_Bar]], strict=False)


def _klines(target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
    start, end = _ms(start_ns, end_ns)
    return _get(target, "kline", interval=_SPANS[str(target.span)], start=start, end=end, limit=limit)


def _first_kline(target: Target) -> Request:
    """A thousand weeks, or months, begin long before Bybit did."""
    return _get(target, "kline", interval="M" if str(target.span) == "1mo" else "W", limit=1000)


def _parse_klines(target: Target, response: Response) -> Columns:
    """Newest first; inverse bars give USD where others give base volume, and base where others give quote."""
    rows = _bars.decode(response.body).result.rows[::-1]
    if target.instrument.market is Market.INVERSE:
        return columns(rows, "open", "high", "low", "close", volume="turnover", quote_volume="volume")
    return columns(rows, "open", "high", "low", "close", "volume", quote_volume="turnover")


class _Trade(msgspec.Struct, gc=False):
    execId: str
    price: float
    size: float
    side: str
    time: int


_trades = msgspec.json.Decoder(_Answer[_List[_Trade]], strict=False)


def _parse_trades(target: Target, response: Response) -> Columns:
    """Newest first; the place of block trades is not documented, so that rows are put in order of time."""
    rows = _trades.decode(response.body).result.rows[::-1]
    rows.sort(key=lambda row: row.time)
    sides = [_SIDES[row.side] for row in rows]
    return columns(rows, "price", ts="time", amount="size", tid="execId") | {"side": sides}


class _Levels(msgspec.Struct):
    b: list[tuple[float, float]]
    a: list[tuple[float, float]]
    ts: int
    cts: int | None = None  # the matching engine's


_book = msgspec.json.Decoder(_Answer[_Levels], strict=False)


def _parse_book(target: Target, response: Response) -> Columns:
    book = _book.decode(response.body).result
    return levels(book.b, book.a, (book.cts or book.ts) * MS_NS)


class _Rate(msgspec.Struct):
    fundingRate: float
    fundingRateTimestamp: int


_rates = msgspec.json.Decoder(_Answer[_List[_Rate]], strict=False)


def _funding(target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
    """A start alone is an error; of more rows than the limit the newest come."""
    if target.instrument.type is not InstrumentType.PERPETUAL:
        raise NoCapability("bybit", DataType.FUNDING, Mode.HISTORICAL, "dated contracts have no funding.")
    start, end = _ms(start_ns, end_ns)
    return _get(target, "funding/history", startTime=start, endTime=end, limit=limit)


def _parse_funding(target: Target, response: Response) -> Columns:
    rows = _rates.decode(response.body).result.rows[::-1]
    return columns(rows, ts="fundingRateTimestamp", rate="fundingRate")


class _Interest(msgspec.Struct):
    openInterest: float
    timestamp: int


_interests = msgspec.json.Decoder(_Answer[_List[_Interest]], strict=False)


def _interest(target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
    start, end = _ms(start_ns, end_ns)
    interval = _INTEREST_SPANS[str(target.span)]
    return _get(target, "open-interest", intervalTime=interval, startTime=start, endTime=end, limit=limit)


def _parse_interest(target: Target, response: Response) -> Columns:
    """Both sides added up, in base; of inverse contracts in USD, which each of them is worth."""
    rows = _interests.decode(response.body).result.rows[::-1]
    found = columns(rows, ts="timestamp", open_interest="openInterest")
    worth = {"open_interest_value": found["open_interest"]}
    return found | worth if target.instrument.market is Market.INVERSE else found


class _Said(msgspec.Struct):
    retCode: int
    retMsg: str


def error(response: Response) -> ExchangeError | None:
    """What is wrong with an answer, in Bybit's words: 200 may be an error, 403 a ban or another country."""
    status = response.status
    if status < 400 and response.body.startswith(b'{"retCode":0,'):
        return None
    try:
        said = msgspec.json.decode(response.body, type=_Said)
    except ValueError:  # not JSON, or not even text
        said = _Said(status, response.body[:80].decode(errors="replace").strip())
        if status < 400:
            return None  # for a parser to refuse
    if said.retCode == 0 and status < 400:
        return None
    code, words = said.retCode, f"HTTP {status}, {said.retMsg!r}"
    if code in (10009, 10024) or status == 451 or (status == 403 and _ABROAD.search(response.body)):
        return ExchangeRefused(f"Bybit does not serve this network ({words}).", str(code))
    if code in (10006, 10018) or status in (403, 429):
        reset_ms = response.headers.get("x-bapi-limit-reset-timestamp", "")
        wait_s = (int(reset_ms) * MS_NS - response.received_ns) / S_NS if reset_ms.isdecimal() else None
        return Throttled(f"Bybit asked for fewer requests ({words}).", _BAN_S if status == 403 else wait_s)
    if status >= 500 or code in _BUSY:
        return ExchangeUnavailable(f"Bybit cannot answer now ({words}). Try again later.")
    return ExchangeRefused(f"Bybit refused the request ({words}).", str(code))


class _Clock(msgspec.Struct):
    timeNano: int


_clock = msgspec.json.Decoder(_Answer[_Clock], strict=False)


def clock_ns(response: Response) -> int:
    """The exchange's time, from an answer to `CLOCK`."""
    return _clock.decode(response.body).result.timeNano


CLOCK = Request("rest", "/v5/market/time")
CAPABILITIES = (
    historical(DataType.OHLC, _DOCS + "kline", _THOUSAND, direction="backward", spans=_SPANS),
    historical(DataType.TRADES, _DOCS + "recent-trade", _TRADE_ROWS, recent=True),
    historical(DataType.ORDERBOOK, _DOCS + "orderbook", _THOUSAND, depths=(1, 50, 200, 1000), recent=True),
    historical(DataType.FUNDING, _DOCS + "history-fund-rate", _FEW_ROWS, direction="backward"),
    historical(
        DataType.OPEN_INTEREST,
        _DOCS + "open-interest",
        _FEW_ROWS,
        direction="backward",
        spans=_INTEREST_SPANS,
    ),
)
LISTINGS = (
    _listing(Market.SPOT, "Trading"),
    *(_listing(market, "Trading") for market in _FUTURES),
    *(_listing(market, "PreLaunch") for market in _FUTURES),
    *(_listing(market, "Delivering") for market in _FUTURES),
    *(_listing(market, "Closed") for market in _FUTURES),
)
HISTORY: Mapping[DataType, History] = {
    DataType.OHLC: ByWindow(request=_klines, parse=_parse_klines, first=_first_kline, rows=_THOUSAND),
    DataType.TRADES: Latest(
        request=lambda target, limit: _get(target, "recent-trade", limit=limit),
        parse=_parse_trades,
        rows=_TRADE_ROWS,
    ),
    DataType.ORDERBOOK: Snapshot(
        request=lambda target: _get(target, "orderbook", limit=target.depth), parse=_parse_book
    ),
    DataType.FUNDING: ByTile(request=_funding, parse=_parse_funding, rows=200, every_s=8 * 3600.0),
    DataType.OPEN_INTEREST: ByWindow(
        request=_interest, parse=_parse_interest, rows=_FEW_ROWS, settle_s=300.0
    ),
}
