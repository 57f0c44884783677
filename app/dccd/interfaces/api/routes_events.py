"""Events of the service as server-sent events, to be read with ``fetch`` and ``Last-Event-ID``."""

from __future__ import annotations

from starlette.requests import Request

from dccd.interfaces.api.context import Context
from dccd.interfaces.api.endpoint import endpoint
from dccd.interfaces.api.models import FieldError
from dccd.interfaces.api.problems import InvalidRequest, TooManyStreams
from dccd.interfaces.api.sse import EVENT_STREAM, EventStream

STREAMS_MAX = 32


@endpoint("GET", "/api/events", media_types=(EVENT_STREAM,))
async def events(context: Context, request: Request) -> EventStream:
    """Everything that happens, as server-sent events; `Last-Event-ID` goes on where a stream was cut.

    Raises
    ------
    InvalidRequest
        `Last-Event-ID` is no id.
    TooManyStreams
        More than 32 are open.
    """
    text = request.headers.get("last-event-id")
    if text is not None and not (text.isascii() and text.isdigit() and len(text) < 20):
        raise InvalidRequest([FieldError(field="Last-Event-ID", message="is not the id of an event")])
    if context.streams >= STREAMS_MAX:
        raise TooManyStreams("Too many windows follow this program's events. Close some of them.")
    return EventStream(context, None if text is None else int(text))


ENDPOINTS = (events,)
