"""Bybit's bars, trades, books, funding and open interest over REST.

Documentation: https://bybit-exchange.github.io/docs/v5/market/kline and the pages beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from dccd.domain.errors import NoCapability
from dccd.domain.records import Columns
from dccd.domain.timeutils import MS_NS
from dccd.domain.types import DataType, InstrumentType, Market, Mode
from dccd.sources.base import (
    ByTile,
    ByWindow,
    History,
    Latest,
    Request,
    Response,
    Snapshot,
    Target,
    columns,
    historical,
    levels,
)
from dccd.sources.bybit.answers import Answer, Page
from dccd.sources.bybit.instruments import FUTURES

_DOCS = "https://bybit-exchange.github.io/docs/v5/market/"
SPANS = {
    "1m": "1", "3m": "3", "5m": "5", "15m": "15", "30m": "30", "1h": "60", "2h": "120", "4h": "240",
    "6h": "360", "12h": "720", "1d": "D", "1w": "W", "1mo": "M",
}  # fmt: skip
_INTEREST_SPANS = {"5m": "5min", "15m": "15min", "30m": "30min", "1h": "1h", "4h": "4h", "1d": "1d"}
_THOUSAND = dict.fromkeys(Market, 1000)
_TRADE_ROWS = {**_THOUSAND, Market.SPOT: 60}
_FEW_ROWS = dict.fromkeys(FUTURES, 200)
SIDES = {"Buy": "buy", "Sell": "sell"}


def _get(target: Target, endpoint: str, **query: object) -> Request:
    query = {"category": target.instrument.market, "symbol": target.instrument.native, **query}
    return Request("rest", f"/v5/market/{endpoint}", tuple((name, str(query[name])) for name in query))


def _ms(start_ns: int, end_ns: int) -> tuple[int, int]:
    """A half-open range as Bybit wants it: both bounds inclusive, in milliseconds."""
    return -(-start_ns // MS_NS), -(-end_ns // MS_NS) - 1


class _Bar(msgspec.Struct, array_like=True, gc=False):
    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    turnover: float


_bars = msgspec.json.Decoder(Answer[Page[_Bar]], strict=False)


def _klines(target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
    start, end = _ms(start_ns, end_ns)
    return _get(target, "kline", interval=SPANS[str(target.span)], start=start, end=end, limit=limit)


def _first_kline(target: Target) -> Request:
    """A thousand weeks, or months, begin long before Bybit did."""
    return _get(target, "kline", interval="M" if str(target.span) == "1mo" else "W", limit=1000)


def bar_columns(market: Market, bars: Sequence[object], ts: str = "ts") -> Columns:
    """Inverse bars give USD where others give base volume, and base where others give quote."""
    base, quote = ("turnover", "volume") if market is Market.INVERSE else ("volume", "turnover")
    return columns(bars, "open", "high", "low", "close", ts=ts, volume=base, quote_volume=quote)


def _parse_klines(target: Target, response: Response) -> Columns:
    return bar_columns(target.instrument.market, _bars.decode(response.body).result.rows[::-1])


class _Trade(msgspec.Struct, gc=False):
    execId: str
    price: float
    size: float
    side: str
    time: int


_trades = msgspec.json.Decoder(Answer[Page[_Trade]], strict=False)


def _parse_trades(target: Target, response: Response) -> Columns:
    """Newest first; the place of block trades is not documented, so that rows are put in order of time."""
    rows = _trades.decode(response.body).result.rows[::-1]
    rows.sort(key=lambda row: row.time)
    sides = [SIDES[row.side] for row in rows]
    return columns(rows, "price", ts="time", amount="size", tid="execId") | {"side": sides}


class _Levels(msgspec.Struct):
    b: list[tuple[float, float]]
    a: list[tuple[float, float]]
    ts: int
    cts: int | None = None  # the matching engine's


_book = msgspec.json.Decoder(Answer[_Levels], strict=False)


def _parse_book(target: Target, response: Response) -> Columns:
    book = _book.decode(response.body).result
    return levels(book.b, book.a, (book.cts or book.ts) * MS_NS)


class _Rate(msgspec.Struct):
    fundingRate: float
    fundingRateTimestamp: int


_rates = msgspec.json.Decoder(Answer[Page[_Rate]], strict=False)


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


_interests = msgspec.json.Decoder(Answer[Page[_Interest]], strict=False)


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


class _Clock(msgspec.Struct):
    timeNano: int


_clock = msgspec.json.Decoder(Answer[_Clock], strict=False)


def clock_ns(response: Response) -> int:
    """The exchange's time, from an answer to `CLOCK`."""
    return _clock.decode(response.body).result.timeNano


CLOCK = Request("rest", "/v5/market/time")
CAPABILITIES = (
    historical(DataType.OHLC, _DOCS + "kline", _THOUSAND, direction="backward", spans=SPANS),
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
