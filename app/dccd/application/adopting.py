"""What the dccd 3 package collected, taken over."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dccd.application.operations.adopt_config import ConfigReport, adopt_config
from dccd.application.operations.adopt_work import AdoptParams, AdoptPlan, adopt, checked, plan_adoption
from dccd.application.operations.recorded import Told, new_work_run
from dccd.application.scheduler import Submission

if TYPE_CHECKING:
    from dccd.application.service import Service


class Adopting:
    """Takes over folders of the dccd 3 package; a part of :class:`dccd.application.service.Service`."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def plan(self, folder: Path, config_file: Path | None = None) -> AdoptPlan:
        """What there is to take over from a folder of the dccd 3 package; nothing is stored.

        Raises
        ------
        UsageError
            It is none, or it and the data folder lie one in the other.
        ConfigError
            The package's configuration cannot be read.
        """
        return await asyncio.to_thread(
            plan_adoption, _adopt_params(folder, config_file), self._service.config
        )

    async def start(self, folder: Path, config_file: Path | None = None) -> Submission:
        """Take over a folder of the dccd 3 package, as a run; nothing in it is changed.

        What was taken over before is found to be the same; what was stopped goes on.

        Parameters
        ----------
        config_file : Path or None
            The package's configuration, if its settings and jobs are to be added to ours.

        Raises
        ------
        UsageError, ConfigError
            As :meth:`plan`.
        """
        await self._service.ready()
        params = _adopt_params(folder, config_file)
        listing = await asyncio.to_thread(checked, params, self._service.config)

        async def take_config() -> ConfigReport:
            assert config_file is not None
            self._service.config, report = await asyncio.to_thread(
                adopt_config, config_file, self._service.config
            )
            return report

        async def work(told: Told) -> dict[str, Any]:
            take = None if config_file is None else take_config
            return await adopt(
                listing, store=self._service.store, told=told, events=self._service.events, take_config=take
            )

        return await self._service.scheduler.submit_work(new_work_run("adopt", params), work)


def _adopt_params(folder: Path, config_file: Path | None) -> AdoptParams:
    return AdoptParams(folder=str(folder), config_file=None if config_file is None else str(config_file))
