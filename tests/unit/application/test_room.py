"""Downloads wait for room on the disk."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dccd.application.jobs import RunState
from dccd.application.room import LOOK_EVERY_S, RoomWatch, in_words
from dccd.application.service import Service
from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import DiskFull
from dccd.domain.timeutils import HOUR_NS
from dccd.storage.room import SPARE_BYTES, Room, RoomState
from dccd.storage.store import Store
from tests.exchanges.binance import BinanceStandIn
from tests.unit.application.conftest import HOURLY, NOW_NS, hourly

GB = 10**9


def _room(free_gb: float, soft_gb: float = 2, hard_gb: float = 1) -> Room:
    return Room(int(free_gb * GB), 100 * GB, int(soft_gb * GB), int(hard_gb * GB))


@pytest.mark.parametrize(
    ("free_gb", "state"),
    [
        (2, RoomState.ENOUGH),
        (1.99, RoomState.LOW),
        (1, RoomState.LOW),
        (0.99, RoomState.FULL),
        (0, RoomState.FULL),
    ],
)
def test_the_state_of_the_room(free_gb: float, state: RoomState) -> None:
    assert _room(free_gb).state is state


def test_a_soft_floor_of_nothing_still_leaves_what_publishing_needs() -> None:
    assert _room(0.5, soft_gb=0).state is RoomState.FULL
    assert _room(1, soft_gb=0).state is RoomState.ENOUGH


async def test_it_is_measured_once_a_second() -> None:
    now_s, measured = 100.0, 0

    def measure() -> Room:
        nonlocal measured
        measured += 1
        return _room(5)

    watch = RoomWatch(measure, lambda: now_s)
    for _ in range(5):
        await watch.look()
    assert measured == 1
    now_s += LOOK_EVERY_S
    await watch.look()
    assert measured == 2


async def test_waiting_ends_with_room_and_says_what_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    rooms: Iterator[Room] = iter([_room(0.5), _room(1.5), _room(3)])
    told: list[str] = []

    async def tell(words: str) -> None:
        told.append(words)

    monkeypatch.setattr("dccd.application.room.LOOK_EVERY_S", 0.0)
    await RoomWatch(lambda: next(rooms)).wait(asyncio.Event(), tell)
    assert told == [f"waiting for {in_words(room)}" for room in (_room(0.5), _room(1.5))]
    wanted = "waiting for room on the disk: 500 MB free, 2.0 GB to be kept free"
    assert told[0] == f"{wanted} (free_space_floor_gb)"


def test_what_publishing_needs_is_asked_for_by_no_setting() -> None:
    assert in_words(_room(0.5, soft_gb=0)) == "room on the disk: 500 MB free, 1.0 GB to be kept free"


async def test_waiting_ends_when_it_is_told_to_stop() -> None:
    stop = asyncio.Event()

    async def tell(words: str) -> None:
        stop.set()

    await RoomWatch(lambda: _room(0)).wait(stop, tell)


async def test_a_disk_smaller_than_what_is_to_be_kept_free_is_not_waited_for() -> None:
    async def tell(words: str) -> None:
        raise AssertionError(words)

    small = Room(10 * GB, 20 * GB, 30 * GB, GB)
    with pytest.raises(DiskFull, match=r"holds 20.0 GB in all, and 30.0 GB are to be kept free"):
        await RoomWatch(lambda: small).wait(asyncio.Event(), tell)


async def test_a_download_waits_for_room_and_goes_on(service: Service, exchange: BinanceStandIn) -> None:
    floor_gb = shutil.disk_usage(service.data_path).total / 1e9 - 0.001  # never so much is free
    await service.change_settings({"settings": {"free_space_floor_gb": floor_gb}})
    started = await service.start_backfill(hourly("2024-02-01", "2024-03-01"))
    with service.events.enable_queue() as queue:
        while (run := await service.run(started.run_id)).progress is None or not run.progress.waiting:
            await anext(queue)
    assert "to be kept free (free_space_floor_gb)" in run.progress.waiting
    assert sum("Waiting for room on the disk" in line for line in run.log_tail) == 1
    # It may have asked when the exchange's data begins, but for no page of it.
    assert {asked.query["limit"] for asked in exchange.log if "limit" in asked.query} <= {"1"}
    await service.change_settings({"settings": {"free_space_floor_gb": 0}})
    run = await service.wait(started.run_id)
    assert (run.state, run.rows_written) == (RunState.SUCCEEDED, 29 * 24)


def test_the_hard_floor_is_what_publishing_needs(data_path: Path) -> None:
    with closing(Store.open(data_path)) as store:
        before = store.room().hard_floor_bytes
        assert before == SPARE_BYTES
        log = store.begin_backfill(HOURLY, "run", source="binance")
        rows = {name: [1.0] * 500 for name in ("open", "high", "low", "close", "volume")}
        starts = [NOW_NS // HOUR_NS * HOUR_NS - (500 - i) * HOUR_NS for i in range(500)]
        log.append({"ts": starts, **rows}, IntervalSet.of(starts[0], starts[-1] + HOUR_NS))
        journals = sum(file.stat().st_size for file in data_path.glob(".dccd/journal/*"))
        pending = store.room().hard_floor_bytes - SPARE_BYTES
        # The page in its journal, and as much again for the one year's file that it goes into.
        assert journals * 1.8 < pending < journals * 2.2
        log.finish()
        assert store.room().hard_floor_bytes == SPARE_BYTES
