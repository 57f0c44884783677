"""Downloads and runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from dccd.application.jobs import HistoryTransport, RunError, RunState
from dccd.domain.types import DataType, Transport
from dccd.interfaces.api.models.base import Answer, Request, Text, Time
from dccd.interfaces.api.models.datasets import DatasetRequest


class BackfillRequest(DatasetRequest):
    """Fetch ``[start, end)``; `start` may also be ``last`` (go on) or ``origin`` (since listing).

    `transport` is where it comes from: the exchange's API, its public files, or the best of both.

    With `derive_from` bars are made from stored trades, and nothing is fetched.
    """

    start: Time = "last"
    end: Time | None = None
    transport: HistoryTransport = Transport.AUTO
    derive_from: Literal["trades"] | None = None


class PlanPart(Answer):
    """What would come from one place, an exchange's API or its files; the size of files is an estimate."""

    transport: Transport
    ranges: list[tuple[int, int]]
    requests: int
    download_bytes: int | None


class Plan(Answer):
    """What a backfill would fetch; rows, bytes and seconds are estimates.

    `transport` is `auto` where it comes from more than one place. `not_served` is not to be had, for the
    reason in `why`.
    """

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
    parts: list[PlanPart]
    not_served: list[tuple[int, int]]
    why: str
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
