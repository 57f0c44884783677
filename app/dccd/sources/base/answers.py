"""Columns from rows that were read, as most exchanges' answers need them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from operator import attrgetter

from dccd.domain.timeutils import MS_NS
from dccd.domain.types import Market
from dccd.sources.base.requests import Target

_FINEST = 10**8  # no number of contracts is finer


def columns(
    rows: Sequence[object], *names: str, ts: str = "ts", unit_ns: int = MS_NS, **renamed: str
) -> dict[str, Sequence[object]]:
    """One column for each attribute of the rows that is named.

    Parameters
    ----------
    names
        Attributes that have their column's name.
    ts, unit_ns
        Attribute that is the time, whole, and its unit.
    renamed
        Attributes by their column's name.
    """
    found: dict[str, Sequence[object]] = {"ts": [moment * unit_ns for moment in map(attrgetter(ts), rows)]}
    for column, attribute in (*((name, name) for name in names), *renamed.items()):
        found[column] = list(map(attrgetter(attribute), rows))
    return found


def levels(
    bids: Sequence[Sequence[float]], asks: Sequence[Sequence[float]], ts_ns: int | None = None
) -> dict[str, Sequence[object]]:
    """A book's columns from its levels, each beginning with price and amount; `ts_ns` where it is told."""
    every = [*bids, *asks]
    found: dict[str, Sequence[object]] = {
        "side": ["bid"] * len(bids) + ["ask"] * len(asks),
        "price": [level[0] for level in every],
        "amount": [level[1] for level in every],
    }
    return found if ts_ns is None else {"ts": [ts_ns] * len(every), **found}


def contract_worth(target: Target) -> Decimal:
    """What numbers of contracts are multiplied by to be in base; one where they stay as given."""
    size = target.instrument.contract_size
    return Decimal(1 if target.instrument.market is Market.INVERSE or size is None else str(size)).normalize()


def in_base(target: Target, contracts: Sequence[float]) -> Sequence[float]:
    """Numbers of contracts in base, to the nearest number.

    Of inverse contracts as given, since what they are worth in base depends on the price; likewise where a
    contract's size is not known.
    """
    size = contract_worth(target)
    if size == 1:
        return contracts
    # In whole numbers: 3 * 0.1 is 0.30000000000000004, and what is meant is the number nearest to 0.3.
    exact = Fraction(size) / _FINEST
    worth, parts = exact.numerator, exact.denominator
    return [round(count * _FINEST) * worth / parts for count in contracts]
