"""What the exchanges offer and list."""

from __future__ import annotations

from dataclasses import replace

from dccd.interfaces.api import convert, models
from dccd.interfaces.api.context import Context
from dccd.interfaces.api.endpoint import endpoint


@endpoint("GET", "/api/exchanges")
async def exchanges(context: Context) -> models.Exchanges:
    """All exchanges with their capabilities; what is not declared is not offered."""
    registry = context.service.registry
    sources = [registry.get(name).source for name in registry.ids()]
    confirmed = await context.service.mending.confirmed()
    return models.Exchanges(exchanges=[convert.exchange(source, confirmed) for source in sources])


@endpoint("GET", "/api/instruments")
async def instruments(context: Context, query: models.InstrumentsQuery) -> models.Instruments:
    """Search an exchange's instruments by unified or native name, the closest first."""
    listed = await context.service.registry.get(query.exchange).instruments()
    found = listed.search(query.query, market=query.market, active_only=query.active, limit=query.limit)
    return models.Instruments(items=[convert.instrument(item) for item in found], total=len(listed))


@endpoint("POST", "/api/instruments/refresh")
async def refresh_instruments(context: Context, body: models.RefreshRequest) -> models.Refreshed:
    """Fetch an exchange's instruments anew."""
    listed = await context.service.registry.get(body.exchange).instruments(refresh=True)
    return models.Refreshed(total=len(listed))


ENDPOINTS = (exchanges, replace(exchanges, path="/api/capabilities"), instruments, refresh_instruments)
