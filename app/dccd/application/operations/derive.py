"""Bars of any span from the trades that are stored: what is lacking, and what has become outdated."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from dccd.application.jobs import JobParams, JobTarget
from dccd.application.operations.bars import (
    TRADE_COLUMNS,
    Bar,
    BarBuilder,
    BarRules,
    columns_of,
    whole_bars,
)
from dccd.application.operations.plan import Registry
from dccd.application.operations.recorded import Told
from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import InvalidSpan, StorageError, UsageError
from dccd.domain.gaps import GapCause
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import US_NS, iso
from dccd.domain.types import DataType
from dccd.sources.base import ById
from dccd.storage.backfill_log import BackfillLog
from dccd.storage.info import Coverage
from dccd.storage.store import Store

SOURCE = "derived:trades"  # in the files' provenance
PAGE_BARS = 10_000


def derived_dataset(target: JobTarget) -> DatasetId:
    """The bars that a target means; its symbol is a unified one.

    Raises
    ------
    UsageError
        It means no bars.
    InvalidSpan
        It has no span.
    """
    if target.data_type is not DataType.OHLC:
        raise UsageError(f"Only bars can be made from trades, not {target.data_type}.")
    if target.span is None:
        raise InvalidSpan("Bars need a span such as 5m or 1w.")
    return DatasetId(target.exchange, Symbol.parse(target.symbol), DataType.OHLC, Span.parse(target.span))


def trades_of(bars: DatasetId) -> DatasetId:
    """The trades that bars are made from."""
    return DatasetId(bars.exchange, bars.symbol, DataType.TRADES)


async def bar_rules(bars: DatasetId, registry: Registry) -> BarRules:
    """How the exchange's trades are read; of inverse contracts its list says what one is worth.

    Raises
    ------
    UnknownExchange, UnknownSymbol
    UsageError
        What a contract is worth is not known.
    """
    source = registry.get(bars.exchange)
    history = source.source.history.get(DataType.TRADES)
    counted = not (isinstance(history, ById) and history.aggregated)
    if bars.symbol.settle != bars.symbol.base:
        return BarRules(counted)
    size = (await source.instruments()).resolve(bars.symbol).contract_size
    if size is None:
        raise UsageError(
            f"{source.name} does not say what a contract of {bars.symbol} is worth, so that its trades "
            "have no volume. Download its bars instead."
        )
    return BarRules(counted, size)


def bars_between(
    store: Store, trades: DatasetId, span: Span, rules: BarRules, interval: Interval
) -> Iterator[Bar | None]:
    """The bars of the trades in an interval of whole bars; None now and then, where none is ready yet."""
    builder = BarBuilder(span, rules)
    for batch in store.read(trades, *interval, columns=TRADE_COLUMNS):
        yield from builder.add(batch)
        yield None
    yield from builder.finish()


def stored_bars(store: Store, bars: DatasetId, interval: Interval) -> Iterator[Bar]:
    """Stored bars, in order."""
    for batch in store.read(bars, *interval, columns=Bar._fields):
        times_us, *values = (
            batch["ts"].cast(pa.int64()).to_pylist(),
            *(column.to_pylist() for column in batch.columns[1:]),
        )
        for time_us, *rest in zip(times_us, *values, strict=True):
            yield Bar(time_us * US_NS, *rest)


@dataclass(frozen=True, slots=True)
class DeriveWork:
    """What deriving is about: the range (half-open, of whole bars), and what of it no trades cover whole."""

    start_ns: int
    end_ns: int
    without_trades: IntervalSet


async def derive(
    bars: DatasetId, params: JobParams, run_id: str, *, registry: Registry, store: Store, told: Told
) -> DeriveWork:
    """Make the bars that a dataset lacks, wherever stored trades cover them whole.

    ``params.start`` is an instant, or "last" or "origin", which here mean the same: the first covered trade.
    Time that is covered stays as it is, the exchange's own bars above all; bars made earlier from trades that
    have changed since are made again. What is covered of the trades and has none is covered of the bars.

    Raises
    ------
    UnknownDataset
        There are no trades.
    UsageError
        See :func:`bar_rules`.
    """
    rules = await bar_rules(bars, registry)
    return await asyncio.to_thread(_Derivation(bars, params, run_id, rules, store, told).run)


class _Derivation:
    def __init__(
        self, bars: DatasetId, params: JobParams, run_id: str, rules: BarRules, store: Store, told: Told
    ) -> None:
        assert bars.span is not None
        self._bars, self._span, self._trades = bars, bars.span, trades_of(bars)
        self._params, self._run_id, self._rules = params, run_id, rules
        self._store, self._told = store, told
        self._made = 0
        self._period_end_ns: int | None = None

    def run(self) -> DeriveWork:
        store, bars = self._store, self._bars
        store.info(self._trades)
        store.publish(self._trades)  # what bars are made from is told by its files
        self._files = {file.period: file.sha256 for file in store.files(self._trades)}
        trades = store.coverage(self._trades)
        whole = whole_bars(trades.covered, self._span)
        start_ns, end_ns = self._range(whole)
        whole = whole.clip(start_ns, end_ns)
        if start_ns == end_ns:
            self._told.log("Nothing to make: the trades cover no whole bar.")
            return DeriveWork(start_ns, end_ns, IntervalSet())
        self._doubt_outdated(whole)
        for interval in self._asked(trades, start_ns, end_ns):
            store.add_asked(bars, interval)
        # Where the exchange's own bars are doubted, it is the exchange that has better ones.
        own = IntervalSet(
            (gap.start_ns, gap.end_ns) for gap in store.gaps(bars) if gap.cause == GapCause.DIFFERS.value
        )
        todo = whole - store.coverage(bars).covered - own
        if todo:
            self._make(todo)
        else:
            self._told.log("Nothing to make: every bar that the trades cover whole is stored.")
        lacking = IntervalSet.of(start_ns, end_ns) - store.coverage(bars).covered
        return DeriveWork(start_ns, end_ns, lacking - whole)

    def _range(self, whole: IntervalSet) -> tuple[int, int]:
        """From the bar that opens at or after the start to the last that is over."""
        start, end = self._params.start, self._params.end
        start_ns = self._span.ceil(start) if isinstance(start, int) else whole.start_ns or 0
        if end is None:
            return start_ns, max(start_ns, whole.end_ns or 0)
        return start_ns, max(start_ns, min(self._span.ceil(end), self._span.floor(time.time_ns())))

    def _asked(self, trades: Coverage, start_ns: int, end_ns: int) -> IntervalSet:
        """What of the range is wanted: all where a start was named, else where trades were wanted."""
        if isinstance(self._params.start, int):
            return IntervalSet.of(start_ns, end_ns)
        wanted = trades.asked | trades.covered
        bars = IntervalSet((self._span.floor(start), self._span.ceil(end)) for start, end in wanted)
        return bars.clip(start_ns, end_ns)

    def _sources(self, intervals: IntervalSet) -> dict[str, IntervalSet]:
        """What trades lie there: time by the hash of their file, "" where there is none."""
        found: dict[str, list[Interval]] = {}
        for start, end in intervals:
            for period in self._trades.periods(start, end):
                low, high = period.interval
                piece = Interval(max(start, low), min(end, high))
                found.setdefault(self._files.get(period, ""), []).append(piece)
        return {sha256: IntervalSet(pieces) for sha256, pieces in found.items()}

    def _doubt_outdated(self, whole: IntervalSet) -> None:
        """Doubt the bars that the trades now stored would make differently."""
        known = self._store.derivations.of(self._bars)
        if not known:
            return
        changed = IntervalSet()
        now = self._sources(self._store.derivations.time(self._bars))
        for sha256, intervals in now.items():
            changed |= intervals - known.get(sha256, IntervalSet())
        changed = IntervalSet((self._span.floor(start), self._span.ceil(end)) for start, end in changed)
        changed = changed & whole & self._store.coverage(self._bars).covered
        outdated = IntervalSet(bar for interval in changed for bar in self._differing(interval))
        for interval in outdated:
            self._told.log(f"Trades have changed: made again from {iso(interval[0])} to {iso(interval[1])}.")
            self._store.add_doubt(self._bars, interval, GapCause.OUTDATED)
        self._store.derivations.note(self._bars, self._sources(changed - outdated))

    def _differing(self, interval: Interval) -> Iterator[Interval]:
        """The bars of an interval that are not what its trades make."""
        made = bars_between(self._store, self._trades, self._span, self._rules, interval)
        stored = stored_bars(self._store, self._bars, interval)
        for ours, theirs in paired((bar for bar in made if bar is not None), stored):
            if ours != theirs:
                open_ns = (ours or theirs).ts  # type: ignore[union-attr]
                yield Interval(open_ns, self._span.next(open_ns))

    def _make(self, todo: IntervalSet) -> None:
        log = self._store.begin_backfill(self._bars, self._run_id, source=SOURCE)
        total = sum(self._span.count(start, end) for start, end in todo)
        done = 0
        try:
            for interval in todo:
                for reached_ns in self._pages(interval, log):
                    self._told.progress(
                        done + self._span.count(interval.start_ns, reached_ns), total, "bars", rows=self._made
                    )
                    if self._told.stopped():
                        break
                if self._told.stopped():
                    self._told.log("Cancelled; what was made is stored.")
                    break
                done += self._span.count(*interval)
        except StorageError:
            log.close()  # the disk has a say of its own: the journal stays, for the next publication
            raise
        except BaseException:
            log.finish()
            raise
        log.finish()
        self._told.log(f"{self._made:,} bars made from {self._trades}.")

    def _pages(self, interval: Interval, log: BackfillLog) -> Iterator[int]:
        """Make an interval's bars and store them page by page; gives where each page ends."""
        page: list[Bar] = []
        start_ns = interval.start_ns
        for bar in bars_between(self._store, self._trades, self._span, self._rules, interval):
            if bar is not None:
                page.append(bar)
            if len(page) >= PAGE_BARS:
                end_ns = self._span.next(page[-1].ts)
                self._keep(page, Interval(start_ns, end_ns), log)
                page, start_ns = [], end_ns
                yield end_ns
            elif bar is None:
                yield start_ns
        self._keep(page, Interval(start_ns, interval.end_ns), log)
        yield interval.end_ns

    def _keep(self, page: list[Bar], interval: Interval, log: BackfillLog) -> None:
        covered = IntervalSet([interval])
        self._store.derivations.note(self._bars, self._sources(covered))
        log.append(columns_of(page), covered, str(interval.end_ns))
        if self._period_end_ns is not None and interval.end_ns >= self._period_end_ns:
            log.publish_before(interval.end_ns)
        self._period_end_ns = self._bars.period(interval.end_ns).interval.end_ns
        self._made += len(page)


def paired(ours: Iterable[Bar], theirs: Iterable[Bar]) -> Iterator[tuple[Bar | None, Bar | None]]:
    """Bars of two series, both in order, side by side: None where one has no such bar."""
    left, right = iter(ours), iter(theirs)
    mine, other = next(left, None), next(right, None)
    while mine is not None or other is not None:
        first_ns = min(bar.ts for bar in (mine, other) if bar is not None)
        here = mine if mine is not None and mine.ts == first_ns else None
        there = other if other is not None and other.ts == first_ns else None
        yield here, there
        mine = next(left, None) if here is not None else mine
        other = next(right, None) if there is not None else other
