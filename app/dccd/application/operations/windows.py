"""Which stretches of a dataset to look at: few, of bounded size, spread over all of its age."""

from __future__ import annotations

from random import Random

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import HOUR_NS, S_NS
from dccd.storage.info import DatasetInfo

WINDOW_ROWS = 500
_LONGEST_NS = 366 * 24 * HOUR_NS


def window_ns(info: DatasetInfo) -> int:
    """How long a window is that holds some :data:`WINDOW_ROWS` rows at the dataset's own density."""
    span = info.dataset.span
    if span is not None:
        return WINDOW_ROWS * span.nominal_ns
    density = info.rows / max(info.covered.length_ns, 1)
    wanted = WINDOW_ROWS / density if density else HOUR_NS
    return max(S_NS, min(_LONGEST_NS, round(wanted) // S_NS * S_NS))


def choose(
    eligible: IntervalSet, count: int, length_ns: int, dataset: DatasetId, random: Random
) -> IntervalSet:
    """At most `count` windows of at most `length_ns` in `eligible`.

    The newest is always one of them: it was fetched soonest after it happened, when an exchange is likeliest
    to have changed its mind. The others are drawn one from each equal share of the rest, so that every age
    and file of the dataset has its chance. They stand on whole bars, or whole seconds.
    """
    newest = _before(eligible, length_ns, dataset)
    rest = eligible - newest
    chosen = newest
    for place in range(count - 1):
        share = rest.length_ns * place // (count - 1), rest.length_ns * (place + 1) // (count - 1)
        if share[0] >= share[1]:
            continue
        start_ns = _nth(rest, random.randrange(*share))
        home = next(item for item in rest if item.start_ns <= start_ns < item.end_ns)
        low = max(home.start_ns, _floor(start_ns, dataset))
        high = min(home.end_ns, _floor(low + length_ns, dataset))
        chosen |= IntervalSet.of(low, high)
    return chosen


def _before(eligible: IntervalSet, length_ns: int, dataset: DatasetId) -> IntervalSet:
    if eligible.end_ns is None:
        return eligible
    *_, last = eligible
    return IntervalSet.of(max(last.start_ns, _floor(last.end_ns - length_ns, dataset)), last.end_ns)


def _nth(intervals: IntervalSet, place_ns: int) -> int:
    """The instant so far into the set."""
    for start, end in intervals:
        if place_ns < end - start:
            return start + place_ns
        place_ns -= end - start
    raise IndexError(place_ns)


def _floor(ts_ns: int, dataset: DatasetId) -> int:
    return ts_ns // S_NS * S_NS if dataset.span is None else dataset.span.floor(ts_ns)


def whole(interval: Interval, dataset: DatasetId) -> Interval:
    """The whole bars, or whole seconds, of an interval."""
    if dataset.span is not None:
        return Interval(dataset.span.ceil(interval.start_ns), dataset.span.floor(interval.end_ns))
    return Interval(-(-interval.start_ns // S_NS) * S_NS, interval.end_ns // S_NS * S_NS)
