"""Chores that the program does by itself, now and then, each on a thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from dccd.application.runs import run_error
from dccd.domain.errors import DccdError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to be done again and again.

    Attributes
    ----------
    name : str
        In lower case, to go on after "The chore".
    every_s : float
        Seconds between its end and its next beginning; the first is at once.
    work : callable
        May block; what it raises is told, and it is tried again.
    """

    name: str
    every_s: float
    work: Callable[[], object]


class Housekeeping:
    """Does chores, each by its own clock, until it is stopped. Belongs to one event loop."""

    def __init__(
        self, chores: Sequence[Chore], *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._chores, self._sleep = chores, sleep
        self._problems: dict[str, str] = {}
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def problems(self) -> list[str]:
        """What went wrong with the chores whose last try failed, in words, a sentence or two each."""
        return list(self._problems.values())

    def start(self) -> None:
        """Begin all chores."""
        self._tasks = [
            asyncio.create_task(self._keep(chore), name=f"chore {chore.name}") for chore in self._chores
        ]

    async def stop(self) -> None:
        """Return once what is being done is done; nothing more is begun. Idempotent."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def _keep(self, chore: Chore) -> None:
        while not self._stopping.is_set():
            await self._do(chore)
            pause, stopping = (
                asyncio.ensure_future(each) for each in (self._sleep(chore.every_s), self._stopping.wait())
            )
            await asyncio.wait((pause, stopping), return_when=asyncio.FIRST_COMPLETED)
            for future in (pause, stopping):
                future.cancel()

    async def _do(self, chore: Chore) -> None:
        try:
            await asyncio.to_thread(chore.work)
        except Exception as error:  # noqa: BLE001 - told, and tried again: no chore may end the program
            told = run_error(error).detail
            if self._problems.get(chore.name) != told:  # not every few seconds
                _log.warning(
                    "The chore %s failed: %s",
                    chore.name,
                    told,
                    exc_info=None if isinstance(error, DccdError) else error,
                )
            self._problems[chore.name] = told
        else:
            self._problems.pop(chore.name, None)
