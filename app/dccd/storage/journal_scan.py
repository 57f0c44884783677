"""What a journal holds when it is opened: its good frames, and the stretches that are none.

A page that was being written when the power went is a stretch at the end. A page that the disk has damaged is
one in the middle, and costs no other page: where its head can be read, that says where the next one starts,
else the next mark with a sound head does.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import US_NS
from dccd.storage.frames import (
    MARK,
    Frame,
    Head,
    Parsed,
    Readable,
    parse,
    read_head,
    read_whole,
    set_due,
)
from dccd.storage.fs import File
from dccd.storage.schema import arrow_schema

if TYPE_CHECKING:
    from dccd.storage.journal import Journal

_SEARCH_BYTES = 1 << 20
_SECTOR_BYTES = 4096


class Hole(NamedTuple):
    """A stretch of a journal that is no frame, or that the disk would not have read."""

    offset: int
    size: int
    refused: bool = False


@dataclass(slots=True)
class Scanned:
    """What was found.

    Attributes
    ----------
    lost : dict
        By dataset, the time that no page can be believed to prove any more.
    """

    frames: list[Frame] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    lost: dict[DatasetId, IntervalSet] = field(default_factory=dict)


class _Damaged(NamedTuple):
    """A stretch that is no frame, and its head where that can be read."""

    hole: Hole
    head: Head | None


class _Good(NamedTuple):
    """A frame, and where it lies."""

    offset: int
    size: int
    parsed: Parsed


def scan(journal: Journal, file: File, seed: int, offset: int, tell: Callable[[int], None] | None) -> Scanned:
    """Everything from `offset` on.

    What a page proves may rest on rows of the pages before it. So what a damaged page covered, and the
    stretch that its rows lie in, counts as lost whatever later pages say of it; and where nothing is known of
    the damaged page, the next page of each dataset proves nothing.
    """
    found = Scanned()
    believed: set[DatasetId] | None = None  # those with a page after the last stretch that tells nothing
    for item in _items(file, seed, offset, tell):
        if isinstance(item, _Damaged):
            found.holes.append(item.hole)
            if item.head is None:
                believed = set()
            else:
                _lose(found, item.head.dataset, _reach(item.head))
            continue
        dataset = item.parsed.dataset
        frame = Frame.of(journal, dataset, item.parsed.seq, item.offset, item.size, item.parsed.meta)
        if believed is not None and dataset not in believed:
            believed.add(dataset)
            _lose(found, dataset, frame.covered)
        if dataset in found.lost:
            frame.covered = frame.cover_due = frame.covered - found.lost[dataset]
        set_due(frame, partial(pa.ipc.read_record_batch, item.parsed.rows, arrow_schema(dataset.data_type)))
        found.frames.append(frame)
    return found


def _items(
    file: File, seed: int, offset: int, tell: Callable[[int], None] | None
) -> Iterator[_Good | _Damaged]:
    expected = 1
    patient = Patient(file)
    while offset < file.size:
        if tell is not None:
            tell(offset)
        patient.refused = False
        data = read_whole(patient, offset)
        parsed = None if data is None else parse(data, seed)
        if data is not None and parsed is not None and parsed.seq >= expected:
            yield _Good(offset, len(data), parsed)
            expected, end = parsed.seq + 1, offset + len(data)
        else:
            head = read_head(patient, offset, seed)
            if head is not None and head.seq >= expected:
                expected, end = head.seq + 1, min(offset + head.size, file.size)
            else:
                head, end = None, _next_head(patient, offset + 1, seed, expected)
            yield _Damaged(Hole(offset, end - offset, patient.refused), head)
        offset = end


class Patient:
    """A file that gives zeros for the sectors that the disk will not have read."""

    def __init__(self, file: File) -> None:
        self._file = file
        self.refused = False

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._file.size

    def read_at(self, offset: int, size: int) -> bytes:
        """As :meth:`dccd.storage.fs.File.read_at`."""
        try:
            return self._file.read_at(offset, size)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
        parts: list[bytes] = []
        end = min(offset + size, self.size)
        while offset < end:
            step = min(end, (offset // _SECTOR_BYTES + 1) * _SECTOR_BYTES) - offset
            try:
                parts.append(self._file.read_at(offset, step))
            except OSError:
                self.refused = True
                parts.append(bytes(step))
            offset += step
        return b"".join(parts)


def _next_head(file: Readable, offset: int, seed: int, expected: int) -> int:
    """Where the next page with a sound head starts, the file's end when there is none."""
    while offset < file.size:
        block = file.read_at(offset, _SEARCH_BYTES)
        at = block.find(MARK)
        while at >= 0:
            head = read_head(file, offset + at, seed)
            if head is not None and head.seq >= expected:
                return offset + at
            at = block.find(MARK, at + 1)
        offset += max(1, len(block) - len(MARK) + 1)
    return file.size


def _reach(head: Head) -> IntervalSet:
    """What a page covered, and the stretch that its rows lie in; bars still open prove nothing."""
    if head.meta.get("provisional"):
        return IntervalSet()
    covered = IntervalSet(head.meta["covered"])
    if not head.meta["rows"]:
        return covered
    first, last = head.meta["us"]
    return covered | IntervalSet.of(first * US_NS, (last + 1) * US_NS)


def _lose(found: Scanned, dataset: DatasetId, intervals: IntervalSet) -> None:
    found.lost[dataset] = found.lost.get(dataset, IntervalSet()) | intervals
