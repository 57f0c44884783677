"""A data folder read from a notebook: no lock, no server, the app running or not.

Journals are read before files are listed. Whatever is published in between is then in both, and merges into
itself; nothing can fall between the two.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq

from dccd.domain.dataset import DatasetId, Period
from dccd.domain.errors import CorruptFile, UnknownDataset, UsageError
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.types import DataType
from dccd.storage.footer import FileInfo
from dccd.storage.frames import Frame
from dccd.storage.fs import FileSystem, RealFileSystem
from dccd.storage.journal import SUFFIX, Journal
from dccd.storage.layout import Layout
from dccd.storage.period_file import parquet_options, read_file_info, row_groups
from dccd.storage.reader import read_rows
from dccd.storage.schema import arrow_schema
from dccd.storage.trash_entry import Buried, look
from dccd.storage.unpublished import Due

Engine = Literal["pyarrow", "polars", "duckdb"]


def scan(
    exchange: str,
    symbol: str,
    span_or_type: str,
    *,
    depth: int | None = None,
    data_path: Path,
    engine: Engine = "pyarrow",
) -> Any:
    """A dataset as a lazy frame, the newest rows of running downloads in it.

    Parameters
    ----------
    exchange : str
        For instance ``"binance"``.
    symbol : str
        Unified: ``"BTC/USDT"``, ``"BTC/USDT:USDT"``.
    span_or_type : str
        A span (``"1m"``) for bars, else a data type (``"trades"``, ``"funding"``); ``"open_interest:5m"``.
    depth : int or None
        Levels a side, for ``"orderbook"``.
    data_path : Path
        The data folder.
    engine : {"pyarrow", "polars", "duckdb"}
        What to return: a `pyarrow.dataset.Dataset`, a `polars.LazyFrame`, a `duckdb.DuckDBPyRelation`.

    Returns
    -------
    object
        All rows, sorted within each file, each row once: those of the moment of the call. Periods that a
        journal reaches into are merged to temporary files, which live until the process ends.

    Raises
    ------
    UnknownDataset
        Nothing is stored under these names.
    UsageError
        One of the names cannot be read.
    """
    dataset = _dataset(exchange, symbol, span_or_type, depth)
    paths = [str(path) for path in snapshot(data_path, dataset)]
    match engine:
        case "pyarrow":
            return pyarrow.dataset.dataset(paths, schema=arrow_schema(dataset.data_type), format="parquet")
        case "polars":
            import polars as pl

            return pl.scan_parquet(paths, hive_partitioning=False)
        case "duckdb":
            import duckdb

            return duckdb.read_parquet(paths, hive_partitioning=False)
    raise UsageError(f"There is no engine {engine!r}. Choose pyarrow, polars or duckdb.")


def snapshot(data_path: Path, dataset: DatasetId) -> list[Path]:
    """Parquet files that together hold a dataset's rows as they are now, in order of time.

    Raises
    ------
    UnknownDataset
        Nothing is stored of it.
    """
    fs, layout = RealFileSystem(), Layout(data_path)
    with ExitStack() as stack:
        frames = list(_frames(fs, layout, dataset, stack))
        files = _files(fs, layout, dataset)
        if not frames and not files:
            raise UnknownDataset(f"Nothing is stored of {dataset} in {data_path}.")
        due = [Due(frame, frozenset(frame.rows_due), frame.replaces_due) for frame in frames]
        for period in sorted({*files, *(period for item in due for period in item.periods)}):
            touching = [item for item in due if item.touches(period)]
            if not touching:
                continue
            path = files.get(period)
            info = None if path is None else _info(fs, layout, path)
            touching = [item for item in touching if not _is_in(item.frame, info)]
            if touching:
                files[period] = _materialise(fs, layout, dataset, period, info, touching)
    if not files:
        files[dataset.period(0)] = _write([], dataset)
    return [files[period] for period in sorted(files)]


def _dataset(exchange: str, symbol: str, span_or_type: str, depth: int | None) -> DatasetId:
    kind, _, span = span_or_type.partition(":")
    if kind in {each.value for each in DataType}:
        data_type = DataType(kind)
    else:
        data_type, span = DataType.OHLC, span_or_type
    return DatasetId(
        exchange.lower(), Symbol.parse(symbol), data_type, Span.parse(span) if span else None, depth
    )


def _frames(fs: FileSystem, layout: Layout, dataset: DatasetId, stack: ExitStack) -> Iterator[Frame]:
    """The dataset's pages in all journals; one that disappears meanwhile has been published."""
    buried = Buried(look(fs, layout))
    for entry in fs.entries(layout.journals):
        if not entry.name.endswith(SUFFIX):
            continue
        try:
            journal = Journal.open(fs, layout.journals / entry.name, write=False)
        except (FileNotFoundError, CorruptFile):
            continue
        stack.callback(journal.close)
        yield from (
            frame
            for frame in journal.frames
            if frame.dataset == dataset
            and not frame.provisional
            and not buried.has_frame(dataset, journal.id, frame.seq)
        )


def _files(fs: FileSystem, layout: Layout, dataset: DatasetId) -> dict[Period, Path]:
    folder = layout.data_path / dataset.folder
    found: dict[Period, Path] = {}
    for entry in fs.entries(folder):
        path = folder / entry.name
        period = layout.period_named(dataset, path.stem) if path.suffix == ".parquet" else None
        if period is not None:
            found[period] = path
    return found


def _info(fs: FileSystem, layout: Layout, path: Path) -> FileInfo:
    return read_file_info(fs, layout, path.relative_to(layout.data_path).as_posix())


def _is_in(frame: Frame, info: FileInfo | None) -> bool:
    return info is not None and info.footer.applied.get(frame.journal.id, 0) >= frame.seq


def _materialise(
    fs: FileSystem,
    layout: Layout,
    dataset: DatasetId,
    period: Period,
    info: FileInfo | None,
    due: Sequence[Due],
) -> Path:
    infos = [] if info is None else [info]
    names = arrow_schema(dataset.data_type).names
    batches = read_rows(fs, layout, dataset, infos, due, *period.interval, names)
    return _write((pa.Table.from_batches([batch]) for batch in batches), dataset)


def _write(tables: Iterator[pa.Table] | list[pa.Table], dataset: DatasetId) -> Path:
    path = _temporary_folder() / f"{uuid.uuid4().hex}.parquet"
    with pq.ParquetWriter(
        path, arrow_schema(dataset.data_type), **parquet_options(dataset.data_type)
    ) as writer:
        for table in row_groups(tables):
            writer.write_table(table)
    return path


@cache
def _temporary_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="dccd-scan-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
