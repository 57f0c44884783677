"""Which dataset the arguments mean."""

from __future__ import annotations

import pytest

from dccd.interfaces.cli.connection import dataset_of
from dccd.interfaces.cli.parser import build_parser


@pytest.mark.parametrize(
    ("words", "span"),
    [
        (("binance", "BTC/USDT"), "1m"),
        (("binance", "BTC/USDT:USDT", "--type", "open_interest"), "1h"),
        (("Bitfinex", "BTC/USDT:USDT", "--type", "open_interest"), "1m"),  # has no other
        (("bitfinex", "BTC/USDT:USDT", "--type", "open_interest", "--span", "5m"), "5m"),
        (("kraken", "BTC/USD", "--type", "open_interest"), "1h"),  # has none, which is said where it is asked
        (("nowhere", "BTC/USD", "--type", "open_interest"), "1h"),
        (("bitfinex", "BTC/USD", "--type", "trades"), None),
    ],
)
def test_the_span_that_is_left_out(words: tuple[str, ...], span: str | None) -> None:
    assert dataset_of(build_parser().parse_args(["backfill", *words]))["span"] == span
