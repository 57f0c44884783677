"""Server-sent events: the bus's events with their ids, a heartbeat, and an end when the program stops."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import StreamingResponse

from dccd.application import events as bus
from dccd.domain.timeutils import MS_NS
from dccd.interfaces.api import convert, models
from dccd.interfaces.api.context import Context

EVENT_STREAM = "text/event-stream"
HEARTBEAT_S = 15.0
_HEARTBEAT = b": still here\n\n"


class EventStream(StreamingResponse):
    """Events after `after_id`, as long as both sides live.

    A stream that begins anew (`after_id` is None), and one that missed events that are no longer kept,
    says ``reset``: whoever then loads the present state and goes on reading has missed nothing.
    """

    def __init__(self, context: Context, after_id: int | None) -> None:
        super().__init__(_frames(context, after_id), media_type=EVENT_STREAM)


async def _frames(context: Context, after_id: int | None) -> AsyncIterator[bytes]:
    events = context.service.events
    context.streams += 1
    closing = asyncio.ensure_future(context.closing.wait())
    taken: asyncio.Future[bus.Numbered] | None = None
    try:
        with events.enable_queue(after_id=after_id) as queue:
            yield _HEARTBEAT if after_id is not None else _frame(events.last_id, _reset(events.last_id))
            while True:
                taken = taken or asyncio.ensure_future(anext(queue))
                waited: set[asyncio.Future[Any]] = {taken, closing}
                await asyncio.wait(waited, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
                if closing.done():
                    return
                if not taken.done():
                    yield _HEARTBEAT
                    continue
                number, event = taken.result()
                taken = None
                told = await _told(context, number, event)
                if told is not None:
                    yield _frame(number, told)
    finally:
        context.streams -= 1
        for waiting in (closing, taken):
            if waiting is not None:
                waiting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await waiting


Told = tuple[str, models.Answer]


async def _told(context: Context, number: int, event: bus.Event) -> Told | None:
    """An event's name and data as the API sends them; None for what is not for it."""
    match event:
        case bus.ProgressEvent():
            return "progress", models.ProgressEvent(run_id=event.run_id, progress=convert.progress(event))
        case bus.LogEvent():
            return "log", models.LogEvent(
                run_id=event.run_id, ts_ms=event.ts_ns // MS_NS, level=event.level, message=event.message
            )
        case bus.StatusEvent():
            run = await context.service.runs.get(event.run_id)
            return None if run is None else ("status", models.StatusEvent(run=convert.run(run)))
        case bus.InventoryEvent():
            return "inventory", models.InventoryEvent(dataset=event.dataset)
        case bus.ResyncEvent():
            return _reset(number)
    return None


def _reset(last_id: int) -> Told:
    return "reset", models.ResetEvent(last_id=last_id)


def _frame(number: int, told: Told) -> bytes:
    name, data = told
    # JSON has no raw line breaks, so one data line holds it.
    return f"id: {number}\nevent: {name}\ndata: {data.model_dump_json()}\n\n".encode()
