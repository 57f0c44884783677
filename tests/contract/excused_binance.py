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
