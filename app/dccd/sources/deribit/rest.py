"""Deribit's bars, trades, books and funding over REST, and its lists of instruments.

Documentation: https://docs.deribit.com/api-reference/market-data/public-get_tradingview_chart_data and the
pages beside it, https://docs.deribit.com/articles/errors and https://docs.deribit.com/articles/rate-limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Generic, Literal, TypeVar

import msgspec

from dccd.domain.errors import ExchangeError, ExchangeRefused, ExchangeUnavailable, NoCapability, Throttled
from dccd.domain.instrument import Instrument
from dccd.domain.records import Columns
from dccd.domain.symbol import Symbol, currency
from dccd.domain.timeutils import DAY_NS, MS_NS, iso, ns_datetime, parse_time
from dccd.domain.types import DataType, Evidence, InstrumentType, Market, Mode
from dccd.sources.base import (
    ById,
    ByTile,
    ByWindow,
    History,
    Listing,
    Request,
    Response,
    Snapshot,
    Target,
    columns,
    historical,
    levels,
)

_DOCS = "https://docs.deribit.com/api-reference/market-data/public-get_"
_OHLC, _TRADES, _BOOK, _FUNDING = DataType.OHLC, DataType.TRADES, DataType.ORDERBOOK, DataType.FUNDING
SPANS = {
    "1m": "1", "3m": "3", "5m": "5", "10m": "10", "15m": "15", "30m": "30", "1h": "60", "2h": "120",
    "3h": "180", "6h": "360", "12h": "720", "1d": "1D",
}  # fmt: skip
_DEPTHS = (1, 5, 10, 20, 50, 100, 1000, 10_000)
_BARS_MAX = 4999  # of five thousand the first may be the one before
_TRADES_MAX, _SPARE = 1000, 10
_RATES_MAX = 720  # a month and a day of hours come at most
_BARS, _FILLS, _LEVELS = (dict.fromkeys(Market, rows) for rows in (_BARS_MAX, _TRADES_MAX, max(_DEPTHS)))
_RATES = {Market.LINEAR: _RATES_MAX, Market.INVERSE: _RATES_MAX}
_BEFORE_ALL_NS = parse_time("2016-01-01")
# Credits: one request for a list is allowed a second, or twenty others.
_LIST_COST, _COST = 10_000, 500

T = TypeVar("T")


class _Answer(msgspec.Struct, Generic[T]):
    result: T


def _get(method: str, query: Mapping[str, object], host: str = "rest", cost: int = _COST) -> Request:
    pairs = tuple((name, str(value)) for name, value in query.items())
    return Request(host, f"/api/v2/public/get_{method}", pairs, weight=cost, budget="rest")


def _of(target: Target, method: str, host: str = "rest", /, **query: object) -> Request:
    return _get(method, {"instrument_name": target.instrument.native, **query}, host)


def _between(start_ns: int, end_ns: int) -> dict[str, int]:
    """A half-open range, a millisecond longer: it is not documented whether the start is included."""
    return {"start_timestamp": -(-start_ns // MS_NS) - 1, "end_timestamp": -(-end_ns // MS_NS) - 1}


# Instruments, see public-get_instruments


class _Listed(msgspec.Struct):
    kind: str
    instrument_name: str
    base_currency: str
    quote_currency: str
    is_active: bool
    min_trade_amount: float
    tick_size: float
    creation_timestamp: int
    expiration_timestamp: int = 0
    settlement_period: str = ""
    settlement_currency: str = ""  # not told of contracts before 2022


_listed = msgspec.json.Decoder(_Answer[list[_Listed]])


def _instrument(row: _Listed) -> Instrument:
    base, spot = currency(row.base_currency), row.kind == "spot"
    dated = not spot and row.settlement_period != "perpetual"
    settle = None if spot else currency(row.settlement_currency or row.base_currency)
    expiry_ns = row.expiration_timestamp * MS_NS if dated else None
    expiry = None if expiry_ns is None else f"{ns_datetime(expiry_ns):%y%m%d}"
    return Instrument(
        exchange="deribit",
        symbol=Symbol(base, currency(row.quote_currency), settle, expiry),
        native=row.instrument_name,
        market=Market.SPOT if spot else Market.INVERSE if settle == base else Market.LINEAR,
        type=InstrumentType.SPOT if spot else InstrumentType.FUTURE if dated else InstrumentType.PERPETUAL,
        active=row.is_active,
        contract_size=None if spot else 1.0,  # amounts are in base (linear) or USD (inverse)
        tick_size=row.tick_size,
        lot_size=row.min_trade_amount,
        listed_ns=row.creation_timestamp * MS_NS,
        expiry_ns=expiry_ns,
    )


def _instruments(response: Response) -> Sequence[Instrument]:
    rows = _listed.decode(response.body).result
    return [_instrument(row) for row in rows if row.kind in ("future", "spot")]


def _listing(kind: str, expired: str = "false") -> Listing:
    query = {"currency": "any", "kind": kind, "expired": expired}
    return Listing(_get("instruments", query, cost=_LIST_COST), _instruments)


# Bars, see public-get_tradingview_chart_data: told by columns


class Chart(msgspec.Struct):
    """Bars by their columns."""

    ticks: list[int]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float]
    cost: list[float]


_charts = msgspec.json.Decoder(_Answer[Chart])


def _chart(target: Target, span: str, start_ns: int, end_ns: int) -> Request:
    return _of(target, "tradingview_chart_data", **_between(start_ns, end_ns), resolution=SPANS[span])


def bar_columns(target: Target, chart: Chart) -> Columns:
    """Where days begin is not documented: such as begin at another time than in UTC are refused."""
    assert target.span is not None
    ts = [tick * MS_NS for tick in chart.ticks]
    if ts and target.span.floor(ts[-1]) != ts[-1]:
        raise ValueError(f"a bar of {target.span} opens at {iso(ts[-1])}")
    found = {name: getattr(chart, name) for name in ("open", "high", "low", "close", "volume")}
    found |= {"ts": ts, "quote_volume": chart.cost}
    if len({len(column) for column in found.values()}) > 1:
        raise ValueError("the columns of a chart are not of one length")
    return found


# Trades, see public-get_last_trades_by_instrument: numbered by instrument, from 1 on


class Trade(msgspec.Struct, gc=False):
    """A trade, the same over REST and live."""

    trade_seq: int
    timestamp: int
    price: float
    amount: float
    direction: Literal["buy", "sell"]


class _Page(msgspec.Struct):
    trades: list[Trade]


_page = msgspec.json.Decoder(_Answer[_Page])
_by_number = attrgetter("trade_seq")


def _fills(target: Target, method: str, sorting: str, limit: int, /, **query: object) -> Request:
    """Of the main host, which has those of a day alone, nothing is asked.

    They are sorted by another number, which may rise otherwise: a few more are asked for than the one.
    """
    method, limit = f"last_trades_by_instrument{method}", max(limit, _SPARE)
    return _of(target, method, "history", **query, count=limit, sorting=sorting)


def _fills_from(target: Target, first_id: int, limit: int) -> Request:
    """A page is said by both its ends, so that their order leaves out none."""
    last = {"end_seq": first_id + limit - 1} if limit > 1 else {}
    return _fills(target, "", "asc", limit, start_seq=first_id, **last)


def _fills_between(target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
    return _fills(target, "_and_time", "asc", limit, **_between(start_ns, end_ns))


def trade_columns(rows: list[Trade]) -> Columns:
    """In order of their numbers."""
    rows.sort(key=_by_number)
    return columns(rows, "price", "amount", ts="timestamp", side="direction", tid_num="trade_seq")


# Order book, see public-get_order_book


class _Book(msgspec.Struct):
    timestamp: int
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]


_book = msgspec.json.Decoder(_Answer[_Book])


def _parse_book(target: Target, response: Response) -> Columns:
    book = _book.decode(response.body).result
    return levels(book.bids, book.asks, book.timestamp * MS_NS)


# Funding, see public-get_funding_rate_history: what each hour has cost, at its end


class _Rate(msgspec.Struct):
    timestamp: int
    interest_1h: float


_rates = msgspec.json.Decoder(_Answer[list[_Rate]])


def _funding(target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
    if target.instrument.type is not InstrumentType.PERPETUAL:
        raise NoCapability("deribit", _FUNDING, Mode.HISTORICAL, "dated contracts have no funding.")
    return _of(target, "funding_rate_history", **_between(start_ns, end_ns))


def _parse_funding(target: Target, response: Response) -> Columns:
    return columns(_rates.decode(response.body).result, ts="timestamp", rate="interest_1h")


# Errors


class Fault(msgspec.Struct):
    """What an error says."""

    code: int
    message: str = ""


class _Said(msgspec.Struct):
    error: Fault | None = None


_said = msgspec.json.Decoder(_Said)
_FEWER = (429, 10028, 10066)  # too_many_requests, too_many_concurrent_requests
_BUSY = (10040, 10041, 11051, 11094, 13028, 13503, 13888)  # from retry to timed_out


def error(response: Response) -> ExchangeError | None:
    """What is wrong with an answer, in Deribit's words; None when nothing is."""
    status = response.status
    if status < 400 and b'"result"' in response.body[:80]:
        return None
    try:
        fault = _said.decode(response.body).error
    except ValueError:  # not JSON, not even text, or JSON of somebody else
        fault = None
    if fault is None and status < 400:
        return None  # for a parser to refuse
    code, message = (fault.code, fault.message) if fault else (status, "")
    words = f"(HTTP {status}, {code} {message!r})."
    if code in _FEWER:
        return Throttled(f"Deribit asked for fewer requests {words}")
    if code in _BUSY or status >= 500:
        return ExchangeUnavailable(f"Deribit cannot answer now {words} Try again later.")
    return ExchangeRefused(f"Deribit refused the request {words}", str(code))


def clock_ns(response: Response) -> int:
    """The exchange's time, from an answer to `CLOCK`."""
    return msgspec.json.decode(response.body, type=_Answer[int]).result * MS_NS


CLOCK = _get("time", {})
LISTINGS = (_listing("future"), _listing("spot"), _listing("future", expired="true"))
CAPABILITIES = (
    historical(_OHLC, _DOCS + "tradingview_chart_data", _BARS, direction="forward", spans=SPANS),
    historical(_TRADES, _DOCS + "last_trades_by_instrument", _FILLS, direction="forward"),
    historical(_BOOK, _DOCS + "order_book", _LEVELS, depths=_DEPTHS, recent=True, evidence=Evidence.RECORDED),
    historical(_FUNDING, _DOCS + "funding_rate_history", _RATES, direction="forward"),
)
HISTORY: Mapping[DataType, History] = {
    _OHLC: ByWindow(
        request=lambda target, start_ns, end_ns, _: _chart(target, str(target.span), start_ns, end_ns),
        parse=lambda target, response: bar_columns(target, _charts.decode(response.body).result),
        first=lambda target: _chart(target, "1d", _BEFORE_ALL_NS, _BEFORE_ALL_NS + _BARS_MAX * DAY_NS),
        rows=_BARS,
    ),
    _TRADES: ById(
        request=_fills_from,
        request_at=_fills_between,
        window_s=86_400,
        latest=lambda target: _fills(target, "", "desc", 1),
        parse=lambda _, response: trade_columns(_page.decode(response.body).result.trades),
        rows=_TRADES_MAX,
        settle_s=300.0,  # they get to that host after a while, and nobody says how long it is
    ),
    _BOOK: Snapshot(request=lambda target: _of(target, "order_book", depth=target.depth), parse=_parse_book),
    _FUNDING: ByTile(request=_funding, parse=_parse_funding, rows=_RATES_MAX, every_s=3600.0),
}
