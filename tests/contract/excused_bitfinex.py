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

_OWN = "one's own trades, of a channel that needs a key"
_PARSED = "not Bitfinex's, but what a client made of it"

EXCUSED_LIVE = {
    "bbgo_bitfinex_ws_book_fUST_P0": "a book of loans",
    "gct_bitfinex_TestWSOrderBook_pressXToJSON_4": "a book of single orders (R0), which is not asked for",
    "gct_bitfinex_TestWSAllTrades__12": _PARSED,
    "gct_bitfinex_TestWSAllTrades__7": _PARSED,
    "gct_bitfinex_TestWSAllTrades__8": _PARSED,
    "gct_bitfinex_TestWSAllTrades__9": _PARSED,
    "gct_bitfinex_wsAllTrades_4": "a loan made",
    "xc_stream-bitfinex_preTrade": _OWN,
    "xc_stream-bitfinex_trade": _OWN,
}
