"""Every body and query of the API, in and out; the frontend's TypeScript types are made from these.

Names end in their unit. A time in an answer is an integer of milliseconds UTC (``*_ms``), exact in
JavaScript; a time in a request is text, ISO-8601 or an integer of nanoseconds. Intervals are half-open
``[start_ms, end_ms]`` pairs. ``null`` means not known or not applicable, never zero.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from dccd.application.jobs import RunError, RunState
from dccd.domain.capability import Capability
from dccd.domain.records import Kind
from dccd.domain.types import DataType, InstrumentType, Market, Transport

Text = Annotated[str, Field(min_length=1, max_length=200)]
Time = Annotated[str, Field(min_length=1, max_length=40, coerce_numbers_to_str=True)]
PathText = Annotated[str, Field(min_length=1, max_length=4096)]


class Request(BaseModel):
    """What is sent to the API: a member it does not know is an error, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Answer(BaseModel):
    """What the API sends."""

    # Sixty models take a twentieth of a second to build; each waits for its first use.
    model_config = ConfigDict(frozen=True, defer_build=True)


# --- access ---------------------------------------------------------------------------------------


class SessionRequest(Request):
    """A ticket, exchanged once for a page's token."""

    ticket: Text


class Session(Answer):
    """The bearer token of a page; valid until the program ends."""

    token: str


class Ticket(Answer):
    """A fresh ticket, and the address that carries it in its fragment."""

    ticket: str
    url: str


class FieldError(Answer):
    """What is wrong with one member of a request: its name (dotted), and why, in words."""

    field: str
    message: str


class Problem(Answer):
    """An error (RFC 9457). `code` is stable; `detail` is a sentence for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    errors: list[FieldError] = []
    choices: list[str] = []
    retry_after_s: float | None = None
    incident: str | None = None


# --- the program ----------------------------------------------------------------------------------


class Done(Answer):
    """It was done; there is nothing more to say."""

    status: Literal["ok"] = "ok"


class Disk(Answer):
    """Room on the volume of the data folder; below `floor_bytes` free, downloads wait."""

    free_bytes: int
    total_bytes: int
    floor_bytes: int
    state: Literal["enough", "low", "full"]


class Health(Answer):
    """The program's state; `disk` is null while the data folder cannot be looked at.

    `problems` says in words what was found damaged at start and put aside.
    """

    status: Literal["ok", "data_folder_unreachable"]
    version: str
    data_path: str
    uptime_s: float
    running: int
    disk: Disk | None
    problems: list[str]


class FolderRequest(Request):
    """Ask for a folder with the window's own dialog."""

    title: Text


class FolderChoice(Answer):
    """A handle that stands for the folder a person chose, good for one use; null when they chose none."""

    handle: str | None
    name: str | None


# --- exchanges ------------------------------------------------------------------------------------


class Exchange(Answer):
    """A source and what it declares."""

    id: str
    name: str
    capabilities: list[Capability]


class Exchanges(Answer):
    """All sources."""

    exchanges: list[Exchange]


class InstrumentsQuery(Request):
    """Search one exchange's instruments; an empty query lists them."""

    exchange: Text
    query: Annotated[str, Field(max_length=200)] = ""
    market: Market | None = None
    active: bool = True
    limit: Annotated[int, Field(ge=1, le=5000)] = 50


class InstrumentItem(Answer):
    """One contract."""

    symbol: str
    native: str
    market: Market
    type: InstrumentType
    active: bool
    tick_size: float | None
    lot_size: float | None
    listed_ms: int | None
    expiry_ms: int | None


class Instruments(Answer):
    """What was found, closest first; `total` counts what the exchange lists in all."""

    items: list[InstrumentItem]
    total: int


class RefreshRequest(Request):
    """Fetch an exchange's instruments again."""

    exchange: Text


class Refreshed(Answer):
    """How many instruments the exchange lists now."""

    total: int


# --- datasets -------------------------------------------------------------------------------------


class DatasetRequest(Request):
    """A dataset in a person's words; the symbol is resolved by the exchange's instruments."""

    exchange: Text
    symbol: Text
    data_type: DataType
    span: Text | None = None
    depth: Annotated[int, Field(ge=1, le=100_000)] | None = None


class DatasetName(Answer):
    """A dataset's id."""

    dataset: str


class GapItem(Answer):
    """A hole in what was asked for, and why it is there."""

    start_ms: int
    end_ms: int
    cause: str


class Dataset(Answer):
    """One dataset. `asked`, `covered` and `gaps` hold at most 200 items; `gap_count` is the true count."""

    id: str
    exchange: str
    symbol: str
    data_type: DataType
    span: str | None
    depth: int | None
    rows: int
    size_bytes: int
    files: int
    start_ms: int | None
    end_ms: int | None
    asked: list[tuple[int, int]]
    covered: list[tuple[int, int]]
    gaps: list[GapItem]
    gap_count: int
    complete: bool
    updated_ms: int | None


class Inventory(Answer):
    """All datasets."""

    datasets: list[Dataset]


class DatasetFile(Answer):
    """One period file: its name under the dataset's folder, and what it holds."""

    name: str
    period: str
    start_ms: int
    end_ms: int
    rows: int
    size_bytes: int


class Snippet(Answer):
    """Lines that open the dataset in another tool."""

    tool: str
    code: str


class DatasetDetail(Dataset):
    """A dataset with its files and how to open them elsewhere."""

    path: str
    file_list: list[DatasetFile]
    snippets: list[Snippet]


class Gaps(Answer):
    """Every gap of a dataset, oldest first."""

    gaps: list[GapItem]


class RowsQuery(Request):
    """A page of rows of ``[start, end)``; `cursor` is what the page before gave as `next_cursor`."""

    start: Time | None = None
    end: Time | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    cursor: Text | None = None
    order: Literal["asc", "desc"] = "asc"
    format: Literal["json", "arrow"] = "json"


class ReadRequest(DatasetRequest):
    """Rows of a dataset named in a person's words."""

    start: Time | None = None
    end: Time | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    cursor: Text | None = None
    order: Literal["asc", "desc"] = "asc"
    format: Literal["json", "arrow"] = "json"


class ColumnItem(Answer):
    """A column's name and kind; cells of kind ``time`` are ISO-8601 text, exact to the nanosecond."""

    name: str
    type: Kind


class Rows(Answer):
    """Rows as lists of cells in the columns' order; `next_cursor` is null at the end."""

    columns: list[ColumnItem]
    rows: list[list[str | float | int | bool | None]]
    next_cursor: str | None


class ChartQuery(Request):
    """The stretch a chart shows and how many points it has room for; all of the dataset by default."""

    start_ms: int | None = None
    end_ms: int | None = None
    points: Annotated[int, Field(ge=10, le=5000)] = 1000


class ChartBars(Answer):
    """Columns of bars: open time in seconds UTC, open, high, low, close, volume (null where none is)."""

    t: list[int]
    o: list[float]
    h: list[float]
    l: list[float]  # noqa: E741 - the field's letter for it
    c: list[float]
    v: list[float | None]


class Depth(Answer):
    """One snapshot of a book: ``[price, amount]`` levels, best first."""

    ts_ms: int
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]


class Chart(Answer):
    """What to draw: candles, a line (its value is the close), or the newest depth of the stretch."""

    kind: Literal["bars", "line", "depth"]
    span_s: int
    bars: ChartBars
    depth: Depth | None
    gaps: list[tuple[int, int]]
    start_ms: int | None
    end_ms: int | None


# --- work -----------------------------------------------------------------------------------------


class BackfillRequest(DatasetRequest):
    """Fetch ``[start, end)``; `start` may also be ``last`` (go on) or ``origin`` (since listing)."""

    start: Time = "last"
    end: Time | None = None


class Plan(Answer):
    """What a backfill would fetch; rows, bytes and seconds are estimates."""

    dataset: str
    start_ms: int
    end_ms: int
    todo: list[tuple[int, int]]
    rows: int
    requests: int
    bytes: int
    seconds: float
    bottleneck: str
    transport: Transport
    already_covered: bool


class RunStarted(Answer):
    """The run that does it: a new one, or the one that already does."""

    run_id: str
    status: Literal["started", "already-running"]


class RunCancelled(Answer):
    """The run is told to stop; its last status event says when it has."""

    run_id: str
    status: Literal["cancelling"] = "cancelling"


class RunProgress(Answer):
    """How far a run is; `waiting` says in words what it waits for."""

    done: float
    total: float | None
    unit: str
    rows: int
    rows_per_s: float | None
    eta_s: float | None
    waiting: str | None


class Run(Answer):
    """One run of an operation; `start_ms` and `end_ms` are the range it is about, once that is known."""

    run_id: str
    spec_id: str | None
    operation: str
    exchange: str | None
    symbol: str | None
    data_type: DataType | None
    span: str | None
    dataset: str | None
    state: RunState
    start_ms: int | None
    end_ms: int | None
    started_ms: int | None
    ended_ms: int | None
    rows_written: int
    error: RunError | None
    progress: RunProgress | None
    params: dict[str, JsonValue]


class RunDetail(Run):
    """A run with the end of its log, and what came of it where it finds something out."""

    result: dict[str, JsonValue] | None
    log_tail: list[str]


class RunsQuery(Request):
    """Newest first; `before` is the oldest `run_id` of the page before."""

    limit: Annotated[int, Field(ge=1, le=500)] = 100
    state: RunState | None = None
    operation: Text | None = None
    before: Text | None = None


class Runs(Answer):
    """A page of runs."""

    runs: list[Run]


class ExportFormat(StrEnum):
    """What an export writes."""

    PARQUET = "parquet"
    CSV = "csv"
    ARROW = "arrow"


class ExportRequest(Request):
    """Export one or many datasets into a folder; a page names it by the handle its dialog gave."""

    dataset: Text | None = None
    datasets: Annotated[list[Text], Field(min_length=1, max_length=10_000)] | None = None
    folder: PathText | None = None
    folder_handle: Text | None = None
    format: ExportFormat = ExportFormat.PARQUET
    start: Time | None = None
    end: Time | None = None

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if (self.dataset is None) == (self.datasets is None):
            raise ValueError("give either dataset or datasets")
        if (self.folder is None) == (self.folder_handle is None):
            raise ValueError("give either folder or folder_handle")
        return self


class ExportStarted(Answer):
    """The run that exports."""

    run_id: str


class DownloadQuery(Request):
    """What of a dataset to download, and as what."""

    format: ExportFormat = ExportFormat.PARQUET
    start: Time | None = None
    end: Time | None = None


# --- events ---------------------------------------------------------------------------------------


class ProgressEvent(Answer):
    """``event: progress``: a run moved on."""

    run_id: str
    progress: RunProgress


class LogEvent(Answer):
    """``event: log``: a line of a run's log."""

    run_id: str
    ts_ms: int
    level: Literal["info", "warning", "error"]
    message: str


class StatusEvent(Answer):
    """``event: status``: a run changed its state."""

    run: Run


class InventoryEvent(Answer):
    """``event: inventory``: a dataset changed on disk."""

    dataset: str


class ResetEvent(Answer):
    """``event: reset``: sent first on a new stream, and where events were missed: load the lists again."""

    last_id: int


# --- settings -------------------------------------------------------------------------------------


class Settings(Answer):
    """The configuration by section, with the file it stands in; secrets are left out."""

    path: str
    sections: dict[str, JsonValue]


class SettingsUpdate(Request):
    """Sections and the members to change in them; what is not named stays as it is.

    `data_folder_handle` sets the data folder to what the native dialog gave.
    """

    sections: dict[str, dict[str, JsonValue]] = {}
    data_folder_handle: Text | None = None
