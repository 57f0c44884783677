"""Pages whose windows of time are known beforehand: bars, open interest."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import aclosing
from typing import Any

from dccd.domain.coverage import IntervalSet
from dccd.domain.records import Columns
from dccd.domain.timeutils import S_NS
from dccd.sources.base import ByWindow, Target
from dccd.transport.paging.pages import Ask, FetchedPage, cut, in_order, joined, times, within


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

    Bars that an answer lacks, at its ends or in a dense history anywhere, are missing once a second answer,
    asked for them alone, has none of them; at its ends a third, as a page cut short says nothing of the rest.
    """
    assert target.span is not None
    span = target.span

    async def rows_of(first_ns: int, stop_ns: int, *, lacked: bool = False) -> list[Columns]:
        """The rows of a window; `lacked` when an answer that was not cut short has had none of them."""
        limit = span.count(first_ns, stop_ns)
        request = history.request(target, first_ns, stop_ns, limit)
        page = within(await ask(request, lambda r: history.parse(target, r)), first_ns, stop_ns)
        ts = times(page)
        if len(ts) == limit or (lacked and not ts):
            return [page]
        parts: list[Columns] = []
        done, expected_ns = 0, first_ns
        for place, open_ns in enumerate((*ts, stop_ns)):
            is_end = place in (0, len(ts))  # a page cut short lacks one of its ends
            if (history.dense or is_end) and span.count(expected_ns, open_ns):
                parts += [
                    cut(page, done, place),
                    *await rows_of(expected_ns, open_ns, lacked=not (is_end and ts)),
                ]
                done = place
            expected_ns = span.next(open_ns)
        return [*parts, cut(page, done, len(ts))]

    def job(first_ns: int, stop_ns: int) -> Callable[[], Coroutine[Any, Any, FetchedPage]]:
        async def fetch() -> FetchedPage:
            open_ns = span.ceil(first_ns)
            columns = joined(await rows_of(open_ns, stop_ns) if open_ns < stop_ns else [])
            covered = IntervalSet.of(first_ns, stop_ns)
            return FetchedPage(columns, len(columns["ts"]), covered, str(stop_ns))

        return fetch

    tiles = windows(target, history, start_ns, end_ns)
    async with aclosing(in_order((job(first, stop) for first, stop in tiles), in_flight)) as pages:
        async for page in pages:
            yield page
