from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from functools import partial

import pyarrow.parquet as pq
import pytest

from dccd.application.config import AppConfig
from dccd.application.housekeeping import Chore, Housekeeping
from dccd.application.service_factory import build_service
from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import DiskFull
from dccd.domain.records import Columns
from tests.unit.application.conftest import NOW_NS, TRADES


class Pauses:
    """A sleep that ends when it is told to."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._waiting: list[tuple[float, asyncio.Event]] = []
        self._changed = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        event = asyncio.Event()
        self._waiting.append((seconds, event))
        self._changed.set()
        await event.wait()

    async def reached(self, number: int) -> None:
        """Wait until so many pauses have begun."""
        while len(self.asked) < number:
            self._changed.clear()
            await self._changed.wait()

    def end(self, seconds: float) -> None:
        """End the pauses of that length."""
        for asked, event in self._waiting:
            if asked == seconds:
                event.set()
        self._waiting = [item for item in self._waiting if item[0] != seconds]


async def test_each_chore_is_done_at_once_and_then_by_its_own_clock() -> None:
    pauses = Pauses()
    done: list[str] = []
    chores = [Chore(name, every_s, partial(done.append, name)) for name, every_s in (("a", 1), ("b", 2))]
    keeping = Housekeeping(chores, sleep=pauses.sleep)
    keeping.start()
    await pauses.reached(2)
    assert sorted(done) == ["a", "b"]
    for times in range(3):
        pauses.end(1)
        await pauses.reached(3 + times)
    assert sorted(done) == ["a"] * 4 + ["b"]
    await keeping.stop()
    await keeping.stop()
    assert sorted(done) == ["a"] * 4 + ["b"]


@pytest.mark.parametrize(
    ("error", "told"),
    [(DiskFull("The disk is full."), "The disk is full."), (KeyError("x"), "A fault in dccd itself")],
)
async def test_what_fails_is_told_until_it_succeeds(
    error: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    pauses, errors = Pauses(), [error, error, None]

    def work() -> None:
        if (now := errors.pop(0)) is not None:
            raise now

    keeping = Housekeeping([Chore("publish", 10, work)], sleep=pauses.sleep)
    keeping.start()
    with caplog.at_level(logging.WARNING):
        for number in (1, 2):
            await pauses.reached(number)
            assert [told in problem for problem in keeping.problems] == [True]
            pauses.end(10)
        await pauses.reached(3)
    assert keeping.problems == []
    assert len(caplog.records) == 1
    await keeping.stop()


async def test_stopping_waits_for_what_is_being_done() -> None:
    pauses, began, go = Pauses(), threading.Event(), threading.Event()
    done = []

    def work() -> None:
        began.set()
        go.wait()
        done.append(True)

    keeping = Housekeeping([Chore("slow", 1, work)], sleep=pauses.sleep)
    keeping.start()
    await asyncio.to_thread(began.wait)
    stopping = asyncio.create_task(keeping.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    go.set()
    await stopping
    assert done == [True]


async def test_a_long_chore_keeps_no_other_waiting() -> None:
    pauses, go, done = Pauses(), threading.Event(), []
    works: list[Callable[[], object]] = [go.wait, lambda: done.append(True)]
    keeping = Housekeeping([Chore(str(n), n + 1, work) for n, work in enumerate(works)], sleep=pauses.sleep)
    keeping.start()
    for times in range(3):
        await pauses.reached(times + 1)
        pauses.end(2)
    assert len(done) >= 3
    go.set()
    await keeping.stop()


async def test_what_streams_brought_is_in_files_when_the_service_has_stopped(config: AppConfig) -> None:
    async with build_service(config) as service:
        assert service.housekeeping.problems == []
        rows: Columns = {"ts": [NOW_NS], "price": [1.5], "amount": [1.0], "tid_num": [7]}
        covered = IntervalSet.of(NOW_NS, NOW_NS + 1)
        service.store.stream_log().append(TRADES, rows, covered, source="binance")
    files = sorted(service.data_path.glob("trades/**/*.parquet"))
    assert [path.name for path in files] == ["2024-03-01.parquet"]
    assert pq.read_table(files[0])["tid_num"].to_pylist() == [7]
    assert list((service.data_path / ".dccd" / "journal").iterdir()) == []
