"""Pages asked for by time, each from the instant on that the one before may have cut."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import AsyncGenerator

from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import MalformedPayload
from dccd.domain.records import Columns
from dccd.domain.timeutils import iso
from dccd.sources.base import ByTime, Target
from dccd.transport.paging.pages import Ask, FetchedPage, cut, joined, times, within


async def by_time(
    ask: Ask, target: Target, history: ByTime, start_ns: int, end_ns: int
) -> AsyncGenerator[FetchedPage, None]:
    """Rows of ``[start_ns, end_ns)``; the caller has made sure that `end_ns` has settled.

    The rows of a page's last instant are held back and asked for again with the next page, so that each
    instant is emitted whole, even where the exchange has made its pages smaller without a word. The end is
    believed when an answer has a row after it, or two have nothing more. An instant with more rows than can
    be had is emitted as far as it goes, and not covered; the page's `note` says so.

    Raises
    ------
    MalformedPayload
        A page is full of rows of before the time it was asked for: pages do not move on.
    """

    async def answer_from(ts_ns: int) -> Columns:
        request = history.request(target, ts_ns, end_ns, history.rows)
        return await ask(request, lambda response: history.parse(target, response))

    at_ns = start_ns
    witnesses = 0  # answers that had nothing from here on
    held, held_of = 0, history.rows  # rows of an instant that are held back, and of their answer
    answer: Columns | None = None
    while at_ns < end_ns:
        if answer is None:
            answer = await answer_from(at_ns)
        page = within(answer, at_ns, end_ns)
        ts, every_ts = times(page), times(answer)
        answer = None
        if every_ts and every_ts[-1] >= end_ns:
            yield FetchedPage(page, len(ts), IntervalSet.of(at_ns, end_ns))
            return
        is_full = len(every_ts) >= history.rows
        if not ts:
            if is_full:
                raise MalformedPayload(f"A page from {iso(at_ns)} on is full of rows of before.")
            witnesses += 1
            if witnesses == 2:
                yield FetchedPage(page, 0, IntervalSet.of(at_ns, end_ns))
                return
            continue
        instant_ns = ts[-1] - ts[-1] % history.resolution_ns  # the last of the page
        upto_ns = next_ns = instant_ns + history.resolution_ns
        note = None
        if ts[0] < instant_ns:
            first = bisect_left(ts, instant_ns)
            page, upto_ns, next_ns = cut(page, 0, first), instant_ns, instant_ns
            # Of an instant that is held back rows are known: one answer without any is no end.
            held, held_of, witnesses = len(ts) - first, len(every_ts), 0
        else:
            if next_ns < end_ns and not is_full:
                answer = await answer_from(next_ns)
            # Pages may have become smaller: one is cut that is as large as the last, or leaves rows out.
            is_cut = not held <= len(ts) <= len(every_ts) < held_of
            is_cut |= answer is not None and max(times(answer), default=0) >= next_ns
            if is_cut and history.request_more is not None:
                page = await _rest_of(ask, target, history, page, instant_ns)
            elif is_cut:
                upto_ns = instant_ns
                note = f"Of {iso(instant_ns)} there are more rows than the exchange gives: it stays a gap."
            held, held_of, witnesses = 0, history.rows, 0 if is_cut else 1
        covered = IntervalSet.of(at_ns, min(upto_ns, end_ns))
        yield FetchedPage(page, len(times(page)), covered, str(next_ns), note)
        at_ns = next_ns


async def _rest_of(ask: Ask, target: Target, history: ByTime, page: Columns, instant_ns: int) -> Columns:
    """All rows of an instant of which `page` has the first: until two answers have no more."""
    assert history.request_more is not None
    parts = [page]
    offset, witnesses = len(times(page)), 0
    while witnesses < 2:
        request = history.request_more(target, instant_ns, offset, history.rows)
        more = within(
            await ask(request, lambda response: history.parse(target, response)),
            instant_ns,
            instant_ns + history.resolution_ns,
        )
        parts.append(more)
        offset += len(times(more))
        witnesses = 0 if times(more) else witnesses + 1
    return joined(parts)
