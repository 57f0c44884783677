"""Bybit's lists of what it trades.

Documentation: https://bybit-exchange.github.io/docs/v5/market/instrument.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dccd.domain.instrument import Instrument
from dccd.domain.symbol import Symbol, currency
from dccd.domain.timeutils import MS_NS, ns_datetime
from dccd.domain.types import InstrumentType, Market
from dccd.sources.base import Listing, Request, Response
from dccd.sources.bybit.answers import Answer, Page

FUTURES = (Market.LINEAR, Market.INVERSE)


class _Steps(msgspec.Struct):
    tickSize: float | None = None
    qtyStep: float | None = None
    basePrecision: float | None = None


class _Listed(msgspec.Struct):
    symbol: str
    baseCoin: str
    quoteCoin: str
    status: str
    priceFilter: _Steps
    lotSizeFilter: _Steps
    contractType: str = ""
    settleCoin: str = ""
    launchTime: int = 0
    deliveryTime: int = 0


_instruments = msgspec.json.Decoder(Answer[Page[_Listed]], strict=False)


def _instrument(market: Market, row: _Listed) -> Instrument:
    spot, dated = market is Market.SPOT, row.contractType.endswith("Futures")
    expiry_ns = row.deliveryTime * MS_NS if dated else None  # of perpetuals it is when they were delisted
    settle = None if spot else currency(row.settleCoin)
    expiry = None if expiry_ns is None else f"{ns_datetime(expiry_ns):%y%m%d}"
    return Instrument(
        exchange="bybit",
        symbol=Symbol(currency(row.baseCoin), currency(row.quoteCoin), settle, expiry),
        native=row.symbol,
        market=market,
        type=InstrumentType.SPOT if spot else InstrumentType.FUTURE if dated else InstrumentType.PERPETUAL,
        active=row.status == "Trading",
        contract_size=None if spot else 1.0,  # amounts are in base (linear) or USD (inverse)
        tick_size=row.priceFilter.tickSize,
        lot_size=row.lotSizeFilter.basePrecision if spot else row.lotSizeFilter.qtyStep,
        listed_ns=row.launchTime * MS_NS or None,
        expiry_ns=expiry_ns,
    )


def _listing(market: Market, status: str) -> Listing:
    """A market's instruments in one state; unasked, only those that trade are listed."""
    query = (("category", str(market)), ("status", status), ("limit", "1000"))
    request = Request("rest", "/v5/market/instruments-info", query)

    def instruments(response: Response) -> Sequence[Instrument]:
        return [_instrument(market, row) for row in _instruments.decode(response.body).result.rows]

    def more(response: Response) -> Request | None:
        cursor = _instruments.decode(response.body).result.nextPageCursor
        return Request(request.host, request.path, (*query, ("cursor", cursor))) if cursor else None

    return Listing(request, instruments, more=more)


LISTINGS = (
    _listing(Market.SPOT, "Trading"),
    *(_listing(market, "Trading") for market in FUTURES),
    *(_listing(market, "PreLaunch") for market in FUTURES),
    *(_listing(market, "Delivering") for market in FUTURES),
    *(_listing(market, "Closed") for market in FUTURES),
)
