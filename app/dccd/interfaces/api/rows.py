"""Rows as the API sends them: pages of JSON for tables, Arrow streams for programs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import Any

import msgspec
import pyarrow as pa

from dccd.application.operations.read import RowsPage
from dccd.domain.dataset import DatasetId
from dccd.domain.records import SCHEMAS, Kind
from dccd.domain.timeutils import US_NS, iso
from dccd.storage.export import Drain
from dccd.storage.schema import arrow_schema

ARROW_STREAM = "application/vnd.apache.arrow.stream"


def to_json(dataset: DatasetId, page: RowsPage) -> bytes:
    """A page as :class:`dccd.interfaces.api.models.Rows`: floats exact, what is no number null.

    Built apart from the model, which would look at each cell in turn. Digits of `ts` below the
    microsecond, a column of their own in the files, are part of its text here.
    """
    columns = [column for column in SCHEMAS[dataset.data_type].columns if column.kind is not Kind.SUB_NS]
    cells: list[list[Any]] = []
    for column in columns:
        values = page.table.column(column.name)
        if column.kind is not Kind.TIME:
            cells.append(values.to_pylist())
            continue
        times_us = values.cast(pa.int64()).to_pylist()
        below_ns = page.table.column("ts_sub_ns").to_pylist() if column.name == "ts" else repeat(None)
        cells.append(
            [
                None if us is None else iso(us * US_NS + (ns or 0))
                for us, ns in zip(times_us, below_ns, strict=False)
            ]
        )
    return msgspec.json.encode(
        {
            "columns": [{"name": column.name, "type": column.kind.value} for column in columns],
            "rows": list(zip(*cells, strict=True)),
            "next_cursor": page.next_cursor,
        }
    )


def to_arrow(batches: Iterator[pa.RecordBatch], dataset: DatasetId) -> Iterator[bytes]:
    """An Arrow IPC stream, a batch at a time; columns as in the files."""
    drain = Drain()
    with pa.ipc.new_stream(drain, arrow_schema(dataset.data_type)) as writer:
        for batch in batches:
            writer.write_batch(batch)
            yield drain.take()
    yield drain.take()
