"""The real server over a real service, on a socket of its own, for tests of the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from dccd.application.config import AppConfig, load_config
from dccd.application.service import Service
from dccd.application.service_factory import build_service
from dccd.interfaces.server import LocalServer


@dataclass
class Running:
    """A started server, its service, and clients with and without rights."""

    service: Service
    server: LocalServer
    local: httpx.AsyncClient
    anyone: httpx.AsyncClient

    @property
    def host(self) -> str:
        """``127.0.0.1:port``."""
        return self.server.url.removeprefix("http://")

    async def page(self) -> httpx.AsyncClient:
        """A client with a page's token, got as a page gets it."""
        answer = await self.anyone.post("/api/session", json={"ticket": self.server.new_ticket()})
        return client(self.server.url, answer.json()["token"])


def client(url: str, token: str | None = None) -> httpx.AsyncClient:
    """A client that no proxy of the environment stands in the way of."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=20)


def config(folder: Path, text: str = "") -> AppConfig:
    """A configuration file with this text, and a data folder, both under `folder`."""
    file = folder / "config.toml"
    file.write_text(text, encoding="utf-8")
    return load_config(file, data_path=folder / "data")


@asynccontextmanager
async def running(settings: AppConfig) -> AsyncIterator[Running]:
    """Start and stop it all."""
    async with build_service(settings) as service:
        server = LocalServer(service)
        url = await server.start()
        try:
            async with client(url, server.secret) as local, client(url) as anyone:
                yield Running(service, server, local, anyone)
        finally:
            await server.stop()
