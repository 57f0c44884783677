"""A dataset as one file, written while it is sent: memory follows a row group, not the dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from starlette.responses import StreamingResponse

from dccd.domain.dataset import DatasetId
from dccd.interfaces.api.models import ExportFormat
from dccd.interfaces.api.rows import Drain
from dccd.storage.schema import arrow_schema

GROUP_ROWS = 131_072
MEDIA_TYPES = {
    ExportFormat.PARQUET: "application/vnd.apache.parquet",
    ExportFormat.CSV: "text/csv",
    ExportFormat.ARROW: "application/vnd.apache.arrow.file",
}
_WRITERS: dict[ExportFormat, Callable[..., Any]] = {
    ExportFormat.PARQUET: lambda sink, schema: pq.ParquetWriter(sink, schema, compression="zstd"),
    ExportFormat.CSV: pa_csv.CSVWriter,
    ExportFormat.ARROW: pa.ipc.new_file,
}


def download(batches: Iterator[pa.RecordBatch], dataset: DatasetId, kind: ExportFormat) -> StreamingResponse:
    """The answer that sends a dataset's rows as an attachment."""
    # No character of an id needs quoting here, but for the percent signs of odd currencies' names.
    name = f"{str(dataset).replace(':', '_')}.{kind.value}"
    return StreamingResponse(
        _pieces(batches, arrow_schema(dataset.data_type), kind),
        media_type=MEDIA_TYPES[kind],
        headers={"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"},
    )


def _pieces(batches: Iterator[pa.RecordBatch], schema: pa.Schema, kind: ExportFormat) -> Iterator[bytes]:
    drain = Drain()
    with _WRITERS[kind](drain, schema) as writer:
        for group in _groups(batches):
            writer.write_table(group)
            yield drain.take()
    yield drain.take()


def _groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Small batches together, so that a file's row groups are of a size readers like."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(item.num_rows for item in held) >= GROUP_ROWS:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)
