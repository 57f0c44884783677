"""Pages of rows with rising ids that are asked for by where they end, several at once between known ids."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from itertools import islice
from operator import lt
from typing import Any

from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import MalformedPayload
from dccd.domain.records import Columns
from dccd.sources.base import ByIdBack, Request, Target
from dccd.transport.paging.by_id import IdRange
from dccd.transport.paging.pages import Ask, FetchedPage, cut, finite, in_order, joined, times


def _ids(columns: Columns) -> Sequence[int]:
    return columns.get("tid_num", ())  # type: ignore[return-value]


def _last(columns: Columns) -> tuple[int, int] | None:
    return (_ids(columns)[-1], times(columns)[-1]) if times(columns) else None


class IdBackHistory:
    """Such a history, explored: where a moment lies, and the pages between two ids."""

    def __init__(self, ask: Ask, target: Target, history: ByIdBack) -> None:
        self._ask, self._target, self._history = ask, target, history
        self._known_first: tuple[int, int] | None = None
        self._known_newest: tuple[int, int] | None = None

    async def _rows(self, request: Request) -> Columns:
        """Rows of one answer, asked for again when there are none: one empty answer proves nothing."""
        for _ in range(2):
            rows = await self._ask(request, lambda response: self._history.parse(self._target, response))
            if times(rows):
                break
        if not all(map(lt, _ids(rows), islice(_ids(rows), 1, None))):
            raise MalformedPayload("A page of history is not in the order of its ids.")
        return finite(rows)

    async def _before(self, stop_ns: int) -> int | None:
        """The id of the last row before a moment; None when there is none."""
        if self._history.request_before is None:
            return await self._search(stop_ns)
        ids = _ids(await self._rows(self._history.request_before(self._target, stop_ns, 1)))
        return ids[-1] if ids else None

    async def _search(self, stop_ns: int) -> int | None:
        """As :meth:`_before` by ids alone, guessing by the rate between two known rows."""
        low, high = await self.first(), await self._newest()
        if low is None or high is None or low[1] >= stop_ns:
            return None
        if high[1] < stop_ns:
            return high[0]
        found, halve = low[0], False
        while high[0] - low[0] > 1:  # low lies before the moment, high at or after it
            share = 0.5 if halve else (stop_ns - low[1]) / max(1, high[1] - low[1])
            halve = not halve
            middle = min(high[0] - 1, max(low[0] + 1, low[0] + round(share * (high[0] - low[0]))))
            row = _last(await self._rows(self._history.request(self._target, middle + 1, 1)))
            if row is None or not found <= row[0] <= middle:
                raise MalformedPayload(f"The last row before id {middle + 1} is not among those known.")
            if row[1] < stop_ns:
                found, low = row[0], (middle, row[1])  # ids from there up to the middle are missing
            else:
                high = row
        return found

    async def _newest(self) -> tuple[int, int] | None:
        """Id and time of the newest row; None without any."""
        if self._known_newest is None and self._history.latest is not None:
            self._known_newest = _last(await self._rows(self._history.latest(self._target)))
        return self._known_newest

    async def first(self) -> tuple[int, int] | None:
        """Id and time of the oldest row that is served; None without any."""
        newest = await self._newest()
        if self._known_first is None and newest is not None:
            stop_id = 1 + await self._oldest(newest[0])
            self._known_first = _last(await self._rows(self._history.request(self._target, stop_id, 1)))
        return self._known_first

    async def _oldest(self, known_id: int) -> int:
        """The id of the oldest row that is served, which is `known_id` or before it."""
        if self._history.latest is not None:  # mostly all are served
            ids = _ids(await self._rows(self._history.request(self._target, 2, 1)))
            if ids:
                return ids[0]
        low, high = 0, known_id  # rows before `high` are looked for, there are none before `low`
        while low < high:
            middle = (low + high + 1) // 2
            ids = _ids(await self._rows(self._history.request(self._target, middle, 1)))
            if ids:
                high = ids[0]
            else:
                low = middle
        return high

    async def locate(self, start_ns: int, end_ns: int) -> IdRange | None:
        """The ids of the rows of ``[start_ns, end_ns)``; None when there are none."""
        last, before = await self._before(end_ns), await self._before(start_ns)
        if last is None or last == before:
            return None
        if before is not None:
            return IdRange(before + 1, last + 1)
        oldest = await self._oldest(last)
        return IdRange(oldest, last + 1, sure=oldest <= 1)  # ids count from 0 or 1

    async def page(self, first_id: int, stop_id: int) -> Columns:
        """The rows with ``first_id <= id < stop_id``, asked for again from where an answer begins late."""
        parts: list[Columns] = []
        while first_id < stop_id:
            rows = await self._rows(self._history.request(self._target, stop_id, self._history.rows))
            ids = _ids(rows)
            if not ids:
                break
            if ids[-1] >= stop_id:
                raise MalformedPayload(f"Rows before id {stop_id} go on to {ids[-1]}.")
            parts.append(cut(rows, bisect_left(ids, first_id), len(ids)))
            stop_id = ids[0]
        return joined(parts[::-1])


async def by_id_back(
    ask: Ask, target: Target, history: ByIdBack, start_ns: int, end_ns: int, in_flight: int
) -> AsyncGenerator[FetchedPage, None]:
    """Rows of ``[start_ns, end_ns)``; the caller has made sure that `end_ns` has settled.

    A page proves its time up to its last row's, which the next page may go on with; the last page proves the
    rest. What lies before the oldest row served is not proven, but where that is the very first.
    """
    ids = IdBackHistory(ask, target, history)
    found = await ids.locate(start_ns, end_ns)
    if found is None:
        yield FetchedPage({"ts": []}, 0, IntervalSet.of(start_ns, end_ns))
        return
    proven_ns = start_ns if found.sure else None
    starts = range(found.first_id, found.stop_id, history.rows)

    def job(first_id: int) -> Callable[[], Coroutine[Any, Any, tuple[int, Columns]]]:
        async def fetch() -> tuple[int, Columns]:
            stop_id = min(first_id + history.rows, found.stop_id)
            return stop_id, await ids.page(first_id, stop_id)

        return fetch

    async with aclosing(in_order((job(first_id) for first_id in starts), in_flight)) as pages:
        async for stop_id, columns in pages:
            ts = times(columns)
            since_ns = proven_ns if proven_ns is not None else (ts[0] if ts else end_ns)
            upto_ns = end_ns if stop_id == found.stop_id else max(since_ns, min(end_ns, ts[-1] if ts else 0))
            covered = IntervalSet.of(since_ns, upto_ns)
            proven_ns = upto_ns if ts or proven_ns is not None else None
            yield FetchedPage(columns, len(ts), covered, str(stop_id))
