"""The power cut, and the process killed, at every call of a deletion, a restoration, and what undoes them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import HOUR_NS, MINUTE_NS, US_NS
from dccd.storage.store import Store
from tests.faults.ledger import Ledger
from tests.faults.loss import Loss
from tests.faults.simdisk import Crash, SimDisk
from tests.faults.sweeps import left_by

ALL = os.environ.get("DCCD_CRASH_POINTS") == "all"
DISKS = pytest.mark.parametrize("ntfs", [False, True], ids=["posix", "ntfs"])
MANY = 1_000_000  # calls, more than are made here
SEEDS = range(int(os.environ.get("DCCD_CRASH_SEEDS", "1")))
FOLDER = Path("/data")
BARS = DatasetId.parse("binance:BTC-USDT:ohlc:1m")
EDGE = 1_706_745_600_000_000_000  # 2024-02-01, where a month ends
OLD, NEW = range(-30, 30), range(20, 50)
Minutes = frozenset[int]


def fill(store: Store, minutes: range) -> None:
    names = ("open", "high", "low", "close", "volume")
    columns: dict[str, list[Any]] = {"ts": [EDGE + m * MINUTE_NS for m in minutes]}
    log = store.begin_backfill(BARS, "run", source="test")
    log.append(columns | {name: [5.0] * len(minutes) for name in names}, covered(minutes))
    log.finish()


def covered(minutes: range) -> IntervalSet:
    return IntervalSet.of(EDGE + minutes.start * MINUTE_NS, EDGE + minutes.stop * MINUTE_NS)


def prepared(*, ntfs: bool) -> SimDisk:
    """A disk with two files of a dataset, and what was asked for, all of it durable."""
    disk = SimDisk(ntfs=ntfs)
    store = Store.open(FOLDER, fs=disk)
    fill(store, OLD)
    store.add_asked(BARS, Interval(EDGE - HOUR_NS, EDGE + HOUR_NS))
    store.close()
    return disk


def deletion(disk: SimDisk) -> None:
    store = Store.open(FOLDER, fs=disk)
    try:
        store.keeping.delete(BARS)
    finally:
        store.close()


def restoration(disk: SimDisk) -> None:
    """Of what was deleted, into what was stored since."""
    store = Store.open(FOLDER, fs=disk)
    try:
        store.keeping.restore(store.keeping.deleted()[0].id)
    finally:
        store.close()


def with_new_data(disk: SimDisk) -> SimDisk:
    deletion(disk)
    store = Store.open(FOLDER, fs=disk)
    fill(store, NEW)
    store.close()
    return disk


def found(store: Store) -> list[int]:
    if BARS not in [info.dataset for info in store.inventory()]:
        return []
    times: list[Any] = [us for batch in store.read(BARS) for us in batch["ts"].cast(pa.int64()).to_pylist()]
    return [(us * US_NS - EDGE) // MINUTE_NS for us in times]


def judge(disk: SimDisk, kept: range) -> bool:
    """Open what is left: all of it is in its place or all of it in the trash. Whether it is in its place."""
    store = Store.open(FOLDER, fs=disk)
    try:
        assert store.problems == ()
        there = found(store)
        entries = store.keeping.deleted()
        assert there == sorted(set(there)), "a row is there twice"
        if not entries:
            assert there == sorted({*OLD, *kept})
            assert store.coverage(BARS).asked == IntervalSet.of(EDGE - HOUR_NS, EDGE + HOUR_NS)
        else:
            assert there == [*kept], "a part of what was deleted is there"
            [entry] = entries
            assert (entry.rows, entry.files) == (len(OLD), 2)
            store.keeping.restore(entry.id)
            assert found(store) == sorted({*OLD, *kept})
            assert store.keeping.deleted() == []
        assert store.coverage(BARS).covered == covered(OLD) | (covered(kept) if kept else IntervalSet())
        assert {gap.cause for gap in store.gaps(BARS)} == {"never fetched"}
        assert store.keeping.verify(BARS).problems == ()
        assert not any("/trash/" in path for path in disk.files())
        return not entries
    finally:
        store.close()


def crashes(before: SimDisk, work: Callable[[SimDisk], None], loss: Loss, kept: range) -> tuple[int, int]:
    """Cut `work` short at each of its calls, and what the next start does at each of those; how often.

    What several crashes leave alike is judged, and started from, once.
    """
    once = twice = 0
    place = list(Loss).index(loss)
    judged: set[bytes] = set()
    whole = before.after_crash(Loss.NOTHING, 0)

    def judge_new(disk: SimDisk, where: str) -> None:
        image = disk.image()
        if image not in judged:
            try:
                judge(disk, kept)
            except Exception as error:
                raise AssertionError(f"after {where}") from error
            judged.add(image)

    calls = range(1 if ALL else place or len(Loss), MANY, 1 if ALL else len(Loss))
    started: set[bytes] = set()
    for first in left_by(only(work), whole, Ledger(), loss, calls, SEEDS):
        again, image = first.disk.after_crash(Loss.NOTHING, 0), first.disk.image()
        judge_new(first.disk, first.where)
        once += 1
        if image in started:
            continue
        started.add(image)
        calls = range(1 if ALL else 1 + place % 3, MANY, 1 if ALL else 3)
        for second in left_by(only(start), again, Ledger(), loss, calls):
            judge_new(second.disk, f"{first.where}; then of the next start {second.where}")
            twice += 1
    return once, twice


def start(disk: SimDisk) -> None:
    Store.open(FOLDER, fs=disk).close()


def only(work: Callable[[SimDisk], None]) -> Callable[[SimDisk, Ledger], None]:
    """Work that promises nothing."""
    return lambda disk, _ledger: work(disk)


@DISKS
@pytest.mark.parametrize("loss", Loss)
def test_a_deletion_is_done_or_undone(loss: Loss, ntfs: bool) -> None:
    once, twice = crashes(prepared(ntfs=ntfs), deletion, loss, range(0))
    assert once >= 2
    assert twice >= 2


@DISKS
def test_no_file_is_in_the_trash_without_a_manifest(ntfs: bool) -> None:
    before = prepared(ntfs=ntfs)
    whole = before.after_crash(Loss.NOTHING, 0)
    deletion(whole)
    disk = before.after_crash(Loss.NOTHING, 0)
    disk.crash_at = whole.log.index("replace 2024-02.parquet") + 2  # the call after it
    with pytest.raises(Crash):
        deletion(disk)
    for seed in range(12):
        judge(disk.after_crash(Loss.TORN, seed), range(0))


@DISKS
@pytest.mark.parametrize("loss", Loss)
def test_a_restoration_comes_to_its_end(loss: Loss, ntfs: bool) -> None:
    once, twice = crashes(with_new_data(prepared(ntfs=ntfs)), restoration, loss, NEW)
    assert once >= 2
    assert twice >= 2


@DISKS
def test_emptying_is_for_good(ntfs: bool) -> None:
    call, done = 0, False
    while not done:
        call += 1
        disk = prepared(ntfs=ntfs)
        deletion(disk)
        disk.crash_at = disk.calls + call
        store = Store.open(FOLDER, fs=disk)
        try:
            store.keeping.empty_trash()
            done = True
        except Crash:
            pass
        finally:
            store.close()
        for loss in Loss:
            after = disk.after_crash(loss, call)
            again = Store.open(FOLDER, fs=after)
            if again.keeping.deleted():
                again.keeping.restore(again.keeping.deleted()[0].id)
                assert found(again) == [*OLD]
            else:
                assert found(again) == []
                again.keeping.empty_trash()
                assert not any(".parquet" in path for path in after.files())
            again.close()
    assert call > 5
