"""A service over a real data folder, talking to a stand-in exchange over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dccd.application.config import AppConfig, parse_config
from dccd.application.jobs import JobRun
from dccd.application.requests import BackfillRequest
from dccd.application.service import Service
from dccd.application.service_factory import build_service
from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import HOUR_NS, parse_time
from dccd.storage.schema import arrow_schema
from tests.exchanges.binance import BinanceStandIn

NOW = "2024-03-01T12:20:00Z"
NOW_NS = parse_time(NOW)
HOURLY = DatasetId.parse("binance:BTC-USDT:ohlc:1h")
TRADES = DatasetId.parse("binance:BTC-USDT:trades")


@pytest.fixture
async def exchange() -> AsyncIterator[BinanceStandIn]:
    async with BinanceStandIn(now_ms=NOW_NS // 1_000_000, trades_per_s=1) as stand_in:
        yield stand_in


@pytest.fixture
def config(exchange: BinanceStandIn, data_path: Path, tmp_path: Path) -> AppConfig:
    return parse_config(exchange.config, Path("config.toml")).located(tmp_path / "config.toml", data_path)


@pytest.fixture
async def service(config: AppConfig) -> AsyncIterator[Service]:
    async with build_service(config) as started:
        yield started


def hourly(start: str | int, end: str | int | None = None) -> BackfillRequest:
    return BackfillRequest.model_validate(
        {
            "exchange": "binance",
            "symbol": "BTC/USDT",
            "data_type": "ohlc",
            "span": "1h",
            "start": start,
            "end": end,
        }
    )


async def fetched(service: Service, request: BackfillRequest) -> JobRun:
    """The run of a backfill, ended."""
    return await service.wait((await service.start_backfill(request)).run_id)


def table(service: Service, dataset: DatasetId, columns: Sequence[str] | None = None) -> pa.Table:
    """All rows of a dataset."""
    batches = service.read(dataset, columns=columns)
    return pa.Table.from_batches(batches, None if columns else arrow_schema(dataset.data_type))


def times_ns(service: Service, dataset: DatasetId) -> list[int]:
    """The times of all its rows."""
    times_us: list[Any] = table(service, dataset).column("ts").cast(pa.int64()).to_pylist()
    return [time_us * 1_000 for time_us in times_us]


def hours(start: str, end: str) -> list[int]:
    """Open times of the bars of ``[start, end)``."""
    return list(range(parse_time(start), parse_time(end), HOUR_NS))


Tree = Callable[[], list[str]]


@pytest.fixture
def tree(data_path: Path) -> Tree:
    return lambda: sorted(str(path.relative_to(data_path)) for path in data_path.rglob("*"))
