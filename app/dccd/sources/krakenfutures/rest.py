"""Kraken Futures over REST: bars, trades, books and funding that need no key.

Documentation: https://docs.kraken.com/api-reference/ (candles/market-candles,
market-history/get-public-execution-events, market-data/get-orderbook,
historical-funding-rates/historical-funding-rates) and https://docs.kraken.com/exchange/guides/futures/ratelimits.
What was found odd is in ``docs/exchanges/krakenfutures.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from dccd.domain.errors import ExchangeError, ExchangeRefused, ExchangeUnavailable, NoCapability, Throttled
from dccd.domain.records import Columns
from dccd.domain.timeutils import MS_NS, S_NS, datetime_ns, iso
from dccd.domain.types import DataType, InstrumentType, Market, Mode
from dccd.sources.base import (
    ByCursor,
    ByTile,
    ByWindow,
    History,
    Page,
    Request,
    Response,
    Snapshot,
    Target,
    columns,
    historical,
    in_base,
    levels,
)

_DOCS = "https://docs.kraken.com/api-reference/"
_OHLC, _BOOK, _V3 = DataType.OHLC, DataType.ORDERBOOK, "/derivatives/api/v3/"
MARKETS = (Market.LINEAR, Market.INVERSE)
_BARS = {Market.LINEAR: 2000}  # of inverse contracts bars have no volume in base
_TRADES, _LEVELS, _RATES = (dict.fromkeys(MARKETS, rows) for rows in (1000, 1000, 10_000))
_SPANS = ("1m", "5m", "15m", "30m", "1h", "4h", "12h", "1d", "1w")
_YEAR_S = 364 * 86_400
_HOUR_S = 3600


def _get(path: str, **query: object) -> Request:
    return Request("rest", path, tuple((name, str(value)) for name, value in query.items()))


def _of(target: Target, endpoint: str) -> Request:
    return _get(_V3 + endpoint, symbol=target.instrument.native)


# Bars, see candles/market-candles


class _Bar(msgspec.Struct, gc=False):
    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class _Bars(msgspec.Struct):
    candles: list[_Bar]


_bars = msgspec.json.Decoder(_Bars, strict=False)


def _candles(target: Target, span: object, **query: object) -> Request:
    return _get(f"/api/charts/v1/trade/{target.instrument.native}/{span}", **query)


def _candles_between(target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
    """A second before the end, so that it does not matter whether that is included."""
    return _candles(target, target.span, **{"from": -(-start_ns // S_NS), "to": -(-end_ns // S_NS) - 1})


def _parse_candles(target: Target, response: Response) -> Columns:
    """Where weeks begin is not documented: such as begin on no Monday would be taken for closed too soon."""
    assert target.span is not None
    rows = _bars.decode(response.body).candles
    if rows and target.span.floor(rows[-1].time * MS_NS) != rows[-1].time * MS_NS:
        raise ValueError(f"a bar of {target.span} opens at {iso(rows[-1].time * MS_NS)}")
    volume = in_base(target, [row.volume for row in rows])
    return columns(rows, "open", "high", "low", "close", ts="time") | {"volume": volume}


# Trades, see market-history/get-public-execution-events


class _Order(msgspec.Struct, gc=False):
    direction: str


class _Execution(msgspec.Struct, gc=False):
    uid: str
    timestamp: int
    price: float
    quantity: float
    takerOrder: _Order


class _Executed(msgspec.Struct, gc=False):
    execution: _Execution


class _Event(msgspec.Struct, gc=False):
    Execution: _Executed


class _Element(msgspec.Struct, gc=False):
    event: _Event


class _Elements(msgspec.Struct):
    elements: list[_Element]
    continuationToken: str | None = None


_elements = msgspec.json.Decoder(_Elements, strict=False)
_SIDES = {"Buy": "buy", "Sell": "sell"}


def _no_token(target: Target, start_ns: int, end_ns: int) -> str:
    return ""


def _executions(target: Target, cursor: str, start_ns: int, end_ns: int) -> Request:
    """A millisecond more on either side, as it is not documented whether the bounds are included."""
    bounds = {"since": max(0, start_ns // MS_NS - 1), "before": -(-end_ns // MS_NS) + 1}
    token = {"continuation_token": cursor} if cursor else {}
    path = f"/api/history/v3/market/{target.instrument.native}/executions"
    return _get(path, **bounds, sort="asc", count=1000, **token)


def _parse_executions(target: Target, response: Response, cursor: str) -> Page:
    """The next page's token is a header; the answer's body may have it too."""
    answer = _elements.decode(response.body)
    rows = [each.event.Execution.execution for each in answer.elements]
    found = dict(columns(rows, "price", ts="timestamp", tid="uid"))
    found["amount"] = in_base(target, [row.quantity for row in rows])
    found["side"] = [_SIDES[row.takerOrder.direction] for row in rows]
    return Page(found, response.headers.get("next-continuation-token") or answer.continuationToken or None)


# Order book, see market-data/get-orderbook: all of it


class _Sides(msgspec.Struct):
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]


class _Book(msgspec.Struct):
    orderBook: _Sides
    serverTime: datetime


_books = msgspec.json.Decoder(_Book)


def _parse_book(target: Target, response: Response) -> Columns:
    book = _books.decode(response.body)
    bids = sorted(book.orderBook.bids, reverse=True)[: target.depth]
    asks = sorted(book.orderBook.asks)[: target.depth]
    found = levels(bids, asks, datetime_ns(book.serverTime))
    return {**found, "amount": in_base(target, [level[1] for level in bids + asks])}


# Funding, see historical-funding-rates/historical-funding-rates: the last year's, whatever is asked for


class _Rate(msgspec.Struct):
    timestamp: datetime
    relativeFundingRate: float


class _Rates(msgspec.Struct):
    rates: list[_Rate]


_rates = msgspec.json.Decoder(_Rates, strict=False)


def _funding(target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
    if target.instrument.type is not InstrumentType.PERPETUAL:
        raise NoCapability("krakenfutures", DataType.FUNDING, Mode.HISTORICAL, "dated contracts have none.")
    return _of(target, "historical-funding-rates")


def _parse_funding(target: Target, response: Response) -> Columns:
    rows = sorted(_rates.decode(response.body).rates, key=lambda row: row.timestamp)
    times = [datetime_ns(row.timestamp) for row in rows]
    return {"ts": times, "rate": [row.relativeFundingRate for row in rows]}


# Errors: each of its three services has its own form, mostly under HTTP 200


class _Fault(msgspec.Struct):
    message: str = ""
    msg: str = ""
    type: str = ""


class _Said(msgspec.Struct):
    error: str = ""
    errors: list[_Fault] = []


_said = msgspec.json.Decoder(_Said)
_FINE = (b'{"result":"success"', b'{"candles":', b'{"elements":', b'{"len":')
_BUSY = {"Unavailable", "unavailable", "Server Error", "unknownError"}


def error(response: Response) -> ExchangeError | None:
    """What is wrong with an answer, in Kraken's words; None when nothing is."""
    status = response.status
    if status < 400 and response.body.startswith(_FINE):
        return None
    try:
        said = _said.decode(response.body)
        words = said.error or next((one.message or one.msg or one.type for one in said.errors), "")
    except ValueError:  # not JSON, not even text, or JSON of somebody else
        words = ""
    if status < 400 and not words:
        return None  # for a parser to refuse
    answer = f"(HTTP {status}{f', {words!r}' if words else ''})."
    if status == 429 or words == "apiLimitExceeded":
        stated = response.headers.get("retry-after", "")
        wait_s = float(stated) if stated.isdecimal() else None
        return Throttled(f"Kraken Futures asked for fewer requests {answer}", wait_s)
    if status >= 500 or words in _BUSY:
        return ExchangeUnavailable(f"Kraken Futures cannot answer now {answer} Try again later.")
    return ExchangeRefused(f"Kraken Futures refused the request {answer}", words or str(status))


class _Clock(msgspec.Struct):
    serverTime: datetime


def clock_ns(response: Response) -> int:
    """The exchange's time, from an answer to `CLOCK`."""
    return datetime_ns(msgspec.json.decode(response.body, type=_Clock).serverTime)


CLOCK = _get(_V3 + "tickers/PF_XBTUSD")
CAPABILITIES = (
    historical(_OHLC, _DOCS + "candles/market-candles", _BARS, direction="forward", spans=_SPANS),
    historical(
        DataType.TRADES,
        _DOCS + "market-history/get-public-execution-events",
        _TRADES,
        direction="forward",
    ),
    historical(_BOOK, _DOCS + "market-data/get-orderbook", _LEVELS, depths=(25, 100, 1000), recent=True),
    historical(
        DataType.FUNDING,
        _DOCS + "historical-funding-rates/historical-funding-rates",
        _RATES,
        lookback_s=_YEAR_S,
    ),
)
HISTORY: Mapping[DataType, History] = {
    _OHLC: ByWindow(
        request=_candles_between,
        parse=_parse_candles,
        first=lambda target: _candles(target, "1w", **{"from": 0}),  # all weeks there were
        rows=_BARS,
        settle_s=30.0,
    ),
    DataType.TRADES: ByCursor(
        start=_no_token,
        request=_executions,
        parse=_parse_executions,
        rows=1000,
        typical_s=1.0,
    ),
    _BOOK: Snapshot(request=lambda target: _of(target, "orderbook"), parse=_parse_book),
    DataType.FUNDING: ByTile(
        request=_funding, parse=_parse_funding, rows=10_000, every_s=_HOUR_S, settle_s=2.0 * _HOUR_S
    ),
}
