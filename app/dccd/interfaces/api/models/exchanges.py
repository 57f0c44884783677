"""Exchanges and what they list."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dccd.domain.capability import Capability
from dccd.domain.types import InstrumentType, Market
from dccd.interfaces.api.models.base import Answer, Request, Text


class Exchange(Answer):
    """A source and what it declares."""

    id: str
    name: str
    capabilities: list[Capability]


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
