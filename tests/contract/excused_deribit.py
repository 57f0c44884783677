"""Recorded answers and messages of Deribit that our parsers cannot be held to, by name, with the reason."""

EXCUSED = {
    "gct_deribit_TestGetBookSummaryByCurrency__1": "a summary of a book, which is no list of instruments",
    "nt_deribit_http_get_combos": "combinations by their legs, from another method",
    "nt_deribit_http_get_instrument": "one instrument alone, from another method",
    "nt_deribit_http_get_instrument_option": "one option alone, from another method",
    "xc_deribit_example-orderbook": "a book of version 1, among lists of instruments",
}
EXCUSED_LIVE = {
    "tn_deribit_deribit_messages_2": "a quote, no answer to a subscription",
    "tn_deribit_deribit_messages_3": "of 2019, when messages of a book did not say what they were",
    "tn_deribit_deribit_messages_4": "of 2019, when messages of a book did not say what they were",
}
