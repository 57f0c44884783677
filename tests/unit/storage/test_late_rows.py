"""Rows of every data type that come late, out of order, again or with other fields, into files too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.gaps import GapCause
from dccd.domain.records import SCHEMAS, Column, Kind
from dccd.domain.timeutils import HOUR_NS, MINUTE_NS
from dccd.domain.types import DataType
from dccd.storage.scan import snapshot
from dccd.storage.schema import to_batch
from dccd.storage.store import Store

DATASETS = {
    each.data_type: each
    for each in (
        DatasetId.parse(f"binance:BTC-USDT:{name}")
        for name in ("ohlc:1m", "trades", "funding", "open_interest:5m", "orderbook:5", "book_updates")
    )
}
FEB = 1_706_745_600_000_000_000
VALUES: dict[Kind, Any] = {Kind.FLOAT: 1.5, Kind.INT: 7, Kind.TEXT: "7", Kind.SIDE: "buy", Kind.BOOL: False}


@pytest.fixture
def store(data_path: Path) -> Iterator[Store]:
    opened = Store.open(data_path)
    yield opened
    opened.close()


def row(data_type: DataType, minute: int) -> dict[str, Any]:
    """A row with every field, another one each minute."""
    ts = FEB + minute * MINUTE_NS + 100  # with digits below the microsecond
    made = {c.name: VALUES.get(c.kind, ts) for c in SCHEMAS[data_type].columns if c.kind is not Kind.SUB_NS}
    made |= {"recv_no": minute} if "recv_no" in made else {}
    return made | ({"tid": str(minute), "tid_num": minute} if "tid" in made else {})


def page(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [each[name] for each in rows] for name in rows[0]}


def span(first: int, last: int) -> IntervalSet:
    return IntervalSet.of(FEB + first * MINUTE_NS, FEB + last * MINUTE_NS)


def append(store: Store, dataset: DatasetId, rows: list[dict[str, Any]], covered: IntervalSet) -> None:
    log = store.begin_backfill(dataset, "run", source="binance")
    log.append(page(rows) if rows else {}, covered, None)
    log.close()


def minutes(store: Store, dataset: DatasetId) -> list[int]:
    """Which minutes have rows; the same to every reader."""
    tables = list(store.read(dataset))
    scanned = pa.concat_tables([pq.read_table(path) for path in snapshot(store.data_path, dataset)])
    assert pa.Table.from_batches(tables, scanned.schema).equals(scanned)
    assert set(scanned["ts_sub_ns"].to_pylist()) == {100}
    times_us: list[Any] = scanned["ts"].cast(pa.int64()).to_pylist()
    return [(us * 1000 - FEB) // MINUTE_NS for us in times_us]


@pytest.mark.parametrize("data_type", DATASETS)
def test_late_and_unordered_rows_find_their_place(store: Store, data_type: DataType) -> None:
    dataset = DATASETS[data_type]
    append(store, dataset, [row(data_type, n) for n in (0, 5, 10)], span(0, 11))
    store.publish()
    late = [70, 7, -3, 2, 5, -65]  # unordered, one stored already, in the periods before and after too
    append(store, dataset, [row(data_type, n) for n in late], span(20, 30))
    expected = [-65, -3, 0, 2, 5, 7, 10, 70]
    for publish in (store.publish, store.publish, lambda: None):
        assert minutes(store, dataset) == expected
        assert store.coverage(dataset).covered == span(0, 11) | span(20, 30)
        publish()
    assert store.info(dataset).rows == len(expected)
    store.close()
    again = Store.open(store.data_path)
    assert minutes(again, dataset) == expected
    again.close()


@pytest.mark.parametrize("data_type", DATASETS)
def test_rows_come_into_time_that_was_covered_and_empty_or_lost(store: Store, data_type: DataType) -> None:
    dataset = DATASETS[data_type]
    store.add_asked(dataset, Interval(FEB, FEB + 3 * HOUR_NS))
    append(store, dataset, [], span(0, 120))
    store.publish()
    assert store.files(dataset) == []
    store.add_lost(dataset, Interval(FEB + 2 * HOUR_NS, FEB + 3 * HOUR_NS), GapCause.DISCONNECTED)
    append(store, dataset, [row(data_type, 30), row(data_type, 150)], IntervalSet())
    assert store.coverage(dataset).covered == span(0, 120)
    store.publish()
    assert store.coverage(dataset).covered == span(0, 120)
    assert [(gap.start_ns, gap.cause) for gap in store.gaps(dataset)] == [
        (FEB + 2 * HOUR_NS, GapCause.DISCONNECTED)
    ]
    append(store, dataset, [row(data_type, 150)], span(120, 180))
    store.publish()
    assert store.gaps(dataset) == []
    in_files = IntervalSet(item for info in store.files(dataset) for item in info.footer.covered)
    assert span(120, 180).clip(*store.files(dataset)[-1].period.interval) == in_files.clip(
        FEB + 2 * HOUR_NS, FEB + 3 * HOUR_NS
    )


NULLABLE = [
    (data_type, column)
    for data_type in DATASETS
    for column in SCHEMAS[data_type].columns
    if column.nullable and column.kind is not Kind.SUB_NS
]


@pytest.mark.parametrize("null_first", [True, False], ids=["null first", "value first"])
def test_a_null_loses_in_every_column_that_may_be_null(store: Store, null_first: bool) -> None:
    def with_null(data_type: DataType, column: Column, number: int) -> dict[str, Any]:
        return row(data_type, number) | {column.name: None}

    for known in (not null_first, null_first):
        for number, (data_type, column) in enumerate(NULLABLE):
            rows = row(data_type, number) if known else with_null(data_type, column, number)
            append(store, DATASETS[data_type], [rows], IntervalSet())
        store.publish()
    for data_type, dataset in DATASETS.items():
        found = pa.Table.from_batches(list(store.read(dataset)))
        wanted = [number for number, (each, _) in enumerate(NULLABLE) if each is data_type]
        assert found.num_rows == len(wanted)
        for name in found.column_names:
            assert found[name].null_count == 0, (data_type, name)


TWIN = {"ts": FEB, "price": 5.0, "amount": 1.0, "side": "buy"}


def test_equal_trades_of_a_session_are_counted_through_files(store: Store) -> None:
    dataset = DATASETS[DataType.TRADES]
    log = store.stream_log()
    for session, count, expected in (("a", 2, 2), ("a", 1, 3), ("b", 2, 3), ("b", 2, 4), ("c", 1, 4)):
        log.append(dataset, page([TWIN] * count), IntervalSet(), source="x", observation=session)
        log.flush()
        for publish in (store.publish, lambda: None):
            assert sum(batch.num_rows for batch in store.read(dataset)) == expected
            publish()
    append(store, dataset, [TWIN] * 6, IntervalSet())  # the page of a backfill sees all of them
    store.publish()
    assert store.info(dataset).rows == 6


def test_equal_trades_are_counted_through_a_write_that_failed(store: Store) -> None:
    dataset = DATASETS[DataType.TRADES]
    journal = store.new_journal(publishes_itself=False)
    batch = to_batch(dataset, page([TWIN]))
    store.unpublished.add(journal.append(dataset, batch, IntervalSet(), observation="a"))
    write = journal._file.append

    def fail(*_parts: object) -> None:
        raise OSError(28, "full")

    journal._file.append = fail  # type: ignore[method-assign]
    with pytest.raises(Exception, match="full"):
        journal.append(dataset, batch, IntervalSet(), observation="a")
    journal._file.append = write  # type: ignore[method-assign]
    frame = journal.append(dataset, batch, IntervalSet(), observation="a")
    assert frame.repeats == ((0, 1),)
