"""From parsed arguments to a client, and to the dataset they name."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from dccd.application.config import AppConfig, load_config
from dccd.domain.errors import DccdError, UnknownDataset
from dccd.domain.types import DataType
from dccd.interfaces.client import Client
from dccd.storage.fs import RealFileSystem
from dccd.storage.layout import Layout, refuse_foreign

# What --span means when it is left out; of open interest, where there is no other choice, what there is.
_DEFAULT_SPANS = {"ohlc": "1m", "open_interest": "1h"}


def config_of(arguments: Namespace) -> AppConfig:
    """The configuration, with the data folder, that the arguments name."""
    return load_config(getattr(arguments, "config", None), data_path=getattr(arguments, "data_path", None))


def has_data(arguments: Namespace) -> bool:
    """Whether the data folder holds anything; somebody else's state is refused where it is opened."""
    layout = Layout(config_of(arguments).data_path)
    return layout.holds_data() or layout.state.exists()


def require_data(arguments: Namespace) -> None:
    """Refuse to look into a folder that holds nothing of ours, so that looking makes none.

    Raises
    ------
    UnknownDataset
        It holds no data.
    DataFolderUnusable
        It belongs to another program.
    """
    data_path = config_of(arguments).data_path
    layout = Layout(data_path)
    if not has_data(arguments):
        refuse_foreign(RealFileSystem(), layout)  # by its files alone it can be somebody else's, too
        raise UnknownDataset(
            f"Nothing is stored in {data_path}. Download something first (dccd backfill --help), "
            "or name another folder with --data-path."
        )


@asynccontextmanager
async def connect(arguments: Namespace) -> AsyncIterator[Client]:
    """The client of the data folder and configuration that the arguments name.

    Where the program is started for this command, nobody else is told what is wrong with the data folder: it
    is said on standard error at the end.
    """
    config, data_path = getattr(arguments, "config", None), getattr(arguments, "data_path", None)
    async with Client(config, data_path=data_path) as client:
        if not client.owns_program:
            yield client
            return
        problems = (await client.recovered())["problems"]  # the command may make them good
        try:
            yield client
        finally:
            with suppress(DccdError):
                problems += (await client.recovered())["problems"]
            for problem in dict.fromkeys(problems):
                print(f"dccd: {problem}", file=sys.stderr)


def dataset_of(arguments: Namespace) -> dict[str, Any]:
    """The keyword arguments that name a dataset to the client."""
    return {
        "exchange": arguments.exchange,
        "symbol": arguments.symbol,
        "data_type": arguments.data_type,
        "span": arguments.span or _default_span(arguments.exchange, arguments.data_type),
        "depth": arguments.depth,
    }


def _default_span(exchange: str, data_type: str) -> str | None:
    default = _DEFAULT_SPANS.get(data_type)
    if data_type != DataType.OPEN_INTEREST:
        return default
    from dccd.application.service_factory import SOURCES  # takes its time, and this is rarely asked for

    offered = {
        span
        for source in SOURCES
        for capability in source.capabilities
        for spans in capability.spans.values()
        for span in spans
        if (source.id, capability.data_type) == (exchange.strip().lower(), data_type)
    }
    return offered.pop() if len(offered) == 1 else default
