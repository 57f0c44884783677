"""The program changes over to another data folder without being started again."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from dccd.application.operations.move import MoveParams, checked_relocation, copy_work, moved_config
from dccd.application.operations.recorded import new_work_run
from dccd.application.scheduler import Submission
from dccd.domain.errors import (
    ConfigError,
    DataFolderUnusable,
    DccdError,
    RunsUnderWay,
    StorageError,
    UsageError,
)
from dccd.storage.relocate import Relocation

if TYPE_CHECKING:
    from dccd.application.service import Service

_log = logging.getLogger(__name__)


class Moving:
    """Moves the data folder; a part of :class:`dccd.application.service.Service`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._relocation: Relocation | None = None

    async def move(self, folder: Path) -> Submission:
        """Begin to move the data to another folder; :meth:`switch` ends it, once this run has succeeded.

        Raises
        ------
        DataFolderUnusable
            The folder is in use, not empty, or inside this one or around it.
        DiskFull
            It has too little room.
        """
        relocation = self._relocation = await asyncio.to_thread(
            checked_relocation, self._service.data_path, folder
        )
        run = new_work_run("move", MoveParams(folder=str(relocation.target)))
        return await self._service.scheduler.submit_work(run, copy_work(relocation))

    async def switch(self) -> None:
        """Go on in the folder that :meth:`move` named; the old one is emptied, and says where its data is.

        Raises
        ------
        UsageError
            Nothing is being moved.
        RunsUnderWay
        DataFolderUnusable, StorageError
            The data stays where it is, or is there again, and work goes on there.
        ConfigError
            The data is in the new folder and work goes on there, but the configuration could not be saved.
        """
        relocation = self._relocation
        if relocation is None:
            raise UsageError("Nothing is being moved. Name the folder to move the data to first.")
        await asyncio.to_thread(relocation.check)  # somebody may have put something there meanwhile
        # Nothing is waited for between this and the end of work.
        if running := self._service.scheduler.running:
            raise RunsUnderWay(running)
        self._relocation = None
        config = self._service.config
        await self._service.stop()
        try:
            await asyncio.to_thread(relocation.finish)
        except BaseException:
            await self._service.start()
            raise
        await self._start_in(relocation)
        unsaved: ConfigError | None = None
        try:
            self._service.config = await asyncio.to_thread(moved_config, config, relocation.target)
        except ConfigError as error:
            unsaved = error
        for moved in self._service.on_moved:
            moved(relocation.source)
        try:
            await asyncio.to_thread(relocation.clean)
        except StorageError as error:
            _log.warning("%s", error)
        if unsaved is not None:
            raise unsaved

    async def _start_in(self, relocation: Relocation) -> None:
        """Open the new folder; where that fails, move the data back and go on in the old one."""
        config = self._service.config
        self._service.config = config.located(config.path, relocation.target)
        try:
            await self._service.start()
        except Exception as error:
            self._service.config = config
            try:
                await asyncio.to_thread(relocation.undo)
                await self._service.start()
            except (DccdError, OSError) as worse:
                raise DataFolderUnusable(
                    f"The data was moved to {relocation.target} and cannot be opened there: {error} Nor "
                    f"could work go on in {relocation.source}: {worse} Start the program again."
                ) from error
            raise DataFolderUnusable(
                f"The data cannot be opened in {relocation.target}: {error} It is in {relocation.source} "
                "again, where work goes on."
            ) from error
