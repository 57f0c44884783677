"""Kraken Futures: linear (multi-collateral) and inverse contracts, market data that needs no key.

What was found odd is in ``docs/exchanges/krakenfutures.md``.
"""

from __future__ import annotations

from dccd.sources.base import Host, Limit, Source
from dccd.sources.krakenfutures import instruments, live, rest

__all__ = ["KRAKENFUTURES"]

KRAKENFUTURES = Source(
    id="krakenfutures",
    name="Kraken Futures",
    hosts={
        "rest": Host("https://futures.kraken.com", "rest_url", rest.CLOCK),
        "live": Host("wss://futures.kraken.com", "live_url"),
    },
    host_of=dict.fromkeys(rest.MARKETS, "rest"),
    # Public requests cost nothing of what is documented: a rate that others keep to.
    budgets={"rest": Limit(5, window_s=1, unit="requests", rolling=True)},
    capabilities=(*rest.CAPABILITIES, *live.CAPABILITIES),
    listings=(instruments.LISTING,),
    history=rest.HISTORY,
    streams=live.STREAMS,
    error=rest.error,
    clock_ns=rest.clock_ns,
)
