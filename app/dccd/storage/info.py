"""What can be said of a dataset without reading its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.gaps import GapCause
from dccd.domain.timeutils import DAY_NS
from dccd.storage.footer import FileInfo

_PRIORITY = {cause.value: place for place, cause in enumerate(GapCause)}

PACE_DAYS = 30


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was fetched whole and is believed, what was asked for, what the exchange is known not to have."""

    covered: IntervalSet
    asked: IntervalSet
    absent: IntervalSet

    @property
    def missing(self) -> IntervalSet:
        """Asked for, not fetched, and to be had as far as is known."""
        return self.asked - self.covered - self.absent


@dataclass(frozen=True, slots=True)
class Gap:
    """Time that should be stored and is not: ``[start_ns, end_ns)``, and why.

    `cause` is one of :class:`~dccd.domain.gaps.GapCause`, or what an older program wrote.
    """

    start_ns: int
    end_ns: int
    cause: str


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """A dataset at a glance.

    Attributes
    ----------
    rows : int
        Exact for what is in files; pages not yet published count in full.
    size_bytes : int
        Of the files.
    start_ns, end_ns : int or None
        Timestamps of the first and the last row, both inclusive; None without rows.
    files : int
    updated_ns : int
        When its newest file was written; 0 without files.
    bytes_per_day : int or None
        What a day of it takes in files, by its newest :data:`PACE_DAYS` covered days; None while that cannot
        be told.
    """

    dataset: DatasetId
    rows: int
    size_bytes: int
    start_ns: int | None
    end_ns: int | None
    files: int
    covered: IntervalSet
    asked: IntervalSet
    absent: IntervalSet
    gaps: tuple[Gap, ...]
    updated_ns: int
    bytes_per_day: int | None

    @property
    def complete(self) -> bool:
        """Whether all that was asked for is there."""
        return not self.gaps


def bytes_per_day(files: Sequence[FileInfo]) -> int | None:
    """See :class:`DatasetInfo`; `files` in order of time."""
    size_bytes = covered_ns = 0
    for info in reversed(files):
        if covered_ns >= PACE_DAYS * DAY_NS:
            break
        size_bytes += info.size_bytes
        covered_ns += info.footer.covered.length_ns
    # A file is mostly its frame while it holds but a few hours.
    return round(size_bytes * DAY_NS / covered_ns) if covered_ns >= DAY_NS else None


def find_gaps(coverage: Coverage, missed: Mapping[str, IntervalSet]) -> tuple[Gap, ...]:
    """What is missing, in order, each stretch with its cause.

    Parameters
    ----------
    missed : mapping of str to IntervalSet
        By cause, what was lost or is doubted; it is missing whether asked for or not, unless it is covered or
        proven absent since. Where causes overlap, the first in :class:`~dccd.domain.gaps.GapCause` is told.
    """
    found: list[Gap] = []
    left = coverage.asked
    for intervals in missed.values():
        left |= intervals
    left = left - coverage.covered - coverage.absent
    for cause in sorted(missed, key=lambda cause: (_PRIORITY.get(cause, len(_PRIORITY)), cause)):
        found += [Gap(*interval, cause) for interval in left & missed[cause]]
        left -= missed[cause]
    found += [Gap(*interval, GapCause.NEVER_FETCHED.value) for interval in left]
    return tuple(sorted(found, key=lambda gap: gap.start_ns))
