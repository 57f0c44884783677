"""The program's values as the API's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import msgspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dccd.application.operations.read import RowsPage
from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.interfaces.api import convert, snippets
from dccd.interfaces.api.rows import to_json
from dccd.storage.info import Gap
from dccd.storage.schema import to_batch

MS = 1_000_000
TRADES = DatasetId.parse("binance:BTC-USDT:trades")

intervals = st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 40)), max_size=60).map(
    lambda items: IntervalSet((start * MS, (start + length) * MS) for start, length in items)
)


@given(intervals, st.integers(1, 20))
def test_shown_intervals_are_few_and_cover_what_was_there(found: IntervalSet, most: int) -> None:
    shown = convert.shown(found, most)
    assert len(shown) == min(len(found), most)
    merged = IntervalSet((start * MS, end * MS) for start, end in shown)
    assert not (found - merged)
    if found:
        assert (merged.start_ns, merged.end_ns) == (found.start_ns, found.end_ns)


def test_shown_intervals_close_the_narrowest_gaps() -> None:
    found = IntervalSet([(0, 10 * MS), (11 * MS, 20 * MS), (50 * MS, 60 * MS)])
    assert convert.shown(found, 2) == [(0, 20), (50, 60)]
    assert convert.shown(found, 1) == [(0, 60)]


def test_the_widest_gaps_are_listed_in_order_of_time() -> None:
    gaps = [Gap(start * MS, (start + length) * MS, "x") for start, length in ((0, 5), (10, 1), (20, 9))]
    assert [item.start_ms for item in convert.widest(gaps, 2)] == [0, 20]


def test_a_gap_inside_a_millisecond_is_not_empty() -> None:
    item = convert.gap(Gap(5 * MS + 1, 5 * MS + 2, "x"))
    assert (item.start_ms, item.end_ms) == (5, 6)


@given(
    st.lists(
        st.tuples(st.integers(0, 2**62), st.floats(allow_nan=False, allow_infinity=False), st.floats()),
        max_size=20,
    )
)
def test_rows_are_exact_to_the_bit_and_to_the_nanosecond(rows: list[tuple[int, float, float]]) -> None:
    columns: dict[str, Sequence[object]] = {
        "ts": [row[0] for row in rows],
        "price": [row[1] for row in rows],
        "amount": [row[2] for row in rows],
    }
    table = pa.Table.from_batches([to_batch(TRADES, columns)])
    sent = msgspec.json.decode(to_json(TRADES, RowsPage(table, None)))
    assert [column["name"] for column in sent["columns"]][:3] == ["ts", "price", "amount"]
    for (ts_ns, price, amount), cells in zip(rows, sent["rows"], strict=True):
        digits = cells[0].removesuffix("Z").partition(".")[2].ljust(9, "0")
        assert int(digits) == ts_ns % 1_000_000_000
        assert cells[1] == price
        is_number = abs(amount) < float("inf")
        assert cells[2] == (amount if is_number else None)
        assert cells[3:] == [None] * 4


@pytest.mark.parametrize("folder", ["data", 'it\'s a "data" folder'])
def test_the_snippets_work_as_they_are(tmp_path: Path, folder: str) -> None:
    dataset = DatasetId.parse("binance:BTC-USDT:ohlc:1h")
    path = tmp_path / folder / dataset.folder
    path.mkdir(parents=True)
    pq.write_table(pa.table({"ts": [1, 2, 3], "close": [1.0, 2.0, 3.0]}), path / "2020.parquet")
    code = {item.tool: item.code for item in snippets.of(dataset, tmp_path / folder)}
    assert list(code) == ["Python", "Polars", "pandas", "DuckDB", "R"]
    assert "dccd.scan('binance', 'BTC/USDT', '1h', data_path=" in code["Python"]
    relation = duckdb.sql(code["DuckDB"])
    assert relation is not None
    assert relation.fetchall()[0][:2] == (3, 3.0)
    for tool, kind in (("Polars", pl.LazyFrame), ("pandas", pd.DataFrame)):
        names: dict[str, object] = {}
        exec(code[tool], names)
        assert isinstance(names["frame"], kind)
