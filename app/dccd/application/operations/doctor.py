"""What the exchanges are declared to offer, each tried once and small: what works from here, and what not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from dccd.application.bound_source import BoundSource
from dccd.application.listening import Event, LiveBook, LiveRows, TurnedDown, Wanted
from dccd.application.operations.recorded import Told
from dccd.domain.capability import Capability
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import DccdError, ExchangeError, ExchangeRefused
from dccd.domain.instrument import Instrument, InstrumentList
from dccd.domain.span import Span
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS, MS_NS
from dccd.domain.types import DataType, InstrumentType, Market, Mode, Transport
from dccd.sources.base import Target

WAIT_S = 20.0
_AT_ONCE = 3  # probes of one exchange; live ones mostly wait
_USUAL = ("BTC", "ETH")
# How far back is looked: further where nothing came.
_REACHES_NS = {
    DataType.TRADES: (3 * MINUTE_NS, HOUR_NS, DAY_NS),
    DataType.FUNDING: (3 * DAY_NS, 30 * DAY_NS),
    DataType.ORDERBOOK: (MINUTE_NS,),
}
_BARS = (30, 300)
_FILES_NS = 4 * DAY_NS  # files of a day come a day or two late


class DoctorParams(BaseModel):
    """What is tried.

    Attributes
    ----------
    exchanges : list of str
        Ids; all those enabled when it is empty.
    wait_s : float
        How long each answer, or live message, may take.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    exchanges: list[str] = []
    wait_s: float = Field(default=WAIT_S, gt=0, le=600)


class Finding(BaseModel):
    """What became of one probe.

    Attributes
    ----------
    what : str
        ``clock``, ``instruments``, or a data type.
    transport : Transport or None
        None for clocks and lists of instruments.
    symbol : str or None
        The instrument that was asked about, with its span or depth.
    works : bool
    words : str
        What came; or what is wrong, in the exchange's own words where it answered.
    code : str or None
        The error's, see :mod:`dccd.domain.errors`.
    rows : int
        Rows, instruments or levels that came.
    took_ms : int
        With whatever the exchange had to be asked besides.
    """

    exchange: str
    market: Market
    what: str
    transport: Transport | None = None
    symbol: str | None = None
    works: bool = False
    words: str = ""
    code: str | None = None
    rows: int = 0
    took_ms: int = 0


class DoctorResult(BaseModel):
    """All findings, by exchange and market."""

    findings: list[Finding] = []
    works: int = 0
    fails: int = 0


@dataclass(frozen=True, slots=True)
class _Came:
    """What a probe that works has to show."""

    rows: int
    words: str


async def doctor(sources: Sequence[BoundSource], params: DoctorParams, told: Told) -> dict[str, Any]:
    """Try what some exchanges are declared to offer; exchanges side by side.

    Returns
    -------
    dict
        The fields of :class:`DoctorResult`; those of what had been tried when it was stopped.
    """
    total = sum(len(list(_planned(source))) for source in sources)
    examinations = [_Examination(source, params.wait_s, told) for source in sources]
    done = 0

    async def count(findings: AsyncGenerator[Finding, None]) -> list[Finding]:
        nonlocal done
        found: list[Finding] = []
        async with aclosing(findings):
            async for finding in findings:
                found.append(finding)
                done += 1
                told.progress(done, total, "probes")
                if not finding.works:
                    told.log(
                        f"{finding.exchange} {finding.market} {finding.what}: {finding.words}", "warning"
                    )
        return found

    every = await asyncio.gather(*(count(each.findings()) for each in examinations))
    result = DoctorResult(findings=[finding for found in every for finding in found])
    result.works = sum(finding.works for finding in result.findings)
    result.fails = len(result.findings) - result.works
    return result.model_dump(mode="json")


def _markets(source: BoundSource) -> list[Market]:
    """Those in which anything is offered."""
    return [
        market for market in Market if any(market in capability.markets for capability in source.capabilities)
    ]


def _planned(source: BoundSource) -> Iterator[tuple[Market, str | Capability]]:
    for market in _markets(source):
        yield market, "clock"
        yield market, "instruments"
        for capability in source.capabilities:
            if market in capability.markets:
                yield market, capability


class _Examination:
    """One exchange."""

    def __init__(self, source: BoundSource, wait_s: float, told: Told) -> None:
        self._source, self._wait_s, self._told = source, wait_s, told
        self._listed: InstrumentList | None = None
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def findings(self) -> AsyncGenerator[Finding, None]:
        """In the order in which they are declared."""
        listing = await self._tried(self._finding(Market.SPOT, "instruments"), self._list())
        probes = [
            asyncio.create_task(self._probe(market, what, listing)) for market, what in _planned(self._source)
        ]
        try:
            for probe in probes:
                finding = await probe
                if finding is not None:
                    yield finding
        finally:
            for probe in probes:
                probe.cancel()
            await asyncio.gather(*probes, return_exceptions=True)

    async def _probe(self, market: Market, what: str | Capability, listing: Finding) -> Finding | None:
        """The finding; None once it is to stop."""
        async with self._room:
            if self._told.stopped():
                return None
            if isinstance(what, Capability):
                return await self._offered(self._finding(market, what.data_type), what)
            finding = self._finding(market, what)
            if what == "clock":
                return await self._tried(finding, self._clock(market))
            problem = self._source.listing_errors.get(self._source.source.host_of[market])
            finding.took_ms = listing.took_ms
            if problem is not None:
                return _failed(finding, problem)
            if not listing.works:
                return finding.model_copy(update={"words": listing.words, "code": listing.code})
            return await self._tried(finding, self._count(market))

    async def _offered(self, finding: Finding, capability: Capability) -> Finding:
        """The finding of a capability."""
        finding.transport = capability.transport
        try:
            instrument = self._choose(finding.market, capability.data_type)
        except ExchangeError as error:
            return _failed(finding, error)
        span, depth = _span(capability, finding.market), min(capability.depths, default=None)
        named = (part for part in (instrument.symbol, span, depth) if part is not None)
        finding.symbol = " ".join(map(str, named))
        return await self._tried(finding, self._ask(capability, instrument, span, depth))

    def _finding(self, market: Market, what: str) -> Finding:
        return Finding(exchange=self._source.id, market=market, what=str(what))

    def _ask(
        self, capability: Capability, instrument: Instrument, span: Span | None, depth: int | None
    ) -> Awaitable[_Came]:
        kind = capability.data_type
        if capability.mode is Mode.LIVE:
            stream = DataType.BOOK_UPDATES if kind is DataType.ORDERBOOK else kind
            return self._live(Wanted(stream, Target(instrument, span, depth)))
        dataset = DatasetId(self._source.id, instrument.symbol, kind, span, depth)
        if capability.transport is Transport.ARCHIVE:
            return self._files(dataset, instrument)
        return self._history(dataset, instrument)

    async def _tried(self, finding: Finding, probe: Awaitable[_Came]) -> Finding:
        """The finding with what came of the probe, or why nothing did in time."""
        began_s = time.monotonic()
        task = asyncio.ensure_future(probe)
        try:
            ended, _ = await asyncio.wait((task,), timeout=self._wait_s)
            # What it is waiting for is known only as long as it is.
            waiting = None if ended else self._source.waiting()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        finding.took_ms += round((time.monotonic() - began_s) * 1000)
        if not ended:
            finding.code = "no_answer"
            finding.words = waiting or f"Nothing came within {self._wait_s:g} s."
            return finding
        try:
            came = task.result()
        except DccdError as error:
            return _failed(finding, error)
        finding.works, finding.rows, finding.words = True, came.rows, came.words
        return finding

    # What is asked

    async def _list(self) -> _Came:
        self._listed = await self._source.instruments(refresh=True)
        return _Came(len(self._listed), "")

    async def _clock(self, market: Market) -> _Came:
        apart_s = await self._source.clock_offset_ns(market, anew=True) / 1e9
        return _Came(0, f"{abs(apart_s):.1f} s {'behind' if apart_s < 0 else 'ahead of'} this computer's")

    async def _count(self, market: Market) -> _Came:
        assert self._listed is not None
        count = sum(item.market is market and item.active for item in self._listed)
        if not count:
            raise ExchangeRefused(f"{self._source.name} lists nothing that is traded in this market.")
        return _Came(count, f"{count:,} instruments")

    def _choose(self, market: Market, kind: DataType) -> Instrument:
        """One that is traded much, and has what is asked for."""
        perpetual = kind is DataType.FUNDING
        for query in (*_USUAL, ""):
            found = [] if self._listed is None else self._listed.search(query, market=market, limit=1000)
            fits = [item for item in found if not perpetual or item.type is InstrumentType.PERPETUAL]
            # Of contracts the perpetual one is traded most.
            if fits:
                return min(fits, key=lambda item: item.type is InstrumentType.FUTURE)
        raise ExchangeRefused("Not tried: there is no instrument to ask about.")

    async def _history(self, dataset: DatasetId, instrument: Instrument) -> _Came:
        now_ns = time.time_ns() + await self._source.clock_offset_ns(instrument.market)
        reach_ns = 0
        for reach_ns in _reaches_ns(dataset):
            pages = self._source.history(dataset, instrument, max(0, now_ns - reach_ns), now_ns)
            async with aclosing(pages):
                async for page in pages:
                    if page.rows:
                        return _Came(page.rows, f"{page.rows:,} rows")
        days = f"{reach_ns / DAY_NS:.2g} days"
        raise ExchangeRefused(f"{self._source.name} answered, and had no row of the last {days}.")

    async def _files(self, dataset: DatasetId, instrument: Instrument) -> _Came:
        now_ns = time.time_ns() + await self._source.clock_offset_ns(instrument.market)
        reach = self._source.archived.reach(dataset, instrument, now_ns)
        end_ns = reach.end_ns
        if end_ns is not None:
            latest = reach.clip(end_ns - _FILES_NS, end_ns)
            files = await self._source.archived.estimate(dataset, instrument, latest, now_ns)
            if files.size_bytes is not None:
                return _Came(0, f"{files.size_bytes / 1e6:,.1f} MB in files of the last days")
        raise ExchangeRefused(f"{self._source.name} has no file of the last days in its archive.")

    async def _live(self, wanted: Wanted) -> _Came:
        (events,) = self._source.listen([wanted], silence_s=self._wait_s + 60)
        async with aclosing(events):
            async for event in events:
                came = _heard(event)
                if came is not None:
                    return came
        raise ExchangeRefused(f"{self._source.name} ended the connection.")


def _failed(finding: Finding, error: DccdError) -> Finding:
    finding.words, finding.code = str(error), error.code
    return finding


def _heard(event: Event) -> _Came | None:
    """What a live event shows; None where it is no row yet."""
    if isinstance(event, LiveRows):
        late_ms = (event.received_ns - max(event.columns["ts"])) // MS_NS  # type: ignore[type-var, operator]
        return _Came(len(event.columns["ts"]), f"a message, {late_ms:,} ms after its last row")
    if isinstance(event, LiveBook):
        return _Came(len(event.updates), "a book")
    if isinstance(event, TurnedDown):
        raise ExchangeRefused(event.words)
    return None


def _span(capability: Capability, market: Market) -> Span | None:
    spans = capability.spans.get(market, ())
    return Span.parse("1m" if "1m" in spans else spans[0]) if spans else None


def _reaches_ns(dataset: DatasetId) -> tuple[int, ...]:
    if dataset.span is None:
        return _REACHES_NS[dataset.data_type]
    return tuple(count * dataset.span.nominal_ns for count in _BARS)
