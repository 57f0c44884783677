"""Planning, starting, watching and stopping work."""

from __future__ import annotations

from http import HTTPStatus

from dccd.application.requests import BackfillRequest
from dccd.domain.errors import AccessDenied
from dccd.interfaces.api import convert, models
from dccd.interfaces.api.access import Scope
from dccd.interfaces.api.context import Context
from dccd.interfaces.api.endpoint import endpoint


@endpoint("POST", "/api/plan")
async def plan(context: Context, body: models.BackfillRequest) -> models.Plan:
    """What a backfill would fetch: rows, requests, bytes, time and what holds it up; nothing is fetched."""
    return convert.plan(await context.service.plan(_wanted(body)))


@endpoint("POST", "/api/backfill", status=HTTPStatus.ACCEPTED)
async def start_backfill(context: Context, body: models.BackfillRequest) -> models.RunStarted:
    """Start a backfill, or say which run already does it."""
    return convert.started(await context.service.start_backfill(_wanted(body)))


@endpoint("GET", "/api/backfill/{run_id}")
async def backfill(context: Context, run_id: str) -> models.Run:
    """How a run is doing."""
    return convert.run(await context.service.run(run_id))


@endpoint("DELETE", "/api/backfill/{run_id}", status=HTTPStatus.ACCEPTED)
async def cancel(context: Context, run_id: str) -> models.RunCancelled:
    """Stop a run; what it fetched is kept."""
    await context.service.cancel(run_id)
    return models.RunCancelled(run_id=run_id)


@endpoint("POST", "/api/backfill/{run_id}/retry", status=HTTPStatus.ACCEPTED)
async def retry(context: Context, run_id: str, scope: Scope) -> models.RunStarted:
    """Do again what a run did, fetching only what is missing; a page may not name a folder again."""
    run = await context.service.run(run_id)
    if scope is not Scope.LOCAL:  # a folder was chosen for one use, and a page may not name it again
        if run.operation == "export":
            raise AccessDenied("Export it from the Library again, and choose the folder there.")
        if run.operation == "adopt":
            raise AccessDenied("Adopt the folder again, and choose it there.")
        if run.operation == "move":
            raise AccessDenied("Move the data again in Settings, and choose the folder there.")
    return convert.started(await context.service.retry(run_id))


@endpoint("GET", "/api/runs")
async def runs(context: Context, query: models.RunsQuery) -> models.Runs:
    """The history of runs, newest first."""
    found = await context.service.runs.list(
        limit=query.limit, state=query.state, operation=query.operation, before=query.before
    )
    return models.Runs(runs=[convert.run(item) for item in found])


@endpoint("GET", "/api/runs/{run_id}")
async def run(context: Context, run_id: str) -> models.RunDetail:
    """One run with the end of its log."""
    return convert.run_detail(await context.service.run(run_id))


def _wanted(body: models.BackfillRequest) -> BackfillRequest:
    return BackfillRequest.model_validate(body.model_dump())


ENDPOINTS = (plan, start_backfill, backfill, cancel, retry, runs, run)
