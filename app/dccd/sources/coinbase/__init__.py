"""Coinbase Exchange (Advanced Trade is another API): spot pairs, market data that needs no key.

What was found odd is in ``docs/exchanges/coinbase.md``.
"""

from __future__ import annotations

from dccd.domain.types import Market
from dccd.sources.base import Host, Limit, Source
from dccd.sources.coinbase import live, rest

__all__ = ["COINBASE"]

COINBASE = Source(
    id="coinbase",
    name="Coinbase",
    hosts={
        "spot": Host("https://api.exchange.coinbase.com", "rest_url", rest.CLOCK),
        "live": Host("wss://ws-feed.exchange.coinbase.com", "live_url"),
    },
    host_of={Market.SPOT: "spot"},
    budgets={"spot": Limit(10, window_s=1, unit="requests", rolling=True)},
    capabilities=(*rest.CAPABILITIES, *live.CAPABILITIES),
    listings=(rest.LISTING,),
    history=rest.HISTORY,
    streams=live.STREAMS,
    error=rest.error,
    clock_ns=rest.clock_ns,
)
