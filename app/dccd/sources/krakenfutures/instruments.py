"""Kraken Futures' instruments: https://docs.kraken.com/api-reference/instrument-details/get-instruments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from dccd.domain.instrument import Instrument
from dccd.domain.symbol import Symbol, currency
from dccd.domain.timeutils import datetime_ns
from dccd.domain.types import InstrumentType, Market
from dccd.sources.base import Listing, Request, Response

_LINEAR = ("flexible_futures", "futures_vanilla")


class _Listed(msgspec.Struct):
    symbol: str
    type: str
    tradeable: bool
    tickSize: float | None = None
    contractSize: float = 1.0
    contractValueTradePrecision: int = 0
    base: str = ""  # not told before 2022
    quote: str = ""
    lastTradingTime: datetime | None = None
    openingDate: datetime | None = None
    isExpired: bool = False


class _Listing(msgspec.Struct):
    instruments: list[_Listed]


_listing = msgspec.json.Decoder(_Listing)


def _instrument(row: _Listed) -> Instrument:
    """Linear contracts take collateral of many kinds; what they gain and lose is counted in quote."""
    pair, expiry = row.symbol.split("_")[1], row.lastTradingTime
    base, quote = currency(row.base or pair[:-3]), currency(row.quote or pair[-3:])
    linear = row.type in _LINEAR
    return Instrument(
        exchange="krakenfutures",
        symbol=Symbol(base, quote, quote if linear else base, f"{expiry:%y%m%d}" if expiry else None),
        native=row.symbol,
        market=Market.LINEAR if linear else Market.INVERSE,
        type=InstrumentType.FUTURE if expiry else InstrumentType.PERPETUAL,
        active=row.tradeable and not row.isExpired,
        contract_size=row.contractSize,
        tick_size=row.tickSize,
        lot_size=float(f"1e{-row.contractValueTradePrecision}"),
        listed_ns=datetime_ns(row.openingDate) if row.openingDate else None,
        expiry_ns=datetime_ns(expiry) if expiry else None,
    )


def _instruments(response: Response) -> Sequence[Instrument]:
    rows = _listing.decode(response.body).instruments
    return [_instrument(row) for row in rows if row.type in (*_LINEAR, "futures_inverse")]


LISTING = Listing(Request("rest", "/derivatives/api/v3/instruments"), _instruments)
