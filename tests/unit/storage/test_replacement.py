"""Stored rows that are doubted, fetched again, and replaced: before, while and after files are written."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import StorageError
from dccd.domain.gaps import GapCause
from dccd.domain.timeutils import MINUTE_NS
from dccd.storage.epochs import Replaced
from dccd.storage.scan import snapshot
from dccd.storage.store import Store
from tests.faults.loss import Loss
from tests.faults.simdisk import SimDisk

BARS = DatasetId.parse("binance:BTC-USDT:ohlc:1m")
TRADES = DatasetId.parse("bitfinex:BTC-USD:trades")
FEB = 1_706_745_600_000_000_000  # 2024-02-01, where a month and a day end
NAMES = ("open", "high", "low", "close", "volume")


@pytest.fixture
def store(data_path: Path) -> Iterator[Store]:
    opened = Store.open(data_path)
    yield opened
    opened.close()


def at(minute: int) -> int:
    return FEB + minute * MINUTE_NS


def span(first: int, last: int) -> IntervalSet:
    return IntervalSet.of(at(first), at(last))


def bars(minutes: range | list[int], value: float) -> dict[str, Any]:
    return {"ts": [at(n) for n in minutes], **dict.fromkeys(NAMES, [value] * len(minutes))}


def trades(minutes: range | list[int], price: float) -> dict[str, Any]:
    count = len(minutes)
    return {"ts": [at(n) for n in minutes], "price": [price] * count, "amount": [1.0] * count}


def fill(store: Store, minutes: range, value: float, dataset: DatasetId = BARS) -> None:
    log = store.begin_backfill(dataset, "run", source="test")
    page = bars(minutes, value) if dataset == BARS else trades(minutes, value)
    log.append(page, span(minutes.start, minutes.stop), None)
    log.finish()


def doubt(store: Store, first: int, last: int, dataset: DatasetId = BARS) -> None:
    store.add_doubt(dataset, Interval(at(first), at(last)), GapCause.DIFFERS)


def opens(store: Store) -> list[Any]:
    return [value for batch in store.read(BARS) for value in batch["open"].to_pylist()]


def values(store: Store, dataset: DatasetId = BARS) -> list[tuple[int, float]]:
    """Minute and value; the same to every reader."""
    name = "open" if dataset == BARS else "price"

    def pairs(tables: Any) -> list[tuple[int, float]]:
        found: list[tuple[int, float]] = []
        for each in tables:
            times = [(us * 1000 - FEB) // MINUTE_NS for us in each["ts"].cast(pa.int64()).to_pylist()]
            found += zip(times, each[name].to_pylist(), strict=True)
        return found

    found = pairs(store.read(dataset))
    scanned = pairs(pa.parquet.read_table(path) for path in snapshot(store.data_path, dataset))
    assert scanned == found
    return found


@pytest.mark.parametrize("dataset", [BARS, TRADES], ids=["bars", "trades without ids"])
def test_what_was_doubted_is_replaced_in_files_and_in_journals(store: Store, dataset: DatasetId) -> None:
    fill(store, range(-3, 4), 9.0, dataset)
    doubt(store, -1, 2, dataset)
    assert store.coverage(dataset).covered == span(-3, -1) | span(2, 4)
    assert [gap.cause for gap in store.gaps(dataset)] == [GapCause.DIFFERS]
    assert len(values(store, dataset)) == 7  # kept, until there is better
    log = store.begin_backfill(dataset, "run", source="test")
    page = bars([-2, -1, 1], 1.0) if dataset == BARS else trades([-2, -1, 1], 1.0)
    log.append(page, span(-2, 2), None)  # smaller, and fewer: no value wins here
    at_minute_2 = [(-2, 9.0)] if dataset == BARS else [(-2, 1.0), (-2, 9.0)]  # not doubted: both are believed
    expected = [(-3, 9.0), *at_minute_2, (-1, 1.0), (1, 1.0), (2, 9.0), (3, 9.0)]
    for _ in range(2):
        assert values(store, dataset) == expected
        assert store.coverage(dataset).covered == span(-3, 4)
        assert store.gaps(dataset) == []
        log.finish()
    assert store.doubted(dataset) == IntervalSet()
    epochs = [info.footer.replaced for info in store.files(dataset)]
    assert epochs == [Replaced([(1, span(-1, 0))]), Replaced([(1, span(0, 2))])]


def test_a_correction_of_a_correction_wins(store: Store) -> None:
    for value in (9.0, 1.0, 5.0, 2.0):
        doubt(store, 0, 3)
        fill(store, range(3), value)
    assert values(store) == [(0, 2.0), (1, 2.0), (2, 2.0)]
    fill(store, range(3), 1.0)  # nobody doubts: by value, as ever
    assert values(store) == [(0, 2.0), (1, 2.0), (2, 2.0)]


def test_what_the_exchange_has_no_more_goes_and_the_file_stays(store: Store) -> None:
    fill(store, range(3), 9.0)
    doubt(store, 0, 3)
    log = store.begin_backfill(BARS, "run", source="test")
    log.append({}, span(0, 3), None)
    assert values(store) == []
    log.finish()
    assert values(store) == []
    [info] = store.files(BARS)
    assert (info.rows, info.footer.covered) == (0, span(0, 3))
    assert (store.info(BARS).rows, store.info(BARS).start_ns) == (0, None)
    assert not list((store.data_path / ".dccd" / "journal").iterdir())
    fill(store, range(2, 5), 7.0)
    assert values(store) == [(2, 7.0), (3, 7.0), (4, 7.0)]


def test_rows_from_before_the_replacement_are_dead_wherever_they_lie(store: Store) -> None:
    old = store.begin_backfill(BARS, "run", source="test")
    old.append(bars(range(5), 9.0), span(0, 5), None)  # in a journal, published after its replacement was
    doubt(store, 0, 5)
    fill(store, range(5), 1.0)
    old.finish()
    assert values(store) == [(n, 1.0) for n in range(5)]
    log = store.begin_backfill(BARS, "run", source="test")
    log.append(bars([3], 2.0), IntervalSet(), None)  # from after it: counts by value
    assert values(store) == [(0, 1.0), (1, 1.0), (2, 1.0), (3, 2.0), (4, 1.0)]


def test_an_old_journal_that_comes_back_brings_nothing_back(store: Store) -> None:
    log = store.begin_backfill(BARS, "run", source="test")
    log.append(bars(range(3), 9.0), span(0, 3), None)
    [path] = (store.data_path / ".dccd" / "journal").iterdir()
    old = path.read_bytes()
    log.finish()
    doubt(store, 0, 3)
    fill(store, range(3), 1.0)
    for _ in range(2):  # the file forgets the journal, but not the replacement
        fill(store, range(5, 7), 1.0)
    store.close()
    path.write_bytes(old)  # its removal was not durable
    again = Store.open(store.data_path)
    for _ in range(2):
        assert values(again) == [(n, 1.0) for n in (0, 1, 2, 5, 6)]
        again.publish()
    again.close()


def fails_at(at: str, _call: int, name: str) -> OSError | None:
    return OSError(errno.EIO, "injected") if name.startswith(at) else None


def test_a_doubt_stands_until_the_file_is_written() -> None:
    disk = SimDisk()
    store = Store.open(Path("/data"), fs=disk)
    fill(store, range(3), 9.0)
    doubt(store, 0, 3)
    log = store.begin_backfill(BARS, "run", source="test")
    log.append(bars(range(3), 1.0), span(0, 3), None)
    log.sync()
    for call in ("replace", "append", "sync file"):
        disk.fail = partial(fails_at, call)
        with pytest.raises(StorageError):
            store.publish()
        assert store.doubted(BARS) == span(0, 3), call
    disk.fail = lambda _call, _name: None
    store.publish()
    assert store.doubted(BARS) == IntervalSet()
    store.close()


def test_rows_that_no_page_has_proven_replace_nothing_yet(store: Store) -> None:
    fill(store, range(4), 9.0)
    doubt(store, 0, 4)
    log = store.begin_backfill(BARS, "run", source="test")
    log.append(bars(range(3), 1.0), span(0, 2), None)  # minute 2 is held to be whole by the next page
    assert values(store) == [(0, 1.0), (1, 1.0), (2, 9.0), (3, 9.0)]
    log.append(bars([3], 1.0), span(2, 4), None)
    assert values(store) == [(n, 1.0) for n in range(4)]
    log.finish()
    assert values(store) == [(n, 1.0) for n in range(4)]
    assert store.doubted(BARS) == IntervalSet()


def test_equal_trades_that_two_pages_bring_are_counted_once(store: Store) -> None:
    fill(store, range(2), 9.0, TRADES)
    doubt(store, 0, 2, TRADES)
    log = store.begin_backfill(TRADES, "run", source="test")
    log.append(trades([0, 1, 1], 5.0), span(0, 1), None)
    log.append(trades([1, 1], 5.0), span(1, 2), None)  # whole again, as pages are
    log.finish()
    assert values(store, TRADES) == [(0, 5.0), (1, 5.0), (1, 5.0)]


def test_a_doubt_that_comes_while_a_backfill_runs_is_not_answered_by_it(store: Store) -> None:
    doubt(store, 0, 1)
    log = store.begin_backfill(BARS, "run", source="test")
    doubt(store, 1, 2)
    log.append(bars(range(2), 1.0), span(0, 2), None)
    log.finish()
    assert store.coverage(BARS).covered == span(0, 1)
    assert [gap.cause for gap in store.gaps(BARS)] == [GapCause.DIFFERS]


@pytest.mark.parametrize("doubted", [(0, 3), (1, 3), (2, 3)])
def test_time_doubted_anew_is_not_answered_by_a_backfill_that_began_before(
    store: Store, doubted: tuple[int, int]
) -> None:
    fill(store, range(3), 9.0)
    doubt(store, 0, 3)
    log = store.begin_backfill(BARS, "older", source="test")
    log.append(bars(range(3), 1.0), IntervalSet(), None)  # asked for before it
    doubt(store, *doubted)
    log.append({}, span(0, 3), None)
    log.finish()
    assert store.doubted(BARS) == span(*doubted)
    assert store.coverage(BARS).covered == span(0, 3) - span(*doubted)
    fill(store, range(*doubted), 2.0)
    assert not store.doubted(BARS)
    assert values(store) == [(n, 2.0 if n >= doubted[0] else 1.0) for n in range(3)]


def test_a_page_that_comes_while_a_doubt_is_recorded_does_not_answer_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, range(2), 9.0)
    doubt(store, 0, 2)
    log = store.begin_backfill(BARS, "older", source="test")
    replaced = store.unpublished.replaced

    def replaced_and_then_more(dataset: DatasetId) -> IntervalSet:
        found = replaced(dataset)
        monkeypatch.undo()
        log.append(bars(range(2), 1.0), span(0, 2), None)  # just after it was looked whether there is any
        return found

    monkeypatch.setattr(store.unpublished, "replaced", replaced_and_then_more)
    doubt(store, 0, 2)
    log.finish()
    assert store.doubted(BARS) == span(0, 2)
    assert store.coverage(BARS).covered == IntervalSet()


def test_rows_that_wait_for_their_proof_take_bounded_memory(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dccd.storage.backfill_log.UNPROVEN_BYTES_MAX", 10_000)
    fill(store, range(1200), 9.0)
    doubt(store, 0, 1200)
    log = store.begin_backfill(BARS, "run", source="test")
    for first in range(0, 1000, 10):
        log.append(bars(range(first, first + 10), 1.0), IntervalSet(), None)
        assert sum(rows.nbytes for rows in log._unproven) <= 10_000
    log.append(bars(range(1000, 1200), 1.0), span(0, 1200), None)
    log.finish()
    left = store.doubted(BARS)
    assert left, "what was forgotten replaces nothing"
    assert not left - span(0, 1000)
    assert {minute for minute, value in values(store) if value != 1.0} <= {
        minute for minute in range(1200) if at(minute) in left
    }
    fill(store, range(1200), 1.0)
    assert not store.doubted(BARS)
    assert values(store) == [(n, 1.0) for n in range(1200)]


def test_an_answered_doubt_that_comes_back_is_only_fetched_once_more() -> None:
    disk = SimDisk()
    store = Store.open(Path("/data"), fs=disk)
    fill(store, range(3), 9.0)
    doubt(store, 0, 3)
    log = store.begin_backfill(BARS, "run", source="test")
    log.append(bars(range(3), 1.0), span(0, 3), None)
    log.sync()
    left: list[SimDisk] = []

    def at_call() -> None:
        if disk.log[-1] == "commit coverage.db":  # which is to forget the doubt
            left.append(disk.after_crash(Loss.ALL, 0))

    disk.at_call = at_call
    log.finish()
    store.close()
    again = Store.open(Path("/data"), fs=left[0])
    assert again.doubted(BARS) == span(0, 3)
    assert [(gap.cause, gap.start_ns) for gap in again.gaps(BARS)] == [(GapCause.DIFFERS, at(0))]
    assert opens(again) == [1.0] * 3, "what was fetched stands"
    fill(again, range(3), 2.0)
    assert opens(again) == [2.0] * 3
    assert again.gaps(BARS) == []
    assert again.coverage(BARS).covered == span(0, 3)
    assert not again.doubted(BARS)
    again.close()


def test_a_doubt_about_what_was_just_replaced_stands(store: Store) -> None:
    fill(store, range(2), 9.0)
    doubt(store, 0, 2)
    log = store.begin_backfill(BARS, "run", source="test")
    log.append(bars(range(2), 1.0), span(0, 2), None)
    doubt(store, 0, 1)  # while the replacement is in a journal only
    assert store.coverage(BARS).covered == span(1, 2)
    log.finish()
    assert store.coverage(BARS).covered == span(1, 2)
    fill(store, range(2), 2.0)
    assert values(store) == [(0, 2.0), (1, 2.0)]


def test_replacements_outlive_a_restart(store: Store) -> None:
    fill(store, range(4), 9.0)
    doubt(store, 0, 4)
    log = store.begin_backfill(BARS, "run", source="test")
    log.append(bars(range(2), 1.0), span(0, 2), None)
    store.close()
    again = Store.open(store.data_path)
    assert values(again) == [(0, 1.0), (1, 1.0), (2, 9.0), (3, 9.0)]
    assert again.doubted(BARS) == span(0, 4)  # not answered before a file has it
    assert again.coverage(BARS).covered == span(0, 2)
    again.publish()
    assert again.doubted(BARS) == span(2, 4)
    again.close()
    last = Store.open(store.data_path)  # which finds no journal, but the file's epoch
    log = last.begin_backfill(BARS, "run", source="test")
    log.append(bars([0], 5.0), IntervalSet(), None)  # from after it: counts by value
    assert values(last)[0] == (0, 5.0)
    fill(last, range(4), 3.0)
    assert values(last) == [(0, 5.0), (1, 3.0), (2, 3.0), (3, 3.0)]
    last.close()


def test_a_replacement_whose_coverage_is_not_believed_is_published_all_the_same(store: Store) -> None:
    fill(store, range(2), 9.0)
    doubt(store, 0, 2)
    log = store.begin_backfill(BARS, "run", source="test")
    log.append(bars([0], 1.0), span(0, 2) | span(100_000, 100_001), None)
    log.close()
    with store.unpublished.pinned(BARS) as [replacing, rest]:  # as the start does where pages before are lost
        for frame in (replacing.frame, rest.frame):
            frame.covered = frame.cover_due = IntervalSet()
    store.publish()
    assert values(store) == [(0, 1.0)]
    assert not list((store.data_path / ".dccd" / "journal").iterdir())


def test_covered_and_empty_time_can_be_doubted_too(store: Store) -> None:
    log = store.begin_backfill(BARS, "run", source="test")
    log.append({}, span(0, 3), None)
    log.finish()
    doubt(store, 0, 3)
    assert store.coverage(BARS).covered == IntervalSet()
    log = store.begin_backfill(BARS, "run", source="test")
    log.append({}, span(0, 2), None)
    log.finish()
    assert store.files(BARS) == []
    assert store.doubted(BARS) == span(2, 3)
    assert store.coverage(BARS).covered == span(0, 2)


def test_a_file_that_comes_back_brings_its_epoch(data_path: Path, tmp_path: Path) -> None:
    store = Store.open(data_path)
    fill(store, range(10), 1.0)
    doubt(store, 0, 10)
    fill(store, range(10), 2.0)
    [file] = store.files(BARS)
    store.close()
    (data_path / file.path).rename(tmp_path / "kept")
    store = Store.open(data_path)
    (tmp_path / "kept").rename(data_path / file.path)
    [found] = store.keeping.verify(BARS).problems
    assert store.keeping.mend(BARS, found)
    fill(store, range(5, 6), 3.0)  # what comes later is not dead
    assert (5, 3.0) in values(store)
    store.close()
