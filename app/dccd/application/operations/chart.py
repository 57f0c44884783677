"""What a chart shows of a dataset: as many points as the screen has room for, whatever is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
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
# Lengths people read a chart in; each divides those that follow it often enough to re-bin from.
_STEPS_NS = (
    *(n * S_NS for n in (1, 5, 15, 30)),
    *(n * MINUTE_NS for n in (1, 3, 5, 15, 30)),
    *(n * HOUR_NS for n in (1, 2, 4, 6, 12)),
    *(DAY_NS, WEEK_NS, 4 * WEEK_NS, 13 * WEEK_NS, 52 * WEEK_NS),
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
        Length of a bar; buckets without rows are left out.
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
    close, sum of volumes, in the shortest of the usual lengths that gives at most `points` of them.

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
    if dataset.span is not None and dataset.span.months:
        step_ns = US_NS  # months differ in length and are few: shown as they are
        span_s = dataset.span.seconds
    else:
        base_ns = dataset.span.nominal_ns if dataset.span is not None else S_NS
        step_ns = step(base_ns, end_ns - start_ns, points)
        span_s = step_ns // S_NS
    bars = await asyncio.to_thread(_bars, dataset, store, start_ns, end_ns, step_ns)
    kind = "bars" if dataset.data_type in (DataType.OHLC, DataType.TRADES) else "line"
    return Chart(kind, span_s, bars, None, gaps, start_ns, end_ns)


def step(base_ns: int, length_ns: int, points: int) -> int:
    """The shortest bar, a multiple of `base_ns`, of which at most `points` fill `length_ns`."""
    shortest_ns = max(base_ns, -(-length_ns // points))
    for step_ns in (base_ns, *_STEPS_NS):
        if step_ns >= shortest_ns and step_ns % base_ns == 0:
            return step_ns
    return -(-shortest_ns // base_ns) * base_ns


def _bars(dataset: DatasetId, store: Store, start_ns: int, end_ns: int, step_ns: int) -> Bars:
    step_us = step_ns // US_NS
    anchor_us = MONDAY_NS // US_NS if step_ns % WEEK_NS == 0 else 0
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
