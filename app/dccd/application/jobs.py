"""What is asked for (specs) and what became of it (runs)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from dccd.domain.dataset import DatasetId
from dccd.domain.span import Span
from dccd.domain.timeutils import parse_time
from dccd.domain.types import DataType, Transport

Operation: TypeAlias = Literal["backfill", "export", "verify", "check", "audit", "adopt", "move", "doctor"]
LOG_TAIL_MAX = 200


def _span_label(value: object) -> object:
    return str(Span.parse(value)) if isinstance(value, (str, int)) else value


def _start(value: object) -> object:
    return value if value in ("last", "origin") else _moment(value)


def _moment(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError('must be a time in quotes, such as "2024-01-31", or nanoseconds')
    return parse_time(value) if isinstance(value, str) else value


# A span in any of its spellings, kept as its label; times as ISO-8601 or nanoseconds, kept as nanoseconds.
SpanLabel: TypeAlias = Annotated[str, BeforeValidator(_span_label)]
Start: TypeAlias = Annotated[Literal["last", "origin"] | int, BeforeValidator(_start)]
HistoryTransport: TypeAlias = Literal[Transport.AUTO, Transport.REST, Transport.ARCHIVE]
Moment: TypeAlias = Annotated[int, BeforeValidator(_moment)]


class RunState(StrEnum):
    """Where a run stands; the last four are final."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen."""
        return self not in (RunState.PENDING, RunState.RUNNING)


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Trigger(_Value):
    """When a job runs: ``once``, as soon as it may, or ``manual``, when a person says so."""

    kind: Literal["once", "manual"] = "manual"


class JobTarget(_Value):
    """What a job is about.

    Attributes
    ----------
    symbol : str
        Any form that the exchange's instrument list resolves, rolling ones included.
    span : str or None
        The label of :class:`dccd.domain.span.Span`; seconds and other spellings are accepted.
    """

    exchange: str
    symbol: str
    data_type: DataType
    span: SpanLabel | None = None

    @classmethod
    def of(cls, dataset: DatasetId) -> JobTarget:
        """The target that names exactly this dataset (its depth is a parameter)."""
        span = None if dataset.span is None else str(dataset.span)
        return cls(
            exchange=dataset.exchange, symbol=str(dataset.symbol), data_type=dataset.data_type, span=span
        )


class JobParams(_Value):
    """How a job goes about it.

    Attributes
    ----------
    start : {"last", "origin"} or int
        Nanoseconds UTC; ISO-8601 text is accepted. See :func:`dccd.application.operations.backfill.backfill`.
    end : int or None
        Nanoseconds UTC, exclusive; None is now.
    depth : int or None
        Levels a side, order books only; None is the deepest that the exchange gives.
    transport : {"auto", "rest", "archive"}
        Where it comes from: the exchange's API, its public files, or the best of both.
    derive_from : {"trades"} or None
        Make bars from stored trades instead of fetching them.
    """

    start: Start = "last"
    end: Moment | None = None
    depth: int | None = Field(default=None, gt=0)
    transport: HistoryTransport = Transport.AUTO
    derive_from: Literal["trades"] | None = None


class JobSpec(_Value):
    """One thing to do, as often as its trigger says."""

    id: str
    operation: Literal["backfill"] = "backfill"
    target: JobTarget
    trigger: Trigger = Trigger()
    params: JobParams = JobParams()
    enabled: bool = True
    origin: Literal["config", "runtime"] = "config"

    @classmethod
    def backfill(
        cls,
        target: JobTarget,
        params: JobParams | None = None,
        *,
        trigger: Trigger | None = None,
        name: str = "",
        origin: Literal["config", "runtime"] = "runtime",
    ) -> JobSpec:
        """A backfill whose id follows from what it is about."""
        return cls(
            id=job_id("backfill", target, name),
            target=target,
            params=params or JobParams(),
            trigger=trigger or Trigger(kind="once"),
            origin=origin,
        )


def job_id(operation: Operation, target: JobTarget, name: str = "") -> str:
    """``operation:exchange:symbol:data_type[:{span}s][#name]``."""
    parts = [operation, target.exchange, target.symbol, target.data_type.value]
    if target.span is not None:
        parts.append(f"{Span.parse(target.span).seconds}s")
    return ":".join(parts) + (f"#{name}" if name else "")


class RunError(_Value):
    """Why a run failed: a stable code, and words a person can act on."""

    code: str
    detail: str


class Progress(_Value):
    """How far a run is.

    Attributes
    ----------
    done, total : int
        In `unit`; `total` is 0 when it is not known.
    unit : str
        "bars", "seconds" (of exchange time) or "rows".
    rows : int
        Rows taken so far.
    rows_per_s : float
    eta_s : float or None
        Seconds that are left at this pace, None while that cannot be told.
    waiting : str or None
        What it waits for, in words.
    """

    done: int
    total: int
    unit: str
    rows: int
    rows_per_s: float = 0.0
    eta_s: float | None = None
    waiting: str | None = None


class JobRun(BaseModel):
    """One run of a spec, as the run store keeps it; times are nanoseconds UTC.

    Attributes
    ----------
    dataset : str or None
        Id of the dataset, once the symbol is resolved.
    start_ns, end_ns : int or None
        The range of a backfill, half-open, once words such as "last" are resolved.
    target : JobTarget or None
        None where it is about no single dataset.
    params : dict
        What it was started with, JSON: for a backfill the fields of :class:`JobParams`.
    result : dict or None
        What came of it, JSON, for operations that find something out.
    """

    model_config = ConfigDict(extra="forbid")

    run_id: str
    spec_id: str
    operation: Operation
    target: JobTarget | None = None
    dataset: str | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    params: dict[str, Any] = {}
    state: RunState = RunState.PENDING
    created_at: int
    started_at: int | None = None
    ended_at: int | None = None
    rows_written: int = 0
    error: RunError | None = None
    progress: Progress | None = None
    result: dict[str, Any] | None = None
    log_tail: list[str] = []
