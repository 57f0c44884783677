"""What is stored: read again, certified, deleted to a trash and put back."""

from __future__ import annotations

import json
from http import HTTPStatus

from starlette.responses import Response

from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import DAY_NS
from dccd.interfaces.api import convert, models
from dccd.interfaces.api.context import Context
from dccd.interfaces.api.endpoint import JSON, endpoint
from dccd.storage.trash_entry import TrashEntry


@endpoint("POST", "/api/verify", status=HTTPStatus.ACCEPTED)
async def verify(context: Context, body: models.VerifyRequest) -> models.RunStarted:
    """Read datasets again, every byte; the run's result says what is not as it was written."""
    datasets = None if body.datasets is None else [DatasetId.parse(name) for name in body.datasets]
    return convert.started(await context.service.mending.verify(datasets, mend=body.mend))


@endpoint("GET", "/api/datasets/{dataset}/certificate", media_types=(JSON,))
async def certificate(context: Context, dataset: str) -> Response:
    """What a dataset's files hold and lack, with hashes that anybody can check; see docs/certificate.md."""
    document = await context.service.keeping.certificate(DatasetId.parse(dataset))
    name = f"{dataset.replace(':', '_')}.certificate.json"
    return Response(
        json.dumps(document, indent=2),
        media_type=JSON,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@endpoint("DELETE", "/api/datasets/{dataset}")
async def delete(context: Context, dataset: str) -> models.TrashItem:
    """Move a dataset to the trash; refused while a run writes to it."""
    return _item(context, await context.service.keeping.delete(DatasetId.parse(dataset)))


@endpoint("GET", "/api/trash")
async def trash(context: Context) -> models.Trash:
    """What can be put back."""
    found = await context.service.keeping.trash()
    return models.Trash(items=[_item(context, entry) for entry in found])


@endpoint("POST", "/api/trash/{entry}/restore")
async def restore(context: Context, entry: str) -> models.TrashItem:
    """Put a deleted dataset back; what was stored of it since stays, too."""
    return _item(context, await context.service.keeping.restore(entry))


@endpoint("DELETE", "/api/trash")
async def empty_trash(context: Context) -> models.Trash:
    """Remove for good all that lies in the trash; answers with what was removed."""
    removed = await context.service.keeping.empty_trash()
    return models.Trash(items=[_item(context, entry) for entry in removed])


def _item(context: Context, entry: TrashEntry) -> models.TrashItem:
    kept_ns = context.service.config.settings.trash_days * DAY_NS
    return models.TrashItem(
        id=entry.id,
        dataset=str(entry.dataset),
        deleted_ms=convert.to_ms(entry.deleted_ns),
        emptied_ms=convert.to_ms(entry.deleted_ns + kept_ns),
        files=entry.files,
        rows=entry.rows,
        size_bytes=entry.size_bytes,
        start_ms=convert.maybe_ms(entry.start_ns),
        end_ms=convert.maybe_ms(entry.end_ns),
    )


ENDPOINTS = (verify, certificate, delete, trash, restore, empty_trash)
