"""The program's HTTP server: 127.0.0.1 alone, in the loop it is started in, over one service."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import uvicorn

from dccd.domain.errors import DccdError, UsageError
from dccd.interfaces.api.access import Access
from dccd.interfaces.api.app import build_app
from dccd.interfaces.api.context import Context, Hooks
from dccd.interfaces.api.runtime_file import remove_runtime_file, write_runtime_file

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp

    from dccd.application.service import Service

HOST = "127.0.0.1"


class LocalServer(Hooks):
    """Serves the API and the window's page over a started :class:`Service`.

    Attributes
    ----------
    url : str
        ``http://127.0.0.1:port``, once started.
    secret : str
        Bearer token of the command line and other programs of the same user; may name paths.
    on_raise, choose_folder, on_quit
        What the desktop or the command line can do for the API, see :class:`Hooks`; set any time.

    Parameters
    ----------
    port
        0 takes any free one.
    """

    def __init__(self, service: Service, *, port: int = 0) -> None:
        self._service, self._port = service, port
        self._access = Access()
        self._context: Context | None = None
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self.secret = self._access.secret
        self.url = ""

    async def start(self) -> str:
        """Begin to serve, and leave the address and the secret in the runtime file; returns the address.

        Raises
        ------
        UsageError
            The port is taken.
        DccdError
            The server ended before it began.
        """
        listening = _listen(self._port)
        # A browser leaves the scheme's own port out of Host.
        port = listening.getsockname()[1]
        self.url = f"http://{HOST}" if port == 80 else f"http://{HOST}:{port}"
        self._context = Context(self._service, self._access, self.url, time.monotonic(), self)
        self._server = _Server(build_app(self._context))
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]), name="dccd-api")
        await self._begun(self._server, self._serving, listening)
        write_runtime_file(self._service.data_path, self.url, self.secret)
        self._service.on_moved.append(self._follow)
        return self.url

    def _follow(self, old_data_path: Path) -> None:
        """The data is in another folder now: be found by that one."""
        remove_runtime_file(old_data_path)
        write_runtime_file(self._service.data_path, self.url, self.secret)

    async def _begun(self, server: _Server, serving: asyncio.Task[None], listening: socket.socket) -> None:
        """Return once it serves; it may also have ended before."""
        ready = asyncio.create_task(server.ready.wait())
        await asyncio.wait((ready, serving), return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            return
        ready.cancel()
        listening.close()
        self._server = self._serving = self._context = None
        error = serving.exception()
        raise DccdError(f"The local server ended before it began ({error}). Start dccd again.") from error

    async def stop(self) -> None:
        """Take the runtime file away, end event streams, let other answers finish briefly; idempotent."""
        if self._server is None or self._serving is None or self._context is None:
            return
        self._service.on_moved.remove(self._follow)
        remove_runtime_file(self._service.data_path)
        self._context.closing.set()
        self._server.stop()
        await self._serving
        self._server = self._serving = self._context = None

    def new_ticket(self, *, lasting: bool = False) -> str:
        """A ticket for one page: good for a minute or, if `lasting`, until it is used."""
        return self._access.new_ticket(lasting=lasting)

    def page_url(self, *, lasting: bool = False) -> str:
        """The page's address with a fresh ticket in its fragment, which no request carries."""
        return f"{self.url}/#ticket={self.new_ticket(lasting=lasting)}"


class _Server(uvicorn.Server):
    """uvicorn that leaves signals alone and waits on events instead of polling ten times a second."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self.ready = asyncio.Event()
        self._stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        await self._stopping.wait()

    def stop(self) -> None:
        self._stopping.set()


def _listen(port: int) -> socket.socket:
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it each answer takes 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # On Windows SO_REUSEADDR would let another program take the port from under us.
    exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None) if sys.platform == "win32" else None
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR if exclusive is None else exclusive, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        listening.close()
        raise UsageError(
            f"Port {port} of {HOST} cannot be used ({error.strerror}). Choose another, or 0 for any free one."
        ) from error
    listening.listen(128)
    listening.setblocking(False)
    return listening
