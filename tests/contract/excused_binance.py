"""Recorded Binance answers that no parser of ours can be held to, by name, with the reason."""

_EDITED = "edited by hand: the maker flag's name is empty, and all rows are one trade"

EXCUSED = {
    "gct_binance_api_v3_aggTrades_1": _EDITED,
    "gct_binance_api_v3_aggTrades_2": _EDITED,
    "gct_binance_api_v3_aggTrades_4": _EDITED,
    "gct_binance_dapi_v1_fundingInfo_0": "another endpoint (intervals and caps of funding), answered null",
    "gct_binance_fapi_v1_fundingInfo_0": "another endpoint: intervals and caps of funding, not its history",
    "gct_binance_dapi_v1_markPriceKlines_0": "another endpoint: bars of the mark price",
    "gct_binance_dapi_v1_markPriceKlines_1": "another endpoint: bars of the mark price",
    "gct_binance_dapi_v1_openInterest_0": "another endpoint: open interest of now, not its history",
    "gct_binance_fapi_v1_openInterest_0": "another endpoint: open interest of now, not its history",
}

_FILLS = "trades one for each fill (@trade), where we listen to aggregate trades"

EXCUSED_LIVE = {
    "br_binance_mod_0": "two numbers of a level, no message",
    "br_binance_trade_1": _FILLS,
    "br_binance_trade_2": _FILLS,
    "cmp_binance_trade_option_5": "options, which are no market of ours",
    "gct_binance_TestWsTradeUpdate_pressXToJSON_4": _FILLS,
    "gct_binance_wsHandleData_2": _FILLS,
    "hft_cm_btcusd_perp_20240808_trades": _FILLS,
    "hft_spot_btcusdt_20240808_trades": _FILLS,
    "hft_spot_ethusdt_20240808_trades": _FILLS,
    "hft_usdm_btcusdt_20240808_trades": _FILLS,
    "hft_usdm_ethusdt_20240808_trades": _FILLS,
    "nt_binance_trade_stream": _FILLS,
    "tn_binance-delivery_binance_delivery_mes_2": "a snapshot by REST that its recorder put into the stream",
    "tn_binance-delivery_binance_delivery_mes_9": _FILLS,
    "tn_binance-european-options_binance-european-opt_2": "options, which are no market of ours",
    "tn_binance-european-options_binance-european-opt_3": "options, which are no market of ours",
    "tn_binance-futures_binance_futures_mess_1": "of 2019, when the futures' aggregate trades had no id yet",
    "tn_binance-futures_binance_futures_mess_5": _FILLS,
    "tn_binance_binance_messages_1": _FILLS,
    "tn_binance_binance_messages_2": _FILLS,
    "tn_binance_binance_messages_5": "a snapshot by REST that its recorder put into the stream",
}
