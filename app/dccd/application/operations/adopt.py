"""Take over the data of a folder of the dccd 3 package: read only there, safe to do again here."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from dccd.application.operations.adoptable import Adopted, AdoptReport, datasets, place, shift_ns
from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import UnknownDataset
from dccd.domain.gaps import GapCause
from dccd.domain.timeutils import S_NS, iso
from dccd.domain.types import DataType
from dccd.storage.reference import books
from dccd.storage.reference.compare import compare, in_schema
from dccd.storage.reference.file import OldFile, UnreadableOldFile, look, read_pages
from dccd.storage.reference.folder import LeftOut, Listing, OldDataset
from dccd.storage.reference.proof import Proof
from dccd.storage.reference.rows import take, unknown, wanted
from dccd.storage.reference.state import OldState, read_state
from dccd.storage.schema import arrow_schema
from dccd.storage.store import Store

SOURCE = "dccd 3"
# A run of the package notes its start a moment before it looks at the clock for its end.
_SLACK_NS = 5 * S_NS
_SNAPSHOTS = {DataType.ORDERBOOK, DataType.BOOK_UPDATES}


class Adoption:
    """One taking over, on a thread of its own.

    Parameters
    ----------
    stopped : callable
        Asked between pages; what was taken until then is kept.
    progress : callable (rows_read, rows_in_all, rows_stored)
    adopted : callable (dataset, words)
        Told of each dataset once it is done.
    """

    def __init__(
        self,
        listing: Listing,
        store: Store,
        run_id: str,
        *,
        stopped: Callable[[], bool],
        progress: Callable[[int, int, int], None],
        adopted: Callable[[str, str], None] = lambda *_: None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._listing, self._store, self._run_id = listing, store, run_id
        self._stopped, self._progress, self._adopted = stopped, progress, adopted
        self._now_ns = clock()
        self._total = self._read = 0
        self._state = OldState()
        self.report = AdoptReport(folder=str(listing.folder))

    def run(self) -> AdoptReport:
        """Take over all of it.

        Raises
        ------
        StorageError
            The disk of the data folder refused; what was taken until then is stored.
        """
        for left_out in self._listing.left_out:
            self.report.leave(left_out)
        self._state = read_state(self._listing.folder)
        for words in self._state.unread:
            self.report.leave(LeftOut(".dccd", words))
        self._note_what_is_gone()
        readable = {old: self._readable(old) for old in self._listing.datasets}
        for old, files in readable.items():
            if not self._stopped():
                self._adopt(old, files)
        return self.report

    def _readable(self, old: OldDataset) -> list[OldFile]:
        found = []
        for path in old.files:
            try:
                found.append(look(path))
            except UnreadableOldFile as error:
                self.report.leave(LeftOut(place(self._listing, path), str(error)))
        self._total += sum(file.rows for file in found)
        return found

    def _note_what_is_gone(self) -> None:
        """Datasets of which its own record has rows and the folder has no file."""
        for name in sorted(self._state.collected.keys() - self._listing.names):
            first, last = self._state.collected[name]
            words = f"{name} was collected from {iso(first)} to {iso(last)}, and no file of it is here"
            self.report.leave(LeftOut(".dccd/coverage.db", words))

    def _adopt(self, old: OldDataset, files: list[OldFile]) -> None:
        targets = [
            _Target(self._store, dataset, old, self._run_id, self._maybe_open(old))
            for dataset in datasets(old)
        ]
        if not targets:
            words = "none of its rows can be read, or says whether it is of a snapshot or a change"
            self.report.leave(LeftOut(old.place, words))
            return
        foreign: Counter[str] = Counter()
        try:
            for file in files:
                if self._stopped():
                    break
                foreign.update(unknown(old.data_type, file.columns))
                self._adopt_file(old, file.path, targets)
        except BaseException:
            for target in targets:  # the journals stay as they are, for the next publication
                target.log.close()
            raise
        for target in targets:
            target.finish(to_the_end=not self._stopped())
            for column, count in sorted(foreign.items()):
                target.found.notes.append(f"the column {column} of {count} file(s) means nothing here")
            self.report.datasets.append(target.found)
            self._adopted(target.found.dataset, _words(target.found))
        self._note_what_was_dropped(old, [target.found for target in targets])

    def _adopt_file(self, old: OldDataset, path: Path, targets: list[_Target]) -> None:
        try:
            for page in read_pages(path, wanted(old.data_type)):
                if self._stopped():
                    return
                taken = take(old.data_type, page, self._now_ns, shift_ns(old))
                self._read += page.num_rows
                targets[0].leave_out(taken.left_out)
                for target in targets:
                    target.add(taken.rows)
                stored = sum(t.found.rows_stored for t in targets)
                before = sum(found.rows_stored for found in self.report.datasets)
                self._progress(self._read, max(self._total, self._read), before + stored)
        except UnreadableOldFile as error:
            self.report.leave(LeftOut(place(self._listing, path), str(error)))

    def _maybe_open(self, old: OldDataset) -> IntervalSet:
        """The bars in which a run of the package ended: each was stored as it stood then."""
        if old.span is None:
            return IntervalSet()
        opens = {
            old.span.floor(ns + slack)
            for ns in self._state.ends.get(old.name, [])
            for slack in (0, _SLACK_NS)
            if 0 <= ns < self._now_ns
        }
        return IntervalSet((open_ns, old.span.next(open_ns)) for open_ns in opens)

    def _note_what_was_dropped(self, old: OldDataset, found: list[Adopted]) -> None:
        """Rows that its own record has outside of what its files have."""
        collected = self._state.collected.get(old.name)
        starts = [item.start_ns for item in found if item.start_ns is not None]
        ends = [item.end_ns for item in found if item.end_ns is not None]
        if collected is None or not starts or self._stopped():
            return
        first, last = collected
        if first + shift_ns(old) < min(starts) or last + shift_ns(old) >= max(ends):
            words = f"the package once had rows from {iso(first)} to {iso(last)}; files of it are not here"
            found[0].notes.append(words)


class _Target:
    """One dataset here, and what has come into it."""

    def __init__(
        self, store: Store, dataset: DatasetId, old: OldDataset, run_id: str, maybe_open: IntervalSet
    ) -> None:
        self._store, self._dataset, self._old = store, dataset, old
        self._whole = store.coverage(dataset).covered
        self._proof = Proof(dataset.data_type, dataset.span)
        # What is doubted already, only the exchange can make believed again.
        self._maybe_open = maybe_open | store.doubted(dataset)
        self._doubtful = IntervalSet()
        self._published_ns = 0
        self._first_ns: int | None = None
        self._last_ns = 0
        self._left_out: Counter[str] = Counter()
        self.log = store.begin_backfill(dataset, run_id, source=SOURCE)
        self.found = Adopted(place=old.place, dataset=str(dataset), files=len(old.files), notes=[])

    def leave_out(self, left_out: Counter[str]) -> None:
        """Count rows that cannot be stored."""
        self._left_out += left_out
        self.found.rows_read += left_out.total()

    def add(self, rows: pa.Table) -> None:
        """Take a page in."""
        if self._old.data_type is DataType.ORDERBOOK:
            changes = self._dataset.data_type is DataType.BOOK_UPDATES
            rows = books.updates(rows) if changes else books.snapshots(rows)
        if not rows.num_rows:
            return
        first_ns, last_ns = rows["ts"][0].as_py(), rows["ts"][-1].as_py()
        self._publish_before(first_ns)
        proven = self._proof.add(rows)
        self._doubtful |= proven & self._maybe_open
        page = in_schema(self._dataset, rows)
        found = compare(self._dataset.data_type, page, self._stored(first_ns, last_ns), self._whole)
        claimed = proven - self._maybe_open - self._whole
        columns: dict[str, Any] = {name: found.store[name] for name in found.store.column_names}
        self.log.append(columns, claimed)
        self.found.rows_read += rows.num_rows
        self.found.rows_stored += found.new
        self.found.rows_same += found.same + rows.num_rows - page.num_rows
        self.found.rows_differing += found.differing
        self._first_ns = first_ns if self._first_ns is None else min(first_ns, self._first_ns)
        self._last_ns = max(last_ns, self._last_ns)

    def finish(self, *, to_the_end: bool) -> None:
        """Publish it, and ask for what lies between its first row and its last."""
        self.log.finish()
        self.found.rows_left_out = dict(self._left_out)
        if self._proof.off_grid:
            self.found.notes.append(
                f"{self._proof.off_grid:,} bars open where no bar of {self._dataset.span} does; they are "
                "stored, and will be asked for again"
            )
        if shift_ns(self._old):
            self.found.notes.append("times were moved from the end of each bar, as stored, to its beginning")
        if self._first_ns is None:
            return
        end_ns = self._last_ns + 1
        if self._dataset.span is not None:
            end_ns = self._dataset.span.next(self._dataset.span.floor(self._last_ns))
        self.found.start_ns, self.found.end_ns = self._first_ns, end_ns
        if self._dataset.data_type in _SNAPSHOTS:
            return  # what was not recorded then is nowhere to be had
        self._store.add_asked(self._dataset, Interval(self._first_ns, end_ns))
        if to_the_end and self._proof.last_bar is not None:
            self._doubtful |= IntervalSet((self._proof.last_bar,))
        for interval in self._doubtful - self._whole:
            self._store.add_doubt(self._dataset, interval, GapCause.MAYBE_OPEN)
        self.found.gap_count = len(self._store.gaps(self._dataset))

    def _stored(self, first_ns: int, last_ns: int) -> pa.Table:
        try:
            batches = list(self._store.read(self._dataset, first_ns, last_ns + 1))
        except UnknownDataset:
            batches = []
        return pa.Table.from_batches(batches, arrow_schema(self._dataset.data_type))

    def _publish_before(self, ts_ns: int) -> None:
        start_ns = self._dataset.period(ts_ns).interval.start_ns
        if start_ns > self._published_ns:
            if self._published_ns:
                self.log.publish_before(start_ns)
            self._published_ns = start_ns


def _words(found: Adopted) -> str:
    left_out = sum(found.rows_left_out.values())
    parts = [f"{found.rows_stored:,} of {found.rows_read:,} rows stored"]
    parts += [f"{found.rows_differing:,} differ from what is here"] if found.rows_differing else []
    parts += [f"{left_out:,} cannot be stored"] if left_out else []
    return ", ".join(parts) + "."
