"""History from an archive's files: which are wanted, several on their way at once, and what each proves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import SPAN_TYPES
from dccd.domain.errors import MalformedPayload
from dccd.domain.span import Span
from dccd.domain.timeutils import DAY_NS, MS_NS, S_NS, datetime_ns, iso, ns_datetime
from dccd.domain.types import DataType
from dccd.sources.base import Archive, Request, Target
from dccd.transport.archive_rows import Arrays, rows, whole
from dccd.transport.downloads import Downloads
from dccd.transport.paging import FetchedPage
from dccd.transport.paging.pages import in_order

pc: Any = pyarrow.compute  # its stubs refuse much of what the kernels take

# Files under way at once: they are large, and lie on the disk until it is their turn.
FILES_IN_FLIGHT = 4
_NOTHING = IntervalSet()


def days(archive: Archive, intervals: IntervalSet, *, whole_only: bool) -> IntervalSet:
    """The days of an archive that lie in the intervals, or also those that reach into them."""
    shift_ns = archive.starts_s * S_NS

    def floor(ts_ns: int) -> int:
        return (ts_ns - shift_ns) // DAY_NS * DAY_NS + shift_ns

    def ceil(ts_ns: int) -> int:
        return floor(ts_ns + DAY_NS - 1)

    if whole_only:
        return IntervalSet((ceil(start), floor(end)) for start, end in intervals)
    return IntervalSet((floor(start), ceil(end)) for start, end in intervals)


def reach(archive: Archive, target: Target, now_ns: int) -> IntervalSet:
    """The time that the archive's files are of, as far as can be said without asking for one."""
    first_ns = datetime_ns(datetime.combine(archive.since(target), datetime.min.time(), UTC))
    whole_days = IntervalSet.of(first_ns + archive.starts_s * S_NS, now_ns - archive.lag_s * S_NS)
    return days(archive, whole_days, whole_only=True)


@dataclass(frozen=True, slots=True)
class File:
    """One file that is wanted; the files of a month's days stand in for that of the month."""

    path: str
    interval: Interval
    instead: tuple[File, ...] = ()


def files(archive: Archive, target: Target, start_ns: int, end_ns: int, now_ns: int) -> Iterator[File]:
    """The files that hold ``[start_ns, end_ns)``, in order: months where all of one is wanted, else days."""
    shift_ns = archive.starts_s * S_NS
    [(start_ns, end_ns)] = days(archive, IntervalSet.of(start_ns, end_ns), whole_only=False)

    def begins(day: date) -> int:
        return datetime_ns(datetime.combine(day, datetime.min.time(), UTC)) + shift_ns

    def of_day(day: date) -> File:
        return File(archive.day(target, day), Interval(begins(day), begins(day) + DAY_NS))

    day, stop = (ns_datetime(ts_ns - shift_ns).date() for ts_ns in (start_ns, end_ns))
    while day < stop:
        after = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        out_ns = begins(after) + archive.month_lag_s * S_NS
        path = None
        if archive.month is not None and day.day == 1 and after <= stop and out_ns <= now_ns:
            path = archive.month(target, day)
        if path is not None:
            instead = tuple(of_day(day + timedelta(days=place)) for place in range((after - day).days))
            yield File(path, Interval(begins(day), begins(after)), instead)
            day = after
        else:
            yield of_day(day)
            day += timedelta(days=1)


@dataclass(slots=True)
class _Got:
    """What became of a wanted file: on this disk, with its time, or damaged, in words; else there is none."""

    files: list[tuple[Path, Interval]] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


async def by_file(
    downloads: Downloads,
    target: Target,
    archive: Archive,
    data_type: DataType,
    wanted: Interval,
    now_ns: int,
) -> AsyncGenerator[FetchedPage, None]:
    """Rows of the interval in order, as far as there are sound files of it.

    What a file proves comes with its last page: trades, its time, but for where ids are missing; bars, those
    it has. That there is no file proves nothing, nor does a file without a row, nor one that is damaged: an
    empty page says so in its `note`.

    Raises
    ------
    ExchangeError
        The host, or the way to it, failed; pages already given stand.
    DiskFull, StorageError
        The disk refused.
    """
    held: set[Path] = set()

    async def one(file: File, got: _Got) -> bool:
        """Whether there is such a file, and whole."""
        checksum = Request(archive.host, file.path + archive.checksum) if archive.checksum else None
        try:
            path = await downloads.get(Request(archive.host, file.path), checksum, whole)
        except MalformedPayload as error:
            got.damaged.append(str(error))
            return False
        if path is not None:
            held.add(path)
            got.files.append((path, file.interval))
        return path is not None

    def job(file: File) -> Callable[[], Coroutine[Any, Any, _Got]]:
        async def fetch() -> _Got:
            got = _Got()
            if not await one(file, got):
                for other in file.instead:
                    await one(other, got)
            return got

        return fetch

    await asyncio.to_thread(downloads.sweep)
    proof = _Bars(target.span) if data_type in SPAN_TYPES and target.span else _Trades(archive.consecutive)
    jobs = (job(file) for file in files(archive, target, *wanted, now_ns))
    try:
        async with aclosing(in_order(jobs, FILES_IN_FLIGHT)) as results:
            async for got in results:
                for words in got.damaged:
                    yield FetchedPage({"ts": []}, 0, _NOTHING, note=words)
                for path, interval in got.files:
                    try:
                        async for page in _pages(path, interval, archive, target, data_type, wanted, proof):
                            yield page
                    except MalformedPayload as error:
                        proof.broken()
                        yield FetchedPage({"ts": []}, 0, _NOTHING, note=str(error))
                    await asyncio.to_thread(downloads.drop, path)
                    held.discard(path)
        yield FetchedPage({"ts": []}, 0, proof.end().clip(*wanted))
    finally:
        for path in held:
            downloads.release(path)


async def _pages(
    path: Path,
    interval: Interval,
    archive: Archive,
    target: Target,
    data_type: DataType,
    wanted: Interval,
    proof: _Bars | _Trades,
) -> AsyncGenerator[FetchedPage, None]:
    proof.begin(interval)
    with closing(rows(path, archive.table(target), data_type)) as pieces:
        while (piece := await _in_thread(pieces)) is not None:
            proof.see(piece)
            inside = _inside(piece, wanted)
            if len(inside["ts"]):
                yield FetchedPage(inside, len(inside["ts"]), _NOTHING)
    yield FetchedPage({"ts": []}, 0, proof.finish().clip(*wanted), str(interval.end_ns))


async def _in_thread(pieces: Iterator[Arrays]) -> Arrays | None:
    """The next piece; a thread that reads it is waited for even when nobody wants it any more."""
    reading = asyncio.ensure_future(asyncio.to_thread(next, pieces, None))
    try:
        return await asyncio.shield(reading)
    except asyncio.CancelledError:
        await asyncio.wait((reading,))
        raise


def _inside(piece: Arrays, wanted: Interval) -> Arrays:
    ts = piece["ts"]
    chosen = pc.and_(pc.greater_equal(ts, wanted.start_ns), pc.less(ts, wanted.end_ns))
    if pc.all(chosen).as_py():
        return piece
    return {name: values.filter(chosen) for name, values in piece.items()}


class _Bars:
    """What files of bars prove: the bars that are in them, each by itself.

    Files are known that end in the middle of their month.
    """

    def __init__(self, span: Span) -> None:
        self._span = span
        self._found: list[tuple[int, int]] = []

    def begin(self, interval: Interval) -> None:  # noqa: ARG002 - a bar's time says where it belongs
        """A file begins."""
        self._found = []

    def see(self, piece: Arrays) -> None:
        """Rows of it."""
        ts = pc.unique(piece["ts"]).to_pylist()
        start_ns = stop_ns = 0
        for open_ns in sorted(ts):
            if open_ns != stop_ns:
                self._found.append((start_ns, stop_ns))
                start_ns = open_ns
            stop_ns = self._span.next(open_ns)
        self._found.append((start_ns, stop_ns))

    def finish(self) -> IntervalSet:
        """All of it was read."""
        return IntervalSet(self._found)

    def broken(self) -> None:
        """The rest of it cannot be read."""

    def end(self) -> IntervalSet:
        """There are no more files."""
        return _NOTHING


class _Trades:
    """What files of trades prove: their time, but for stretches in which ids are missing.

    Whether rows are missing after a file's last is known by the next file's first: until then the rest of the
    file's time is held back.
    """

    def __init__(self, consecutive: bool) -> None:
        self._consecutive = consecutive
        self._file = Interval(0, 0)
        self._last: tuple[int, int] | None = None  # id and time of the row before
        self._rest = _NOTHING
        self._found = _NOTHING
        self._holes: list[tuple[int, int]] = []
        self._rows = 0

    def begin(self, interval: Interval) -> None:
        """A file begins."""
        if interval.start_ns != self._file.end_ns:  # not the next one
            self._found |= self._rest
            self._rest, self._last = _NOTHING, None
        self._file, self._holes, self._rows = interval, [], 0

    def see(self, piece: Arrays) -> None:
        """Rows of it, in their order."""
        ts = piece["ts"]
        first_ns, last_ns = (value.as_py() for value in pc.min_max(ts).values())
        if first_ns < self._file.start_ns - S_NS or last_ns >= self._file.end_ns + S_NS:
            raise MalformedPayload(
                f"The file of {iso(self._file.start_ns)} has rows of {iso(first_ns)} to {iso(last_ns)}."
            )
        self._rows += len(ts)
        if not self._consecutive:
            return
        ids = piece["tid_num"]
        if self._last is not None:
            ids = pa.concat_arrays([pa.array([self._last[0]], pa.int64()), ids])
            ts = pa.concat_arrays([pa.array([self._last[1]], pa.int64()), ts])
        before, after = ids[:-1], ids[1:]
        for place in pc.indices_nonzero(pc.not_equal(pc.subtract(after, before), 1)).to_pylist():
            around = sorted((ts[place].as_py(), ts[place + 1].as_py()))
            # By the millisecond, which is how finely all exchanges can be asked.
            self._holes.append((around[0] // MS_NS * MS_NS, (around[1] // MS_NS + 1) * MS_NS))
        self._last = ids[-1].as_py(), ts[-1].as_py()

    def finish(self) -> IntervalSet:
        """All of it was read."""
        found, self._found = self._found, _NOTHING
        if not self._rows:
            self.broken()
            return found
        proven = (IntervalSet([self._file]) | self._rest) - IntervalSet(self._holes)
        if self._last is None:
            return found | proven
        last_ns = max(self._last[1] // MS_NS * MS_NS, self._file.start_ns)
        self._rest = proven.clip(last_ns, self._file.end_ns)
        return found | proven - self._rest

    def broken(self) -> None:
        """The rest of it cannot be read."""
        self._last = None

    def end(self) -> IntervalSet:
        """There are no more files."""
        return self._found | self._rest
