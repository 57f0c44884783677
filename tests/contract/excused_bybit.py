"""Recorded Bybit answers that no parser of ours can be held to, by name, with the reason."""

_V2 = "of the V2 API (`ret_code`), switched off in 2024"
_CUT = "its list was cut out of the case; the whole one is among the instrument lists"
_OPTIONS = "options, which are no market of ours"

EXCUSED = {
    "cmp_bybit_l2_snapshot_inverse_swap_19": _V2,
    "cmp_bybit_l2_snapshot_linear_swap_20": _V2,
    "cf_BYBIT5_v5-market-instruments-info-category-linear-status-Trading-limit-1000": _CUT,
    "cf_BYBIT5_v5-market-instruments-info-category-spot-status-Trading-limit-1000": _CUT,
    "nt_bybit_http_get_instruments_option": _OPTIONS,
    "nt_bybit_http_get_instruments_option_symbol_id": _OPTIONS,
}
