"""What is stored: datasets, their gaps, rows and charts."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from dccd.application.requests import DatasetRequest
from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import MS_NS, parse_time
from dccd.interfaces.api import convert, models, snippets
from dccd.interfaces.api.context import Context
from dccd.interfaces.api.endpoint import JSON, endpoint
from dccd.interfaces.api.models import FieldError
from dccd.interfaces.api.problems import InvalidRequest
from dccd.interfaces.api.rows import ARROW_STREAM, to_arrow, to_json

JSON_ROWS_DEFAULT = 500
JSON_ROWS_MAX = 10_000
ARROW_ROWS_MAX = 1_000_000
NEXT_CURSOR = "X-Next-Cursor"


@endpoint("GET", "/api/inventory")
async def inventory(context: Context) -> models.Inventory:
    """All datasets with what they hold and lack."""
    found = await context.service.inventory()
    return models.Inventory(datasets=[convert.dataset(info) for info in found])


@endpoint("GET", "/api/datasets/{dataset}")
async def dataset_detail(context: Context, dataset: str) -> models.DatasetDetail:
    """One dataset with its files, and how to open them elsewhere."""
    identity = DatasetId.parse(dataset)
    store = context.service.store
    info = await context.service.info(identity)
    files = await run_in_threadpool(store.files, identity)
    return models.DatasetDetail(
        **convert.dataset_fields(info),
        path=str(store.data_path / identity.folder),
        file_list=[convert.file_item(file) for file in files],
        snippets=snippets.of(identity, store.data_path),
    )


@endpoint("GET", "/api/datasets/{dataset}/gaps")
async def gaps(context: Context, dataset: str) -> models.Gaps:
    """Every gap of a dataset, with its cause."""
    found = await context.service.gaps(DatasetId.parse(dataset))
    return models.Gaps(gaps=[convert.gap(item) for item in found])


@endpoint("GET", "/api/datasets/{dataset}/rows", media_types=(JSON, ARROW_STREAM))
async def rows(context: Context, dataset: str, query: models.RowsQuery) -> Response:
    """Rows of a stretch, a page at a time; as an Arrow stream without a limit, all of them.

    An Arrow page gives its `next_cursor` in the header ``X-Next-Cursor``.
    """
    return await _rows(context, DatasetId.parse(dataset), query)


@endpoint("POST", "/api/read", media_types=(JSON, ARROW_STREAM))
async def read(context: Context, body: models.ReadRequest) -> Response:
    """The same, of a dataset named in a person's words."""
    request = DatasetRequest.model_validate(body.model_dump(include=set(DatasetRequest.model_fields)))
    return await _rows(context, await context.service.find(request), body)


@endpoint("POST", "/api/find")
async def find(context: Context, body: models.DatasetRequest) -> models.DatasetName:
    """The id of a dataset named in a person's words; it need not be stored yet."""
    request = DatasetRequest.model_validate(body.model_dump())
    return models.DatasetName(dataset=str(await context.service.find(request)))


@endpoint("GET", "/api/datasets/{dataset}/chart")
async def chart(context: Context, dataset: str, query: models.ChartQuery) -> models.Chart:
    """Bars, a line or a depth, at the resolution the screen has room for."""
    made = await context.service.chart(
        DatasetId.parse(dataset),
        None if query.start_ms is None else query.start_ms * MS_NS,
        None if query.end_ms is None else query.end_ms * MS_NS,
        points=query.points,
    )
    return convert.chart(made)


async def _rows(
    context: Context, dataset: DatasetId, wanted: models.RowsQuery | models.ReadRequest
) -> Response:
    start_ns, end_ns = bounds(wanted.start, wanted.end)
    is_arrow = wanted.format == "arrow"
    if is_arrow and wanted.limit is None:
        if wanted.cursor is not None or wanted.order == "desc":
            raise InvalidRequest([FieldError(field="limit", message="is needed with a cursor or an order")])
        # What cannot be read is said before the stream begins; after that a fault can only cut it.
        await context.service.info(dataset)
        batches = context.service.read(dataset, start_ns, end_ns)
        return StreamingResponse(to_arrow(batches, dataset), media_type=ARROW_STREAM)
    limit = wanted.limit or JSON_ROWS_DEFAULT
    most = ARROW_ROWS_MAX if is_arrow else JSON_ROWS_MAX
    if limit > most:
        message = f"must be at most {most} with format={wanted.format}; go on with the page's cursor"
        raise InvalidRequest([FieldError(field="limit", message=message)])
    page = await context.service.rows(
        dataset,
        start_ns,
        end_ns,
        limit=limit,
        cursor=wanted.cursor,
        descending=wanted.order == "desc",
    )
    if is_arrow:
        headers = {} if page.next_cursor is None else {NEXT_CURSOR: page.next_cursor}
        pieces = to_arrow(iter(page.table.to_batches()), dataset)
        return StreamingResponse(pieces, headers=headers, media_type=ARROW_STREAM)
    return Response(await run_in_threadpool(to_json, dataset, page), media_type=JSON)


def bounds(start: str | None, end: str | None) -> tuple[int | None, int | None]:
    """Both ends of a range in nanoseconds UTC, None where it has none."""
    return (None if start is None else parse_time(start)), (None if end is None else parse_time(end))


ENDPOINTS = (inventory, dataset_detail, gaps, rows, read, find, chart)
