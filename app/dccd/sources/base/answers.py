"""Columns from rows that were read, as most exchanges' answers need them."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from dccd.domain.timeutils import MS_NS


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
