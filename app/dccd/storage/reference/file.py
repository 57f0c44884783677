"""One of the package's Parquet files, in pages that hold each timestamp whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from dccd.domain.errors import CorruptFile, DccdError

pc: Any = pyarrow.compute  # its stubs refuse much of what the kernels take

PAGE_ROWS = 1 << 17
# A file out of order, which the package never writes, is put in order in memory up to this many rows.
UNSORTED_ROWS_MAX = 8_000_000
TIME = "TS"


class UnreadableOldFile(DccdError):
    """A file of the package's folder that cannot be taken over; it stays where it is."""

    code = "unreadable_old_file"


@dataclass(frozen=True, slots=True)
class OldFile:
    """A file at a glance.

    Attributes
    ----------
    columns : tuple of str
    first_ns, last_ns : int or None
        As its own statistics say; None where they say nothing.
    """

    path: Path
    rows: int
    columns: tuple[str, ...]
    first_ns: int | None
    last_ns: int | None


def look(path: Path) -> OldFile:
    """A file through its footer.

    Raises
    ------
    UnreadableOldFile
        It is no Parquet file, or has no times.
    """
    with _opened(path) as file:
        metadata, columns = file.metadata, tuple(file.schema_arrow.names)
        index = _time_index(file)
        bounds: list[int] = []
        for number in range(metadata.num_row_groups):
            statistics = metadata.row_group(number).column(index).statistics
            if statistics is not None and statistics.has_min_max:
                bounds += [statistics.min, statistics.max]  # type: ignore[list-item]
        return OldFile(
            path,
            metadata.num_rows,
            columns,
            min(bounds, default=None),
            max(bounds, default=None),
        )


def read_pages(path: Path, columns: Sequence[str], page_rows: int = PAGE_ROWS) -> Iterator[pa.Table]:
    """The rows of a file in order of time, a page at a time, those without a time last.

    Parameters
    ----------
    columns : sequence of str
        Which columns, of those that the file has; `TS` first.
    page_rows : int
        About how many rows a page has. All rows of one timestamp are in one page, so that equal trades can be
        counted in it.

    Yields
    ------
    pa.Table
        `TS` as int64.

    Raises
    ------
    UnreadableOldFile
        It is damaged, or in no order and too large to be put in one. Pages before that are good.
    """
    with _opened(path) as file:
        _time_index(file)
        names = [name for name in columns if name in file.schema_arrow.names]
        if not _in_order(file):
            if file.metadata.num_rows > UNSORTED_ROWS_MAX:
                raise UnreadableOldFile(
                    f"its {file.metadata.num_rows:,} rows are in no order of time, and too many to sort"
                )
            table = _timed(file.read(names, use_threads=False))
            yield table.sort_by(TIME)
            return
        held: pa.Table | None = None
        for batch in file.iter_batches(page_rows, columns=names, use_threads=False):
            table = _timed(pa.Table.from_batches([batch]))
            if held is not None:
                table = pa.concat_tables([held, table])
            last = pc.index(table[TIME], table[TIME][-1]).as_py()
            if last > 0:
                yield table.slice(0, last)
            held = table.slice(last)
        if held is not None:
            yield held


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    """A file, read a buffer at a time; whatever Arrow finds wrong with it, in words."""
    try:
        # Not by its name: Arrow would map it, and a file that shrinks meanwhile would end the process.
        with pa.OSFile(str(path), "rb") as source, pq.ParquetFile(source, buffer_size=1 << 20) as file:
            yield file
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, CorruptFile) as error:
        raise UnreadableOldFile(f"it cannot be read ({str(error).splitlines()[0]})") from error


def _time_index(file: pq.ParquetFile) -> int:
    names = file.schema_arrow.names
    if TIME not in names:
        raise UnreadableOldFile(f"it has no column {TIME}, but {', '.join(names[:8]) or 'none at all'}")
    kind = file.schema_arrow.field(TIME).type
    if not pa.types.is_integer(kind):
        raise UnreadableOldFile(f"its column {TIME} is {kind}, not nanoseconds as integers")
    return next(i for i in range(len(file.schema.names)) if file.schema.column(i).path == TIME)


def _timed(table: pa.Table) -> pa.Table:
    return table.set_column(0, TIME, table[TIME].cast(pa.int64()))


def _in_order(file: pq.ParquetFile) -> bool:
    last = None
    for batch in file.iter_batches(PAGE_ROWS, columns=[TIME], use_threads=False):
        ts = batch.column(0).cast(pa.int64())
        if ts.null_count:
            return False
        if len(ts) > 1 and not pc.all(pc.less_equal(ts.slice(0, len(ts) - 1), ts.slice(1))).as_py():
            return False
        if last is not None and len(ts) and ts[0].as_py() < last:
            return False
        last = ts[-1].as_py() if len(ts) else last
    return True
