"""One bus for everything that happens, with ids to resume from; no subscriber can hold it up."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Literal, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from dccd.application.jobs import Progress, RunError, RunState

KEPT_EVENTS = 4096
QUEUE_EVENTS = 1024
PROGRESS_EVERY_S = 0.25


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProgressEvent(_Event, Progress):
    """How far a run is."""

    kind: Literal["progress"] = "progress"
    run_id: str


class LogEvent(_Event):
    """A line of a run's log, and when it was said."""

    kind: Literal["log"] = "log"
    run_id: str
    ts_ns: int = Field(default_factory=time.time_ns)
    level: Literal["info", "warning", "error"] = "info"
    message: str


class StatusEvent(_Event):
    """A run changed its state."""

    kind: Literal["status"] = "status"
    run_id: str
    state: RunState
    error: RunError | None = None


class SampleEvent(_Event):
    """The newest value of a run's market: exchange time in nanoseconds UTC, and a price or rate."""

    kind: Literal["sample"] = "sample"
    run_id: str
    ts: int
    value: float


class InventoryEvent(_Event):
    """What is stored of a dataset changed."""

    kind: Literal["inventory"] = "inventory"
    dataset: str


class ResyncEvent(_Event):
    """The subscriber missed events: read the present state anew, then go on."""

    kind: Literal["resync"] = "resync"


Event: TypeAlias = ProgressEvent | LogEvent | StatusEvent | SampleEvent | InventoryEvent | ResyncEvent
Handler: TypeAlias = Callable[[Event], None]


class Numbered(NamedTuple):
    """An event and its place in the order of all events."""

    id: int
    event: Event


class EventQueue:
    """One subscriber's events, in order; iterate over it, and :meth:`close` it (or use ``with``).

    When it holds `size` events that were not taken, they give way to one :class:`ResyncEvent`.
    """

    def __init__(self, bus: EventBus, size: int) -> None:
        self._bus, self._size = bus, size
        self._items: deque[Numbered] = deque()
        self._filled = asyncio.Event()

    def put(self, item: Numbered) -> None:
        """Add an event; never waits."""
        if len(self._items) >= self._size:
            self._items.clear()
            item = Numbered(item.id, ResyncEvent())
        self._items.append(item)
        self._filled.set()

    def __aiter__(self) -> EventQueue:
        return self

    async def __anext__(self) -> Numbered:
        while not self._items:
            self._filled.clear()
            await self._filled.wait()
        return self._items.popleft()

    def close(self) -> None:
        """Receive nothing more."""
        self._bus.drop(self)

    def __enter__(self) -> EventQueue:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class EventBus:
    """Hands every event to every subscriber, in one order.

    Belongs to one event loop. Ids rise by one an event and go on rising after a restart of the program
    (they start at the clock's milliseconds), so that an old id is never taken for a new one.
    """

    def __init__(self, *, kept: int = KEPT_EVENTS, clock: Callable[[], int] = time.time_ns) -> None:
        self._last_id = clock() // 1_000_000
        self._kept: deque[Numbered] = deque(maxlen=kept)
        self._handlers: list[Handler] = []
        self._queues: list[EventQueue] = []

    @property
    def last_id(self) -> int:
        """Id of the newest event."""
        return self._last_id

    def publish(self, event: Event) -> None:
        """Hand an event to all; handlers must be quick and not raise."""
        self._last_id += 1
        item = Numbered(self._last_id, event)
        self._kept.append(item)
        for handler in tuple(self._handlers):
            handler(event)
        for queue in self._queues:
            queue.put(item)

    def subscribe(self, handler: Handler) -> Callable[[], None]:
        """Call `handler` with each event from now on; returns what ends it."""
        self._handlers.append(handler)
        return lambda: self._handlers.remove(handler)

    def enable_queue(self, *, after_id: int | None = None, size: int = QUEUE_EVENTS) -> EventQueue:
        """A bounded queue of the events after `after_id` (None: from now on).

        Where some of those are no longer kept, it opens with a :class:`ResyncEvent`.
        """
        queue = EventQueue(self, size)
        if after_id is not None and after_id != self._last_id:
            first_kept = self._last_id - len(self._kept) + 1
            if first_kept - 1 <= after_id < self._last_id:
                for item in islice(self._kept, after_id + 1 - first_kept, None):
                    queue.put(item)
            else:
                queue.put(Numbered(self._last_id, ResyncEvent()))
        self._queues.append(queue)
        return queue

    def drop(self, queue: EventQueue) -> None:
        """Forget a queue; a second time does nothing."""
        if queue in self._queues:
            self._queues.remove(queue)

    def for_run(self, run_id: str, *, clock: Callable[[], float] = time.monotonic) -> RunEvents:
        """What one run says goes through this."""
        return RunEvents(self, run_id, clock)


class RunEvents:
    """Emits the events of one run; progress at most a few times a second."""

    def __init__(self, bus: EventBus, run_id: str, clock: Callable[[], float]) -> None:
        self._bus, self._run_id, self._clock = bus, run_id, clock
        self._progress_due_s = float("-inf")

    def progress(self, progress: Progress, *, last: bool = False) -> None:
        """Say how far it is; dropped when too soon after the one before, unless it is the `last`."""
        now_s = self._clock()
        if last or now_s >= self._progress_due_s:
            self._progress_due_s = now_s + PROGRESS_EVERY_S
            self._bus.publish(ProgressEvent(run_id=self._run_id, **dict(progress)))

    def log(self, message: str, level: Literal["info", "warning", "error"], ts_ns: int) -> None:
        """Add a line to its log."""
        self._bus.publish(LogEvent(run_id=self._run_id, ts_ns=ts_ns, level=level, message=message))

    def status(self, state: RunState, error: RunError | None = None) -> None:
        """Say that its state changed."""
        self._bus.publish(StatusEvent(run_id=self._run_id, state=state, error=error))

    def sample(self, ts_ns: int, value: float) -> None:
        """Say the newest value of its market."""
        self._bus.publish(SampleEvent(run_id=self._run_id, ts=ts_ns, value=value))
