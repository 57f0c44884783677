"""The power cut, and the process killed, at every call that changes the disk."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from types import SimpleNamespace

import pyarrow as pa
import pytest

from dccd.domain.types import DataType
from dccd.storage import journal, slices
from dccd.storage.merge import Part, merge
from dccd.storage.store import Store
from tests.faults.simdisk import Crash, Loss, SimDisk
from tests.faults.story import FOLDER, Ledger, judge, live

ALL = os.environ.get("DCCD_CRASH_POINTS") == "all"
DISKS = pytest.mark.parametrize("ntfs", [False, True], ids=["posix", "ntfs"])
SEEDS = range(int(os.environ.get("DCCD_CRASH_SEEDS", "1")))


def calls_of_story(*, ntfs: bool) -> int:
    disk = SimDisk(ntfs=ntfs)
    live(disk, Ledger())
    return disk.calls


def interrupted(
    call: int, *, ntfs: bool, prepare: Callable[[SimDisk], None] = lambda _disk: None
) -> tuple[SimDisk, Ledger]:
    """The disk and the ledger at the moment of the crash."""
    disk, ledger = SimDisk(ntfs=ntfs), Ledger()
    prepare(disk)
    disk.crash_at = call
    with pytest.raises(Crash):
        live(disk, ledger)
    return disk, ledger


@DISKS
@pytest.mark.parametrize("loss", Loss)
def test_every_call_may_be_the_last(loss: Loss, ntfs: bool) -> None:
    last = calls_of_story(ntfs=ntfs)
    tried = 0
    for call in range(1, last + 1):
        if not ALL and call % 3 != list(Loss).index(loss) % 3:
            continue
        disk, ledger = interrupted(call, ntfs=ntfs)
        for seed in SEEDS:
            try:
                judge(disk.after_crash(loss, seed), ledger, power_cut=loss is not Loss.NOTHING)
            except Exception as error:
                raise AssertionError(f"after {disk.log[-1]!r}, call {call} of {last}, seed {seed}") from error
            tried += 1
    assert tried >= last // 3


@DISKS
@pytest.mark.parametrize("loss", Loss)
@pytest.mark.parametrize("seed", SEEDS)
def test_recovery_may_be_cut_short_too(seed: int, loss: Loss, ntfs: bool) -> None:
    calls = range(5, calls_of_story(ntfs=ntfs) + 1, 1 if ALL else 9)
    mine = calls[(list(Loss).index(loss) + seed) % len(Loss) :: len(Loss)]  # another seed, another loss
    tried = 0
    for call in mine:
        disk, ledger = interrupted(call, ntfs=ntfs)
        second, done = 0, False
        while not done:
            second += 1 if ALL else 4
            between = disk.after_crash(loss, call + seed)
            between.crash_at = second
            done = recover(between)
            try:
                judge(between.after_crash(loss, second), ledger, power_cut=loss is not Loss.NOTHING)
            except Exception as error:
                raise AssertionError(f"call {call}, then call {second} of the recovery") from error
            tried += 1
    assert tried >= (8 if ALL else 2) * len(mine) > 0


def recover(disk: SimDisk) -> bool:
    """Open and publish; whether it came to the end."""
    store = None
    try:
        store = Store.open(FOLDER, fs=disk)
        store.publish()
    except Crash:
        return False
    finally:
        if store is not None:
            store.close()
    return True


def test_a_disk_that_loses_nothing_passes() -> None:
    disk, ledger = SimDisk(), Ledger()
    live(disk, ledger)
    judge(disk.after_crash(Loss.ALL, 0), ledger, power_cut=True)


def forget_file_sync(disk: SimDisk) -> None:
    disk.ignore_file_sync = True


def forget_folder_sync(disk: SimDisk) -> None:
    disk.ignore_folder_sync = True


@pytest.mark.parametrize("mutant", [forget_file_sync, forget_folder_sync])
def test_a_missing_sync_is_caught(mutant: Callable[[SimDisk], None]) -> None:
    assert caught(mutant, Loss.ALL)


def test_a_missing_checksum_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_crc(_data: object, _start: int = 0) -> int:
        return 0

    monkeypatch.setattr(journal, "zlib", SimpleNamespace(crc32=no_crc))
    assert zlib.crc32(b"x")
    assert caught(lambda _disk: None, Loss.ZEROED, seeds=range(6))


def test_missing_deduplication_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def concatenate(data_type: DataType, parts: list[Part]) -> pa.Table:
        whole = [merge(data_type, [part]) for part in parts]
        return pa.concat_tables(whole).sort_by("ts")

    monkeypatch.setattr(slices, "merge", concatenate)
    disk, ledger = SimDisk(), Ledger()
    live(disk, ledger)
    with pytest.raises(AssertionError, match="twice"):
        judge(disk, ledger, power_cut=False)


def caught(mutant: Callable[[SimDisk], None], loss: Loss, seeds: range = range(1)) -> bool:
    """Whether any crash point shows that the mutant is wrong."""
    for call in range(1, calls_of_story(ntfs=False) + 1):
        disk, ledger = interrupted(call, ntfs=False, prepare=mutant)
        for seed in seeds:
            try:
                judge(disk.after_crash(loss, seed), ledger, power_cut=True)
            except Exception:  # noqa: BLE001 - whichever way it shows
                return True
    return False
