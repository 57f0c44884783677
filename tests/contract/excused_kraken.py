"""Recorded Kraken answers that no parser of ours can be held to, by name, with the reason."""

_FUTURES = "of Kraken Futures, an exchange of its own here"

EXCUSED = {
    "cmp_kraken_l2_snapshot_inverse_future_19": _FUTURES,
    "gct_kraken_TestGetFuturesErr__45": _FUTURES,
    "gct_kraken_TestGetFuturesTrades_futures_error_response_13": _FUTURES,
    "gct_kraken_TestGetFuturesTrades_populated_response_10": _FUTURES,
}
