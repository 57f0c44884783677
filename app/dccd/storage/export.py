"""A dataset as one file in a folder of the user's choice."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from dccd.domain.dataset import DatasetId
from dccd.domain.errors import UsageError
from dccd.domain.timeutils import iso
from dccd.storage.fs import in_words
from dccd.storage.period_file import parquet_options, row_groups
from dccd.storage.schema import arrow_schema
from dccd.storage.store import Store

Format = Literal["parquet", "csv", "arrow"]
FORMATS: tuple[Format, ...] = ("parquet", "csv", "arrow")


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export wrote; no files when it was cancelled."""

    files: tuple[Path, ...]
    rows: int
    bytes: int
    cancelled: bool = False


class _Writer(Protocol):
    def write_table(self, table: pa.Table) -> None: ...


def export(
    store: Store,
    dataset: DatasetId,
    folder: Path,
    format: Format,  # noqa: A002 - the word users know
    start_ns: int | None = None,
    end_ns: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ExportResult:
    """Write the rows with ``start_ns <= ts < end_ns`` into one file, which appears whole or not at all.

    Parameters
    ----------
    folder : Path
        Where to; must exist. A file of the same name there is replaced.
    format : {"parquet", "csv", "arrow"}
        Of a CSV, timestamps are ISO-like with a ``Z`` and numbers read back bit for bit.
    progress : callable or None
        Called with rows written and rows expected (an upper bound where a range is given).
    cancelled : callable or None
        Asked now and then; once true, nothing is left behind.

    Raises
    ------
    UnknownDataset
        Nothing is stored under this id.
    UsageError
        No such format, or no such folder.
    DiskFull, StorageError
        The folder cannot be written to; nothing is left behind.
    """
    if format not in FORMATS:
        raise UsageError(f"{format!r} is no format to export to. Choose one of {', '.join(FORMATS)}.")
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder. Choose one that exists.")
    total = store.info(dataset).rows
    target = folder / f"{_stem(dataset, start_ns, end_ns)}.{format}"
    temporary = folder / f".{uuid.uuid4().hex}.part"
    rows = 0
    with in_words(f"exporting {dataset} to {folder}"):
        try:
            with ExitStack() as stack:
                file = stack.enter_context(temporary.open("xb"))
                batches = stack.enter_context(closing(_tables(store, dataset, start_ns, end_ns)))
                with _writer(file, dataset, format) as writer:
                    for table in row_groups(batches):
                        if cancelled is not None and cancelled():
                            return ExportResult((), 0, 0, cancelled=True)
                        writer.write_table(table)
                        rows += table.num_rows
                        if progress is not None:
                            progress(rows, max(total, rows))
                file.flush()
                os.fsync(file.fileno())
                size = file.tell()
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    return ExportResult((target,), rows, size)


def _tables(
    store: Store, dataset: DatasetId, start_ns: int | None, end_ns: int | None
) -> Generator[pa.Table, None, None]:
    for batch in store.read(dataset, start_ns, end_ns):
        yield pa.Table.from_batches([batch])


def _writer(file: Any, dataset: DatasetId, format: Format) -> AbstractContextManager[_Writer]:  # noqa: A002
    schema = arrow_schema(dataset.data_type)
    if format == "csv":
        return pyarrow.csv.CSVWriter(file, schema)
    if format == "arrow":
        return pa.ipc.new_file(file, schema, options=pa.ipc.IpcWriteOptions(compression="zstd"))
    return pq.ParquetWriter(file, schema, **parquet_options(dataset.data_type))


def _stem(dataset: DatasetId, start_ns: int | None, end_ns: int | None) -> str:
    """A file name: the dataset, and the range where one is given; legal on Windows."""
    parts = [str(dataset)]
    if start_ns is not None:
        parts.append(f"from {iso(start_ns)}")
    if end_ns is not None:
        parts.append(f"to {iso(end_ns)}")
    return "_".join(parts).replace(":", "_").replace(" ", "_")
