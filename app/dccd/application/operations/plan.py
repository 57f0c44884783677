"""What a backfill has to fetch, worked out before anything is fetched."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from dccd.application.bound_source import BoundSource
from dccd.application.jobs import JobParams, JobTarget
from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import SPAN_TYPES, DatasetId
from dccd.domain.errors import InvalidRange, InvalidSpan
from dccd.domain.instrument import Instrument
from dccd.domain.span import Span
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS, S_NS, iso
from dccd.domain.types import DataType, Mode, Transport
from dccd.sources.base import Latest, Snapshot
from dccd.sources.registry import SourceRegistry
from dccd.storage.store import Store

Registry = SourceRegistry[BoundSource]

# How far back "last" goes where nothing is stored.
DEFAULT_REACH_NS = {
    DataType.OHLC: 30 * DAY_NS,
    DataType.OPEN_INTEREST: 30 * DAY_NS,
    DataType.FUNDING: 365 * DAY_NS,
    DataType.TRADES: HOUR_NS,
    DataType.ORDERBOOK: HOUR_NS,
}
# How far the person's clock and the exchange's may differ before an end counts as in the future.
CLOCKS_APART_NS = MINUTE_NS

_ROW_BYTES = {
    DataType.OHLC: 48,
    DataType.TRADES: 14,
    DataType.ORDERBOOK: 14,
    DataType.FUNDING: 18,
    DataType.OPEN_INTEREST: 20,
}


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be fetched, and what to note down before.

    Attributes
    ----------
    start_ns, end_ns : int
        The range as asked for, half-open, once words such as "last" are resolved.
    todo : IntervalSet
        To fetch.
    asked : IntervalSet
        To record as wanted, so that a run that dies is finished by the next.
    absent : IntervalSet
        To record as proven empty.
    absent_cause : str
        Why, in words.
    unserved : IntervalSet
        Asked for, and no longer to be had from this exchange: not fetched, and neither recorded as wanted
        nor as empty, so that another source of it may still be asked.
    unserved_cause : str
        Why, in words.
    """

    start_ns: int
    end_ns: int
    todo: IntervalSet
    asked: IntervalSet
    absent: IntervalSet
    absent_cause: str
    unserved: IntervalSet
    unserved_cause: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a backfill would fetch; rows, bytes and seconds are estimates."""

    dataset: DatasetId
    start_ns: int
    end_ns: int
    todo: IntervalSet
    rows: int
    requests: int
    size_bytes: int
    seconds: float
    bottleneck: str
    transport: Transport

    @property
    def already_covered(self) -> bool:
        """Whether there is nothing to fetch."""
        return not self.todo


async def resolve(
    target: JobTarget, depth: int | None, *, registry: Registry
) -> tuple[DatasetId, Instrument]:
    """The dataset and the one contract that a person's words mean.

    Raises
    ------
    UnknownExchange, UnknownSymbol, AmbiguousSymbol, InvalidSpan, NoCapability
    ExchangeError
        The list of instruments is not on disk and could not be fetched.
    """
    source = registry.get(target.exchange)
    span = None if target.span is None else Span.parse(target.span)
    if (span is not None) != (target.data_type in SPAN_TYPES):
        wants = "needs a span such as 1m or 1h" if span is None else "has no span; leave it out"
        raise InvalidSpan(f"{target.data_type} {wants}.")
    instrument = (await source.instruments()).resolve(target.symbol)
    capability = source.require(target.data_type, Mode.HISTORICAL, instrument, span, depth)
    if target.data_type is DataType.ORDERBOOK and depth is None:
        depth = capability.rows_max[instrument.market]
    return DatasetId(target.exchange, instrument.symbol, target.data_type, span, depth), instrument


def check_range(params: JobParams, now_ns: int, tolerance_ns: int = 0) -> None:
    """Refuse a range that makes no sense.

    Parameters
    ----------
    now_ns : int
        The clock.
    tolerance_ns : int
        How far that clock may be behind the exchange's.

    Raises
    ------
    InvalidRange
        It ends before it starts, or one of both lies in the future.
    """
    start_ns = params.start if isinstance(params.start, int) else None
    now = iso(now_ns // S_NS * S_NS)
    if start_ns is not None and params.end is not None and params.end <= start_ns:
        raise InvalidRange(
            f"The range ends ({iso(params.end)}) before it starts ({iso(start_ns)}). "
            "Swap the two, or leave the end out."
        )
    if start_ns is not None and start_ns >= now_ns + tolerance_ns:
        raise InvalidRange(
            f"The range starts in the future ({iso(start_ns)}); it is {now} now. Choose an earlier start."
        )
    if params.end is not None and params.end > now_ns + tolerance_ns + CLOCKS_APART_NS:
        raise InvalidRange(
            f"The range ends in the future ({iso(params.end)}); it is {now} now. "
            "Leave the end out to go up to now."
        )


async def find_work(
    params: JobParams,
    dataset: DatasetId,
    instrument: Instrument,
    *,
    source: BoundSource,
    store: Store,
    clock: Callable[[], int] = time.time_ns,
) -> Work:
    """What of the asked range is neither stored nor proven absent.

    Raises
    ------
    InvalidRange
        The range ends before it starts, or lies in the future of the exchange's clock.
    """
    now_ns = clock() + await source.clock_offset_ns(instrument.market)
    check_range(params, now_ns)
    if dataset.data_type is DataType.ORDERBOOK:
        # A book's past cannot be asked for, so a snapshot never is a missing one.
        now = IntervalSet.of(now_ns, now_ns + 1)
        return Work(now_ns, now_ns + 1, now, IntervalSet(), IntervalSet(), "", IntervalSet(), "")
    known = store.coverage(dataset)
    done = known.covered | known.absent
    end_ns = _end(params, now_ns, dataset.span)
    if params.start == "last":
        start_ns = _newest(known.covered | known.asked, end_ns, dataset)
        wanted = known.asked.clip(0, end_ns) | IntervalSet.of(start_ns, end_ns)
    else:
        start_ns = await source.earliest_ns(dataset, instrument) if params.start == "origin" else params.start
        start_ns = start_ns if dataset.span is None else dataset.span.ceil(start_ns)
        wanted = IntervalSet.of(start_ns, end_ns)
    todo = wanted - done
    unserved, unserved_cause = await _unserved(todo, dataset, instrument, source, now_ns)
    todo -= unserved
    absent, cause = await _before_the_first(todo, done, dataset, instrument, source)
    asked = (wanted - unserved).clip(0, settled_until(dataset, source, now_ns))
    return Work(start_ns, end_ns, todo - absent, asked, absent, cause, unserved, unserved_cause)


def settled_until(dataset: DatasetId, source: BoundSource, now_ns: int) -> int:
    """Up to when an open end is recorded as asked for, by the exchange's clock.

    What is newer may not be settled at the exchange; it would look like a gap, and the next run takes it
    anyway.
    """
    history = source.source.history[dataset.data_type]
    settle_s = 0.0 if isinstance(history, Latest | Snapshot) else history.settle_s
    settled_ns = now_ns - MINUTE_NS - round(settle_s * S_NS)
    return settled_ns if dataset.span is None else dataset.span.floor(settled_ns)


def _end(params: JobParams, now_ns: int, span: Span | None) -> int:
    """End of the range, at a bar's edge where there are bars, and never in the open one."""
    end_ns = now_ns if params.end is None else min(params.end, now_ns)
    return end_ns if span is None else min(span.ceil(end_ns), span.floor(now_ns))


def _newest(known: IntervalSet, end_ns: int, dataset: DatasetId) -> int:
    """Where "last" goes on from."""
    if known.end_ns is not None:
        return min(known.end_ns, end_ns)
    start_ns = end_ns - DEFAULT_REACH_NS[dataset.data_type]
    return start_ns if dataset.span is None else dataset.span.floor(start_ns)


async def _unserved(
    todo: IntervalSet, dataset: DatasetId, instrument: Instrument, source: BoundSource, now_ns: int
) -> tuple[IntervalSet, str]:
    """What of `todo` the exchange no longer keeps, and why."""
    history = source.source.history[dataset.data_type]
    if isinstance(history, Latest) and todo:
        rows = history.rows[instrument.market]
        kept_ns = await source.earliest_ns(dataset, instrument)
        cause = f"{source.name} gives the newest {rows:,} {dataset.data_type} only"
    else:
        kept_ns, cause = kept_since(dataset, instrument, source, now_ns)
    return todo.clip(0, kept_ns), cause


def kept_since(
    dataset: DatasetId, instrument: Instrument, source: BoundSource, now_ns: int
) -> tuple[int, str]:
    """From when on the exchange keeps its history (0 where it keeps all of it), and in words."""
    capability = source.require(dataset.data_type, Mode.HISTORICAL, instrument, dataset.span, dataset.depth)
    if capability.lookback_s is None:
        return 0, ""
    kept_ns = now_ns - capability.lookback_s * S_NS
    if dataset.span is not None:
        kept_ns = dataset.span.ceil(kept_ns)
    return kept_ns, f"{source.name} keeps the last {capability.lookback_s // 86_400} days only"


async def _before_the_first(
    todo: IntervalSet, done: IntervalSet, dataset: DatasetId, instrument: Instrument, source: BoundSource
) -> tuple[IntervalSet, str]:
    """What of `todo` lies before the exchange's first data of it, and never was."""
    capability = source.require(dataset.data_type, Mode.HISTORICAL, instrument, dataset.span, dataset.depth)
    first_ns = todo.start_ns
    known_earlier = done.start_ns is not None and first_ns is not None and done.start_ns <= first_ns
    bounded = capability.lookback_s is not None or isinstance(
        source.source.history[dataset.data_type], Latest
    )
    if known_earlier or first_ns is None or bounded:
        return IntervalSet(), ""
    earliest_ns = await source.earliest_ns(dataset, instrument)
    return todo.clip(0, earliest_ns), f"before {source.name}'s first data of it"


async def plan(target: JobTarget, params: JobParams, *, registry: Registry, store: Store) -> Plan:
    """What a backfill would fetch, how long that takes, and what holds it up; fetches no data.

    Raises
    ------
    DccdError
        What :func:`resolve` and :func:`find_work` raise.
    """
    dataset, instrument = await resolve(target, params.depth, registry=registry)
    source = registry.get(dataset.exchange)
    work = await find_work(params, dataset, instrument, source=source, store=store)
    estimate = await source.estimate(dataset, instrument, work.todo)
    return Plan(
        dataset=dataset,
        start_ns=work.start_ns,
        end_ns=work.end_ns,
        todo=work.todo,
        rows=estimate.rows,
        requests=estimate.requests,
        size_bytes=estimate.rows * _ROW_BYTES[dataset.data_type],
        seconds=estimate.seconds,
        bottleneck=estimate.bottleneck,
        transport=Transport.REST,
    )
