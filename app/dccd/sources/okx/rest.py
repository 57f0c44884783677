"""OKX's bars, trades, books, funding and open interest over REST.

Documentation: https://www.okx.com/docs-v5/en/#order-book-trading-market-data (candlesticks history, trades
history, order book), #public-data-rest-api (funding rate history, system time) and
#trading-statistics-rest-api (open interest history).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from dccd.domain.errors import NoCapability
from dccd.domain.records import Columns
from dccd.domain.span import Span
from dccd.domain.timeutils import MS_NS
from dccd.domain.types import DataType, Evidence, InstrumentType, Market, Mode
from dccd.sources.base import (
    ByIdBack,
    ByTile,
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
from dccd.sources.okx.answers import Answer
from dccd.sources.okx.instruments import FUTURES

_DOCS = "https://www.okx.com/docs-v5/en/#"
_MARKET_DOCS = _DOCS + "order-book-trading-market-data-get-"
# From 6h on bars open at Hong Kong's time, but for those that say so.
SPANS = {
    "1m": "1m", "3m": "3m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1H", "2h": "2H", "4h": "4H",
    "6h": "6Hutc", "12h": "12Hutc", "1d": "1Dutc", "1w": "1Wutc", "1mo": "1Mutc",
}  # fmt: skip
_INTEREST_SPANS = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h")
_INTEREST_KEPT = 1440  # the latest so many of each span
_BAR_ROWS = dict.fromkeys(Market, 300)
_INTEREST_ROWS = dict.fromkeys(FUTURES, 100)
_TRADE_ROWS, _FUNDING_ROWS, _DEPTH = 100, 400, 400
_THREE_MONTHS_S = 89 * 86_400


def _get(target: Target, path: str, budget: str, **query: object) -> Request:
    query = {"instId": target.instrument.native, **query}
    return Request(
        "rest", f"/api/v5/{path}", tuple((name, str(query[name])) for name in query), budget=budget
    )


def _bounds(start_ns: int, end_ns: int) -> tuple[int, int]:
    """A half-open range as OKX wants it, in milliseconds: rows of before the one and after the other."""
    return -(-end_ns // MS_NS), -(-start_ns // MS_NS) - 1


class Bar(msgspec.Struct, array_like=True, gc=False):
    """A bar, as REST and streams tell it."""

    ts: int
    open: float
    high: float
    low: float
    close: float
    count: float  # contracts, of spot base
    volume: float  # base, of spot quote
    quote: float


_bars = msgspec.json.Decoder(Answer[Bar], strict=False)


def _candles(target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
    after, before = _bounds(start_ns, end_ns)
    bar = SPANS[str(target.span)]
    return _get(target, "market/history-candles", "candles", bar=bar, after=after, before=before, limit=limit)


def _first_candle(target: Target) -> Request:
    """Three hundred months begin before OKX did; its listing dates are no lower bound."""
    return _get(target, "market/history-candles", "candles", bar="1Mutc", limit=300)


def bar_columns(market: Market, rows: Sequence[Bar]) -> Columns:
    """Base and quote volume of bars, which stand at other places in spot's."""
    volume = "count" if market is Market.SPOT else "volume"
    return columns(rows, "open", "high", "low", "close", volume=volume, quote_volume="quote")


def _parse_candles(target: Target, response: Response) -> Columns:
    return bar_columns(target.instrument.market, _bars.decode(response.body).data[::-1])


class Trade(msgspec.Struct, gc=False):
    """A trade, likewise."""

    tradeId: int
    px: float
    sz: float
    side: str
    ts: int


_trades = msgspec.json.Decoder(Answer[Trade], strict=False)
_SIDES = {"buy": "buy", "sell": "sell"}


def _trades_by(kind: int, target: Target, after: int, limit: int) -> Request:
    """Rows of before an id (1) or a moment (2)."""
    return _get(target, "market/history-trades", "trades", type=kind, after=after, limit=limit)


def trade_columns(target: Target, rows: Sequence[Trade]) -> Columns:
    """Trades, whose numbers of contracts become base."""
    amounts = in_base(target, [row.sz for row in rows])
    sides = [_SIDES[row.side] for row in rows]
    return columns(rows, price="px", tid_num="tradeId") | {"amount": amounts, "side": sides}


def _parse_trades(target: Target, response: Response) -> Columns:
    return trade_columns(target, _trades.decode(response.body).data[::-1])


class _Book(msgspec.Struct):
    asks: list[tuple[float, float, float, int]]
    bids: list[tuple[float, float, float, int]]
    ts: int


_book = msgspec.json.Decoder(Answer[_Book], strict=False)


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


_fundings = msgspec.json.Decoder(Answer[_Funding], strict=False)


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


_interests = msgspec.json.Decoder(Answer[_Interest], strict=False)


def _interest(target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
    end, begin = _bounds(start_ns, end_ns)
    path, period = "rubik/stat/contracts/open-interest-history", SPANS[str(target.span)]
    return _get(target, path, "open interest", period=period, end=end, begin=begin, limit=limit)


def _parse_interest(target: Target, response: Response) -> Columns:
    rows = _interests.decode(response.body).data[::-1]
    return columns(rows, open_interest="base", open_interest_value="usd")


class _Clock(msgspec.Struct):
    ts: int


_clock = msgspec.json.Decoder(Answer[_Clock], strict=False)


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
        spans=SPANS,
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
        dict.fromkeys(FUTURES, _FUNDING_ROWS),
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
