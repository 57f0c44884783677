"""When what streams bring is written into files: late enough to write little, early enough to be read.

A publication writes its period's file anew, however little is added to it. Two hours is as long as anything
waits. Where the file is small, or what waits for it is much compared with it, a quarter of an hour is. A
period that is over is published soon after its end, once: what comes later waits as all else does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from typing import NamedTuple

from dccd.domain.dataset import DatasetId, Period
from dccd.domain.timeutils import S_NS

QUIET_S = 14 * 60.0  # readers are promised 15 minutes and two hours: publishing itself takes a while too
BUSY_S = 110 * 60.0
QUIET_BYTES = 4 << 20  # a month of minutes' bars fits
WORTH = 3  # bytes that may be written for each byte that waits, where both are many
SETTLE_S = 60.0  # for rows that arrive after their period's end
LOG_BYTES_MAX = 128 << 20  # of small frames some 160,000, of a kilobyte each in memory too
RETRY_S = 5 * 60.0


@dataclass(frozen=True, slots=True)
class Backlog:
    """What of a dataset waits in journals.

    Attributes
    ----------
    size_bytes : int
        In the journals.
    since_s : mapping of Period to float
        When the oldest of it was added, by the period whose file it goes into; on a monotonic clock.
    """

    dataset: DatasetId
    size_bytes: int
    since_s: Mapping[Period, float]


class Publication(NamedTuple):
    """A dataset to publish now, all of it, or its periods that end at or before `before_ns`."""

    dataset: DatasetId
    before_ns: int | None
    cost_bytes: int


def due(
    backlogs: Iterable[Backlog],
    file_bytes: Callable[[DatasetId, Period], int],
    *,
    now_s: float,
    now_ns: int,
    holding: Set[DatasetId],
) -> list[Publication]:
    """What is to be published now, the cheapest first.

    Parameters
    ----------
    backlogs : iterable of Backlog
    file_bytes : callable
        Size of a period's file as it is, 0 when there is none.
    now_s : float
        On the clock of the backlogs.
    now_ns : int
        The time of day, nanoseconds UTC.
    holding : set of DatasetId
        Those that keep old journals from being removed, when the journals are larger than they may be.
    """
    found = []
    for backlog in backlogs:
        before_ns = now_ns - round(SETTLE_S * S_NS)
        if backlog.dataset in holding or _has_waited(backlog, file_bytes, now_s):
            found.append(Publication(backlog.dataset, None, cost_bytes(backlog, file_bytes)))
        elif any(
            period.interval.end_ns <= before_ns
            and since_s <= now_s - (now_ns - period.interval.end_ns) / S_NS
            for period, since_s in backlog.since_s.items()
        ):
            found.append(Publication(backlog.dataset, before_ns, cost_bytes(backlog, file_bytes)))
    return sorted(found, key=lambda publication: publication.cost_bytes)


def cost_bytes(backlog: Backlog, file_bytes: Callable[[DatasetId, Period], int]) -> int:
    """What publishing it writes at most."""
    return backlog.size_bytes + sum(file_bytes(backlog.dataset, period) for period in backlog.since_s)


def _has_waited(backlog: Backlog, file_bytes: Callable[[DatasetId, Period], int], now_s: float) -> bool:
    age_s = now_s - min(backlog.since_s.values())
    if age_s < QUIET_S:
        return False
    cost = cost_bytes(backlog, file_bytes)
    return age_s >= BUSY_S or cost <= max(QUIET_BYTES, WORTH * backlog.size_bytes)
