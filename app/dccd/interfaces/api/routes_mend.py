"""Checking stored data against the exchange and against itself, and fetching what is missing."""

from __future__ import annotations

from http import HTTPStatus

from dccd.application.operations.doctor import DoctorParams
from dccd.domain.dataset import DatasetId
from dccd.interfaces.api import convert, models
from dccd.interfaces.api.context import Context
from dccd.interfaces.api.endpoint import endpoint
from dccd.interfaces.api.routes_data import bounds


@endpoint("POST", "/api/datasets/{dataset}/check", status=HTTPStatus.ACCEPTED)
async def check(context: Context, dataset: str, body: models.CheckRequest) -> models.RunStarted:
    """Fetch random covered windows of a dataset again and compare; the run's result says what was found."""
    identity = DatasetId.parse(dataset)
    return convert.started(
        await context.service.mending.check(identity, windows=body.windows, seed=body.seed)
    )


@endpoint("POST", "/api/datasets/{dataset}/audit", status=HTTPStatus.ACCEPTED)
async def audit(context: Context, dataset: str, body: models.AuditRequest) -> models.RunStarted:
    """Compare stored bars with what the stored trades make; the run's result says where they disagree."""
    start_ns, end_ns = bounds(body.start, body.end)
    return convert.started(await context.service.mending.audit(DatasetId.parse(dataset), start_ns, end_ns))


@endpoint("POST", "/api/datasets/{dataset}/fill", status=HTTPStatus.ACCEPTED)
async def fill(context: Context, dataset: str) -> models.RunStarted:
    """Fetch just the gaps of a dataset."""
    return convert.started(await context.service.mending.fill_gaps(DatasetId.parse(dataset)))


@endpoint("POST", "/api/repair", status=HTTPStatus.ACCEPTED)
async def repair(context: Context, body: models.RepairRequest) -> models.Repairs:
    """Fetch just the gaps of some datasets or of all, a run for each that has any."""
    datasets = None if body.datasets is None else [DatasetId.parse(name) for name in body.datasets]
    found = await context.service.mending.repair(datasets)
    return models.Repairs(
        repairs=[
            models.RepairStarted(
                dataset=str(item.dataset),
                run_id=None if item.submission is None else item.submission.run_id,
                status=None if item.submission is None else item.submission.status,
                why=item.why,
            )
            for item in found
        ]
    )


@endpoint("POST", "/api/doctor", status=HTTPStatus.ACCEPTED)
async def doctor(context: Context, body: models.DoctorRequest) -> models.RunStarted:
    """Try what exchanges are declared to offer, each once and small; the run's result says what works."""
    params = DoctorParams(exchanges=body.exchanges or [], wait_s=body.wait_s)
    return convert.started(await context.service.mending.doctor(params))


ENDPOINTS = (check, audit, fill, repair, doctor)
