"""Every body and query of the API, in and out; the frontend's TypeScript types are made from these.

Names end in their unit. A time in an answer is an integer of milliseconds UTC (``*_ms``), exact in
JavaScript; a time in a request is text, ISO-8601 or an integer of nanoseconds. Intervals are half-open
``[start_ms, end_ms]`` pairs. ``null`` means not known or not applicable, never zero.
"""

from __future__ import annotations

from dccd.interfaces.api.models.access import FieldError, Problem, Session, SessionRequest, Ticket
from dccd.interfaces.api.models.adopt import (
    AdoptableConfig,
    AdoptableDataset,
    AdoptPlan,
    AdoptRequest,
    NotTaken,
)
from dccd.interfaces.api.models.base import Answer, PathText, Request, Text, Time
from dccd.interfaces.api.models.datasets import (
    Dataset,
    DatasetDetail,
    DatasetFile,
    DatasetName,
    DatasetRequest,
    GapItem,
    Gaps,
    Inventory,
    Snippet,
)
from dccd.interfaces.api.models.events import InventoryEvent, LogEvent, ProgressEvent, ResetEvent, StatusEvent
from dccd.interfaces.api.models.exchanges import (
    Confirmed,
    Exchange,
    Exchanges,
    InstrumentItem,
    Instruments,
    InstrumentsQuery,
    Refreshed,
    RefreshRequest,
)
from dccd.interfaces.api.models.export import DownloadQuery, ExportFormat, ExportRequest, ExportStarted
from dccd.interfaces.api.models.folder import MoveRequest
from dccd.interfaces.api.models.keeping import Trash, TrashItem, VerifyRequest
from dccd.interfaces.api.models.mending import (
    AuditRequest,
    CheckRequest,
    DoctorRequest,
    RepairRequest,
    Repairs,
    RepairStarted,
)
from dccd.interfaces.api.models.program import (
    Disk,
    Done,
    FolderChoice,
    FolderRequest,
    Health,
    Recovering,
)
from dccd.interfaces.api.models.rows import (
    Chart,
    ChartBars,
    ChartQuery,
    ColumnItem,
    Depth,
    ReadRequest,
    Rows,
    RowsQuery,
)
from dccd.interfaces.api.models.settings import Settings, SettingsUpdate
from dccd.interfaces.api.models.work import (
    BackfillRequest,
    Plan,
    PlanPart,
    Run,
    RunCancelled,
    RunDetail,
    RunProgress,
    Runs,
    RunsQuery,
    RunStarted,
)

__all__ = [
    "AdoptPlan",
    "AdoptRequest",
    "AdoptableConfig",
    "AdoptableDataset",
    "Answer",
    "AuditRequest",
    "BackfillRequest",
    "Chart",
    "ChartBars",
    "ChartQuery",
    "CheckRequest",
    "ColumnItem",
    "Confirmed",
    "Dataset",
    "DatasetDetail",
    "DatasetFile",
    "DatasetName",
    "DatasetRequest",
    "Depth",
    "Disk",
    "DoctorRequest",
    "Done",
    "DownloadQuery",
    "Exchange",
    "Exchanges",
    "ExportFormat",
    "ExportRequest",
    "ExportStarted",
    "FieldError",
    "FolderChoice",
    "FolderRequest",
    "GapItem",
    "Gaps",
    "Health",
    "InstrumentItem",
    "Instruments",
    "InstrumentsQuery",
    "Inventory",
    "InventoryEvent",
    "LogEvent",
    "MoveRequest",
    "NotTaken",
    "PathText",
    "Plan",
    "PlanPart",
    "Problem",
    "ProgressEvent",
    "ReadRequest",
    "Recovering",
    "RefreshRequest",
    "Refreshed",
    "RepairRequest",
    "RepairStarted",
    "Repairs",
    "Request",
    "ResetEvent",
    "Rows",
    "RowsQuery",
    "Run",
    "RunCancelled",
    "RunDetail",
    "RunProgress",
    "RunStarted",
    "Runs",
    "RunsQuery",
    "Session",
    "SessionRequest",
    "Settings",
    "SettingsUpdate",
    "Snippet",
    "StatusEvent",
    "Text",
    "Ticket",
    "Time",
    "Trash",
    "TrashItem",
    "VerifyRequest",
]
