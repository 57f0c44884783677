"""Pages of which each names the next, one after the other."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial

from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import MalformedPayload
from dccd.sources.base import ByCursor, Page, Response, Target
from dccd.transport.paging.pages import Ask, FetchedPage, times, within


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
        if page.next is None and not times(page.columns):
            page = await ask(request, parse)
        columns = within(page.columns, start_ns, end_ns)
        ts = times(columns)
        cursor = page.next
        # An empty page that names a next one proves nothing of its own.
        upto_ns = end_ns if cursor is None else (ts[-1] if ts else proven_ns)
        covered, proven_ns = IntervalSet.of(proven_ns, upto_ns), max(proven_ns, upto_ns)
        yield FetchedPage(columns, len(ts), covered, cursor)
