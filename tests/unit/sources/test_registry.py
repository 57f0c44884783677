from __future__ import annotations

from types import SimpleNamespace

import pytest

from dccd.domain.errors import UnknownExchange
from dccd.sources.registry import SourceRegistry

REGISTRY = SourceRegistry([SimpleNamespace(id="kraken"), SimpleNamespace(id="binance")])


def test_exchanges_are_found_by_name_in_any_case() -> None:
    assert REGISTRY.get(" Binance ").id == "binance"
    assert REGISTRY.ids() == ["binance", "kraken"]


def test_an_unknown_exchange_is_told_which_there_are() -> None:
    with pytest.raises(UnknownExchange, match=r"no exchange 'mtgox'\. Known: binance, kraken\."):
        REGISTRY.get("mtgox")
