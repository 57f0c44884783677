"""The Python client: the verbs over a data folder, whether or not the app runs on it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from dccd.domain.errors import RunsUnderWay
from dccd.domain.span import Span
from dccd.domain.timeutils import MS_NS
from dccd.interfaces.client.connection import Connection, Json, OnProgress

if TYPE_CHECKING:
    import pyarrow as pa

_PAGE_ROWS = 262_144


class Client(Connection):
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
        transport: str = "auto",
    ) -> Json:
        """What a backfill would fetch: rows, requests, bytes, seconds, and what limits it."""
        asked = {"span": span, "depth": depth, "start": start, "end": end, "transport": transport}
        body = _request(exchange, symbol, data_type, **asked)
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
        transport: str = "auto",
        derive_from: str | None = None,
    ) -> Json:
        """Start a backfill, or find the one that does the same already, without waiting.

        Returns
        -------
        dict
            ``run_id``, and ``status``: ``started`` or ``already-running``. See :meth:`backfill`.
        """
        asked = {"span": span, "depth": depth, "start": start, "end": end, "transport": transport}
        body = _request(exchange, symbol, data_type, **asked)
        if derive_from is not None:
            body["derive_from"] = derive_from
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
        transport: str = "auto",
        derive_from: str | None = None,
        on_progress: OnProgress | None = None,
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
        transport : str
            ``"rest"``, the exchange's API; ``"archive"``, its public files; ``"auto"``, the best of both.
        derive_from : str or None
            ``"trades"`` makes the bars from stored trades, of any span, and fetches nothing.
        on_progress : callable or None
            Called with the run a few times a second.

        Returns
        -------
        dict
            ``run_id``, ``rows_written``, ``state``, ``dataset`` (its id), ``start_ns`` and ``end_ns`` (the
            range it was about, once that was known); ``not_served``, a list of ``[start_ns, end_ns]``, and
            ``why`` where part of it is not to be had; ``error`` and ``code`` when it failed.
            Cancelling the task that awaits this cancels the run, unless the same one was running already;
            what it fetched stays.
        """
        started = await self.start_backfill(
            exchange,
            symbol,
            data_type,
            span=span,
            depth=depth,
            start=start,
            end=end,
            transport=transport,
            derive_from=derive_from,
        )
        return _outcome(await self.follow_started(started, on_progress))

    async def fill(self, dataset: str, *, on_progress: OnProgress | None = None) -> Json:
        """Fetch just the gaps of a dataset, named by its id. Returns what :meth:`backfill` does."""
        started = await self.call("POST", f"/api/datasets/{_part(dataset)}/fill")
        return _outcome(await self.follow_started(started, on_progress))

    async def start_repair(self, datasets: list[str] | None = None) -> list[Json]:
        """Start to fetch the gaps of some datasets, named by id, or of all.

        Returns
        -------
        list of dict
            For each with gaps ``dataset``, ``run_id`` and ``status``; no run, and ``why``, where its gaps are
            not to be had.
        """
        body: Json = {} if datasets is None else {"datasets": datasets}
        answer = await self.call("POST", "/api/repair", json=body)
        return list(answer["repairs"])

    async def check(
        self,
        dataset: str,
        *,
        windows: int | None = None,
        seed: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> Json:
        """Fetch random covered windows of a dataset again, and compare them with what is stored.

        Parameters
        ----------
        dataset : str
            Its id.
        windows : int or None
            At most so many; None is ten.
        seed : int or None
            The same seed on the same coverage draws the same windows.

        Returns
        -------
        dict
            What :meth:`backfill` does, and ``result``, see `docs/api.md`.
        """
        given = (("windows", windows), ("seed", seed))
        body = {name: value for name, value in given if value is not None}
        started = await self.call("POST", f"/api/datasets/{_part(dataset)}/check", json=body)
        run = await self.follow_started(started, on_progress)
        return _outcome(run) | {"result": run["result"]}

    async def doctor(
        self,
        exchanges: list[str] | None = None,
        *,
        wait_s: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Json:
        """Try what exchanges, or all of them, are declared to offer, each once and small.

        Parameters
        ----------
        wait_s : float or None
            How long each answer, or live message, may take; None is 20.

        Returns
        -------
        dict
            What :meth:`backfill` does, and ``result``, see `docs/api.md`.
        """
        given = (("exchanges", exchanges), ("wait_s", wait_s))
        body = {name: value for name, value in given if value is not None}
        run = await self.follow_started(await self.call("POST", "/api/doctor", json=body), on_progress)
        return _outcome(run) | {"result": run["result"]}

    async def audit(
        self,
        dataset: str,
        *,
        start: str | int | None = None,
        end: str | int | None = None,
        on_progress: OnProgress | None = None,
    ) -> Json:
        """Compare stored bars with what the stored trades make; see :meth:`check` for what is returned."""
        body = {name: str(value) for name, value in (("start", start), ("end", end)) if value is not None}
        started = await self.call("POST", f"/api/datasets/{_part(dataset)}/audit", json=body)
        run = await self.follow_started(started, on_progress)
        return _outcome(run) | {"result": run["result"]}

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
            response = await self.send("POST", "/api/read", json=body | page)
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

    async def capabilities(self) -> list[Json]:
        """What each exchange offers, what that is known from, and what checks here have confirmed of it."""
        return list((await self.call("GET", "/api/capabilities"))["exchanges"])

    async def inventory(self) -> list[Json]:
        """Every dataset: rows, size, time range, coverage, gaps; once the data folder is recovered.

        Raises
        ------
        ApiError
            Recovering it failed.
        """
        await self.recovered()  # till then it is what the last process knew
        await self.trash()  # so too after a recovery that failed, which this question does not let pass
        answer = await self.call("GET", "/api/inventory")
        return list(answer["datasets"])

    async def gaps(self, dataset: str) -> list[Json]:
        """The gaps of a dataset, named by its id: ``start_ms``, ``end_ms``, ``cause``."""
        answer = await self.call("GET", f"/api/datasets/{_part(dataset)}/gaps")
        return list(answer["gaps"])

    async def export(
        self,
        datasets: str | list[str],
        folder: str | os.PathLike[str],
        *,
        format: str = "parquet",  # noqa: A002 - the word everybody expects here
        start: str | int | None = None,
        end: str | int | None = None,
        certificate: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Json:
        """Write datasets, named by id, into a folder as parquet, csv or arrow files.

        Parameters
        ----------
        certificate : bool
            Whether a file beside each says what it holds and lacks.

        Returns
        -------
        dict
            ``run_id``, ``rows_written``, ``state``, and ``error`` when it failed.
        """
        body: Json = {
            "datasets": [datasets] if isinstance(datasets, str) else datasets,
            "folder": _absolute(folder),
            "format": format,
            "certificate": certificate,
        }
        body |= {key: str(value) for key, value in (("start", start), ("end", end)) if value is not None}
        started = await self.call("POST", "/api/export", json=body)
        return _outcome(await self.follow_started(started, on_progress))

    async def adopt(
        self,
        folder: str | os.PathLike[str],
        *,
        config_file: str | os.PathLike[str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> Json:
        """Take over the data folder of the dccd 3 package; nothing in it is changed.

        Parameters
        ----------
        config_file : path or None
            The package's YAML configuration, if its settings and jobs are to be added to ours.

        Returns
        -------
        dict
            ``run_id``, ``rows_written``, ``state``, ``result`` (what came of each dataset, what was not taken
            and why; None when it failed), and ``error`` when it failed.
        """
        body = {"folder": _absolute(folder)}
        if config_file is not None:
            body["config_file"] = _absolute(config_file)
        started = await self.call("POST", "/api/adopt", json=body)
        run = await self.follow_started(started, on_progress)
        return _outcome(run) | {"result": run["result"]}

    async def verify(
        self,
        datasets: list[str] | None = None,
        *,
        mend: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Json:
        """Read datasets, named by id, or all, again and compare every byte with what was written.

        Parameters
        ----------
        mend : bool
            Put damaged files aside: their time is a gap then, for :meth:`repair`.

        Returns
        -------
        dict
            What :meth:`backfill` does, and ``result``, see `docs/api.md`.
        """
        body: Json = {"mend": mend} | ({} if datasets is None else {"datasets": datasets})
        run = await self.follow_started(await self.call("POST", "/api/verify", json=body), on_progress)
        return _outcome(run) | {"result": run["result"]}

    async def certificate(self, dataset: str) -> Json:
        """What the files of a dataset, named by its id, hold and lack; see `docs/certificate.md`."""
        return await self.call("GET", f"/api/datasets/{_part(dataset)}/certificate")

    async def delete(self, dataset: str) -> Json:
        """Move a dataset, named by its id, to the trash; ``id`` of the answer is for :meth:`restore`."""
        return await self.call("DELETE", f"/api/datasets/{_part(dataset)}")

    async def trash(self) -> list[Json]:
        """What lies in the trash, the oldest first."""
        return list((await self.call("GET", "/api/trash"))["items"])

    async def restore(self, entry: str) -> Json:
        """Put a deleted dataset back."""
        return await self.call("POST", f"/api/trash/{_part(entry)}/restore")

    async def empty_trash(self) -> list[Json]:
        """Remove for good all that lies in the trash; returns what was removed."""
        return list((await self.call("DELETE", "/api/trash"))["items"])

    async def move(self, folder: str | os.PathLike[str], *, on_progress: OnProgress | None = None) -> Json:
        """Move all data to another folder, empty or new; work goes on there, and the old one says where.

        Returns
        -------
        dict
            ``run_id``, ``state``, ``folder`` (absolute), and ``error`` when it failed: then all is as it was.

        Raises
        ------
        RunsUnderWay
            Other runs are; nothing was copied.
        ApiError
            The folder cannot be used, or other runs are under way when it comes to changing over
            (``runs_under_way``): what was copied is taken up by the next attempt.
        """
        # What is copied cannot be changed over to while something writes: that is said before, not after.
        if running := (await self.call("GET", "/api/health"))["running"]:
            raise RunsUnderWay(running)
        place = _absolute(folder)
        started = await self.call("POST", "/api/folder/move", json={"folder": place})
        outcome = _outcome(await self.follow_started(started, on_progress)) | {"folder": place}
        if outcome["state"] == "succeeded":
            await self.call("POST", "/api/folder/switch")
        return outcome


def _request(exchange: str, symbol: str, data_type: str, **rest: object) -> Json:
    if isinstance(rest.get("span"), int):
        rest["span"] = str(Span.parse(rest["span"]))  # type: ignore[arg-type]
    given = {key: value for key, value in rest.items() if value is not None}
    for key in ("start", "end"):
        if key in given:
            given[key] = str(given[key])
    return {"exchange": exchange, "symbol": symbol, "data_type": data_type, **given}


def _part(name: str) -> str:
    """A name as one part of a path, whatever is in it: dots as well, as they mean folders when alone."""
    return quote(name, safe="").replace(".", "%2E")


def _absolute(folder: str | os.PathLike[str]) -> str:
    # The program that writes there may have another working folder than this process.
    return str(Path(folder).expanduser().absolute())


def _outcome(run: Json) -> Json:
    outcome = {key: run[key] for key in ("run_id", "rows_written", "state", "dataset")}
    for name in ("start", "end"):
        ts_ms = run[f"{name}_ms"]
        outcome[f"{name}_ns"] = None if ts_ms is None else ts_ms * MS_NS
    if "not_served" in (run["result"] or {}):
        outcome |= {key: run["result"][key] for key in ("not_served", "why")}
    if run["error"] is not None:
        outcome |= {"error": run["error"]["detail"], "code": run["error"]["code"]}
    return outcome
