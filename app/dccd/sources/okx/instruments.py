"""OKX's lists of what it trades: https://www.okx.com/docs-v5/en/#public-data-rest-api-get-instruments."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dccd.domain.instrument import Instrument
from dccd.domain.symbol import Symbol, currency
from dccd.domain.timeutils import MS_NS, ns_datetime
from dccd.domain.types import InstrumentType, Market
from dccd.sources.base import Listing, Request, Response
from dccd.sources.okx.answers import Answer

FUTURES = (Market.LINEAR, Market.INVERSE)


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


_instruments = msgspec.json.Decoder(Answer[_Listed])


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


LISTINGS = (
    _listing("SPOT", InstrumentType.SPOT),
    _listing("SWAP", InstrumentType.PERPETUAL),
    _listing("FUTURES", InstrumentType.FUTURE),
)
