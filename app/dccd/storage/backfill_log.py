"""Where one backfill puts its pages: journals of its own, published as its cursor leaves each period."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.records import Columns
from dccd.domain.timeutils import US_NS
from dccd.storage.journal import SYNC_EVERY_S, Journal
from dccd.storage.merge import Part, merge
from dccd.storage.schema import to_batch
from dccd.storage.slices import parted
from dccd.storage.unpublished import Unpublished

SEGMENT_BYTES = 64 << 20
UNPROVEN_BYTES_MAX = 64 << 20
_NOTHING = IntervalSet()
pc: Any = pyarrow.compute  # its stubs refuse much of what the kernels take


class _Home(Protocol):
    """What a log needs of its store."""

    @property
    def unpublished(self) -> Unpublished: ...

    def new_journal(self, *, publishes_itself: bool) -> Journal: ...

    def publish(self, dataset: DatasetId | None = None, before_ns: int | None = None) -> None: ...

    def changed(self, dataset: DatasetId) -> None: ...

    def doubted(self, dataset: DatasetId) -> IntervalSet: ...

    def plausible(
        self, dataset: DatasetId, columns: Columns, covered: IntervalSet, source: str
    ) -> tuple[Columns, IntervalSet]: ...


class BackfillLog:
    """Pages of one backfill. Thread-safe.

    A page survives the end of the process once :meth:`append` returned, and a power cut once :meth:`sync`
    did. Whatever happens then, the next start finds it: nothing has to be called for that. A program that
    goes on calls :meth:`finish`, or :meth:`close` where the disk would not have it.

    Where what is stored was doubted when the backfill began, and not again since, pages replace it: as far as
    they prove that they have all there is. Rows there that no page has proven yet only join what is stored.
    They are remembered, up to `UNPROVEN_BYTES_MAX`. Beyond that their time stays doubted, for the next
    backfill.
    """

    def __init__(
        self,
        home: _Home,
        dataset: DatasetId,
        run_id: str,
        source: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dataset, self.run_id, self.source = dataset, run_id, source
        self._home, self._clock = home, clock
        self._mutex = threading.Lock()
        self._journal: Journal | None = None
        self._synced_s = clock()
        self._doubted = home.doubted(dataset)
        self._unproven: list[pa.Table] = []  # rows of doubted time, each page's by themselves

    def append(self, columns: Columns, covered: IntervalSet, cursor: str | None = None) -> None:
        """Take a page.

        Parameters
        ----------
        columns : mapping of str to sequence
            Rows, see :func:`dccd.storage.schema.to_batch`; may be empty. Trades without ids: the page holds
            each of its timestamps whole. Order-book updates: each message whole.
        covered : IntervalSet
            What the page, with those before it, newly proves fetched whole. Rows with implausible times are
            put aside, and then it proves nothing.
        cursor : str or None
            Where the next page starts, kept with the page.

        Raises
        ------
        DiskFull, StorageError
            The disk refused; the pages before this one are stored. Where writing it failed, nothing of it is,
            and it may be appended again. Where the sync failed that some appends end with, it is stored like
            the pages before it, but a power cut may take whatever came after the last sync, and no page is
            taken any more.
        """
        columns, covered = self._home.plausible(self.dataset, columns, covered, self.source)
        batch = to_batch(self.dataset, columns or {"ts": []})
        if not covered and not batch.num_rows:
            return
        with self._mutex:
            if self._journal is None:
                self._journal = self._home.new_journal(publishes_itself=True)
                self._synced_s = self._clock()
            if self._doubted:
                batch, covered = self._replace(self._journal, batch, covered, cursor)
            if batch.num_rows or covered:
                self._write(self._journal, batch, covered, cursor)
            now = self._clock()
            if now - self._synced_s >= SYNC_EVERY_S:
                self._journal.sync()
                self._synced_s = now

    def _write(
        self,
        journal: Journal,
        batch: pa.RecordBatch,
        covered: IntervalSet,
        cursor: str | None,
        replaces: IntervalSet = _NOTHING,
    ) -> None:
        frame = journal.append(self.dataset, batch, covered, cursor, source=self.source, replaces=replaces)
        self._home.unpublished.add(frame)
        self._home.changed(self.dataset)

    def _replace(
        self, journal: Journal, batch: pa.RecordBatch, covered: IntervalSet, cursor: str | None
    ) -> tuple[pa.RecordBatch, IntervalSet]:
        """Write what of a page replaces what is stored; returns what is left of the page.

        A page that replaces has all rows of the time that it replaces, those too that came in pages before
        the one that proves it.
        """
        proven = covered & self._doubted
        inside, outside = parted(pa.Table.from_batches([batch]), proven)
        if proven:
            earlier = [parted(rows, proven) for rows in self._unproven]
            parts = [
                Part(rows, number) for number, rows in enumerate([*(found for found, _ in earlier), inside])
            ]
            rows = merge(self.dataset.data_type, parts).combine_chunks()
            [replacing] = rows.to_batches() or [batch.slice(0, 0)]
            self._write(journal, replacing, proven, cursor, replaces=proven)
            self._doubted -= proven
            self._unproven = [left for _, left in earlier if left.num_rows]
        waiting, _ = parted(outside, self._doubted)
        if waiting.num_rows:
            self._unproven.append(waiting)
            if sum(rows.nbytes for rows in self._unproven) > UNPROVEN_BYTES_MAX:
                self._leave(_stretch(self._unproven))
        [left] = outside.combine_chunks().to_batches() or [batch.slice(0, 0)]
        return left, covered - proven

    def replace_no_more(self, doubted_anew: IntervalSet) -> None:
        """What is stored is doubted anew: what this backfill has asked for before does not answer that."""
        with self._mutex:
            self._leave(doubted_anew)

    def _leave(self, intervals: IntervalSet) -> None:
        """Let rows only join what is stored there."""
        self._doubted -= intervals
        kept = [parted(rows, self._doubted)[0] for rows in self._unproven]
        self._unproven = [rows for rows in kept if rows.num_rows]

    def sync(self) -> None:
        """Acknowledge: every page so far survives a power cut once this returns.

        Raises
        ------
        DiskFull, StorageError
            The disk refused; pages since the last sync may be lost by a power cut.
        """
        with self._mutex:
            if self._journal is not None:
                self._journal.sync()
                self._synced_s = self._clock()

    def publish_before(self, ts_ns: int) -> None:
        """Write the files of periods that end at or before `ts_ns`; the cursor is past them."""
        self._home.publish(self.dataset, ts_ns)
        with self._mutex:
            journal = self._journal
            if journal is not None and (
                journal.size >= SEGMENT_BYTES or not any(f.due for f in journal.frames)
            ):
                journal.sync()
                self._home.unpublished.ended(journal)
                self._journal = None
        self._home.unpublished.retire()

    def close(self) -> None:
        """Leave what is not published yet to the store; idempotent, touches no disk.

        It is read and counts like the rest; the dataset's next publication takes it in and retires the
        journal.
        """
        with self._mutex:
            journal, self._journal = self._journal, None
            if journal is not None:
                self._home.unpublished.ended(journal)

    def finish(self) -> None:
        """Publish the rest and retire the journals; idempotent.

        What cannot be published now, another program holding the file, is kept for the next time.
        """
        self.close()
        self._home.publish(self.dataset)


def _stretch(tables: list[pa.Table]) -> IntervalSet:
    """From the first of all rows' instants to the last one's."""
    bounds = [pc.min_max(rows["ts"].cast(pa.int64())) for rows in tables]
    first_us = min(each["min"].as_py() for each in bounds)
    last_us = max(each["max"].as_py() for each in bounds)
    return IntervalSet.of(first_us * US_NS, (last_us + 1) * US_NS)
