"""Recorded Coinbase answers that no parser of ours can be held to, by name, with the reason."""

_ADVANCED = "of Advanced Trade, another API with other fields"

EXCUSED = {
    "cf_COINBASE_AT_api-v3-brokerage-market-products": _ADVANCED,
    "nt_coinbase_http_candles": _ADVANCED,
    "nt_coinbase_http_product_book": _ADVANCED,
    "nt_coinbase_http_products": _ADVANCED,
    "nt_coinbase_http_products_future": _ADVANCED,
}

EXCUSED_LIVE = {
    "cf_COINBASE_AT_2_heartbeat_0": _ADVANCED,
    "cf_COINBASE_AT_2_heartbeat_1": _ADVANCED,
    "cf_COINBASE_AT_2_heartbeat_2": _ADVANCED,
    "cf_COINBASE_AT_2_session": _ADVANCED,
    "cf_COINBASE_AT_2_subscribe_ack_0": _ADVANCED,
    "cf_COINBASE_AT_2_subscribe_ack_1": _ADVANCED,
    "cf_COINBASE_AT_ohlcv_BTC-USD": _ADVANCED,
    "cf_COINBASE_AT_ohlcv_ETH-USD": _ADVANCED,
    "cf_COINBASE_AT_trades_ETH-USD": _ADVANCED,
    "cmp_coinbase_pro__ticker_4": "a ticker, which we do not listen to",
    "cmp_coinbase_pro__trade_0": "the last trade before a subscription, which is passed over",
    "gct_coinbase_TestWsHandleData_mockJSON_16": _ADVANCED,
    "gct_coinbase__mockJSON_18": _ADVANCED,
    "gct_coinbase__mockJSON_19": _ADVANCED,
    "nt_coinbase_ws_candles": _ADVANCED,
    "nt_coinbase_ws_l2_data_update": _ADVANCED,
    "nt_coinbase_ws_subscriptions": _ADVANCED,
    "nt_coinbase_ws_user": _ADVANCED,
}
