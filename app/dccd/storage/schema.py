"""Arrow schemas of the data types, and the way from Python columns into them.

What lies in a file, in a journal frame and in what :meth:`dccd.storage.store.Store.read` yields is the same
schema. Timestamps are microseconds on disk (nanoseconds are refused by Spark and by comparisons in DuckDB);
what a timestamp has below that stands in `ts_sub_ns`, null where there is nothing.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute

from dccd.domain.dataset import DatasetId
from dccd.domain.errors import StorageError
from dccd.domain.records import SCHEMAS, Column, Kind
from dccd.domain.timeutils import MAX_NS, MIN_NS, US_NS
from dccd.domain.types import DataType

pc: Any = pyarrow.compute  # its stubs refuse much of what the kernels take

SCHEMA_VERSION = 1

_TIME = pa.timestamp("us", tz="UTC")
_TYPES: dict[Kind, pa.DataType] = {
    Kind.TIME: _TIME,
    Kind.SUB_NS: pa.int16(),
    Kind.FLOAT: pa.float64(),
    Kind.INT: pa.int64(),
    Kind.TEXT: pa.string(),
    Kind.SIDE: pa.string(),
    Kind.BOOL: pa.bool_(),
}
_TYPECODES = {pa.int64(): "q", pa.float64(): "d"}
_FORMATS = {"q": {"q", "l"} if struct.calcsize("l") == 8 else {"q"}, "d": {"d"}}
UNREADABLE = (pa.ArrowException, TypeError, ValueError, OverflowError)
_US = pa.scalar(US_NS, pa.int64())


@cache
def arrow_schema(data_type: DataType) -> pa.Schema:
    """The schema of a data type's rows: `ts` timestamp[us, UTC], `ts_sub_ns` int16, then its own columns."""
    return pa.schema(
        [
            pa.field(column.name, _TYPES[column.kind], nullable=column.nullable)
            for column in SCHEMAS[data_type].columns
        ]
    )


def to_batch(dataset: DatasetId, columns: Mapping[str, Sequence[object]]) -> pa.RecordBatch:
    """Columns of a page as one record batch of the dataset's schema.

    Parameters
    ----------
    dataset : DatasetId
        Whose rows they are.
    columns : mapping of str to sequence
        One sequence a column, all of one length: lists, ``array.array``, Arrow arrays, or anything with
        the buffer protocol. `ts` and `recv_ts` are integers of nanoseconds UTC. A nullable column may be
        left out; it is null then.

    Raises
    ------
    StorageError
        A column is missing, unknown, of another length, holds a null where none may be, or cannot be
        read as its type; or a timestamp lies outside 1970 to 2262.
    """
    schema = SCHEMAS[dataset.data_type]
    arrow = arrow_schema(dataset.data_type)
    unknown = columns.keys() - set(schema.names) | columns.keys() & {"ts_sub_ns"}
    if unknown or "ts" not in columns:
        wrong = f"unknown columns {sorted(unknown)}" if unknown else "no column ts"
        raise StorageError(f"Rows for {dataset} have {wrong}.")
    rows = len(columns["ts"])
    arrays: dict[str, pa.Array[Any]] = {}
    for column, field in zip(schema.columns, arrow, strict=True):
        if column.kind is Kind.SUB_NS:
            continue
        values = columns.get(column.name)
        if values is None:
            arrays[column.name] = pa.nulls(rows, field.type)
        elif column.name == "ts":
            arrays["ts"], arrays["ts_sub_ns"] = _split(dataset, _convert(dataset, column, values, pa.int64()))
        elif column.kind is Kind.TIME:
            whole = _convert(dataset, column, values, pa.int64())
            arrays[column.name] = pc.divide(whole, _US).view(_TIME)
        else:
            arrays[column.name] = _convert(dataset, column, values, field.type)
        if len(arrays[column.name]) != rows:
            raise StorageError(f"Rows for {dataset}: {column.name} has another length than ts.")
        if not column.nullable and arrays[column.name].null_count:
            raise StorageError(f"Rows for {dataset}: {column.name} may not be null.")
    return pa.RecordBatch.from_arrays([arrays[name] for name in schema.names], schema=arrow)


def _split(dataset: DatasetId, ts: pa.Array[Any]) -> tuple[pa.Array[Any], pa.Array[Any]]:
    """Nanoseconds as microseconds and what is left below them, null where nothing is."""
    if not len(ts):
        return ts.view(_TIME), pa.nulls(0, pa.int16())
    bounds = pc.min_max(ts).as_py()
    if ts.null_count or not MIN_NS <= bounds["min"] <= bounds["max"] < MAX_NS:
        raise StorageError(f"Rows for {dataset} have timestamps that are null or lie outside 1970 to 2262.")
    micros = pc.divide(ts, _US)
    below = pc.subtract(ts, pc.multiply(micros, _US))
    if pc.max(below).as_py() == 0:
        return micros.view(_TIME), pa.nulls(len(ts), pa.int16())
    below = below.cast(pa.int16())
    return micros.view(_TIME), pc.if_else(pc.equal(below, 0), pa.scalar(None, pa.int16()), below)


def _convert(dataset: DatasetId, column: Column, values: Any, kind: pa.DataType) -> pa.Array[Any]:
    try:
        return as_array(values, kind)
    except UNREADABLE as error:
        raise StorageError(
            f"Rows for {dataset}: {column.name} cannot be read as {kind} ({error})."
        ) from error


def as_array(values: Any, kind: pa.DataType) -> pa.Array[Any]:
    """A column's values, in whichever form they come, as an Arrow array; raises one of `UNREADABLE`."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.Array):
        return values if values.type == kind else values.cast(kind)
    code = _TYPECODES.get(kind)
    if code and isinstance(values, list | tuple):
        try:  # struct packs a list of numbers three times as fast as Arrow reads it
            packed = struct.pack(f"{len(values)}{code}", *values)
        except struct.error:  # a null among them, or no number
            return pa.array(values, kind)
        return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(packed)])
    if code and isinstance(values, array | memoryview) and memoryview(values).format in _FORMATS[code]:
        return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])
    return pa.array(values, kind)
