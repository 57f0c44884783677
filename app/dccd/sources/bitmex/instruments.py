"""BitMEX's instruments: https://www.bitmex.com/api/explorer/ (Instrument_getActive) lists what trades."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from dccd.domain.instrument import Instrument
from dccd.domain.symbol import Symbol, currency
from dccd.domain.timeutils import datetime_ns
from dccd.domain.types import InstrumentType, Market
from dccd.sources.base import Listing, Request, Response

_NO_YEAR = 2200  # some are listed then, by what BitMEX says
_TYPES = {
    "IFXXXP": InstrumentType.SPOT,
    "FFCCSX": InstrumentType.FUTURE,
    # Of coins, currencies and shares.
    **dict.fromkeys(("FFWCSX", "FFWCSF", "FFSCSX"), InstrumentType.PERPETUAL),
}


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


LISTING = Listing(Request("rest", "/api/v1/instrument/active"), _instruments)
