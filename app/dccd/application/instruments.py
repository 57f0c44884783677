"""Lists of instruments on disk: a search needs no network, and what was delisted stays known."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dccd.application.bound_source import BoundSource
from dccd.domain.errors import DccdError, StorageError
from dccd.domain.instrument import Instrument, InstrumentList
from dccd.domain.timeutils import DAY_NS, ns_datetime
from dccd.sources.base import Source
from dccd.storage.fs import in_words

MAX_AGE_NS = DAY_NS


class Dated(NamedTuple):
    """A list and when it was fetched, nanoseconds UTC."""

    instruments: InstrumentList
    fetched_ns: int


class InstrumentCache:
    """The lists of all exchanges, under ``{folder}/{exchange}/YYYY-MM-DD.json``.

    A copy is written when a list differs from the one before; its modification time says when the
    exchange was last asked. An instrument that the exchange lists no more stays, as inactive.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._folder, self._clock = folder, clock
        self._held: dict[str, Dated] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, source: BoundSource, *, refresh: bool = False) -> Dated:
        """The list, at most a day old where the exchange can be reached, else the newest there is.

        Parameters
        ----------
        refresh : bool
            Ask the exchange in any case, and raise when it cannot be asked.

        Raises
        ------
        ExchangeError
            No list is kept and the exchange could not be asked.
        """
        async with self._locks.setdefault(source.id, asyncio.Lock()):
            held = self._held.get(source.id) or await asyncio.to_thread(self._load, source.id)
            if held is None or refresh or self._clock() - held.fetched_ns >= MAX_AGE_NS:
                try:
                    fetched = await BoundSource.instruments(source, refresh=True)
                except DccdError as error:
                    if held is None or refresh or not error.retryable:
                        raise
                else:
                    whole = not source.listing_errors
                    held = Dated(_with_missing(fetched, held, listed=not whole), self._clock())
                    await asyncio.to_thread(self._save, source.id, held)
            self._held[source.id] = held
            return held

    def _newest(self, exchange: str) -> Path | None:
        return max((self._folder / exchange).glob("????-??-??.json"), default=None)

    def _load(self, exchange: str) -> Dated | None:
        newest = self._newest(exchange)
        if newest is None:
            return None
        try:
            items = msgspec.json.decode(newest.read_bytes(), type=list[Instrument])
            return Dated(InstrumentList(exchange, items), newest.stat().st_mtime_ns)
        except (OSError, msgspec.MsgspecError):
            return None  # a copy that cannot be read is fetched anew

    def _save(self, exchange: str, held: Dated) -> None:
        content = msgspec.json.encode(sorted(held.instruments, key=lambda item: str(item.symbol)))
        newest = self._newest(exchange)
        target = self._folder / exchange / f"{ns_datetime(held.fetched_ns):%Y-%m-%d}.json"
        temporary = target.with_suffix(".tmp")
        try:
            with in_words(f"keeping {exchange}'s list of instruments in {target.parent}"):
                if newest is None or newest.read_bytes() != content:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    temporary.write_bytes(content)
                    temporary.replace(target)
                    newest = target
                os.utime(newest, ns=(held.fetched_ns, held.fetched_ns))
        except StorageError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def _with_missing(fetched: InstrumentList, before: Dated | None, *, listed: bool) -> InstrumentList:
    """The list with what the one before had and it has not: delisted, unless a market's list is missing."""
    if before is None:
        return fetched
    known = {item.symbol for item in fetched}
    gone = [item for item in before.instruments if item.symbol not in known]
    return InstrumentList(
        fetched.exchange, [*fetched, *(gone if listed else (replace(item, active=False) for item in gone))]
    )


class ListedSource(BoundSource):
    """A bound source whose instruments are kept on disk; takes what :class:`BoundSource` takes.

    Parameters
    ----------
    cache : InstrumentCache
    """

    def __init__(self, source: Source, *, cache: InstrumentCache, **options: Any) -> None:
        super().__init__(source, **options)
        self._cache = cache

    async def instruments(self, *, refresh: bool = False) -> InstrumentList:
        """All instruments of all the exchange's markets; see :meth:`InstrumentCache.get`."""
        return (await self._cache.get(self, refresh=refresh)).instruments
