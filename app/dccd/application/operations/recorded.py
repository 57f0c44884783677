"""Long work as a run: recorded, told as it goes on, cancelled when it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel

from dccd.application.events import EventBus
from dccd.application.jobs import JobRun, JobTarget, Operation, Progress, RunState
from dccd.application.runs import RunRecorder, new_run_id, run_error
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import DccdError
from dccd.storage.runs_sqlite import RunsStore

_log = logging.getLogger(__name__)


class Told:
    """What work says and hears while it goes on; safe to use from the threads that it works on."""

    def __init__(self, recorder: RunRecorder, stop: asyncio.Event) -> None:
        self._recorder, self._stop = recorder, stop
        self._loop = asyncio.get_running_loop()
        self._began_s = time.monotonic()
        self._telling: set[Future[None]] = set()

    def stopped(self) -> bool:
        """Whether the work should end now, with what it has done kept."""
        return self._stop.is_set()

    def progress(
        self, done: int, total: int, unit: str, *, rows: int = 0, waiting: str | None = None
    ) -> None:
        """Say how far it is; see :class:`dccd.application.jobs.Progress`."""
        elapsed_s = max(time.monotonic() - self._began_s, 1e-3)
        told = Progress(
            done=done,
            total=total,
            unit=unit,
            rows=rows,
            rows_per_s=rows / elapsed_s,
            eta_s=(total - done) * elapsed_s / done if 0 < done <= total else None,
            waiting=waiting,
        )
        telling = asyncio.run_coroutine_threadsafe(
            self._recorder.progress(told, last=done == total), self._loop
        )
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    def log(self, message: str, level: Literal["info", "warning", "error"] = "info") -> None:
        """Add a line to the run's log."""
        self._loop.call_soon_threadsafe(self._recorder.log, message, level)

    async def settle(self) -> None:
        """Wait until all that was said is told."""
        await asyncio.sleep(0)  # lines of the log that were handed to the loop by now
        await asyncio.gather(*(asyncio.wrap_future(telling) for telling in list(self._telling)))


# Returns what came of it, as JSON: kept with the run.
Work: TypeAlias = Callable[[Told], Awaitable[dict[str, Any]]]


def new_work_run(operation: Operation, params: BaseModel, dataset: DatasetId | None = None) -> JobRun:
    """A pending run of some work.

    Parameters
    ----------
    params : BaseModel
        What it takes to do the same again.
    dataset : DatasetId or None
        What it is about, where that is one dataset.
    """
    return JobRun(
        run_id=new_run_id(),
        spec_id=operation if dataset is None else f"{operation}:{dataset}",
        operation=operation,
        target=None if dataset is None else JobTarget.of(dataset),
        dataset=None if dataset is None else str(dataset),
        params=params.model_dump(mode="json"),
        created_at=time.time_ns(),
    )


async def recorded(
    run: JobRun,
    work: Work,
    *,
    runs_store: RunsStore[JobRun] | None = None,
    events: EventBus | None = None,
    stop_event: asyncio.Event | None = None,
) -> JobRun:
    """Do some work as a run.

    Returns
    -------
    JobRun
        As it ended: ``failed`` with the error, ``cancelled`` when `stop_event` was set (with what came of
        it until then), else ``succeeded``.
    """
    recorder = RunRecorder(run, runs_store=runs_store, events=events)
    stop = stop_event or asyncio.Event()
    told = Told(recorder, stop)
    await recorder.start()
    try:
        run.result = await work(told)
        await told.settle()
    except Exception as error:  # noqa: BLE001 - whatever it is, the run has to end as failed
        if not isinstance(error, DccdError):
            _log.exception("%s %s failed", run.operation, run.run_id)
        await recorder.finish(RunState.FAILED, run_error(error))
        return run
    await recorder.finish(RunState.CANCELLED if stop.is_set() else RunState.SUCCEEDED)
    return run
