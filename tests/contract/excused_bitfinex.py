"""Recorded Bitfinex answers that no parser of ours can be held to, by name, with the reason."""

_OLD = "of the API v1, which is another"
_TICKER = "a ticker, which is no data of ours"

EXCUSED = {
    "bbgo_bitfinex_TestClient_0": _TICKER,
    "bbgo_bitfinex_TestExchange_submitOrderAndCancel_2": _TICKER,
    "xc_bitfinex_example-ticker-data": _TICKER,
    "xc_bitfinex_example-marketdepth-lendbook-data": f"{_OLD}; a book of loans",
    "xc_bitfinex_example-trades-data": _OLD,
}
