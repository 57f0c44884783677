"""The Python client: the four verbs over a data folder, whether or not the app runs on it.

A client always speaks HTTP to the local API. When a dccd process holds the data folder, it talks to
that one; else it starts the same server inside this process, on loopback, and talks to it. So there
is one code path, and two programs never write to one folder.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx

from dccd.application.config import AppConfig, load_config
from dccd.domain.errors import DataFolderLocked, DccdError
from dccd.domain.span import Span
from dccd.domain.timeutils import MS_NS
from dccd.interfaces.api.runtime_file import read_runtime_file

if TYPE_CHECKING:
    import pyarrow as pa

Json = dict[str, Any]
ENDED = frozenset({"succeeded", "failed", "cancelled", "interrupted"})

_HANDOVER_S = 10.0  # how long another process may take between locking the folder and answering
_PAGE_ROWS = 262_144
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


class Client:
    """Backfill, read, inventory and export from Python.

    Parameters
    ----------
    config_path : path or None
        Configuration file; by default ``DCCD_CONFIG``, then the user's.
    data_path : path or None
        Data folder; by default ``DCCD_DATA_PATH``, then what the configuration says.

    Examples
    --------
    >>> async with Client(data_path="market-data") as c:  # doctest: +SKIP
    ...     await c.backfill("binance", "BTC/USDT", "ohlc", span="1h", start="2024-01-01")
    ...     table = await c.read("binance", "BTC/USDT", "ohlc", span="1h")
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

    # --- the verbs --------------------------------------------------------------------------------

    async def plan(
        self,
        exchange: str,
        symbol: str,
        data_type: str = "ohlc",
        *,
        span: str | int | None = None,
        depth: int | None = None,
        start: str | int = "last",
        end: str | int | None = None,
    ) -> Json:
        """What a backfill would fetch: rows, requests, bytes, seconds, and what limits it."""
        body = _request(exchange, symbol, data_type, span=span, depth=depth, start=start, end=end)
        return await self.call("POST", "/api/plan", json=body)

    async def start_backfill(
        self,
        exchange: str,
        symbol: str,
        data_type: str = "ohlc",
        *,
        span: str | int | None = None,
        depth: int | None = None,
        start: str | int = "last",
        end: str | int | None = None,
    ) -> Json:
        """Start a backfill, or find the one that does the same already, without waiting.

        Returns
        -------
        dict
            ``run_id``, and ``status``: ``started`` or ``already-running``. See :meth:`backfill`.
        """
        body = _request(exchange, symbol, data_type, span=span, depth=depth, start=start, end=end)
        return await self.call("POST", "/api/backfill", json=body)

    async def backfill(
        self,
        exchange: str,
        symbol: str,
        data_type: str = "ohlc",
        *,
        span: str | int | None = None,
        depth: int | None = None,
        start: str | int = "last",
        end: str | int | None = None,
        on_progress: Callable[[Json], None] | None = None,
    ) -> Json:
        """Fetch what is missing of ``[start, end)`` and store it.

        Parameters
        ----------
        exchange, symbol : str
            ``"binance"``, ``"BTC/USDT"`` (see README for the forms of symbols).
        data_type : str
            ohlc, trades, orderbook, funding or open_interest.
        span : str, int or None
            Bar length (``"1h"`` or seconds); required for ohlc and open_interest.
        depth : int or None
            Levels a side, for orderbook.
        start : str or int
            ``"last"``, ``"origin"``, ISO-8601 or nanoseconds; inclusive.
        end : str, int or None
            ISO-8601 or nanoseconds, exclusive; None is now.
        on_progress : callable or None
            Called with the run a few times a second.

        Returns
        -------
        dict
            ``run_id``, ``rows_written``, ``state``, ``dataset`` (its id), ``start_ns`` and ``end_ns`` (the
            range it was about, once that was known); ``error`` and ``code`` when it failed.
            Cancelling the task that awaits this cancels the run, unless the same one was running already;
            what it fetched stays.
        """
        started = await self.start_backfill(
            exchange, symbol, data_type, span=span, depth=depth, start=start, end=end
        )
        return _outcome(await self._follow_started(started, on_progress))

    async def fill(self, dataset: str, *, on_progress: Callable[[Json], None] | None = None) -> Json:
        """Fetch just the gaps of a dataset, named by its id. Returns what :meth:`backfill` does."""
        started = await self.call("POST", f"/api/datasets/{dataset}/fill")
        return _outcome(await self._follow_started(started, on_progress))

    async def read(
        self,
        exchange: str,
        symbol: str,
        data_type: str = "ohlc",
        *,
        span: str | int | None = None,
        depth: int | None = None,
        start: str | int | None = None,
        end: str | int | None = None,
        limit: int | None = None,
    ) -> pa.Table:
        """Stored rows of ``[start, end)`` in order, the newest unpublished ones included.

        Returns
        -------
        pyarrow.Table
            Columns as in the files; `ts` is timestamp[us, UTC].

        Raises
        ------
        ApiError
            Nothing is stored under this name (code ``unknown_dataset``), or the request is wrong.
        """
        import pyarrow as pa

        pages = self.read_pages(
            exchange, symbol, data_type, span=span, depth=depth, start=start, end=end, limit=limit
        )
        return pa.concat_tables([page async for page in pages])

    async def read_pages(
        self,
        exchange: str,
        symbol: str,
        data_type: str = "ohlc",
        *,
        span: str | int | None = None,
        depth: int | None = None,
        start: str | int | None = None,
        end: str | int | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[pa.Table]:
        """The rows of :meth:`read` in pieces of at most 262,144, so that memory stays bounded."""
        import pyarrow as pa

        body = _request(exchange, symbol, data_type, span=span, depth=depth, start=start, end=end)
        body["format"] = "arrow"
        left, cursor = limit, None
        while True:
            page = {"limit": _PAGE_ROWS if left is None else min(left, _PAGE_ROWS)}
            if cursor is not None:
                page["cursor"] = cursor
            response = await self._send("POST", "/api/read", json=body | page)
            table = pa.ipc.open_stream(response.content).read_all()
            yield table
            cursor = response.headers.get("x-next-cursor")
            left = None if left is None else left - table.num_rows
            if cursor is None or left == 0:
                return

    async def dataset_id(
        self,
        exchange: str,
        symbol: str,
        data_type: str = "ohlc",
        *,
        span: str | int | None = None,
        depth: int | None = None,
    ) -> str:
        """The id of a dataset, such as ``binance:BTC-USDT:ohlc:1h``; it need not be stored yet."""
        body = _request(exchange, symbol, data_type, span=span, depth=depth)
        return str((await self.call("POST", "/api/find", json=body))["dataset"])

    async def inventory(self) -> list[Json]:
        """Every dataset: rows, size, time range, coverage, gaps."""
        answer = await self.call("GET", "/api/inventory")
        return list(answer["datasets"])

    async def gaps(self, dataset: str) -> list[Json]:
        """The gaps of a dataset, named by its id: ``start_ms``, ``end_ms``, ``cause``."""
        answer = await self.call("GET", f"/api/datasets/{dataset}/gaps")
        return list(answer["gaps"])

    async def export(
        self,
        datasets: str | list[str],
        folder: str | os.PathLike[str],
        *,
        format: str = "parquet",  # noqa: A002 - the word everybody expects here
        start: str | int | None = None,
        end: str | int | None = None,
        on_progress: Callable[[Json], None] | None = None,
    ) -> Json:
        """Write datasets, named by id, into a folder as parquet, csv or arrow files.

        Returns
        -------
        dict
            ``run_id``, ``rows_written``, ``state``, and ``error`` when it failed.
        """
        body: Json = {
            "datasets": [datasets] if isinstance(datasets, str) else datasets,
            "folder": _absolute(folder),
            "format": format,
        }
        body |= {key: str(value) for key, value in (("start", start), ("end", end)) if value is not None}
        started = await self.call("POST", "/api/export", json=body)
        return _outcome(await self._follow_started(started, on_progress))

    # --- runs -------------------------------------------------------------------------------------

    async def _follow_started(self, started: Json, on_progress: Callable[[Json], None] | None) -> Json:
        """The run once it has ended; cancelling the wait cancels the run, unless somebody else began it."""
        run_id = started["run_id"]
        try:
            return await self._poll_until_ended(run_id, on_progress)
        except asyncio.CancelledError:
            if started.get("status") != "already-running":
                await asyncio.shield(self._cancel_and_wait(run_id))
            raise

    async def _poll_until_ended(self, run_id: str, on_progress: Callable[[Json], None] | None) -> Json:
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
        answer: Json = (await self._send(method, path, json=json, params=params)).json()
        return answer

    async def _send(
        self, method: str, path: str, *, json: Json | None = None, params: Json | None = None
    ) -> httpx.Response:
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


def _request(exchange: str, symbol: str, data_type: str, **rest: object) -> Json:
    if isinstance(rest.get("span"), int):
        rest["span"] = str(Span.parse(rest["span"]))  # type: ignore[arg-type]
    given = {key: value for key, value in rest.items() if value is not None}
    for key in ("start", "end"):
        if key in given:
            given[key] = str(given[key])
    return {"exchange": exchange, "symbol": symbol, "data_type": data_type, **given}


def _absolute(folder: str | os.PathLike[str]) -> str:
    # The program that writes there may have another working folder than this process.
    return str(Path(folder).expanduser().absolute())


def _outcome(run: Json) -> Json:
    outcome = {key: run[key] for key in ("run_id", "rows_written", "state", "dataset")}
    for name in ("start", "end"):
        ts_ms = run[f"{name}_ms"]
        outcome[f"{name}_ns"] = None if ts_ms is None else ts_ms * MS_NS
    if run["error"] is not None:
        outcome |= {"error": run["error"]["detail"], "code": run["error"]["code"]}
    return outcome


def _check(response: httpx.Response) -> None:
    if response.is_success:
        return
    try:
        problem = response.json()
    except ValueError:
        problem = {"detail": f"The local server answered {response.status_code} {response.reason_phrase}."}
    raise ApiError(problem, response.status_code)
