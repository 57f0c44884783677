"""Room on the disk of a data folder: how much there is, and how little is too little.

Two floors. Below the soft one, which a person sets, downloads wait. Below the hard one nothing more may be
taken in at all: what is there is kept free so that what is in the journals can still be published.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from dccd.domain.errors import DiskFull, StorageError
from dccd.storage.catalog import Catalog
from dccd.storage.unpublished import Unpublished

SPARE_BYTES = 64 << 20  # beside what publishing needs: databases, the lock, other programs
RESUME_BYTES = 16 << 20  # above the hard floor, so that streams do not stop and go on every second
LOOK_EVERY_S = 1.0


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
    for dataset, weight in unpublished.weights().items():
        journals += weight.size_bytes
        for period, size_bytes in weight.by_period.items():
            info = catalog.get(dataset, period)
            largest_file = max(largest_file, size_bytes + (info.size_bytes if info else 0))
    return largest_file + journals + SPARE_BYTES


class HardFloor:
    """Whether the disk has room for what streams bring, measured at most once a second.

    Parameters
    ----------
    measure : callable
        Measures; raises `StorageError` where the disk cannot be asked.

    Attributes
    ----------
    refusal : DiskFull or None
        Why nothing more may be taken in, in words.
    """

    def __init__(self, measure: Callable[[], Room]) -> None:
        self.refusal: DiskFull | None = None
        self.due_s = float("-inf")
        self._measure = measure

    def look(self, now_s: float) -> None:
        """Measure, if it is time to. What cannot be measured is as it was: writing will tell."""
        if now_s < self.due_s:
            return
        self.due_s = now_s + LOOK_EVERY_S
        try:
            room = self._measure()
        except StorageError:
            return
        wanted_bytes = room.hard_floor_bytes + RESUME_BYTES
        if room.state is RoomState.FULL or (self.refusal and room.free_bytes < wanted_bytes):
            self.refusal = DiskFull(
                f"The disk is nearly full: {size_words(room.free_bytes)} are free. Streams record nothing "
                f"until {size_words(wanted_bytes)} are, as publishing what they have recorded takes room. "
                "That time is told as gaps. Free some space."
            )
        else:
            self.refusal = None


def size_words(size_bytes: int) -> str:
    """A size as a person reads it."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"
