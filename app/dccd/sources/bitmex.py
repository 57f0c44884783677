"""BitMEX: spot pairs, linear, quanto and inverse contracts, market data that needs no key.

Documentation: https://www.bitmex.com/api/explorer/ (Instrument, Trade, OrderBook, Funding) and
https://www.bitmex.com/app/restAPI (limits, overload). What was found odd is in ``docs/exchanges/bitmex.md``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

import msgspec

from dccd.domain.errors import ExchangeError, ExchangeRefused, ExchangeUnavailable, NoCapability, Throttled
from dccd.domain.instrument import Instrument
from dccd.domain.records import Columns
from dccd.domain.symbol import Symbol, currency
from dccd.domain.timeutils import MS_NS, datetime_ns, iso
from dccd.domain.types import DataType, Evidence, InstrumentType, Market, Mode
from dccd.sources.base import (
    ByTile,
    ByTime,
    ByWindow,
    Host,
    Limit,
    Listing,
    Request,
    Response,
    Snapshot,
    Source,
    Target,
    columns,
    historical,
    in_base,
    levels,
)

_DOCS = "https://www.bitmex.com/api/explorer/#!/"
_OHLC, _BOOK = DataType.OHLC, DataType.ORDERBOOK
_SPANS = ("1m", "5m", "1h", "1d")
_THOUSAND = dict.fromkeys(Market, 1000)
_FUNDING = dict.fromkeys((Market.LINEAR, Market.INVERSE), 500)
_NO_YEAR = 2200  # some are listed then, by what BitMEX says
_PERPETUAL = InstrumentType.PERPETUAL
_TYPES = {
    "IFXXXP": InstrumentType.SPOT,
    "FFCCSX": InstrumentType.FUTURE,
    **dict.fromkeys(("FFWCSX", "FFWCSF", "FFSCSX"), _PERPETUAL),  # of coins, currencies and shares
}


def _get(path: str, **query: object) -> Request:
    return Request("rest", "/api/v1/" + path, tuple((name, str(value)) for name, value in query.items()))


def _time(ts_ns: int) -> str:
    """The first millisecond that is not before a moment."""
    return iso(-(-ts_ns // MS_NS) * MS_NS)


# Instruments, see Instrument/Instrument_getActive


class _Listed(msgspec.Struct):
    symbol: str
    state: str
    typ: str
    underlying: str
    quoteCurrency: str
    settlCurrency: str | None = None
    listing: datetime | None = None
    expiry: datetime | None = None
    tickSize: float | None = None
    lotSize: float | None = None
    isInverse: bool = False
    underlyingToPositionMultiplier: float | None = None


_listed = msgspec.json.Decoder(list[_Listed])


def _instrument(row: _Listed) -> Instrument:
    """A quanto contract is linear in its price and settles in a third currency; what it is worth moves."""
    kind, base = _TYPES[row.typ], currency(row.underlying)
    spot, per = kind is InstrumentType.SPOT, row.underlyingToPositionMultiplier
    # Of inverse contracts one is worth one of the quote currency; sizes of spot are counted in parts as well.
    size = 1.0 if row.isInverse else 1 / per if per else None
    expiry = row.expiry if kind is InstrumentType.FUTURE else None
    settle = None if spot else base if row.isInverse else currency(row.settlCurrency or "")
    return Instrument(
        exchange="bitmex",
        symbol=Symbol(base, currency(row.quoteCurrency), settle, f"{expiry:%y%m%d}" if expiry else None),
        native=row.symbol,
        market=Market.SPOT if spot else Market.INVERSE if row.isInverse else Market.LINEAR,
        type=kind,
        active=row.state == "Open",
        contract_size=size,
        tick_size=row.tickSize,
        lot_size=row.lotSize / per if row.lotSize and per and not row.isInverse else row.lotSize,
        listed_ns=datetime_ns(row.listing) if row.listing and row.listing.year < _NO_YEAR else None,
        expiry_ns=datetime_ns(expiry) if expiry else None,
    )


def _instruments(response: Response) -> Sequence[Instrument]:
    return [_instrument(row) for row in _listed.decode(response.body) if row.typ in _TYPES]


class _Told(msgspec.Struct, gc=False):
    timestamp: datetime

    @property
    def ts(self) -> int:
        """When, nanoseconds."""
        return datetime_ns(self.timestamp)


# Bars, see Trade/Trade_getBucketed: each is told at its end, and opens where the one before it closed


class _Bar(_Told, gc=False):
    open: float
    high: float
    low: float
    close: float
    trades: int
    homeNotional: float
    foreignNotional: float


_bars = msgspec.json.Decoder(list[_Bar])


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


def _parse_bars(target: Target, response: Response) -> Columns:
    assert target.span is not None
    rows, length_ns = _bars.decode(response.body), target.span.nominal_ns
    names = ("open", "high", "low", "close", "trades")
    found = columns(rows, *names, unit_ns=1, volume="homeNotional", quote_volume="foreignNotional")
    return {**found, "ts": [datetime_ns(row.timestamp) - length_ns for row in rows]}


# Trades, see Trade/Trade_get


class _Trade(_Told, gc=False):
    side: str
    size: float
    price: float
    trdMatchID: str
    homeNotional: float


_trades = msgspec.json.Decoder(list[_Trade])
_SIDES = {"Buy": "buy", "Sell": "sell"}


def _trades_from(target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
    return _get("trade", symbol=target.instrument.native, startTime=_time(start_ns), count=limit)


def _trades_more(target: Target, ts_ns: int, offset: int, limit: int) -> Request:
    symbol = target.instrument.native
    return _get("trade", symbol=symbol, startTime=_time(ts_ns), start=offset, count=limit)


def _parse_trades(target: Target, response: Response) -> Columns:
    """In base; of inverse contracts as given, as many as they are worth in quote."""
    rows = _trades.decode(response.body)
    amount = "size" if target.instrument.market is Market.INVERSE else "homeNotional"
    sides = [_SIDES[row.side] for row in rows]
    return columns(rows, "price", unit_ns=1, amount=amount, tid="trdMatchID") | {"side": sides}


# Order book, see OrderBook/OrderBook_getL2: the asks from the highest down, then the bids


class _Level(msgspec.Struct):
    side: str
    size: int
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
    if target.instrument.type is not _PERPETUAL:
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


def _error(response: Response) -> ExchangeError | None:
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


BITMEX = Source(
    id="bitmex",
    name="BitMEX",
    hosts={"rest": Host("https://www.bitmex.com", "rest_url", Request("rest", "/api/v1"))},
    host_of=dict.fromkeys(Market, "rest"),
    # A bucket of 30 that is filled again at one in two seconds: it never empties when any minute has 30.
    budgets={"rest": Limit(30, window_s=60, unit="requests", rolling=True)},
    capabilities=(
        historical(_OHLC, _DOCS + "Trade/Trade_getBucketed", _THOUSAND, direction="forward", spans=_SPANS),
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
    ),
    listings=(Listing(_get("instrument/active"), _instruments),),
    history={
        _OHLC: ByWindow(
            request=_bars_from, parse=_parse_bars, first=_first_bar, rows=_THOUSAND, settle_s=15.0
        ),
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
    },
    error=_error,
    clock_ns=lambda response: msgspec.json.decode(response.body, type=_Clock).timestamp * MS_NS,
)
