"""The program's values as the API's models: nanoseconds to milliseconds, sets of intervals to pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dccd.application.jobs import JobRun, Progress
from dccd.application.operations.chart import Chart
from dccd.application.operations.plan import Plan
from dccd.application.scheduler import Submission
from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.gaps import GapCause
from dccd.domain.instrument import Instrument
from dccd.domain.timeutils import MS_NS
from dccd.interfaces.api import models

if TYPE_CHECKING:
    from dccd.sources.base import Source
    from dccd.storage.confirmed import Confirmation
    from dccd.storage.footer import FileInfo
    from dccd.storage.info import DatasetInfo, Gap
    from dccd.storage.recovery import RecoveryProgress

INTERVALS_MAX = 200
_GAP_CODES = {cause.value: cause.name.lower() for cause in GapCause}


def to_ms(ts_ns: int) -> int:
    """Milliseconds at or just before an instant."""
    return ts_ns // MS_NS


def maybe_ms(ts_ns: int | None) -> int | None:
    """The same where there may be none."""
    return None if ts_ns is None else ts_ns // MS_NS


def pairs(intervals: IntervalSet) -> list[tuple[int, int]]:
    """Half-open pairs of milliseconds; an end inside a millisecond counts the whole of it."""
    return [(start // MS_NS, -(-end // MS_NS)) for start, end in intervals]


def shown(intervals: IntervalSet, most: int = INTERVALS_MAX) -> list[tuple[int, int]]:
    """At most `most` pairs, for display: the narrowest gaps between intervals are closed first."""
    found = pairs(intervals)
    if len(found) <= most:
        return found
    gaps = sorted(range(1, len(found)), key=lambda i: found[i][0] - found[i - 1][1], reverse=True)
    starts = [0, *sorted(gaps[: most - 1])]
    ends = [*(i - 1 for i in starts[1:]), len(found) - 1]
    return [(found[i][0], found[j][1]) for i, j in zip(starts, ends, strict=True)]


def exchange(source: Source, confirmed: Sequence[Confirmation]) -> models.Exchange:
    """What an exchange offers, and what of it was confirmed."""
    return models.Exchange(
        id=source.id,
        name=source.name,
        capabilities=list(source.capabilities),
        confirmed=[
            models.Confirmed(
                data_type=item.data_type,
                market=item.market,
                transport=item.transport,
                dataset=item.dataset,
                checked_ms=to_ms(item.checked_ns),
                rows=item.rows,
            )
            for item in confirmed
            if item.exchange == source.id
        ],
    )


def instrument(item: Instrument) -> models.InstrumentItem:
    """One contract."""
    return models.InstrumentItem(
        symbol=str(item.symbol),
        native=item.native,
        market=item.market,
        type=item.type,
        active=item.active,
        tick_size=item.tick_size,
        lot_size=item.lot_size,
        listed_ms=maybe_ms(item.listed_ns),
        expiry_ms=maybe_ms(item.expiry_ns),
    )


def gap(item: Gap) -> models.GapItem:
    """One hole."""
    return models.GapItem(
        start_ms=to_ms(item.start_ns),
        end_ms=-(-item.end_ns // MS_NS),
        cause=item.cause,
        code=_GAP_CODES.get(item.cause, "other"),
    )


def widest(gaps: Sequence[Gap], most: int = INTERVALS_MAX) -> list[models.GapItem]:
    """At most `most` holes, the widest, oldest first."""
    kept = sorted(gaps, key=lambda item: item.start_ns - item.end_ns)[:most]
    return [gap(item) for item in sorted(kept, key=lambda item: item.start_ns)]


def dataset(info: DatasetInfo) -> models.Dataset:
    """A dataset, small enough for lists."""
    return models.Dataset(**dataset_fields(info))


def dataset_fields(info: DatasetInfo) -> dict[str, Any]:
    """What a dataset and its details have in common."""
    identity = info.dataset
    return {
        "id": str(identity),
        "exchange": identity.exchange,
        "symbol": str(identity.symbol),
        "data_type": identity.data_type,
        "span": None if identity.span is None else str(identity.span),
        "depth": identity.depth,
        "rows": info.rows,
        "size_bytes": info.size_bytes,
        "files": info.files,
        "start_ms": maybe_ms(info.start_ns),
        "end_ms": maybe_ms(info.end_ns),
        "asked": shown(info.asked),
        "covered": shown(info.covered),
        "gaps": widest(info.gaps),
        "gap_count": len(info.gaps),
        "complete": info.complete,
        "updated_ms": maybe_ms(info.updated_ns or None),
        "bytes_per_day": info.bytes_per_day,
    }


def file_item(info: FileInfo) -> models.DatasetFile:
    """One period file."""
    return models.DatasetFile(
        name=info.path.rpartition("/")[2],
        period=info.period.name,
        start_ms=to_ms(info.period.interval.start_ns),
        end_ms=to_ms(info.period.interval.end_ns),
        rows=info.rows,
        size_bytes=info.size_bytes,
        sha256=info.sha256,
    )


def chart(made: Chart) -> models.Chart:
    """What to draw."""
    bars, depth = made.bars, made.depth
    return models.Chart(
        kind=made.kind,  # type: ignore[arg-type]
        span_s=made.span_s,
        bars=models.ChartBars(t=bars.t, o=bars.o, h=bars.h, l=bars.l, c=bars.c, v=bars.v),
        depth=None
        if depth is None
        else models.Depth(ts_ms=to_ms(depth.ts_ns), bids=depth.bids, asks=depth.asks),
        gaps=shown(made.gaps),
        start_ms=maybe_ms(made.start_ns),
        end_ms=maybe_ms(made.end_ns),
    )


def recovering(made: RecoveryProgress | None) -> models.Recovering | None:
    """How far the recovery of the data folder is."""
    return (
        None if made is None else models.Recovering(step=made.step, done=made.done, total=made.total or None)
    )


def started(made: Submission) -> models.RunStarted:
    """The run that does what was asked."""
    return models.RunStarted(run_id=made.run_id, status=made.status)


def plan(made: Plan) -> models.Plan:
    """What a backfill would fetch."""
    return models.Plan(
        dataset=str(made.dataset),
        start_ms=to_ms(made.start_ns),
        end_ms=to_ms(made.end_ns),
        todo=shown(made.todo),
        rows=made.rows,
        requests=made.requests,
        bytes=made.size_bytes,
        seconds=made.seconds,
        bottleneck=made.bottleneck,
        transport=made.transport,
        parts=[
            models.PlanPart(
                transport=part.transport,
                ranges=shown(part.intervals),
                requests=part.requests,
                download_bytes=part.download_bytes,
            )
            for part in made.parts
        ],
        not_served=shown(made.unserved),
        why=made.unserved_cause if made.unserved else "",
        already_covered=made.already_covered,
    )


def progress(made: Progress) -> models.RunProgress:
    """How far a run is; an unknown total is null."""
    return models.RunProgress(
        done=made.done,
        total=made.total or None,
        unit=made.unit,
        rows=made.rows,
        rows_per_s=made.rows_per_s,
        eta_s=made.eta_s,
        waiting=made.waiting,
    )


def run(made: JobRun) -> models.Run:
    """A run without its log."""
    return models.Run(**_run_fields(made))


def run_detail(made: JobRun) -> models.RunDetail:
    """A run with the end of its log."""
    return models.RunDetail(**_run_fields(made), result=made.result, log_tail=made.log_tail)


def _run_fields(made: JobRun) -> dict[str, Any]:
    target = made.target
    symbol = None if target is None else target.symbol
    return {
        "run_id": made.run_id,
        "spec_id": made.spec_id,
        "operation": made.operation,
        "exchange": None if target is None else target.exchange,
        "symbol": str(DatasetId.parse(made.dataset).symbol) if made.dataset else symbol,
        "data_type": None if target is None else target.data_type,
        "span": None if target is None else target.span,
        "dataset": made.dataset,
        "state": made.state,
        "start_ms": maybe_ms(made.start_ns),
        "end_ms": maybe_ms(made.end_ns),
        "started_ms": maybe_ms(made.started_at),
        "ended_ms": maybe_ms(made.ended_at),
        "rows_written": made.rows_written,
        "error": made.error,
        "progress": None if made.progress is None else progress(made.progress),
        "params": made.params,
    }
