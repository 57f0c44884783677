"""The operation itself, where things go wrong under it or it is used without a service."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dccd.application.config import AppConfig
from dccd.application.events import ProgressEvent
from dccd.application.jobs import JobParams, JobSpec, JobTarget, RunState
from dccd.application.operations.backfill import backfill
from dccd.application.service import Service
from dccd.application.service_factory import build_registry, build_service, build_store
from dccd.domain.errors import DataFolderLocked, DataFolderUnusable, DiskFull, StorageError
from dccd.domain.timeutils import parse_time
from dccd.storage.backfill_log import BackfillLog
from tests.exchanges.binance import BinanceStandIn
from tests.exchanges.engine import Fault, Response
from tests.unit.application.conftest import HOURLY, fetched, hourly, hours, times_ns

START_NS, END_NS = parse_time("2023-01-01"), parse_time("2024-01-01")


async def test_it_needs_no_run_store_and_no_bus(config: AppConfig) -> None:
    registry, store = build_registry(config), build_store(config.data_path)
    spec = JobSpec.backfill(JobTarget.of(HOURLY), JobParams(start=START_NS, end=END_NS))
    result = await backfill(spec, registry=registry, store=store, run_id="mine")
    assert result == {"run_id": "mine", "rows_written": 8_760, "start_ns": START_NS, "end_ns": END_NS}
    again = await backfill(spec, registry=registry, store=store)
    assert (again["rows_written"], again["start_ns"], again["end_ns"]) == (0, START_NS, END_NS)
    wrong = spec.model_copy(update={"target": spec.target.model_copy(update={"exchange": "mtgox"})})
    failed = await backfill(wrong, registry=registry, store=store)
    assert failed["error"]["code"] == "unknown_exchange"
    assert "start_ns" not in failed
    await registry.get("binance").aclose()
    store.close()


async def test_a_stop_that_was_set_before_fetches_nothing(
    config: AppConfig, exchange: BinanceStandIn
) -> None:
    registry, store = build_registry(config), build_store(config.data_path)
    stop = asyncio.Event()
    stop.set()
    spec = JobSpec.backfill(JobTarget.of(HOURLY), JobParams(start=START_NS))
    result = await backfill(spec, registry=registry, store=store, stop_event=stop)
    assert "error" not in result
    assert exchange.count("/api/v3/klines") == 0
    await registry.get("binance").aclose()
    store.close()


async def test_on_a_full_disk_the_run_fails_with_its_pages_kept_and_last_finishes_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = 0
    append = BackfillLog.append

    def fills_up(log: BackfillLog, *page: Any) -> None:
        nonlocal pages
        pages += 1
        if pages > 3:
            raise DiskFull("Writing the journal failed: no room. Free some space and start again.")
        append(log, *page)

    monkeypatch.setattr(BackfillLog, "append", fills_up)
    run = await fetched(service, hourly("2023-01-01", "2024-01-01"))
    assert run.state is RunState.FAILED
    assert run.error is not None
    assert (run.error.code, "Free some space" in run.error.detail) == ("disk_full", True)
    assert times_ns(service, HOURLY) == hours("2023-01-01", "2024-01-01")[:3_000]
    journals = service.config.data_path / ".dccd" / "journal"
    assert len(list(journals.iterdir())) == 1
    monkeypatch.undo()
    await fetched(service, hourly("last", "2024-01-01"))
    assert times_ns(service, HOURLY) == hours("2023-01-01", "2024-01-01")
    assert not list(journals.iterdir())


async def test_a_fault_of_ours_ends_the_run_as_failed_and_loses_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(log: BackfillLog, ts_ns: int) -> None:
        raise ZeroDivisionError("one by zero")

    monkeypatch.setattr(BackfillLog, "publish_before", broken)
    daily = hourly("origin").model_copy(update={"span": "1d"})
    run = await fetched(service, daily)
    assert run.error is not None
    assert run.error.code == "internal"
    assert "ZeroDivisionError: one by zero. Please report it" in run.error.detail
    info = await service.info((await service.resolve(daily))[0])
    assert info.rows > 0


async def test_while_the_exchange_makes_it_wait_it_says_why(
    config: AppConfig, exchange: BinanceStandIn
) -> None:
    units = {"binance": config.sources["binance"].model_copy(update={"budgets": {"spot": 30}})}
    async with build_service(config.model_copy(update={"sources": units})) as service:
        with service.events.enable_queue() as queue:
            run_id = (await service.start_backfill(hourly("2020-01-01", "2024-01-01"))).run_id
            said = None
            while said is None:
                event = (await anext(queue)).event
                said = event.waiting if isinstance(event, ProgressEvent) else None
        assert said.startswith("Binance allows 30 weight a minute; resumes in")
        await service.cancel(run_id)
        assert (await service.wait(run_id)).state is RunState.CANCELLED


async def test_while_the_exchange_cannot_be_reached_it_says_so_until_pages_come_again(
    service: Service, exchange: BinanceStandIn
) -> None:
    down = Response(b"<html>", 502)
    exchange.faults.append(Fault("answer", "/api/v3/klines", times=None, response=down))
    said: list[str] = []
    async with asyncio.timeout(60):
        with service.events.enable_queue() as queue:
            run_id = (await service.start_backfill(hourly("2023-01-01", "2024-01-01"))).run_id
            while len(said) < 3:
                event = (await anext(queue)).event
                if isinstance(event, ProgressEvent) and event.waiting:
                    said.append(event.waiting)
                    assert (event.rows, event.rows_per_s, event.eta_s) == (0, 0.0, None)
        exchange.faults.clear()
        run = await service.wait(run_id)
    assert all(each.startswith("Binance cannot answer now (HTTP 502); trying") for each in said)
    assert run.state is RunState.SUCCEEDED
    assert run.progress is not None
    assert run.progress.waiting is None


async def test_a_run_keeps_the_range_it_was_for(service: Service) -> None:
    run = await fetched(service, hourly("2024-02-01", "2024-02-02"))
    assert (run.start_ns, run.end_ns) == (parse_time("2024-02-01"), parse_time("2024-02-02"))
    last = await fetched(service, hourly("last"))
    assert (last.start_ns, last.end_ns) == (parse_time("2024-02-02"), parse_time("2024-03-01T12:00"))


async def test_a_folder_that_another_holds_is_refused(service: Service) -> None:
    other = build_service(service.config)
    with pytest.raises(DataFolderLocked):
        await other.start()
    await other.stop()


async def test_a_folder_that_cannot_be_used_is_one_sentence(config: AppConfig, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.touch()
    with pytest.raises(DataFolderUnusable, match="taken"):
        await build_service(config, data_path=taken).start()


async def test_a_start_that_fails_half_way_lets_go_of_the_folder(config: AppConfig) -> None:
    state = config.data_path / ".dccd"
    async with build_service(config):
        pass
    (state / "runs.db").unlink()
    with closing(sqlite3.connect(state / "runs.db")) as newer:
        newer.executescript("CREATE TABLE runs (all_is_other TEXT); PRAGMA user_version = 99")
    with pytest.raises(StorageError, match="newer dccd"):
        await build_service(config).start()
    (state / "runs.db").unlink()
    async with build_service(config) as service:
        assert await service.inventory() == []


async def test_what_a_dead_process_left_in_journals_is_published_at_the_next_start(
    config: AppConfig, service: Service
) -> None:
    await fetched(service, hourly("2024-02-01", "2024-02-02"))
    log = service.store.begin_backfill(HOURLY, "left", source="left")
    ts = hours("2024-02-02", "2024-02-03")
    prices: dict[str, Any] = dict.fromkeys(("open", "high", "low", "close", "volume"), [1.0] * len(ts))
    log.append({"ts": ts, **prices}, service.store.coverage(HOURLY).covered)
    await service.stop()
    async with build_service(config) as later:
        await later.ready()
        assert later.recovery._publishing is not None
        await later.recovery._publishing
        assert sum(file.rows for file in later.store.files(HOURLY)) == 48
    await service.start()
