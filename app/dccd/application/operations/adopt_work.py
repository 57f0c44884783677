"""Taking over a folder of the dccd 3 package, as a run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from dccd.application.config import AppConfig
from dccd.application.events import EventBus, InventoryEvent
from dccd.application.operations.adopt import Adoption
from dccd.application.operations.adopt_config import ConfigReport, plan_config
from dccd.application.operations.adoptable import AdoptReport, find, survey
from dccd.application.operations.recorded import Told
from dccd.storage.reference.folder import Listing
from dccd.storage.store import Store


class AdoptParams(BaseModel):
    """What is taken over, absolute.

    Attributes
    ----------
    config_file : str or None
        The package's configuration, if that comes along.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str
    config_file: str | None = None


class AdoptPlan(BaseModel):
    """What there is to take over: rows as the old files count them, nothing read or stored."""

    data: AdoptReport
    config: ConfigReport | None = None


def plan_adoption(params: AdoptParams, config: AppConfig) -> AdoptPlan:
    """What taking over a folder, and a configuration, would do.

    Raises
    ------
    UsageError
        It is no folder of the package, or overlaps the data folder.
    ConfigError
        The configuration cannot be read.
    """
    listing = checked(params, config)
    file = None if params.config_file is None else plan_config(Path(params.config_file), config)
    return AdoptPlan(data=survey(listing), config=file)


def checked(params: AdoptParams, config: AppConfig) -> Listing:
    """What there is to take over, once nothing speaks against it.

    Raises
    ------
    UsageError, ConfigError
        As :func:`plan_adoption`.
    """
    if params.config_file is not None:
        plan_config(Path(params.config_file), config)
    return find(Path(params.folder), config.data_path)


async def adopt(
    listing: Listing,
    *,
    store: Store,
    told: Told,
    events: EventBus,
    take_config: Callable[[], Awaitable[ConfigReport]] | None,
) -> dict[str, Any]:
    """Take over a folder, and first the configuration.

    Returns
    -------
    dict
        The fields of `AdoptReport`, and `config`, those of `ConfigReport` or None.

    Raises
    ------
    StorageError, ConfigError
    """
    config = None if take_config is None else await take_config()

    def progress(read: int, total: int, stored: int) -> None:
        told.progress(read, total, "rows", rows=stored)

    def adopted(dataset: str, words: str) -> None:
        told.log(f"{dataset}: {words}")

    adoption = Adoption(listing, store, "adopt", stopped=told.stopped, progress=progress, adopted=adopted)
    try:
        report = await asyncio.to_thread(adoption.run)
    finally:
        for found in adoption.report.datasets:
            events.publish(InventoryEvent(dataset=found.dataset))
    return report.model_dump(mode="json") | {"config": None if config is None else config.model_dump()}
