"""What a backfill has to fetch, worked out before anything is fetched."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dccd.application.archived import FilesEstimate
from dccd.application.bound_source import BoundSource, Estimate
from dccd.application.jobs import JobParams, JobTarget
from dccd.application.operations.shares import Share, shares
from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import SPAN_TYPES, DatasetId
from dccd.domain.errors import InvalidRange, InvalidSpan, NoCapability
from dccd.domain.instrument import Instrument
from dccd.domain.span import Span
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS, S_NS, iso
from dccd.domain.types import DataType, Mode, Transport
from dccd.sources.base import ById, Latest, Snapshot
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

# Rows of files that are read and stored in a second, as ``docs/benchmarks.md`` has it.
_FILE_ROWS_PER_S = 500_000
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
    transport : Transport
        As asked for.
    shares : tuple of Share
        What of `todo` comes from where, in order of time.
    kept_ns : int
        Since when the exchange's API keeps its history; 0 where it keeps all of it.
    now_ns : int
        The exchange's clock when this was worked out.
    """

    start_ns: int
    end_ns: int
    todo: IntervalSet
    asked: IntervalSet
    absent: IntervalSet
    absent_cause: str
    unserved: IntervalSet
    unserved_cause: str
    transport: Transport
    shares: tuple[Share, ...]
    kept_ns: int
    now_ns: int

    def by(self, transport: Transport) -> IntervalSet:
        """What of `todo` comes from there."""
        return IntervalSet(share.interval for share in self.shares if share.transport is transport)


@dataclass(frozen=True, slots=True)
class PlanPart:
    """What would come from one place.

    Attributes
    ----------
    transport : Transport
        ``REST`` or ``ARCHIVE``.
    intervals : IntervalSet
    requests : int
    download_bytes : int or None
        Of an archive's files; None where that is not known.
    """

    transport: Transport
    intervals: IntervalSet
    requests: int
    download_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a backfill would fetch, from where; rows, bytes and seconds are estimates.

    `transport` is ``AUTO`` where both have a part in it. `unserved` is as in :class:`Work`, with its cause.
    """

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
    parts: tuple[PlanPart, ...] = ()
    unserved: IntervalSet = field(default_factory=IntervalSet)
    unserved_cause: str = ""

    @property
    def already_covered(self) -> bool:
        """Whether all of it is stored."""
        return not self.todo and not self.unserved


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
        [interval] = now
        none, share = IntervalSet(), Share(Transport.REST, interval)
        return Work(now_ns, now_ns + 1, now, none, none, "", none, "", params.transport, (share,), 0, now_ns)
    reach = IntervalSet()
    if params.transport is not Transport.REST:
        reach = source.archived.reach(dataset, instrument, now_ns)
    if params.transport is Transport.ARCHIVE and not reach:
        reason = f"{source.name} publishes no files of it."
        raise NoCapability(source.id, dataset.data_type, Mode.HISTORICAL, reason)
    known = store.coverage(dataset)
    done = known.covered | known.absent
    end_ns = _end(params, now_ns, dataset.span)
    if params.start == "last":
        start_ns = _newest(known.covered | known.asked, end_ns, dataset)
        wanted = known.asked.clip(0, end_ns) | IntervalSet.of(start_ns, end_ns)
    else:
        start_ns = (
            params.start if params.start != "origin" else await _origin(dataset, instrument, source, reach)
        )
        start_ns = start_ns if dataset.span is None else dataset.span.ceil(start_ns)
        wanted = IntervalSet.of(start_ns, end_ns)
    todo = wanted - done
    kept_ns, unserved_cause = await _kept(todo, dataset, instrument, source, now_ns)
    unserved = todo.clip(0, kept_ns) - reach
    if params.transport is Transport.ARCHIVE:
        unserved, unserved_cause = todo - reach, f"{source.name}'s files have {_words(reach)}"
    todo -= unserved
    absent, cause = await _before_the_first(todo, done, dataset, instrument, source)
    todo -= absent
    asked = (wanted - unserved).clip(0, settled_until(dataset, source, now_ns))
    parts = shares(
        todo,
        dataset,
        instrument,
        source,
        transport=params.transport,
        now_ns=now_ns,
        kept_ns=kept_ns,
    )
    return Work(
        start_ns,
        end_ns,
        todo,
        asked,
        absent,
        cause,
        unserved,
        unserved_cause,
        params.transport,
        parts,
        kept_ns,
        now_ns,
    )


def _words(intervals: IntervalSet) -> str:
    return " and ".join(f"{iso(start)} to {iso(end)}" for start, end in intervals)


async def _origin(dataset: DatasetId, instrument: Instrument, source: BoundSource, reach: IntervalSet) -> int:
    """The exchange's first data: of its files, where its API keeps what is recent alone."""
    if reach.start_ns is not None and _bounded(dataset, instrument, source):
        return reach.start_ns
    return await source.earliest_ns(dataset, instrument)


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


async def _kept(
    todo: IntervalSet, dataset: DatasetId, instrument: Instrument, source: BoundSource, now_ns: int
) -> tuple[int, str]:
    """From when on the exchange's API has what is to be fetched (0: all of it), and why, in words."""
    history = source.source.history[dataset.data_type]
    if isinstance(history, Latest) and todo:
        rows = history.rows[instrument.market]
        kept_ns = await source.earliest_ns(dataset, instrument)
        return kept_ns, f"{source.name} gives the newest {rows:,} {dataset.data_type} only"
    return kept_since(dataset, instrument, source, now_ns)


def _bounded(dataset: DatasetId, instrument: Instrument, source: BoundSource) -> bool:
    """Whether the exchange's API keeps what is recent alone."""
    capability = source.require(dataset.data_type, Mode.HISTORICAL, instrument, dataset.span, dataset.depth)
    return capability.lookback_s is not None or isinstance(source.source.history[dataset.data_type], Latest)


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
    first_ns = todo.start_ns
    known_earlier = done.start_ns is not None and first_ns is not None and done.start_ns <= first_ns
    if known_earlier or first_ns is None or _bounded(dataset, instrument, source):
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
    parts, estimates = [], []
    by_file, by_rest = work.by(Transport.ARCHIVE), work.by(Transport.REST)
    if by_file:
        found = await source.archived.estimate(dataset, instrument, by_file, work.now_ns)
        estimates.append(await _of_files(found, by_file, dataset, instrument, source))
        parts.append(PlanPart(Transport.ARCHIVE, by_file, found.requests, found.size_bytes))
    if by_rest or not by_file:
        estimates.append(await source.estimate(dataset, instrument, by_rest))
    if by_rest:
        parts.append(PlanPart(Transport.REST, by_rest, estimates[-1].requests))
    rows = sum(estimate.rows for estimate in estimates)
    return Plan(
        dataset=dataset,
        start_ns=work.start_ns,
        end_ns=work.end_ns,
        todo=work.todo,
        rows=rows,
        requests=sum(estimate.requests for estimate in estimates),
        size_bytes=rows * _ROW_BYTES[dataset.data_type],
        seconds=sum(estimate.seconds for estimate in estimates),
        bottleneck=max(estimates, key=lambda estimate: estimate.seconds).bottleneck,
        transport=Transport.AUTO if len(parts) > 1 else Transport.ARCHIVE if by_file else Transport.REST,
        parts=tuple(parts),
        unserved=work.unserved,
        unserved_cause=work.unserved_cause,
    )


async def _of_files(
    found: FilesEstimate,
    by_file: IntervalSet,
    dataset: DatasetId,
    instrument: Instrument,
    source: BoundSource,
) -> Estimate:
    """An archive's part: bars and ids can be counted, other rows are told by the files' size."""
    archive = source.archived.find(dataset, instrument)
    assert archive is not None
    if dataset.span is not None:
        rows = sum(dataset.span.count(start, end) for start, end in by_file)
    elif isinstance(source.source.history[dataset.data_type], ById):
        rows = (await source.estimate(dataset, instrument, by_file)).rows
    else:
        rows = (found.size_bytes or 0) // archive.row_bytes
    seconds = max(found.seconds, rows / _FILE_ROWS_PER_S)
    bound_by = "this computer" if seconds > found.seconds else "the connection"
    return Estimate(rows, found.requests, found.requests, seconds, bound_by)
