"""Downloads wait while the disk has too little room, and go on when there is enough again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from dccd.domain.errors import DiskFull
from dccd.storage.room import Room, RoomState, size_words

LOOK_EVERY_S = 1.0


class RoomWatch:
    """The room there is, measured at most once a second.

    Parameters
    ----------
    measure : callable
        Measures; may block on the disk.
    """

    def __init__(self, measure: Callable[[], Room], clock: Callable[[], float] = time.monotonic) -> None:
        self._measure, self._clock = measure, clock
        self._room: Room | None = None
        self._due_s = clock()

    async def look(self) -> Room:
        """The room as it is, or was a second ago.

        Raises
        ------
        StorageError
            The disk cannot be asked.
        """
        if self._room is None or self._clock() >= self._due_s:
            self._room = await asyncio.to_thread(self._measure)
            self._due_s = self._clock() + LOOK_EVERY_S
        return self._room

    async def wait(self, stop: asyncio.Event, tell: Callable[[str], Awaitable[None]]) -> None:
        """Return once there is room above the soft floor, or `stop` is set.

        Parameters
        ----------
        tell : callable
            Called with what is waited for, in words, each second of waiting.

        Raises
        ------
        DiskFull
            The whole disk is smaller than what is to be kept free of it.
        """
        while not stop.is_set() and (room := await self.look()).state is not RoomState.ENOUGH:
            if room.total_bytes < room.floor_bytes:
                raise DiskFull(
                    f"The disk holds {size_words(room.total_bytes)} in all, and "
                    f"{size_words(room.floor_bytes)} are to be kept free. Choose a data folder on a larger "
                    "one, or set a lower free_space_floor_gb."
                )
            await tell(f"waiting for {in_words(room)}")
            try:
                await asyncio.wait_for(stop.wait(), LOOK_EVERY_S)
            except TimeoutError:
                continue


def in_words(room: Room) -> str:
    """What is waited for, how much of it is missing, and the setting that asks for it, if one does."""
    setting = " (free_space_floor_gb)" if room.soft_floor_bytes > room.hard_floor_bytes else ""
    kept = f"{size_words(room.floor_bytes)} to be kept free{setting}"
    return f"room on the disk: {size_words(room.free_bytes)} free, {kept}"
