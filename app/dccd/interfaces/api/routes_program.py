"""The program itself: signing a page in, its health, its window."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dccd import __version__
from dccd.application.room import RoomWatch, in_words
from dccd.domain.errors import StorageError
from dccd.interfaces.api import convert, models, openapi
from dccd.interfaces.api.access import Scope
from dccd.interfaces.api.context import Context
from dccd.interfaces.api.endpoint import endpoint
from dccd.interfaces.api.problems import NotOffered
from dccd.interfaces.api.security import SESSION_PATH
from dccd.storage.room import RoomState


@endpoint("POST", SESSION_PATH, scope=Scope.PUBLIC)
async def session(context: Context, body: models.SessionRequest) -> models.Session:
    """Exchange a ticket, once, for a page's token."""
    return models.Session(token=context.access.redeem(body.ticket))


@endpoint("GET", "/api/health")
async def health(context: Context) -> models.Health:
    """Version, running work and room on the disk."""
    data_path = context.service.data_path
    disk, low = await _disk(context.service.room)
    return models.Health(
        status="ok" if disk else "data_folder_unreachable",
        version=__version__,
        data_path=str(data_path),
        uptime_s=time.monotonic() - context.started_s,
        running=context.service.scheduler.running,
        disk=disk,
        recovering=convert.recovering(context.service.recovery.progress),
        problems=[*low, *context.service.problems],
    )


async def _disk(watch: RoomWatch) -> tuple[models.Disk | None, list[str]]:
    """The room there is, and what is to be said of it."""
    try:
        room = await watch.look()
    except StorageError:
        return None, []  # told by the health's status: a drive that was pulled out
    low = [] if room.state is RoomState.ENOUGH else [f"Downloads wait for {in_words(room)}. Free some space."]
    return models.Disk(
        free_bytes=room.free_bytes,
        total_bytes=room.total_bytes,
        floor_bytes=room.floor_bytes,
        state=room.state.value,
    ), low


@endpoint("POST", "/api/dialog/folder")
async def choose_folder(context: Context, body: models.FolderRequest) -> models.FolderChoice:
    """Show the window's folder dialog, if there is a window; the handle stands for what the person chose."""
    if context.hooks.choose_folder is None:
        return models.FolderChoice(offered=False, handle=None, name=None)
    folder = await context.hooks.choose_folder(body.title)
    if folder is None:
        return models.FolderChoice(offered=True, handle=None, name=None)
    return models.FolderChoice(offered=True, handle=context.folders.give(folder), name=str(folder))


@endpoint("POST", "/api/app/raise", scope=Scope.LOCAL)
async def raise_window(context: Context) -> models.Done:
    """Bring the window to the front."""
    if context.hooks.on_raise is None:
        raise NotOffered("This dccd runs without a window. `dccd open` prints an address for a browser.")
    await context.hooks.on_raise()
    return models.Done()


@endpoint("POST", "/api/app/quit")
async def quit_program(context: Context) -> models.Done:
    """End the program; what runs is interrupted and loses nothing."""
    if context.hooks.on_quit is None:
        raise NotOffered("This dccd ends with the command that started it. Press Ctrl-C there.")
    await context.hooks.on_quit()
    return models.Done()


@endpoint("POST", "/api/app/ticket", scope=Scope.LOCAL)
async def ticket(context: Context) -> models.Ticket:
    """A ticket for one page, good for a minute, and the address that carries it."""
    made = context.access.new_ticket()
    return models.Ticket(ticket=made, url=f"{context.url}/#ticket={made}")


@endpoint("GET", "/api/openapi.json")
async def openapi_document(context: Context, request: Request) -> Response:  # noqa: ARG001 - a handler's form
    """The description of this API, OpenAPI 3.1."""
    return JSONResponse(openapi.document(request.app.state.endpoints))


ENDPOINTS = (session, health, choose_folder, raise_window, quit_program, ticket, openapi_document)
