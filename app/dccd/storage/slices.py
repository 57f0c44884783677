"""Merging any number of sources of rows in bounded memory: slice by slice of time.

A unit is rows that are cheap to know about (count, first and last timestamp) and dear to load: a row group of
a file, a frame of a journal. Time is cut where few units are cut, until a slice has a bounded number of rows.
Cuts lie on whole seconds, so that a trade whose timestamp differs below that between two observations is
still met in one slice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute

from dccd.domain.coverage import IntervalSet
from dccd.domain.timeutils import US_NS
from dccd.domain.types import DataType
from dccd.storage.epochs import NOTHING_REPLACED, Replaced
from dccd.storage.merge import Part, merge

pc: Any = pyarrow.compute  # its stubs refuse much of what the kernels take

SLICE_ROWS = 1 << 17
_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """Rows not loaded yet.

    Attributes
    ----------
    min_us, max_us : int
        First and last timestamp, microseconds, both inclusive.
    rows : int
    load : callable
        Gives the rows; called again for each slice they reach into.
    observation : object
        See :class:`dccd.storage.merge.Part`.
    epoch : int
        Of the rows, where `replaced` says no other.
    replaced : Replaced
        Where rows of smaller epochs, in whichever unit, are dead.
    """

    min_us: int
    max_us: int
    rows: int
    load: Callable[[], pa.Table]
    observation: object
    epoch: int = 0
    replaced: Replaced = NOTHING_REPLACED


class _TooMany(Exception):
    """A slice has far more rows than were expected of it."""


def merged(
    data_type: DataType, units: Sequence[Unit], start_us: int, end_us: int, slice_rows: int = SLICE_ROWS
) -> Iterator[pa.Table]:
    """Rows of ``[start_us, end_us)`` once each and in file order, a slice of time at a time.

    Raises
    ------
    CorruptFile
        A unit cannot be loaded.
    """
    inside = [unit for unit in _living(units) if unit.min_us < end_us and unit.max_us >= start_us]
    if inside:
        low = max(start_us, min(unit.min_us for unit in inside))
        high = min(end_us, max(unit.max_us for unit in inside) + 1)
        yield from _merged(data_type, inside, low, high, slice_rows, {})


def _living(units: Sequence[Unit]) -> Iterator[Unit]:
    """The units that have rows, without those that another unit has replaced."""
    replaced = NOTHING_REPLACED
    for unit in units:
        replaced |= unit.replaced
    for unit in units:
        if not unit.rows:
            continue
        if not replaced:
            yield unit
            continue
        dead = replaced.dead(unit.epoch, unit.replaced)
        dead = dead.clip(unit.min_us * US_NS, (unit.max_us + 1) * US_NS)
        if not dead:
            yield unit
        elif not dead.covers(unit.min_us * US_NS, (unit.max_us + 1) * US_NS):
            yield replace(unit, load=partial(_without, unit.load, dead))


def _without(load: Callable[[], pa.Table], dead: IntervalSet) -> pa.Table:
    return parted(load(), dead)[1]


def parted(rows: pa.Table, intervals: IntervalSet) -> tuple[pa.Table, pa.Table]:
    """The rows whose times are in the set, and the others."""
    ts = pc.multiply(rows["ts"].cast(pa.int64()), pa.scalar(US_NS, pa.int64()))
    ts = pc.add(ts, pc.fill_null(rows["ts_sub_ns"], 0).cast(pa.int64()))
    inside: Any = pa.repeat(pa.scalar(False), rows.num_rows)
    for start, end in intervals:
        at_or_after, before = (
            compare(ts, pa.scalar(ns, pa.int64()))
            for compare, ns in ((pc.greater_equal, start), (pc.less, end))
        )
        inside = pc.or_(inside, pc.and_(at_or_after, before))
    return rows.filter(inside), rows.filter(pc.invert(inside))


def _merged(
    data_type: DataType,
    units: list[Unit],
    start_us: int,
    end_us: int,
    slice_rows: int,
    last: dict[Unit, pa.Table],
) -> Iterator[pa.Table]:
    units = [unit for unit in units if unit.min_us < end_us and unit.max_us >= start_us]
    if not units:
        return
    cut = _cut(units, start_us, end_us)
    if cut is None or _expected(units, start_us, end_us) <= slice_rows:
        try:
            parts = _load(units, start_us, end_us, None if cut is None else 2 * slice_rows, last)
        except _TooMany:
            pass
        else:
            if parts:
                yield merge(data_type, parts)
            return
    assert cut is not None
    yield from _merged(data_type, units, start_us, cut, slice_rows, last)
    yield from _merged(data_type, units, cut, end_us, slice_rows, last)


def _load(
    units: Sequence[Unit], start_us: int, end_us: int, most: int | None, last: dict[Unit, pa.Table]
) -> list[Part]:
    """The units' rows within the slice; `last` keeps the unit that reaches furthest for the next slice."""
    parts, rows = [], 0
    for unit in units:
        table = last.pop(unit, None)
        if table is None:
            table = unit.load()
        if unit.max_us >= end_us and len(last) < 2:
            last[unit] = table
        if unit.min_us < start_us or unit.max_us >= end_us:
            ts = table.column(0).cast(pa.int64())
            table = table.filter(
                pc.and_(
                    pc.greater_equal(ts, pa.scalar(start_us, pa.int64())),
                    pc.less(ts, pa.scalar(end_us, pa.int64())),
                )
            )
        rows += table.num_rows
        if most is not None and rows > most:
            raise _TooMany
        if table.num_rows:
            parts.append(Part(table, unit.observation))
    return parts


def _expected(units: Sequence[Unit], start_us: int, end_us: int) -> float:
    """Rows within the slice if each unit's were spread evenly."""
    total = 0.0
    for unit in units:
        overlap = min(end_us, unit.max_us + 1) - max(start_us, unit.min_us)
        total += unit.rows * overlap / (unit.max_us + 1 - unit.min_us)
    return total


def _cut(units: Sequence[Unit], start_us: int, end_us: int) -> int | None:
    """Where to cut the slice in two, on a whole second; None when there is no place."""
    middle = (start_us + end_us) // 2
    nearest = min(
        (unit.min_us for unit in units if unit.min_us > start_us),
        key=lambda us: abs(us - middle),
        default=middle,
    )
    if abs(nearest - middle) > (end_us - start_us) // 4:
        nearest = middle
    for instant in (nearest, middle, middle + _SECOND_US):
        place = instant // _SECOND_US * _SECOND_US
        if start_us < place < end_us:
            return place
    return None
