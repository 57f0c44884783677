"""Fetch what is missing of a range and store it, page by page, so that nothing fetched is ever lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, TypedDict, TypeVar

from dccd.application.bound_source import BoundSource, FetchedPage
from dccd.application.events import EventBus, InventoryEvent
from dccd.application.jobs import JobRun, JobSpec, JobTarget, Progress, RunState
from dccd.application.operations.derive import derive, derived_dataset
from dccd.application.operations.meter import Meter
from dccd.application.operations.plan import Registry, Work, find_work, resolve
from dccd.application.operations.recorded import Told
from dccd.application.operations.shares import Share
from dccd.application.room import RoomWatch
from dccd.application.runs import RunRecorder, new_run, run_error
from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import DccdError, ExchangeError, StorageError
from dccd.domain.instrument import Instrument
from dccd.domain.timeutils import iso
from dccd.domain.types import Transport
from dccd.storage.backfill_log import BackfillLog
from dccd.storage.runs_sqlite import RunsStore
from dccd.storage.store import Store

T = TypeVar("T")

_log = logging.getLogger(__name__)

TICK_S = 0.5  # how often progress is told while no page comes


class BackfillResult(TypedDict, total=False):
    """What a backfill did: `error` when it failed, else the range it was for (half-open)."""

    run_id: str
    rows_written: int
    start_ns: int
    end_ns: int
    error: dict[str, str]


async def backfill(
    spec: JobSpec,
    *,
    registry: Registry,
    store: Store,
    runs_store: RunsStore[JobRun] | None = None,
    events: EventBus | None = None,
    room: RoomWatch | None = None,
    stop_event: asyncio.Event | None = None,
    run_id: str | None = None,
) -> BackfillResult:
    """Fetch what is missing of the asked range and store it.

    ``spec.params.start`` is where the range starts:

    - ``"last"`` finishes every range that was ever asked for and is not yet covered, then goes from the
      newest covered instant to now; it never fills between ranges that nobody asked for. With no data:
      30 days back for ohlc and open interest, 365 for funding, an hour for trades.
    - ``"origin"``: the exchange's earliest data.
    - nanoseconds UTC: that instant.

    With ``spec.params.derive_from`` bars are made from stored trades instead, see
    :func:`dccd.application.operations.derive.derive`.

    Only what coverage lacks is fetched. Rows and the coverage they prove are journaled together, a page at
    a time; whatever ends the run, those pages stay and the next run goes on after them.

    Parameters
    ----------
    spec : JobSpec
    registry, store : SourceRegistry, Store
    runs_store, events : optional
        Where the run is recorded and told.
    room : RoomWatch, optional
        While it says that the disk has too little, nothing is fetched.
    stop_event : asyncio.Event, optional
        Set it to cancel; the page being written is finished.
    run_id : str, optional
        Instead of a generated id.

    Returns
    -------
    BackfillResult
        A cancelled run has the shape of success, and its state is ``cancelled``.
    """
    run = new_run(spec, run_id)
    recorder = RunRecorder(run, runs_store=runs_store, events=events)
    stop = stop_event or asyncio.Event()
    await recorder.start()
    result: BackfillResult = {"run_id": run.run_id, "rows_written": 0}
    try:
        if spec.params.derive_from is not None:
            await _derive(spec, registry, store, recorder, events, stop)
        else:
            prepared = _prepare(spec, registry, store, recorder, events, room, stop)
            fetch = await _unless(stop, prepared, lambda: _tell_waiting(spec, registry, recorder))
            if fetch is not None:
                await fetch.run()
        if run.start_ns is not None and run.end_ns is not None:
            result |= {"start_ns": run.start_ns, "end_ns": run.end_ns}
    except Exception as error:  # noqa: BLE001 - whatever it is, the run has to end as failed
        if not isinstance(error, DccdError):
            _log.exception("backfill %s failed", run.run_id)
        failure = run_error(error)
        await recorder.finish(RunState.FAILED, failure)
        return {"run_id": run.run_id, "rows_written": run.rows_written, "error": failure.model_dump()}
    await recorder.finish(RunState.CANCELLED if stop.is_set() else RunState.SUCCEEDED)
    result["rows_written"] = run.rows_written
    return result


async def _derive(
    spec: JobSpec,
    registry: Registry,
    store: Store,
    recorder: RunRecorder,
    events: EventBus | None,
    stop: asyncio.Event,
) -> None:
    """Make the bars from stored trades, rather than fetch them."""
    bars, told = derived_dataset(spec.target), Told(recorder, stop)
    recorder.run.dataset, recorder.run.target = str(bars), JobTarget.of(bars)
    try:
        work = await derive(bars, spec.params, recorder.run.run_id, registry=registry, store=store, told=told)
        recorder.run.start_ns, recorder.run.end_ns = work.start_ns, work.end_ns
        if work.without_trades:
            recorder.run.result = _not_served(work.without_trades, "stored trades do not cover it")
    finally:
        await told.settle()
        if events is not None:
            events.publish(InventoryEvent(dataset=str(bars)))


def _not_served(intervals: IntervalSet, why: str) -> dict[str, Any]:
    """What a run tells of time that it could not fill."""
    return {"not_served": [[*interval] for interval in intervals], "why": why}


def _listed(intervals: IntervalSet) -> str:
    """The first few, for people."""
    return ", ".join(f"{iso(start)} to {iso(end)}" for start, end in list(intervals)[:5])


async def _prepare(
    spec: JobSpec,
    registry: Registry,
    store: Store,
    recorder: RunRecorder,
    events: EventBus | None,
    room: RoomWatch | None,
    stop: asyncio.Event,
) -> _Fetch:
    dataset, instrument = await resolve(spec.target, spec.params.depth, registry=registry)
    recorder.run.dataset, recorder.run.target = str(dataset), JobTarget.of(dataset)
    source = registry.get(dataset.exchange)
    work = await find_work(spec.params, dataset, instrument, source=source, store=store)
    recorder.run.start_ns, recorder.run.end_ns = work.start_ns, work.end_ns
    return _Fetch(dataset, instrument, work, source, store, recorder, events, room, stop)


async def _tell_waiting(spec: JobSpec, registry: Registry, recorder: RunRecorder) -> None:
    """Progress of a run that does not know yet what there is to fetch."""
    waiting = registry.get(spec.target.exchange).waiting()
    await recorder.progress(Progress(done=0, total=0, unit="rows", rows=0, waiting=waiting))


async def _unless(
    stop: asyncio.Event, work: Coroutine[Any, Any, T], tell: Callable[[], Awaitable[None]]
) -> T | None:
    """What `work` returns, or None when `stop` is set first: then it is cancelled; `tell` every tick."""
    task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        while not task.done() and not stopped.done():
            done, _ = await asyncio.wait((task, stopped), timeout=TICK_S, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                await tell()
        return None if stopped.done() else task.result()
    finally:
        for future in (task, stopped):
            future.cancel()
        await asyncio.wait((task, stopped))


class _Fetch:
    """One backfill under way: pages from the exchange, through one writer thread, into the journal."""

    def __init__(
        self,
        dataset: DatasetId,
        instrument: Instrument,
        work: Work,
        source: BoundSource,
        store: Store,
        recorder: RunRecorder,
        events: EventBus | None,
        room: RoomWatch | None,
        stop: asyncio.Event,
    ) -> None:
        self._dataset, self._instrument, self.work = dataset, instrument, work
        self._source, self._store = source, store
        self._recorder, self._events, self._room, self._stop = recorder, events, room, stop
        self._meter = Meter(dataset, work.todo)
        self._covered = IntervalSet()  # by this run
        self._lacking = IntervalSet()  # no file of it, and nowhere else to be had
        self._files_failed = False

    async def run(self) -> None:
        await asyncio.to_thread(self._note_what_is_known)
        if not self.work.todo:
            stored = "nothing else is to be had" if self.work.unserved else "all of it is stored"
            self._recorder.log(f"Nothing to fetch: {stored}.")
            return
        todo = self.work.todo
        self._recorder.log(f"Fetching {len(todo)} range(s) of {self._dataset}: {_listed(todo)}.")
        if by_file := self.work.by(Transport.ARCHIVE):
            self._recorder.log(f"From {self._source.name}'s files: {_listed(by_file)}.")
        log = await asyncio.to_thread(
            self._store.begin_backfill, self._dataset, self._recorder.run.run_id, source=self._source.name
        )
        writer = _Writer(log, self._dataset, lambda page: self._meter.add(page.rows, page.covered))
        try:
            for share in self.work.shares:
                await self._wait_for_room()
                await self._fetch(share, writer)
                if self._stop.is_set():
                    self._recorder.log("Cancelled; what was fetched is stored.")
                    break
        except StorageError:
            # The disk has a say of its own: the journal stays as it is, for the next publication.
            await writer.close(publish=False)
            raise
        except BaseException:
            await asyncio.shield(writer.close(publish=True))
            raise
        else:
            await writer.close(publish=True)
        finally:
            await self._recorder.progress(self._meter.progress(), last=True)
            if self._events is not None:
                self._events.publish(InventoryEvent(dataset=str(self._dataset)))
        if self._lacking:
            why = f"{self._source.name} has no file of it, or a damaged one, see the run's log"
            if self.work.unserved:
                why = f"{self.work.unserved_cause}; {why}"
            self._recorder.run.result = _not_served(self.work.unserved | self._lacking, why)
        self._recorder.log(f"{self._meter.rows:,} rows in {self._meter.elapsed_s:.1f} s.")

    def _note_what_is_known(self) -> None:
        # What comes from the exchange from now on is no longer made from trades.
        self._store.derivations.forget(self._dataset, self.work.todo)
        for interval in self.work.asked:
            self._store.add_asked(self._dataset, interval)
        for interval in self.work.absent:
            self._store.add_absent(self._dataset, interval, self.work.absent_cause)
        if self.work.unserved:
            self._recorder.run.result = _not_served(self.work.unserved, self.work.unserved_cause)
        for interval in self.work.unserved:
            span = f"{iso(interval.start_ns)} to {iso(interval.end_ns)}"
            self._recorder.log(f"Not to be had: {span}; {self.work.unserved_cause}.", "warning")

    async def _fetch(self, share: Share, writer: _Writer) -> None:
        left = IntervalSet([share.interval])
        if share.transport is Transport.ARCHIVE:
            await self._from_files(share.interval, writer)
            left -= self._covered
            lacking = left if self.work.transport is Transport.ARCHIVE else left.clip(0, self.work.kept_ns)
            if lacking and not self._stop.is_set():
                self._lacking |= lacking
                self._recorder.log(f"The files lack {_listed(lacking)}.", "warning")
            left -= lacking
        for interval in left:
            pages = self._source.history(self._dataset, self._instrument, *interval)
            await self._store_pages(pages, writer)
        if not self._stop.is_set():
            self._meter.leave(share.interval)

    async def _from_files(self, interval: Interval, writer: _Writer) -> None:
        """Store what the exchange's files have; where they fail and the API may do it, leave it to that."""
        if self._files_failed:
            return
        pages = self._source.archived.pages(self._dataset, self._instrument, interval, self.work.now_ns)
        try:
            await self._store_pages(pages, writer)
        except ExchangeError as error:
            if self.work.transport is Transport.ARCHIVE or interval.start_ns < self.work.kept_ns:
                raise
            self._files_failed = True
            self._recorder.log(f"{error} The exchange's API gives the rest.", "warning")

    async def _store_pages(self, pages: AsyncGenerator[FetchedPage, None], writer: _Writer) -> None:
        """Store pages until there are no more, or the run is to stop."""
        async with aclosing(self._until_stopped(pages)) as wanted:
            async for page in wanted:
                if page.note is not None:
                    self._recorder.log(page.note, "warning")
                await writer.put(page)
                self._covered |= page.covered
                await self._recorder.progress(self._meter.progress())
                await self._wait_for_room()

    async def _wait_for_room(self) -> None:
        told = False

        async def tell(waiting: str) -> None:
            nonlocal told
            if not told:
                told = True
                self._recorder.log(f"{waiting[0].upper()}{waiting[1:]}.", "warning")
            await self._recorder.progress(self._meter.progress(waiting))

        if self._room is not None:
            await self._room.wait(self._stop, tell)

    async def _until_stopped(self, pages: AsyncIterator[FetchedPage]) -> AsyncGenerator[FetchedPage, None]:
        """The pages, until the stop event is set; tells progress while the exchange makes it wait."""
        try:
            while (page := await _unless(self._stop, _next(pages), self._tell_waiting)) is not None:
                yield page
        finally:
            close: Any = getattr(pages, "aclose", None)
            if close is not None:
                await close()

    async def _tell_waiting(self) -> None:
        await self._recorder.progress(self._meter.progress(self._source.waiting()))


async def _next(pages: AsyncIterator[FetchedPage]) -> FetchedPage | None:
    return await anext(pages, None)


class _Writer:
    """Writes pages in order on a thread of its own, one behind the page being fetched, and tells of each."""

    def __init__(self, log: BackfillLog, dataset: DatasetId, written: Callable[[FetchedPage], None]) -> None:
        self._log, self._dataset, self._written = log, dataset, written
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dccd-journal")
        self._pending: asyncio.Future[FetchedPage] | None = None
        self._period_end_ns: int | None = None

    async def put(self, page: FetchedPage) -> None:
        """Take a page once the one before is written; raises what writing that one raised."""
        await self._settle()
        self._pending = asyncio.get_running_loop().run_in_executor(self._thread, self._write, page)

    def _write(self, page: FetchedPage) -> FetchedPage:
        self._log.append(page.columns, page.covered, page.cursor)
        reached_ns = page.covered.end_ns
        if reached_ns is None:
            return page
        if self._period_end_ns is not None and reached_ns >= self._period_end_ns:
            self._log.publish_before(reached_ns)
        self._period_end_ns = self._dataset.period(reached_ns).interval.end_ns
        return page

    async def _settle(self) -> None:
        if self._pending is not None:
            pending, self._pending = self._pending, None
            self._written(await pending)

    async def close(self, *, publish: bool) -> None:
        """Wait for the last page, then publish all of it or leave the journal to the next publication."""
        try:
            await self._settle()
            if publish:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._log.finish)
        finally:
            self._thread.submit(self._log.close)  # after whatever page is still being written
            self._thread.shutdown(wait=False)
