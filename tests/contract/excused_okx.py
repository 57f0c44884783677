"""Recorded OKX answers that no parser of ours can be held to, by name, with the reason."""

_OPTIONS = "options, which are no market of ours"
_SPREADS = "another endpoint: spreads, which are no market of ours"
_V3 = "of the V3 API, which is switched off"
_OTHER = "of another channel than those we listen to"
_SHORT = "a bar of before 2023, without volume in quote and without `confirm`"
_ARGS = "made up: an answer with `args`, where OKX's has `arg`"
_REQUEST = "a request, not a message"

EXCUSED = {
    "cf_OKX_api-v5-public-instruments-instType-OPTION-uly-BTC-USD": _OPTIONS,
    "nt_okx_http_get_instruments_option": _OPTIONS,
    "nt_okx_http_get_instruments_margin": "the spot pairs again, as they are lent for",
    "nt_okx_http_get_spreads": _SPREADS,
    "nt_okx_http_get_spread_trades": _SPREADS,
    "nt_okx_http_get_candlesticks": "made up: its rows are oldest first, which OKX's never are",
}

EXCUSED_LIVE = {
    "cmp_okx_v3_trade_inverse_future_3": _V3,
    "cmp_okx_v3_trade_inverse_swap_4": _V3,
    "cmp_okx_v3_trade_linear_swap_2": _V3,
    "cmp_okx_v3_trade_option_5": _V3,
    "cmp_okx_v3_trade_option_6": _V3,
    "cmp_okx_v3_trade_spot_0": _V3,
    "tn_okex-futures_okex-futures_message_1": _V3,
    "tn_okex-futures_okex-futures_message_2": _V3,
    "tn_okex-swap_okex-swap_messages_1": _V3,
    "tn_okex-swap_okex-swap_messages_7": _V3,
    "tn_okex_okex_messages_1": _V3,
    "tn_okex_okex_messages_5": _V3,
    "tn_okex-futures_okex-futures_message_9": _V3,
    "tn_okex-options_okex-options_message_2": _V3,
    "tn_okex-options_okex-options_message_8": _V3,
    "tn_okex-swap_okex-swap_messages_2": _V3,
    "tn_okex-swap_okex-swap_messages_6": _V3,
    "cmp_okx_v3_l2_event_linear_future_snapshot_11": _V3,
    "cmp_okx_v3_l2_event_spot_snapshot_9": _V3,
    "tn_okex-futures_okex-futures_message_13": _V3,
    "tn_okex-options_okex-options_message_1": _V3,
    "tn_okex_okex_messages_2": _V3,
    "gct_okx__Options_Trades_30": _OTHER,
    "gct_okx__Public_Struct_Block_Trades_37": _OTHER,
    "gct_okx_TestWsProcessOrderbook5_ob5payload_55": _OTHER,
    "gct_okx__Public_Block_Trades_31": _OPTIONS,
    "tn_okex-options_okex-options_message_29": _OPTIONS,
    "cmp_okx_candlestick_option_31": _OPTIONS,
    "tn_okex-options_okex-options_message_23": _OPTIONS,
    "tn_okex-spreads_okex-spreads_message_1": _SPREADS,
    "gct_okx_TestBusinessWSCandleSubscriptions_processSpreadOrderbookJSON_64": _SPREADS,
    "gct_okx_TestBusinessWSCandleSubscriptions_wsProcessPublicSpreadTradesJSON_65": _SPREADS,
    "gct_okx__okxSpreadPublicTickerJSON_66": _SPREADS,
    "tn_okex-spreads_okex-spreads_message_2": _SPREADS,
    "cmp_okx_candlestick_inverse_future_27": _SHORT,
    "cmp_okx_candlestick_inverse_swap_29": _SHORT,
    "cmp_okx_candlestick_spot_26": _SHORT,
    "gct_okx_TestPushDataDynamic_Candlesticks_51": _SHORT,
    "br_okx_subscription_0": _ARGS,
    "xc_stream-okex_okex-ws-tickers-unsubscribe": _REQUEST,
}
