"""The journal: an append-only log of pages, each with the coverage that it proves.

A file header (magic, version, random UUID, CRC), then frames (:mod:`dccd.storage.frames`).
"""

from __future__ import annotations

import logging
import struct
import threading
import uuid
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Self

import pyarrow as pa

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import CorruptFile, StorageError
from dccd.storage.frames import Frame, Readable, encode, meta_of, rows_of, sealed, set_due
from dccd.storage.fs import File, FileSystem, in_words
from dccd.storage.journal_scan import Hole, Patient, scan
from dccd.storage.predecessors import Predecessors
from dccd.storage.schema import SCHEMA_VERSION, arrow_schema

_log = logging.getLogger(__name__)

SUFFIX = ".journal"
SYNC_EVERY_S = 1.0
_NOTHING = IntervalSet()
_MAGIC = b"DCCDJRNL"
_HEADER = struct.Struct("<8sHH16sI")


class Journal:
    """One journal file, open for appending and reading. Thread-safe.

    Attributes
    ----------
    frames : list of Frame
        Its pages, but for those that are published.
    holes : list of Hole
        What in it was no page when it was opened.
    lost : dict
        By dataset, the time that the damaged ones among those pages were to prove.
    """

    HEADER_SIZE: ClassVar[int] = _HEADER.size

    def __init__(self, fs: FileSystem, path: Path, file: File, name: uuid.UUID) -> None:
        self.path = path
        self.id = name.hex
        self.frames: list[Frame] = []
        self.holes: list[Hole] = []
        self.lost: dict[DatasetId, IntervalSet] = {}
        self.predecessors = Predecessors()  # of this journal alone, until it is one of a store
        self._fs, self._file = fs, file
        self._seed = zlib.crc32(name.bytes)
        self._mutex = threading.RLock()
        self._seq = 0
        self._synced_size = 0
        self._broken: str | None = None
        self._readers = 0
        self._retired = self._left = False

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
                with suppress(OSError):  # one without pages is removed at the next start as well
                    fs.remove(path)
                raise
        return cls(fs, path, file, name)

    @classmethod
    def open(
        cls,
        fs: FileSystem,
        path: Path,
        *,
        write: bool = True,
        tell: Callable[[int], None] | None = None,
    ) -> Self:
        """A journal that exists, with the frames in it; :attr:`holes` says what else there is.

        A damaged header costs nothing: what it says, the file's name and the frames say too.

        Parameters
        ----------
        tell : callable or None
            Called at each frame with its offset; what it raises ends the reading.

        Raises
        ------
        CorruptFile
            There is neither a header of ours nor a frame.
        """
        with in_words(f"reading the journal {path.name}"):
            file = fs.open(path, write=write)
            try:
                start = Patient(file)
                name = _read_header(start)
                journal = cls(fs, path, file, name or _uuid_in(path))
                journal._scan(tell, sound=name is not None, refused=start.refused)
            except BaseException:
                file.close()
                raise
        return journal

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._file.size

    @property
    def seq(self) -> int:
        """Number of its last frame."""
        return self._seq

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
        copy_of: Frame | None = None,
        replaces: IntervalSet = _NOTHING,
        provisional: bool = False,
    ) -> Frame:
        """Write one page; once this returns, it survives the end of the process.

        Parameters
        ----------
        observation : str or None
            Pages of one observation, written one after the other, count equal trades without ids together.
            None: the page is one by itself.
        copy_of : Frame or None
            The page of another journal that this one repeats.
        replaces : IntervalSet
            Of what the page has all there is: rows of it that were written before are dead.
        provisional : bool
            Rows of bars that are still open.

        Raises
        ------
        DiskFull, StorageError
            Nothing of the page is in the journal then.
        """
        if (provisional and covered) or replaces - covered:
            raise StorageError(f"A page of {dataset} is to prove what it cannot: it is open, or not whole.")
        before = self.predecessors
        with self._mutex:
            if self._broken:
                raise StorageError(self._broken)
            if copy_of is not None:
                epoch, replaces, repeats = copy_of.epoch, copy_of.replaces, copy_of.repeats
            else:
                epoch = before.next_epoch(dataset) if replaces else before.epoch(dataset)
                repeats = before.repeats(dataset, observation, epoch, batch) if observation else ()
            meta = meta_of(
                batch,
                covered,
                cursor=cursor,
                source=source,
                epoch=epoch,
                replaces=[*replaces],
                provisional=provisional,
                repeats=repeats,
                copy_of=None if copy_of is None else copy_of.identity,
            )
            head, rows = encode(dataset, meta, batch)
            seq, offset = self._seq + 1, self._file.size
            with in_words(f"writing rows of {dataset}"):
                try:
                    self._file.append(*sealed(head, rows, seq, self._seed))
                except OSError:
                    self._cut(offset)
                    raise
            self._seq = seq
            if observation and copy_of is None:
                before.saw(dataset, observation, epoch, batch)
            frame = Frame.of(self, dataset, seq, offset, self._file.size - offset, meta)
            set_due(frame, batch)
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
        rows = rows_of(data, frame.seq, self._seed) if len(data) == frame.size else None
        if rows is None:
            raise CorruptFile(
                f"A page of {frame.dataset} in the journal {self.path.name} cannot be read back."
            )
        return pa.ipc.read_record_batch(rows, arrow_schema(frame.dataset.data_type))

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
            try:
                with in_words("removing a published journal"):
                    self._file.close()
                    if not self._left:
                        self._fs.remove(self.path)
                        self._fs.sync_folder(self.path.parent)
            except StorageError as error:  # the next start removes it; who is done with it has all he wanted
                _log.warning("%s: %s", self.path.name, error)

    def _cut(self, offset: int) -> None:
        """Take back a page that was written in part."""
        try:
            self._file.truncate(offset)
        except OSError as error:
            self._broken = f"A journal cannot be written any more ({error.strerror}); start the run again."

    def _scan(self, tell: Callable[[int], None] | None, *, sound: bool, refused: bool) -> None:
        found = scan(self, self._file, self._seed, _HEADER.size, tell)
        if not sound:
            if not found.frames and refused:
                raise StorageError("the disk would not have it read")
            if not found.frames:
                raise CorruptFile(f"The journal {self.path.name} has no readable header.")
            found.holes.insert(0, Hole(0, _HEADER.size, refused))
        self.frames, self.holes, self.lost = found.frames, found.holes, found.lost
        self._seq = found.frames[-1].seq if found.frames else 0
        self._synced_size = 0  # whoever wrote it may have died before the disk had it

    def read_hole(self, hole: Hole) -> bytes:
        """What is there instead of a page."""
        with in_words(f"reading the journal {self.path.name}"):
            return self._file.read_at(hole.offset, hole.size)

    def leave(self) -> None:
        """Keep the file when it retires: its holes could not be put aside. The next start tries again."""
        self._left = True


def _read_header(file: Readable) -> uuid.UUID | None:
    head = file.read_at(0, _HEADER.size)
    if len(head) == _HEADER.size:
        magic, version, _schema, name, crc = _HEADER.unpack(head)
        if magic == _MAGIC and crc == zlib.crc32(head[:-4]) and version == 1:
            return uuid.UUID(bytes=name)
    return None


def _uuid_in(path: Path) -> uuid.UUID:
    try:
        return uuid.UUID(hex=path.stem)
    except ValueError:
        raise CorruptFile(f"The journal {path.name} has no readable header.") from None
