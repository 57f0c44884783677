"""Bitfinex: spot pairs and perpetuals, market data of the API v2 that needs no key.

What was found odd is in ``docs/exchanges/bitfinex.md``.
"""

from __future__ import annotations

from dccd.domain.types import Market
from dccd.sources.base import Host, Limit, Source
from dccd.sources.bitfinex import instruments, live, rest

__all__ = ["BITFINEX"]


def _limit(units: int) -> Limit:
    """By address (IP) and endpoint; nobody says when a minute begins."""
    return Limit(units, unit="requests", host="rest", rolling=True)


BITFINEX = Source(
    id="bitfinex",
    name="Bitfinex",
    hosts={
        "rest": Host("https://api-pub.bitfinex.com", "rest_url", rest.CLOCK),
        "live": Host("wss://api-pub.bitfinex.com", "live_url"),
    },
    host_of=dict.fromkeys((Market.SPOT, Market.LINEAR), "rest"),
    budgets={
        "rest": _limit(30),
        "lists": _limit(90),
        "candles": _limit(30),
        "trades": _limit(15),
        "books": _limit(240),
        "status": _limit(90),
    },
    capabilities=(*rest.CAPABILITIES, *live.CAPABILITIES),
    listings=(instruments.LISTING,),
    history=rest.HISTORY,
    streams=live.STREAMS,
    error=rest.error,
    clock_ns=rest.clock_ns,
)
