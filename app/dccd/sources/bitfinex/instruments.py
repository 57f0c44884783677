"""Bitfinex's pairs and contracts, and what its currencies are called elsewhere.

Documentation: https://docs.bitfinex.com/reference/rest-public-conf.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from dccd.domain.instrument import Instrument
from dccd.domain.symbol import Symbol, currency
from dccd.domain.types import InstrumentType, Market
from dccd.sources.base import Listing, Request, Response

_lists = msgspec.json.Decoder(tuple[list[str], list[str], list[tuple[str, str]]])


def _instruments(response: Response) -> Sequence[Instrument]:
    pairs, contracts, names = _lists.decode(response.body)
    return [*_of(Market.SPOT, pairs, dict(names)), *_of(Market.LINEAR, contracts, dict(names))]


def _of(market: Market, pairs: Iterable[str], names: dict[str, str]) -> Iterator[Instrument]:
    is_spot = market is Market.SPOT
    for pair in pairs:
        base, _, quote = pair.partition(":") if ":" in pair else (pair[:3], "", pair[3:])
        codes = [base, quote] if is_spot else [base.removesuffix("F0"), quote.removesuffix("F0")]
        told = [names.get(code, code) for code in codes]
        if any(name.startswith("TEST") for name in codes + told):
            continue  # trading on paper, under the real currencies' names
        symbol = Symbol(currency(told[0]), currency(told[1]), None if is_spot else currency(told[1]))
        yield Instrument(
            exchange="bitfinex",
            symbol=symbol,
            native="t" + pair,
            market=market,
            type=InstrumentType.SPOT if is_spot else InstrumentType.PERPETUAL,
            contract_size=None if is_spot else 1.0,
            lot_size=1e-8,  # prices have five significant digits, which is no step
        )


LISTING = Listing(
    Request(
        "rest", "/v2/conf/pub:list:pair:exchange,pub:list:pair:futures,pub:map:currency:sym", budget="lists"
    ),
    _instruments,
)
