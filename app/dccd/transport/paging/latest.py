"""The one page of the newest rows, where an exchange gives no older ones."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from dccd.domain.coverage import IntervalSet
from dccd.domain.records import Columns
from dccd.domain.timeutils import S_NS
from dccd.sources.base import Latest, Response, Target
from dccd.transport.paging.pages import Ask, FetchedPage, cut, times, within


async def newest(ask: Ask, target: Target, history: Latest) -> tuple[Columns, IntervalSet]:
    """The newest rows there are, and the time they prove.

    Their first instant may be cut, and is not proven, nor is anything before; the last may still get rows.
    After it nothing came, up to what an exchange may be late by when it answered. The last of bars is the
    open one: it is left out, and proves that those before it have closed, wherever bars begin.
    """

    def parse(response: Response) -> tuple[Columns, int]:
        return history.parse(target, response), response.received_ns

    limit = history.rows[target.instrument.market]
    columns, received_ns = await ask(history.request(target, limit), parse)
    ts = times(columns)
    if not ts:
        return columns, IntervalSet()
    if target.span is not None:
        return cut(columns, 0, len(ts) - 1), IntervalSet.of(ts[0], max(ts[0], ts[-1]))
    first_ns = ts[0] - ts[0] % history.resolution_ns + history.resolution_ns
    last_ns = max(ts[-1], received_ns - round(history.late_s * S_NS))
    return columns, IntervalSet.of(first_ns, max(first_ns, last_ns))


async def latest(
    ask: Ask, target: Target, history: Latest, start_ns: int, end_ns: int
) -> AsyncGenerator[FetchedPage, None]:
    """Rows of ``[start_ns, end_ns)`` as far as they are among the newest; what is older is not covered."""
    columns, proven = await newest(ask, target, history)
    columns = within(columns, start_ns, end_ns)
    yield FetchedPage(columns, len(times(columns)), proven.clip(start_ns, end_ns))
