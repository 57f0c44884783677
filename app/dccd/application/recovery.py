"""The recovery of the data folder, going on beside everything else; who needs its outcome waits for it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable

from dccd.application.events import EventBus, ResyncEvent
from dccd.domain.errors import DccdError
from dccd.storage.recovery import RecoveryProgress
from dccd.storage.store import Store

RETRY_PAUSE_S = 5.0
_log = logging.getLogger(__name__)


class BackgroundRecovery:
    """Recovers a store on a thread of its own, then has published what was left in its journals.

    One that failed is tried again by the next who needs it, once :data:`RETRY_PAUSE_S` are over.

    Parameters
    ----------
    then : callable
        Called once it is done, and only if it was done.

    Attributes
    ----------
    failure : str or None
        Why the last attempt failed.
    """

    def __init__(
        self,
        store: Store,
        events: EventBus,
        *,
        then: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failure: str | None = None
        self._store, self._events, self._then, self._clock = store, events, then, clock
        self._stopping = threading.Event()
        self._retry_s = 0.0
        self._publishing: asyncio.Task[None] | None = None
        self._attempt = self._begin()

    @property
    def progress(self) -> RecoveryProgress | None:
        """How far it is, None when it has ended, well or not."""
        return self._store.recovering

    async def done(self) -> None:
        """Wait until what is said of the data is right; cancelling this does not end the recovery.

        Raises
        ------
        StorageError
            The disk refused.
        """
        if self.failure is not None and self._clock() >= self._retry_s:
            self._attempt = self._begin()
        await asyncio.shield(self._attempt)

    async def stop(self) -> None:
        """End it where it stands; what it has not done, the next start does."""
        self._stopping.set()
        self._store.interrupt()
        await asyncio.wait((self._attempt,))
        if self._publishing is not None:
            await asyncio.wait((self._publishing,))

    def _begin(self) -> asyncio.Task[None]:
        self.failure = None
        attempt = asyncio.create_task(self._recover(), name="recovery")
        # Nobody may be waiting for it; that it failed is told in the program's health.
        attempt.add_done_callback(lambda task: task.cancelled() or task.exception())
        return attempt

    async def _recover(self) -> None:
        try:
            await asyncio.to_thread(self._store.recover)
        except Exception as error:
            if not self._stopping.is_set():
                _log.warning("recovering the data folder failed: %s", error)
            self._retry_s = self._clock() + RETRY_PAUSE_S
            self.failure = (
                f"What is stored cannot be told yet, since recovering the data folder failed: {error} "
                "It is tried again when somebody asks for data."
            )
            raise
        self._events.publish(ResyncEvent())  # all that was said until now may have been out of date
        self._then()
        self._publishing = asyncio.create_task(self._publish(), name="publish what was left")

    async def _publish(self) -> None:
        """Write into files what an earlier process left in its journals."""
        for dataset in self._store.unpublished.datasets():
            try:
                await asyncio.to_thread(self._store.publish, dataset, stopped=self._stopping.is_set)
            except Exception as error:  # noqa: BLE001 - told; the others are published all the same
                # It stays readable where it is, and the next publication tries again.
                _log.warning(
                    "publishing what was left of %s failed: %s",
                    dataset,
                    error,
                    exc_info=None if isinstance(error, DccdError) else error,
                )
