"""Covered windows of a dataset, fetched again and compared: that it is complete is tested, not assumed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing
from random import Random
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from dccd.application.bound_source import BoundSource
from dccd.application.events import EventBus, InventoryEvent
from dccd.application.jobs import JobTarget
from dccd.application.operations.compare import DIFFERENCES_MAX, Difference, Row, compared, keyed
from dccd.application.operations.plan import Registry, kept_since, resolve, settled_until
from dccd.application.operations.recorded import Told
from dccd.application.operations.windows import choose, whole, window_ns
from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import UsageError
from dccd.domain.gaps import GapCause
from dccd.domain.instrument import Instrument
from dccd.domain.records import Columns
from dccd.domain.timeutils import HOUR_NS, MAX_NS, MS_NS, US_NS, iso
from dccd.domain.types import DataType, Evidence, Market, Mode, Transport
from dccd.storage.store import Store

WINDOWS_DEFAULT, WINDOWS_MAX = 10, 1_000


class CheckParams(BaseModel):
    """How a check goes about it.

    Attributes
    ----------
    windows : int
        How many windows at most.
    seed : int
        Of the generator that draws them: the same seed on the same coverage gives the same windows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    windows: int = Field(default=WINDOWS_DEFAULT, ge=1, le=WINDOWS_MAX)
    seed: int


class Stretch(BaseModel):
    """A range of time, half-open, with what is to be said of it."""

    start_ms: int
    end_ms: int
    rows: int = 0
    why: str = ""


class CheckResult(BaseModel):
    """What a check found.

    Attributes
    ----------
    windows : list of Stretch
        What was fetched again; `rows` is how many rows either side had.
    skipped : list of Stretch
        What could not be checked, and why.
    rows, equal, differing, stored_only, exchange_only : int
        Rows compared and what they were; `rows` is the sum of the others and of `unconfirmed`.
    unconfirmed : int
        Rows that differed at first and not when they were fetched once more: the exchange's glitch.
    fields : dict
        By column, in how many rows it differed.
    differences : list of Difference
        The first thousand.
    doubted : list of Stretch
        Windows with differences: they are gaps now, for a repair to fetch anew.
    evidence : Evidence
        What the capability's correctness rests on. One that rests on the exchange's documentation alone is
        to be believed once a check has passed.
    market, transport
        Where, and how, it was fetched again.
    passed : bool
        Whether there were rows to compare, and no difference.
    """

    dataset: str
    seed: int
    windows: list[Stretch] = []
    skipped: list[Stretch] = []
    rows: int = 0
    equal: int = 0
    differing: int = 0
    stored_only: int = 0
    exchange_only: int = 0
    unconfirmed: int = 0
    fields: Counter[str] = Counter()
    differences: list[Difference] = []
    doubted: list[Stretch] = []
    evidence: Evidence
    market: Market
    transport: Transport
    passed: bool = False


def checkable(dataset: DatasetId) -> None:
    """Refuse what no exchange can be asked for a second time.

    Raises
    ------
    UsageError
    """
    if dataset.data_type in (DataType.ORDERBOOK, DataType.BOOK_UPDATES):
        raise UsageError(f"{dataset} cannot be checked: no exchange gives a book's past a second time.")


async def check(
    dataset: DatasetId,
    params: CheckParams,
    *,
    registry: Registry,
    store: Store,
    told: Told,
    events: EventBus | None = None,
) -> dict[str, Any]:
    """Fetch some covered windows again and compare them with what is stored.

    A window with a difference is fetched twice. Where something differs both times the window is doubted: a
    gap, until it is fetched anew. What the exchange does not keep any more, what is not settled yet and what
    was made from trades is left out and said.

    Returns
    -------
    dict
        The fields of :class:`CheckResult`.

    Raises
    ------
    UnknownDataset, NoCapability, ExchangeError
    """
    _, instrument = await resolve(JobTarget.of(dataset), dataset.depth, registry=registry)
    source = registry.get(dataset.exchange)
    return await _Check(dataset, params, instrument, source, store, told, events).run()


class _Check:
    def __init__(
        self,
        dataset: DatasetId,
        params: CheckParams,
        instrument: Instrument,
        source: BoundSource,
        store: Store,
        told: Told,
        events: EventBus | None,
    ) -> None:
        self._dataset, self._params, self._instrument = dataset, params, instrument
        self._source, self._store, self._told, self._events = source, store, told, events
        capability = source.require(dataset.data_type, Mode.HISTORICAL, instrument, dataset.span)
        self._result = CheckResult(
            dataset=str(dataset),
            seed=params.seed,
            evidence=capability.evidence,
            market=instrument.market,
            transport=Transport.REST,  # whatever way the stored rows came
        )

    async def run(self) -> dict[str, Any]:
        result, info = self._result, await asyncio.to_thread(self._store.info, self._dataset)
        eligible = await self._eligible(info.covered)
        windows = choose(
            eligible, self._params.windows, window_ns(info), self._dataset, Random(self._params.seed)
        )
        for number, window in enumerate(windows, start=1):
            if self._told.stopped():
                break
            await self._look_at(window)
            self._told.progress(number, len(windows), "windows", rows=result.rows)
        result.passed = result.rows > 0 and not result.doubted
        self._told.log(
            f"{result.rows:,} rows in {len(result.windows)} windows: {result.equal:,} equal, "
            f"{result.differing:,} differ, {result.stored_only:,} stored only, "
            f"{result.exchange_only:,} at the exchange only."
        )
        return result.model_dump(mode="json")

    async def _eligible(self, covered: IntervalSet) -> IntervalSet:
        now_ns = time.time_ns() + await self._source.clock_offset_ns(self._instrument.market)
        kept_ns, why = kept_since(self._dataset, self._instrument, self._source, now_ns)
        if kept_ns:
            kept_ns += HOUR_NS  # what falls out of reach while windows are fetched is no difference
        self._skip(covered.clip(0, kept_ns), why)
        settled_ns = settled_until(self._dataset, self._source, now_ns)
        self._skip(covered.clip(settled_ns, MAX_NS), "it may still change")
        derived = covered & self._store.derivations.time(self._dataset)
        self._skip(derived, "its bars were made from trades; dccd audit compares those")
        left = covered.clip(kept_ns, settled_ns) - derived
        return IntervalSet(whole(item, self._dataset) for item in left)

    def _skip(self, intervals: IntervalSet, why: str) -> None:
        self._result.skipped += [_stretch(interval, why=why) for interval in intervals]

    async def _look_at(self, window: Interval) -> None:
        theirs = await self._fetched(window)
        if theirs is None:
            self._skip(IntervalSet([window]), f"{self._source.name} did not answer for all of it")
            return
        stored = await asyncio.to_thread(self._stored, window)
        kind = self._dataset.data_type
        mine, others = keyed(kind, stored), keyed(kind, theirs)
        found = dict(compared(kind, mine, others))
        if found:
            again = await self._fetched(window)
            second = {} if again is None else dict(compared(kind, mine, keyed(kind, again)))
            confirmed = {key: item for key, item in found.items() if second.get(key) == item}
        else:
            confirmed = {}
        rows = len(mine.keys() | others.keys())
        self._count(window, rows, len(found) - len(confirmed), list(confirmed.values()))
        if confirmed:
            await asyncio.to_thread(self._store.add_doubt, self._dataset, window, GapCause.DIFFERS)
            self._told.log(f"{len(confirmed):,} rows differ from {_words(window)}.", "warning")
            if self._events is not None:
                self._events.publish(InventoryEvent(dataset=str(self._dataset)))

    def _count(self, window: Interval, rows: int, unconfirmed: int, confirmed: list[Difference]) -> None:
        result = self._result
        result.windows.append(_stretch(window, rows=rows))
        result.rows += rows
        result.unconfirmed += unconfirmed
        result.equal += rows - unconfirmed - len(confirmed)
        for item in confirmed:
            result.differing += item.verdict == "differs"
            result.stored_only += item.verdict == "stored only"
            result.exchange_only += item.verdict == "exchange only"
            if item.verdict == "differs":
                result.fields.update(item.fields.keys())
        result.differences += confirmed[: DIFFERENCES_MAX - len(result.differences)]
        if confirmed:
            result.doubted.append(_stretch(window, rows=len(confirmed)))

    async def _fetched(self, window: Interval) -> list[Row] | None:
        """The exchange's rows, None where its answers do not prove the whole window."""
        rows: list[Row] = []
        covered = IntervalSet()
        async with aclosing(self._source.history(self._dataset, self._instrument, *window)) as pages:
            async for page in pages:
                rows += _rows_of(page.columns)
                covered |= page.covered
        return rows if covered.covers(*window) else None

    def _stored(self, window: Interval) -> list[Row]:
        return [row for batch in self._store.read(self._dataset, *window) for row in _rows(batch)]


def _rows(batch: pa.RecordBatch) -> Iterator[Row]:
    """Stored rows in the shape of a page's: times in nanoseconds."""
    columns = {
        field.name: (column.cast(pa.int64()) if pa.types.is_timestamp(field.type) else column).to_pylist()
        for field, column in zip(batch.schema, batch.columns, strict=True)
    }
    for row in _rows_of(columns):
        sub_ns = row.pop("ts_sub_ns") or 0
        yield row | {"ts": row["ts"] * US_NS + sub_ns}


def _rows_of(columns: Columns) -> Iterator[Row]:
    """A page's columns as rows."""
    return (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))


def _stretch(interval: Interval, *, rows: int = 0, why: str = "") -> Stretch:
    return Stretch(start_ms=interval[0] // MS_NS, end_ms=-(-interval[1] // MS_NS), rows=rows, why=why)


def _words(interval: Interval) -> str:
    return f"{iso(interval[0])} to {iso(interval[1])}"
