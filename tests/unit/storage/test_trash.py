from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import DatasetBusy, StorageError, UnknownDataset, UnknownTrash
from dccd.domain.gaps import GapCause
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS
from dccd.storage.frames import Frame
from dccd.storage.scan import snapshot
from dccd.storage.store import Store
from tests.faults.simdisk import SimDisk

BARS = DatasetId.parse("binance:BTC-USDT:ohlc:1m")
OTHER = DatasetId.parse("binance:ETH-USDT:ohlc:1m")
FEB = 1_706_745_600_000_000_000  # 2024-02-01
NOW_NS = FEB + 40 * DAY_NS
NAMES = ("open", "high", "low", "close", "volume")


class Clock:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.now_ns = NOW_NS

    def time_ns(self) -> int:
        return self.now_ns

    def monotonic(self) -> float:
        return self.now_ns / 1e9


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(data_path: Path, clock: Clock) -> Iterator[Store]:
    opened = Store.open(data_path, clock=clock)
    fill(opened, BARS, -60, 60)
    fill(opened, OTHER, 0, 10)
    opened.add_asked(BARS, Interval(FEB - HOUR_NS, FEB + 3 * HOUR_NS))
    opened.add_absent(BARS, Interval(FEB + 2 * HOUR_NS, FEB + 3 * HOUR_NS), "listed later")
    opened.add_lost(BARS, Interval(FEB + 60 * MINUTE_NS, FEB + 70 * MINUTE_NS), GapCause.DISK_FULL)
    yield opened
    opened.close()


def fill(store: Store, dataset: DatasetId, first: int, last: int, value: float = 101.0) -> None:
    log = store.begin_backfill(dataset, "run", source="test")
    minutes = range(first, last)
    columns: dict[str, list[Any]] = {"ts": [FEB + m * MINUTE_NS for m in minutes]}
    columns |= {name: [value + m for m in minutes] for name in NAMES}
    log.append(columns, IntervalSet.of(FEB + first * MINUTE_NS, FEB + last * MINUTE_NS))
    log.finish()


def opens(store: Store, dataset: DatasetId = BARS) -> list[float]:
    return [row["open"] for batch in store.read(dataset) for row in batch.to_pylist()]


def tree(path: Path) -> list[str]:
    return sorted(str(each.relative_to(path)) for each in path.rglob("*") if each.is_file())


def test_a_deleted_dataset_is_gone_and_comes_back_as_it_was(store: Store, data_path: Path) -> None:
    info, coverage, files = store.info(BARS), store.coverage(BARS), store.files(BARS)
    before = tree(data_path)
    entry = store.keeping.delete(BARS)
    assert (entry.dataset, entry.files, entry.rows, entry.deleted_ns) == (BARS, 2, 120, NOW_NS)
    assert (entry.start_ns, entry.end_ns, entry.size_bytes) == (info.start_ns, info.end_ns, info.size_bytes)
    assert [each.dataset for each in store.inventory()] == [OTHER]
    with pytest.raises(UnknownDataset):
        store.read(BARS)
    assert not (data_path / BARS.folder).exists()
    assert store.keeping.deleted() == [entry]
    assert store.keeping.restore(entry.id) == entry
    assert store.keeping.deleted() == []
    assert tree(data_path) == before
    assert store.info(BARS) == info
    assert store.coverage(BARS) == coverage
    assert store.files(BARS) == files
    assert store.keeping.verify(BARS).problems == ()


def test_it_stays_deleted_and_restorable_over_a_restart(store: Store, data_path: Path, clock: Clock) -> None:
    info = store.info(BARS)
    entry = store.keeping.delete(BARS)
    store.close()
    again = Store.open(data_path, clock=clock)
    assert [each.dataset for each in again.inventory()] == [OTHER]
    assert again.keeping.deleted() == [entry]
    again.keeping.restore(entry.id)
    assert again.info(BARS) == info
    again.close()
    third = Store.open(data_path, clock=clock)
    assert third.info(BARS) == info
    third.close()


def test_pages_in_journals_go_with_it_and_do_not_rise_again(
    store: Store, data_path: Path, clock: Clock
) -> None:
    # One journal for two datasets, as the streams have: it outlives the one that is deleted.
    log = store.stream_log()
    for dataset in (BARS, OTHER):
        log.append(
            dataset,
            {"ts": [FEB + 90 * MINUTE_NS], **{name: [7.0] for name in NAMES}},
            IntervalSet.of(FEB + 90 * MINUTE_NS, FEB + 91 * MINUTE_NS),
            source="test",
        )
    log.flush()
    entry = store.keeping.delete(BARS)
    assert entry.rows == 121
    with pytest.raises(UnknownDataset):
        snapshot(data_path, BARS)
    store.keeping.empty_trash()
    assert store.keeping.deleted() == []
    with pytest.raises(UnknownDataset):
        snapshot(data_path, BARS)
    store.close()
    again = Store.open(data_path, clock=clock)
    assert [each.dataset for each in again.inventory()] == [OTHER]
    assert opens(again, OTHER)[-1] == 7.0
    again.publish()
    again.close()
    third = Store.open(data_path, clock=clock)
    assert [each.dataset for each in third.inventory()] == [OTHER]
    assert not list((data_path / ".dccd" / "trash").iterdir()), "no journal is left that it was kept for"
    third.close()


def test_what_was_stored_since_and_what_was_deleted_become_one(store: Store) -> None:
    entry = store.keeping.delete(BARS)
    fill(store, BARS, 40, 80, value=102.0)
    fill(store, BARS, 28 * 1440, 28 * 1440 + 5)
    second = store.keeping.delete(BARS)
    fill(store, BARS, 100, 110)
    store.keeping.restore(entry.id)
    store.keeping.restore(second.id)
    covered = [(-60, 80), (100, 110), (28 * 1440, 28 * 1440 + 5)]
    assert store.coverage(BARS).covered == IntervalSet(
        (FEB + first * MINUTE_NS, FEB + last * MINUTE_NS) for first, last in covered
    )
    # Of two bars of one minute the greater is kept, as ever.
    expected = [101.0 + m for m in range(-60, 40)] + [102.0 + m for m in range(40, 80)]
    assert opens(store)[:140] == expected
    assert store.info(BARS).rows == 155
    assert store.keeping.deleted() == []
    assert store.keeping.verify(BARS).problems == ()
    assert [(gap.start_ns, gap.end_ns, gap.cause) for gap in store.gaps(BARS)] == [
        (FEB + 80 * MINUTE_NS, FEB + 100 * MINUTE_NS, "never fetched"),
        (FEB + 110 * MINUTE_NS, FEB + 120 * MINUTE_NS, "never fetched"),
    ]


def test_what_was_only_asked_for_can_be_deleted_too(store: Store) -> None:
    wanted = DatasetId.parse("binance:SOL-USDT:trades")
    store.add_asked(wanted, Interval(FEB, FEB + DAY_NS))
    entry = store.keeping.delete(wanted)
    assert (entry.files, entry.rows, entry.start_ns) == (0, 0, None)
    assert wanted not in [info.dataset for info in store.inventory()]
    store.keeping.restore(entry.id)
    assert store.coverage(wanted).asked == IntervalSet.of(FEB, FEB + DAY_NS)
    with pytest.raises(UnknownDataset):
        store.keeping.delete(DatasetId.parse("binance:XRP-USDT:trades"))


def test_the_trash_empties_by_age(store: Store, clock: Clock, data_path: Path) -> None:
    old = store.keeping.delete(BARS)
    clock.now_ns += 8 * DAY_NS
    new = store.keeping.delete(OTHER)
    assert store.keeping.deleted() == [old, new]
    assert store.keeping.empty_trash(before_ns=clock.now_ns - 7 * DAY_NS) == [old]
    assert store.keeping.deleted() == [new]
    with pytest.raises(UnknownTrash):
        store.keeping.restore(old.id)
    assert store.keeping.empty_trash() == [new]
    assert store.keeping.empty_trash() == []
    assert not any(".parquet" in name for name in tree(data_path))


def test_a_damaged_file_in_the_trash_is_kept_aside(store: Store, data_path: Path) -> None:
    for merged in (False, True):
        entry = store.keeping.delete(BARS)
        if merged:
            fill(store, BARS, 0, 30)
        victim = data_path / ".dccd" / "trash" / entry.id / "2024-02.parquet"
        victim.write_bytes(b"spoiled" + victim.read_bytes()[7:-9])
        spoiled = victim.read_bytes()
        store.keeping.restore(entry.id)
        assert store.keeping.deleted() == []
        kept = [path.read_bytes() for path in (data_path / ".dccd" / "quarantine").iterdir()]
        assert spoiled in kept
        fill(store, BARS, 0, 60)
        assert len(opens(store)) == 120


def test_a_manifest_that_cannot_be_read_is_told_and_nothing_is_removed(
    store: Store, data_path: Path, clock: Clock
) -> None:
    entry = store.keeping.delete(BARS)
    folder = data_path / ".dccd" / "trash" / entry.id
    manifest = folder / "deleted.json"
    manifest.write_text(manifest.read_text().replace("2024", "2025"))
    assert store.keeping.deleted() == []
    assert store.keeping.empty_trash() == []
    store.close()
    again = Store.open(data_path, clock=clock)
    assert any("moved back by hand" in problem.text for problem in again.problems)
    assert len(list(folder.glob("*.parquet"))) == 2
    again.close()


def test_a_file_that_another_program_holds_open_stops_the_deletion(clock: Clock) -> None:
    disk = SimDisk(ntfs=True)
    store = Store.open(Path("/data"), fs=disk, clock=clock)
    fill(store, BARS, -60, 60)
    before = {name: data for name, data in disk.files().items() if "ohlc" in name}
    held = disk.open(Path("/data") / BARS.folder / "2024-02.parquet")
    with pytest.raises(StorageError, match="Another program holds the file open"):
        store.keeping.delete(BARS)
    assert {name: data for name, data in disk.files().items() if "ohlc" in name} == before
    assert store.info(BARS).rows == 120
    assert store.keeping.deleted() == []
    log = store.begin_backfill(BARS, "run", source="test")
    columns: dict[str, list[Any]] = {"ts": [FEB], **{name: [9.0] for name in NAMES}}
    log.append(columns, IntervalSet.of(FEB, FEB + MINUTE_NS))
    with pytest.raises(DatasetBusy, match="another program holds"):
        store.keeping.delete(BARS)
    held.close()
    log.finish()
    entry = store.keeping.delete(BARS)
    fill(store, BARS, 0, 1)
    held = disk.open(Path("/data") / BARS.folder / "2024-02.parquet")
    with pytest.raises(StorageError, match="Another program holds the file open"):
        store.keeping.restore(entry.id)
    assert store.keeping.deleted() == [entry], "the rest of it can still be had"
    held.close()
    store.keeping.restore(entry.id)
    assert store.info(BARS).rows == 120
    store.close()


def test_the_index_of_an_earlier_day_does_not_make_a_deleted_file_lost(
    store: Store, data_path: Path, clock: Clock
) -> None:
    store.close()
    index = data_path / ".dccd" / "catalog.db"
    then = index.read_bytes()
    again = Store.open(data_path, clock=clock)
    again.keeping.delete(BARS)
    again.close()
    index.write_bytes(then)  # it is not synced: a power cut may bring it back
    third = Store.open(data_path, clock=clock)
    assert [each.dataset for each in third.inventory()] == [OTHER]
    third.close()


def test_a_page_that_is_being_written_while_its_dataset_is_deleted_outlives_a_crash(
    store: Store, data_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = store.begin_backfill(BARS, "run", source="test")
    add = store.unpublished.add

    def deleted_first(frame: Frame) -> None:
        store.keeping.delete(BARS)  # the page is in the journal, and nobody has taken note of it yet
        add(frame)

    monkeypatch.setattr(store.unpublished, "add", deleted_first)
    columns: dict[str, list[Any]] = {"ts": [FEB], **{name: [7.0] for name in NAMES}}
    log.append(columns, IntervalSet.of(FEB, FEB + MINUTE_NS))
    log.close()
    assert opens(store) == [7.0]
    store.close()
    with closing(Store.open(data_path)) as again:
        assert opens(again) == [7.0]


def answer_doubt(store: Store, first: int, last: int, value: float) -> None:
    interval = Interval(FEB + first * MINUTE_NS, FEB + last * MINUTE_NS)
    store.add_doubt(BARS, interval, GapCause.DIFFERS)
    fill(store, BARS, first, last, value)


@pytest.mark.parametrize("restarts", [True, False], ids=["restarted", "going on"])
@pytest.mark.parametrize("published", [True, False], ids=["in a file", "in a journal"])
def test_rows_of_time_that_was_replaced_before_the_deletion_outlive_restoring(
    data_path: Path, clock: Clock, restarts: bool, published: bool
) -> None:
    store = Store.open(data_path, clock=clock)
    fill(store, BARS, 0, 10)
    answer_doubt(store, 0, 5, 201.0)
    entry = store.keeping.delete(BARS)
    if restarts:
        store.close()
        store = Store.open(data_path, clock=clock)
    log = store.begin_backfill(BARS, "run", source="test")
    page = {"ts": [FEB + 2 * MINUTE_NS]} | {name: [900.0] for name in NAMES}
    log.append(page, IntervalSet.of(FEB + 2 * MINUTE_NS, FEB + 3 * MINUTE_NS))
    if published:
        log.finish()
    store.keeping.restore(entry.id)
    expected = [201.0, 202.0, 900.0, 204.0, 205.0, *(101.0 + m for m in range(5, 10))]
    assert opens(store) == expected
    log.finish()
    assert opens(store) == expected
    store.close()
    with closing(Store.open(data_path, clock=clock)) as again:
        assert opens(again) == expected


def test_what_was_replaced_after_the_deletion_is_so_once_it_is_restored(
    data_path: Path, clock: Clock
) -> None:
    store = Store.open(data_path, clock=clock)
    fill(store, BARS, 0, 10)
    answer_doubt(store, 0, 5, 900.0)
    entry = store.keeping.delete(BARS)
    store.close()
    with closing(Store.open(data_path, clock=clock)) as again:
        fill(again, BARS, 2, 4)
        answer_doubt(again, 2, 4, 201.0)  # less than what it takes the place of
        again.keeping.restore(entry.id)
        assert opens(again)[:5] == [900.0, 901.0, 203.0, 204.0, 904.0]


def test_of_two_deletions_restored_in_turn_no_row_is_lost(data_path: Path, clock: Clock) -> None:
    with closing(Store.open(data_path, clock=clock)) as store:
        fill(store, BARS, 0, 10)
        answer_doubt(store, 0, 5, 201.0)
        first = store.keeping.delete(BARS)
        fill(store, BARS, 2, 3, 900.0)
        second = store.keeping.delete(BARS)
        for entry in (first, second):  # the older one lies in place when the newer comes
            store.keeping.restore(entry.id)
        assert opens(store)[:5] == [201.0, 202.0, 902.0, 204.0, 205.0]


@pytest.mark.parametrize("order", [*permutations(range(3))])
@pytest.mark.parametrize("between", [True, False], ids=["more fetched between", "at once"])
def test_deletions_restored_in_any_order_leave_no_stale_row_that_is_believed(
    data_path: Path, clock: Clock, order: tuple[int, ...], between: bool
) -> None:
    with closing(Store.open(data_path, clock=clock)) as store:
        fill(store, BARS, 0, 10, 900.0)
        entries = [store.keeping.delete(BARS)]
        fill(store, BARS, 0, 4, 900.0)
        answer_doubt(store, 0, 4, 201.0)  # less than what it takes the place of
        entries.append(store.keeping.delete(BARS))
        fill(store, BARS, 5, 8, 900.0)
        answer_doubt(store, 5, 8, 301.0)
        entries.append(store.keeping.delete(BARS))
        for number, place in enumerate(order):
            store.keeping.restore(entries[place].id)
            if between:
                fill(store, BARS, 20 + number, 21 + number)
        right = [201.0, 202.0, 203.0, 204.0, 904.0, 306.0, 307.0, 308.0, 908.0, 909.0]
        believed = store.coverage(BARS).covered
        wrong = [
            minute
            for minute, (found, due) in enumerate(zip(opens(store), right, strict=False))
            if found != due and FEB + minute * MINUTE_NS in believed
        ]
        assert wrong == []
        assert len(opens(store)) == (13 if between else 10), "a row is lost"
        assert {gap.cause for gap in store.gaps(BARS)} <= {GapCause.DIFFERS.value}
        if order == (2, 1, 0):
            assert opens(store)[:10] == right
            assert not store.doubted(BARS), "restored in turn, each is as new as its epoch"
        for first, last, value in ((0, 4, 201.0), (5, 8, 301.0)):
            fill(store, BARS, first, last, value)  # what a repair does
        assert opens(store)[:10] == right
        assert store.gaps(BARS) == []
