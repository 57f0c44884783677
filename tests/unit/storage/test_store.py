from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import DataFolderLocked, DataFolderUnusable, StorageError, UnknownDataset, UsageError
from dccd.domain.gaps import GapCause
from dccd.domain.timeutils import HOUR_NS, MINUTE_NS
from dccd.storage.fs import RealFileSystem
from dccd.storage.journal import Journal
from dccd.storage.lock import holder
from dccd.storage.store import Store

BARS = DatasetId.parse("binance:BTC-USDT:ohlc:1m")
TRADES = DatasetId.parse("bitfinex:BTC-USD:trades")
FEB = 1_706_745_600_000_000_000  # 2024-02-01


def bars(first: int, last: int, **more: Any) -> dict[str, Any]:
    minutes = range(first, last)
    values = [float(minute) for minute in minutes]
    names = ("open", "high", "low", "close", "volume")
    return {"ts": [FEB + m * MINUTE_NS for m in minutes], **dict.fromkeys(names, values), **more}


def span(first: int, last: int) -> IntervalSet:
    return IntervalSet.of(FEB + first * MINUTE_NS, FEB + last * MINUTE_NS)


@pytest.fixture
def store(data_path: Path) -> Iterator[Store]:
    opened = Store.open(data_path)
    yield opened
    opened.close()


def fill(store: Store, first: int, last: int, **more: Any) -> None:
    log = store.begin_backfill(BARS, "run", source="binance")
    log.append(bars(first, last, **more), span(first, last), None)
    log.finish()


def opens(store: Store, *args: Any) -> list[Any]:
    return [value for batch in store.read(BARS, *args) for value in batch["open"].to_pylist()]


def test_rows_are_read_before_and_after_publishing(store: Store) -> None:
    log = store.begin_backfill(BARS, "run", source="binance")
    log.append(bars(-5, 5), span(-5, 5), "cursor")
    assert opens(store) == [float(n) for n in range(-5, 5)]
    assert store.files(BARS) == []
    log.publish_before(FEB + 5 * MINUTE_NS)
    assert [info.period.name for info in store.files(BARS)] == ["2024-01"]
    assert opens(store) == [float(n) for n in range(-5, 5)]
    log.finish()
    log.finish()
    assert [(info.period.name, info.rows) for info in store.files(BARS)] == [("2024-01", 5), ("2024-02", 5)]
    assert opens(store) == [float(n) for n in range(-5, 5)]
    assert store.coverage(BARS).covered == span(-5, 5)
    assert store.files(BARS)[0].footer.sources == ("binance",)


def test_a_range_is_half_open_and_exact_to_the_nanosecond(store: Store) -> None:
    fill(store, 0, 10)
    at = FEB + 3 * MINUTE_NS
    assert opens(store, at, at + MINUTE_NS) == [3.0]
    assert opens(store, at + 1, at + MINUTE_NS + 1) == [4.0]
    assert opens(store, at, at) == []
    log = store.begin_backfill(TRADES, "run", source="bitfinex")
    log.append(
        {"ts": [FEB, FEB + 1, FEB + 999], "price": [1.0] * 3, "amount": [1.0] * 3}, IntervalSet(), None
    )
    log.finish()
    assert [b["ts_sub_ns"].to_pylist() for b in store.read(TRADES, FEB + 1, FEB + 999)] == [[1]]


def test_columns_can_be_chosen(store: Store) -> None:
    fill(store, 0, 3)
    [batch] = store.read(BARS, columns=["close", "ts"])
    assert batch.schema.names == ["close", "ts"]
    with pytest.raises(UsageError, match="no column colour"):
        store.read(BARS, columns=["colour"])


def test_reading_an_unknown_dataset_makes_nothing(store: Store, data_path: Path) -> None:
    before = sorted(data_path.rglob("*"))
    with pytest.raises(UnknownDataset):
        store.read(BARS)
    with pytest.raises(UnknownDataset):
        store.info(BARS)
    assert sorted(data_path.rglob("*")) == before


def test_the_same_page_twice_is_the_page_once(store: Store) -> None:
    fill(store, 0, 10)
    before = store.files(BARS)[0].sha256
    fill(store, 0, 10)
    assert opens(store) == [float(n) for n in range(10)]
    assert store.files(BARS)[0].sha256 == before


def test_a_null_never_overwrites_a_value(store: Store) -> None:
    fill(store, 0, 2, trades=[7, 8])
    fill(store, 0, 2)
    [batch] = store.read(BARS)
    assert batch["trades"].to_pylist() == [7, 8]


def test_three_identical_fills_without_ids_are_three_trades(store: Store) -> None:
    page: dict[str, Any] = {"ts": [FEB] * 3, "price": [5.0] * 3, "amount": [1.0] * 3, "side": ["buy"] * 3}
    for _ in range(2):
        log = store.begin_backfill(TRADES, "run", source="bitfinex")
        log.append(page, IntervalSet.of(FEB, FEB + 1), None)
        log.finish()
    assert store.info(TRADES).rows == 3


def test_gaps_inside_a_file_are_found_with_causes(store: Store) -> None:
    store.add_asked(BARS, Interval(FEB, FEB + HOUR_NS))
    fill(store, 0, 20)
    fill(store, 40, 60)
    gap = store.gaps(BARS)[0]
    assert (gap.start_ns, gap.end_ns, gap.cause) == (
        FEB + 20 * MINUTE_NS,
        FEB + 40 * MINUTE_NS,
        GapCause.NEVER_FETCHED,
    )
    assert not store.info(BARS).complete
    store.add_absent(BARS, Interval(gap.start_ns, gap.end_ns), "listed later")
    assert store.info(BARS).complete
    assert store.coverage(BARS).absent == span(20, 40)


def test_a_gap_is_put_down_to_what_is_known_of_it(store: Store) -> None:
    store.add_asked(BARS, Interval(FEB, FEB + HOUR_NS))
    fill(store, 0, 50)
    for first, last, cause in (
        (0, 10, GapCause.DISCONNECTED),  # covered since
        (40, 57, GapCause.COLLECTOR_DOWN),
        (55, 58, GapCause.DISK_FULL),
        (70, 80, GapCause.EXCHANGE_DOWN),  # not asked for
    ):
        (lost,) = span(first, last)
        store.add_lost(BARS, lost, cause)
    (doubted,) = span(45, 56)
    store.add_doubt(BARS, doubted, GapCause.DIFFERS)
    assert [((gap.start_ns - FEB) // MINUTE_NS, gap.cause) for gap in store.gaps(BARS)] == [
        (45, "differs from the exchange"),
        (56, "the disk was full"),
        (58, "never fetched"),
        (70, "the exchange was down"),
    ]
    assert store.coverage(BARS).covered == span(0, 45)


def test_what_was_not_asked_for_is_no_gap(store: Store) -> None:
    fill(store, 0, 10)
    fill(store, 20, 30)
    assert store.gaps(BARS) == []


def test_a_file_that_was_removed_becomes_a_gap(data_path: Path) -> None:
    store = Store.open(data_path)
    store.add_asked(BARS, Interval(FEB - HOUR_NS, FEB + HOUR_NS))
    fill(store, -60, 60)
    assert store.gaps(BARS) == []
    store.close()
    (data_path / store.files(BARS)[0].path).unlink()
    store = Store.open(data_path)
    assert [(gap.start_ns, gap.end_ns) for gap in store.gaps(BARS)] == [(FEB - HOUR_NS, FEB)]
    store.close()


def test_inventory_says_what_there_is(store: Store) -> None:
    fill(store, -5, 5)
    log = store.begin_backfill(BARS, "run", source="binance")
    log.append(bars(5, 8), span(5, 8), None)
    [info] = store.inventory()
    assert (info.rows, info.files) == (13, 2)
    assert (info.start_ns, info.end_ns) == (FEB - 5 * MINUTE_NS, FEB + 7 * MINUTE_NS)
    assert info.size_bytes == sum(file.size_bytes for file in store.files(BARS))


def test_empty_coverage_moves_into_the_file_that_comes_later(store: Store) -> None:
    log = store.begin_backfill(BARS, "run", source="binance")
    log.append({}, span(0, 30), None)
    log.finish()
    assert store.files(BARS) == []
    assert store.coverage(BARS).covered == span(0, 30)
    fill(store, 30, 40)
    assert store.files(BARS)[0].footer.covered == span(0, 40)
    assert store.coverage(BARS).covered == span(0, 40)


def test_reading_goes_on_while_the_data_is_published(store: Store) -> None:
    log = store.begin_backfill(BARS, "run", source="binance")
    log.append(bars(-50_000, 0), span(-50_000, 0), None)
    batches = store.read(BARS)
    first = next(batches)
    log.finish()
    assert not list((store.data_path / ".dccd" / "tmp").iterdir())
    assert first.num_rows + sum(batch.num_rows for batch in batches) == 50_000
    assert not list((store.data_path / ".dccd" / "journal").iterdir())


def test_many_threads_on_one_dataset(store: Store) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for page in range(6):
                fill(store, number * 60 + page * 10, number * 60 + page * 10 + 10)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert opens(store) == [float(n) for n in range(240)]
    assert store.coverage(BARS).covered == span(0, 240)


def test_one_process_at_a_time(store: Store, data_path: Path) -> None:
    with pytest.raises(DataFolderLocked, match="pid") as caught:
        Store.open(data_path)
    assert str(caught.value.holder) in str(caught.value)
    assert holder(data_path) is not None
    store.close()
    assert holder(data_path) is None
    Store.open(data_path).close()


def test_who_holds_a_folder_that_is_none(tmp_path: Path) -> None:
    assert holder(tmp_path / "none") is None
    assert not (tmp_path / "none").exists()


def test_a_closed_store_takes_nothing(store: Store) -> None:
    log = store.begin_backfill(BARS, "run", source="binance")
    store.close()
    store.close()
    with pytest.raises(StorageError, match="closed"):
        log.append(bars(0, 1), span(0, 1), None)


def test_a_file_is_no_data_folder(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    with pytest.raises(DataFolderUnusable, match="is a file"):
        Store.open(path)


def test_a_strange_file_is_put_aside(store: Store, data_path: Path) -> None:
    fill(store, 0, 1)
    store.close()
    strange = (data_path / store.files(BARS)[0].path).with_name("2023-01.parquet")
    strange.write_bytes(b"PAR1 not at all PAR1")
    again = Store.open(data_path)
    assert not strange.exists()
    assert "its footer is damaged" in again.problems[0].text
    assert opens(again) == [0.0]
    again.close()


def test_batches_have_the_schema_on_disk(store: Store) -> None:
    fill(store, 0, 1)
    [batch] = store.read(BARS)
    assert batch.schema.field("ts").type == pa.timestamp("us", "UTC")
    assert batch.schema.field("ts_sub_ns").type == pa.int16()


@pytest.mark.parametrize("rows", [10, 0], ids=["with rows", "without"])
@pytest.mark.parametrize(
    ("part", "method"),
    [
        ("unpublished", "covered"),
        ("unpublished", "knows"),
        ("unpublished", "datasets"),
        ("coverage", "get"),
        ("catalog", "covered"),
        ("catalog", "files"),
    ],
)
def test_what_is_published_while_it_is_asked_for_is_never_missed(
    store: Store, monkeypatch: pytest.MonkeyPatch, part: str, method: str, rows: int
) -> None:
    log = store.begin_backfill(BARS, "run", source="binance")
    log.append(bars(0, rows) if rows else {}, span(0, 10), None)
    log.close()
    owner = getattr(store._parts, part)
    ask = getattr(owner, method)

    def published_first(*args: Any) -> Any:
        monkeypatch.setattr(owner, method, ask)
        store.publish(BARS)
        return ask(*args)

    monkeypatch.setattr(owner, method, published_first)
    [info] = store.inventory()
    assert info.covered == span(0, 10)
    assert store.coverage(BARS).covered == span(0, 10)
    assert store.unpublished.datasets() == []


def test_what_is_deleted_while_datasets_are_listed_is_not_listed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, 0, 10)
    listed = store._parts.holdings.datasets

    def deleted_then() -> list[DatasetId]:
        monkeypatch.setattr(store._parts.holdings, "datasets", listed)  # a deletion may list them too
        found = listed()
        store.keeping.delete(BARS)
        return found

    monkeypatch.setattr(store._parts.holdings, "datasets", deleted_then)
    assert store.inventory() == []


def test_a_reader_does_not_take_in_again_what_is_being_deleted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, 0, 10)
    listed = store.files

    def dropped_then(*args: Any) -> Any:
        found = listed(*args)
        for info in found:  # as a deletion does before it moves the files
            store._parts.catalog.drop(info)
        return found

    monkeypatch.setattr(store, "files", dropped_then)
    assert opens(store) == []
    assert listed(BARS) == []


def test_a_folder_is_let_go_of_only_when_no_file_is_being_written(
    data_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, closing = threading.Event(), threading.Event()
    told: list[str] = []

    class Slow(RealFileSystem):
        def replace(self, source: Path, target: Path) -> None:
            if target.suffix == ".parquet":
                reached.set()
                assert closing.wait(30)
                told.append(f"writes {target.stem}")
            super().replace(source, target)

    store = Store.open(data_path, fs=Slow())
    log = store.begin_backfill(BARS, "run", source="binance")
    log.append(bars(-5, 5), span(-5, 5), None)
    log.close()
    wait, close_journals = store._parts.recovery.wait, store.unpublished.close

    def waited() -> None:
        wait()
        closing.set()

    def closed() -> None:
        told.append("lets go")
        close_journals()

    monkeypatch.setattr(store._parts.recovery, "wait", waited)
    monkeypatch.setattr(store.unpublished, "close", closed)
    publishing = threading.Thread(target=store.publish)
    publishing.start()
    assert reached.wait(30)
    store.close()
    publishing.join()
    assert told == ["writes 2024-01", "lets go"]
    with pytest.raises(StorageError, match="closed"):
        store.publish(BARS)
    with pytest.raises(StorageError, match="closed"):
        store.unpublished.begin(Journal.create(RealFileSystem(), data_path), publishes_itself=True)
    again = Store.open(data_path)
    assert opens(again) == [float(n) for n in range(-5, 5)]
    again.close()
