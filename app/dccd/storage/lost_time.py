"""What was stored once and is not any more, or is not believed: told of each file that it was, or is, in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId, Period
from dccd.domain.gaps import GapCause
from dccd.domain.timeutils import iso
from dccd.storage.info import Coverage, find_gaps

_FETCH = "Fetch it again: dccd repair."
_LOOK = "Check its permissions and the disk."
_ERRORS = {
    GapCause.PUT_ASIDE.value: ("its file was put aside, as it could not be read", _FETCH),
    GapCause.FILE_GONE.value: ("its file is gone", f"Put the file back from a copy. {_FETCH}"),
    GapCause.UNREADABLE.value: ("its file cannot be read now", _LOOK),
}
_WARNINGS = {
    GapCause.DIFFERS.value: ("it differs from what the exchange says", _FETCH),
    GapCause.IMPLAUSIBLE.value: ("rows with implausible times were put aside", _FETCH),
}


class LostTime(NamedTuple):
    """Time of one file that is lost, or not believed any more, for one cause.

    Attributes
    ----------
    is_error : bool
        Whether it was stored and cannot be had from the disk any more.
    text, advice : str
        Whole sentences.
    """

    period: Period
    is_error: bool
    text: str
    advice: str


def lost_time(
    dataset: DatasetId, covered: IntervalSet, absent: IntervalSet, missed: Mapping[str, IntervalSet]
) -> Iterator[LostTime]:
    """What of `missed`, by cause, is neither covered nor proven absent since, in order of time."""
    told = {cause: missed[cause] for cause in (*_ERRORS, *_WARNINGS) if cause in missed}
    found: dict[tuple[Period, str], tuple[int, int]] = {}
    for gap in find_gaps(Coverage(covered, IntervalSet(), absent), told):
        at_ns = gap.start_ns
        while at_ns < gap.end_ns:  # a gap may be of several files
            period = dataset.period(at_ns)
            end_ns = min(gap.end_ns, period.interval.end_ns)
            first_ns, _ = found.get((period, gap.cause), (at_ns, end_ns))
            found[period, gap.cause] = first_ns, end_ns
            at_ns = end_ns
    for (period, cause), (start_ns, end_ns) in found.items():
        why, advice = (_ERRORS | _WARNINGS)[cause]
        text = f"Time between {iso(start_ns)} and {iso(end_ns)} is missing: {why}."
        yield LostTime(period, cause in _ERRORS, text, advice)
