"""The data folder: moved to another place in two steps, one that may take long and one that decides."""

from __future__ import annotations

from http import HTTPStatus

from dccd.interfaces.api import convert, models
from dccd.interfaces.api.access import Scope
from dccd.interfaces.api.context import Context
from dccd.interfaces.api.endpoint import endpoint
from dccd.interfaces.api.folders import chosen_folder


@endpoint("POST", "/api/folder/move", status=HTTPStatus.ACCEPTED)
async def move(context: Context, body: models.MoveRequest, scope: Scope) -> models.RunStarted:
    """Begin to move the data to another folder: copy what has to be, as a run; work goes on meanwhile."""
    with chosen_folder(context, body, scope) as folder:
        return convert.started(await context.service.moving.move(folder))


@endpoint("POST", "/api/folder/switch")
async def switch(context: Context) -> models.Done:
    """Go on in the folder that the move named, once its run has succeeded; no run may be under way."""
    await context.service.moving.switch()
    return models.Done()


ENDPOINTS = (move, switch)
