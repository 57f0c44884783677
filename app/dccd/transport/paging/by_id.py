"""Pages of rows with rising ids, several at once from known ids on."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice
from operator import le
from typing import Any

from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import MalformedPayload
from dccd.domain.records import Columns
from dccd.domain.timeutils import S_NS
from dccd.sources.base import ById, Request, Response, Target
from dccd.transport.paging.pages import Ask, FetchedPage, cut, finite, in_order, joined


@dataclass(frozen=True, slots=True)
class IdRange:
    """What locating a range of time among ids found.

    Attributes
    ----------
    first_id, stop_id : int
        The rows of the range have ``first_id <= id < stop_id``.
    sure : bool
        Whether none are missing before the first: a row of before was seen, or there never was one.
    """

    first_id: int
    stop_id: int
    sure: bool = True


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
        if self._history.request_at is not None:
            window_ns = self._history.window_s * S_NS
            request = self._history.request_at(self._target, ts_ns, ts_ns + window_ns, 1)
            found = _first(await self._rows(request))
            if found is not None and found[1] >= ts_ns:
                return found[0]
        # A quiet stretch longer than a window, or no window at all: search by id, guessing by the rate
        # between two known rows.
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
            parts.append(cut(finite(rows), 0, bisect_left(ids, stop_id)))
            first_id = ids[-1] + 1
        return joined(parts)


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
