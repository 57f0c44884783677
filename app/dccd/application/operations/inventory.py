"""What is stored."""

from __future__ import annotations

import asyncio

from dccd.storage.info import DatasetInfo
from dccd.storage.store import Store


async def inventory(*, store: Store) -> list[DatasetInfo]:
    """All datasets, ordered by id."""
    found = await asyncio.to_thread(store.inventory)
    return sorted(found, key=lambda info: str(info.dataset))
