"""Runs what is submitted: one run a dataset, a few an exchange, each recorded from start to end."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from dccd.application.events import EventBus
from dccd.application.jobs import JobRun, JobSpec, JobTarget, RunState
from dccd.application.operations.backfill import backfill
from dccd.application.operations.derive import derived_dataset
from dccd.application.operations.export import export, new_export_run
from dccd.application.operations.plan import Registry, resolve
from dccd.application.operations.recorded import Work, recorded
from dccd.application.room import RoomWatch
from dccd.application.runs import RunRecorder, interrupted, new_run, run_error
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import DatasetBusy, DccdError, UnknownRun
from dccd.storage.export import Format
from dccd.storage.runs_sqlite import RunsStore
from dccd.storage.store import Store

RUNS_PER_EXCHANGE = 3
_log = logging.getLogger(__name__)

Operation = Callable[[asyncio.Event], Coroutine[Any, Any, object]]


class Submission(NamedTuple):
    """The run that does what was asked: a new one, or the one that does it already."""

    run_id: str
    status: Literal["started", "already-running"]


@dataclass(slots=True)
class _Live:
    """A run that has not ended."""

    run: JobRun
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    has_started: bool = False
    task: asyncio.Task[None] | None = None


class Scheduler:
    """Starts runs, and knows those that have not ended.

    Parameters
    ----------
    registry, store, runs_store, events
        What the operations work with.
    room : RoomWatch, optional
        Downloads wait while it says that the disk has too little.
    ready : callable, optional
        Each run waits for it before it starts, and fails with what it raises.
    runs_per_exchange : int
        More than these wait as pending: they would only share one allowance.
    """

    def __init__(
        self,
        registry: Registry,
        store: Store,
        runs_store: RunsStore[JobRun],
        events: EventBus,
        *,
        room: RoomWatch | None = None,
        ready: Callable[[], Awaitable[None]] | None = None,
        runs_per_exchange: int = RUNS_PER_EXCHANGE,
    ) -> None:
        self._registry, self._store, self._room = registry, store, room
        self._ready = ready
        self._runs_store, self._events = runs_store, events
        self._slots: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(runs_per_exchange))
        self._turns: dict[DatasetId, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._live: dict[str, _Live] = {}
        self._submitting = asyncio.Lock()

    async def start(self) -> None:
        """Mark as interrupted what an earlier process left unfinished."""
        await self._runs_store.finish_unfinished(interrupted)

    async def stop(self) -> None:
        """End all runs, as interrupted, once the page each is writing is written."""
        stopped = list(self._live.values())
        for live in stopped:
            self._stop(live)
        await asyncio.gather(*(self.wait(live.run.run_id) for live in stopped))
        for live in stopped:
            run = await self._runs_store.get(live.run.run_id)
            if run is not None and run.state is RunState.CANCELLED:
                await self._runs_store.save(interrupted(run))

    @property
    def running(self) -> int:
        """How many runs have not ended, pending ones included."""
        return len(self._live)

    async def submit(self, spec: JobSpec) -> Submission:
        """Start a backfill, unless one of the same dataset and range has not ended: then that is the run.

        One of another range of the same dataset waits for its turn.

        Raises
        ------
        DccdError
            What :func:`dccd.application.operations.plan.resolve` raises.
        """
        derives = spec.params.derive_from is not None
        if derives:
            dataset = derived_dataset(spec.target)
        else:
            dataset, _ = await resolve(spec.target, spec.params.depth, registry=self._registry)
        params = spec.params.model_copy(update={"depth": dataset.depth})
        spec = spec.model_copy(update={"target": JobTarget.of(dataset), "params": params})
        run = new_run(spec).model_copy(update={"dataset": str(dataset)})

        def operation(stop: asyncio.Event) -> Coroutine[Any, Any, object]:
            return backfill(
                spec,
                registry=self._registry,
                store=self._store,
                runs_store=self._runs_store,
                events=self._events,
                room=self._room,
                stop_event=stop,
                run_id=run.run_id,
            )

        async with self._submitting:
            slot = "disk" if derives else dataset.exchange
            return self._same(run) or await self._launch(run, slot, operation, self._turns[dataset])

    async def submit_export(
        self,
        datasets: Sequence[DatasetId],
        folder: Path,
        format: Format = "parquet",  # noqa: A002 - the option's name everywhere
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        certificate: bool = False,
    ) -> Submission:
        """Start an export, see :func:`dccd.application.operations.export.export`."""
        run = new_export_run(datasets, folder, format, start_ns, end_ns, certificate=certificate)

        def operation(stop: asyncio.Event) -> Coroutine[Any, Any, object]:
            return export(
                datasets,
                folder,
                store=self._store,
                format=format,
                start_ns=start_ns,
                end_ns=end_ns,
                certificate=certificate,
                runs_store=self._runs_store,
                events=self._events,
                stop_event=stop,
                run_id=run.run_id,
            )

        async with self._submitting:
            return await self._launch(run, "export", operation, asyncio.Lock())

    async def submit_work(
        self, run: JobRun, work: Work, *, slot: str = "disk", beside: bool = False
    ) -> Submission:
        """Start some work as a run, unless the same of the same has not ended: then that is the run.

        Parameters
        ----------
        slot : str
            What it keeps busy: an exchange's name, or the disk.
        beside : bool
            Whether it goes on beside other runs about its dataset, with which work takes turns otherwise.
        """
        takes_turns = run.dataset is not None and not beside
        turn = self._turns[DatasetId.parse(run.dataset or "")] if takes_turns else asyncio.Lock()

        def operation(stop: asyncio.Event) -> Coroutine[Any, Any, object]:
            return recorded(run, work, runs_store=self._runs_store, events=self._events, stop_event=stop)

        async with self._submitting:
            return self._same(run) or await self._launch(run, slot, operation, turn)

    def _same(self, run: JobRun) -> Submission | None:
        """The run that does already what this one is to do."""
        for live in self._live.values():
            same = (live.run.operation, live.run.dataset, live.run.params)
            if same == (run.operation, run.dataset, run.params) and not live.stop.is_set():
                return Submission(live.run.run_id, "already-running")
        return None

    def busy(self, dataset: DatasetId) -> JobRun | None:
        """A run about this dataset that has not ended, None when there is none."""
        return next((live.run for live in self._live.values() if live.run.dataset == str(dataset)), None)

    @asynccontextmanager
    async def at_rest(self, dataset: DatasetId) -> AsyncIterator[None]:
        """While this lasts no run about the dataset does anything; those that are started meanwhile wait.

        Raises
        ------
        DatasetBusy
            One has not ended.
        """
        run, turn = self.busy(dataset), self._turns[dataset]
        if run is not None or turn.locked():
            what = "Something" if run is None else f"The {run.operation} {run.run_id}"
            raise DatasetBusy(
                f"{what} is working on {dataset}. Wait for its end, or cancel it, and try again."
            )
        async with turn:
            yield

    async def _launch(self, run: JobRun, slot: str, operation: Operation, turn: asyncio.Lock) -> Submission:
        await self._runs_store.save(run)
        self._events.for_run(run.run_id).status(run.state)
        live = self._live[run.run_id] = _Live(run)
        live.task = asyncio.create_task(
            self._run(live, turn, self._slots[slot], operation), name=f"run {run.run_id}"
        )
        await asyncio.sleep(0)  # a task that is cancelled before its first step never comes to its end
        return Submission(run.run_id, "started")

    async def _run(
        self, live: _Live, turn: asyncio.Lock, slot: asyncio.Semaphore, operation: Operation
    ) -> None:
        try:
            if self._ready is not None:
                await self._ready()
            # The turn first: one that waits for its dataset takes no slot from the others.
            async with turn, slot:
                live.has_started = True
                await operation(live.stop)
        except asyncio.CancelledError:
            if live.has_started:
                raise
            await self._recorder(live).finish(RunState.CANCELLED)
        except Exception as error:
            if live.has_started:
                raise
            if not isinstance(error, DccdError):
                _log.exception("the run %s could not be started", live.run.run_id)
            await self._recorder(live).finish(RunState.FAILED, run_error(error))
        finally:
            del self._live[live.run.run_id]

    def _recorder(self, live: _Live) -> RunRecorder:
        return RunRecorder(live.run, runs_store=self._runs_store, events=self._events)

    def _stop(self, live: _Live) -> None:
        live.stop.set()
        if live.task is not None and not live.has_started:
            live.task.cancel()

    async def cancel(self, run_id: str) -> None:
        """Tell a run to stop; one that has ended stays as it is.

        Raises
        ------
        UnknownRun
        """
        live = self._live.get(run_id)
        if live is not None:
            self._stop(live)
        else:
            await self.get(run_id)

    async def wait(self, run_id: str) -> JobRun:
        """The run once it has ended; cancelling this does not cancel the run.

        Raises
        ------
        UnknownRun
        """
        live = self._live.get(run_id)
        if live is not None and live.task is not None:
            await asyncio.wait((live.task,))
        return await self.get(run_id)

    async def get(self, run_id: str) -> JobRun:
        """The run as it stands, with the end of its log.

        Raises
        ------
        UnknownRun
        """
        run = await self._runs_store.get(run_id)
        if run is None:
            raise UnknownRun(f"There is no run {run_id!r}. See the list of runs; old ones are forgotten.")
        return run
