"""Pages of rows that come at no times known beforehand, but never closer than so far: funding."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from itertools import pairwise
from typing import Any

from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import MalformedPayload
from dccd.domain.records import Columns
from dccd.domain.timeutils import S_NS, iso
from dccd.sources.base import ByTile, Target
from dccd.transport.paging.pages import Ask, FetchedPage, in_order, joined, times, within


async def by_tile(
    ask: Ask, target: Target, history: ByTile, start_ns: int, end_ns: int, in_flight: int
) -> AsyncGenerator[FetchedPage, None]:
    """Rows of ``[start_ns, end_ns)``, a window that one page should hold at a time.

    A page that is full may have been cut: its window is halved and asked for again. Where a page leaves more
    of its window out than its rows are apart, the exchange may have made its pages smaller: that end is asked
    for too. A page without rows is believed when it comes twice.
    """
    every_ns = round(history.every_s * S_NS)

    async def rows_of(first_ns: int, stop_ns: int) -> list[Columns]:
        request = history.request(target, first_ns, stop_ns, history.rows)
        page = within(await ask(request, lambda r: history.parse(target, r)), first_ns, stop_ns)
        if not times(page):
            page = within(await ask(request, lambda r: history.parse(target, r)), first_ns, stop_ns)
        ts = times(page)
        if not ts:
            return [page]
        if len(ts) < history.rows:
            apart_ns = max(every_ns, *(after - before for before, after in pairwise(ts)), 0)
            before = await rows_of(first_ns, ts[0]) if ts[0] - first_ns >= apart_ns else []
            after = await rows_of(ts[-1] + 1, stop_ns) if stop_ns - ts[-1] > apart_ns else []
            return [*before, page, *after]
        if stop_ns - first_ns < 2 * S_NS:
            raise MalformedPayload(f"More rows than a page holds are of the second at {iso(first_ns)}.")
        middle_ns = (first_ns + stop_ns) // 2 // S_NS * S_NS
        return [*await rows_of(first_ns, middle_ns), *await rows_of(middle_ns, stop_ns)]

    def job(first_ns: int, stop_ns: int) -> Callable[[], Coroutine[Any, Any, FetchedPage]]:
        async def fetch() -> FetchedPage:
            columns = joined(await rows_of(first_ns, stop_ns))
            return FetchedPage(columns, len(times(columns)), IntervalSet.of(first_ns, stop_ns), str(stop_ns))

        return fetch

    length_ns = max(2, (history.rows - 1)) * every_ns
    starts = range(start_ns, end_ns, length_ns)
    tiles = (job(first_ns, min(first_ns + length_ns, end_ns)) for first_ns in starts)
    async with aclosing(in_order(tiles, in_flight)) as pages:
        async for page in pages:
            yield page
