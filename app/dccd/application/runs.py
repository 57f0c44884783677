"""One run's story, told once: on the run itself, in the run store, and on the bus."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Literal

from dccd.application.events import EventBus, RunEvents
from dccd.application.jobs import (
    LOG_TAIL_MAX,
    JobRun,
    JobSpec,
    Operation,
    Progress,
    RunError,
    RunState,
)
from dccd.domain.errors import DccdError
from dccd.domain.timeutils import iso
from dccd.storage.runs_sqlite import RunsStore

SAVE_EVERY_S = 0.5


def new_run_id() -> str:
    """An id that no other run has."""
    return uuid.uuid4().hex


def new_run(spec: JobSpec, run_id: str | None = None) -> JobRun:
    """A pending run of a spec."""
    return JobRun(
        run_id=run_id or new_run_id(),
        spec_id=spec.id,
        operation=spec.operation,
        target=spec.target,
        params=spec.params.model_dump(mode="json"),
        created_at=time.time_ns(),
    )


def run_error(error: BaseException) -> RunError:
    """What is kept of an error: its stable code, and words."""
    if isinstance(error, DccdError):
        return RunError(code=error.code, detail=str(error))
    what = f"{type(error).__name__}: {error}"
    return RunError(
        code="internal", detail=f"A fault in dccd itself: {what}. Please report it; no data is lost."
    )


class RunRecorder:
    """Keeps a run up to date wherever somebody looks for it.

    Parameters
    ----------
    run : JobRun
        Changed in place.
    runs_store : RunsStore or None
        Written at each change of state, and at most twice a second between.
    events : EventBus or None
    """

    def __init__(
        self,
        run: JobRun,
        *,
        runs_store: RunsStore[JobRun] | None = None,
        events: EventBus | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.run = run
        self._store, self._clock = runs_store, clock
        self._events: RunEvents | None = None if events is None else events.for_run(run.run_id)
        self._save_due_s = 0.0

    async def start(self) -> None:
        """It runs now."""
        self.run.started_at = self._clock()
        await self._enter(RunState.RUNNING)

    async def progress(self, progress: Progress, *, last: bool = False) -> None:
        """Say how far it is."""
        self.run.progress = progress
        self.run.rows_written = progress.rows
        if self._events is not None:
            self._events.progress(progress, last=last)
        if time.monotonic() >= self._save_due_s:
            await self._save()

    def log(self, message: str, level: Literal["info", "warning", "error"] = "info") -> None:
        """Add a line to the log; of a long log only the end is kept."""
        mark = "" if level == "info" else f"{level}: "
        ts_ns = self._clock()
        self.run.log_tail.append(f"{iso(ts_ns // 1_000_000 * 1_000_000)} {mark}{message}")
        del self.run.log_tail[:-LOG_TAIL_MAX]
        if self._events is not None:
            self._events.log(message, level, ts_ns)

    async def finish(self, state: RunState, error: RunError | None = None) -> None:
        """It ended."""
        self.run.error = error
        self.run.ended_at = self._clock()
        if error is not None:
            self.log(error.detail, "error")
        await self._enter(state)

    async def _enter(self, state: RunState) -> None:
        self.run.state = state
        await self._save()
        if self._events is not None:
            self._events.status(state, self.run.error)

    async def _save(self) -> None:
        self._save_due_s = time.monotonic() + SAVE_EVERY_S
        if self._store is not None:
            await self._store.save(self.run)


_KEPT: dict[Operation, str] = {
    "backfill": "What was fetched is kept; start it again to go on from there.",
    "adopt": "What was taken over is kept; start it again to go on from there.",
    "move": "What was copied is taken up by the next attempt.",
    "export": "Nothing is kept of an export that has not ended; start it again.",
}


def interrupted(run: JobRun) -> JobRun:
    """The run as it is known after the process that ran it is gone."""
    kept = _KEPT.get(run.operation, "Nothing is lost; start it again.")
    words = f"dccd ended while this ran. {kept}"
    error = RunError(code="interrupted", detail=words)
    return run.model_copy(update={"state": RunState.INTERRUPTED, "ended_at": time.time_ns(), "error": error})
