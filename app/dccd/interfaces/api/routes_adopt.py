"""Taking over the data and the configuration of the dccd 3 package."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

from dccd.application.operations.adopt_work import AdoptPlan
from dccd.domain.errors import AccessDenied
from dccd.interfaces.api import convert, models
from dccd.interfaces.api.access import Scope
from dccd.interfaces.api.context import Context
from dccd.interfaces.api.convert import maybe_ms
from dccd.interfaces.api.endpoint import endpoint
from dccd.interfaces.api.folders import chosen_folder
from dccd.interfaces.api.models import FieldError
from dccd.interfaces.api.problems import InvalidRequest


@endpoint("POST", "/api/adopt/plan")
async def plan(context: Context, body: models.AdoptRequest, scope: Scope) -> models.AdoptPlan:
    """What there is to take over from a folder of the dccd 3 package; nothing is stored or changed."""
    config_file = _config_file(body, scope)
    # What is only looked at can be asked for again: a handle is not used up.
    if body.folder_handle is not None:
        folder = context.folders.look(body.folder_handle)
        return _shown(await context.service.adopting.plan(folder, config_file))
    with chosen_folder(context, body, scope) as folder:
        return _shown(await context.service.adopting.plan(folder, config_file))


@endpoint("POST", "/api/adopt", status=HTTPStatus.ACCEPTED)
async def adopt(context: Context, body: models.AdoptRequest, scope: Scope) -> models.RunStarted:
    """Take it over, as a run; what came of it is the run's result, and the old folder stays as it is."""
    config_file = _config_file(body, scope)
    with chosen_folder(context, body, scope) as folder:
        return convert.started(await context.service.adopting.start(folder, config_file))


def _config_file(body: models.AdoptRequest, scope: Scope) -> Path | None:
    if body.config_file is None:
        return None
    if scope is not Scope.LOCAL:
        raise AccessDenied("A page may not name a file. Take the configuration over with: dccd adopt.")
    file = Path(body.config_file).expanduser()
    if not file.is_absolute():
        raise InvalidRequest([FieldError(field="config_file", message="must be an absolute path")])
    return file


def _shown(plan: AdoptPlan) -> models.AdoptPlan:
    config = plan.config
    return models.AdoptPlan(
        folder=plan.data.folder,
        datasets=[
            models.AdoptableDataset(
                place=found.place,
                dataset=found.dataset,
                files=found.files,
                rows=found.rows_read,
                start_ms=maybe_ms(found.start_ns),
                end_ms=maybe_ms(found.end_ns),
            )
            for found in plan.data.datasets
        ],
        not_taken=[models.NotTaken(**item.model_dump()) for item in plan.data.not_taken],
        not_taken_count=plan.data.not_taken_count,
        config=None
        if config is None
        else models.AdoptableConfig(
            settings=config.settings,
            jobs=config.jobs,
            jobs_there=config.jobs_there,
            not_carried=[models.NotTaken(**item.model_dump()) for item in config.not_carried],
        ),
    )


ENDPOINTS = (plan, adopt)
