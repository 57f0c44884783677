"""Recorded Coinbase answers that no parser of ours can be held to, by name, with the reason."""

_ADVANCED = "of Advanced Trade, another API with other fields"

EXCUSED = {
    "cf_COINBASE_AT_api-v3-brokerage-market-products": _ADVANCED,
    "nt_coinbase_http_candles": _ADVANCED,
    "nt_coinbase_http_product_book": _ADVANCED,
    "nt_coinbase_http_products": _ADVANCED,
    "nt_coinbase_http_products_future": _ADVANCED,
}
