"""Writing one period's file: to a temporary name, synced, read back, then renamed over the old one."""

from __future__ import annotations

import errno
import hashlib
import io
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId, Period
from dccd.domain.errors import CorruptFile
from dccd.domain.records import SCHEMAS, Kind
from dccd.domain.timeutils import US_NS
from dccd.domain.types import DataType
from dccd.storage.epochs import NOTHING_REPLACED, Replaced
from dccd.storage.footer import (
    KEY,
    SEAL_BLANK,
    SEAL_KEY,
    FileInfo,
    Footer,
    check_seal,
    read_info,
    row_group_bounds,
    seal,
)
from dccd.storage.fs import File, FileSystem, in_words
from dccd.storage.layout import Layout
from dccd.storage.schema import arrow_schema
from dccd.storage.slices import Unit

ROW_GROUP_ROWS = 1 << 17
_BUFFER_BYTES = 1 << 20
_OF_THE_FILE = {None, errno.EIO}  # all other errors are the system's: no descriptor, no access, held open


class UnreadablePeriodFile(CorruptFile):
    """A published period file cannot be read, and the fault is its own."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a period file is to hold besides rows."""

    dataset: DatasetId
    period: Period
    covered: IntervalSet
    applied: Mapping[str, int]
    sources: tuple[str, ...]
    replaced: Replaced = NOTHING_REPLACED
    epoch: int = 0


def write_period_file(
    fs: FileSystem, layout: Layout, contents: Contents, tables: Iterable[pa.Table]
) -> FileInfo:
    """Publish one period: when this returns the file is durable under its name, before that the old one is.

    Parameters
    ----------
    tables : iterable of pa.Table
        Rows in file order.

    Raises
    ------
    SharingViolation
        Another program holds the old file open (Windows); nothing has changed.
    DiskFull, StorageError
        Nothing has changed.
    CorruptFile
        What was written reads back otherwise; nothing has changed.
    """
    dataset, period = contents.dataset, contents.period
    path = f"{dataset.folder}/{period.name}.parquet"
    target = layout.data_path / path
    temporary = layout.tmp / f"{uuid.uuid4().hex}.parquet"
    with in_words(f"writing {path}"):
        file = fs.create(temporary)
        try:
            try:
                footer = _write(file, contents, tables)
                file.sync()
            finally:
                file.close()
            _verify(fs, temporary, path, footer)
            fs.make_folder(target.parent)
            fs.replace(temporary, target)
        except BaseException:
            _discard(fs, temporary)
            raise
        fs.sync_folder(target.parent)
        return read_file_info(fs, layout, path)


def read_file_info(fs: FileSystem, layout: Layout, path: str) -> FileInfo:
    """The file at `path` (relative to the data folder) seen through its footer.

    Raises
    ------
    CorruptFile
        It cannot be read, or is not ours.
    FileNotFoundError
        It is gone.
    """
    entry = fs.stat(layout.data_path / path)
    if entry is None:
        raise FileNotFoundError(path)
    with fs.source(layout.data_path / path) as source:
        return read_info(source, path, entry)


@contextmanager
def file_units(
    fs: FileSystem, layout: Layout, info: FileInfo, columns: Sequence[str] | None = None
) -> Iterator[list[Unit]]:
    """A period file as units, a row group each, open until the context ends.

    Parameters
    ----------
    columns : sequence of str or None
        Which columns to load, `ts` first; None for all.

    Raises
    ------
    UnreadablePeriodFile
        It is damaged; loading a unit raises the same.
    StorageError
        The system would not have it read now, which says nothing about the file.
    """
    with reading(info.path):
        source = fs.source(layout.data_path / info.path)
    with source:
        with reading(info.path):
            check_seal(source)
            file = pq.ParquetFile(source, page_checksum_verification=True)
            bounds = [row_group_bounds(file.metadata, index) for index in range(file.num_row_groups)]
        schema = arrow_schema(info.footer.dataset.data_type)
        if columns is not None:
            schema = pa.schema([schema.field(name) for name in columns])
        observation = object()

        def loader(index: int) -> Callable[[], pa.Table]:
            def load() -> pa.Table:
                with reading(info.path):
                    return (
                        file.read_row_group(index, columns=schema.names, use_threads=False)
                        .select(schema.names)
                        .cast(schema)
                    )

            return load

        yield [
            Unit(
                low,
                high,
                file.metadata.row_group(index).num_rows,
                loader(index),
                observation,
                replaced=info.footer.replaced,
            )
            for index, (low, high) in enumerate(bounds)
        ]


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Tell a file that is damaged, which is put aside, from a system that is short of something."""
    with in_words(f"reading {path}"):
        try:
            yield
        except MemoryError:  # Arrow's is an ArrowException too
            raise
        except (pa.ArrowException, OSError, CorruptFile) as error:
            if getattr(error, "errno", None) not in _OF_THE_FILE:
                raise
            raise UnreadablePeriodFile(f"{path} cannot be read ({error}).") from error


def _write(file: File, contents: Contents, tables: Iterable[pa.Table]) -> Footer:
    sink = _Sink(file)
    schema = arrow_schema(contents.dataset.data_type)
    rows = 0
    with pq.ParquetWriter(
        cast("IO[bytes]", sink), schema, **parquet_options(contents.dataset.data_type)
    ) as writer:
        for table in row_groups(tables):
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
            rows += table.num_rows
        footer = Footer(
            contents.dataset,
            contents.period,
            contents.covered,
            contents.applied,
            rows,
            sink.sha256.hexdigest(),
            sink.tell(),
            contents.sources,
            contents.replaced,
            contents.epoch,
        )
        writer.add_key_value_metadata(
            {KEY.decode(): footer.encode().decode(), SEAL_KEY.decode(): SEAL_BLANK.decode()}
        )
        sink.hold()
    sink.finish()
    return footer


def parquet_options(data_type: DataType) -> dict[str, Any]:
    """How columns are written: encodings that every reader knows, Spark's vectorised one included.

    Measured in `docs/adr/0011-parquet-encodings.md`.
    """
    columns = SCHEMAS[data_type].columns
    encodings = {
        column.name: "DELTA_BINARY_PACKED" for column in columns if column.kind in (Kind.TIME, Kind.INT)
    }
    if data_type is DataType.TRADES:
        encodings["tid"] = "DELTA_BYTE_ARRAY"
    repeating = {Kind.SIDE, Kind.TEXT}
    if data_type in (DataType.TRADES, DataType.ORDERBOOK, DataType.BOOK_UPDATES):
        repeating |= {Kind.FLOAT}  # prices and sizes come back; a bar's values hardly ever do
    dictionary = [
        column.name for column in columns if column.kind in repeating and column.name not in encodings
    ]
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": dictionary or False,
        "column_encoding": encodings,
        "write_page_checksum": True,
        "store_schema": False,
        "sorting_columns": [pq.SortingColumn(0)],
    }


def row_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of a row group each, the last one shorter."""
    pending: list[pa.Table] = []
    rows = 0
    for table in tables:
        pending.append(table)
        rows += table.num_rows
        while rows >= ROW_GROUP_ROWS:
            whole = pa.concat_tables(pending)
            yield whole.slice(0, ROW_GROUP_ROWS)
            rest = whole.slice(ROW_GROUP_ROWS)
            pending, rows = [rest], rest.num_rows
    if rows:
        yield pa.concat_tables(pending)


def _verify(fs: FileSystem, temporary: Path, path: str, footer: Footer) -> None:
    """Read back what was written: the footer as it is read ever after, and the data's hash."""
    entry = fs.stat(temporary)
    assert entry is not None
    words = f"{path} reads back otherwise than it was written; the old file was kept. Check the disk."
    with fs.source(temporary) as source:
        try:
            found = read_info(source, path, entry).footer
        except CorruptFile as error:
            raise CorruptFile(words) from error
    digest = hashlib.sha256()
    file = fs.open(temporary)
    try:
        for offset in range(0, footer.data_size, _BUFFER_BYTES):
            digest.update(file.read_at(offset, min(_BUFFER_BYTES, footer.data_size - offset)))
    finally:
        file.close()
    if found != footer or digest.hexdigest() != footer.sha256:
        raise CorruptFile(words)


def _discard(fs: FileSystem, temporary: Path) -> None:
    try:
        fs.remove(temporary)
    except OSError:
        pass  # the next start clears the folder; what went wrong before matters more


class _Sink(io.RawIOBase):
    """The writer's side of a file: buffered and hashed.

    What the disk refuses is dropped, and `flush`, which Python calls of a forgotten one, writes nothing: by
    then the file has been given up.
    """

    def __init__(self, file: File) -> None:
        super().__init__()
        self.sha256 = hashlib.sha256()
        self._file = file
        self._buffer = bytearray()
        self._held: bytearray | None = None
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        self._written += len(data)
        if self._held is not None:
            self._held += data
            return len(data)
        self._buffer += data
        if len(self._buffer) >= _BUFFER_BYTES:
            self._spill()
        return len(data)

    def tell(self) -> int:
        return self._written

    def _spill(self) -> None:
        data, self._buffer = self._buffer, bytearray()
        self._file.append(data)

    def hold(self) -> None:
        """The data is complete: keep what follows it, the file's end, until :meth:`finish`."""
        self._held = bytearray()

    def finish(self) -> None:
        """Seal the file's end and write it."""
        self._spill()
        assert self._held is not None
        seal(self._held)
        self._file.append(self._held)


def us_bounds(start_ns: int | None, end_ns: int | None) -> tuple[int, int]:
    """Whole microseconds that hold ``[start_ns, end_ns)``."""
    start = 0 if start_ns is None else start_ns // US_NS
    end = 1 << 62 if end_ns is None else -(-end_ns // US_NS)
    return start, end
