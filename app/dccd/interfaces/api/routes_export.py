"""Data out of the program: into a folder a person chose, or as a download."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import Response

from dccd.domain.dataset import DatasetId
from dccd.interfaces.api import models
from dccd.interfaces.api.access import Scope
from dccd.interfaces.api.context import Context
from dccd.interfaces.api.download import MEDIA_TYPES
from dccd.interfaces.api.download import download as as_download
from dccd.interfaces.api.endpoint import endpoint
from dccd.interfaces.api.folders import chosen_folder
from dccd.interfaces.api.routes_data import bounds


@endpoint("POST", "/api/export", status=HTTPStatus.ACCEPTED)
async def export(context: Context, body: models.ExportRequest, scope: Scope) -> models.ExportStarted:
    """Write datasets into a folder, as a run; a page names the folder by the handle its dialog gave."""
    names = body.datasets if body.datasets is not None else [body.dataset or ""]
    datasets = [DatasetId.parse(name) for name in names]
    start_ns, end_ns = bounds(body.start, body.end)
    with chosen_folder(context, body, scope) as folder:
        run_id = await context.service.export(
            datasets,
            folder,
            format=body.format.value,
            start_ns=start_ns,
            end_ns=end_ns,
            certificate=body.certificate,
        )
    return models.ExportStarted(run_id=run_id)


@endpoint("GET", "/api/datasets/{dataset}/download", media_types=tuple(MEDIA_TYPES.values()))
async def download(context: Context, dataset: str, query: models.DownloadQuery) -> Response:
    """A dataset as one file, for a browser, where there is no window with a folder dialog."""
    identity = DatasetId.parse(dataset)
    start_ns, end_ns = bounds(query.start, query.end)
    # What cannot be read is said before the file begins; after that a fault can only cut it.
    await context.service.info(identity)
    return as_download(context.service.read(identity, start_ns, end_ns), identity, query.format)


ENDPOINTS = (export, download)
