"""Recorded OKX answers that no parser of ours can be held to, by name, with the reason."""

_OPTIONS = "options, which are no market of ours"
_SPREADS = "another endpoint: spreads, which are no market of ours"

EXCUSED = {
    "cf_OKX_api-v5-public-instruments-instType-OPTION-uly-BTC-USD": _OPTIONS,
    "nt_okx_http_get_instruments_option": _OPTIONS,
    "nt_okx_http_get_instruments_margin": "the spot pairs again, as they are lent for",
    "nt_okx_http_get_spreads": _SPREADS,
    "nt_okx_http_get_spread_trades": _SPREADS,
    "nt_okx_http_get_candlesticks": "made up: its rows are oldest first, which OKX's never are",
}
