"""The journal: an append-only log of pages, each with the coverage that it proves.

A file header (magic, version, random UUID, CRC), then frames::

    u32 length of the payload | u32 CRC | u64 sequence number | payload
    payload = u16 length of dataset | u32 length of meta | dataset | meta (JSON) | Arrow IPC record batch

The CRC covers sequence number and payload and starts from the journal's UUID, so that a block left over
from another file is no frame of this one. A frame is there whole or not at all: reading stops at the first
bad one.
"""

from __future__ import annotations

import json
import struct
import threading
import uuid
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import pyarrow as pa
import pyarrow.compute

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId, Period
from dccd.domain.errors import CorruptFile, DccdError, StorageError
from dccd.domain.timeutils import US_NS
from dccd.storage.fs import File, FileSystem, in_words
from dccd.storage.schema import SCHEMA_VERSION, arrow_schema

pc: Any = pyarrow.compute  # its stubs refuse much of what the kernels take

SUFFIX = ".journal"
SYNC_EVERY_S = 1.0
_MAGIC = b"DCCDJRNL"
_HEADER = struct.Struct("<8sHH16sI")
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

    @property
    def due(self) -> bool:
        """Whether anything of it is not published yet."""
        return bool(self.rows_due or self.cover_due)

    def batch(self) -> pa.RecordBatch:
        """Its rows, read back from the journal."""
        return self.journal.read(self)

    def table(self) -> pa.Table:
        """:meth:`batch` as a table."""
        return pa.Table.from_batches([self.batch()])


class Torn(NamedTuple):
    """The end of a journal that is no frame."""

    offset: int
    size: int


class Journal:
    """One journal file, open for appending and reading. Thread-safe."""

    HEADER_SIZE: ClassVar[int] = _HEADER.size

    def __init__(self, fs: FileSystem, path: Path, file: File, name: uuid.UUID) -> None:
        self.path = path
        self.id = name.hex
        self.frames: list[Frame] = []
        self.torn: Torn | None = None
        self._fs, self._file = fs, file
        self._seed = zlib.crc32(name.bytes)
        self._mutex = threading.RLock()
        self._seq = 0
        self._synced_size = 0
        self._broken: str | None = None
        self._readers = 0
        self._retired = False

    @classmethod
    def create(cls, fs: FileSystem, folder: Path) -> Self:
        """A new journal in `folder`, its name durable."""
        name = uuid.uuid4()
        path = folder / f"{name.hex}{SUFFIX}"
        with in_words("making a journal"):
            file = fs.create(path)
            try:
                head = _HEADER.pack(_MAGIC, 1, SCHEMA_VERSION, name.bytes, 0)[:-4]
                file.append(head, struct.pack("<I", zlib.crc32(head)))
                file.sync()
                fs.sync_folder(folder)
            except BaseException:
                file.close()
                raise
        return cls(fs, path, file, name)

    @classmethod
    def open(cls, fs: FileSystem, path: Path, *, write: bool = True) -> Self:
        """A journal that exists, with the frames in it; :attr:`torn` says what follows the last good one.

        Raises
        ------
        CorruptFile
            The header is not one of ours.
        """
        with in_words(f"reading the journal {path.name}"):
            file = fs.open(path, write=write)
            try:
                name = _read_header(path, file)
                journal = cls(fs, path, file, name)
                journal._scan()
            except BaseException:
                file.close()
                raise
        return journal

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._file.size

    @property
    def usable(self) -> bool:
        """Whether it takes pages; after a failed sync or close it does not, and can still be read."""
        return self._broken is None

    def append(
        self,
        dataset: DatasetId,
        batch: pa.RecordBatch,
        covered: IntervalSet,
        cursor: str | None = None,
        *,
        source: str = "",
        observation: str | None = None,
    ) -> Frame:
        """Write one page; once this returns, it survives the end of the process.

        Raises
        ------
        DiskFull, StorageError
            Nothing of the page is in the journal then.
        """
        bounds = pc.min_max(batch.column(0).cast(pa.int64())).as_py() if batch.num_rows else None
        first, last = (bounds["min"], bounds["max"]) if bounds else (0, 0)
        meta: dict[str, Any] = {"rows": batch.num_rows, "us": [first, last], "covered": [*covered]}
        if cursor is not None:
            meta["cursor"] = cursor
        if source:
            meta["source"] = source
        if observation is not None:
            meta["observation"] = observation
        name, text = str(dataset).encode(), json.dumps(meta, separators=(",", ":")).encode()
        rows = memoryview(batch.serialize())
        head = _LENGTHS.pack(len(name), len(text)) + name + text
        with self._mutex:
            if self._broken:
                raise StorageError(self._broken)
            seq, offset = self._seq + 1, self._file.size
            crc = zlib.crc32(rows, zlib.crc32(head, zlib.crc32(_SEQ.pack(seq), self._seed)))
            size = len(head) + len(rows)
            with in_words(f"writing rows of {dataset}"):
                try:
                    self._file.append(_FRAME.pack(size, crc, seq) + head, rows)
                except OSError:
                    self._cut(offset)
                    raise
            self._seq = seq
            frame = Frame(
                self,
                dataset,
                seq,
                offset,
                _FRAME.size + size,
                batch.num_rows,
                first,
                last,
                covered,
                cursor,
                source,
                observation,
            )
            _set_due(frame, batch)
            self.frames.append(frame)
            return frame

    def sync(self) -> None:
        """Make what was appended survive a power cut.

        Raises
        ------
        StorageError
            The disk refused. It may have dropped anything since the last sync, so it is never asked again
            for this journal, which takes no more pages.
        """
        with self._mutex:
            if self._broken:
                raise StorageError(self._broken)
            if self._synced_size == self._file.size:
                return
            with in_words("syncing a journal"):
                try:
                    self._file.sync()
                except OSError:
                    self._broken = (
                        "A journal could not be synced to disk; start the run again to use a new one."
                    )
                    raise
            self._synced_size = self._file.size

    def read(self, frame: Frame) -> pa.RecordBatch:
        """The rows of a frame, its CRC checked again.

        Raises
        ------
        CorruptFile
            The disk gave back other bytes than were written.
        """
        with in_words(f"reading the journal {self.path.name}"):
            data = self._file.read_at(frame.offset, frame.size)
        parsed = _parse(data, self._seed) if len(data) == frame.size else None
        if parsed is None or parsed.seq != frame.seq:
            raise CorruptFile(
                f"A page of {frame.dataset} in the journal {self.path.name} cannot be read back."
            )
        return pa.ipc.read_record_batch(parsed.rows, arrow_schema(frame.dataset.data_type))

    def settle(self) -> None:
        """Forget frames that are published; they stay in the file until the journal retires."""
        with self._mutex:
            self.frames = [frame for frame in self.frames if frame.due]

    def pin(self) -> None:
        """Keep the file readable until :meth:`unpin`, retired or not."""
        with self._mutex:
            self._readers += 1

    def unpin(self) -> None:
        """Undo one :meth:`pin`."""
        with self._mutex:
            self._readers -= 1
            self._drop_if_free()

    def retire(self) -> None:
        """Remove the file, all of it being published; at once, or when its last reader is done."""
        with self._mutex:
            self._retired = True
            self._broken = "This journal has been published and removed."
            self._drop_if_free()

    def close(self) -> None:
        """Close the file and leave it for the next start."""
        with self._mutex:
            self._broken = self._broken or "The data folder has been closed."
            self._file.close()

    def _drop_if_free(self) -> None:
        if self._retired and self._readers == 0:
            self._file.close()
            with in_words("removing a published journal"):
                self._fs.remove(self.path)
                self._fs.sync_folder(self.path.parent)

    def _cut(self, offset: int) -> None:
        """Take back a page that was written in part."""
        try:
            self._file.truncate(offset)
        except OSError as error:
            self._broken = f"A journal cannot be written any more ({error.strerror}); start the run again."

    def _scan(self) -> None:
        offset = _HEADER.size
        for frame, end in _frames(self, self._file, self._seed, offset):
            self.frames.append(frame)
            self._seq, offset = frame.seq, end
        self._synced_size = 0  # whoever wrote it may have died before the disk had it
        if offset < self._file.size:
            self.torn = Torn(offset, self._file.size - offset)

    def read_torn(self) -> bytes:
        """What follows the last good frame."""
        if self.torn is None:
            return b""
        with in_words(f"reading the journal {self.path.name}"):
            return self._file.read_at(*self.torn)

    def cut_torn(self) -> None:
        """Cut off what follows the last good frame."""
        if self.torn is not None:
            with self._mutex, in_words(f"repairing the journal {self.path.name}"):
                self._file.truncate(self.torn.offset)
                self._file.sync()
                self.torn = None


class _Parsed(NamedTuple):
    seq: int
    dataset: DatasetId
    meta: dict[str, Any]
    rows: pa.Buffer


def _read_header(path: Path, file: File) -> uuid.UUID:
    head = file.read_at(0, _HEADER.size)
    if len(head) == _HEADER.size:
        magic, version, _schema, name, crc = _HEADER.unpack(head)
        if magic == _MAGIC and crc == zlib.crc32(head[:-4]) and version == 1:
            return uuid.UUID(bytes=name)
    raise CorruptFile(f"The journal {path.name} has no readable header.")


def _frames(journal: Journal, file: File, seed: int, offset: int) -> Iterator[tuple[Frame, int]]:
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
        parsed = _parse(data, seed) if len(data) == _FRAME.size + size else None
        if parsed is None or parsed.seq != expected:
            return
        meta = parsed.meta
        frame = Frame(
            journal,
            parsed.dataset,
            parsed.seq,
            offset,
            len(data),
            meta["rows"],
            meta["us"][0],
            meta["us"][1],
            IntervalSet(meta["covered"]),
            meta.get("cursor"),
            meta.get("source", ""),
            meta.get("observation"),
        )
        _set_due(
            frame, partial(pa.ipc.read_record_batch, parsed.rows, arrow_schema(parsed.dataset.data_type))
        )
        offset += len(data)
        expected += 1
        yield frame, offset


def _parse(data: bytes, seed: int) -> _Parsed | None:
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
    return _Parsed(seq, dataset, meta, pa.py_buffer(view[rows_at:]))


@lru_cache(maxsize=1024)
def _dataset(text: str) -> DatasetId:
    return DatasetId.parse(text)  # a journal names few datasets, in each of its frames


def _set_due(frame: Frame, batch: pa.RecordBatch | Callable[[], pa.RecordBatch]) -> None:
    """Note which periods a frame has rows for; the rows are looked at only when there are several."""
    frame.cover_due = frame.covered
    if not frame.rows:
        return
    first = frame.dataset.period(frame.min_us * US_NS)
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
