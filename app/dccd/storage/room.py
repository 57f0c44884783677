"""Room on the disk of a data folder: how much there is, and how little is too little.

Two floors. Below the soft one, which a person sets, downloads wait. Below the hard one nothing more may be
taken in at all: what is there is kept free so that what is in the journals can still be published.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum

from dccd.domain.dataset import Period
from dccd.storage.catalog import Catalog
from dccd.storage.unpublished import Unpublished

SPARE_BYTES = 64 << 20  # beside what publishing needs: databases, the lock, other programs


class RoomState(StrEnum):
    """How much room there is, compared with the floors."""

    ENOUGH = "enough"
    LOW = "low"  # below the soft floor: downloads wait
    FULL = "full"  # below the hard floor: recording stops, with a gap that says so


@dataclass(frozen=True, slots=True)
class Room:
    """Room on the disk that holds a data folder; all in bytes.

    Attributes
    ----------
    free_bytes : int
        What this user may still write.
    total_bytes : int
    soft_floor_bytes : int
        Set by a person; never below the hard floor.
    hard_floor_bytes : int
        What publishing all that is in the journals may take at once: the journals, the largest file that is
        to be written anew, and some to spare.
    """

    free_bytes: int
    total_bytes: int
    soft_floor_bytes: int
    hard_floor_bytes: int

    @property
    def floor_bytes(self) -> int:
        """What is to be kept free, by the higher of both floors."""
        return max(self.soft_floor_bytes, self.hard_floor_bytes)

    @property
    def state(self) -> RoomState:
        """Where the free room stands between the floors."""
        if self.free_bytes < self.hard_floor_bytes:
            return RoomState.FULL
        if self.free_bytes < self.floor_bytes:
            return RoomState.LOW
        return RoomState.ENOUGH


def hard_floor_bytes(catalog: Catalog, unpublished: Unpublished) -> int:
    """What must stay free for all that is in journals to be published; see :class:`Room`."""
    journals = largest_file = 0
    for dataset in unpublished.datasets():
        pages: defaultdict[Period, int] = defaultdict(int)
        with unpublished.pinned(dataset) as due:
            for item in due:
                journals += item.frame.size
                for period in item.periods:
                    pages[period] += item.frame.size
        for period, size_bytes in pages.items():
            info = catalog.get(dataset, period)
            largest_file = max(largest_file, size_bytes + (info.size_bytes if info else 0))
    return largest_file + journals + SPARE_BYTES
