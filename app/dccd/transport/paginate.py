"""Pages of a history, several in flight, emitted in order with the coverage each one proves.

The generators know nothing of HTTP: they are given ``ask``, which turns a request into parsed rows. What is
emitted never runs ahead of what was proven: every page says which range of time it, with those before it,
shows to be fetched whole. One answer without rows proves nothing, as exchanges now and then give one by
mistake: it is asked for again, and is an error where rows are known to be.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import isfinite
from operator import le
from typing import Any, Protocol, TypeVar

from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import MalformedPayload
from dccd.domain.records import Columns
from dccd.domain.timeutils import S_NS, iso
from dccd.sources.base import ByCursor, ById, ByWindow, Page, Request, Response, Target

T = TypeVar("T")


class Ask(Protocol):
    """Sends a request, retried and within budget, and returns what `parse` reads from its answer."""

    async def __call__(self, request: Request, parse: Callable[[Response], T], /) -> T:
        """See :meth:`dccd.transport.http.HttpTransport.fetch`."""
        ...


@dataclass(frozen=True, slots=True)
class FetchedPage:
    """A page of history.

    Attributes
    ----------
    columns : Columns
        Rows in order; may be empty.
    rows : int
    covered : IntervalSet
        What this page, with those before it, newly proves fetched whole.
    cursor : str or None
        Where the fetch stands, opaque.
    """

    columns: Columns
    rows: int
    covered: IntervalSet
    cursor: str | None = None


async def in_order(
    jobs: Iterable[Callable[[], Coroutine[Any, Any, T]]], in_flight: int
) -> AsyncGenerator[T, None]:
    """Run up to `in_flight` jobs at once and yield their results in the jobs' order.

    The first failure, in that order, is raised; leaving early cancels what is under way.
    """
    waiting = iter(jobs)
    running: deque[asyncio.Task[T]] = deque()
    try:
        while True:
            for job in islice(waiting, in_flight - len(running)):
                running.append(asyncio.create_task(job()))  # awaited in turn, or cancelled below
            if not running:
                return
            result = await running[0]
            del running[0]
            yield result
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _ts(columns: Columns) -> Sequence[int]:
    """The times of a page."""
    return columns["ts"]  # type: ignore[return-value]


def finite(columns: Columns) -> Columns:
    """The same columns, once it is sure that no price or amount is infinite or not a number.

    JSON has neither, but a string may say ``"NaN"``. A sum is not finite if any of its terms is not.
    """
    for name, column in columns.items():
        if column and isinstance(column[0], float):
            try:
                total = sum(column)  # type: ignore[arg-type]
            except TypeError:  # some are null
                total = sum(value for value in column if value is not None)  # type: ignore[misc]
            if not isfinite(total):
                raise MalformedPayload(f"A page has a {name} that is not a number.")
    return columns


def _cut(columns: Columns, first: int, stop: int) -> Columns:
    """Rows ``first`` to ``stop``."""
    if first <= 0 and stop >= len(columns["ts"]):
        return columns
    return {name: column[first:stop] for name, column in columns.items()}


def _within(columns: Columns, start_ns: int, end_ns: int) -> Columns:
    """Rows of ``[start_ns, end_ns)`` of a page that has to be sound and in order of time."""
    ts = _ts(finite(columns))
    if not all(map(le, ts, islice(ts, 1, None))):
        raise MalformedPayload("A page of history is not in order of time.")
    return _cut(columns, bisect_left(ts, start_ns), bisect_left(ts, end_ns))


def _joined(parts: Sequence[Columns]) -> Columns:
    filled = [part for part in parts if len(part["ts"])]
    if len(filled) == 1:
        return filled[0]
    if not filled:
        return {"ts": []}
    return {name: [value for part in filled for value in part[name]] for name in filled[0]}


# Windows


def windows(target: Target, history: ByWindow, start_ns: int, end_ns: int) -> Iterator[tuple[int, int]]:
    """Ranges of whole bars that tile ``[start_ns, end_ns)``, each a request's worth."""
    assert target.span is not None
    market = target.instrument.market
    rows = history.rows[market]
    longest_s = history.window_s.get(market)
    if longest_s is not None:
        rows = max(1, min(rows, longest_s * S_NS // target.span.nominal_ns - 1))
    while start_ns < end_ns:
        stop_ns = min(end_ns, target.span.forward(target.span.ceil(start_ns), rows))
        yield start_ns, stop_ns
        start_ns = stop_ns


async def by_window(
    ask: Ask, target: Target, history: ByWindow, start_ns: int, end_ns: int, in_flight: int
) -> AsyncGenerator[FetchedPage, None]:
    """Bars that open in ``[start_ns, end_ns)``; the caller has left out the bar still open.

    Bars that an answer lacks are missing once a second answer, asked for them alone, has none of them.
    """
    assert target.span is not None
    span = target.span

    async def rows_of(first_ns: int, stop_ns: int, *, lacked: bool = False) -> list[Columns]:
        """The rows of a window; `lacked` when an answer has had none of them already."""
        limit = span.count(first_ns, stop_ns)
        request = history.request(target, first_ns, stop_ns, limit)
        page = _within(await ask(request, lambda r: history.parse(target, r)), first_ns, stop_ns)
        ts = _ts(page)
        if len(ts) == limit or (ts and not history.dense) or (lacked and not ts):
            return [page]
        parts: list[Columns] = []
        done, expected_ns = 0, first_ns
        for place, open_ns in enumerate((*ts, stop_ns)):
            if span.count(expected_ns, open_ns):
                parts += [_cut(page, done, place), *await rows_of(expected_ns, open_ns, lacked=True)]
                done = place
            expected_ns = span.next(open_ns)
        return [*parts, _cut(page, done, len(ts))]

    def job(first_ns: int, stop_ns: int) -> Callable[[], Coroutine[Any, Any, FetchedPage]]:
        async def fetch() -> FetchedPage:
            open_ns = span.ceil(first_ns)
            columns = _joined(await rows_of(open_ns, stop_ns) if open_ns < stop_ns else [])
            covered = IntervalSet.of(first_ns, stop_ns)
            return FetchedPage(columns, len(columns["ts"]), covered, str(stop_ns))

        return fetch

    tiles = windows(target, history, start_ns, end_ns)
    async with aclosing(in_order((job(first, stop) for first, stop in tiles), in_flight)) as pages:
        async for page in pages:
            yield page


# Ids


@dataclass(frozen=True, slots=True)
class IdRange:
    """What locating a range of time among ids found.

    Attributes
    ----------
    first_id, stop_id : int
        The rows of the range have ``first_id <= id < stop_id``.
    """

    first_id: int
    stop_id: int


class IdHistory:
    """A history of rising ids, explored: where a moment lies, and the pages between two ids."""

    def __init__(self, ask: Ask, target: Target, history: ById) -> None:
        self._ask, self._target, self._history = ask, target, history

    async def _rows(self, request: Request) -> Columns:
        return await self._ask(request, lambda response: self._history.parse(self._target, response))

    async def _some(self, request: Request, wanted: str) -> Columns:
        """Rows that are known to be there: an answer without any is malformed, hence asked for again."""

        def parse(response: Response) -> Columns:
            rows = self._history.parse(self._target, response)
            if not rows["ts"]:
                raise MalformedPayload(f"The answer has no {wanted}, where there must be one.")
            return rows

        return await self._ask(request, parse)

    async def _from(self, first_id: int, limit: int) -> Columns:
        """The first rows from an id on that is not past the newest."""
        return await self._some(
            self._history.request(self._target, first_id, limit), f"row from id {first_id} on"
        )

    async def oldest(self) -> tuple[int, int] | None:
        """Id and time of the oldest row there is; None without any, by two answers."""
        for _ in range(2):
            found = _first(await self._rows(self._history.request(self._target, 0, 1)))
            if found is not None:
                return found
        return None

    async def locate(self, start_ns: int, end_ns: int) -> IdRange | None:
        """The ids of the rows of ``[start_ns, end_ns)``; None when there are none."""
        oldest = await self.oldest()
        latest = self._history.latest(self._target)
        newest = _first(await (self._some(latest, "newest row") if oldest else self._rows(latest)), last=True)
        if newest is None:
            return None
        if oldest is None:
            raise MalformedPayload(f"There is a row with id {newest[0]}, but none from the first id on.")
        first_id = await self._first_at(start_ns, oldest, newest)
        stop_id = await self._first_at(end_ns, oldest, newest)
        return IdRange(first_id, stop_id) if first_id < stop_id else None

    async def _first_at(self, ts_ns: int, oldest: tuple[int, int], newest: tuple[int, int]) -> int:
        """The id of the first row at or after a moment; one past the newest when there is none."""
        if ts_ns <= oldest[1]:
            return oldest[0]
        if ts_ns > newest[1]:
            return newest[0] + 1
        window_ns = self._history.window_s * S_NS
        request = self._history.request_at(self._target, ts_ns, ts_ns + window_ns, 1)
        found = _first(await self._rows(request))
        if found is not None and found[1] >= ts_ns:
            return found[0]
        # A quiet stretch longer than a window: search by id, guessing by the rate between two known rows.
        low, high = oldest, newest  # low lies before the moment, high at or after it
        halve = False
        while high[0] - low[0] > 1:
            share = 0.5 if halve else (ts_ns - low[1]) / max(1, high[1] - low[1])
            halve = not halve
            middle = min(high[0] - 1, max(low[0] + 1, low[0] + round(share * (high[0] - low[0]))))
            row = _first(await self._from(middle, 1))
            assert row is not None
            if row[0] >= high[0]:
                high = (middle, high[1])  # ids from here up to `high` are missing
            elif row[1] < ts_ns:
                low = row
            else:
                high = row if row[0] == middle else (middle, row[1])
        return high[0]

    async def page(self, first_id: int, stop_id: int) -> Columns:
        """The rows with ``first_id <= id < stop_id``, asked for again from where an answer stops short."""
        parts: list[Columns] = []
        while first_id < stop_id:
            rows = await self._from(first_id, self._history.rows)
            ids: Sequence[int] = rows["tid_num"]  # type: ignore[assignment]
            if ids[0] < first_id or not all(map(le, ids, islice(ids, 1, None))):
                raise MalformedPayload(f"Rows from id {first_id} on begin at {ids[0]} or are not in order.")
            parts.append(_cut(finite(rows), 0, bisect_left(ids, stop_id)))
            first_id = ids[-1] + 1
        return _joined(parts)


def _first(columns: Columns, *, last: bool = False) -> tuple[int, int] | None:
    ids, ts = columns.get("tid_num", ()), columns["ts"]
    place = -1 if last else 0
    return (ids[place], ts[place]) if ids else None  # type: ignore[return-value]


async def by_id(
    ask: Ask, target: Target, history: ById, start_ns: int, end_ns: int, in_flight: int
) -> AsyncGenerator[FetchedPage, None]:
    """Rows of ``[start_ns, end_ns)``; the caller has made sure that `end_ns` has settled.

    A page proves its time up to its last row's, which the next page may go on with; the last page proves
    the rest, as the row after it was seen, or there was none when the range had long passed.
    """
    ids = IdHistory(ask, target, history)
    found = await ids.locate(start_ns, end_ns)
    if found is None:
        yield FetchedPage({"ts": []}, 0, IntervalSet.of(start_ns, end_ns))
        return
    starts = range(found.first_id, found.stop_id, history.rows)

    def job(first_id: int) -> Callable[[], Coroutine[Any, Any, tuple[int, Columns]]]:
        async def fetch() -> tuple[int, Columns]:
            stop_id = min(first_id + history.rows, found.stop_id)
            return stop_id, await ids.page(first_id, stop_id)

        return fetch

    proven_ns = start_ns
    async with aclosing(in_order((job(first_id) for first_id in starts), in_flight)) as pages:
        async for stop_id, columns in pages:
            ts: Sequence[int] = columns["ts"]  # type: ignore[assignment]
            upto_ns = end_ns if stop_id == found.stop_id else max(proven_ns, min(end_ns, ts[-1] if ts else 0))
            covered, proven_ns = IntervalSet.of(proven_ns, upto_ns), upto_ns
            yield FetchedPage(columns, len(ts), covered, str(stop_id))


# Cursors


def _parse_at(history: ByCursor, target: Target, cursor: str, response: Response) -> Page:
    return history.parse(target, response, cursor)


async def by_cursor(
    ask: Ask, target: Target, history: ByCursor, start_ns: int, end_ns: int
) -> AsyncGenerator[FetchedPage, None]:
    """Rows of ``[start_ns, end_ns)``, oldest first, each answer naming the next page's cursor.

    Raises
    ------
    MalformedPayload
        A cursor comes back a second time, or pages do not move on: never a silent end.
    """
    cursor: str | None = history.start(target, start_ns, end_ns)
    seen: set[str] = set()
    proven_ns = start_ns
    while cursor is not None:
        if cursor in seen:
            raise MalformedPayload(f"The exchange gave the cursor {cursor} twice: its pages go in a circle.")
        seen.add(cursor)
        request = history.request(target, cursor, start_ns, end_ns)
        parse = partial(_parse_at, history, target, cursor)
        page = await ask(request, parse)
        if page.next is None and not _ts(page.columns):
            page = await ask(request, parse)
        columns = _within(page.columns, start_ns, end_ns)
        ts = _ts(columns)
        cursor = page.next
        if cursor is not None and not ts:
            raise MalformedPayload(f"An empty page names a next one, after {iso(proven_ns)}.")
        upto_ns = end_ns if cursor is None else ts[-1]
        covered, proven_ns = IntervalSet.of(proven_ns, upto_ns), max(proven_ns, upto_ns)
        yield FetchedPage(columns, len(ts), covered, cursor)
