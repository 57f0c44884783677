"""The program changes over to another data folder without being started again."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dccd.application.config import AppConfig, load_config
from dccd.application.jobs import RunState
from dccd.application.service import Parts, Service
from dccd.application.service_factory import build_service
from dccd.domain.errors import DataFolderUnusable, RunsUnderWay, StorageError, UsageError
from dccd.storage.relocate import Relocation
from dccd.storage.store import Store
from tests.exchanges.binance import BinanceStandIn
from tests.unit.application.conftest import HOURLY, fetched, hourly


@pytest.fixture
def other_volume() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="dccd-test-", dir="/dev/shm"))  # another volume
    yield folder
    shutil.rmtree(folder)


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


async def test_work_goes_on_in_the_new_folder(service: Service, data_path: Path, other_volume: Path) -> None:
    target = other_volume / "data"
    await fetched(service, hourly("2024-02-01", "2024-03-01"))
    moved: list[Path] = []
    service.on_moved.append(moved.append)
    run = await service.wait((await service.moving.move(target)).run_id)
    assert run.state is RunState.SUCCEEDED
    assert run.result is not None
    assert run.result["folder"] == str(target)
    assert run.result["copied_bytes"] > 10_000
    assert service.data_path == data_path  # until it is told to
    await service.moving.switch()
    assert (service.data_path, service.store.data_path) == (target, target)
    assert moved == [data_path]
    assert (await service.info(HOURLY)).rows == 29 * 24
    assert files_in(data_path) == {".dccd/format.json", ".dccd/lock"}
    await fetched(service, hourly("2024-02-01", "2024-03-01T12:00:00Z"))
    assert (await service.info(HOURLY)).rows == 29 * 24 + 12
    assert (await service.run(run.run_id)).state is RunState.SUCCEEDED  # the history came along


async def test_the_configuration_says_so_where_it_says_the_folder(
    exchange: BinanceStandIn, tmp_path: Path
) -> None:
    file, old, new = tmp_path / "config.toml", tmp_path / "old", tmp_path / "new"
    file.write_text(f'# mine\n[settings]\ndata_path = "{old}"\n')
    async with build_service(load_config(file)) as service:
        await service.wait((await service.moving.move(new)).run_id)
        await service.moving.switch()
        assert service.data_path == new
    assert load_config(file).data_path == new
    assert file.read_text().startswith("# mine\n")


async def test_a_folder_named_apart_from_the_configuration_leaves_it_alone(
    config: AppConfig, tmp_path: Path
) -> None:
    async with build_service(config) as service:
        await service.wait((await service.moving.move(tmp_path / "new")).run_id)
        await service.moving.switch()
        assert service.data_path == tmp_path / "new"
    assert not config.path.exists()


async def test_nothing_changes_over_while_runs_are_under_way(
    service: Service, exchange: BinanceStandIn, tmp_path: Path, data_path: Path
) -> None:
    await service.wait((await service.moving.move(tmp_path / "new")).run_id)
    floor_gb = shutil.disk_usage(data_path).total / 1e9 - 0.001
    await service.change_settings({"settings": {"free_space_floor_gb": floor_gb}})  # this one waits for room
    started = await service.start_backfill(hourly("2024-02-01", "2024-03-01"))
    with pytest.raises(RunsUnderWay, match="1 run is under way"):
        await service.moving.switch()
    assert service.data_path == data_path
    await service.cancel(started.run_id)
    await service.wait(started.run_id)
    await service.moving.switch()
    assert service.data_path == tmp_path / "new"


async def test_without_a_move_there_is_nothing_to_change_over_to(service: Service, data_path: Path) -> None:
    with pytest.raises(UsageError, match="Nothing is being moved"):
        await service.moving.switch()
    with pytest.raises(DataFolderUnusable, match="already"):
        await service.moving.move(data_path)
    with pytest.raises(UsageError, match="Nothing is being moved"):
        await service.moving.switch()


async def test_a_change_over_that_fails_leaves_all_as_it_was(
    service: Service, tmp_path: Path, data_path: Path
) -> None:
    await fetched(service, hourly("2024-02-01", "2024-03-01"))
    target = tmp_path / "new"
    await service.wait((await service.moving.move(target)).run_id)
    target.mkdir(exist_ok=True)
    (target / "ohlc").write_text("somebody put a file in the way")
    (target / "ohlc").chmod(0o400)
    with pytest.raises(DataFolderUnusable, match="not empty"):
        await service.moving.switch()
    assert (await service.info(HOURLY)).rows == 29 * 24
    assert service.data_path == data_path
    assert (target / "ohlc").read_text() == "somebody put a file in the way"


async def test_a_run_that_starts_while_the_new_folder_is_looked_at_is_under_way(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await service.wait((await service.moving.move(tmp_path / "new")).run_id)
    floor_gb = shutil.disk_usage(service.data_path).total / 1e9 - 0.001
    await service.change_settings({"settings": {"free_space_floor_gb": floor_gb}})  # it waits for room
    loop, check = asyncio.get_running_loop(), Relocation.check

    def meanwhile(relocation: Relocation) -> None:
        request = service.start_backfill(hourly("2024-02-01", "2024-03-01"))
        asyncio.run_coroutine_threadsafe(request, loop).result(30)
        check(relocation)

    monkeypatch.setattr(Relocation, "check", meanwhile)
    with pytest.raises(RunsUnderWay, match="1 run is under way"):
        await service.moving.switch()


@pytest.mark.parametrize("volume", ["the same", "another"])
async def test_a_new_folder_that_does_not_open_is_left_for_the_old_one(
    service: Service,
    tmp_path: Path,
    data_path: Path,
    other_volume: Path,
    volume: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await fetched(service, hourly("2024-02-01", "2024-03-01"))
    target = (tmp_path if volume == "the same" else other_volume) / "new"
    open_parts = service._open_parts

    async def refuse_new(config: AppConfig) -> Parts:
        parts = await open_parts(config)
        if config.data_path != target:
            return parts
        await parts.runs.close()
        parts.store.close()
        raise StorageError("The disk refused.")

    await service.wait((await service.moving.move(target)).run_id)
    with monkeypatch.context() as patch:
        patch.setattr(service, "_open_parts", refuse_new)
        with pytest.raises(DataFolderUnusable, match=r"The disk refused\. It is in .* again"):
            await service.moving.switch()
    assert service.data_path == service.store.data_path == data_path
    assert (await service.info(HOURLY)).rows == 29 * 24
    await fetched(service, hourly("2024-02-01", "2024-03-01T12:00:00Z"))
    with pytest.raises(DataFolderUnusable, match="part of a copy"):
        await asyncio.to_thread(Store.open, target)
    await service.wait((await service.moving.move(target)).run_id)
    await service.moving.switch()
    assert service.data_path == target
    assert (await service.info(HOURLY)).rows == 29 * 24 + 12


async def test_rows_asked_for_while_the_folder_is_changed_over_are_refused_not_missing(
    service: Service, tmp_path: Path
) -> None:
    await fetched(service, hourly("2024-02-01", "2024-03-01"))
    target, store = tmp_path / "new", service.store
    reading = store.read(HOURLY)  # a request that has begun, on its thread
    await service.wait((await service.moving.move(target)).run_id)
    await service.moving.switch()
    with pytest.raises(StorageError, match="has been closed"):
        next(reading)
    assert (await service.info(HOURLY)).gaps == ()
    assert (await service.info(HOURLY)).rows == 29 * 24
