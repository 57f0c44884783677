"""Coinbase Exchange's spot pairs over REST: lists, bars, trades and books that need no key.

Documentation: https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/
(get-product-candles, get-product-trades, get-product-book, get-all-known-trading-pairs), and
https://docs.cdp.coinbase.com/exchange/rest-api/pagination and …/rate-limits. What was found odd is in
``docs/exchanges/coinbase.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from dccd.domain.errors import ExchangeError, ExchangeRefused, ExchangeUnavailable, Throttled
from dccd.domain.instrument import Instrument
from dccd.domain.records import Columns
from dccd.domain.symbol import Symbol, currency
from dccd.domain.timeutils import S_NS, datetime_ns
from dccd.domain.types import DataType, Evidence, InstrumentType, Market
from dccd.sources.base import (
    ByIdBack,
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

_DOCS = "https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/"
_BARS, _TRADES, _LEVELS = ({Market.SPOT: rows} for rows in (300, 1000, 5000))
_SPANS = ("1m", "5m", "15m", "1h", "6h", "1d")
_DEPTHS = (50, 500, 5000)
_OPENED_NS = datetime_ns(datetime(2014, 12, 1, tzinfo=UTC))


def _request(path: str, *query: tuple[str, object]) -> Request:
    return Request("spot", path, tuple((name, str(value)) for name, value in query))


def _of(target: Target, endpoint: str, *query: tuple[str, object]) -> Request:
    return _request(f"/products/{target.instrument.native}/{endpoint}", *query)


# Time and instruments, see get-server-time and get-all-known-trading-pairs


class _Time(msgspec.Struct):
    epoch: Decimal  # seconds


class _Product(msgspec.Struct):
    id: str
    base_currency: str
    quote_currency: str
    status: str
    quote_increment: float
    base_increment: float | None = None
    trading_disabled: bool = False


_products = msgspec.json.Decoder(list[_Product], strict=False)


def _instrument(product: _Product) -> Instrument:
    return Instrument(
        exchange="coinbase",
        symbol=Symbol(currency(product.base_currency), currency(product.quote_currency)),
        native=product.id,
        market=Market.SPOT,
        type=InstrumentType.SPOT,
        active=product.status == "online" and not product.trading_disabled,
        tick_size=product.quote_increment,
        lot_size=product.base_increment,
    )


def _instruments(response: Response) -> Sequence[Instrument]:
    return [_instrument(product) for product in _products.decode(response.body)]


def times_ns(texts: Sequence[str]) -> list[int]:
    """Times as ``2025-08-18T05:57:59.203013541Z``, of no to nine digits after the second."""
    minutes: dict[str, int] = {}
    found = []
    for text in texts:
        minute = text[:17]
        if minute not in minutes:
            minutes[minute] = datetime_ns(datetime.fromisoformat(minute + "00+00:00"))
        if text[-1:] != "Z":
            raise ValueError(f"{text!r} is no time in UTC")
        found.append(minutes[minute] + int((text[17:-1].replace(".", "") + "000000000")[:11]))
    return found


# Bars, see get-product-candles: newest first, none of times without trades


class _Bar(msgspec.Struct, array_like=True, gc=False):
    ts: int
    low: float
    high: float
    open: float
    close: float
    volume: float


_bars = msgspec.json.Decoder(list[_Bar], strict=False)


def _candles(target: Target, start_ns: int, end_ns: int, limit: int) -> Request:
    """Whether the end is included is not documented: a second before it says the same either way."""
    assert target.span is not None
    start, end = (
        datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for moment_s in (-(-start_ns // S_NS), -(-end_ns // S_NS) - 1)
    )
    return _of(target, "candles", ("granularity", target.span.seconds), ("start", start), ("end", end))


def _parse_candles(target: Target, response: Response) -> Columns:
    rows = _bars.decode(response.body)[::-1]
    return columns(rows, "open", "high", "low", "close", "volume", unit_ns=S_NS)


# Trades, see get-product-trades: newest first, those before an id


class _Trade(msgspec.Struct, gc=False):
    time: str
    trade_id: int
    price: float
    size: float
    side: str


_trades = msgspec.json.Decoder(list[_Trade], strict=False)
SIDES = {"buy": "sell", "sell": "buy"}  # theirs is the maker's


def _before(target: Target, stop_id: int, limit: int) -> Request:
    return _of(target, "trades", ("limit", limit), ("after", stop_id))


def _parse_trades(target: Target, response: Response) -> Columns:
    rows = _trades.decode(response.body)[::-1]
    return {
        "ts": times_ns([row.time for row in rows]),
        "price": [row.price for row in rows],
        "amount": [row.size for row in rows],
        "side": [SIDES[row.side] for row in rows],
        "tid_num": [row.trade_id for row in rows],
    }


# Order book, see get-product-book: level 2 is all of it, the orders of a price taken together


class _Book(msgspec.Struct):
    bids: list[tuple[float, float, int]]
    asks: list[tuple[float, float, int]]
    time: str | None = None


_book = msgspec.json.Decoder(_Book, strict=False)


def _parse_book(target: Target, response: Response) -> Columns:
    book = _book.decode(response.body)
    bids, asks = book.bids[: target.depth], book.asks[: target.depth]
    ts_ns = times_ns([book.time])[0] if book.time else None
    return {**levels(bids, asks, ts_ns), "count": [level[2] for level in (*bids, *asks)]}


# Errors


class _Error(msgspec.Struct):
    message: str


def error(response: Response) -> ExchangeError | None:
    """What is wrong with an answer, in Coinbase's words; None when nothing is."""
    status = response.status
    if status < 400 and not response.body.startswith(b'{"message"'):
        return None
    try:
        said = msgspec.json.decode(response.body, type=_Error).message
    except ValueError:  # not JSON, or not even text
        said = ""
    if status < 400 and not said:
        return None
    answer = f"(HTTP {status}{f', {said!r}' if said else ''})."
    if status == 429 or "rate limit" in said.lower():
        named = response.headers.get("retry-after", "")
        wait_s = float(named) if named.isdecimal() else None
        return Throttled(f"Coinbase asked for fewer requests {answer}", wait_s)
    if status >= 500:
        return ExchangeUnavailable(f"Coinbase cannot answer now {answer} Try again later.")
    return ExchangeRefused(f"Coinbase refused the request {answer}", str(status))


HISTORY: Mapping[DataType, History] = {
    DataType.OHLC: ByWindow(
        request=_candles,
        parse=_parse_candles,
        first=lambda target: _before(target, 2, 1),
        # The very first trade, or the exchange's opening where that trade is not served.
        parse_first=lambda target, response: {"ts": _parse_trades(target, response)["ts"] or [_OPENED_NS]},
        rows=_BARS,
        settle_s=300.0,  # as long may an answer be an old one, by its Cache-Control
    ),
    DataType.TRADES: ByIdBack(
        request=_before,
        latest=lambda target: _of(target, "trades", ("limit", 1)),
        parse=_parse_trades,
        rows=1000,
    ),
    DataType.ORDERBOOK: Snapshot(request=lambda target: _of(target, "book", ("level", 2)), parse=_parse_book),
}
CAPABILITIES = (
    historical(DataType.OHLC, _DOCS + "get-product-candles", _BARS, spans=_SPANS, evidence=Evidence.RECORDED),
    historical(DataType.TRADES, _DOCS + "get-product-trades", _TRADES, direction="backward"),
    historical(DataType.ORDERBOOK, _DOCS + "get-product-book", _LEVELS, depths=_DEPTHS, recent=True),
)
LISTING = Listing(_request("/products"), _instruments)
CLOCK = _request("/time")


def clock_ns(response: Response) -> int:
    """The time that `CLOCK` is answered with."""
    return int(msgspec.json.decode(response.body, type=_Time).epoch * S_NS)
