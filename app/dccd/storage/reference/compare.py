"""What storing a page would change, and what it would contradict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.records import SCHEMAS
from dccd.domain.timeutils import US_NS
from dccd.domain.types import DataType
from dccd.storage.merge import Part, merge
from dccd.storage.schema import to_batch

pc: Any = pyarrow.compute  # its stubs refuse much of what the kernels take

# Of these a row is known by its time: one that was fetched whole is not to be mixed with another.
_BY_TIME = {DataType.OHLC, DataType.FUNDING, DataType.OPEN_INTEREST}
_IDENTITY = {"ts", "ts_sub_ns", "side", "tid", "tid_num"}


@dataclass(frozen=True, slots=True)
class Difference:
    """A page beside what is stored.

    Attributes
    ----------
    store : pa.Table
        What of it is to be stored: `ts` in nanoseconds; no row where all is there.
    new, same, differing : int
        Rows that are not there yet; that are, with the same values; that contradict what is there. Together
        all rows of the page.
    """

    store: pa.Table
    new: int
    same: int
    differing: int


def in_schema(dataset: DatasetId, rows: pa.Table) -> pa.Table:
    """Rows, `ts` in nanoseconds, as the dataset's files have them: in order, each once."""
    columns: dict[str, Any] = {name: rows[name] for name in rows.column_names}
    table = pa.Table.from_batches([to_batch(dataset, columns)])
    return merge(dataset.data_type, [Part(table, None)])


def compare(data_type: DataType, page: pa.Table, stored: pa.Table, whole: IntervalSet) -> Difference:
    """Compare a page with the stored rows of its time.

    Parameters
    ----------
    page, stored : pa.Table
        In the schema of files; see :func:`in_schema`.
    whole : IntervalSet
        What is covered. There bars, fundings and open interest stay as they are: they were fetched whole,
        while the page may hold a bar that was still open. All else is merged.
    """
    if not stored.num_rows:
        return Difference(_in_ns(page), page.num_rows, 0, 0)
    together = merge(data_type, [Part(stored, "stored"), Part(page, "page")])
    if together.equals(stored):
        return Difference(_in_ns(page.slice(0, 0)), 0, page.num_rows, 0)
    differing, outside = 0, page
    if data_type in _BY_TIME:
        times: list[Any] = page["ts"].cast(pa.int64()).to_pylist()
        inside = pa.array([us * US_NS in whole for us in times], pa.bool_())
        differing = _unlike(data_type, page.filter(inside), stored)
        outside = page.filter(pc.invert(inside))
        together = merge(data_type, [Part(stored, "stored"), Part(outside, "page")])
    new = max(0, together.num_rows - stored.num_rows)
    differing += max(0, _unlike(data_type, outside, stored) - new)
    return Difference(_in_ns(outside), new, page.num_rows - new - differing, differing)


def _unlike(data_type: DataType, rows: pa.Table, stored: pa.Table) -> int:
    """How many rows have no equal in `stored`, by what no row may lack."""
    names = [c.name for c in SCHEMAS[data_type].columns if not c.nullable or c.name in _IDENTITY]
    both = pa.concat_tables([stored, rows]).select(names)
    return _distinct(both) - _distinct(stored.select(names))


def _distinct(table: pa.Table) -> int:
    return table.group_by(table.column_names, use_threads=False).aggregate([]).num_rows


def _in_ns(rows: pa.Table) -> pa.Table:
    ts = pc.multiply(rows["ts"].cast(pa.int64()), pa.scalar(US_NS, pa.int64()))
    ts = pc.add(ts, pc.fill_null(rows["ts_sub_ns"], 0).cast(pa.int64()))
    return rows.set_column(0, "ts", ts).drop_columns(["ts_sub_ns"])
