"""Verification as a run: what it keeps, that it stops, that it mends and that it goes on beside writers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dccd.application.events import Event, InventoryEvent, ProgressEvent
from dccd.application.jobs import JobRun, RunState
from dccd.application.operations.verify import VerifyResult
from dccd.application.service import Service
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import UnknownDataset, UsageError
from tests.unit.application.conftest import HOURLY, TRADES, fetched, hourly


async def verified(service: Service, *args: Any, **options: Any) -> tuple[JobRun, VerifyResult]:
    run = await service.wait((await service.mending.verify(*args, **options)).run_id)
    assert run.result is not None
    return run, VerifyResult.model_validate(run.result)


def spoil(data_path: Path) -> Path:
    path = next(data_path.glob("ohlc/**/*.parquet"))
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    return path


async def test_what_is_sound_is_said_to_be(service: Service) -> None:
    with pytest.raises(UsageError, match="nothing to verify"):
        await service.mending.verify()
    await fetched(service, hourly("2024-02-01", "2024-02-03"))
    told: list[Event] = []
    service.events.subscribe(told.append)
    run, result = await verified(service)
    assert (run.state, run.operation, run.dataset) == (RunState.SUCCEEDED, "verify", str(HOURLY))
    assert result.sound
    assert (result.rows, result.errors, result.warnings) == (48, 0, 0)
    [found] = result.datasets
    assert (found.dataset, found.files, found.rows, found.failure) == (str(HOURLY), 1, 48, None)
    assert run.rows_written == 0
    progress = [event for event in told if isinstance(event, ProgressEvent)]
    assert (progress[-1].done, progress[-1].total, progress[-1].unit) == (48, 48, "rows")
    with pytest.raises(UnknownDataset):
        await service.mending.verify([TRADES])


async def test_damage_is_told_and_mended_on_demand(service: Service, data_path: Path) -> None:
    await fetched(service, hourly("2024-02-01", "2024-02-03"))
    path = spoil(data_path)
    run, result = await verified(service)
    assert run.state is RunState.SUCCEEDED  # it did what it was to do
    assert not result.sound
    assert result.errors == len(result.datasets[0].problems) > 0
    assert all(problem.mendable and not problem.mended for problem in result.datasets[0].problems)
    assert any("another hash" in line for line in run.log_tail)
    assert path.exists()
    told: list[Event] = []
    service.events.subscribe(told.append)
    again = await service.wait((await service.retry(run.run_id)).run_id)
    assert again.result == run.result
    _, mended = await verified(service, [HOURLY], mend=True)
    assert all(problem.mended for problem in mended.datasets[0].problems)
    assert InventoryEvent(dataset=str(HOURLY)) in told
    assert not path.exists()
    assert [gap.cause for gap in await service.gaps(HOURLY)] == ["put aside: its file could not be read"]
    await service.wait((await service.mending.fill_gaps(HOURLY)).run_id)
    _, result = await verified(service)
    assert result.sound
    assert result.rows == 48


async def test_it_can_be_cancelled_with_what_was_found_until_then(service: Service) -> None:
    await fetched(service, hourly("2024-02-01", "2024-02-03"))
    submission = await service.mending.verify()
    await service.cancel(submission.run_id)
    run = await service.wait(submission.run_id)
    assert run.state is RunState.CANCELLED
    assert run.result is None or not VerifyResult.model_validate(run.result).sound


async def test_a_dataset_that_is_deleted_meanwhile_keeps_nobody_from_the_rest(service: Service) -> None:
    await fetched(service, hourly("2024-02-01", "2024-02-03"))
    from dccd.application.operations.recorded import new_work_run, recorded
    from dccd.application.operations.verify import VerifyParams, verify

    gone = DatasetId.parse("binance:ETH-USDT:trades")
    run = new_work_run("verify", VerifyParams(datasets=[]))
    await recorded(run, lambda told: verify([gone, HOURLY], store=service.store, told=told))
    assert run.result is not None
    result = VerifyResult.model_validate(run.result)
    assert [found.failure is None for found in result.datasets] == [False, True]
    assert not result.sound
    assert result.rows == 48


async def test_it_waits_for_no_other_run_of_its_dataset(service: Service) -> None:
    await fetched(service, hourly("2024-02-01", "2024-02-03"))
    async with service.scheduler.at_rest(HOURLY):  # as if something worked on it for long
        _, result = await verified(service)
    assert result.sound
