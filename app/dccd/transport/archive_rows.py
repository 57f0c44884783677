"""The rows of an archive's file: unpacked and read a bounded piece at a time."""

from __future__ import annotations

import errno
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv

from dccd.domain.dataset import SPAN_TYPES
from dccd.domain.errors import MalformedPayload
from dccd.domain.records import SCHEMAS, Column, Kind
from dccd.domain.timeutils import MS_NS, S_NS, US_NS
from dccd.domain.types import DataType
from dccd.sources.base import Table

pc: Any = pyarrow.compute  # its stubs refuse much of what the kernels take

# Some seventy thousand trades, of which a page is made.
_BLOCK_BYTES = 4 << 20
_LINE_BYTES = 1 << 16
# Lines of numbers become a tenth, seldom a fiftieth, of their size: more is no table.
_RATIO_MAX = 200
_ALWAYS_BYTES = 64 << 20
_TYPES: dict[Kind, Any] = {
    Kind.FLOAT: pa.float64(),
    Kind.INT: pa.int64(),
    Kind.TEXT: pa.string(),
    Kind.SIDE: pa.string(),
}
_TIMES: dict[str, Any] = {"integer": pa.int64(), "seconds": pa.float64(), "text": pa.string()}
# An integer below the first is seconds, and so on: each is in the year 5138, or in 1973 of the next unit.
_UNITS = ((10**11, S_NS), (10**14, MS_NS), (10**17, US_NS))

Arrays: TypeAlias = dict[str, Any]  # Arrow arrays of one length


def whole(path: Path) -> None:
    """Unpack a file from end to end, for the sums kept in it.

    Raises
    ------
    ValueError
        It is cut short, damaged or no such file.
    """
    with _unpacked(path) as file:
        while file.read(1 << 20):
            pass


def rows(path: Path, table: Table, data_type: DataType) -> Generator[Arrays, None, None]:
    """The columns of a file's rows by their names in :mod:`dccd.domain.records`, in the file's order.

    Trades without ids come in whole instants: all of one time are in one piece.

    Raises
    ------
    MalformedPayload
        It is not such a table.
    """
    try:
        with _unpacked(path) as file:
            pieces = _pieces(file, table, data_type)
            identified = data_type is not DataType.TRADES or {"tid", "tid_num"} & table.columns.keys()
            yield from pieces if identified else _whole_instants(pieces)
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise MalformedPayload(
            f"The file {path.name.partition('-')[2]} has something else in it than is documented: {error}."
        ) from error


@contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    """The one table in a file; whatever is wrong with the file is a :exc:`ValueError`."""
    size = path.stat().st_size
    if not size:  # which gzip takes for a file of nothing
        raise ValueError("it cannot be unpacked (it is empty)")
    most = max(_ALWAYS_BYTES, _RATIO_MAX * size)
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                [inside] = [item for item in archive.infolist() if item.filename.endswith(".csv")]
                with archive.open(inside) as file:
                    yield _Bounded(file, most)  # type: ignore[misc]
        else:
            with gzip.open(path) as file:
                yield _Bounded(file, most)  # type: ignore[misc]
    except (zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, RuntimeError, OSError) as error:
        # A damaged zip may call itself encrypted, or send its reader to places that no file has; a disk that
        # cannot be read is no such thing.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise ValueError(f"it cannot be unpacked ({error})") from error


class _Bounded:
    """A file to read, with an end to what may come out of it; pieces can be put back."""

    closed = False

    def __init__(self, file: Any, most: int) -> None:
        self._file, self._left, self._back = file, most, b""

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes."""
        if self._back:
            given, self._back = self._back[:size], self._back[size:]
            return given
        data: bytes = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise ValueError("it unpacks to far more than such a table can be")
        return data

    def line(self) -> bytes:
        """The first line, taken off."""
        data = self.read(_LINE_BYTES)
        line, end, self._back = data.partition(b"\n")
        if not end and len(data) == _LINE_BYTES:
            raise ValueError("it has no lines")
        return line

    def put_back(self, line: bytes) -> None:
        """Undo :meth:`line`."""
        self._back = line + b"\n" + self._back


def _pieces(file: Any, table: Table, data_type: DataType) -> Iterator[Arrays]:
    line = file.line()
    first = [name.strip().strip('"\ufeff') for name in line.decode("latin-1").split(",")]
    names = [*table.names, *(f"column {place}" for place in range(len(table.names), len(first)))]
    place = names.index(table.columns["ts"])
    if len(first) > place and first[place][:1].isdecimal():
        file.put_back(line)
    elif line.strip():
        names = [name.partition("/")[0].strip().lower() for name in first]
    else:
        return  # not even names
    schema = {column.name: column for column in SCHEMAS[data_type].columns}
    wanted = {ours: theirs.lower() for ours, theirs in table.columns.items()}
    names = [name.lower() for name in names]
    types = {theirs: _type(schema[ours], table) for ours, theirs in wanted.items()}
    if table.where is not None:
        types[table.where[0].lower()] = pa.string()
    if missing := types.keys() - set(names):
        raise ValueError(f"no column {', '.join(sorted(missing))} in its first line {line[:200]!r}")
    try:
        reader = pyarrow.csv.open_csv(
            file,
            pyarrow.csv.ReadOptions(column_names=names, block_size=_BLOCK_BYTES, use_threads=False),
            convert_options=pyarrow.csv.ConvertOptions(column_types=types, include_columns=list(types)),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            return
        raise
    for batch in reader:
        lines = batch
        if table.where is not None:
            lines = lines.filter(pc.equal(lines[table.where[0].lower()], table.where[1]))
        if data_type in SPAN_TYPES:  # what a bar lacks is asked for elsewhere, as no bar would be
            for ours in (column.name for column in schema.values() if not column.nullable):
                lines = lines.filter(lines[wanted[ours]].is_valid())
        if lines.num_rows:
            columns = {ours: _column(schema[ours], table, lines[name]) for ours, name in wanted.items()}
            yield _sound(columns, schema)


def _type(column: Column, table: Table) -> Any:
    return _TIMES[table.times] if column.kind is Kind.TIME else _TYPES[column.kind]


def _column(column: Column, table: Table, values: Any) -> Any:
    if column.kind is Kind.TIME:
        return _times(values)
    convert = table.convert.get(column.name)
    if convert is None:
        return values
    coded = values.dictionary_encode()
    return pa.array(convert(coded.dictionary.to_pylist()), _TYPES[column.kind]).take(coded.indices)


def _times(values: Any) -> Any:
    """Nanoseconds since 1970."""
    if pa.types.is_floating(values.type):  # seconds: a float64 is good for their microseconds
        us = pc.round(pc.multiply(values, 1e6)).cast(pa.int64())
        return pc.multiply(us, US_NS)
    if pa.types.is_string(values.type):
        plain = pc.replace_substring_regex(values, "[DT]", " ")
        return pc.utf8_rtrim(plain, characters="Z").cast(pa.timestamp("ns")).cast(pa.int64())
    found = values
    for below, unit_ns in reversed(_UNITS):
        # Not computed where it does not apply: it would not fit.
        small = pc.if_else(pc.less(values, below), values, 0)
        found = pc.if_else(pc.less(values, below), pc.multiply(small, unit_ns), found)
    return found


def _sound(arrays: Arrays, schema: dict[str, Column]) -> Arrays:
    """The same columns, once no number is infinite, and no value is lacking that must be there."""
    for name, values in arrays.items():
        if not schema[name].nullable and values.null_count:
            raise ValueError(f"a row without {name}")
        if pa.types.is_floating(values.type) and pc.all(pc.is_finite(values)).as_py() is False:
            raise ValueError(f"a {name} that is not a number")
    return arrays


def _whole_instants(pieces: Iterator[Arrays]) -> Iterator[Arrays]:
    """The same rows, the last instant of a piece kept back for the next; they have to be in order of time."""
    kept: pa.Table | None = None
    for piece in pieces:
        table = pa.table(piece)
        if kept is not None:
            table = pa.concat_tables([kept, table])
        ts = table["ts"].combine_chunks()
        if not pc.all(pc.less_equal(ts[:-1], ts[1:])).as_py():
            raise ValueError("its rows are not in order of time")
        done = pc.index(ts, ts[-1]).as_py()
        if done:
            yield _arrays(table.slice(0, done))
        kept = table.slice(done)
    if kept is not None:
        yield _arrays(kept)


def _arrays(table: pa.Table) -> Arrays:
    return {name: table[name].combine_chunks() for name in table.column_names}
