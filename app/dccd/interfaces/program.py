"""The program as a whole, whatever shows it: the service and its server, started and stopped together."""

from __future__ import annotations

from dccd.application.config import AppConfig
from dccd.application.service import Service
from dccd.application.service_factory import build_service
from dccd.interfaces.server import LocalServer


class Program:
    """A service with its local server; the desktop, ``dccd serve`` and :class:`Client` all run this.

    Attributes
    ----------
    service : Service
    server : LocalServer
    """

    def __init__(self, config: AppConfig, *, port: int = 0) -> None:
        self.service: Service = build_service(config)
        self.server = LocalServer(self.service, port=port)

    async def start(self) -> str:
        """Lock the data folder, recover it, and serve; returns the address.

        Raises
        ------
        DataFolderLocked
            Another process works on the folder.
        StorageError
            The folder cannot be used.
        UsageError
            The port is taken.
        """
        await self.service.start()
        try:
            return await self.server.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop serving, then stop the work with nothing lost."""
        await self.server.stop()
        await self.service.stop()
