"""Where every part is made and wired: a new exchange is one line here."""

from __future__ import annotations

import asyncio
from pathlib import Path

from dccd.application.config import AppConfig, SourceConfig
from dccd.application.instruments import InstrumentCache, ListedSource
from dccd.application.jobs import JobRun
from dccd.application.operations.plan import Registry
from dccd.application.service import Parts, Service
from dccd.domain.errors import ConfigError
from dccd.sources.base import Source
from dccd.sources.binance import BINANCE
from dccd.sources.bitfinex import BITFINEX
from dccd.sources.bitmex import BITMEX
from dccd.sources.bybit import BYBIT
from dccd.sources.coinbase import COINBASE
from dccd.sources.deribit import DERIBIT
from dccd.sources.kraken import KRAKEN
from dccd.sources.krakenfutures import KRAKENFUTURES
from dccd.sources.okx import OKX
from dccd.sources.registry import SourceRegistry
from dccd.storage.runs_sqlite import RunsStore
from dccd.storage.store import Store

SOURCES: tuple[Source, ...] = (
    BINANCE,
    BITFINEX,
    BITMEX,
    BYBIT,
    COINBASE,
    DERIBIT,
    KRAKEN,
    KRAKENFUTURES,
    OKX,
)


def build_service(config: AppConfig, *, data_path: Path | None = None) -> Service:
    """The whole program over one data folder; nothing is opened before it is started.

    Parameters
    ----------
    data_path : Path, optional
        Instead of the one the configuration says.
    """
    return Service(config if data_path is None else config.located(config.path, data_path), _open)


async def _open(config: AppConfig) -> Parts:
    check_sources(config)
    store = await asyncio.to_thread(build_store, config.data_path)
    try:
        runs = await build_runs_store(store)
    except BaseException:
        await asyncio.to_thread(store.close)
        raise
    return Parts(build_registry(config), store, runs)


def build_registry(config: AppConfig) -> Registry:
    """The exchanges that are enabled, each bound to its transport as configured.

    Raises
    ------
    ConfigError
        A section or a setting of ``[sources]`` is none.
    """
    check_sources(config)
    cache = InstrumentCache(config.data_path / ".dccd" / "instruments")
    sections = {source.id: config.sources.get(source.id, SourceConfig()) for source in SOURCES}
    return SourceRegistry(
        ListedSource(
            source,
            cache=cache,
            urls=sections[source.id].hosts,
            units=sections[source.id].budgets,
            proxy=sections[source.id].proxy,
            downloads=config.data_path / ".dccd" / "downloads",
        )
        for source in SOURCES
        if sections[source.id].enabled
    )


def check_sources(config: AppConfig) -> None:
    """Refuse names in ``[sources]`` that nothing listens to; part of ``dccd validate``.

    Raises
    ------
    ConfigError
        Names the setting, and those there are.
    """
    by_id = {source.id: source for source in SOURCES}
    for exchange, section in config.sources.items():
        source = by_id.get(exchange)
        if source is None:
            raise ConfigError(
                f"{config.path}: [sources.{exchange}]: there is no exchange {exchange!r}. "
                f"Known: {', '.join(sorted(by_id))}."
            )
        hosts = sorted({host.setting for host in source.hosts.values()})
        for name in section.hosts.keys() - set(hosts):
            raise ConfigError(
                f"{config.path}: sources.{exchange}.{name}: {source.name} has no such host. "
                f"There are {', '.join(hosts)}."
            )
        for name in section.budgets.keys() - source.budgets.keys():
            raise ConfigError(
                f"{config.path}: sources.{exchange}.budgets.{name}: {source.name} has no such budget. "
                f"There are {', '.join(sorted(source.budgets))}."
            )


def build_store(data_path: Path) -> Store:
    """The store of a data folder, locked, and still to be recovered.

    Raises
    ------
    DataFolderLocked, DataFolderUnusable, StorageError
    """
    return Store.open(data_path, recover=False)


async def build_runs_store(store: Store) -> RunsStore[JobRun]:
    """The history of runs of a data folder that is open."""
    path = store.data_path / ".dccd" / "runs.db"
    return await RunsStore[JobRun].open(path, JobRun, store.put_aside)
