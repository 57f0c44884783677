"""To the program that works on a data folder, running or started for it, and through it to its runs.

A client always speaks HTTP to the local API. When a dccd process holds the data folder, it talks to
that one; else it starts the same server inside this process, on loopback, and talks to it. So there
is one code path, and two programs never write to one folder.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import httpx

from dccd.application.config import AppConfig, load_config
from dccd.domain.errors import DataFolderLocked, DccdError
from dccd.interfaces.api.runtime_file import read_runtime_file

Json = dict[str, Any]
OnProgress = Callable[[Json], None]
ENDED = frozenset({"succeeded", "failed", "cancelled", "interrupted"})

_HANDOVER_S = 10.0  # how long another process may take between locking the folder and answering
_RECOVERING_POLL_S = (0.01, 0.25)  # after a clean end it takes milliseconds
_POLL_S = (0.05, 0.25)  # a short run is noticed at once, a long one costs four requests a second


class ApiError(DccdError):
    """A problem the local API answered with.

    Attributes
    ----------
    problem_code : str
        The stable code of the error behind it, see :mod:`dccd.domain.errors`.
    status : int
        The HTTP status.
    """

    code = "api"

    def __init__(self, problem: Json, status: int) -> None:
        self.problem_code = str(problem.get("code", "internal"))
        self.status = status
        super().__init__(str(problem.get("detail") or f"The local server answered {status}."))


class Connection:
    """A connection to the program of one data folder; what :class:`dccd.Client` gives its verbs to.

    Parameters
    ----------
    config_path : path or None
        Configuration file; by default ``DCCD_CONFIG``, then the user's.
    data_path : path or None
        Data folder; by default ``DCCD_DATA_PATH``, then what the configuration says.
    """

    def __init__(
        self,
        config_path: str | os.PathLike[str] | None = None,
        *,
        data_path: str | os.PathLike[str] | None = None,
    ) -> None:
        self._config_path = config_path
        self._data_path = data_path
        self._stack = AsyncExitStack()
        self._http: httpx.AsyncClient | None = None
        self._owns_program = False
        self.url = ""

    async def __aenter__(self) -> Self:
        try:
            await self._connect()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._owns_program:
                await self._wait_for_others()
        finally:
            self._http = None
            await self._stack.aclose()

    async def _connect(self) -> None:
        config = load_config(self._config_path, data_path=self._data_path)
        self.url, secret = await self._find_or_start(config)
        headers = {"Authorization": f"Bearer {secret}"}
        # No read timeout: planning may wait for an exchange. trust_env off: never through a proxy.
        timeout = httpx.Timeout(None, connect=5)
        self._http = await self._stack.enter_async_context(
            httpx.AsyncClient(base_url=self.url, headers=headers, timeout=timeout, trust_env=False)
        )

    async def _wait_for_others(self) -> None:
        """Stay until the runs have ended that other commands started through this one's program."""
        for state in ("pending", "running"):
            answer = await self.call("GET", "/api/runs", params={"state": state})
            for run in answer["runs"]:
                await self._poll_until_ended(run["run_id"], None)

    async def _find_or_start(self, config: AppConfig) -> tuple[str, str]:
        deadline = asyncio.get_running_loop().time() + _HANDOVER_S
        while True:
            running = await asyncio.to_thread(read_runtime_file, config.data_path)
            if running is not None:
                return running.url, running.secret
            # Late: a command that goes to a running program needs none of what that program is made of.
            from dccd.interfaces.program import Program

            program = Program(config)
            try:
                await program.start()
            except DataFolderLocked:
                # Another process has the lock and will say in a moment where it listens.
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.1)
                continue
            self._stack.push_async_callback(program.stop)
            self._owns_program = True
            return program.server.url, program.server.secret

    # --- runs -------------------------------------------------------------------------------------

    async def follow_started(self, started: Json, on_progress: OnProgress | None) -> Json:
        """The run once it has ended; cancelling the wait cancels the run, unless somebody else began it."""
        run_id = started["run_id"]
        try:
            return await self._poll_until_ended(run_id, on_progress)
        except asyncio.CancelledError:
            if started.get("status") != "already-running":
                await asyncio.shield(self._cancel_and_wait(run_id))
            raise

    async def _poll_until_ended(self, run_id: str, on_progress: OnProgress | None) -> Json:
        delay_s, longest_s = _POLL_S
        while True:
            run = await self.call("GET", f"/api/runs/{run_id}")
            if on_progress is not None:
                on_progress(run)
            if run["state"] in ENDED:
                return run
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 1.5, longest_s)

    async def _cancel_and_wait(self, run_id: str) -> None:
        await self.cancel(run_id)
        await self._poll_until_ended(run_id, None)

    async def cancel(self, run_id: str) -> None:
        """Ask a run to stop; what it stored stays."""
        await self.call("DELETE", f"/api/backfill/{run_id}")

    # --- the program ------------------------------------------------------------------------------

    @property
    def owns_program(self) -> bool:
        """Whether the program was started for this connection, and ends with it."""
        return self._owns_program

    async def recovered(self) -> Json:
        """What the program says of itself, once it has put the data folder in order."""
        health = await self.call("GET", "/api/health")
        delay_s, longest_s = _RECOVERING_POLL_S
        while health["recovering"] is not None:
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, longest_s)
            health = await self.call("GET", "/api/health")
        return health

    # --- plumbing ---------------------------------------------------------------------------------

    async def call(
        self, method: str, path: str, *, json: Json | None = None, params: Json | None = None
    ) -> Json:
        """One request to the local API; returns the answer's JSON.

        Raises
        ------
        ApiError
            The API answered with a problem.
        """
        answer: Json = (await self.send(method, path, json=json, params=params)).json()
        return answer

    async def send(
        self, method: str, path: str, *, json: Json | None = None, params: Json | None = None
    ) -> httpx.Response:
        """:meth:`call`, with the answer as it came."""
        try:
            response = await self._connected().request(method, path, json=json, params=params)
        except httpx.TransportError as error:
            # The program it went through has ended, as another command does when it is done. What was asked
            # is asked again of whoever has the folder now, unless it may have been begun already.
            if self._owns_program or not (method == "GET" or isinstance(error, httpx.ConnectError)):
                words = f"dccd at {self.url} no longer answers ({error}). Start it again."
                raise ApiError({"code": "network", "detail": words}, 503) from error
            await self._connect()
            response = await self._connected().request(method, path, json=json, params=params)
        _check(response)
        return response

    def _connected(self) -> httpx.AsyncClient:
        if self._http is None:
            raise RuntimeError("Use the client inside 'async with Client() as c:'.")
        return self._http


def _check(response: httpx.Response) -> None:
    if response.is_success:
        return
    try:
        problem = response.json()
    except ValueError:
        problem = {"detail": f"The local server answered {response.status_code} {response.reason_phrase}."}
    raise ApiError(problem, response.status_code)
