"""A dataset as one file: in a folder of the user's choice, or in pieces for whoever sends it on."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from dccd.domain.dataset import DatasetId
from dccd.domain.errors import UsageError
from dccd.domain.timeutils import US_NS, iso
from dccd.domain.types import DataType
from dccd.storage.certificate import CertifiedFile, export_certificate
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


class Piece(NamedTuple):
    """Bytes of a file, in their order, and how many rows are newly in them."""

    data: bytes
    rows: int


def encode(
    batches: Iterable[pa.RecordBatch],
    data_type: DataType,
    format: Format,  # noqa: A002 - the word users know
) -> Generator[Piece, None, None]:
    """The file that holds these rows, a row group at a time: memory follows that, not the dataset.

    Parameters
    ----------
    batches : iterable of pa.RecordBatch
        Of the data type's schema, in order.
    format : {"parquet", "csv", "arrow"}
        Of a CSV, timestamps are ISO-like with a ``Z`` and numbers read back bit for bit.
    """
    drain = Drain()
    with _writer(drain, data_type, format) as writer:
        for table in row_groups(pa.Table.from_batches([batch]) for batch in batches):
            writer.write_table(table)
            yield Piece(drain.take(), table.num_rows)
    yield Piece(drain.take(), 0)


def export(
    store: Store,
    dataset: DatasetId,
    folder: Path,
    format: Format,  # noqa: A002 - the word users know
    start_ns: int | None = None,
    end_ns: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    *,
    certificate: bool = False,
) -> ExportResult:
    """Write the rows with ``start_ns <= ts < end_ns`` into one file, which appears whole or not at all.

    Parameters
    ----------
    folder : Path
        Where to; must exist. A file of the same name there is replaced.
    format : {"parquet", "csv", "arrow"}
    progress : callable or None
        Called with rows written and rows expected (an upper bound where a range is given).
    cancelled : callable or None
        Asked now and then; once true, nothing is left behind.
    certificate : bool
        Whether to write a ``.certificate.json`` beside it, last: see ``docs/certificate.md``.

    Raises
    ------
    UnknownDataset
        Nothing is stored under this id.
    UsageError
        No such format, or no such folder.
    CorruptFile
        A file cannot be read, or, where a certificate is wanted, is not what was written.
    DiskFull, StorageError
        The folder cannot be written to; nothing is left behind.
    """
    if format not in FORMATS:
        raise UsageError(f"{format!r} is no format to export to. Choose one of {', '.join(FORMATS)}.")
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder. Choose one that exists.")
    total = store.info(dataset).rows
    stem = _stem(dataset, start_ns, end_ns)
    target, beside = folder / f"{stem}.{format}", folder / f"{stem}.certificate.json"
    facts = store.keeping.facts(dataset)  # before the rows: what it calls covered is in them
    bounds = _Bounds()
    digest = hashlib.sha256()
    rows = size = 0
    with in_words(f"exporting {dataset} to {folder}"), _Appearing(target) as file:
        batches = bounds.of(store.read(dataset, start_ns, end_ns))
        with closing(encode(batches, dataset.data_type, format)) as pieces:
            for piece in pieces:
                if cancelled is not None and cancelled():
                    return ExportResult((), 0, 0, cancelled=True)
                file.write(piece.data)
                digest.update(piece.data)
                rows, size = rows + piece.rows, size + len(piece.data)
                if progress is not None:
                    progress(rows, max(total, rows))
        if certificate:
            # What was read of a file may read well while the file is not what was written.
            if store.keeping.certified(dataset, start_ns, end_ns, cancelled) is None:
                return ExportResult((), 0, 0, cancelled=True)
            beside.unlink(missing_ok=True)  # that of the file which is replaced now
        file.finish()
    if not certificate:
        return ExportResult((target,), rows, size)
    written = CertifiedFile(target.name, size, digest.hexdigest(), rows, *bounds.found)
    document = export_certificate(facts, written, start_ns, end_ns)
    text = _json(document)
    with in_words(f"certifying the export of {dataset} in {folder}"), _Appearing(beside) as file:
        file.write(text)
        file.finish()
    return ExportResult((target, beside), rows, size + len(text))


class _Appearing:
    """A file that gets its name once it is complete and on the disk."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._temporary = target.with_name(f".{uuid.uuid4().hex}.part")
        self._file = self._temporary.open("xb")

    def write(self, data: bytes) -> None:
        """Append."""
        self._file.write(data)

    def finish(self) -> None:
        """It is complete."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._temporary.replace(self._target)

    def __enter__(self) -> _Appearing:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)


class _Bounds:
    """First and last timestamp of rows that go by."""

    def __init__(self) -> None:
        self.found: tuple[int | None, int | None] = (None, None)

    def of(self, batches: Iterable[pa.RecordBatch]) -> Generator[pa.RecordBatch, None, None]:
        """The same batches."""
        for batch in batches:
            first, last = (_ts_ns(batch, place) for place in (0, batch.num_rows - 1))
            self.found = (first if self.found[0] is None else self.found[0], last)
            yield batch


def _ts_ns(batch: pa.RecordBatch, place: int) -> int:
    below: Any = batch["ts_sub_ns"][place].as_py()
    return int(batch["ts"].cast(pa.int64())[place].as_py()) * US_NS + (below or 0)


class _Writer(Protocol):
    def write_table(self, table: pa.Table) -> None: ...


def _writer(
    file: Any,
    data_type: DataType,
    format: Format,  # noqa: A002
) -> AbstractContextManager[_Writer]:
    schema = arrow_schema(data_type)
    if format == "csv":
        return pyarrow.csv.CSVWriter(file, schema)
    if format == "arrow":
        return pa.ipc.new_file(file, schema, options=pa.ipc.IpcWriteOptions(compression="zstd"))
    return pq.ParquetWriter(file, schema, **parquet_options(data_type))


class Drain(RawIOBase):
    """A file that is only written: what was written since is taken away in pieces."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """How much was written in all."""
        return self._position

    def write(self, data: Any) -> int:
        """Keep a copy of the bytes until they are taken."""
        piece = bytes(data)
        self._pieces.append(piece)
        self._position += len(piece)
        return len(piece)

    def take(self) -> bytes:
        """What was written since the last time."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=1).encode() + b"\n"


def _stem(dataset: DatasetId, start_ns: int | None, end_ns: int | None) -> str:
    """A file name: the dataset, and the range where one is given; legal on Windows."""
    parts = [str(dataset)]
    if start_ns is not None:
        parts.append(f"from {iso(start_ns)}")
    if end_ns is not None:
        parts.append(f"to {iso(end_ns)}")
    return "_".join(parts).replace(":", "_").replace(" ", "_")
