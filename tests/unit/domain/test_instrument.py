from __future__ import annotations

from typing import Any

import pytest

from dccd.domain.errors import AmbiguousSymbol, UnknownSymbol
from dccd.domain.instrument import Instrument, InstrumentList
from dccd.domain.symbol import Symbol
from dccd.domain.types import InstrumentType, Market


def made(text: str, native: str, **more: Any) -> Instrument:
    symbol = Symbol.parse(text)
    market = Market.SPOT
    if symbol.settle:
        market = Market.INVERSE if symbol.settle == symbol.base else Market.LINEAR
    kind = InstrumentType.FUTURE if symbol.expiry else InstrumentType.PERPETUAL
    return Instrument("x", symbol, native, market, kind if symbol.settle else InstrumentType.SPOT, **more)


LISTED = InstrumentList(
    "x",
    [
        made("BTC/USDT", "BTCUSDT"),
        made("BTC/USDT:USDT", "BTCUSDT"),
        made("BTC/USDT:USDT-261225", "BTCUSDT_261225"),
        made("BTC/USDT:USDT-261127", "BTCUSDT_261127"),
        made("BTC/USDT:USDT-270326", "BTCUSDT_270326"),
        made("BTC/USDT:USDT-260925", "BTCUSDT_260925", active=False),
        made("BTC/USD:BTC", "BTCUSD_PERP"),
        made("BTC/USD:USDC", "BTCUSDC_PERP"),
        made("WBTC/USDT", "WBTCUSDT"),
        made("币安人生/USDT", "币安人生USDT"),
        made("ADA/USDT", "ADAUSDT", active=False),
    ],
)


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("BTC/USDT", "BTC/USDT"),
        (" btc-usdt ", "BTC/USDT"),
        ("xbt_usdt", "BTC/USDT"),
        ("BTCUSDT", "BTC/USDT"),  # spot, where a native name has two meanings
        ("btcusd_perp", "BTC/USD:BTC"),
        ("BTCUSDT_261225", "BTC/USDT:USDT-261225"),
        ("BTC/USDT:USDT-261225", "BTC/USDT:USDT-261225"),
        ("BTC/USDT:perp", "BTC/USDT:USDT"),
        ("BTC-USDT:PERP", "BTC/USDT:USDT"),
        ("BTC/USDT:quarter", "BTC/USDT:USDT-261225"),
        ("BTC/USDT:next_quarter", "BTC/USDT:USDT-270326"),
        ("币安人生/USDT", "币安人生/USDT"),
        ("ADA/USDT", "ADA/USDT"),
    ],
)
def test_one_contract_by_any_of_its_names(text: str, symbol: str) -> None:
    assert str(LISTED.resolve(text).symbol) == symbol


def test_an_ambiguous_form_is_refused_with_the_choices() -> None:
    with pytest.raises(AmbiguousSymbol, match="Choose one of: BTC/USD:BTC, BTC/USD:USDC") as caught:
        LISTED.resolve("BTC/USD:perp")
    assert caught.value.choices == ("BTC/USD:BTC", "BTC/USD:USDC")


@pytest.mark.parametrize("text", ["BTC/USDD", "nonsense", "", "BTC/USD:quarter", "ADA/USDT:perp"])
def test_an_unknown_one_is_refused(text: str) -> None:
    with pytest.raises(UnknownSymbol):
        LISTED.resolve(text)


def test_a_slip_of_the_pen_is_told_what_was_meant() -> None:
    with pytest.raises(UnknownSymbol, match="Did you mean BTC/USDT"):
        LISTED.resolve("BTC/USTD")


def test_the_one_that_trades_is_kept_of_two_with_one_name() -> None:
    both = [made("A/B", "AB1", active=False), made("A/B", "AB2"), made("A/B", "AB3", active=False)]
    assert InstrumentList("x", both).resolve("A/B").native == "AB2"


def test_search_puts_the_closest_first() -> None:
    found = [str(it.symbol) for it in LISTED.search("btc")]
    assert found[0] == "BTC/USDT"
    assert found[-1] == "WBTC/USDT"
    assert [str(it.symbol) for it in LISTED.search("btc usdt", market=Market.SPOT)] == [
        "BTC/USDT",
        "WBTC/USDT",
    ]
    quotes = InstrumentList("x", [made(f"ETH/{q}", f"ETH{q}") for q in ("AUD", "BRL", "BTC", "USDT")])
    assert [it.symbol.quote for it in quotes.search("eth")] == ["USDT", "BTC", "AUD", "BRL"]
    assert LISTED.search("ada") == []
    assert len(LISTED.search("ada", active_only=False)) == 1
    assert len(LISTED.search("", limit=3)) == 3
