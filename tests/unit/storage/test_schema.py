from __future__ import annotations

from array import array
from typing import Any

import pyarrow as pa
import pytest

from dccd.domain.dataset import DatasetId
from dccd.domain.errors import StorageError
from dccd.domain.records import SCHEMAS
from dccd.domain.types import DataType
from dccd.storage.schema import arrow_schema, to_batch

TRADES = DatasetId.parse("kraken:BTC-USD:trades")
BASE = 1_700_000_000_000_000_000


def page(**changes: Any) -> dict[str, Any]:
    return {"ts": [BASE, BASE + 1_500], "price": [1.5, 2.5], "amount": [1.0, 2.0], **changes}


@pytest.mark.parametrize("data_type", DataType)
def test_schemas_have_every_column_in_order(data_type: DataType) -> None:
    schema = arrow_schema(data_type)
    assert tuple(schema.names) == SCHEMAS[data_type].names
    assert schema.field("ts").type == pa.timestamp("us", tz="UTC")
    assert schema.field("ts_sub_ns").type == pa.int16()
    assert not schema.field("ts").nullable


def test_what_lies_below_the_microsecond_is_split_off() -> None:
    batch = to_batch(TRADES, page())
    assert batch["ts"].cast(pa.int64()).to_pylist() == [BASE // 1000, BASE // 1000 + 1]
    assert batch["ts_sub_ns"].to_pylist() == [None, 500]


def test_columns_left_out_are_null() -> None:
    assert to_batch(TRADES, page())["side"].to_pylist() == [None, None]


@pytest.mark.parametrize(
    "prices",
    [
        [1.5, 2.5],
        (1.5, 2.5),
        array("d", [1.5, 2.5]),
        memoryview(array("d", [1.5, 2.5])),
        pa.array([1.5, 2.5]),
        pa.chunked_array([[1.5], [2.5]]),
        pa.array([1.5, 2.5], pa.float32()),
    ],
    ids=["list", "tuple", "array", "memoryview", "arrow", "chunked", "float32"],
)
def test_any_sequence_will_do(prices: Any) -> None:
    assert to_batch(TRADES, page(price=prices))["price"].to_pylist() == [1.5, 2.5]


def test_integers_as_arrays_and_with_nulls() -> None:
    batch = to_batch(TRADES, page(ts=array("q", [BASE, BASE + 7]), tid_num=[5, None], recv_ts=[None, BASE]))
    assert batch["tid_num"].to_pylist() == [5, None]
    assert batch["recv_ts"].cast(pa.int64()).to_pylist() == [None, BASE // 1000]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"colour": [1, 2]}, "unknown columns"),
        ({"ts_sub_ns": [1, 2]}, "unknown columns"),
        ({"price": [1.0]}, "another length"),
        ({"price": [1.0, None]}, "may not be null"),
        ({"price": ["dear", "cheap"]}, "cannot be read"),
        ({"tid_num": [1 << 70, 1]}, "cannot be read"),
        ({"ts": [BASE, None]}, "null or lie outside"),
        ({"ts": [BASE, -1]}, "null or lie outside"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(StorageError, match=words):
        to_batch(TRADES, page(**changes))


def test_a_required_column_left_out_is_refused() -> None:
    with pytest.raises(StorageError, match="price may not be null"):
        to_batch(TRADES, {"ts": [BASE], "amount": [1.0]})
    with pytest.raises(StorageError, match="no column ts"):
        to_batch(TRADES, {"price": [1.0]})


def test_a_page_without_rows() -> None:
    assert to_batch(TRADES, {"ts": []}).num_rows == 0
