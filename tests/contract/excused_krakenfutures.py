"""Recorded answers of Kraken Futures that no parser of ours can be held to, by name, with the reason."""

EXCUSED = {
    "nt_kraken_http_futures_candles_spot": "an index's prices, which are no trades",
}
