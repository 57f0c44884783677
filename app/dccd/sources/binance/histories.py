"""How Binance's histories are asked for and read: bars, trades, books, funding, open interest.

The addresses of the pages that say so are in ``docs/exchanges/binance.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from dccd.domain.errors import NoCapability
from dccd.domain.records import Columns
from dccd.domain.span import Span
from dccd.domain.timeutils import DAY_NS, MS_NS, US_NS, datetime_ns
from dccd.domain.types import DataType, InstrumentType, Market, Mode
from dccd.sources.base import ById, ByTime, ByWindow, History, Request, Response, Snapshot, Target
from dccd.sources.binance.common import HOST, PREFIX

# A futures page of 499 bars weighs 2, one of 1,000 weighs 5: the smaller brings more for its weight.
BAR_ROWS = {Market.SPOT: 1000, Market.LINEAR: 499, Market.INVERSE: 499}
TRADE_ROWS = 1000
FUNDING_ROWS = 1000
INTEREST_ROWS = {Market.LINEAR: 500, Market.INVERSE: 500}
_FOREVER_NS = datetime_ns(datetime(2200, 1, 1, tzinfo=UTC))
FUTURES_DEPTHS = (5, 10, 20, 50, 100, 500, 1000)

# Spot answers in microseconds when asked. Its archives since 2025 do: two precisions must not meet.
_MICROSECOND = {"X-MBX-TIME-UNIT": "MICROSECOND"}


def _request(target: Target, endpoint: str, weight: int, *query: tuple[str, object]) -> Request:
    instrument = target.instrument
    return Request(
        host=HOST[instrument.market],
        path=PREFIX[instrument.market] + endpoint,
        query=(("symbol", instrument.native), *((name, str(value)) for name, value in query)),
        headers=_MICROSECOND if instrument.market is Market.SPOT else {},
        weight=weight,
    )


def _only_perpetual(target: Target, data_type: DataType, reason: str) -> None:
    if target.instrument.type is not InstrumentType.PERPETUAL:
        raise NoCapability("binance", data_type, Mode.HISTORICAL, reason)


def unit_ns_of(target: Target) -> int:
    """The unit of times, as they are asked for."""
    return US_NS if target.instrument.market is Market.SPOT else MS_NS


def _between(target: Target, start_ns: int, end_ns: int) -> tuple[tuple[str, int], tuple[str, int]]:
    """A half-open range as Binance wants it: both bounds inclusive, in the market's time unit."""
    unit_ns = unit_ns_of(target)
    return ("startTime", -(-start_ns // unit_ns)), ("endTime", -(-end_ns // unit_ns) - 1)


# Bars (#klinecandlestick-data; Kline-Candlestick-Data of both futures)


def _klines(target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
    span = "1M" if str(target.span) == "1mo" else str(target.span)
    weight = 2 if target.instrument.market is Market.SPOT else _limit_weight(limit)
    times = _between(target, start_ns, end_ns)
    return _request(target, "klines", weight, ("interval", span), *times, ("limit", limit))


def worth(target: Target, contracts: Sequence[float]) -> tuple[float | None, ...]:
    """Inverse contracts in quote currency, each worth a fixed amount; null where that is not known."""
    size = target.instrument.contract_size
    return tuple(None if size is None else count * size for count in contracts)


def _limit_weight(limit: int) -> int:
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10


def _first_kline(target: Target) -> Request:
    """The oldest bar; COIN-M reaches 200 days at once, so days around the listing date are asked for."""
    if target.instrument.market is not Market.INVERSE:
        return _klines(target, 0, _FOREVER_NS, 1)
    listed_ns = target.instrument.listed_ns or datetime_ns(datetime(2020, 8, 1, tzinfo=UTC))
    days = Target(target.instrument, Span.parse("1d"))
    start_ns = listed_ns // DAY_NS * DAY_NS - 60 * DAY_NS
    return _klines(days, start_ns, start_ns + 200 * DAY_NS, 200)


class Bar(msgspec.Struct, array_like=True, gc=False):
    """A list of twelve values; what follows the last field here is left unread."""

    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    close_ts: int
    quote: float
    trades: int
    buy: float
    buy_quote: float


_bars = msgspec.json.Decoder(list[Bar], strict=False)


def _parse_klines(target: Target, response: Response) -> Columns:
    return bar_columns(target, _bars.decode(response.body))


def bar_columns(target: Target, rows: Sequence[Bar]) -> Columns:
    """Inverse bars give contracts where others give base volume, and base where others give quote."""
    unit_ns = unit_ns_of(target)
    volume: Sequence[float] = [row.volume for row in rows]
    buy: Sequence[float] = [row.buy for row in rows]
    quote: Sequence[float | None] = [row.quote for row in rows]
    buy_quote: Sequence[float | None] = [row.buy_quote for row in rows]
    if target.instrument.market is Market.INVERSE:
        quote, buy_quote = worth(target, volume), worth(target, buy)
        volume, buy = [row.quote for row in rows], [row.buy_quote for row in rows]
    return {
        "ts": [row.ts * unit_ns for row in rows],
        "open": [row.open for row in rows],
        "high": [row.high for row in rows],
        "low": [row.low for row in rows],
        "close": [row.close for row in rows],
        "volume": volume,
        "quote_volume": quote,
        "trades": [row.trades for row in rows],
        "taker_buy_volume": buy,
        "taker_buy_quote_volume": buy_quote,
    }


# Trades (#compressedaggregate-trades-list; Compressed-Aggregate-Trades-List)


def _trades(target: Target, *query: tuple[str, object]) -> Request:
    return _request(target, "aggTrades", 4 if target.instrument.market is Market.SPOT else 20, *query)


class Trade(msgspec.Struct, gc=False):
    """Fills of one order at one price."""

    a: int
    p: float
    q: float
    T: int
    m: bool


_trade_list = msgspec.json.Decoder(list[Trade], strict=False)


def _parse_trades(target: Target, response: Response) -> Columns:
    return trade_columns(target, _trade_list.decode(response.body))


def trade_columns(target: Target, rows: Sequence[Trade]) -> Columns:
    """Aggregate trades; `m` says that the buyer was the maker, so the taker sold."""
    unit_ns = unit_ns_of(target)
    return {
        "ts": [row.T * unit_ns for row in rows],
        "price": [row.p for row in rows],
        "amount": [row.q for row in rows],
        "side": ["sell" if row.m else "buy" for row in rows],
        "tid_num": [row.a for row in rows],
    }


# Order book (#order-book; Order-Book)


class _Book(msgspec.Struct):
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]
    T: int | None = None


_book = msgspec.json.Decoder(_Book, strict=False)


def book_request(target: Target) -> Request:
    """A book's best levels."""
    wanted = target.depth or 0
    if target.instrument.market is Market.SPOT:
        weight = 5 if wanted <= 100 else 25 if wanted <= 500 else 50 if wanted <= 1000 else 250
        return _request(target, "depth", weight, ("limit", wanted))
    limit = next((depth for depth in FUTURES_DEPTHS if depth >= wanted), FUTURES_DEPTHS[-1])
    weight = 2 if limit <= 50 else 5 if limit <= 100 else 10 if limit <= 500 else 20
    return _request(target, "depth", weight, ("limit", limit))


def _parse_depth(target: Target, response: Response) -> Columns:
    book = _book.decode(response.body)
    bids, asks = book.bids[: target.depth], book.asks[: target.depth]
    levels = bids + asks
    columns: dict[str, Sequence[object]] = {
        "side": ["bid"] * len(bids) + ["ask"] * len(asks),
        "price": [price for price, _ in levels],
        "amount": [amount for _, amount in levels],
    }
    if book.T is not None:
        columns["ts"] = [book.T * MS_NS] * len(levels)
    return columns


# Funding: Get-Funding-Rate-History of both futures


class _Funding(msgspec.Struct):
    fundingTime: int
    fundingRate: float
    markPrice: str | None = None  # empty before it was recorded; COIN-M has none


_funding_list = msgspec.json.Decoder(list[_Funding], strict=False)


def _funding(target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
    _only_perpetual(target, DataType.FUNDING, "dated contracts have no funding.")
    linear = target.instrument.market is Market.LINEAR
    request = _request(target, "fundingRate", 1, *_between(target, start_ns, end_ns), ("limit", limit))
    return replace(request, budget="funding") if linear else request


def _parse_funding(target: Target, response: Response) -> Columns:
    rows = _funding_list.decode(response.body)
    marks = [float(row.markPrice) if row.markPrice else None for row in rows]
    ts = [row.fundingTime * MS_NS for row in rows]
    return {"ts": ts, "rate": [row.fundingRate for row in rows], "mark_price": marks}


# Open interest: Open-Interest-Statistics of both futures


class _Interest(msgspec.Struct):
    timestamp: int
    sumOpenInterest: float
    sumOpenInterestValue: float


_interest_list = msgspec.json.Decoder(list[_Interest], strict=False)


def _open_interest(target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
    native = target.instrument.native
    if target.instrument.market is Market.INVERSE:
        reason = "COIN-M lists it by kind of contract, not for one dated contract."
        _only_perpetual(target, DataType.OPEN_INTEREST, reason)
    whose: tuple[tuple[str, str], ...] = (("symbol", native),)
    if target.instrument.market is Market.INVERSE:
        whose = (("pair", native.partition("_")[0]), ("contractType", "PERPETUAL"))
    times = ((name, str(value)) for name, value in _between(target, start_ns, end_ns))
    query = (*whose, ("period", str(target.span)), *times, ("limit", str(limit)))
    host = HOST[target.instrument.market]
    budget = "linear data" if target.instrument.market is Market.LINEAR else None
    return Request(host, "/futures/data/openInterestHist", query, budget=budget)


def _parse_open_interest(target: Target, response: Response) -> Columns:
    """Base units and their worth in quote; inverse lists give contracts and base."""
    rows = _interest_list.decode(response.body)
    amounts = [row.sumOpenInterest for row in rows]
    values = [row.sumOpenInterestValue for row in rows]
    inverse = target.instrument.market is Market.INVERSE
    return {
        "ts": [row.timestamp * MS_NS for row in rows],
        "open_interest": values if inverse else amounts,
        "open_interest_value": worth(target, amounts) if inverse else values,
    }


HISTORY: Mapping[DataType, History] = {
    DataType.OHLC: ByWindow(
        request=_klines,
        parse=_parse_klines,
        first=_first_kline,
        rows=BAR_ROWS,
        window_s={Market.INVERSE: 200 * 86_400},
        dense=True,
    ),
    DataType.TRADES: ById(
        request=lambda target, first_id, limit: _trades(target, ("fromId", first_id), ("limit", limit)),
        request_at=lambda target, start_ns, end_ns, limit: _trades(
            target, *_between(target, start_ns, end_ns), ("limit", limit)
        ),
        latest=lambda target: _trades(target, ("limit", 1)),
        parse=_parse_trades,
        rows=TRADE_ROWS,
        window_s=3599,  # the futures want less than an hour
        aggregated=True,
    ),
    DataType.ORDERBOOK: Snapshot(request=book_request, parse=_parse_depth),
    DataType.FUNDING: ByTime(
        request=_funding,
        parse=_parse_funding,
        first=lambda target: _funding(target, 0, _FOREVER_NS, 1),
        rows=FUNDING_ROWS,
        typical_s=8 * 3600.0,
    ),
    DataType.OPEN_INTEREST: ByWindow(
        request=_open_interest, parse=_parse_open_interest, rows=INTEREST_ROWS, settle_s=300.0
    ),
}
