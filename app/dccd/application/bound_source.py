"""A source bound to its transport: what the rest of the program asks an exchange through."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from dccd.application.archived import ArchivedSource
from dccd.application.listening import Event, Listener, Wanted, grouped
from dccd.domain.capability import Capability
from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import ExchangeError, InvalidRange, MalformedPayload, NoCapability
from dccd.domain.instrument import Instrument, InstrumentList
from dccd.domain.records import Columns
from dccd.domain.span import Span
from dccd.domain.timeutils import HOUR_NS, S_NS
from dccd.domain.types import DataType, Market, Mode, Transport
from dccd.sources.base import (
    ByCursor,
    ById,
    ByIdBack,
    ByTile,
    ByTime,
    ByWindow,
    History,
    Latest,
    Listing,
    Request,
    Response,
    Snapshot,
    Source,
    Target,
)
from dccd.transport.http import IN_FLIGHT, HttpTransport
from dccd.transport.paging import (
    FetchedPage,
    IdBackHistory,
    IdHistory,
    by_cursor,
    by_id,
    by_id_back,
    by_tile,
    by_time,
    by_window,
    finite,
    latest,
    newest,
)
from dccd.transport.retry import Backoff, Sleep

__all__ = ["BoundSource", "Estimate", "FetchedPage"]

# A person waits for the first answers: fail soon, with a sentence, rather than try for a minute.
_SOON = Backoff(attempts=3)
_CLOCK_FRESH_NS = HOUR_NS
# Locating a range among ids takes several requests: of more gaps than this the whole is counted.
_COUNTED_GAPS = 3


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a fetch would take.

    Attributes
    ----------
    rows, requests, weight : int
        Weight in the units of the exchange's budget.
    seconds : float
        How long, at the exchange's allowance.
    bottleneck : str
        What sets that time, for people.
    """

    rows: int
    requests: int
    weight: int
    seconds: float
    bottleneck: str


@dataclass(frozen=True, slots=True)
class _First:
    """The oldest row there is, and whether it shows that there was never an older one."""

    ts_ns: int
    proven: bool


@dataclass(frozen=True, slots=True)
class _Clock:
    """An exchange's clock minus ours, and when that was measured by our two clocks."""

    offset_ns: int
    wall_ns: int
    monotonic_ns: int

    def holds(self, wall_ns: int, monotonic_ns: int) -> bool:
        """Whether it may still be believed: not for long, and not once our clock was set or we slept."""
        elapsed_ns = monotonic_ns - self.monotonic_ns
        return elapsed_ns < _CLOCK_FRESH_NS and abs(wall_ns - self.wall_ns - elapsed_ns) < S_NS


class BoundSource:
    """One exchange, with its connections, budgets and clock.

    Parameters
    ----------
    source : Source
    urls : mapping of setting to address, optional
        Hosts in place of the exchange's own: ``{"rest_url": "https://…"}``.
    units : mapping of budget to int, optional
        Allowances in place of the exchange's own, in its units.
    proxy : str or None
        Address of an HTTP proxy.
    backoff : Backoff, optional
        How often and how patiently a page is tried.
    downloads : Path, optional
        Where an archive's files lie until they are read; without one there are no archives.
    now_ns, monotonic_ns, sleep
        Our clock, one that nobody sets, and how to wait.
    """

    def __init__(
        self,
        source: Source,
        *,
        urls: Mapping[str, str] | None = None,
        units: Mapping[str, int] | None = None,
        proxy: str | None = None,
        backoff: Backoff | None = None,
        downloads: Path | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.source = source
        self.id, self.name, self.capabilities = source.id, source.name, source.capabilities
        self.listing_errors: dict[str, ExchangeError] = {}
        self._now_ns, self._monotonic_ns = now_ns, monotonic_ns
        self._http = HttpTransport(
            source,
            urls=urls or {},
            units=units or {},
            proxy=proxy,
            backoff=backoff or Backoff(),
            now_ns=now_ns,
            sleep=sleep,
        )
        self.archived = ArchivedSource(source, self._http, downloads)
        self._instruments: InstrumentList | None = None
        self._listing = asyncio.Lock()
        self._clocks: dict[str, _Clock] = {}
        self._earliest: dict[DatasetId, _First] = {}

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def waiting(self) -> str | None:
        """Why nothing is being sent just now, for people; None when nothing waits."""
        return self._http.waiting() or self.archived.doing()

    # What there is

    async def instruments(self, *, refresh: bool = False) -> InstrumentList:
        """All instruments of all the exchange's markets; kept until `refresh`.

        A market whose list cannot be had (a host that does not serve this country) is left out, with
        the reason in :attr:`listing_errors` by host.

        Raises
        ------
        ExchangeError
            No list could be had.
        """
        async with self._listing:
            if self._instruments is None or refresh:
                found = await asyncio.gather(
                    *(self._list(listing) for listing in self.source.listings), return_exceptions=True
                )
                errors: dict[str, ExchangeError] = {}
                items: list[Instrument] = []
                for listing, result in zip(self.source.listings, found, strict=True):
                    if isinstance(result, ExchangeError):
                        errors[listing.request.host] = result
                    elif isinstance(result, BaseException):
                        raise result
                    else:
                        items.extend(result)
                if errors and not items:
                    raise next(iter(errors.values()))
                self.listing_errors = errors
                self._instruments = InstrumentList(self.id, items)
            return self._instruments

    async def _list(self, listing: Listing) -> list[Instrument]:
        def parse(response: Response) -> tuple[Sequence[Instrument], Request | None]:
            if listing.limits is not None:
                self._http.learn(listing.limits(response))
            return listing.parse(response), listing.more(response) if listing.more is not None else None

        items: list[Instrument] = []
        request: Request | None = listing.request
        asked: list[Request] = []
        while request is not None:
            if request in asked:
                raise MalformedPayload(f"{self.name}'s list of instruments goes in a circle.")
            asked.append(request)
            found, request = await self._http.fetch(request, parse, backoff=_SOON)
            items += found
        return items

    def require(
        self,
        data_type: DataType,
        mode: Mode,
        instrument: Instrument | None = None,
        span: Span | None = None,
        depth: int | None = None,
    ) -> Capability:
        """The capability that serves this, of the past over REST; what is left out is not checked.

        Raises
        ------
        NoCapability
            There is none; says what there is instead.
        """
        reason = "it is not among what this exchange serves."
        for capability in self.capabilities:
            if (capability.data_type, capability.mode) != (data_type, mode):
                continue
            if capability.transport is Transport.ARCHIVE:
                continue
            problem = _problem(capability, instrument, span, depth)
            if problem is None:
                return capability
            reason = problem
        raise NoCapability(self.id, data_type, mode, reason)

    # Time

    async def clock_offset_ns(self, market: Market | None = None, *, anew: bool = False) -> int:
        """The exchange's clock minus ours, nanoseconds; measured against a market's host.

        Measured anew where `anew` wants it, after an hour, and whenever our clock was set or the machine
        slept: coverage must not run ahead of the exchange because our clock does.
        """
        host = self.source.host_of[market] if market is not None else next(iter(self.source.hosts))
        known = self._clocks.get(host)
        now_ns = self._now_ns()
        if anew or known is None or not known.holds(now_ns, self._monotonic_ns()):
            request = self.source.hosts[host].clock
            if request is None:
                return 0
            # Read at half of the round trip: what is left is half of it at most.
            told_ns = await self._http.fetch(request, self.source.clock_ns, backoff=_SOON)
            after_ns = self._now_ns()
            known = _Clock(told_ns - (now_ns + after_ns) // 2, after_ns, self._monotonic_ns())
            self._clocks[host] = known
            self._http.offsets_ns[host] = known.offset_ns
        return known.offset_ns

    async def _exchange_now_ns(self, market: Market) -> int:
        return self._now_ns() + await self.clock_offset_ns(market)

    async def earliest_ns(self, dataset: DatasetId, instrument: Instrument) -> int:
        """A moment before which the exchange serves nothing of this, and about the first it does.

        Raises
        ------
        InvalidRange
            It has nothing at all.
        """
        history = self.source.history[dataset.data_type]
        target = Target(instrument, dataset.span, dataset.depth)
        capability = self.require(dataset.data_type, Mode.HISTORICAL, instrument, dataset.span, dataset.depth)
        now_ns = await self._exchange_now_ns(instrument.market)
        if isinstance(history, Snapshot):
            return now_ns
        if isinstance(history, Latest):  # moves on with every row
            _, proven = await newest(self._http.fetch, target, history)
            return proven.start_ns if proven.start_ns is not None else now_ns
        if capability.lookback_s is not None:
            return now_ns - capability.lookback_s * S_NS
        if dataset not in self._earliest:
            found = await self._first(target, history, now_ns)
            if found is None:  # one empty answer is no proof
                found = await self._first(target, history, now_ns)
            if found is None:
                raise InvalidRange(f"{self.name} has no {dataset.data_type} of {dataset.symbol} yet.")
            self._earliest[dataset] = found
        return self._earliest[dataset].ts_ns

    async def _first(self, target: Target, history: History, now_ns: int) -> _First | None:
        assert not isinstance(history, Latest | Snapshot)
        if isinstance(history, ById):
            oldest = await IdHistory(self._http.fetch, target, history).oldest()
            # Ids count from 0 or 1: where the oldest is another, older rows were, and are served no more.
            return _First(oldest[1], oldest[0] <= 1) if oldest else None
        columns: Columns
        if isinstance(history, ByCursor):
            cursor = history.start(target, 0, now_ns)
            request = history.request(target, cursor, 0, now_ns)
            page = await self._http.fetch(request, lambda response: history.parse(target, response, cursor))
            columns = page.columns
        elif isinstance(history, ByIdBack) and history.latest is not None:
            first = await IdBackHistory(self._http.fetch, target, history).first()
            return _First(first[1], first[0] <= 1) if first else None
        elif isinstance(history, ByIdBack) or history.first is None:
            return _First(target.instrument.listed_ns or 0, proven=True)
        else:
            read = (history.parse_first if isinstance(history, ByWindow) else None) or history.parse
            columns = await self._http.fetch(history.first(target), lambda response: read(target, response))
        ts: Sequence[int] = columns["ts"]  # type: ignore[assignment]
        if not ts:
            return None
        # Where the first bar was looked for among others, the one that holds it may open before it.
        return _First(target.span.floor(ts[0]) if target.span is not None else ts[0], proven=True)

    # History

    async def history(
        self, dataset: DatasetId, instrument: Instrument, start_ns: int, end_ns: int
    ) -> AsyncGenerator[FetchedPage, None]:
        """Rows of ``[start_ns, end_ns)`` in order, with the coverage they prove.

        Nothing is fetched or covered past what has settled by the exchange's clock, nor is the bar still
        open. What lies before the very first row is covered without asking further; what an exchange once
        had and serves no more is not. For order books the range is not looked at: one snapshot of now
        comes, covering nothing.

        Raises
        ------
        NoCapability
            The exchange does not offer it.
        ExchangeError
            The exchange, or the way to it, failed; pages already given stand.
        """
        capability = self.require(dataset.data_type, Mode.HISTORICAL, instrument, dataset.span, dataset.depth)
        history = self.source.history[dataset.data_type]
        target = Target(instrument, dataset.span, dataset.depth)
        if isinstance(history, Snapshot):
            yield await self._snapshot(target, history)
            return
        start_ns, end_ns = await self._settled(dataset, instrument, start_ns, end_ns)
        if start_ns >= end_ns:
            return
        if not isinstance(history, Latest):
            try:
                earliest_ns = min(await self.earliest_ns(dataset, instrument), end_ns)
            except InvalidRange:
                earliest_ns = end_ns
            if start_ns < earliest_ns:
                if dataset not in self._earliest or self._earliest[dataset].proven:
                    yield FetchedPage({"ts": []}, 0, IntervalSet.of(start_ns, earliest_ns))
                start_ns = earliest_ns
        if start_ns >= end_ns:
            return
        # Bars that an exchange keeps for a while only: it may keep them for less, so that nothing is known of
        # what lies before the first that comes.
        unsure = isinstance(history, ByWindow) and capability.lookback_s is not None
        async with aclosing(self._pages(target, history, start_ns, end_ns)) as pages:
            async for page in pages:
                if unsure:
                    first_ns: int = page.columns["ts"][0] if page.rows else end_ns  # type: ignore[assignment]
                    unsure = not page.rows
                    yield replace(page, covered=page.covered.clip(first_ns, end_ns))
                else:
                    yield page

    def _pages(
        self, target: Target, history: History, start_ns: int, end_ns: int
    ) -> AsyncGenerator[FetchedPage, None]:
        assert not isinstance(history, Snapshot)
        ask = self._http.fetch
        if isinstance(history, ByWindow):
            return by_window(ask, target, history, start_ns, end_ns, IN_FLIGHT)
        if isinstance(history, ById):
            return by_id(ask, target, history, start_ns, end_ns, IN_FLIGHT)
        if isinstance(history, ByIdBack):
            return by_id_back(ask, target, history, start_ns, end_ns, IN_FLIGHT)
        if isinstance(history, ByTime):
            return by_time(ask, target, history, start_ns, end_ns)
        if isinstance(history, ByTile):
            return by_tile(ask, target, history, start_ns, end_ns, IN_FLIGHT)
        if isinstance(history, ByCursor):
            return by_cursor(ask, target, history, start_ns, end_ns)
        return latest(ask, target, history, start_ns, end_ns)

    async def _settled(
        self, dataset: DatasetId, instrument: Instrument, start_ns: int, end_ns: int
    ) -> tuple[int, int]:
        """The part of a range that the exchange serves and that will not change any more."""
        history = self.source.history[dataset.data_type]
        assert not isinstance(history, Snapshot)
        now_ns = await self._exchange_now_ns(instrument.market)
        settle_s = 0.0 if isinstance(history, Latest) else history.settle_s  # its page says how far it goes
        horizon_ns = now_ns - round(settle_s * S_NS)
        if dataset.data_type is DataType.OHLC and dataset.span is not None:
            horizon_ns = dataset.span.floor(horizon_ns)  # bars that open before it are closed
        capability = self.require(dataset.data_type, Mode.HISTORICAL, instrument, dataset.span)
        if capability.lookback_s is not None:
            start_ns = max(start_ns, now_ns - capability.lookback_s * S_NS + HOUR_NS // 60)
        return start_ns, min(end_ns, horizon_ns)

    async def _snapshot(self, target: Target, history: Snapshot) -> FetchedPage:
        await self.clock_offset_ns(target.instrument.market)

        def parse(response: Response) -> Columns:
            columns = dict(finite(history.parse(target, response)))
            count = len(columns["side"])
            columns.setdefault("ts", [response.received_ns] * count)
            return columns | {"recv_ts": [response.received_ns] * count}

        columns = await self._http.fetch(history.request(target), parse)
        return FetchedPage(columns, len(columns["ts"]), IntervalSet())

    # What happens now

    def listen(
        self, wanted: Iterable[Wanted], *, silence_s: float = 300.0
    ) -> list[AsyncGenerator[Event, None]]:
        """What happens, in as few connections as the exchange allows; each ends with an ExchangeError."""
        return [
            Listener(self.source, self._http, group, silence_s).events()
            for group in grouped(self.source, wanted)
        ]

    # Plans

    async def estimate(self, dataset: DatasetId, instrument: Instrument, todo: IntervalSet) -> Estimate:
        """What fetching `todo` would take; trades are counted by their ids (of many gaps, by share)."""
        history = self.source.history[dataset.data_type]
        target = Target(instrument, dataset.span, dataset.depth)
        self.require(dataset.data_type, Mode.HISTORICAL, instrument, dataset.span, dataset.depth)
        if isinstance(history, Snapshot):
            request = history.request(target)
            rows, requests = 2 * (dataset.depth or 0), 1
        elif isinstance(history, Latest):
            rows, requests = history.rows[instrument.market], len(todo)
            request = history.request(target, rows)
        elif isinstance(history, ById | ByIdBack):
            ask = self._http.fetch
            ids: IdHistory | IdBackHistory = (
                IdHistory(ask, target, history)
                if isinstance(history, ById)
                else IdBackHistory(ask, target, history)
            )
            counted = (
                todo if len(todo) <= _COUNTED_GAPS else IntervalSet.of(todo.start_ns or 0, todo.end_ns or 0)
            )
            found = [await ids.locate(start, end) for start, end in counted]
            rows = sum(each.stop_id - each.first_id for each in found if each is not None)
            rows = rows * todo.length_ns // (counted.length_ns or 1)
            requests = len(todo) + rows // history.rows
            request = history.request(target, 0, history.rows)
        elif isinstance(history, ByTile):
            rows = sum(round((end - start) / S_NS / history.every_s) for start, end in todo)
            requests = len(todo) + rows // max(1, history.rows - 1)
            request = history.request(target, 0, S_NS, history.rows)
        elif isinstance(history, ByTime):
            rows = sum(round((end - start) / S_NS / history.typical_s) for start, end in todo)
            requests = 2 * len(todo) + rows // history.rows
            request = history.request(target, 0, S_NS, history.rows)
        elif isinstance(history, ByCursor):
            rows = sum(round((end - start) / S_NS / history.typical_s) for start, end in todo)
            requests = sum(1 + round((e - s) / S_NS / history.typical_s) // history.rows for s, e in todo)
            request = history.request(target, history.start(target, 0, S_NS), 0, S_NS)
        else:
            assert dataset.span is not None
            page = history.rows[instrument.market]
            rows = sum(dataset.span.count(start, end) for start, end in todo)
            requests = sum(-(-dataset.span.count(start, end) // page) for start, end in todo)
            request = history.request(target, 0, dataset.span.nominal_ns, page)
        limit = self.source.budgets[request.budget or request.host]
        weight = requests * request.weight
        free = self._http.units(request)
        # The first window's allowance is spent at once, at about a round trip for each batch in flight.
        paced_s = max(0, weight - free) / free * limit.window_s
        travel_s = requests / IN_FLIGHT * 0.2
        each = "a minute" if limit.window_s == 60 else f"every {limit.window_s} s"
        bottleneck = (
            f"{self.name} allows {free:,} {limit.unit} {each}" if paced_s > travel_s else "the connection"
        )
        return Estimate(rows, requests, weight, max(paced_s, travel_s), bottleneck)


def _problem(
    capability: Capability, instrument: Instrument | None, span: Span | None, depth: int | None
) -> str | None:
    """Why a capability does not serve this; None when it does."""
    if instrument is None:
        return None
    market = instrument.market
    if market not in capability.markets:
        return f"only for {', '.join(capability.markets)}, and {instrument.symbol} is {market}."
    spans = capability.spans.get(market, ())
    if span is not None and str(span) not in spans:
        return f"no span {span}. There are {', '.join(spans)}."
    most = capability.rows_max.get(market, 0)
    if depth is not None and capability.depths and not 0 < depth <= most:
        return f"a depth of 1 to {most:,}, not {depth:,}."
    return None
