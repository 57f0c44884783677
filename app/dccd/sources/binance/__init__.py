"""Binance: spot, USDⓈ-M (linear) and COIN-M (inverse) futures, market data that needs no key.

Documentation: https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints
and https://developers.binance.com/docs/derivatives/ (usds-margined-futures, coin-margined-futures); the page
of each endpoint, and what was found odd, is in ``docs/exchanges/binance.md``.
"""

from __future__ import annotations

from dccd.domain.capability import Capability
from dccd.domain.types import DataType, Evidence, Market, Mode, Transport
from dccd.sources.base import Host, Source, archived
from dccd.sources.binance import live
from dccd.sources.binance.archives import ARCHIVE_DOCS, ARCHIVE_SPANS, ARCHIVES, INTEREST_SPANS
from dccd.sources.binance.common import BUDGETS, FUTURES_SPANS, HOST, clock_ns, error, host, listing
from dccd.sources.binance.histories import (
    BAR_ROWS,
    FUNDING_ROWS,
    FUTURES_DEPTHS,
    HISTORY,
    INTEREST_ROWS,
    TRADE_ROWS,
)

_DOCS = "https://developers.binance.com/docs/"
_SPOT_DOCS = _DOCS + "binance-spot-api-docs/rest-api/market-data-endpoints"
_OI_DOCS = _DOCS + "derivatives/usds-margined-futures/market-data/rest-api/Open-Interest-Statistics"
_FUNDING_DOCS = _DOCS + "derivatives/usds-margined-futures/market-data/rest-api/Get-Funding-Rate-History"

_OI_SPANS = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")
_FUTURES = (Market.LINEAR, Market.INVERSE)
_LOOKBACK_S = 30 * 86_400
_ALL = tuple(Market)


def _capability(data_type: DataType, docs: str, **more: object) -> Capability:
    fields = {
        "transport": Transport.REST,
        "mode": Mode.HISTORICAL,
        "evidence": Evidence.RECORDED,
        "docs": docs,
    }
    return Capability.model_validate({"data_type": data_type, **fields, **more})


BINANCE = Source(
    id="binance",
    name="Binance",
    hosts={
        "spot": host(Market.SPOT, "https://api.binance.com", "rest_url"),
        "linear": host(Market.LINEAR, "https://fapi.binance.com", "futures_url"),
        "inverse": host(Market.INVERSE, "https://dapi.binance.com", "delivery_url"),
        "archive": Host("https://data.binance.vision", "archive_url"),
        **live.HOSTS,
    },
    host_of=HOST,
    budgets=BUDGETS,
    capabilities=(
        _capability(
            DataType.OHLC,
            _SPOT_DOCS + "#klinecandlestick-data",
            markets=_ALL,
            rows_max=BAR_ROWS,
            direction="forward",
            spans={Market.SPOT: ("1s", *FUTURES_SPANS), **dict.fromkeys(_FUTURES, FUTURES_SPANS)},
        ),
        _capability(
            DataType.TRADES,
            _SPOT_DOCS + "#compressedaggregate-trades-list",
            markets=_ALL,
            rows_max=dict.fromkeys(_ALL, TRADE_ROWS),
            direction="forward",
        ),
        _capability(
            DataType.ORDERBOOK,
            _SPOT_DOCS + "#order-book",
            markets=_ALL,
            history="recent",
            rows_max={Market.SPOT: 5000, Market.LINEAR: 1000, Market.INVERSE: 1000},
            depths=(*FUTURES_DEPTHS, 5000),
        ),
        _capability(
            DataType.FUNDING,
            _FUNDING_DOCS,
            markets=_FUTURES,
            rows_max=dict.fromkeys(_FUTURES, FUNDING_ROWS),
            direction="forward",
        ),
        _capability(
            DataType.OPEN_INTEREST,
            _OI_DOCS,
            markets=_FUTURES,
            history="recent",
            lookback_s=_LOOKBACK_S,
            rows_max=INTEREST_ROWS,
            direction="forward",
            spans=dict.fromkeys(_FUTURES, _OI_SPANS),
        ),
        archived(
            DataType.OHLC,
            ARCHIVE_DOCS,
            _ALL,
            spans={Market.SPOT: ("1s", *ARCHIVE_SPANS), **dict.fromkeys(_FUTURES, ARCHIVE_SPANS)},
        ),
        archived(DataType.TRADES, ARCHIVE_DOCS, _ALL),
        archived(
            DataType.OPEN_INTEREST, ARCHIVE_DOCS, _FUTURES, spans=dict.fromkeys(_FUTURES, INTEREST_SPANS)
        ),
        *live.CAPABILITIES,
    ),
    listings=(listing(Market.SPOT, 20), listing(Market.LINEAR, 1), listing(Market.INVERSE, 1)),
    history=HISTORY,
    streams=live.STREAMS,
    error=error,
    clock_ns=clock_ns,
    archives=ARCHIVES,
)
