"""ccxt, another client of these exchanges, asks a stand-in: ``python -m tests.contract.ccxt_client ID URL``.

In a process of its own, as ccxt is in no environment but the one for this. Prints what it read as JSON.
"""

import json
import re
import sys
from typing import Any

import ccxt

_OTHER_NAMES = {"coinbase": "coinbaseexchange"}
_OPTIONS: dict[str, dict[str, Any]] = {
    "binance": {"fetchMarkets": {"types": ["spot", "linear", "inverse"]}},
    "bybit": {"fetchMarkets": {"types": ["spot", "linear", "inverse"]}},
    "okx": {"fetchMarkets": {"types": ["spot", "swap", "future"]}},
}


def client(exchange: str, url: str) -> Any:
    """A client whose every address is the stand-in's."""

    def moved(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: moved(each) for name, each in value.items()}
        return re.sub(r"^https?://[^/]+", url, value) if isinstance(value, str) else value

    name = _OTHER_NAMES.get(exchange, exchange)
    made = getattr(ccxt, name)({"options": _OPTIONS.get(exchange, {}), "enableRateLimit": True})
    made.urls["api"] = moved(made.urls["api"])
    made.has["fetchCurrencies"] = False
    return made


def main() -> None:
    """Ask for all that is checked."""
    exchange, url, symbol, span = sys.argv[1:5]
    asked = client(exchange, url)
    markets = asked.load_markets()
    bars = asked.fetch_ohlcv(symbol, span, limit=50)
    trades = asked.fetch_trades(symbol, limit=50)
    book = asked.fetch_order_book(symbol)
    found = {
        "markets": {name: market["id"] for name, market in markets.items()},
        "bars": bars,
        "trades": [{key: trade[key] for key in ("id", "price", "amount", "side")} for trade in trades],
        "bids": [level[:2] for level in book["bids"]],
        "asks": [level[:2] for level in book["asks"]],
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
