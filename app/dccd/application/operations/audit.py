"""Bars made from stored trades beside the exchange's own: where the two do not agree."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from pydantic import BaseModel, ConfigDict

from dccd.application.operations.bars import Bar, BarRules, whole_bars
from dccd.application.operations.compare import DIFFERENCES_MAX
from dccd.application.operations.derive import bar_rules, bars_between, paired, stored_bars, trades_of
from dccd.application.operations.plan import Registry
from dccd.application.operations.read import check_bounds
from dccd.application.operations.recorded import Told
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import InvalidRange, UsageError
from dccd.domain.timeutils import MAX_NS, MS_NS, iso
from dccd.domain.types import DataType
from dccd.storage.store import Store

# How far sums may be apart, relative to the exchange's. Ours are the exact sums of the nearest floats, hence
# right to 5 × 2^-53; exchanges round each trade's turnover to the digits that they keep.
SUM_TOLERANCE = 1e-9

_SUMS = ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume")
_EXACT = ("open", "high", "low", "close", "trades")


class AuditParams(BaseModel):
    """What an audit looks at: ``[start_ns, end_ns)``, None without bound."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start_ns: int | None = None
    end_ns: int | None = None


class AuditDifference(BaseModel):
    """One field of one bar, or a bar that only one side has.

    Attributes
    ----------
    ts : str
        The bar's open time, ISO-8601.
    field : str or None
        None for a whole bar.
    derived, stored : float or None
        What the trades make, and what the exchange says; of a whole bar its volume, None where there is none.
    relative : float or None
        How far apart they are, relative to the exchange's value; None where that is zero or missing.
    """

    ts: str
    field: str | None
    derived: float | None
    stored: float | None
    relative: float | None


class AuditResult(BaseModel):
    """What an audit found.

    Attributes
    ----------
    ranges : list of (int, int)
        What was compared, milliseconds: whole bars that both the trades and the bars cover, and that the
        exchange itself made.
    equal, differing, derived_only, stored_only, without_trades : int
        Bars, and what they were. A stored bar without volume where there was no trade is `without_trades`:
        some exchanges write such bars and others leave them out, and the two say the same.
    fields : dict
        By field, in how many bars it differed.
    differences : list of AuditDifference
        The first thousand.
    tolerance : float
        Relative, for volumes; prices and counts are compared bit for bit.
    passed : bool
        Whether there were bars to compare, and no difference.
    """

    dataset: str
    trades: str
    ranges: list[tuple[int, int]] = []
    equal: int = 0
    differing: int = 0
    derived_only: int = 0
    stored_only: int = 0
    without_trades: int = 0
    fields: Counter[str] = Counter()
    differences: list[AuditDifference] = []
    tolerance: float = SUM_TOLERANCE
    passed: bool = False


def auditable(bars: DatasetId, params: AuditParams) -> None:
    """Refuse what cannot be audited.

    Raises
    ------
    UsageError
        They are no bars.
    InvalidRange
        The range ends before it starts.
    """
    if bars.data_type is not DataType.OHLC:
        raise UsageError(f"{bars} cannot be audited: only bars can be made from trades and compared.")
    check_bounds(params.start_ns, params.end_ns)


async def audit(
    bars: DatasetId, params: AuditParams, *, registry: Registry, store: Store, told: Told
) -> dict[str, Any]:
    """Make bars of the stored trades, keep none of them, and compare them with those that are stored.

    Nulls are compared with nothing: they say that the value is not known. Where the exchange's bars open at
    the close before, that is the last trade before, and of the first bar of a stretch it is not known.

    Returns
    -------
    dict
        The fields of :class:`AuditResult`.

    Raises
    ------
    UnknownDataset
        There are no such bars, or no trades.
    InvalidRange
        There is no bar in the range that both cover.
    """
    rules = await bar_rules(bars, registry)
    chained = registry.get(bars.exchange).source.open_is_previous_close
    return await asyncio.to_thread(_audit, bars, params, rules, store, told, chained=chained)


def _audit(
    bars: DatasetId, params: AuditParams, rules: BarRules, store: Store, told: Told, *, chained: bool
) -> dict[str, Any]:
    assert bars.span is not None
    trades = trades_of(bars)
    store.info(bars)
    store.info(trades)
    both = whole_bars(store.coverage(trades).covered, bars.span) & store.coverage(bars).covered
    both = (both - store.derivations.time(bars)).clip(params.start_ns or 0, params.end_ns or MAX_NS)
    both = whole_bars(both, bars.span)
    if not both:
        raise InvalidRange(
            f"There is nothing to compare: no bar of {bars} that came from the exchange is covered whole by "
            f"{trades}. Download trades of a stretch of the bars."
        )
    result = AuditResult(dataset=str(bars), trades=str(trades))
    total = sum(bars.span.count(*interval) for interval in both)
    done = 0
    for interval in both:
        made = (bar for bar in bars_between(store, trades, bars.span, rules, interval) if bar is not None)
        close: float | None = None
        for ours, theirs in paired(made, stored_bars(store, bars, interval)):
            if ours is None:
                _compare(result, None, theirs, None)
            else:
                _compare(result, ours, theirs, close if chained else ours.open)
                close = ours.close
            if told.stopped():
                return result.model_dump(mode="json")
        result.ranges.append((interval.start_ns // MS_NS, -(-interval.end_ns // MS_NS)))
        done += bars.span.count(*interval)
        told.progress(done, total, "bars", rows=result.equal + result.differing)
    result.passed = result.equal > 0 and not (result.differing or result.derived_only or result.stored_only)
    told.log(
        f"{result.equal:,} bars equal, {result.differing:,} differ, {result.derived_only:,} only from "
        f"trades, {result.stored_only:,} only at the exchange, {result.without_trades:,} without trades."
    )
    return result.model_dump(mode="json")


def _compare(result: AuditResult, ours: Bar | None, theirs: Bar | None, opens: float | None) -> None:
    """One bar; `opens` is where the exchange's should open, None when that is not known."""
    if ours is not None and theirs is not None:
        made = ours._asdict() | {"open": opens}
        found = [
            AuditDifference(
                ts=iso(ours.ts), field=name, derived=mine, stored=other, relative=_relative(mine, other)
            )
            for name in (*_EXACT, *_SUMS)
            if _differ(name, mine := made[name], other := getattr(theirs, name))
        ]
        result.equal += not found
        result.differing += bool(found)
        result.fields.update(item.field for item in found if item.field is not None)
    elif theirs is not None and theirs.volume == 0:
        result.without_trades += 1
        return
    else:
        bar = ours or theirs
        assert bar is not None
        derived, stored = (None if bar is None else bar.volume for bar in (ours, theirs))
        found = [AuditDifference(ts=iso(bar.ts), field=None, derived=derived, stored=stored, relative=None)]
        result.derived_only += theirs is None
        result.stored_only += ours is None
    result.differences += found[: DIFFERENCES_MAX - len(result.differences)]


def _differ(name: str, ours: float | None, theirs: float | None) -> bool:
    if ours is None or theirs is None:
        return False
    if name in _EXACT:
        return ours != theirs
    return abs(ours - theirs) > SUM_TOLERANCE * abs(theirs)


def _relative(ours: float, theirs: float) -> float | None:
    return (ours - theirs) / theirs if theirs else None
