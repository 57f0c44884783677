"""Taking over a folder as a run of the service: recorded, told, cancelled, repeated, refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dccd.application.config import AppConfig
from dccd.application.jobs import RunState
from dccd.application.service import Service
from dccd.application.service_factory import build_service
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import ConfigError, UsageError
from tests.adopt.test_adopt import HOURLY, TRADES, fingerprint, only

pytestmark = pytest.mark.needs("reference")


@pytest.fixture
async def service(data_path: Path, tmp_path: Path) -> AsyncIterator[Service]:
    async with build_service(AppConfig().located(tmp_path / "config.toml", data_path)) as started:
        yield started


async def test_a_run_says_what_came_of_it_and_can_be_repeated(service: Service, old_folder: Path) -> None:
    only(old_folder, "binance/ohlc/BTC-USDT/1h", "binance/trades/XRP-ETH")
    config_file = old_folder / "config.yml"
    config_file.write_text("jobs: [{exchange: binance, pairs: [BTC/USDT], span: 60, trigger_kind: manual}]\n")
    before = fingerprint(old_folder)
    run = await service.wait((await service.adopting.start(old_folder, config_file)).run_id)
    assert (run.state, run.rows_written) == (RunState.SUCCEEDED, 13_977)
    assert run.result is not None
    assert [found["dataset"] for found in run.result["datasets"]] == [HOURLY, TRADES]
    assert len(run.result["config"]["jobs"]) == 1
    assert [spec.id for spec in service.config.job_specs()] == ["backfill:binance:BTC/USDT:ohlc:60s"]
    assert any("13,977" in line or "12,477 of 12,477 rows stored." in line for line in run.log_tail)
    assert {str(info.dataset) for info in await service.inventory()} == {HOURLY, TRADES}

    again = await service.wait((await service.retry(run.run_id)).run_id)
    assert (again.state, again.rows_written) == (RunState.SUCCEEDED, 0)
    assert again.result is not None
    assert again.result["config"]["jobs_there"] == 1
    assert fingerprint(old_folder) == before


async def test_a_run_that_is_cancelled_keeps_what_it_has(service: Service, old_folder: Path) -> None:
    only(old_folder, "binance/trades/XRP-ETH")
    submitted = await service.adopting.start(old_folder)
    await service.cancel(submitted.run_id)
    run = await service.wait(submitted.run_id)
    assert run.state is RunState.CANCELLED
    whole = await service.wait((await service.adopting.start(old_folder)).run_id)
    assert whole.state is RunState.SUCCEEDED
    assert (await service.info(DatasetId.parse(TRADES))).rows == 12_477


async def test_what_cannot_be_is_refused_before_there_is_a_run(service: Service, old_folder: Path) -> None:
    (old_folder / "config.yml").write_text("- no configuration\n")
    with pytest.raises(ConfigError, match="no sections"):
        await service.adopting.start(old_folder, old_folder / "config.yml")
    for folder in (service.data_path, old_folder / "binance", old_folder / "nowhere"):
        with pytest.raises(UsageError, match="Adopting"):
            await service.adopting.start(folder)
    assert await service.runs.list() == []
