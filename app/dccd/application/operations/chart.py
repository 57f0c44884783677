"""What a chart shows of a dataset: as many points as the screen has room for, whatever is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import gcd
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from dccd.application.operations.read import check_bounds, rows
from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.span import MONDAY_NS
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS, S_NS, US_NS
from dccd.domain.types import DataType
from dccd.storage.store import Store

WEEK_NS = 7 * DAY_NS
# Lengths people read a chart in, none more than twice the one before.
_STEPS_NS = (
    *(n * S_NS for n in (1, 2, 3, 5, 10, 15, 30)),
    *(n * MINUTE_NS for n in (1, 2, 3, 5, 10, 15, 30)),
    *(n * HOUR_NS for n in (1, 2, 3, 4, 6, 8, 12)),
    *(n * DAY_NS for n in (1, 2, 3, 4)),
    *(n * WEEK_NS for n in (1, 2, 4, 8, 13, 26, 52)),
)
_BATCHES_KEPT = 64
_COLUMNS = {
    DataType.OHLC: ("open", "high", "low", "close", "volume"),
    DataType.TRADES: ("price", "price", "price", "price", "amount"),
    DataType.FUNDING: ("rate",) * 4,
    DataType.OPEN_INTEREST: ("open_interest",) * 4,
}
_AGGREGATES: list[tuple[str, Literal["first", "max", "min", "last", "sum"]]] = [
    ("o", "first"),
    ("h", "max"),
    ("l", "min"),
    ("c", "last"),
    ("v", "sum"),
]


@dataclass(frozen=True, slots=True)
class Bars:
    """Columns of bars: open time in seconds UTC, open, high, low, close, volume (null where none is)."""

    t: list[int] = field(default_factory=list)
    o: list[float] = field(default_factory=list)
    h: list[float] = field(default_factory=list)
    l: list[float] = field(default_factory=list)  # noqa: E741 - the field's letter for it
    c: list[float] = field(default_factory=list)
    v: list[float | None] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Depth:
    """One snapshot of a book: (price, amount) levels, best first."""

    ts_ns: int
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Chart:
    """What to draw.

    Attributes
    ----------
    kind : str
        "bars", "line" (its value is the close) or "depth".
    span_s : int
        Length of a bar or of a line's bucket; those without rows are left out.
    bars : Bars
    depth : Depth or None
        The newest snapshot of the stretch.
    gaps : IntervalSet
        Known gaps in the stretch.
    start_ns, end_ns : int or None
        The stretch, half-open; None where nothing is stored.
    """

    kind: str
    span_s: int
    bars: Bars
    depth: Depth | None
    gaps: IntervalSet
    start_ns: int | None
    end_ns: int | None


async def chart(
    dataset: DatasetId,
    *,
    store: Store,
    start_ns: int | None = None,
    end_ns: int | None = None,
    points: int = 1000,
) -> Chart:
    """Bars, a line or a depth of ``[start_ns, end_ns)``, by default of all that is stored.

    Bars are re-binned from stored bars or built from trades: first open, highest high, lowest low, last
    close, sum of volumes, in the shortest of the usual lengths that gives at most `points` of them. A line
    takes the shortest multiple of the dataset's own spacing that does.

    Raises
    ------
    UnknownDataset
    InvalidRange
    """
    check_bounds(start_ns, end_ns)
    info = await asyncio.to_thread(store.info, dataset)
    if start_ns is None:
        start_ns = info.start_ns
    if end_ns is None and info.end_ns is not None:
        end_ns = info.end_ns + US_NS
    if start_ns is None or end_ns is None:
        return Chart("bars", 1, Bars(), None, IntervalSet(), start_ns, end_ns)
    found = await asyncio.to_thread(store.gaps, dataset)
    gaps = IntervalSet((gap.start_ns, gap.end_ns) for gap in found).clip(start_ns, end_ns)
    if dataset.data_type is DataType.ORDERBOOK:
        depth = await _depth(dataset, store, start_ns, end_ns)
        return Chart("depth", 1, Bars(), depth, gaps, start_ns, end_ns)
    kind = "bars" if dataset.data_type in (DataType.OHLC, DataType.TRADES) else "line"
    if dataset.span is not None and dataset.span.months:
        step_ns = US_NS  # months differ in length and are few: shown as they are
        span_s = dataset.span.seconds
    else:
        if dataset.span is not None:
            base_ns = dataset.span.nominal_ns
        else:
            base_ns = (
                S_NS
                if kind == "bars"
                else await asyncio.to_thread(_spacing, dataset, store, start_ns, end_ns)
            )
        step_ns = step(base_ns, start_ns, end_ns, points, usual=kind == "bars")
        span_s = step_ns // S_NS
    bars = await asyncio.to_thread(_bars, dataset, store, start_ns, end_ns, step_ns)
    return Chart(kind, span_s, bars, None, gaps, start_ns, end_ns)


def step(base_ns: int, start_ns: int, end_ns: int, points: int, *, usual: bool) -> int:
    """The shortest multiple of `base_ns` of which at most `points` (two or more) cover a stretch.

    With `usual` it is one that people read a chart in, where that leaves at least half of `points`.
    """

    def count(step_ns: int) -> int:
        return _count(step_ns, _anchor_ns(step_ns, base_ns), start_ns, end_ns)

    exact_ns = base_ns
    if count(base_ns) > points:
        # One bucket more may be touched than the length has room for: then one less has to do.
        shortest = (-(-(end_ns - start_ns) // (base_ns * room)) * base_ns for room in (points, points - 1))
        exact_ns = next(step_ns for step_ns in shortest if count(step_ns) <= points)
        for step_ns in _STEPS_NS if usual else ():
            if step_ns % base_ns == 0 and points <= 2 * count(step_ns) <= 2 * points:
                return step_ns
    return exact_ns


def _count(step_ns: int, anchor_ns: int, start_ns: int, end_ns: int) -> int:
    """How many buckets ``[start_ns, end_ns)`` touches."""
    return (end_ns - 1 - anchor_ns) // step_ns - (start_ns - anchor_ns) // step_ns + 1


def _anchor_ns(step_ns: int, base_ns: int) -> int:
    """Where buckets are counted from: weeks from a Monday, all else (and so fourteen days) from 1970."""
    return MONDAY_NS if step_ns % WEEK_NS == 0 and base_ns <= WEEK_NS else 0


def _spacing(dataset: DatasetId, store: Store, start_ns: int, end_ns: int) -> int:
    """The longest stretch of whole minutes, a day at most, at multiples of which all rows lie."""
    minutes = DAY_NS // MINUTE_NS
    for batch in store.read(dataset, start_ns, end_ns, columns=["ts"]):
        # An exchange writes its funding down some milliseconds late.
        times = pc.divide(batch.column("ts").cast(pa.int64()), MINUTE_NS // US_NS)
        seen: list[Any] = pc.unique(times).to_pylist()
        minutes = gcd(minutes, *seen)
    return minutes * MINUTE_NS


def _bars(dataset: DatasetId, store: Store, start_ns: int, end_ns: int, step_ns: int) -> Bars:
    step_us = step_ns // US_NS
    base_ns = dataset.span.nominal_ns if dataset.span is not None else 0
    anchor_us = _anchor_ns(step_ns, base_ns) // US_NS
    names = _COLUMNS[dataset.data_type]
    pending: list[pa.Table] = []
    for batch in store.read(dataset, start_ns, end_ns, columns=["ts", *dict.fromkeys(names)]):
        pending.append(_bucketed(batch, names, step_us, anchor_us))
        if len(pending) >= _BATCHES_KEPT:
            pending = [_combine(pending)]
    if not pending:
        return Bars()
    table = _combine(pending)
    opened_us = pc.add(pc.multiply(table.column("b"), step_us), anchor_us)
    columns: list[list[Any]] = [table.column(name).to_pylist() for name in "ohlcv"]
    seconds: list[Any] = pc.divide(opened_us, 1_000_000).to_pylist()
    return Bars(seconds, *columns)


def _bucketed(batch: pa.RecordBatch, names: tuple[str, ...], step_us: int, anchor_us: int) -> pa.Table:
    times = pc.subtract(batch.column("ts").cast(pa.int64()), anchor_us)
    values = [batch.column(name) for name in names]
    if len(values) < 5:
        values.append(pa.nulls(batch.num_rows, pa.float64()))
    return _combine([pa.table([pc.divide(times, step_us), *values], names=["b", *"ohlcv"])])


def _combine(parts: list[pa.Table]) -> pa.Table:
    """One row a bucket; the parts are in order of time, so first and last mean what they say."""
    grouped = pa.concat_tables(parts).group_by("b", use_threads=False).aggregate(_AGGREGATES)
    return grouped.rename_columns({f"{name}_{how}": name for name, how in _AGGREGATES})


async def _depth(dataset: DatasetId, store: Store, start_ns: int, end_ns: int) -> Depth | None:
    newest = await rows(dataset, store=store, start_ns=start_ns, end_ns=end_ns, limit=1, descending=True)
    if not newest.table.num_rows:
        return None
    ts_ns = newest.table.column("ts").cast(pa.int64())[0].as_py() * US_NS
    levels = await asyncio.to_thread(_levels, store.read(dataset, ts_ns, ts_ns + US_NS))
    bids = sorted((level[1:] for level in levels if level[0] == "bid"), reverse=True)
    asks = sorted(level[1:] for level in levels if level[0] == "ask")
    return Depth(ts_ns, bids, asks)


def _levels(batches: Iterator[pa.RecordBatch]) -> list[tuple[str, float, float]]:
    return [
        level
        for batch in batches
        for level in zip(
            *(batch.column(name).to_pylist() for name in ("side", "price", "amount")), strict=True
        )
    ]
