"""Rows out of the store: all of them as a stream, or a page at a time in either direction."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from dccd.domain.dataset import DatasetId
from dccd.domain.errors import InvalidRange, UsageError
from dccd.domain.timeutils import MAX_NS, US_NS, iso
from dccd.storage.schema import arrow_schema
from dccd.storage.store import Store


@dataclass(frozen=True, slots=True)
class RowsPage:
    """Some rows, and where the next page starts.

    Attributes
    ----------
    table : pyarrow.Table
        All columns of the data type, in the order that was asked for.
    next_cursor : str or None
        None at the end.
    """

    table: pa.Table
    next_cursor: str | None


async def read(
    target: DatasetId,
    *,
    store: Store,
    start_ns: int | None = None,
    end_ns: int | None = None,
    columns: Sequence[str] | None = None,
) -> AsyncIterator[pa.RecordBatch]:
    """The rows of ``[start_ns, end_ns)`` in order, in batches, current to the second.

    Raises
    ------
    UnknownDataset
        Nothing is stored of it; nothing is created.
    InvalidRange
        The range ends before it starts.
    """
    check_bounds(start_ns, end_ns)
    batches = await asyncio.to_thread(store.read, target, start_ns, end_ns, columns)
    while (batch := await asyncio.to_thread(next, batches, None)) is not None:
        yield batch


def check_bounds(start_ns: int | None, end_ns: int | None) -> None:
    """Refuse a range that ends before it starts.

    Raises
    ------
    InvalidRange
    """
    if start_ns is not None and end_ns is not None and end_ns < start_ns:
        raise InvalidRange(
            f"The range ends ({iso(end_ns)}) before it starts ({iso(start_ns)}). Swap the two."
        )


async def rows(
    dataset: DatasetId,
    *,
    store: Store,
    start_ns: int | None = None,
    end_ns: int | None = None,
    limit: int,
    cursor: str | None = None,
    descending: bool = False,
) -> RowsPage:
    """One page of the rows of ``[start_ns, end_ns)``; memory follows `limit`, not what is stored.

    Parameters
    ----------
    limit : int
        Rows at most, positive.
    cursor : str, optional
        `next_cursor` of the page before, asked for with the same bounds and direction.
    descending : bool
        The newest first.

    Raises
    ------
    UnknownDataset
    InvalidRange
    UsageError
        The cursor is none of ours.
    """
    check_bounds(start_ns, end_ns)
    page = _newest if descending else _oldest
    return await asyncio.to_thread(page, dataset, store, start_ns or 0, end_ns or MAX_NS, limit, cursor)


def _oldest(
    dataset: DatasetId, store: Store, start_ns: int, end_ns: int, limit: int, cursor: str | None
) -> RowsPage:
    skip = 0
    if cursor is not None:
        start_ns, skip = _parse_cursor(cursor)
    kept: list[pa.RecordBatch] = []
    count = 0
    batches = store.read(dataset, start_ns, end_ns)
    for batch in batches:
        kept.append(batch)
        count += batch.num_rows
        if count > skip + limit:
            break
    table = _table(kept, dataset)
    page = table.slice(skip, limit)
    more = table.num_rows > skip + limit
    return RowsPage(page, _next_cursor(page, start_ns, skip) if more else None)


def _newest(
    dataset: DatasetId, store: Store, start_ns: int, end_ns: int, limit: int, cursor: str | None
) -> RowsPage:
    info = store.info(dataset)
    skip, last_ns = 0, -1
    if cursor is not None:
        last_ns, skip = _parse_cursor(cursor)
        end_ns = last_ns + US_NS
    if info.start_ns is None or info.end_ns is None:
        return RowsPage(_table([], dataset), None)
    first_ns, after_ns = max(start_ns, info.start_ns), min(end_ns, info.end_ns + US_NS)
    needed = skip + limit + 1
    # A stretch that should hold the rows at the dataset's average density, widened until it does.
    stretch_ns = max(US_NS, (info.end_ns - info.start_ns) // max(info.rows, 1) * needed * 2)
    while True:
        from_ns = max(first_ns, after_ns - stretch_ns)
        tail = _tail(store.read(dataset, from_ns, after_ns), needed) if from_ns < after_ns else []
        count = sum(batch.num_rows for batch in tail)
        if count >= needed or from_ns <= first_ns:
            break
        stretch_ns *= 4
    table = _table(tail, dataset)
    table = table.slice(max(0, table.num_rows - needed))
    stop = table.num_rows - skip
    page = table.slice(max(0, stop - limit), min(limit, max(0, stop)))
    page = page.take(pa.array(range(page.num_rows - 1, -1, -1), pa.int64()))
    return RowsPage(page, _next_cursor(page, last_ns, skip) if stop > limit else None)


def _tail(batches: Iterable[pa.RecordBatch], count: int) -> list[pa.RecordBatch]:
    """The last batches, enough to hold `count` rows."""
    kept: deque[pa.RecordBatch] = deque()
    held = 0
    for batch in batches:
        kept.append(batch)
        held += batch.num_rows
        while held - kept[0].num_rows >= count:
            held -= kept.popleft().num_rows
    return list(kept)


def _table(batches: list[pa.RecordBatch], dataset: DatasetId) -> pa.Table:
    return pa.Table.from_batches(batches, schema=arrow_schema(dataset.data_type))


# A cursor is the last row's time and how many rows of that time were already given, counted from the
# side the pages come from: rows of one instant have a fixed order.


def _next_cursor(page: pa.Table, before_ns: int, skipped: int) -> str:
    times: list[Any] = page.column("ts").cast(pa.int64()).to_pylist()
    last_us = times[-1]
    same = times.count(last_us)
    if last_us * US_NS == before_ns // US_NS * US_NS:
        same += skipped
    return f"{last_us * US_NS}:{same}"


def _parse_cursor(cursor: str) -> tuple[int, int]:
    time, _, skip = cursor.partition(":")
    if not (time.isdecimal() and skip.isdecimal()):
        raise UsageError(f"{cursor!r} is not a cursor. Start again without one.")
    return int(time), int(skip)
