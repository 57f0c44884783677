"""Kraken: spot pairs, market data that needs no key; what was found odd is in docs/exchanges/kraken.md."""

from __future__ import annotations

from dccd.domain.types import Market
from dccd.sources.base import Host, Limit, Source
from dccd.sources.kraken import live, rest

__all__ = ["KRAKEN"]

KRAKEN = Source(
    id="kraken",
    name="Kraken",
    hosts={
        "spot": Host("https://api.kraken.com", "rest_url", rest.CLOCK),
        "live": Host("wss://ws.kraken.com", "live_url"),
    },
    host_of={Market.SPOT: "spot"},
    budgets={"spot": Limit(1, window_s=1, unit="requests", rolling=True)},
    capabilities=(*rest.CAPABILITIES, *live.CAPABILITIES),
    listings=(rest.LISTING,),
    history=rest.HISTORY,
    streams=live.STREAMS,
    error=rest.error,
    clock_ns=rest.clock_ns,
)
