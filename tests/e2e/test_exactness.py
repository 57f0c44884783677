"""Recorded market data goes through the whole path, and every reader there is gives it back bit for bit.

What is expected is computed from the recorded JSON here, by `float` of each number's text.
"""

from __future__ import annotations

import asyncio
import csv
import gzip
import json
import struct
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dccd
from dccd.domain.timeutils import parse_time
from dccd.interfaces.client import Client
from tests.exchanges.binance import BinanceStandIn
from tests.exchanges.engine import in_thread

NOW_MS = parse_time("2026-04-30T04:00:10Z") // 1_000_000  # ten seconds after the last recorded bar closed
MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Values = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Recorded:
    """A recording: where it lies, what it is asked for by, what it must come back as.

    Attributes
    ----------
    file
        Below the shared folder.
    symbol, data_type, span, start, end
        As `Client.backfill` takes them.
    rows
        How many there are.
    read
        The recording's columns: `ts` in microseconds, the others by their names.
    """

    file: str
    symbol: str
    data_type: str
    span: str | None
    start: str
    end: str
    rows: int
    read: Callable[[bytes], Values]

    @property
    def glob(self) -> str:
        return f"exchange=binance/symbol={self.symbol.replace('/', '-')}/" + (
            f"span={self.span}/*.parquet" if self.span else "*.parquet"
        )

    @property
    def name(self) -> dict[str, Any]:
        return {
            "exchange": "binance",
            "symbol": self.symbol,
            "data_type": self.data_type,
            "span": self.span,
        }


def recorded_klines(text: bytes) -> Values:
    rows = [json.loads(line) for line in text.splitlines()]
    places = {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "quote_volume": 7}
    places |= {"taker_buy_volume": 9, "taker_buy_quote_volume": 10}
    columns: dict[str, Sequence[Any]] = {
        name: [float(row[at]) for row in rows] for name, at in places.items()
    }
    return columns | {"ts": [row[0] * 1_000 for row in rows], "trades": [row[8] for row in rows]}


def recorded_trades(text: bytes) -> Values:
    rows = [trade["info"] for trade in json.loads(text)]
    return {
        "ts": [row["T"] * 1_000 for row in rows],
        "price": [float(row["p"]) for row in rows],
        "amount": [float(row["q"]) for row in rows],
        "side": ["sell" if row["m"] else "buy" for row in rows],  # m: the buyer was the maker
        "tid_num": [row["a"] for row in rows],
    }


KLINES = Recorded(
    "datasets/binance_klines/BTCUSDT_1h.jsonl.gz",
    "BTC/USDT", "ohlc", "1h", "2022-01-01", "2026-04-30T04:00", 37_923, recorded_klines,
)  # fmt: skip
TRADES = Recorded(
    "datasets/binance_aggtrades/XRP_ETH_binance_aggTrades_ccxt_with_info.json.gz",
    "XRP/ETH", "trades", None, "2019-10-11", "2019-10-14", 12_477, recorded_trades,
)  # fmt: skip


@dataclass(frozen=True)
class Downloaded:
    """One recording after its way through the program."""

    recorded: Recorded
    data_path: Path
    table: pa.Table
    exports: Path

    @property
    def folder(self) -> Path:
        """The data folder's part for this type of data, all partitions below it."""
        return self.data_path / self.recorded.data_type

    def export(self, suffix: str) -> Path:
        (path,) = self.exports.glob(f"*{self.recorded.data_type}*.{suffix}")
        return path


async def download(recorded: Recorded, config: Path, folder: Path) -> Downloaded:
    async with Client(config, data_path=folder / "data") as client:
        done = await client.backfill(**recorded.name, start=recorded.start, end=recorded.end)
        assert (done["state"], done["rows_written"]) == ("succeeded", recorded.rows), done
        dataset = await client.dataset_id(**recorded.name)
        (folder / "exports").mkdir(exist_ok=True)
        for form in ("parquet", "csv"):
            exported = await client.export(dataset, folder / "exports", format=form)
            assert (exported["state"], exported["rows_written"]) == ("succeeded", recorded.rows)
        table = await client.read(**recorded.name)
    return Downloaded(recorded, folder / "data", table, folder / "exports")


@pytest.fixture(scope="module")
def downloads(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Recorded, Downloaded]]:
    """Both recordings, downloaded into one data folder."""
    folder = tmp_path_factory.mktemp("exactness")
    (folder / "run").mkdir(mode=0o700)
    exchange = BinanceStandIn(shared=shared, now_ms=NOW_MS)
    with pytest.MonkeyPatch.context() as patch, in_thread(exchange):
        patch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))
        config = folder / "config.toml"
        config.write_text(exchange.config)
        yield {each: asyncio.run(download(each, config, folder)) for each in (KLINES, TRADES)}


@pytest.fixture(params=[KLINES, TRADES], ids=lambda recorded: recorded.data_type)
def downloaded(request: pytest.FixtureRequest, downloads: dict[Recorded, Downloaded]) -> Downloaded:
    return downloads[request.param]


def by_arrow(table: pa.Table) -> Values:
    """A table's columns in its own order."""
    return {
        name: column.cast(pa.int64()).to_pylist()
        if pa.types.is_timestamp(column.type)
        else column.to_pylist()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }


def by_polars(frame: pl.LazyFrame) -> Values:
    return frame.with_columns(pl.col("ts").dt.epoch("us")).collect().to_dict(as_series=False)


def by_duckdb(relation: duckdb.DuckDBPyRelation) -> Values:
    names = [name for name in relation.columns if name != "ts"]
    rows = relation.project(", ".join(["epoch_us(ts) as ts", *names])).fetchall()
    return dict(zip(["ts", *names], zip(*rows, strict=True), strict=True))


def scanned(downloaded: Downloaded, engine: Any) -> Any:
    recorded = downloaded.recorded
    return dccd.scan(
        "binance",
        recorded.symbol,
        recorded.span or recorded.data_type,
        data_path=downloaded.data_path,
        engine=engine,
    )


def exported_csv(downloaded: Downloaded) -> Values:
    """An exported CSV by Python's own reader: what is between the commas is all there is."""
    with downloaded.export("csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kinds: dict[str, Callable[[str], Any]] = {
        "ts": lambda text: (datetime.fromisoformat(text) - EPOCH) // MICROSECOND,
        "ts_sub_ns": lambda text: int(text) if text else None,
        **dict.fromkeys(("trades", "tid_num"), int),
        **dict.fromkeys(("side", "tid", "recv_ts"), str),
    }
    return {name: [kinds.get(name, float)(row[name]) for row in rows] for name in rows[0]}


def by_pandas(downloaded: Downloaded) -> Values:
    frame = pd.read_parquet(downloaded.folder)
    assert set(frame["exchange"]) == {"binance"}
    columns = {name: frame[name].tolist() for name in frame.columns}
    return columns | {
        "ts": frame["ts"].dt.as_unit("us").astype("int64").tolist(),
        "ts_sub_ns": [None if pd.isna(value) else value for value in columns["ts_sub_ns"]],
    }


READERS: dict[str, Callable[[Downloaded], Values]] = {
    "Client.read": lambda downloaded: by_arrow(downloaded.table),
    "exported Parquet": lambda downloaded: by_arrow(pq.read_table(downloaded.export("parquet"))),
    "exported CSV": exported_csv,
    "scan by pyarrow": lambda downloaded: by_arrow(scanned(downloaded, "pyarrow").to_table()),
    "scan by polars": lambda downloaded: by_polars(scanned(downloaded, "polars")),
    "scan by duckdb": lambda downloaded: by_duckdb(scanned(downloaded, "duckdb")),
    "DuckDB on the folder": lambda downloaded: by_duckdb(
        duckdb.read_parquet(str(downloaded.folder / downloaded.recorded.glob)).order("ts, filename")
    ),
    "Polars on the folder": lambda downloaded: by_polars(pl.scan_parquet(downloaded.folder)),
    "pandas on the folder": by_pandas,
}


@cache
def expected(recorded: Recorded, shared: Path) -> Values:
    return recorded.read(gzip.decompress((shared / recorded.file).read_bytes()))


def bits(values: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(values)}d", *values)


def assert_exact(recorded: Recorded, shared: Path, found: Values) -> None:
    """Compare each column with the recording; floats by their bits, so that -0.0 is not 0.0."""
    for name, values in expected(recorded, shared).items():
        assert len(found[name]) == len(values) == recorded.rows
        if isinstance(values[0], float):
            assert all(type(value) is float for value in found[name])
            assert bits(found[name]) == bits(values), name
        else:
            assert list(found[name]) == list(values), name
    assert set(found["ts_sub_ns"]) == {None}


@pytest.mark.parametrize("reader", READERS)
def test_every_value_comes_back(reader: str, downloaded: Downloaded, shared: Path) -> None:
    assert_exact(downloaded.recorded, shared, READERS[reader](downloaded))


SPARK = """
import json
import sys

from pyspark.sql import SparkSession
from pyspark.sql.functions import unix_micros

spark = (
    SparkSession.builder.master("local[1]")
    .config("spark.ui.enabled", "false")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.sql.session.timeZone", "UTC")
    .getOrCreate()
)
answer = {}
for folder in sys.argv[2:]:
    frame = spark.read.parquet(folder)
    order = [name for name in ("ts", "tid_num") if name in frame.columns]
    frame = frame.orderBy(*order).withColumn("ts", unix_micros("ts")).drop("recv_ts")
    rows = frame.collect()
    answer[folder] = {name: [row[name] for row in rows] for name in frame.columns}
spark.stop()
with open(sys.argv[1], "w") as file:
    json.dump(answer, file)  # a float's repr reads back as the same bits
"""


@pytest.mark.heavy("pyspark reads what is stored")
def test_every_value_comes_back_from_spark(
    downloads: dict[Recorded, Downloaded], spark_python: list[str], shared: Path, tmp_path: Path
) -> None:
    script, answer = tmp_path / "read_folder.py", tmp_path / "answer.json"
    script.write_text(SPARK)
    folders = {recorded: str(downloaded.folder) for recorded, downloaded in downloads.items()}
    command = [*spark_python, str(script), str(answer), *folders.values()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(answer.read_text())
    for recorded, folder in folders.items():
        assert_exact(recorded, shared, found[folder])
