"""Where all streams put their rows: one journal, written four times a second and synced once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import DiskFull, StorageError
from dccd.domain.gaps import GapCause
from dccd.domain.records import Columns
from dccd.domain.timeutils import US_NS
from dccd.storage.backfill_log import SEGMENT_BYTES
from dccd.storage.journal import SYNC_EVERY_S, Journal
from dccd.storage.refused_time import RefusedTime
from dccd.storage.room import HardFloor, Room
from dccd.storage.schema import to_batch
from dccd.storage.stream_group import Group
from dccd.storage.unpublished import Unpublished

_log = logging.getLogger(__name__)
pc: Any = pyarrow.compute  # its stubs refuse much of what the kernels take

RETRY_EVERY_S = 1.0
RECORD_EVERY_S = 60.0  # while more is refused all the time
BUFFER_BYTES_MAX = 64 << 20
_EACH_BYTES = 1024  # of memory that an append takes beside its rows, about


class _Home(Protocol):
    """What the log needs of its store."""

    @property
    def unpublished(self) -> Unpublished: ...

    def new_journal(self, *, publishes_itself: bool) -> Journal: ...

    def changed(self, dataset: DatasetId) -> None: ...

    def room(self) -> Room: ...

    def add_lost(self, dataset: DatasetId, interval: Interval, cause: GapCause) -> None: ...

    def plausible(
        self, dataset: DatasetId, columns: Columns, covered: IntervalSet, source: str
    ) -> tuple[Columns, IntervalSet]: ...


class StreamLog:
    """Rows of all streams, on their way into the store. Thread-safe.

    :meth:`append` keeps rows in memory. A thread writes them to the journal within
    `stream_group.WRITE_EVERY_S`, from where on they are read and survive the end of the process, and syncs
    that at most once in `SYNC_EVERY_S`, from where on they survive a power cut. It waits, for nothing in
    particular, while no rows come. What the disk refuses is kept and tried again, until it takes it or the
    memory set aside is full. From then on, and below the hard floor (:mod:`dccd.storage.room`), rows are
    refused, and their time becomes a gap.

    A journal that could not be synced is never synced again. What it may have lost is written into a new one
    as copies, which merge into one with the first ones where both survive.
    """

    def __init__(self, home: _Home, clock: Callable[[], float] = time.monotonic) -> None:
        self._home, self._clock = home, clock
        self._disk = threading.RLock()  # held while writing; taken before `_mutex`
        self._mutex = threading.Lock()
        self._news = threading.Condition(self._mutex)
        self._is_news = self._closed = False
        self._expected: set[bool] = set()  # kinds of groups, by `provisional`, that the thread knows of
        self._thread: threading.Thread | None = None
        self._queue: list[Group] = []
        self._open: dict[tuple[DatasetId, bool], Group] = {}
        self._held_bytes = 0
        self._journal: Journal | None = None
        self._unsynced: list[Group] = []
        self._synced_s = self._retry_s = float("-inf")
        self._trouble: StorageError | None = None
        self._floor = HardFloor(home.room)
        self._refused = RefusedTime()
        self._recorded_s = float("-inf")

    @property
    def trouble(self) -> StorageError | None:
        """Why rows wait in memory or are refused, None while the disk takes them."""
        return self._trouble or self._floor.refusal

    def append(
        self,
        dataset: DatasetId,
        columns: Columns,
        covered: IntervalSet,
        *,
        source: str,
        observation: str | None = None,
        provisional: bool = False,
    ) -> None:
        """Take rows; returns at once, and they are durable a little later: see :meth:`flush`.

        Parameters
        ----------
        columns : mapping of str to sequence
            See :func:`dccd.storage.schema.to_batch`; may be empty. Order-book updates: each message whole.
            Rows with implausible times are put aside, and then nothing is proven.
        covered : IntervalSet
            What these rows, with those before them, newly prove recorded whole.
        source : str
            Where they come from.
        observation : str or None
            Names the session, so that equal trades without ids are counted within it; None: these rows are
            one by themselves.
        provisional : bool
            Rows of bars that are still open. They prove no coverage, and a power cut may take them.

        Raises
        ------
        DiskFull, StorageError
            There is no room for more than what was recorded already, or the memory set aside is full because
            the disk refuses; or the rows cannot be read. Nothing of them is kept. What found no room is
            recorded as a gap, and what this session proves later leaves it out; the next rows may be taken.
        """
        try:
            columns, covered = self._home.plausible(dataset, columns, covered, source)
        except DiskFull as error:
            self._lose(dataset, observation, covered, error)
            raise
        batch = to_batch(dataset, columns or {"ts": []})
        if not batch.num_rows and not covered:
            return
        size = batch.nbytes + _EACH_BYTES
        with self._mutex:
            if self._closed:
                raise StorageError("The data folder has been closed.")
            refusal = self._refusal(size)
            if refusal is None:
                covered = self._refused.proven(dataset, observation, covered)
                self._put(dataset, source, observation, batch, covered, size, provisional=provisional)
                return
        if not provisional:
            self._lose(dataset, observation, covered | _times(batch), refusal)
        raise refusal

    def _put(
        self,
        dataset: DatasetId,
        source: str,
        observation: str | None,
        batch: pa.RecordBatch,
        covered: IntervalSet,
        size: int,
        *,
        provisional: bool,
    ) -> None:
        """Put rows into the queue."""
        group = self._open.get((dataset, provisional))
        if group is None or not group.takes(source, observation):
            group = Group(dataset, source, observation, provisional, self._clock())
            self._open[dataset, provisional] = group
            self._queue.append(group)
        group.batches.append(batch)
        group.covered |= covered
        group.size_bytes += size
        self._held_bytes += size
        if provisional not in self._expected or self._is_much():
            self._expected.add(provisional)
            self._wake()

    def _wake(self) -> None:
        self._is_news = True
        self._news.notify()

    def _lose(
        self, dataset: DatasetId, observation: str | None, refused: IntervalSet, error: StorageError
    ) -> None:
        """Have the thread record that this was not taken."""
        cause = GapCause.DISK_FULL if isinstance(error, DiskFull) else GapCause.NEVER_FETCHED
        self._refused.note(dataset, observation, refused, cause)
        with self._mutex:
            self._wake()

    def _is_much(self) -> bool:
        """Whether the memory fills so fast that it is better not to wait."""
        return self._held_bytes > BUFFER_BYTES_MAX // 4 and self._trouble is None

    def _refusal(self, size: int) -> StorageError | None:
        """Why so many bytes more cannot be taken."""
        if self._floor.refusal is not None:
            return self._floor.refusal
        if self._held_bytes + size <= BUFFER_BYTES_MAX:
            return None
        trouble = self._trouble
        if trouble is None:
            return StorageError(
                "Streams bring rows faster than the disk takes them: the memory set aside is full. "
                "Record less, or to a faster disk."
            )
        return type(trouble)(f"{trouble} Until it does, no more rows can be kept in memory.")

    def flush(self) -> None:
        """Make every row so far durable: once this returns, it survives a power cut.

        Raises
        ------
        DiskFull, StorageError
            The disk refused. Nothing is lost yet: the rows are kept, and tried again.
        """
        with self._disk:
            now_s = self._clock()
            try:
                self._write(now_s, everything=True)
                self._sync(now_s)
            except StorageError as error:
                self._failed(error, now_s)
                raise
            self._trouble = None

    def step(self) -> float | None:
        """Do what is due by the clock; what the thread does again and again.

        Returns
        -------
        float or None
            Seconds until there is something to do, None when nothing waits.
        """
        with self._disk:
            now_s = self._clock()
            self._look_at_floor(now_s)
            if now_s >= self._retry_s:
                try:
                    self._write(now_s, everything=False)
                    if self._unsynced and now_s - self._synced_s >= SYNC_EVERY_S:
                        self._sync(now_s)
                except StorageError as error:
                    self._failed(error, now_s)
                except Exception as error:  # noqa: BLE001 - told, and tried again: the thread goes on for all streams
                    words = (
                        f"Writing what streams brought failed ({error!r}). It is tried again; see the log."
                    )
                    if str(self._trouble) != words:  # not every second
                        _log.exception("writing what streams brought failed")
                    self._failed(StorageError(words), now_s)
                else:
                    self._trouble = None
            if self._refused and now_s >= self._record_due_s():
                try:
                    self._record_refused(now_s)
                except StorageError as error:
                    self._failed(error, now_s)
            return self._pause_s(now_s)

    def _look_at_floor(self, now_s: float) -> None:
        with self._mutex:
            waiting = bool(self._queue)
        if waiting or self._floor.refusal is not None:
            self._floor.look(now_s)

    def _record_due_s(self) -> float:
        """When to record what was refused: at once when it is over, now and then while it lasts."""
        return self._recorded_s + (RETRY_EVERY_S if self.trouble is None else RECORD_EVERY_S)

    def _record_refused(self, now_s: float) -> None:
        """Have what was refused be a gap."""
        self._recorded_s = now_s
        for dataset, cause, intervals in self._refused.unrecorded():
            for interval in intervals:
                self._home.add_lost(dataset, interval, cause)
            self._refused.recorded(dataset, cause, intervals)

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="dccd-streams", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what is left, and take no more; idempotent.

        Raises
        ------
        DiskFull, StorageError
            The disk would not have it: rows since the last :meth:`flush` may be lost.
        """
        with self._mutex:
            self._closed = True
            self._news.notify()
        if self._thread is not None:
            self._thread.join()
        with self._disk:
            try:
                self.flush()
            finally:
                if self._journal is not None:
                    self._leave(self._journal)
                    self._home.unpublished.retire()
            self._record_refused(self._clock())

    def _run(self) -> None:
        while True:
            pause_s = self.step()
            with self._mutex:
                if not self._is_news and not self._closed:
                    self._news.wait(pause_s)
                self._is_news = False
                if self._closed:
                    return

    def _pause_s(self, now_s: float) -> float | None:
        with self._mutex:
            self._expected = {group.provisional for group in self._queue}
            due_s = [group.due_s for group in self._queue]
        if self._unsynced:
            due_s.append(self._synced_s + SYNC_EVERY_S)
        if self._refused:
            due_s.append(self._record_due_s())
        if self._floor.refusal is not None:
            due_s.append(self._floor.due_s)
        return max(0.0, max(min(due_s), self._retry_s) - now_s) if due_s else None

    def _write(self, now_s: float, *, everything: bool) -> None:
        """Put what waits into the journal."""
        journal = self._journal
        if journal is not None and not journal.usable:
            self._abandon(journal)  # somebody else found that it cannot be synced
        elif journal is not None and journal.size >= SEGMENT_BYTES:
            self._sync(now_s)  # no frame of the next may outlive one that came before it
            self._leave(journal)
        groups = self._take(now_s, everything=everything)
        written = 0
        try:
            for group in groups:
                self._write_group(group)
                written += 1
        finally:
            if written < len(groups):
                with self._mutex:
                    self._queue[:0] = groups[written:]

    def _take(self, now_s: float, *, everything: bool) -> list[Group]:
        """The groups to write, those of one kind together, out of the queue."""
        with self._mutex:
            everything = everything or self._is_much()
            kinds = {group.provisional for group in self._queue if everything or group.due_s <= now_s}
            taken = [group for group in self._queue if group.provisional in kinds]
            self._queue = [group for group in self._queue if group.provisional not in kinds]
            self._open = {key: group for key, group in self._open.items() if group.provisional not in kinds}
        return taken

    def _write_group(self, group: Group) -> None:
        if self._journal is None:
            self._journal = self._home.new_journal(publishes_itself=False)
        frame = self._journal.append(
            group.dataset,
            group.batch(),
            group.covered,
            source=group.source,
            observation=group.observation,
            copy_of=group.written,
            provisional=group.provisional,
        )
        self._home.unpublished.add(frame)
        self._home.changed(group.dataset)
        if group.provisional:  # not worth a sync, nor a copy: the next state of the bar is on its way
            self._release([group])
        else:
            group.written = frame
            self._unsynced.append(group)

    def _sync(self, now_s: float) -> None:
        """Make durable what was written."""
        if self._journal is None:
            return
        self._synced_s = now_s
        try:
            self._journal.sync()
        except StorageError:
            self._abandon(self._journal)
            raise
        synced, self._unsynced = self._unsynced, []
        self._release(synced)
        if any(group.written is not None and group.written.copy_of for group in synced):
            self._home.unpublished.retire()  # the journal that the copies were made for

    def _abandon(self, journal: Journal) -> None:
        """Begin a new journal, with copies of what this one may have lost."""
        unsynced, self._unsynced = self._unsynced, []
        with self._mutex:
            self._queue[:0] = unsynced
        self._leave(journal)

    def _leave(self, journal: Journal) -> None:
        self._journal = None
        self._home.unpublished.ended(journal)

    def _release(self, groups: list[Group]) -> None:
        with self._mutex:
            self._held_bytes -= sum(group.size_bytes for group in groups)

    def _failed(self, error: StorageError, now_s: float) -> None:
        self._trouble = error
        self._retry_s = now_s + RETRY_EVERY_S


def _times(batch: pa.RecordBatch) -> IntervalSet:
    """From the first row's instant to the last one's."""
    if not batch.num_rows:
        return IntervalSet()
    first, last = pc.min_max(batch["ts"].cast(pa.int64())).values()
    return IntervalSet.of(first.as_py() * US_NS, (last.as_py() + 1) * US_NS)
