"""Move the data folder: what can be copied beforehand is, as a run; then the program changes over."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dccd.application.config import AppConfig
from dccd.application.operations.recorded import Told, Work
from dccd.storage.relocate import Relocation


class MoveParams(BaseModel):
    """What a move was started with, as its run keeps it."""

    folder: str


def checked_relocation(data_path: Path, folder: Path) -> Relocation:
    """A move that may work; raises what :meth:`dccd.storage.relocate.Relocation.check` does."""
    relocation = Relocation(data_path, folder.expanduser().absolute())
    relocation.check()
    return relocation


def copy_work(relocation: Relocation) -> Work:
    """Copy what is stored to another volume; on one volume there is nothing to do before the change."""

    async def work(told: Told) -> dict[str, Any]:
        def progress(done: int, total: int) -> None:
            told.progress(done, total, "bytes")

        size_bytes = await asyncio.to_thread(relocation.copy, progress, told.stopped)
        if told.stopped():
            told.log("Stopped; what was copied is taken up by the next attempt.")
        elif relocation.is_one_volume():
            told.log(f"{relocation.target} is on the same volume: nothing has to be copied.")
        else:
            told.log(f"Everything is in {relocation.target}, read back and compared.")
        return {"folder": str(relocation.target), "copied_bytes": size_bytes}

    return work


def moved_config(config: AppConfig, folder: Path) -> AppConfig:
    """The configuration with the data in another folder, saved unless the folder was named apart from it.

    Raises
    ------
    ConfigError
        The file cannot be written.
    """
    from dccd.application.config_file import save_changes  # tomlkit is for this alone

    if config.names_data_path_apart:
        return config.located(config.path, folder)
    return save_changes(config, {"settings": {"data_path": str(folder)}})
