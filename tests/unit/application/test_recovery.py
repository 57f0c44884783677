"""The program answers while the data folder is recovered."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from dccd.application import service_factory
from dccd.application.config import AppConfig
from dccd.application.events import EventBus, ResyncEvent
from dccd.application.jobs import RunState
from dccd.application.recovery import RETRY_PAUSE_S, BackgroundRecovery
from dccd.application.scheduler import Submission
from dccd.application.service import Service
from dccd.application.service_factory import build_service
from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import StorageError
from dccd.domain.timeutils import MINUTE_NS
from dccd.storage.fs import Entry, RealFileSystem
from dccd.storage.store import Store

BARS = DatasetId.parse("binance:BTC-USDT:ohlc:1m")
OTHER = DatasetId.parse("binance:ETH-USDT:ohlc:1m")
FEB = 1_706_745_600_000_000_000  # 2024-02-01


class Disk(RealFileSystem):
    """A disk that lists the journals when it is told to, or refuses."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.error: OSError | None = None

    def entries(self, path: Path) -> list[Entry]:
        if path.name == "journal":
            assert self.go_on.wait(30)
            if self.error is not None:
                raise self.error
        return super().entries(path)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """The disk of the services of this test."""
    made = Disk()
    monkeypatch.setattr(service_factory, "build_store", lambda path: Store.open(path, fs=made, recover=False))
    return made


@asynccontextmanager
async def recovering(config: AppConfig, disk: Disk) -> AsyncIterator[Service]:
    """A service over a folder with a file of ten minutes and a journal of ten more, being recovered."""
    with closing(Store.open(config.data_path)) as store:
        log = store.begin_backfill(BARS, "run", source="binance")
        log.append(bars(0, 10), covered(0, 10), None)
        log.finish()
        log.append(bars(10, 20), covered(10, 20), None)
    async with build_service(config) as service:
        try:
            yield service
        finally:
            disk.go_on.set()


def bars(first: int, last: int) -> dict[str, list[float]]:
    names = ("open", "high", "low", "close", "volume")
    times = [FEB + minute * MINUTE_NS for minute in range(first, last)]
    return {"ts": times, **dict.fromkeys(names, [1.0] * len(times))}  # type: ignore[dict-item]


def covered(first: int, last: int) -> IntervalSet:
    return IntervalSet.of(FEB + first * MINUTE_NS, FEB + last * MINUTE_NS)


async def test_data_is_waited_for_by_no_thread_and_all_else_goes_on(config: AppConfig, disk: Disk) -> None:
    async with recovering(config, disk) as service:
        assert service.recovery.progress is not None
        waiting = [asyncio.create_task(service.info(BARS)) for _ in range(100)]
        gaps = asyncio.create_task(service.gaps(BARS))
        rows = asyncio.create_task(service.rows(BARS, limit=100))
        assert [info.rows for info in await service.inventory()] == [10]
        assert await service.runs.list() == []
        assert not any(task.done() for task in (*waiting, gaps, rows))
        with service.events.enable_queue() as queue:
            disk.go_on.set()
            assert {info.rows for info in await asyncio.gather(*waiting)} == {20}
            assert await gaps == []
            assert (await rows).table.num_rows == 20
            assert service.recovery.progress is None
            assert (await anext(queue)).event == ResyncEvent()


async def test_a_run_waits_for_the_recovery(config: AppConfig, disk: Disk) -> None:
    async with recovering(config, disk) as service:
        run_id, _ = await service.scheduler.submit_export([BARS], config.data_path.parent / "exported")
        assert (await service.run(run_id)).state is RunState.PENDING
        disk.go_on.set()
        run = await service.wait(run_id)
        assert (run.state, run.rows_written) == (RunState.SUCCEEDED, 20)


async def test_a_run_that_waits_can_be_cancelled(config: AppConfig, disk: Disk) -> None:
    async with recovering(config, disk) as service:
        run_id, _ = await service.scheduler.submit_export([BARS], config.data_path.parent / "exported")
        await service.cancel(run_id)
        assert (await service.wait(run_id)).state is RunState.CANCELLED


async def test_what_was_left_in_journals_is_published(config: AppConfig, disk: Disk) -> None:
    async with recovering(config, disk) as service:
        disk.go_on.set()
        await service.ready()
        assert service.recovery._publishing is not None
        await service.recovery._publishing
        assert [info.rows for info in service.store.files(BARS)] == [20]


async def test_one_dataset_that_cannot_be_published_keeps_no_other(
    data_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(Store.open(data_path)) as store:
        for dataset in (BARS, OTHER):
            store.begin_backfill(dataset, "run", source="binance").append(bars(0, 10), covered(0, 10), None)

    def fail(_store: Store, dataset: DatasetId, **_: object) -> None:
        raise ValueError(f"a mistake of ours about {dataset}")

    with closing(Store.open(data_path, recover=False)) as store:
        recovery = BackgroundRecovery(store, EventBus(), then=lambda: None)
        with monkeypatch.context() as broken:
            broken.setattr(Store, "publish", fail)
            await recovery.done()
            assert recovery._publishing is not None
            await recovery._publishing
        for dataset in (BARS, OTHER):
            assert f"a mistake of ours about {dataset}" in caplog.text
        await recovery.stop()


async def test_a_service_is_stopped_while_it_recovers(config: AppConfig, disk: Disk) -> None:
    async with recovering(config, disk) as service:
        waiting = asyncio.create_task(service.info(BARS))
        await asyncio.sleep(0)
        stopping = asyncio.create_task(service.stop())
        await asyncio.sleep(0)
        disk.go_on.set()
        await stopping
        with pytest.raises(StorageError, match="closed"):
            await waiting
    with closing(Store.open(config.data_path)) as store:
        assert store.info(BARS).rows == 20
        assert [info.rows for info in store.files(BARS)] == [10], "nothing was begun any more"


async def test_a_recovery_that_fails_is_told_and_tried_again(config: AppConfig, disk: Disk) -> None:
    async with recovering(config, disk) as service:
        disk.error = OSError(errno.EIO, "Input/output error")
        run_id, _ = await service.scheduler.submit_export([BARS], config.data_path.parent / "exported")
        disk.go_on.set()
        with pytest.raises(StorageError, match="Input/output error"):
            await service.info(BARS)
        assert [info.rows for info in await service.inventory()] == [10]
        assert "recovering the data folder failed" in service.problems[0]
        assert service.recovery.progress is None
        run = await service.wait(run_id)
        assert run.state is RunState.FAILED
        assert run.error is not None
        assert "Input/output error" in run.error.detail


async def test_it_is_tried_again_after_a_pause(data_path: Path) -> None:
    disk, now = Disk(), [0.0]
    disk.go_on.set()
    disk.error = OSError(errno.EIO, "Input/output error")
    begun: list[str] = []
    with closing(Store.open(data_path, fs=disk, recover=False)) as store:
        recovery = BackgroundRecovery(
            store, EventBus(), then=lambda: begun.append("chores"), clock=lambda: now[0]
        )
        with pytest.raises(StorageError):
            await recovery.done()
        disk.error = None
        with pytest.raises(StorageError):  # the same failure still
            await recovery.done()
        assert begun == []
        now[0] = RETRY_PAUSE_S
        await recovery.done()
        assert (recovery.failure, begun) == (None, ["chores"])
        await recovery.stop()


async def test_a_repair_of_all_knows_all_that_the_recovery_finds(
    config: AppConfig, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Store.open(config.data_path)) as store:
        for first in (0, 20):
            log = store.begin_backfill(BARS, "run", source="binance")
            log.append(bars(first, first + 10), covered(first, first + 10), None)
            log.finish()
    for name in ("catalog.db", "coverage.db"):
        (config.data_path / ".dccd" / name).unlink()

    async def fill_gaps(_dataset: DatasetId) -> Submission:
        return Submission("run", "started")

    async with build_service(config) as service:
        monkeypatch.setattr(service.mending, "fill_gaps", fill_gaps)
        repair = asyncio.create_task(service.mending.repair())
        trash = asyncio.create_task(service.keeping.trash())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not trash.done()
        disk.go_on.set()
        assert [item.dataset for item in await repair] == [BARS]
        assert await trash == []
