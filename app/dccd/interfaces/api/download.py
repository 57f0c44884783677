"""A dataset as one file, written while it is sent: memory follows a row group, not the dataset."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pyarrow as pa
from starlette.responses import StreamingResponse

from dccd.domain.dataset import DatasetId
from dccd.interfaces.api.models import ExportFormat
from dccd.storage.export import encode

MEDIA_TYPES = {
    ExportFormat.PARQUET: "application/vnd.apache.parquet",
    ExportFormat.CSV: "text/csv",
    ExportFormat.ARROW: "application/vnd.apache.arrow.file",
}


def download(batches: Iterator[pa.RecordBatch], dataset: DatasetId, kind: ExportFormat) -> StreamingResponse:
    """The answer that sends a dataset's rows as an attachment."""
    # No character of an id needs quoting here, but for the percent signs of odd currencies' names.
    name = f"{str(dataset).replace(':', '_')}.{kind.value}"
    return StreamingResponse(
        (piece.data for piece in encode(batches, dataset.data_type, kind.value)),
        media_type=MEDIA_TYPES[kind],
        headers={"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"},
    )
