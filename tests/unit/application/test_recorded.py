"""Long work as a run: what is kept of it, told of it, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from dccd.application.events import EventBus
from dccd.application.jobs import JobRun, RunState
from dccd.application.operations.recorded import Told, new_work_run, recorded
from dccd.application.scheduler import Scheduler
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import StorageError
from dccd.storage.runs_sqlite import RunsStore

BARS = DatasetId.parse("binance:BTC-USDT:ohlc:1m")


class Params(BaseModel):
    """What the work of these tests takes."""

    datasets: list[str]


NotAsked: Any = object  # for the registry and the store, which this work has no need of


def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        pass


@pytest.fixture
async def runs_store(tmp_path: Path) -> AsyncIterator[RunsStore[JobRun]]:
    store = await RunsStore.open(tmp_path / "runs.db", JobRun, lambda *_: None)
    yield store
    await store.close()


def _run(dataset: DatasetId | None = BARS) -> JobRun:
    return new_work_run("verify", Params(datasets=[str(BARS)]), dataset)


async def test_what_came_of_it_is_kept_with_the_run(runs_store: RunsStore[JobRun]) -> None:
    async def work(told: Told) -> dict[str, Any]:
        def on_a_thread() -> None:
            told.progress(1, 2, "files", rows=10)
            told.log("half of it")

        await asyncio.to_thread(on_a_thread)
        told.progress(2, 2, "files", rows=20)
        return {"files": 2}

    run = _run(dataset=None)
    await recorded(run, work, runs_store=runs_store)
    kept = await runs_store.get(run.run_id)
    assert kept is not None
    assert (kept.state, kept.result, kept.target) == (RunState.SUCCEEDED, {"files": 2}, None)
    assert kept.params == {"datasets": [str(BARS)]}
    assert kept.progress is not None
    assert (kept.progress.done, kept.rows_written) == (2, 20)
    assert "half of it" in kept.log_tail[-1]


async def test_an_error_is_the_runs_end(runs_store: RunsStore[JobRun]) -> None:
    async def work(told: Told) -> dict[str, Any]:
        raise StorageError("The disk refused.")

    run = await recorded(_run(), work, runs_store=runs_store)
    assert run.state is RunState.FAILED
    assert run.error is not None
    assert (run.error.code, run.error.detail, run.result) == ("storage", "The disk refused.", None)


async def test_cancelled_work_keeps_what_came_of_it(runs_store: RunsStore[JobRun]) -> None:
    scheduler = Scheduler(NotAsked(), NotAsked(), runs_store, EventBus())
    began = asyncio.Event()

    async def work(told: Told) -> dict[str, Any]:
        began.set()
        await asyncio.to_thread(_until, told.stopped)
        return {"files": 1}

    started = await scheduler.submit_work(_run(), work)
    await began.wait()
    busy = scheduler.busy(BARS)
    assert busy is not None
    assert busy.run_id == started.run_id
    again = await scheduler.submit_work(_run(), work)
    assert again == (started.run_id, "already-running")
    await scheduler.cancel(started.run_id)
    run = await scheduler.wait(started.run_id)
    assert (run.state, run.result) == (RunState.CANCELLED, {"files": 1})
    assert scheduler.busy(BARS) is None


async def test_whatever_keeps_a_run_from_starting_is_its_end(runs_store: RunsStore[JobRun]) -> None:
    async def ready() -> None:
        raise ValueError("a mistake of ours")

    async def work(told: Told) -> dict[str, Any]:
        return {}

    scheduler = Scheduler(NotAsked(), NotAsked(), runs_store, EventBus(), ready=ready)
    started = await scheduler.submit_work(_run(), work)
    run = await scheduler.wait(started.run_id)
    assert run.state is RunState.FAILED
    assert run.error is not None
    assert "a mistake of ours" in run.error.detail
