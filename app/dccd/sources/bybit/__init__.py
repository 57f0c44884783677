"""Bybit: spot, linear (USDT, USDC) and inverse contracts, market data of the V5 API that needs no key.

What was found odd is in ``docs/exchanges/bybit.md``.
"""

from __future__ import annotations

from dccd.domain.types import Market
from dccd.sources.base import Host, Limit, Source
from dccd.sources.bybit import answers, archives, instruments, live, rest

__all__ = ["BYBIT"]

BYBIT = Source(
    id="bybit",
    name="Bybit",
    hosts={
        "rest": Host("https://api.bybit.com", "rest_url", rest.CLOCK),
        "live": Host("wss://stream.bybit.com", "live_url"),
        "archive": Host("https://public.bybit.com", "archive_url"),
    },
    host_of=dict.fromkeys(Market, "rest"),
    # By address (IP), over all of its hosts; nobody says when a window begins.
    budgets={
        "rest": Limit(600, window_s=5, unit="requests", rolling=True),
        # No allowance is told of its files; this is many more than a line can carry.
        "archive": Limit(600, unit="requests", rolling=True),
    },
    capabilities=(*rest.CAPABILITIES, *archives.ARCHIVE_CAPABILITIES, *live.CAPABILITIES),
    listings=instruments.LISTINGS,
    history=rest.HISTORY,
    archives=archives.ARCHIVES,
    streams=live.STREAMS,
    error=answers.error,
    clock_ns=rest.clock_ns,
)
