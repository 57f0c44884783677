"""What all ways of paging have in common: pages, several in flight, and what makes one sound."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from operator import le
from typing import Any, Protocol, TypeVar

from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import MalformedPayload
from dccd.domain.records import Columns
from dccd.sources.base import Request, Response

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
    note : str or None
        What a person should know of a stretch that could not be had.
    """

    columns: Columns
    rows: int
    covered: IntervalSet
    cursor: str | None = None
    note: str | None = None


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


def times(columns: Columns) -> Sequence[int]:
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


def cut(columns: Columns, first: int, stop: int) -> Columns:
    """Rows ``first`` to ``stop``."""
    if first <= 0 and stop >= len(columns["ts"]):
        return columns
    return {name: column[first:stop] for name, column in columns.items()}


def within(columns: Columns, start_ns: int, end_ns: int) -> Columns:
    """Rows of ``[start_ns, end_ns)`` of a page that has to be sound and in order of time."""
    ts = times(finite(columns))
    if not all(map(le, ts, islice(ts, 1, None))):
        raise MalformedPayload("A page of history is not in order of time.")
    return cut(columns, bisect_left(ts, start_ns), bisect_left(ts, end_ns))


def joined(parts: Sequence[Columns]) -> Columns:
    """The rows of all parts, one after the other."""
    filled = [part for part in parts if len(part["ts"])]
    if len(filled) == 1:
        return filled[0]
    if not filled:
        return {"ts": []}
    return {name: [value for part in filled for value in part[name]] for name in filled[0]}
