"""Reading files and journals as one: in order, each row once, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute

from dccd.domain.dataset import DatasetId, Period
from dccd.domain.errors import UsageError
from dccd.domain.timeutils import US_NS
from dccd.storage.footer import FileInfo
from dccd.storage.fs import FileSystem
from dccd.storage.layout import Layout
from dccd.storage.period_file import file_units, us_bounds
from dccd.storage.schema import arrow_schema
from dccd.storage.slices import merged
from dccd.storage.unpublished import Due, frame_units

pc: Any = pyarrow.compute  # its stubs refuse much of what the kernels take


def checked_columns(dataset: DatasetId, columns: Sequence[str] | None) -> list[str]:
    """The columns to give, all of them for None.

    Raises
    ------
    UsageError
        The dataset has no such column.
    """
    known = arrow_schema(dataset.data_type).names
    wrong = [name for name in columns or () if name not in known]
    if wrong:
        raise UsageError(f"{dataset.data_type} has no column {', '.join(wrong)}. It has {', '.join(known)}.")
    return known if columns is None else list(columns)


def read_rows(
    fs: FileSystem,
    layout: Layout,
    dataset: DatasetId,
    infos: Sequence[FileInfo],
    due: Sequence[Due],
    start_ns: int | None,
    end_ns: int | None,
    columns: Sequence[str],
) -> Iterator[pa.RecordBatch]:
    """Rows with ``start_ns <= ts < end_ns`` of files and pages together.

    A file may be newer than `infos` says: rows that it has already taken from `due` merge into themselves.
    """
    files = {info.period: info for info in infos}
    start_us, end_us = us_bounds(start_ns, end_ns)
    for period in sorted({*files, *(period for item in due for period in item.periods)}):
        low, high = us_bounds(*period.interval)
        low, high = max(low, start_us), min(high, end_us)
        if low >= high:
            continue
        for table in _period_rows(fs, layout, dataset, period, files.get(period), due, (low, high), columns):
            yield from rows_of(table, start_ns, end_ns, columns)


def rows_of(
    table: pa.Table, start_ns: int | None, end_ns: int | None, columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Rows of a sorted table with ``start_ns <= ts < end_ns``."""
    for batch in _within(table, start_ns, end_ns).select(columns).to_batches():
        if batch.num_rows:
            yield batch


def _period_rows(
    fs: FileSystem,
    layout: Layout,
    dataset: DatasetId,
    period: Period,
    info: FileInfo | None,
    due: Sequence[Due],
    bounds_us: tuple[int, int],
    columns: Sequence[str],
) -> Iterator[pa.Table]:
    units = frame_units(item.frame for item in due if item.touches(period))
    if info is None:
        yield from merged(dataset.data_type, units, *bounds_us)
    elif units:
        with file_units(fs, layout, info) as old:
            yield from merged(dataset.data_type, [*old, *units], *bounds_us)
    else:
        wanted = ["ts", "ts_sub_ns", *(name for name in columns if name not in ("ts", "ts_sub_ns"))]
        with file_units(fs, layout, info, wanted) as old:
            for unit in old:  # a file is merged already
                if unit.min_us < bounds_us[1] and unit.max_us >= bounds_us[0]:
                    yield unit.load()


def _within(table: pa.Table, start_ns: int | None, end_ns: int | None) -> pa.Table:
    if not table.num_rows:
        return table
    ts = table["ts"].cast(pa.int64())
    below = table["ts_sub_ns"]
    if start_ns is not None and start_ns > ts[0].as_py() * US_NS:
        keep = _at_or_after(ts, below, start_ns)
        table, ts, below = table.filter(keep), ts.filter(keep), below.filter(keep)
    if end_ns is not None and table.num_rows and end_ns <= (ts[-1].as_py() + 1) * US_NS:
        table = table.filter(pc.invert(_at_or_after(ts, below, end_ns)))
    return table


def _at_or_after(ts: pa.ChunkedArray[Any], below: pa.ChunkedArray[Any], ts_ns: int) -> Any:
    us, rest = divmod(ts_ns, US_NS)
    us_scalar = pa.scalar(us, pa.int64())
    if not rest:
        return pc.greater_equal(ts, us_scalar)
    fine = pc.greater_equal(pc.fill_null(below, 0), pa.scalar(rest, pa.int16()))
    return pc.or_(pc.greater(ts, us_scalar), pc.and_(pc.equal(ts, us_scalar), fine))
