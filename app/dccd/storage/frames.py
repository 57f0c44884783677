"""A frame: one page in a journal, as an object and as bytes.

::

    mark | u32 length of the payload | u32 CRC of the head | u32 CRC | u64 sequence number | payload
    payload = u16 length of dataset | u32 length of meta | dataset | meta (JSON) | Arrow IPC record batch

The CRC covers sequence number and payload and starts from the journal's UUID, so that a block left over
from another file is no frame of this one. A frame is there whole or not at all. The head (all but the record
batch) has a CRC of its own: where rows are damaged, it says which were, and where the next frame starts. The
mark is only looked for where even that cannot be read.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

import msgspec.json
import pyarrow as pa
import pyarrow.compute

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId, Period
from dccd.domain.errors import DccdError
from dccd.domain.timeutils import HOUR_NS, US_NS
from dccd.storage.epochs import NOTHING_REPLACED, Replaced
from dccd.storage.fs import Bytes
from dccd.storage.merge import with_repeats
from dccd.storage.predecessors import Repeats

if TYPE_CHECKING:
    from dccd.storage.journal import Journal

pc: Any = pyarrow.compute  # its stubs refuse much of what the kernels take

MARK = b"PAGE"
_FRAME = struct.Struct("<4sIIIQ")
_LENGTHS = struct.Struct("<HI")
_HEAD = struct.Struct("<IQ")  # of the frame's beginning, what the CRC of the head covers
_SEQ = struct.Struct("<Q")
_NOTHING = IntervalSet()


@dataclass(slots=True, eq=False)
class Frame:
    """One page in a journal.

    Attributes
    ----------
    seq : int
        Rises by one from frame to frame of a journal, from 1.
    min_us, max_us : int
        First and last timestamp in microseconds, both inclusive; 0 without rows.
    covered : IntervalSet
        What the page proves fetched whole.
    source : str
        Where the rows came from.
    epoch : int
        How many replacements of the dataset were known; see :mod:`dccd.storage.epochs`.
    replaces : IntervalSet
        Of what the page has all there is: rows there from smaller epochs are dead.
    provisional : bool
        Rows of bars that are still open. Never due, and forgotten at the next start.
    repeats : tuple of (int, int)
        Rows that equal rows of earlier pages of their observation, and how many each.
    rows_due : dict of Period to int
        Rows by period that no file holds yet.
    cover_due : IntervalSet
        What of `covered` neither a file nor the coverage database holds yet.
    replaces_due : IntervalSet
        What of `replaces` no file holds yet.
    copy_of : tuple of str and int, or None
        Journal and number of the page that this one repeats, the disk not having synced that one. Only one
        of such pages counts.
    added_s : float
        When it became due, on the store's monotonic clock; minus infinity for what an earlier process left.
    """

    journal: Journal
    dataset: DatasetId
    seq: int
    offset: int
    size: int
    rows: int
    min_us: int
    max_us: int
    covered: IntervalSet
    cursor: str | None = None
    source: str = ""
    epoch: int = 0
    replaces: IntervalSet = _NOTHING
    provisional: bool = False
    repeats: Repeats = ()
    rows_due: dict[Period, int] = field(default_factory=dict)
    cover_due: IntervalSet = _NOTHING
    replaces_due: IntervalSet = _NOTHING
    copy_of: tuple[str, int] | None = None
    added_s: float = float("-inf")

    @property
    def due(self) -> bool:
        """Whether anything of it is not published yet."""
        return bool(self.rows_due or self.cover_due or self.replaces_due)

    @property
    def replaced(self) -> Replaced:
        """What the page replaces, and in which epoch."""
        return Replaced([(self.epoch, self.replaces)]) if self.replaces else NOTHING_REPLACED

    @property
    def identity(self) -> tuple[str, int]:
        """The same for a page and its copies, and for no other page."""
        return self.copy_of or (self.journal.id, self.seq)

    @classmethod
    def of(
        cls, journal: Journal, dataset: DatasetId, seq: int, offset: int, size: int, meta: Mapping[str, Any]
    ) -> Self:
        """The frame that a journal has at `offset`, all of it due."""
        covered, replaces = IntervalSet(meta["covered"]), IntervalSet(meta.get("replaces", ()))
        return cls(
            journal,
            dataset,
            seq,
            offset,
            size,
            meta["rows"],
            meta["us"][0],
            meta["us"][1],
            covered,
            meta.get("cursor"),
            meta.get("source", ""),
            meta.get("epoch", 0),
            replaces,
            meta.get("provisional", False),
            tuple((row, count) for row, count in meta.get("repeats", ())),
            cover_due=covered,
            replaces_due=replaces,
            copy_of=_pair(meta.get("copy_of")),
        )

    def batch(self) -> pa.RecordBatch:
        """Its rows, read back from the journal."""
        return self.journal.read(self)

    def table(self) -> pa.Table:
        """:meth:`batch` as a table to merge."""
        table = pa.Table.from_batches([self.batch()])
        return with_repeats(table, self.repeats) if self.repeats else table


class Parsed(NamedTuple):
    """A frame's parts, its CRC being right."""

    seq: int
    dataset: DatasetId
    meta: dict[str, Any]
    rows: pa.Buffer


class Readable(Protocol):
    """What is needed of a file to read frames from it."""

    @property
    def size(self) -> int:
        """Bytes in the file."""
        ...

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer only at the end."""
        ...


class Head(NamedTuple):
    """What a frame says of itself, its head's CRC being right; `size` is that of the whole frame."""

    seq: int
    size: int
    dataset: DatasetId
    meta: dict[str, Any]


def encode(dataset: DatasetId, meta: Mapping[str, Any], batch: pa.RecordBatch) -> tuple[bytes, memoryview]:
    """A frame's payload, in two parts."""
    name, text = str(dataset).encode(), json.dumps(meta, separators=(",", ":")).encode()
    return _LENGTHS.pack(len(name), len(text)) + name + text, memoryview(batch.serialize())


def sealed(head: bytes, rows: memoryview, seq: int, seed: int) -> tuple[Bytes, Bytes]:
    """A payload as a frame; `seed` is the journal's."""
    size = len(head) + len(rows)
    crc = zlib.crc32(rows, zlib.crc32(head, zlib.crc32(_SEQ.pack(seq), seed)))
    return _FRAME.pack(MARK, size, _head_crc(size, seq, head, seed), crc, seq) + head, rows


def meta_of(batch: pa.RecordBatch, covered: IntervalSet, **more: object) -> dict[str, Any]:
    """What a frame says of its page; what is empty is left out."""
    bounds = pc.min_max(batch.column(0).cast(pa.int64())).as_py() if batch.num_rows else None
    us = [bounds["min"], bounds["max"]] if bounds else [0, 0]
    said = {name: value for name, value in more.items() if value}
    return {"rows": batch.num_rows, "us": us, "covered": [*covered], **said}


def read_whole(file: Readable, offset: int) -> bytes | None:
    """The bytes of the frame at `offset`, None when the file has fewer than it says of itself."""
    start = file.read_at(offset, _FRAME.size)
    if len(start) < _FRAME.size:
        return None
    size = _FRAME.unpack(start)[1]
    if size > file.size - offset - _FRAME.size:
        return None
    return start + file.read_at(offset + _FRAME.size, size)


def read_head(file: Readable, offset: int, seed: int) -> Head | None:
    """What the frame at `offset` says of itself, None when its head is damaged or cut short."""
    start = file.read_at(offset, _FRAME.size + _LENGTHS.size)
    if len(start) < _FRAME.size + _LENGTHS.size:
        return None
    _, size, crc, _, seq = _FRAME.unpack_from(start)
    name_size, meta_size = _LENGTHS.unpack_from(start, _FRAME.size)
    if _LENGTHS.size + name_size + meta_size > min(size, file.size - offset - _FRAME.size):
        return None
    rest = file.read_at(offset + len(start), name_size + meta_size)
    if _head_crc(size, seq, start[_FRAME.size :] + rest, seed) != crc:
        return None
    said = _said(memoryview(rest), name_size)
    return None if said is None else Head(seq, _FRAME.size + size, *said)


def rows_of(data: bytes, seq: int, seed: int) -> pa.Buffer | None:
    """The rows of a frame that was parsed before, None when its bytes are others by now."""
    view = memoryview(data)
    if len(data) < _FRAME.size + _LENGTHS.size or _FRAME.unpack_from(view)[4] != seq:
        return None
    if zlib.crc32(view[_FRAME.size - _SEQ.size :], seed) != _FRAME.unpack_from(view)[3]:
        return None
    name_size, meta_size = _LENGTHS.unpack_from(view, _FRAME.size)
    return pa.py_buffer(view[_FRAME.size + _LENGTHS.size + name_size + meta_size :])


def parse(data: bytes, seed: int) -> Parsed | None:
    """A frame's bytes taken apart, None when they are no frame."""
    view = memoryview(data)
    _, size, _, crc, seq = _FRAME.unpack_from(view)
    if size < _LENGTHS.size or zlib.crc32(view[_FRAME.size - _SEQ.size :], seed) != crc:
        return None
    start = _FRAME.size + _LENGTHS.size
    name_size, meta_size = _LENGTHS.unpack_from(view, _FRAME.size)
    rows_at = start + name_size + meta_size
    said = _said(view[start:rows_at], name_size)
    return None if said is None else Parsed(seq, *said, pa.py_buffer(view[rows_at:]))


def _head_crc(size: int, seq: int, head: bytes, seed: int) -> int:
    return zlib.crc32(head, zlib.crc32(_HEAD.pack(size, seq), seed))


def _said(text: memoryview, name_size: int) -> tuple[DatasetId, dict[str, Any]] | None:
    """The dataset and what is said of the page."""
    try:
        return _dataset(str(text[:name_size], "utf-8")), msgspec.json.decode(text[name_size:])
    except (ValueError, DccdError):
        return None


def _pair(item: Sequence[Any] | None) -> tuple[str, int] | None:
    return (item[0], item[1]) if item else None


@lru_cache(maxsize=1024)
def _dataset(text: str) -> DatasetId:
    return DatasetId.parse(text)  # a journal names few datasets, in each of its frames


@lru_cache(maxsize=4096)
def _period(dataset: DatasetId, hour: int) -> Period:
    return dataset.period(hour * HOUR_NS)  # made of whole hours; one object for the thousands of pages in it


def set_due(frame: Frame, batch: pa.RecordBatch | Callable[[], pa.RecordBatch]) -> None:
    """Note which periods a frame has rows for; the rows are looked at only when there are several."""
    if not frame.rows or frame.provisional:
        return
    first = _period(frame.dataset, frame.min_us * US_NS // HOUR_NS)
    if frame.max_us * US_NS < first.interval.end_ns:
        frame.rows_due = {first: frame.rows}
        return
    ts = (batch() if callable(batch) else batch).column(0).cast(pa.int64())
    for period in frame.dataset.periods(frame.min_us * US_NS, frame.max_us * US_NS + 1):
        start, end = (pa.scalar(ns // US_NS, pa.int64()) for ns in period.interval)
        inside = pc.and_(pc.greater_equal(ts, start), pc.less(ts, end))
        count = pc.sum(inside).as_py()
        if count:
            frame.rows_due[period] = count
