"""Recorded Bybit answers that no parser of ours can be held to, by name, with the reason."""

_V2 = "of the V2 API (`ret_code`), switched off in 2024"
_CUT = "its list was cut out of the case; the whole one is among the instrument lists"
_OPTIONS = "options, which are no market of ours"
_OLD = "of the streams before V5, which are switched off"
_ROW = "a row taken out of its message"
_TOPIC = "its topic, trade.linear.BTCUSDT, never was one of Bybit's"

EXCUSED = {
    "cmp_bybit_l2_snapshot_inverse_swap_19": _V2,
    "cmp_bybit_l2_snapshot_linear_swap_20": _V2,
    "cf_BYBIT5_v5-market-instruments-info-category-linear-status-Trading-limit-1000": _CUT,
    "cf_BYBIT5_v5-market-instruments-info-category-spot-status-Trading-limit-1000": _CUT,
    "nt_bybit_http_get_instruments_option": _OPTIONS,
    "nt_bybit_http_get_instruments_option_symbol_id": _OPTIONS,
}

EXCUSED_LIVE = {
    "tn_bybit-options_bybit-options_messag_1": _OPTIONS,
    "tn_bybit-options_bybit-options_messag_2": _OPTIONS,
    "br_bybit_trade_0": _ROW,
    "br_bybit_trade_1": _ROW,
    "br_bybit_trade_2": _ROW,
    "nt_bybit_ws_public_trade": _TOPIC,
    "cf_BYBIT_trades_BCHUSDT": _OLD,
    "cf_BYBIT_trades_EOSUSD": _OLD,
    "cf_BYBIT_trades_LTCUSDT": _OLD,
    "cf_BYBIT_trades_UNIUSDT": _OLD,
    "cf_BYBIT_trades_XTZUSDT": _OLD,
    "tn_bybit-spot_bybit_spot_messages_4": _OLD,
    "tn_bybit_bybit_messages_11": _OLD,
    "tn_bybit_bybit_messages_15": _OLD,
    "tn_bybit_bybit_messages_36": _OLD,
    "tn_bybit_bybit_messages_5": _OLD,
    "cmp_bybit_candlestick_inverse_future_9": _OLD,
    "cmp_bybit_candlestick_inverse_swap_10": _OLD,
    "cf_BYBIT_book_ADAUSDT": _OLD,
    "cf_BYBIT_book_BCHUSDT": _OLD,
    "cf_BYBIT_book_DOTUSDT": _OLD,
    "cf_BYBIT_book_EOSUSD": _OLD,
    "cf_BYBIT_book_LINKUSDT": _OLD,
    "cf_BYBIT_book_XTZUSDT": _OLD,
    "cmp_bybit_l2_orderbook_inverse_future_update_4": _OLD,
    "cmp_bybit_l2_orderbook_inverse_swap_update_6": _OLD,
    "tn_bybit-spot_bybit_spot_messages_1": _OLD,
    "tn_bybit-spot_bybit_spot_messages_2": _OLD,
    "tn_bybit_bybit_messages_10": _OLD,
    "tn_bybit_bybit_messages_18": _OLD,
    "tn_bybit_bybit_messages_19": _OLD,
    "tn_bybit_bybit_messages_20": _OLD,
    "tn_bybit_bybit_messages_21": _OLD,
    "tn_bybit_bybit_messages_23": _OLD,
    "tn_bybit_bybit_messages_35": _OLD,
    "tn_bybit_bybit_messages_4": _OLD,
    "tn_bybit_bybit_messages_9": _OLD,
    "cmp_bybit_l2_orderbook_inverse_swap_snapshot_5": _OLD,
    "tn_bybit-spot_bybit_spot_messages_3": _OLD,
    "tn_bybit_bybit_messages_16": _OLD,
    "tn_bybit_bybit_messages_3": _OLD,
    "tn_bybit_bybit_messages_34": _OLD,
    "cf_BYBIT_25_subscribe_ack_0": _OLD,
    "cf_BYBIT_25_subscribe_ack_2": _OLD,
    "cf_BYBIT_25_session": _OLD,
    "cf_BYBIT_26_session": _OLD,
}
