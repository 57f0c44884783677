"""From parsed arguments to a client, and to the dataset they name."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from dccd.application.config import AppConfig, load_config
from dccd.interfaces.client import Client

# What --span means when it is left out.
DEFAULT_SPANS = {"ohlc": "1m", "open_interest": "1h"}


def config_of(arguments: Namespace) -> AppConfig:
    """The configuration, with the data folder, that the arguments name."""
    return load_config(getattr(arguments, "config", None), data_path=getattr(arguments, "data_path", None))


def connect(arguments: Namespace) -> Client:
    """The client of the data folder and configuration that the arguments name."""
    return Client(getattr(arguments, "config", None), data_path=getattr(arguments, "data_path", None))


def dataset_of(arguments: Namespace) -> dict[str, Any]:
    """The keyword arguments that name a dataset to the client."""
    return {
        "exchange": arguments.exchange,
        "symbol": arguments.symbol,
        "data_type": arguments.data_type,
        "span": arguments.span or DEFAULT_SPANS.get(arguments.data_type),
        "depth": arguments.depth,
    }
