"""Kraken's spot pairs over REST: lists, bars, trades and books that need no key.

Documentation: https://docs.kraken.com/api-reference/market-data/ (get-ohlc-data, get-recent-trades,
get-order-book, get-tradable-asset-pairs, get-server-time); errors and allowances:
https://docs.kraken.com/exchange/guides/rest/ratelimits and
https://support.kraken.com/articles/206548367-what-are-the-api-rate-limits. What was found odd is in
``docs/exchanges/kraken.md``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

from dccd.domain.errors import ExchangeError, ExchangeRefused, ExchangeUnavailable, Throttled
from dccd.domain.instrument import Instrument
from dccd.domain.records import Columns
from dccd.domain.symbol import Symbol, currency
from dccd.domain.timeutils import S_NS
from dccd.domain.types import DataType, InstrumentType, Market
from dccd.sources.base import (
    ByTime,
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

T = TypeVar("T")

_DOCS = "https://docs.kraken.com/api-reference/market-data/"
_BARS, _TRADES, _LEVELS = ({Market.SPOT: rows} for rows in (720, 1000, 500))
_SPANS = ("1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w", "15d")
_DEPTHS = (10, 25, 100, 500)
# Trades are told rounded (to 0.1 ms once, now to a float's digits), and `since` goes by their true times.
_ROUNDED_NS = 100_000


def _request(endpoint: str, *query: tuple[str, object]) -> Request:
    return Request("spot", "/0/public/" + endpoint, tuple((name, str(value)) for name, value in query))


def _of(target: Target, endpoint: str, *query: tuple[str, object]) -> Request:
    return _request(endpoint, ("pair", target.instrument.native), *query)


class _Body(msgspec.Struct, Generic[T]):
    result: T


# Time and instruments, see get-server-time and get-tradable-asset-pairs


class _Time(msgspec.Struct):
    unixtime: int


class _Pair(msgspec.Struct):
    altname: str
    pair_decimals: int
    lot_decimals: int
    wsname: str = ""  # dark pools, which show no trades, have none
    tick_size: float | None = None
    status: str = "online"  # not told before 2022


_time = msgspec.json.Decoder(_Body[_Time])
_pairs = msgspec.json.Decoder(_Body[dict[str, _Pair]], strict=False)


def _instrument(pair: _Pair) -> Instrument:
    base, _, quote = pair.wsname.partition("/")
    return Instrument(
        exchange="kraken",
        symbol=Symbol(currency(base), currency(quote)),
        native=pair.altname,
        market=Market.SPOT,
        type=InstrumentType.SPOT,
        active=pair.status == "online",
        tick_size=pair.tick_size or float(f"1e-{pair.pair_decimals}"),
        lot_size=float(f"1e-{pair.lot_decimals}"),
    )


def _instruments(response: Response) -> Sequence[Instrument]:
    return [_instrument(pair) for pair in _pairs.decode(response.body).result.values() if pair.wsname]


# Bars, see get-ohlc-data: always the newest 720 and the open one, whatever is asked for


class _Bar(msgspec.Struct, array_like=True, gc=False):
    ts: int
    open: float
    high: float
    low: float
    close: float
    vwap: float
    volume: float
    trades: int


# One list, under the pair's other name, beside the id `last`.
_bars = msgspec.json.Decoder(_Body[dict[str, list[_Bar] | int | str]], strict=False)


def _ohlc(target: Target, limit: int) -> Request:
    assert target.span is not None
    return _of(target, "OHLC", ("interval", target.span.seconds // 60))


def _parse_ohlc(target: Target, response: Response) -> Columns:
    (rows,) = (value for value in _bars.decode(response.body).result.values() if isinstance(value, list))
    return columns(rows, "open", "high", "low", "close", "volume", "trades", unit_ns=S_NS)


# Trades, see get-recent-trades


class _Trade(msgspec.Struct, array_like=True, gc=False):
    price: float
    amount: float
    ts: Decimal  # a float has too few digits
    side: str
    order: str
    misc: str
    tid: int | None = None  # since 2022


_trades = msgspec.json.Decoder(_Body[dict[str, list[_Trade] | int | str]], strict=False)
_SIDES = {"b": "buy", "s": "sell"}


def _since(target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
    """Trades after a moment, in nanoseconds; how far cannot be said."""
    return _of(target, "Trades", ("since", max(0, start_ns - _ROUNDED_NS)), ("count", limit))


def _parse_trades(target: Target, response: Response) -> Columns:
    (rows,) = (value for value in _trades.decode(response.body).result.values() if isinstance(value, list))
    return {
        "ts": [int(row.ts * S_NS) for row in rows],
        "price": [row.price for row in rows],
        "amount": [row.amount for row in rows],
        "side": [_SIDES[row.side] for row in rows],
        "tid_num": [row.tid for row in rows],
    }


# Order book, see get-order-book


class _Book(msgspec.Struct):
    bids: list[tuple[float, float, float]]
    asks: list[tuple[float, float, float]]


_book = msgspec.json.Decoder(_Body[dict[str, _Book]], strict=False)


def _parse_depth(target: Target, response: Response) -> Columns:
    """Levels carry the time of their last change each, the book none."""
    (book,) = _book.decode(response.body).result.values()
    return levels(book.bids, book.asks)


# Errors: under HTTP 200, as "<E or W><category>:<words>"; a W warns of nothing that matters here


class _Errors(msgspec.Struct):
    error: list[str] | str = []


_errors = msgspec.json.Decoder(_Errors)
_FINE = b'{"error":[],'
_THROTTLES = ("EAPI:Rate limit", "EGeneral:Too many requests", "EGeneral:Temporary lockout")
_UNTIL = re.compile(r"EService: ?Throttled: ?(\d{10})?")
_BUSY = ("EService:", "EGeneral:Internal error")


def error(response: Response) -> ExchangeError | None:
    """What is wrong with an answer, in Kraken's words; None when nothing is."""
    status = response.status
    if status < 400 and response.body.startswith(_FINE):
        return None
    try:
        stated = _errors.decode(response.body).error
    except ValueError:  # not JSON, or not even text
        stated = []
    listed = [stated] if isinstance(stated, str) else stated
    said = next((words for words in listed if words.startswith("E")), "")
    if status < 400 and not said:
        return None
    answer = f"(HTTP {status}{f', {said!r}' if said else ''})."
    until = _UNTIL.match(said)
    if status == 429 or until or said.startswith(_THROTTLES):
        wait_s = (int(until[1]) * S_NS - response.received_ns) / S_NS if until and until[1] else None
        if response.headers.get("retry-after", "").isdecimal():
            wait_s = float(response.headers["retry-after"])
        return Throttled(f"Kraken asked for fewer requests {answer}", wait_s)
    if status >= 500 or said.startswith(_BUSY):
        return ExchangeUnavailable(f"Kraken cannot answer now {answer} Try again later.")
    return ExchangeRefused(f"Kraken refused the request {answer}", said.partition(":")[0] or str(status))


HISTORY: Mapping[DataType, History] = {
    DataType.OHLC: Latest(request=_ohlc, parse=_parse_ohlc, rows=_BARS),
    DataType.TRADES: ByTime(
        request=_since,
        parse=_parse_trades,
        rows=1000,
        typical_s=1.0,
        first=lambda target: _of(target, "Trades", ("since", 0), ("count", 1)),
        resolution_ns=1,
        settle_s=10.0,
    ),
    DataType.ORDERBOOK: Snapshot(
        request=lambda target: _of(target, "Depth", ("count", target.depth)), parse=_parse_depth
    ),
}
CAPABILITIES = (
    historical(DataType.OHLC, _DOCS + "get-ohlc-data", _BARS, spans=_SPANS, recent=True),
    historical(DataType.TRADES, _DOCS + "get-recent-trades", _TRADES, direction="forward"),
    historical(DataType.ORDERBOOK, _DOCS + "get-order-book", _LEVELS, depths=_DEPTHS, recent=True),
)
LISTING = Listing(_request("AssetPairs"), _instruments)
CLOCK = _request("Time")


def clock_ns(response: Response) -> int:
    """The time that `CLOCK` is answered with."""
    return _time.decode(response.body).result.unixtime * S_NS
