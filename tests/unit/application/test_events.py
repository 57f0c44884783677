from __future__ import annotations

import asyncio

import pytest

from dccd.application.events import (
    Event,
    EventBus,
    EventQueue,
    InventoryEvent,
    LogEvent,
    ProgressEvent,
    ResyncEvent,
    SampleEvent,
    StatusEvent,
)
from dccd.application.jobs import Progress, RunState


def bus(kept: int = 100) -> EventBus:
    return EventBus(kept=kept, clock=lambda: 1_000_000 * 1_000_000)


def changed(number: int) -> InventoryEvent:
    return InventoryEvent(dataset=str(number))


async def take(queue: EventQueue, count: int) -> list[tuple[int, Event]]:
    async with asyncio.timeout(5):
        return [(item.id, item.event) for item in [await anext(queue) for _ in range(count)]]


async def test_every_subscriber_gets_every_event_in_one_order() -> None:
    events = bus()
    handled: list[Event] = []
    events.subscribe(handled.append)
    with events.enable_queue() as first, events.enable_queue() as second:
        for number in range(3):
            events.publish(changed(number))
        wanted = [(1_000_001 + number, changed(number)) for number in range(3)]
        assert await take(first, 3) == wanted
        assert await take(second, 3) == wanted
    assert handled == [changed(number) for number in range(3)]


async def test_a_queue_waits_for_the_next_event() -> None:
    events = bus()
    with events.enable_queue() as queue:
        waiting = asyncio.create_task(take(queue, 1))
        await asyncio.sleep(0)
        assert not waiting.done()
        events.publish(changed(1))
        assert await waiting == [(1_000_001, changed(1))]


async def test_a_handler_that_ended_hears_nothing_more() -> None:
    events = bus()
    handled: list[Event] = []
    end = events.subscribe(handled.append)
    end()
    events.publish(changed(1))
    assert handled == []


async def test_a_queue_that_was_closed_is_filled_no_more() -> None:
    events = bus()
    with events.enable_queue() as queue:
        pass
    queue.close()
    events.publish(changed(1))
    assert not queue._items


async def test_resuming_gives_what_came_since() -> None:
    events = bus()
    for number in range(5):
        events.publish(changed(number))
    with events.enable_queue(after_id=1_000_003) as queue:
        events.publish(changed(5))
        assert [event for _, event in await take(queue, 3)] == [changed(3), changed(4), changed(5)]


async def test_resuming_at_the_newest_gives_only_what_comes() -> None:
    events = bus()
    events.publish(changed(0))
    with events.enable_queue(after_id=events.last_id) as queue:
        events.publish(changed(1))
        assert await take(queue, 1) == [(1_000_002, changed(1))]


@pytest.mark.parametrize("after_id", [0, 1_000_000, 1_000_001, 2_000_000])
async def test_resuming_where_nothing_is_kept_says_so(after_id: int) -> None:
    events = bus(kept=2)
    for number in range(4):
        events.publish(changed(number))
    with events.enable_queue(after_id=after_id) as queue:
        events.publish(changed(4))
        assert await take(queue, 2) == [(1_000_004, ResyncEvent()), (1_000_005, changed(4))]


async def test_resuming_just_inside_what_is_kept_misses_nothing() -> None:
    events = bus(kept=2)
    for number in range(4):
        events.publish(changed(number))
    with events.enable_queue(after_id=1_000_002) as queue:
        assert [event for _, event in await take(queue, 2)] == [changed(2), changed(3)]


async def test_a_slow_subscriber_is_told_that_it_missed_something_and_holds_up_nobody() -> None:
    events = bus()
    with events.enable_queue(size=3) as slow, events.enable_queue(size=100) as quick:
        for number in range(5):
            events.publish(changed(number))
        assert await take(slow, 2) == [(1_000_004, ResyncEvent()), (1_000_005, changed(4))]
        assert len(await take(quick, 5)) == 5


def test_ids_go_on_rising_after_a_restart() -> None:
    before = EventBus(clock=lambda: 1_000_000_000_000)
    before.publish(changed(0))
    after = EventBus(clock=lambda: 1_001_000_000_000)
    assert after.last_id > before.last_id


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def progress(done: int) -> Progress:
    return Progress(done=done, total=10, unit="bars", rows=done)


async def test_progress_is_told_a_few_times_a_second_and_at_the_end() -> None:
    events, clock = bus(), Clock()
    told: list[Event] = []
    events.subscribe(told.append)
    run = events.for_run("r", clock=clock)
    for done in range(10):
        clock.now_s = done / 10
        run.progress(progress(done))
    run.progress(progress(10), last=True)
    assert [event.done for event in told if isinstance(event, ProgressEvent)] == [0, 3, 6, 9, 10]


async def test_a_run_tells_its_log_state_and_newest_value() -> None:
    events = bus()
    told: list[Event] = []
    events.subscribe(told.append)
    run = events.for_run("r")
    run.log("hello", "warning", 7)
    run.status(RunState.RUNNING)
    run.sample(5, 1.5)
    log, status, sample = told
    assert isinstance(log, LogEvent)
    assert (log.run_id, log.message, log.level, log.ts_ns) == ("r", "hello", "warning", 7)
    assert status == StatusEvent(run_id="r", state=RunState.RUNNING)
    assert sample == SampleEvent(run_id="r", ts=5, value=1.5)
