"""Deleting datasets so that they can be had back, restoring them, and emptying the trash in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from dccd.application.events import EventBus, InventoryEvent
from dccd.application.scheduler import Scheduler
from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import DAY_NS
from dccd.storage.store import Store
from dccd.storage.trash_entry import TrashEntry

EMPTY_EVERY_S = 3_600.0


async def delete_dataset(
    dataset: DatasetId, *, store: Store, scheduler: Scheduler, events: EventBus
) -> TrashEntry:
    """Move a dataset to the trash.

    Raises
    ------
    UnknownDataset
    DatasetBusy
        A run about it has not ended.
    StorageError
        The dataset is as it was.
    """
    async with scheduler.at_rest(dataset):
        entry = await asyncio.to_thread(store.keeping.delete, dataset)
    events.publish(InventoryEvent(dataset=str(dataset)))
    return entry


async def restore_dataset(entry_id: str, *, store: Store, events: EventBus) -> TrashEntry:
    """Put a deleted dataset back; what was stored of it since and what was deleted become one.

    Raises
    ------
    UnknownTrash
    StorageError
        Do it again for the rest.
    """
    entry = await asyncio.to_thread(store.keeping.restore, entry_id)
    events.publish(InventoryEvent(dataset=str(entry.dataset)))
    return entry


def empty_old_trash(store: Store, days: int, clock: Callable[[], int] = time.time_ns) -> list[TrashEntry]:
    """Remove for good what was deleted longer ago than so many days.

    Raises
    ------
    StorageError
    """
    return store.keeping.empty_trash(clock() - days * DAY_NS)
