"""Deribit: spot pairs, linear and inverse contracts, market data of version 2 of its API that needs no key.

What was found odd is in ``docs/exchanges/deribit.md``.
"""

from __future__ import annotations

from dccd.domain.types import Market
from dccd.sources.base import Host, Limit, Source
from dccd.sources.deribit import live, rest

__all__ = ["DERIBIT"]

DERIBIT = Source(
    id="deribit",
    name="Deribit",
    hosts={
        "rest": Host("https://www.deribit.com", "rest_url", rest.CLOCK),
        "history": Host("https://history.deribit.com", "history_url"),
        "live": Host("wss://www.deribit.com", "live_url"),
    },
    host_of=dict.fromkeys(Market, "rest"),
    # What an account has; of those without a key, who are counted by address, no number is told.
    budgets={"rest": Limit(10_000, window_s=1, unit="credits", rolling=True)},
    capabilities=(*rest.CAPABILITIES, *live.CAPABILITIES),
    listings=rest.LISTINGS,
    history=rest.HISTORY,
    streams=live.STREAMS,
    error=rest.error,
    clock_ns=rest.clock_ns,
)
