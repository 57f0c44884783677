"""The history of runs: one SQLite file, ``{data_path}/.dccd/runs.db``."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

import aiosqlite

from dccd.domain.errors import CorruptFile, StorageError
from dccd.storage.sqlite_damage import reading_sqlite

_log = logging.getLogger(__name__)

SCHEMA_VERSION = 1  # a greater one comes with other columns: with these it is a flipped bit

# A run is kept as its JSON document, with the columns that lists are filtered and ordered by beside it.
_SCHEMA = """
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    operation TEXT NOT NULL,
    state TEXT NOT NULL,
    dataset TEXT,
    document TEXT NOT NULL,
    log_tail TEXT NOT NULL
) STRICT;
CREATE INDEX runs_by_time ON runs (created_at, run_id);
"""
_COLUMNS = ["run_id", "created_at", "operation", "state", "dataset", "document", "log_tail"]
_UNFINISHED = ("pending", "running")


class Run(Protocol):
    """What the store needs to know of a run; the rest of it is its own affair (a pydantic model)."""

    run_id: str
    created_at: int
    dataset: str | None
    log_tail: list[str]

    @property
    def operation(self) -> str:
        """What it does."""
        ...

    @property
    def state(self) -> StrEnum:
        """Where it stands."""
        ...

    def model_dump_json(self, *, exclude: Any = None) -> str:
        """As pydantic's."""
        ...

    def model_copy(self, *, deep: bool = False) -> Self:
        """As pydantic's."""
        ...

    @classmethod
    def model_validate_json(cls, json_data: str) -> Self:
        """As pydantic's."""
        ...


R = TypeVar("R", bound=Run)


class RunsStore(Generic[R]):
    """Runs by id and by time.

    Made by :meth:`open`. Losing the last second of it in a power cut harms nothing, so commits are not
    synced one by one.
    """

    def __init__(self, connection: aiosqlite.Connection, model: type[R], path: Path) -> None:
        self._db, self._model, self._path = connection, model, path
        self._unsaved: dict[str, R] = {}
        self._left_out: set[str] = set()

    @property
    def problems(self) -> list[str]:
        """What a person should know of it: how many of the runs that were asked for could not be read."""
        if not self._left_out:
            return []
        runs = "1 entry" if len(self._left_out) == 1 else f"{len(self._left_out):,} entries"
        text = (
            f"{runs} of the history of runs cannot be read and stay out of lists: damaged, or written by "
            "another version of dccd. No market data is in them."
        )
        return [text]

    @classmethod
    async def open(cls, path: Path, model: type[R], put_aside: Callable[[Path, str], None]) -> RunsStore[R]:
        """Open or create the file; one that is damaged is put aside and begun anew.

        Parameters
        ----------
        put_aside : callable
            Given the file and what is to be told of it; moves it to where it is kept, with what SQLite has
            beside it.

        Raises
        ------
        StorageError
            It cannot be opened or put aside now, or a newer version of the program wrote it.
        """
        try:
            return await cls._open(path, model)
        except CorruptFile as error:
            put_aside(
                path,
                f"The history of runs could not be read and was put aside ({error}). A new one was begun; no "
                "market data was in it.",
            )
            return await cls._open(path, model)

    @classmethod
    async def _open(cls, path: Path, model: type[R]) -> RunsStore[R]:
        connection = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with reading_sqlite(path):
                connection = await aiosqlite.connect(path)
                connection.text_factory = lambda text: text.decode(errors="replace")
                store = cls(connection, model, path)
                await store._prepare(path)
        except (sqlite3.Error, OSError, StorageError) as error:
            if connection is not None:
                await connection.close()
            if isinstance(error, StorageError):
                raise
            raise StorageError(
                f"Opening the history of runs, {path}, failed: {error}. It holds no market data; move it "
                "away and start again to begin a new one."
            ) from error
        return store

    async def _prepare(self, path: Path) -> None:
        # This process alone, so that no shared memory is needed: a full disk has no room for its file.
        await self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        await self._db.execute("PRAGMA journal_mode = WAL")
        await self._db.execute("PRAGMA synchronous = NORMAL")
        version = await self._one("PRAGMA user_version")
        if version == 0 and not await self._one("SELECT count(*) FROM sqlite_master"):
            await self._db.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;")
            return
        async with self._db.execute("SELECT name FROM pragma_table_info('runs')") as cursor:
            columns = [row[0] async for row in cursor]
        if version > SCHEMA_VERSION and columns != _COLUMNS:
            raise StorageError(
                f"{path} was written by a newer dccd (form {version}, this one knows {SCHEMA_VERSION}). "
                "Update dccd, or move the file away: it holds no market data."
            )
        if version != SCHEMA_VERSION or columns != _COLUMNS:
            raise CorruptFile("its form is none that dccd has written")
        fault = await self._one("PRAGMA integrity_check(1)")
        if fault != "ok":
            raise CorruptFile(fault.replace("\n", " "))
        if await self._one("SELECT 1 FROM runs WHERE NOT (json_valid(document) AND json_valid(log_tail))"):
            raise CorruptFile("a run's entry is damaged")
        await self._db.execute("DELETE FROM runs WHERE FALSE")  # one bit may forbid writing and no more
        await self._db.commit()

    async def _one(self, sql: str, values: tuple[object, ...] = ()) -> Any:
        async with self._db.execute(sql, values) as cursor:
            row = await cursor.fetchone()
        return None if row is None else row[0]

    async def close(self) -> None:
        """Close the file."""
        await self._db.close()

    async def save(self, run: R) -> None:
        """Insert a run, or replace what is kept of it.

        What cannot be written (a full disk) is kept in memory until it can: the history of a run must not
        be what ends it.
        """
        try:
            await self._write(run)
        except sqlite3.Error as error:
            _log.warning("keeping run %s in memory: %s", run.run_id, error)
            self._unsaved[run.run_id] = run.model_copy(deep=True)
            await self._db.rollback()
        else:
            self._unsaved.pop(run.run_id, None)

    async def _write(self, run: R) -> None:
        await self._db.execute(
            "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id) DO UPDATE SET "
            "state = excluded.state, dataset = excluded.dataset, document = excluded.document, "
            "log_tail = excluded.log_tail",
            (
                run.run_id,
                run.created_at,
                run.operation,
                str(run.state),
                run.dataset,
                run.model_dump_json(exclude={"log_tail"}),
                json.dumps(run.log_tail),
            ),
        )
        await self._db.commit()

    async def get(self, run_id: str) -> R | None:
        """The run with its log tail, or None."""
        if run_id in self._unsaved:
            return self._unsaved[run_id].model_copy(deep=True)
        sql = "SELECT json_set(document, '$.log_tail', json(log_tail)) FROM runs WHERE run_id = ?"
        document = await self._one(sql, (run_id,))
        return None if document is None else self._parsed(run_id, document)

    def _parsed(self, run_id: str, document: str) -> R | None:
        """A run, None when it is none that this version knows: the others are to be seen all the same."""
        try:
            with reading_sqlite(self._path):
                return self._model.model_validate_json(document)
        except CorruptFile as error:
            if run_id not in self._left_out:
                _log.warning("leaving the run %s out of the history: %s", run_id, error)
                self._left_out.add(run_id)
            return None

    async def finish_unfinished(self, change: Callable[[R], R]) -> list[R]:
        """Apply `change` to every run that an earlier process left pending or running."""
        marks = ", ".join("?" * len(_UNFINISHED))
        sql = f"SELECT run_id FROM runs WHERE state IN ({marks}) ORDER BY created_at"  # noqa: S608 - marks only
        async with self._db.execute(sql, _UNFINISHED) as cursor:
            run_ids = [row[0] async for row in cursor]
        changed = [change(run) for run_id in run_ids if (run := await self.get(run_id)) is not None]
        for run in changed:
            await self.save(run)
        return changed

    async def delete_before(self, created_at: int) -> int:
        """Forget finished runs created before this instant, nanoseconds UTC; returns how many.

        Raises
        ------
        StorageError
            They are still there.
        """
        marks = ", ".join("?" * len(_UNFINISHED))
        sql = f"DELETE FROM runs WHERE created_at < ? AND state NOT IN ({marks})"  # noqa: S608 - marks only
        try:
            async with self._db.execute(sql, (created_at, *_UNFINISHED)) as cursor:
                count = cursor.rowcount
            await self._db.commit()
        except sqlite3.Error as error:
            await self._db.rollback()
            raise StorageError(
                f"Forgetting old runs failed: {error}. They are kept until it can be."
            ) from error
        return count

    async def list(
        self,
        *,
        limit: int = 50,
        state: str | None = None,
        operation: str | None = None,
        dataset: str | None = None,
        before: str | None = None,
    ) -> list[R]:
        """The newest runs first, without their log tails.

        Parameters
        ----------
        limit : int
            So many at most.
        state, operation, dataset : str, optional
            Only runs that have these.
        before : str, optional
            Only runs older than the one with this id: to page on.
        """
        filters = {"state = ?": state, "operation = ?": operation, "dataset = ?": dataset}
        filters["(created_at, run_id) < (SELECT created_at, run_id FROM runs WHERE run_id = ?)"] = before
        used = {sql: value for sql, value in filters.items() if value is not None}
        where = f"WHERE {' AND '.join(used)}" if used else ""
        sql = f"SELECT run_id, document FROM runs {where} ORDER BY created_at DESC, run_id DESC LIMIT ?"  # noqa: S608 - no value is in it
        async with self._db.execute(sql, (*used.values(), limit)) as cursor:
            found = [self._parsed(*row) async for row in cursor]
        return [self._unsaved.get(run.run_id, run) for run in found if run is not None]
