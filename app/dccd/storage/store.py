"""The store: everything kept in one data folder, behind one object. `docs/storage.md` is the protocol."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import pyarrow as pa

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import StorageError, UnknownDataset
from dccd.domain.gaps import GapCause
from dccd.domain.records import Columns
from dccd.domain.timeutils import US_NS
from dccd.storage.backfill_log import BackfillLog
from dccd.storage.clock import Clock
from dccd.storage.coverage_db import What, interval_set
from dccd.storage.doubts import Doubts
from dccd.storage.file_faults import RefusedFile
from dccd.storage.footer import FileInfo
from dccd.storage.fs import FileSystem, RealFileSystem, in_words
from dccd.storage.info import Coverage, DatasetInfo, Gap
from dccd.storage.journal import Journal
from dccd.storage.keeping import Keeping
from dccd.storage.layout import Layout, mark, prepare, refuse_foreign
from dccd.storage.lock import FolderLock, acquire
from dccd.storage.paced_publisher import PacedPublisher
from dccd.storage.quarantine import Problem
from dccd.storage.reader import checked_columns, read_rows, rows_of
from dccd.storage.recovery import RecoveryProgress
from dccd.storage.relocate import finish_interrupted
from dccd.storage.room import Room, hard_floor_bytes
from dccd.storage.store_parts import StoreParts
from dccd.storage.stream_log import StreamLog


class Store:
    """All data of one data folder. Synchronous and thread-safe; made by :meth:`open`.

    Attributes
    ----------
    data_path : Path
    unpublished : Unpublished
        What is in the journals and in no file yet.
    derivations : Derivations
        Which bars were made from trades.
    keeping : Keeping
        Verify, certify, delete and restore.
    """

    def __init__(self, fs: FileSystem, layout: Layout, lock: FolderLock, clock: Clock) -> None:
        self.data_path = layout.data_path
        self._parts = parts = StoreParts(fs, layout, clock)
        self.unpublished, self.derivations = parts.unpublished, parts.derivations
        self.keeping = Keeping(self, parts)
        self._lock, self._clock = lock, clock
        self._mutex = threading.Lock()
        self._closed = False
        self._stream_log: StreamLog | None = None
        self._doubts = Doubts(parts.coverage, parts.unpublished, self.publish)
        self._paced = PacedPublisher(parts.catalog, parts.unpublished, self.publish, clock)

    @classmethod
    def open(
        cls,
        data_path: Path,
        *,
        fs: FileSystem | None = None,
        recover: bool = True,
        clock: Clock = time,
    ) -> Self:
        """Open a data folder, made when missing, and recover what the last process left.

        What its journals hold counts at once in :meth:`coverage` and :meth:`read`; call :meth:`publish` to
        have it in files.

        Parameters
        ----------
        recover : bool
            False returns at once, for the caller to :meth:`recover` beside other work. Until that is over
            :meth:`inventory` says what was known to the last process, and whatever must be right waits.

        Raises
        ------
        DataFolderLocked
            Another process works on it.
        DataFolderUnusable
            It is no folder, cannot be written to, or belongs to another program.
        """
        fs = fs or RealFileSystem()
        layout = Layout(data_path)
        prepare(fs, layout)
        lock = acquire(fs, layout)
        try:
            with in_words(f"finishing the move of the data to {data_path}"):
                finish_interrupted(fs, data_path)
            mark(fs, layout)
            store = cls(fs, layout, lock, clock)
        except BaseException:
            lock.release()
            raise
        if recover:
            try:
                store.recover()
            except BaseException:
                store.close()
                raise
        return store

    def recover(self) -> None:
        """Do what a start has to do before anything said of the data is right; once is enough.

        Whatever waits for it, and finds that nobody does it or that it failed, does it itself.

        Raises
        ------
        StorageError
            The disk refused, or the store was closed meanwhile.
        """
        self._parts.recovery.ensure()

    def interrupt(self) -> None:
        """Ask a recovery that goes on to end where it is, the store being about to be closed."""
        self._parts.recovery.stop()

    @property
    def recovered(self) -> bool:
        """Whether :meth:`recover` is over, and was well."""
        return self._parts.recovery.over

    @property
    def recovering(self) -> RecoveryProgress | None:
        """How far :meth:`recover` is, None when it has ended, well or not."""
        return self._parts.recovery.progress

    @staticmethod
    def exists(data_path: Path) -> bool:
        """Whether a folder holds data of this program; nothing is made or locked.

        It does when it was opened before, or has a dataset's folder (a copy without the program's own files).

        Raises
        ------
        DataFolderUnusable
            It is a file or lies below one, or belongs to another program.
        StorageError
            It cannot be looked into.
        """
        layout = Layout(data_path)
        with in_words(f"looking into {data_path}"):
            refuse_foreign(RealFileSystem(), layout)
            return layout.holds_data()

    def close(self) -> None:
        """Let go of the folder; what is in journals only stays there for the next start. Idempotent.

        Raises
        ------
        DiskFull, StorageError
            The disk would not have what streams brought last. All is closed nevertheless.
        """
        with self._mutex:
            log, self._stream_log = self._stream_log, None
        try:
            if log is not None:
                log.close()
        finally:
            self._close()

    def _close(self) -> None:
        with self._mutex:
            if self._closed:
                return
            self._closed = True
        self._parts.recovery.stop()
        self._parts.recovery.wait()
        self._parts.turns.end()
        self.unpublished.close()
        self._parts.catalog.close()
        self._parts.coverage.close()
        self._lock.release()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What could not be read since :meth:`open` began, where it is kept, and what fails now."""
        log = self._stream_log
        trouble = [] if log is None or log.trouble is None else [Problem(str(log.trouble))]
        return (
            *(problem for problem in self._parts.quarantine.problems if not self._made_good(problem)),
            *self._parts.implausible.problems,
            *self._parts.faults.problems,
            *trouble,
        )

    def _made_good(self, problem: Problem) -> bool:
        if problem.missing is None:
            return False
        dataset, missing = problem.missing
        known = self._parts.holdings.coverage(dataset)
        return not missing - known.covered - known.absent

    def put_aside(self, database: Path, text: str) -> None:
        """Keep a damaged database of the program's own in the quarantine, and have this told of it.

        Raises
        ------
        StorageError
            The disk refused.
        """
        self._parts.quarantine.move_database(database, text)

    def coverage(self, dataset: DatasetId) -> Coverage:
        """What of a dataset was fetched whole, asked for, and is known to be absent; from memory."""
        self.recover()
        return self._parts.holdings.coverage(dataset)

    def add_asked(self, dataset: DatasetId, interval: Interval) -> None:
        """Record that ``[start_ns, end_ns)`` is wanted; what of it is not covered is a gap."""
        self._parts.coverage.add(dataset, What.ASKED, interval_set(interval))
        self.changed(dataset)

    def add_absent(self, dataset: DatasetId, interval: Interval, cause: str) -> None:
        """Record that the exchange is proven to have nothing in ``[start_ns, end_ns)``."""
        self._parts.coverage.add(dataset, What.ABSENT, interval_set(interval), cause)
        self.changed(dataset)

    def add_lost(self, dataset: DatasetId, interval: Interval, cause: GapCause) -> None:
        """Record that ``[start_ns, end_ns)`` was to be recorded and was not: a gap until it is covered."""
        self._parts.coverage.add(dataset, What.LOST, interval_set(interval), cause.value)
        self.changed(dataset)

    def add_doubt(self, dataset: DatasetId, interval: Interval, cause: GapCause) -> None:
        """Record that what is stored of ``[start_ns, end_ns)`` is not believed any more.

        It is not covered, but a gap, until pages of a backfill that begins later replace it. The rows stay
        until then.

        Raises
        ------
        StorageError
            An earlier doubt has been answered there by pages that cannot be published now.
        """
        self.recover()
        self._doubts.add(dataset, interval_set(interval), cause)
        self.changed(dataset)

    def doubted(self, dataset: DatasetId) -> IntervalSet:
        """What is not believed any more of what is stored."""
        return self._doubts.of(dataset)

    def plausible(
        self, dataset: DatasetId, columns: Columns, covered: IntervalSet, source: str
    ) -> tuple[Columns, IntervalSet]:
        """A page without the rows whose times cannot be, and what it proves then.

        Such rows are kept in the quarantine and reported; what the page was to prove is lost to them.

        Raises
        ------
        DiskFull, StorageError
            The disk refused; nothing is known of the page then.
        """
        columns, whole = self._parts.implausible.take_out(dataset, columns, source)
        if whole:
            return columns, covered
        self._parts.coverage.add(dataset, What.LOST, covered, GapCause.IMPLAUSIBLE.value)
        self.changed(dataset)
        return columns, IntervalSet()

    def begin_backfill(self, dataset: DatasetId, run_id: str, *, source: str) -> BackfillLog:
        """A place for the pages of one backfill; nothing is written before the first page.

        Parameters
        ----------
        source : str
            Where the rows come from, kept in the files' provenance.
        """
        self.recover()
        return self._doubts.begin(lambda: BackfillLog(self, dataset, run_id, source))

    def stream_log(self) -> StreamLog:
        """Where all streams put their rows; one a store, closed with it."""
        self.recover()
        with self._mutex:
            if self._closed:
                raise StorageError("The data folder has been closed.")
            if self._stream_log is None:
                self._stream_log = StreamLog(self, self._clock.monotonic)
                self._stream_log.start()
            return self._stream_log

    def read(
        self,
        dataset: DatasetId,
        start_ns: int | None = None,
        end_ns: int | None = None,
        columns: Sequence[str] | None = None,
        *,
        provisional: bool = False,
    ) -> Iterator[pa.RecordBatch]:
        """Rows with ``start_ns <= ts < end_ns``, files and journals together, sorted, each once.

        Parameters
        ----------
        start_ns, end_ns : int or None
            Nanoseconds UTC; None is no bound.
        columns : sequence of str or None
            Which columns, in this order; None for all.
        provisional : bool
            Whether bars that are still open follow, as a stream said them last since the program started.

        Returns
        -------
        iterator of pa.RecordBatch
            Of the dataset's schema on disk. Nothing is made or changed; memory is bounded by the batch.
            What is published or appended while reading does not disturb it.

        Raises
        ------
        UnknownDataset
            Nothing is stored under this id.
        UsageError
            No such column.
        CorruptFile
            While iterating: a file cannot be read.
        """
        names = checked_columns(dataset, columns)
        self.recover()
        open_bars = self.unpublished.open_bars.rows(dataset) if provisional else None
        if open_bars is None:
            self._parts.holdings.require(dataset)
        return self._read(dataset, start_ns, end_ns, names, open_bars)

    def _read(
        self,
        dataset: DatasetId,
        start_ns: int | None,
        end_ns: int | None,
        names: list[str],
        open_bars: pa.Table | None,
    ) -> Iterator[pa.RecordBatch]:
        # Frames first: what is published between the two lines is then in both, and merges into itself.
        with self.unpublished.pinned(dataset) as due:
            infos = self._files_now(dataset, start_ns, end_ns)
            yield from read_rows(
                self._parts.fs, self._parts.layout, dataset, infos, due, start_ns, end_ns, names
            )
            if open_bars is not None:
                closed = [info.last_ns + 1 for info in infos]
                closed += [item.frame.max_us * US_NS + 1 for item in due if item.frame.rows]
                after_ns = max((start_ns or 0, *closed))  # an older one is missing, not open
                yield from rows_of(open_bars, after_ns, end_ns, names)

    def _files_now(self, dataset: DatasetId, start_ns: int | None, end_ns: int | None) -> list[FileInfo]:
        """The files, looked at again: people move and restore files while the program runs."""
        known = self.files(dataset, start_ns, end_ns)
        now: list[FileInfo | None] = []
        try:
            now.extend(self._parts.catalog.still(info) for info in known)
        finally:
            if now != known:  # one that is refused has changed what is held, too
                self.changed(dataset)
        return [info for info in now if info is not None]

    def look_again(self, dataset: DatasetId) -> None:
        """Notice what became of a dataset's known files behind the program's back: gone, changed, damaged.

        Raises
        ------
        StorageError
            The disk cannot be asked.
        """
        self.recover()
        with in_words(f"looking into {self.data_path}"):
            if self._parts.fs.stat(self._parts.layout.marker) is None:
                return  # a drive that was pulled out: no file on it is gone
        known = self._parts.catalog.files(dataset)
        now: list[FileInfo | None] = []
        for info in known:
            try:
                now.append(self._parts.catalog.still(info))
            except RefusedFile:  # which is noted, with its time, and keeps nobody from the rest
                now.append(None)
        if now != known:
            self.changed(dataset)

    def info(self, dataset: DatasetId) -> DatasetInfo:
        """A dataset at a glance, from memory.

        Raises
        ------
        UnknownDataset
            Nothing is known of it.
        """
        self.recover()
        return self._parts.holdings.info(dataset)

    def inventory(self) -> list[DatasetInfo]:
        """All datasets at a glance, by id, from memory; waits for nothing."""
        found = []
        for dataset in self._parts.holdings.datasets():
            with suppress(UnknownDataset):  # deleted since it was listed
                found.append(self._parts.holdings.info(dataset))
        return found

    def gaps(self, dataset: DatasetId) -> list[Gap]:
        """What is missing of a dataset, in order, with causes.

        Raises
        ------
        UnknownDataset
            Nothing is known of it.
        """
        return list(self.info(dataset).gaps)

    def files(
        self, dataset: DatasetId, start_ns: int | None = None, end_ns: int | None = None
    ) -> list[FileInfo]:
        """The published files whose periods touch ``[start_ns, end_ns)``, in order of time."""
        self.recover()
        return [
            info
            for info in self._parts.catalog.files(dataset)
            if (end_ns is None or info.period.interval.start_ns < end_ns)
            and (start_ns is None or info.period.interval.end_ns > start_ns)
        ]

    def publish(
        self,
        dataset: DatasetId | None = None,
        before_ns: int | None = None,
        *,
        stopped: Callable[[], bool] | None = None,
    ) -> None:
        """Write what is in journals into files, now.

        What another program keeps from being replaced (Windows) stays readable here and is tried again the
        next time.

        Parameters
        ----------
        dataset : DatasetId or None
            None for all.
        before_ns : int or None
            Only periods that end at or before this instant.
        stopped : callable or None
            Asked before each period; once true, the rest is left for the next time.

        Raises
        ------
        DiskFull, StorageError
            What is not in files stays in the journals; nothing is lost.
        """
        self.recover()
        for each in [dataset] if dataset is not None else self.unpublished.datasets():
            try:
                self._parts.publisher.publish(each, before_ns, stopped)
            finally:
                self.changed(each)

    def publish_due(self) -> None:
        """Write into files what has waited long enough, see :mod:`dccd.storage.publish_policy`.

        To be called every few seconds. What fails is left alone for some minutes. Does nothing before
        :meth:`recover` is over.

        Raises
        ------
        StorageError
            The first one met, after all else has been published.
        """
        if self._parts.recovery.over:
            self._paced.publish_due()

    def publish_last(self, limit_s: float) -> None:
        """Write into files what can be in about that many seconds, before the store is closed.

        The rest stays in the journals, and :meth:`publish_due` leaves it there.

        Raises
        ------
        StorageError
            The rest was not tried then.
        """
        if self._stream_log is not None:
            self._stream_log.flush()
        if self._parts.recovery.over:
            self._paced.publish_last(limit_s)

    def room(self, soft_floor_bytes: int = 0) -> Room:
        """Room on the disk; `soft_floor_bytes` is what a person wants kept free.

        Raises
        ------
        StorageError
            The disk cannot be asked.
        """
        with in_words(f"measuring the room for {self.data_path}"):
            usage = self._parts.fs.usage(self.data_path)
        hard_floor = hard_floor_bytes(self._parts.catalog, self.unpublished)
        return Room(usage.free_bytes, usage.total_bytes, soft_floor_bytes, hard_floor)

    def changed(self, dataset: DatasetId) -> None:
        """Forget what was remembered of a dataset at a glance."""
        self._parts.holdings.changed(dataset)

    def new_journal(self, *, publishes_itself: bool) -> Journal:
        """A journal for one writer, who has it published, or leaves that to :meth:`publish_due`."""
        if self._closed:
            raise StorageError("The data folder has been closed.")
        journal = Journal.create(self._parts.fs, self._parts.layout.journals)
        self.unpublished.begin(journal, publishes_itself=publishes_itself)
        return journal
