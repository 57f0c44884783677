"""OKX: spot, linear and inverse contracts, market data of the V5 API that needs no key.

What was found odd is in ``docs/exchanges/okx.md``.
"""

from __future__ import annotations

from dccd.domain.types import Market
from dccd.sources.base import Host, Limit, Source
from dccd.sources.okx import answers, archives, instruments, live, rest

__all__ = ["OKX"]


def _limit(units: int) -> Limit:
    """By address (IP) and endpoint, some by instrument too; nobody says when a window begins."""
    return Limit(units, window_s=2, unit="requests", host="rest", rolling=True)


OKX = Source(
    id="okx",
    name="OKX",
    hosts={
        "rest": Host("https://www.okx.com", "rest_url", rest.CLOCK),
        "live": Host("wss://ws.okx.com:8443", "live_url"),
        "archive": Host("https://static.okx.com", "archive_url"),
    },
    host_of=dict.fromkeys(Market, "rest"),
    budgets={
        "rest": _limit(10),
        "candles": _limit(20),
        "trades": _limit(20),
        "books": _limit(40),
        "funding": _limit(10),
        "open interest": _limit(10),
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
