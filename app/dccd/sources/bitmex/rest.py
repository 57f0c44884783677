"""BitMEX over REST: bars, trades, books and funding that need no key.

Documentation: https://www.bitmex.com/api/explorer/ (Trade, OrderBook, Funding) and
https://www.bitmex.com/app/restAPI (limits, overload). What was found odd is in ``docs/exchanges/bitmex.md``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from dccd.domain.errors import ExchangeError, ExchangeRefused, ExchangeUnavailable, NoCapability, Throttled
from dccd.domain.records import Columns
from dccd.domain.timeutils import MS_NS, datetime_ns, iso
from dccd.domain.types import DataType, Evidence, InstrumentType, Market, Mode
from dccd.sources.base import (
    ByTile,
    ByTime,
    ByWindow,
    History,
    Request,
    Response,
    Snapshot,
    Target,
    columns,
    historical,
    in_base,
    levels,
)

_DOCS = "https://www.bitmex.com/api/explorer/#!/"
_OHLC, _BOOK = DataType.OHLC, DataType.ORDERBOOK
SPANS = ("1m", "5m", "1h", "1d")
_THOUSAND = dict.fromkeys(Market, 1000)
_FUNDING = dict.fromkeys((Market.LINEAR, Market.INVERSE), 500)


def _get(path: str, **query: object) -> Request:
    return Request("rest", "/api/v1/" + path, tuple((name, str(value)) for name, value in query.items()))


def _time(ts_ns: int) -> str:
    """The first millisecond that is not before a moment."""
    return iso(-(-ts_ns // MS_NS) * MS_NS)


class _Told(msgspec.Struct, gc=False):
    timestamp: datetime

    @property
    def ts(self) -> int:
        """When, nanoseconds."""
        return datetime_ns(self.timestamp)


# Bars, see Trade/Trade_getBucketed: each is told at its end, and opens where the one before it closed


class Bar(_Told, gc=False):
    """A bucket, as lists and streams have it."""

    open: float
    high: float
    low: float
    close: float
    trades: int
    homeNotional: float
    foreignNotional: float


_bars = msgspec.json.Decoder(list[Bar])


def _buckets(target: Target, **query: object) -> Request:
    """From the oldest on; where bars are missing, later ones come in their place."""
    symbol = target.instrument.native
    return _get("trade/bucketed", symbol=symbol, binSize=target.span, partial="false", **query)


def _first_bar(target: Target) -> Request:
    return _buckets(target, count=1)


def _bars_from(target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
    assert target.span is not None
    first_end_ns = target.span.next(target.span.ceil(start_ns))
    return _buckets(target, startTime=_time(first_end_ns), count=limit)


def bar_columns(target: Target, rows: Sequence[Bar]) -> Columns:
    """Of bars, each at its beginning."""
    assert target.span is not None
    length_ns = target.span.nominal_ns
    names = ("open", "high", "low", "close", "trades")
    found = columns(rows, *names, unit_ns=1, volume="homeNotional", quote_volume="foreignNotional")
    return {**found, "ts": [datetime_ns(row.timestamp) - length_ns for row in rows]}


def _parse_bars(target: Target, response: Response) -> Columns:
    return bar_columns(target, _bars.decode(response.body))


# Trades, see Trade/Trade_get


class Trade(_Told, gc=False):
    """A trade, likewise."""

    size: float
    price: float
    trdMatchID: str
    homeNotional: float
    side: str | None = None  # a settlement has no taker


_trades = msgspec.json.Decoder(list[Trade])
_SIDES = {"Buy": "buy", "Sell": "sell", None: None}


def _trades_from(target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
    return _get("trade", symbol=target.instrument.native, startTime=_time(start_ns), count=limit)


def _trades_more(target: Target, ts_ns: int, offset: int, limit: int) -> Request:
    symbol = target.instrument.native
    return _get("trade", symbol=symbol, startTime=_time(ts_ns), start=offset, count=limit)


def trade_columns(target: Target, rows: Sequence[Trade]) -> Columns:
    """In base; of inverse contracts as given, as many as they are worth in quote."""
    amount = "size" if target.instrument.market is Market.INVERSE else "homeNotional"
    sides = [_SIDES[row.side] for row in rows]
    return columns(rows, "price", unit_ns=1, amount=amount, tid="trdMatchID") | {"side": sides}


def _parse_trades(target: Target, response: Response) -> Columns:
    return trade_columns(target, _trades.decode(response.body))


# Order book, see OrderBook/OrderBook_getL2: the asks from the highest down, then the bids


class _Level(msgspec.Struct):
    side: str
    size: float
    price: float


_levels = msgspec.json.Decoder(list[_Level])


def _book_of(target: Target) -> Request:
    return _get("orderBook/L2", symbol=target.instrument.native, depth=target.depth)


def _parse_book(target: Target, response: Response) -> Columns:
    """Levels carry the time of their last change each, the book none."""
    rows = _levels.decode(response.body)
    bids, asks = (
        sorted((row for row in rows if row.side == side), key=lambda row: row.price * sign)
        for side, sign in (("Buy", -1), ("Sell", 1))
    )
    amounts = in_base(target, [row.size for row in bids + asks])
    found = levels([(row.price, row.size) for row in bids], [(row.price, row.size) for row in asks])
    return {**found, "amount": amounts}


# Funding, see Funding/Funding_get


class _Rate(_Told):
    fundingRate: float


_rates = msgspec.json.Decoder(list[_Rate])


def _funding(target: Target, **query: object) -> Request:
    if target.instrument.type is not InstrumentType.PERPETUAL:
        raise NoCapability("bitmex", DataType.FUNDING, Mode.HISTORICAL, "dated contracts have no funding.")
    return _get("funding", symbol=target.instrument.native, **query)


def _funding_between(target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
    return _funding(target, startTime=_time(start_ns), endTime=_time(end_ns - MS_NS), count=limit)


def _parse_funding(target: Target, response: Response) -> Columns:
    return columns(_rates.decode(response.body), unit_ns=1, rate="fundingRate")


# Errors


class _Said(msgspec.Struct):
    message: str
    name: str


_said = msgspec.json.Decoder(dict[str, _Said])
_WAIT = re.compile(r"retry in (\d{1,6}) seconds?")


def error(response: Response) -> ExchangeError | None:
    """What is wrong with an answer, in BitMEX's words; None when nothing is."""
    status = response.status
    if status < 400 and not response.body.startswith(b'{"error"'):
        return None
    try:
        said = _said.decode(response.body)["error"]
    except (ValueError, KeyError):  # not JSON, not even text, or JSON of somebody else
        if status < 400:
            return None  # for a parser to refuse
        said = _Said("", str(status))
    answer = f"(HTTP {status}{f', {said.message!r}' if said.message else ''})."
    if status == 429 or said.name == "RateLimitError":
        stated, told = response.headers.get("retry-after", ""), _WAIT.search(said.message)
        wait_s = float(stated) if stated.isdecimal() else float(told[1]) if told else None
        return Throttled(f"BitMEX asked for fewer requests {answer}", wait_s)
    if status >= 500:
        return ExchangeUnavailable(f"BitMEX cannot answer now {answer} Try again later.")
    return ExchangeRefused(f"BitMEX refused the request {answer}", said.name)


class _Clock(msgspec.Struct):
    timestamp: int


def clock_ns(response: Response) -> int:
    """The exchange's time, from an answer to `CLOCK`."""
    return msgspec.json.decode(response.body, type=_Clock).timestamp * MS_NS


CLOCK = Request("rest", "/api/v1")
CAPABILITIES = (
    historical(_OHLC, _DOCS + "Trade/Trade_getBucketed", _THOUSAND, direction="forward", spans=SPANS),
    historical(DataType.TRADES, _DOCS + "Trade/Trade_get", _THOUSAND, direction="forward"),
    historical(
        _BOOK,
        _DOCS + "OrderBook/OrderBook_getL2",
        _THOUSAND,
        depths=(25, 100, 1000),
        recent=True,
        evidence=Evidence.RECORDED,
    ),
    historical(DataType.FUNDING, _DOCS + "Funding/Funding_get", _FUNDING, direction="forward"),
)
HISTORY: Mapping[DataType, History] = {
    _OHLC: ByWindow(request=_bars_from, parse=_parse_bars, first=_first_bar, rows=_THOUSAND, settle_s=15.0),
    DataType.TRADES: ByTime(
        request=_trades_from,
        request_more=_trades_more,
        first=lambda target: _get("trade", symbol=target.instrument.native, count=1),
        parse=_parse_trades,
        rows=1000,
        typical_s=1.0,
    ),
    _BOOK: Snapshot(request=_book_of, parse=_parse_book),
    DataType.FUNDING: ByTile(
        request=_funding_between,
        first=lambda target: _funding(target, count=1),
        parse=_parse_funding,
        rows=500,
        every_s=8 * 3600.0,
    ),
}
