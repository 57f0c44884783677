"""Deleting, restoring and emptying through the service."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from dccd.application.events import Event, InventoryEvent
from dccd.application.operations.trash import empty_old_trash
from dccd.application.service import Service
from dccd.domain.errors import DatasetBusy, UnknownDataset, UnknownTrash
from dccd.domain.timeutils import DAY_NS
from dccd.storage import certificate, footer
from tests.exchanges.binance import BinanceStandIn
from tests.unit.application.conftest import HOURLY, fetched, hourly, times_ns


async def test_a_dataset_is_deleted_and_restored(service: Service) -> None:
    await fetched(service, hourly("2024-02-01", "2024-02-03"))
    before = times_ns(service, HOURLY)
    told: list[Event] = []
    service.events.subscribe(told.append)
    entry = await service.keeping.delete(HOURLY)
    assert told == [InventoryEvent(dataset=str(HOURLY))]
    assert await service.inventory() == []
    assert await service.keeping.trash() == [entry]
    with pytest.raises(UnknownDataset):
        await service.info(HOURLY)
    await fetched(service, hourly("2024-02-02", "2024-02-05"))
    told.clear()
    await service.keeping.restore(entry.id)
    assert told == [InventoryEvent(dataset=str(HOURLY))]
    assert len(before) == 48
    assert len(times_ns(service, HOURLY)) == 96
    assert await service.keeping.trash() == []
    with pytest.raises(UnknownTrash):
        await service.keeping.restore(entry.id)


async def test_one_that_is_being_written_to_is_not(service: Service, exchange: BinanceStandIn) -> None:
    await fetched(service, hourly("2024-02-01", "2024-02-03"))
    submission = await service.start_backfill(hourly("2024-02-03", "2024-02-05"))
    with pytest.raises(DatasetBusy, match=f"The backfill {submission.run_id} is working on"):
        await service.keeping.delete(HOURLY)
    await service.wait(submission.run_id)
    assert (await service.keeping.delete(HOURLY)).rows == 96


async def test_what_is_started_while_it_is_deleted_waits(service: Service) -> None:
    await fetched(service, hourly("2024-02-01", "2024-02-03"))
    async with service.scheduler.at_rest(HOURLY):
        submission = await service.start_backfill(hourly("2024-02-03", "2024-02-05"))
        run = await service.run(submission.run_id)
        assert run.state == "pending"
        with pytest.raises(DatasetBusy):
            await service.keeping.delete(HOURLY)
    assert (await service.wait(submission.run_id)).state == "succeeded"


async def test_the_trash_is_emptied_in_time_and_on_demand(service: Service) -> None:
    await fetched(service, hourly("2024-02-01", "2024-02-03"))
    entry = await service.keeping.delete(HOURLY)
    days = service.config.settings.trash_days
    assert days == 7
    assert empty_old_trash(service.store, days, lambda: entry.deleted_ns + 7 * DAY_NS) == []
    assert await service.keeping.trash() == [entry]
    assert empty_old_trash(service.store, days, lambda: entry.deleted_ns + 7 * DAY_NS + 1) == [entry]
    await fetched(service, hourly("2024-02-01", "2024-02-03"))
    entry = await service.keeping.delete(HOURLY)
    assert await service.keeping.empty_trash() == [entry]
    assert await service.keeping.trash() == []


async def test_a_dataset_is_certified(service: Service) -> None:
    await fetched(service, hourly("2024-02-01", "2024-02-03"))
    document = await service.keeping.certificate(HOURLY)
    assert (document["rows"], len(document["files"]), document["gaps"]) == (48, 1, [])


async def test_who_leaves_before_a_certificate_is_made_ends_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fetched(service, hourly("2024-02-01", "2024-02-03"))
    begun, left, ended = threading.Event(), threading.Event(), threading.Event()
    read_info = footer.read_info

    def slowly(*arguments: Any) -> footer.FileInfo:
        begun.set()
        assert left.wait(30)
        return read_info(*arguments)

    made = service.store.keeping.certificate

    def make(*arguments: Any) -> object:
        document = made(*arguments)
        if document is None:
            ended.set()
        return document

    monkeypatch.setattr(certificate, "read_info", slowly)
    monkeypatch.setattr(service.store.keeping, "certificate", make)
    making = asyncio.create_task(service.keeping.certificate(HOURLY))
    assert await asyncio.to_thread(begun.wait, 30)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    left.set()
    assert await asyncio.to_thread(ended.wait, 30)
