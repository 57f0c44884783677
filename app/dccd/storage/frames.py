"""A frame: one page in a journal, as an object and as bytes.

::

    u32 length of the payload | u32 CRC | u64 sequence number | payload
    payload = u16 length of dataset | u32 length of meta | dataset | meta (JSON) | Arrow IPC record batch

The CRC covers sequence number and payload and starts from the journal's UUID, so that a block left over
from another file is no frame of this one. A frame is there whole or not at all: reading stops at the first
bad one.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pyarrow as pa
import pyarrow.compute

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId, Period
from dccd.domain.errors import DccdError
from dccd.domain.timeutils import HOUR_NS, US_NS
from dccd.storage.fs import Bytes, File
from dccd.storage.schema import arrow_schema

if TYPE_CHECKING:
    from dccd.storage.journal import Journal

pc: Any = pyarrow.compute  # its stubs refuse much of what the kernels take

_FRAME = struct.Struct("<IIQ")
_LENGTHS = struct.Struct("<HI")
_SEQ = struct.Struct("<Q")
_PAYLOAD_MAX = 1 << 30


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
    observation : str or None
        Pages of one observation count equal trades without ids together; None: the page is one by itself.
    rows_due : dict of Period to int
        Rows by period that no file holds yet.
    cover_due : IntervalSet
        What of `covered` neither a file nor the coverage database holds yet.
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
    observation: str | None = None
    rows_due: dict[Period, int] = field(default_factory=dict)
    cover_due: IntervalSet = field(default_factory=IntervalSet)
    copy_of: tuple[str, int] | None = None
    added_s: float = float("-inf")

    @property
    def due(self) -> bool:
        """Whether anything of it is not published yet."""
        return bool(self.rows_due or self.cover_due)

    @property
    def identity(self) -> tuple[str, int]:
        """The same for a page and its copies, and for no other page."""
        return self.copy_of or (self.journal.id, self.seq)

    @classmethod
    def of(
        cls, journal: Journal, dataset: DatasetId, seq: int, offset: int, size: int, meta: Mapping[str, Any]
    ) -> Self:
        """The frame that a journal has at `offset`, all of it due."""
        covered = IntervalSet(meta["covered"])
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
            meta.get("observation"),
            cover_due=covered,
            copy_of=_pair(meta.get("copy_of")),
        )

    def batch(self) -> pa.RecordBatch:
        """Its rows, read back from the journal."""
        return self.journal.read(self)

    def table(self) -> pa.Table:
        """:meth:`batch` as a table."""
        return pa.Table.from_batches([self.batch()])


class Parsed(NamedTuple):
    """A frame's parts, its CRC being right."""

    seq: int
    dataset: DatasetId
    meta: dict[str, Any]
    rows: pa.Buffer


def encode(dataset: DatasetId, meta: Mapping[str, Any], batch: pa.RecordBatch) -> tuple[bytes, memoryview]:
    """A frame's payload, in two parts."""
    name, text = str(dataset).encode(), json.dumps(meta, separators=(",", ":")).encode()
    return _LENGTHS.pack(len(name), len(text)) + name + text, memoryview(batch.serialize())


def sealed(head: bytes, rows: memoryview, seq: int, seed: int) -> tuple[Bytes, Bytes]:
    """A payload as a frame; `seed` is the journal's."""
    crc = zlib.crc32(rows, zlib.crc32(head, zlib.crc32(_SEQ.pack(seq), seed)))
    return _FRAME.pack(len(head) + len(rows), crc, seq) + head, rows


def meta_of(batch: pa.RecordBatch, covered: IntervalSet, **more: object) -> dict[str, Any]:
    """What a frame says of its page; what is empty is left out."""
    bounds = pc.min_max(batch.column(0).cast(pa.int64())).as_py() if batch.num_rows else None
    us = [bounds["min"], bounds["max"]] if bounds else [0, 0]
    said = {name: value for name, value in more.items() if value is not None and value != ""}
    return {"rows": batch.num_rows, "us": us, "covered": [*covered], **said}


def scan(journal: Journal, file: File, seed: int, offset: int) -> Iterator[tuple[Frame, int]]:
    """The good frames from `offset` on, with where each ends."""
    expected = 1
    while True:
        head = file.read_at(offset, _FRAME.size)
        if len(head) < _FRAME.size:
            return
        size = _FRAME.unpack(head)[0]
        if size > _PAYLOAD_MAX:
            return
        data = head + file.read_at(offset + _FRAME.size, size)
        parsed = parse(data, seed) if len(data) == _FRAME.size + size else None
        if parsed is None or parsed.seq != expected:
            return
        frame = Frame.of(journal, parsed.dataset, parsed.seq, offset, len(data), parsed.meta)
        set_due(frame, partial(pa.ipc.read_record_batch, parsed.rows, arrow_schema(parsed.dataset.data_type)))
        offset += len(data)
        expected += 1
        yield frame, offset


def parse(data: bytes, seed: int) -> Parsed | None:
    """A frame's bytes taken apart, None when they are no frame."""
    view = memoryview(data)
    size, crc, seq = _FRAME.unpack_from(view)
    if size < _LENGTHS.size or zlib.crc32(view[_FRAME.size - 8 :], seed) != crc:
        return None
    start = _FRAME.size + _LENGTHS.size
    name_size, meta_size = _LENGTHS.unpack_from(view, _FRAME.size)
    rows_at = start + name_size + meta_size
    try:
        dataset = _dataset(str(view[start : start + name_size], "utf-8"))
        meta = json.loads(bytes(view[start + name_size : rows_at]))
    except (ValueError, DccdError):
        return None
    return Parsed(seq, dataset, meta, pa.py_buffer(view[rows_at:]))


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
    if not frame.rows:
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
