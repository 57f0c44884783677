"""What is stored certified, deleted, and put back."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from dccd.application.operations.trash import delete_dataset, restore_dataset
from dccd.domain.dataset import DatasetId
from dccd.storage.trash_entry import TrashEntry

if TYPE_CHECKING:
    from dccd.application.service import Service


class Keeping:
    """Certificates and the trash; a part of :class:`dccd.application.service.Service`."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def certificate(self, dataset: DatasetId) -> dict[str, Any]:
        """What a dataset's files hold and lack, with hashes: see ``docs/certificate.md``.

        Who waits for it no more, being cancelled, has the reading of the files end as well.

        Raises
        ------
        UnknownDataset, StorageError
        """
        await self._service.ready()
        left = threading.Event()
        try:
            document = await asyncio.to_thread(self._service.store.keeping.certificate, dataset, left.is_set)
        finally:
            left.set()
        assert document is not None, "nobody has left"
        return document

    async def delete(self, dataset: DatasetId) -> TrashEntry:
        """Move a dataset to the trash; see ``operations.trash``.

        Raises
        ------
        UnknownDataset, DatasetBusy, StorageError
        """
        await self._service.ready()
        return await delete_dataset(
            dataset, store=self._service.store, scheduler=self._service.scheduler, events=self._service.events
        )

    async def restore(self, entry_id: str) -> TrashEntry:
        """Put a deleted dataset back. Raises UnknownTrash, StorageError."""
        await self._service.ready()
        return await restore_dataset(entry_id, store=self._service.store, events=self._service.events)

    async def trash(self) -> list[TrashEntry]:
        """What can be restored, the oldest first. Raises StorageError."""
        await self._service.ready()
        return await asyncio.to_thread(self._service.store.keeping.deleted)

    async def empty_trash(self) -> list[TrashEntry]:
        """Remove all that lies in the trash for good; returns what was removed. Raises StorageError."""
        await self._service.ready()
        return await asyncio.to_thread(self._service.store.keeping.empty_trash)
