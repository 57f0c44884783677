"""OKX: spot, linear and inverse contracts, market data of the V5 API that needs no key.

Documentation: https://www.okx.com/docs-v5/en/#order-book-trading-market-data (candlesticks history, trades
history, order book), #public-data-rest-api (instruments, funding rate history, system time),
#trading-statistics-rest-api (open interest history) and #error-code; what was found odd is in
``docs/exchanges/okx.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from dccd.domain.errors import ExchangeError, ExchangeRefused, ExchangeUnavailable, NoCapability, Throttled
from dccd.domain.instrument import Instrument
from dccd.domain.records import Columns
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol, currency
from dccd.domain.timeutils import MS_NS, ns_datetime
from dccd.domain.types import DataType, Evidence, InstrumentType, Market, Mode
from dccd.sources.base import (
    ByIdBack,
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
    in_base,
    levels,
)

_DOCS = "https://www.okx.com/docs-v5/en/#"
_MARKET_DOCS = _DOCS + "order-book-trading-market-data-get-"
_FUTURES = (Market.LINEAR, Market.INVERSE)
# From 6h on bars open at Hong Kong's time, but for those that say so.
_SPANS = {
    "1m": "1m", "3m": "3m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1H", "2h": "2H", "4h": "4H",
    "6h": "6Hutc", "12h": "12Hutc", "1d": "1Dutc", "1w": "1Wutc", "1mo": "1Mutc",
}  # fmt: skip
_INTEREST_SPANS = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h")
_INTEREST_KEPT = 1440  # the latest so many of each span
_BAR_ROWS = dict.fromkeys(Market, 300)
_INTEREST_ROWS = dict.fromkeys(_FUTURES, 100)
_TRADE_ROWS, _FUNDING_ROWS, _DEPTH = 100, 400, 400
_THREE_MONTHS_S = 89 * 86_400
_THROTTLED = {"50011", "50040", "50061"}
_BUSY = {"50001", "50004", "50013", "50026"}

T = TypeVar("T")


class _Answer(msgspec.Struct, Generic[T]):
    data: list[T]


def _get(target: Target, path: str, budget: str, **query: object) -> Request:
    query = {"instId": target.instrument.native, **query}
    return Request(
        "rest", f"/api/v5/{path}", tuple((name, str(query[name])) for name in query), budget=budget
    )


def _bounds(start_ns: int, end_ns: int) -> tuple[int, int]:
    """A half-open range as OKX wants it, in milliseconds: rows of before the one and after the other."""
    return -(-end_ns // MS_NS), -(-start_ns // MS_NS) - 1


class _Listed(msgspec.Struct):
    instId: str
    state: str
    tickSz: str
    lotSz: str
    listTime: str
    expTime: str
    baseCcy: str = ""
    quoteCcy: str = ""
    settleCcy: str = ""
    uly: str = ""
    ctType: str = ""
    ctVal: str = ""
    ctMult: str = ""


_instruments = msgspec.json.Decoder(_Answer[_Listed])


def _instrument(kind: InstrumentType, row: _Listed) -> Instrument:
    spot = kind is InstrumentType.SPOT
    base, _, quote = f"{row.baseCcy}-{row.quoteCcy}".partition("-") if spot else row.uly.partition("-")
    expiry_ns = int(row.expTime) * MS_NS if kind is InstrumentType.FUTURE and row.expTime else None
    expiry = None if expiry_ns is None else f"{ns_datetime(expiry_ns):%y%m%d}"
    settle = None if spot else currency(row.settleCcy)
    return Instrument(
        exchange="okx",
        symbol=Symbol(currency(base), currency(quote), settle, expiry),
        native=row.instId,
        market=Market.SPOT if spot else Market.INVERSE if row.ctType == "inverse" else Market.LINEAR,
        type=kind,
        active=row.state == "live",
        contract_size=None if spot else float(row.ctVal) * float(row.ctMult or 1),
        tick_size=float(row.tickSz) if row.tickSz else None,
        lot_size=float(row.lotSz) if row.lotSz else None,
        listed_ns=int(row.listTime) * MS_NS if row.listTime else None,
        expiry_ns=expiry_ns,
    )


def _listing(name: str, kind: InstrumentType) -> Listing:
    def instruments(response: Response) -> Sequence[Instrument]:
        rows = _instruments.decode(response.body).data
        return [_instrument(kind, row) for row in rows if row.state != "test"]

    return Listing(Request("rest", "/api/v5/public/instruments", (("instType", name),)), instruments)


class _Bar(msgspec.Struct, array_like=True, gc=False):
    ts: int
    open: float
    high: float
    low: float
    close: float
    count: float  # contracts, of spot base
    volume: float  # base, of spot quote
    quote: float


_bars = msgspec.json.Decoder(_Answer[_Bar], strict=False)


def _candles(target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
    after, before = _bounds(start_ns, end_ns)
    bar = _SPANS[str(target.span)]
    return _get(target, "market/history-candles", "candles", bar=bar, after=after, before=before, limit=limit)


def _first_candle(target: Target) -> Request:
    """Three hundred months begin before OKX did; its listing dates are no lower bound."""
    return _get(target, "market/history-candles", "candles", bar="1Mutc", limit=300)


def _parse_candles(target: Target, response: Response) -> Columns:
    rows = _bars.decode(response.body).data[::-1]
    volume = "count" if target.instrument.market is Market.SPOT else "volume"
    return columns(rows, "open", "high", "low", "close", volume=volume, quote_volume="quote")


class _Trade(msgspec.Struct, gc=False):
    tradeId: int
    px: float
    sz: float
    side: str
    ts: int


_trades = msgspec.json.Decoder(_Answer[_Trade], strict=False)
_SIDES = {"buy": "buy", "sell": "sell"}


def _trades_by(kind: int, target: Target, after: int, limit: int) -> Request:
    """Rows of before an id (1) or a moment (2)."""
    return _get(target, "market/history-trades", "trades", type=kind, after=after, limit=limit)


def _parse_trades(target: Target, response: Response) -> Columns:
    rows = _trades.decode(response.body).data[::-1]
    amounts = in_base(target, [row.sz for row in rows])
    sides = [_SIDES[row.side] for row in rows]
    return columns(rows, price="px", tid_num="tradeId") | {"amount": amounts, "side": sides}


class _Book(msgspec.Struct):
    asks: list[tuple[float, float, float, int]]
    bids: list[tuple[float, float, float, int]]
    ts: int


_book = msgspec.json.Decoder(_Answer[_Book], strict=False)


def _parse_book(target: Target, response: Response) -> Columns:
    (book,) = _book.decode(response.body).data
    every = book.bids + book.asks
    amounts = in_base(target, [level[1] for level in every])
    found = levels([level[:2] for level in book.bids], [level[:2] for level in book.asks], book.ts * MS_NS)
    return found | {"amount": amounts, "count": [level[3] for level in every]}


class _Funding(msgspec.Struct):
    fundingTime: int
    fundingRate: float
    realizedRate: str = ""


_fundings = msgspec.json.Decoder(_Answer[_Funding], strict=False)


def _funding(target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
    if target.instrument.type is not InstrumentType.PERPETUAL:
        raise NoCapability("okx", DataType.FUNDING, Mode.HISTORICAL, "dated contracts have no funding.")
    after, before = _bounds(start_ns, end_ns)
    return _get(target, "public/funding-rate-history", "funding", before=before, after=after, limit=limit)


def _parse_funding(target: Target, response: Response) -> Columns:
    """The rate that was paid, where it is given: `fundingRate` is what had been predicted."""
    rows = _fundings.decode(response.body).data[::-1]
    rates = [float(row.realizedRate) if row.realizedRate else row.fundingRate for row in rows]
    return columns(rows, ts="fundingTime") | {"rate": rates}


class _Interest(msgspec.Struct, array_like=True):
    ts: int
    contracts: float
    base: float
    usd: float


_interests = msgspec.json.Decoder(_Answer[_Interest], strict=False)


def _interest(target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
    end, begin = _bounds(start_ns, end_ns)
    path, period = "rubik/stat/contracts/open-interest-history", _SPANS[str(target.span)]
    return _get(target, path, "open interest", period=period, end=end, begin=begin, limit=limit)


def _parse_interest(target: Target, response: Response) -> Columns:
    rows = _interests.decode(response.body).data[::-1]
    return columns(rows, open_interest="base", open_interest_value="usd")


class _Said(msgspec.Struct):
    code: str
    msg: str = ""


def error(response: Response) -> ExchangeError | None:
    """What is wrong with an answer, in OKX's words, whatever its HTTP status."""
    status = response.status
    if status < 400 and response.body.startswith(b'{"code":"0",'):
        return None
    try:
        said = msgspec.json.decode(response.body, type=_Said)
    except ValueError:  # not JSON, or not even text
        if status < 400:
            return None  # for a parser to refuse
        said = _Said(str(status), response.body[:80].decode(errors="replace").strip())
    code, words = said.code, f"HTTP {status}, {said.msg!r}"
    if code == "0" and status < 400:
        return None
    if code in _THROTTLED or (status == 429 and code not in _BUSY):
        return Throttled(f"OKX asked for fewer requests ({words}).")
    if status >= 500 or code in _BUSY:
        return ExchangeUnavailable(f"OKX cannot answer now ({words}). Try again later.")
    if status in (403, 451):
        return ExchangeRefused(f"OKX does not serve this network ({words}).", code)
    return ExchangeRefused(f"OKX refused the request ({words}).", code)


class _Clock(msgspec.Struct):
    ts: int


_clock = msgspec.json.Decoder(_Answer[_Clock], strict=False)


def clock_ns(response: Response) -> int:
    """The exchange's time, from an answer to `CLOCK`."""
    return _clock.decode(response.body).data[0].ts * MS_NS


CLOCK = Request("rest", "/api/v5/public/time")
CAPABILITIES = (
    historical(
        DataType.OHLC,
        _MARKET_DOCS + "candlesticks-history",
        _BAR_ROWS,
        direction="backward",
        spans=_SPANS,
    ),
    historical(
        DataType.TRADES,
        _MARKET_DOCS + "trades-history",
        dict.fromkeys(Market, _TRADE_ROWS),
        direction="backward",
        lookback_s=_THREE_MONTHS_S,
    ),
    historical(
        DataType.ORDERBOOK,
        _MARKET_DOCS + "order-book",
        dict.fromkeys(Market, _DEPTH),
        depths=(1, 5, 20, 50, 100, 400),
        recent=True,
        evidence=Evidence.RECORDED,
    ),
    historical(
        DataType.FUNDING,
        _DOCS + "public-data-rest-api-get-funding-rate-history",
        dict.fromkeys(_FUTURES, _FUNDING_ROWS),
        direction="backward",
        lookback_s=_THREE_MONTHS_S,
    ),
    *(
        historical(
            DataType.OPEN_INTEREST,
            _DOCS + "trading-statistics-rest-api-get-contract-open-interest-history",
            _INTEREST_ROWS,
            direction="backward",
            spans=(span,),
            lookback_s=_INTEREST_KEPT * Span.parse(span).seconds,
        )
        for span in _INTEREST_SPANS
    ),
)
LISTINGS = (
    _listing("SPOT", InstrumentType.SPOT),
    _listing("SWAP", InstrumentType.PERPETUAL),
    _listing("FUTURES", InstrumentType.FUTURE),
)
HISTORY: Mapping[DataType, History] = {
    DataType.OHLC: ByWindow(
        request=_candles, parse=_parse_candles, first=_first_candle, rows=_BAR_ROWS, settle_s=60.0
    ),
    DataType.TRADES: ByIdBack(
        request=lambda target, stop_id, limit: _trades_by(1, target, stop_id, limit),
        request_before=lambda target, stop_ns, limit: _trades_by(2, target, -(-stop_ns // MS_NS), limit),
        parse=_parse_trades,
        rows=_TRADE_ROWS,
    ),
    DataType.ORDERBOOK: Snapshot(
        request=lambda target: _get(target, "market/books", "books", sz=target.depth), parse=_parse_book
    ),
    DataType.FUNDING: ByTile(request=_funding, parse=_parse_funding, rows=_FUNDING_ROWS, every_s=8 * 3600.0),
    DataType.OPEN_INTEREST: ByWindow(
        request=_interest, parse=_parse_interest, rows=_INTEREST_ROWS, settle_s=600.0
    ),
}
