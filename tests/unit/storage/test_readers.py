"""Real bars, published, read by the programs that people read Parquet with: the same bits everywhere."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import UnknownDataset, UsageError
from dccd.domain.timeutils import HOUR_NS, MS_NS, datetime_ns
from dccd.storage.export import export
from dccd.storage.scan import scan
from dccd.storage.schema import to_batch
from dccd.storage.store import Store

BARS = DatasetId.parse("binance:BTC-USDT:ohlc:1h")
FIELDS = {
    "open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "quote_volume": 7, "taker_buy_volume": 9,
    "taker_buy_quote_volume": 10,
}  # fmt: skip


@pytest.fixture(scope="module")
def columns(shared: Path) -> dict[str, list[Any]]:
    with gzip.open(shared / "datasets" / "binance_klines" / "BTCUSDT_1h.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    assert len(rows) > 37_000
    floats = {name: [float(row[place]) for row in rows] for name, place in FIELDS.items()}
    return {"ts": [row[0] * MS_NS for row in rows], **floats, "trades": [row[8] for row in rows]}


@pytest.fixture(scope="module")
def expected(columns: dict[str, list[Any]]) -> pa.Table:
    return pa.Table.from_batches([to_batch(BARS, columns)])


@pytest.fixture(scope="module")
def store(columns: dict[str, list[Any]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """All but the last 500 bars published, those in a journal; pages out of order."""
    opened = Store.open(tmp_path_factory.mktemp("data"))
    log = opened.begin_backfill(BARS, "run", source="binance")
    total = len(columns["ts"])
    pages = [(start, min(start + 1000, total - 500)) for start in range(0, total - 500, 1000)]
    for start, end in [*pages[1::2], *pages[::2]]:
        append(log, columns, start, end)
    log.finish()
    log = opened.begin_backfill(BARS, "run", source="binance")
    append(log, columns, total - 600, total)
    yield opened
    opened.close()


def append(log: Any, columns: dict[str, list[Any]], start: int, end: int) -> None:
    page = {name: values[start:end] for name, values in columns.items()}
    log.append(page, IntervalSet.of(page["ts"][0], page["ts"][-1] + HOUR_NS), None)


@pytest.fixture(scope="module")
def published(store: Store, expected: pa.Table) -> pa.Table:
    return expected.slice(0, expected.num_rows - 500)


def test_the_store_gives_back_every_bit(store: Store, expected: pa.Table) -> None:
    assert pa.Table.from_batches(store.read(BARS)).equals(expected)
    first, last = datetime_ns(expected["ts"][0].as_py()), datetime_ns(expected["ts"][-1].as_py())
    assert store.coverage(BARS).covered == IntervalSet.of(first, last + HOUR_NS)


def test_pyarrow(store: Store, published: pa.Table) -> None:
    found = pyarrow.dataset.dataset(
        store.data_path / "ohlc", format="parquet", partitioning="hive"
    ).to_table()
    assert found.select(published.schema.names).sort_by("ts").cast(published.schema).equals(published)
    assert set(found["exchange"].to_pylist()) == {"binance"}


def test_duckdb(store: Store, published: pa.Table) -> None:
    query = f"SELECT * FROM read_parquet('{store.data_path}/ohlc/**/*.parquet') ORDER BY ts"
    with duckdb.connect() as connection:
        found = connection.sql(query).to_arrow_table()
        late = connection.sql(
            f"SELECT count(*) FROM ({query}) WHERE ts >= TIMESTAMPTZ '2023-01-01 00:00:00+00'"
        )
        assert late.fetchall() == [(sum(1 for ts in published["ts"] if ts.as_py().year >= 2023),)]
    assert found.select(published.schema.names).cast(published.schema).equals(published)


def test_polars(store: Store, published: pa.Table) -> None:
    found = pl.scan_parquet(store.data_path / "ohlc", hive_partitioning=True).sort("ts").collect().to_arrow()
    assert found.select(published.schema.names).cast(published.schema).equals(published)


def test_pandas(store: Store, published: pa.Table) -> None:
    found = pd.concat([pd.read_parquet(store.data_path / info.path) for info in store.files(BARS)])
    assert pa.Table.from_pandas(found, schema=published.schema, preserve_index=False).equals(published)


@pytest.mark.parametrize("engine", ["pyarrow", "polars", "duckdb"])
def test_a_scan_has_the_newest_rows_too(store: Store, expected: pa.Table, engine: Any) -> None:
    lazy = scan("binance", "BTC/USDT", "1h", data_path=store.data_path, engine=engine)
    match engine:
        case "pyarrow":
            found = lazy.to_table()
        case "polars":
            found = lazy.collect().to_arrow()
        case _:
            found = lazy.to_arrow_table()
    assert found.cast(expected.schema).equals(expected)


def test_a_scan_of_nothing(store: Store) -> None:
    with pytest.raises(UnknownDataset):
        scan("binance", "BTC/USDT", "trades", data_path=store.data_path)
    with pytest.raises(UsageError, match="no engine"):
        scan("binance", "BTC/USDT", "1h", data_path=store.data_path, engine="excel")  # type: ignore[arg-type]


@pytest.mark.parametrize("format_", ["parquet", "csv", "arrow"])
def test_an_export_is_the_data_in_one_file(
    store: Store, expected: pa.Table, tmp_path: Path, format_: Any
) -> None:
    steps: list[tuple[int, int]] = []
    result = export(store, BARS, tmp_path, format_, progress=lambda done, total: steps.append((done, total)))
    [path] = result.files
    assert list(tmp_path.iterdir()) == [path]
    assert (result.rows, result.bytes) == (expected.num_rows, path.stat().st_size)
    assert steps[-1][0] == expected.num_rows
    assert exported(path, expected.schema).equals(expected)


@pytest.mark.parametrize("format_", ["parquet", "csv", "arrow"])
def test_an_export_of_a_range_has_its_start_and_not_its_end(
    store: Store, expected: pa.Table, tmp_path: Path, format_: Any
) -> None:
    first, end = 20_000, expected.num_rows - 200  # from the files into the journal
    start_ns, end_ns = (datetime_ns(expected["ts"][place].as_py()) for place in (first, end))
    result = export(store, BARS, tmp_path, format_, start_ns, end_ns)
    [path] = result.files
    assert result.rows == end - first
    assert "from_2024-04-13" in path.name
    assert "to_2026-04-21" in path.name
    assert exported(path, expected.schema).equals(expected.slice(first, end - first))


def exported(path: Path, schema: pa.Schema) -> pa.Table:
    match path.suffix:
        case ".parquet":
            found = pa.parquet.read_table(path)
        case ".arrow":
            found = pa.ipc.open_file(str(path)).read_all()
        case _:
            frame = pd.read_csv(path, parse_dates=["ts"])
            found = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    return found.cast(schema)


def test_a_cancelled_export_leaves_nothing(store: Store, tmp_path: Path) -> None:
    result = export(store, BARS, tmp_path, "csv", cancelled=lambda: True)
    assert (result.cancelled, result.files) == (True, ())
    assert list(tmp_path.iterdir()) == []


def test_an_export_needs_a_format_and_a_folder(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no format"):
        export(store, BARS, tmp_path, "xlsx")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no folder"):
        export(store, BARS, tmp_path / "none", "csv")
