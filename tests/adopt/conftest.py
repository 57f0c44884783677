"""A data folder as the dccd 3 package writes it: with its own code, in an environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests import needs
from tests.adopt.recorded_rows import Row, bitfinex, book, funding, klines, open_interest, trades

HOUR_NS = 3_600_000_000_000
WRITER = Path(__file__).with_name("reference_writer.py")
# Both are imported as `dccd`, so they cannot share an environment.
UV = ("uv", "run", "--quiet", "--isolated", "--no-project", "--with", "dccd==3.8.1", "--with", "pyyaml")


class Asked(NamedTuple):
    """A dataset that the package was given, and its folder."""

    exchange: str
    symbol: str
    data_type: str
    span: int | None
    rows: list[Row]
    place: str
    dataset: str


def write_with_reference(
    folder: Path,
    datasets: Sequence[Asked],
    runs: Sequence[tuple[str, int, int]] = (),
    config: dict[str, Any] | None = None,
) -> None:
    """Have the package write a folder; what it is asked for lies beside that."""
    asked = folder.with_suffix(".asked.json")
    named = [item._asdict() for item in datasets]
    asked.write_text(json.dumps({"datasets": named, "runs": runs, "config": config}), encoding="utf-8")
    command = [*UV, "--python", sys.executable, "python", str(WRITER), str(asked), str(folder)]
    # Of this environment nothing is to be seen there, or its `dccd` would be imported.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        command, cwd=folder.parent, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        # As a skip: without a network this fails, and so says nothing of the program.
        pytest.skip(f"the dccd 3 package could not be run ({said[0]})")


@pytest.fixture(scope="session")
def asked(shared: Path) -> list[Asked]:
    """What the package is given: recorded rows of every data type that it stores."""
    hourly = klines(shared, "BTCUSDT_1h", 1500)
    return [
        Asked(
            "binance",
            "BTC/USDT",
            "ohlc",
            3600,
            hourly,
            "binance/ohlc/BTC-USDT/1h",
            "binance:BTC-USDT:ohlc:1h",
        ),
        Asked(
            "binance",
            "BTC/USDT:perp",
            "ohlc",
            900,
            klines(shared, "BTCUSDT_15m", 3000),
            "binance/ohlc/BTC-USDT_PERP/15m",
            "binance:BTC-USDT_USDT:ohlc:15m",
        ),
        Asked(
            "binance",
            "BTC/USDT",
            "ohlc",
            604800,
            klines(shared, "BTCUSDT_1w", 450),
            "binance/ohlc/BTC-USDT/1w",
            "binance:BTC-USDT:ohlc:1w",
        ),
        Asked(
            "bitfinex",
            "XBT/USD",
            "ohlc",
            60,
            bitfinex(shared, 24 * 20),
            "bitfinex/ohlc/BTC-USD/1m",
            "bitfinex:BTC-USD:ohlc:1m",
        ),
        Asked(
            "bitmex",
            "BTC/USD",
            "ohlc",
            3600,
            hourly[:50],
            "bitmex/ohlc/BTC-USD/1h",
            "bitmex:BTC-USD_BTC:ohlc:1h",
        ),
        Asked(
            "binance",
            "XRP/ETH",
            "trades",
            None,
            trades(shared),
            "binance/trades/XRP-ETH",
            "binance:XRP-ETH:trades",
        ),
        Asked(
            "kraken",
            "XRP/ETH",
            "trades",
            None,
            trades(shared, ids=False)[:3000],
            "kraken/trades/XRP-ETH",
            "kraken:XRP-ETH:trades",
        ),
        Asked(
            "binance", "BTC/USDT", "orderbook", None, book(shared, 20, 60), "binance/orderbook/BTC-USDT", ""
        ),
        Asked(
            "binance",
            "BTC/USDT:perp",
            "funding",
            None,
            funding(shared),
            "binance/funding/BTC-USDT_PERP",
            "binance:BTC-USDT_USDT:funding",
        ),
        Asked(
            "binance",
            "LTC/USDT:perp",
            "open_interest",
            86400,
            open_interest(shared),
            "binance/open_interest/LTC-USDT_PERP/1d",
            "binance:LTC-USDT_USDT:open_interest:1d",
        ),
        Asked(
            "binance", "BTC/USDT:quarter", "ohlc", 3600, hourly[:50], "binance/ohlc/BTC-USDT_QUARTER/1h", ""
        ),
    ]


@pytest.fixture(scope="session")
def written(asked: list[Asked], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the package wrote, not to be changed; see `old_folder`."""
    needs.require("reference")
    folder = tmp_path_factory.mktemp("reference") / "crypto"
    bar = asked[0].rows[700]["ts"]
    runs = [("backfill:binance:BTC/USDT:ohlc:3600s", bar + HOUR_NS // 2, bar + HOUR_NS)]
    write_with_reference(folder, asked, runs)
    return folder


@pytest.fixture
def old_folder(written: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(written, tmp_path / "crypto")
