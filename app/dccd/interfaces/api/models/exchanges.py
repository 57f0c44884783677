"""Exchanges and what they list."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dccd.domain.capability import Capability
from dccd.domain.types import DataType, InstrumentType, Market, Transport
from dccd.interfaces.api.models.base import Answer, Request, Text


class Confirmed(Answer):
    """A check on this data folder found rows of this kind to be the same at the exchange."""

    data_type: DataType
    market: Market
    transport: Transport
    dataset: str
    checked_ms: int
    rows: int


class Exchange(Answer):
    """A source, what it declares, and what of that checks on this data folder have confirmed."""

    id: str
    name: str
    capabilities: list[Capability]
    confirmed: list[Confirmed]


class Exchanges(Answer):
    """All sources."""

    exchanges: list[Exchange]


class InstrumentsQuery(Request):
    """Search one exchange's instruments; an empty query lists them."""

    exchange: Text
    query: Annotated[str, Field(max_length=200)] = ""
    market: Market | None = None
    active: bool = True
    limit: Annotated[int, Field(ge=1, le=5000)] = 50


class InstrumentItem(Answer):
    """One contract."""

    symbol: str
    native: str
    market: Market
    type: InstrumentType
    active: bool
    tick_size: float | None
    lot_size: float | None
    listed_ms: int | None
    expiry_ms: int | None


class Instruments(Answer):
    """What was found, closest first; `total` counts what the exchange lists in all."""

    items: list[InstrumentItem]
    total: int


class RefreshRequest(Request):
    """Fetch an exchange's instruments again."""

    exchange: Text


class Refreshed(Answer):
    """How many instruments the exchange lists now."""

    total: int
