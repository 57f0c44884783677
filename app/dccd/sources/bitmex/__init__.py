"""BitMEX: spot pairs, linear, quanto and inverse contracts, market data that needs no key.

What was found odd is in ``docs/exchanges/bitmex.md``.
"""

from __future__ import annotations

from dccd.domain.types import Market
from dccd.sources.base import Host, Limit, Source
from dccd.sources.bitmex import archives, instruments, live, rest

__all__ = ["BITMEX"]

BITMEX = Source(
    id="bitmex",
    name="BitMEX",
    hosts={
        "rest": Host("https://www.bitmex.com", "rest_url", rest.CLOCK),
        "live": Host("wss://ws.bitmex.com", "live_url"),
        "archive": Host("https://s3-eu-west-1.amazonaws.com/public.bitmex.com", "archive_url"),
    },
    host_of=dict.fromkeys(Market, "rest"),
    # A bucket of 30 that is filled again at one in two seconds: it never empties when any minute has 30.
    budgets={
        "rest": Limit(30, window_s=60, unit="requests", rolling=True),
        # No allowance is told of its files; this is many more than a line can carry.
        "archive": Limit(600, unit="requests", rolling=True),
    },
    capabilities=(*rest.CAPABILITIES, *archives.ARCHIVE_CAPABILITIES, *live.CAPABILITIES),
    listings=(instruments.LISTING,),
    history=rest.HISTORY,
    archives=archives.ARCHIVES,
    streams=live.STREAMS,
    error=rest.error,
    clock_ns=rest.clock_ns,
    open_is_previous_close=True,
)
