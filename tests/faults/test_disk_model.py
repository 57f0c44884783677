"""The simulated disk itself: it comes up with what a system may make of what was not synced, and no more."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import pytest

from tests.faults.loss import SECTOR, Loss, surviving_bytes
from tests.faults.simdisk import SimDisk

A, B, C, ZERO = (bytes([byte]) * SECTOR for byte in b"abc\0")
ROOT = Path("/data")
FOLDER, FILE, OTHER = ROOT / "folder", ROOT / "folder" / "file", ROOT / "folder" / "other"
SEEDS = range(100)


def outcomes(work: Callable[[SimDisk], None], loss: Loss, *, ntfs: bool = False) -> set[frozenset[str]]:
    """The sets of files that there may be afterwards, as `name=first bytes`."""
    disk = SimDisk(ntfs=ntfs)
    disk.make_folder(FOLDER)
    if ntfs:  # where names become durable with the next sync of any file
        write(disk, ROOT / "first")
    work(disk)
    return {
        frozenset(
            f"{Path(name).name}={data[:1].decode()}"
            for name, data in disk.after_crash(loss, seed).files().items()
            if not name.endswith("first")
        )
        for seed in SEEDS
    }


def write(disk: SimDisk, path: Path, data: bytes = b"") -> None:
    file = disk.create(path)
    file.append(data)
    file.sync()
    file.close()


def two_files(disk: SimDisk) -> None:
    write(disk, FILE, b"1")
    write(disk, OTHER, b"2")


def unsynced_rename(disk: SimDisk) -> None:
    two_files(disk)
    disk.sync_folder(FOLDER)
    disk.replace(OTHER, FILE)


def test_bytes_that_were_synced_stay_whatever_is_lost() -> None:
    for loss in Loss:
        for seed in SEEDS:
            assert surviving_bytes([A + B], loss, random.Random(seed), [C * 3]) == A + B
            found = surviving_bytes([A, A + B], loss, random.Random(seed), [C * 3])
            assert found.startswith(A)
            assert len(found) <= len(A + B)


@pytest.mark.parametrize(
    ("loss", "wanted"),
    [
        (Loss.NOTHING, {A + B + C}),
        (Loss.ALL, {A}),
        (Loss.TORN, {A, A + B, A + B + C, A + B[:7]}),
        (Loss.ZEROED, {A + ZERO, A + B + ZERO, A + B + C, A + ZERO + ZERO}),
        (Loss.SCATTERED, {A, A + B, A + B + C, A + ZERO + C, A + B + ZERO, A + ZERO + ZERO}),
        (Loss.STALE, {A + b"x" * SECTOR, A + B + b"y" * SECTOR, A + b"x" * SECTOR + b"y" * SECTOR}),
    ],
)
def test_bytes_that_were_not_synced(loss: Loss, wanted: set[bytes]) -> None:
    removed = [b"w" * SECTOR + b"x" * SECTOR + b"y" * SECTOR]
    versions = [A, A + B, A + B + C]
    seeds = range(8_000)
    found = {bytes(surviving_bytes(versions, loss, random.Random(seed), removed)) for seed in seeds}
    assert wanted <= found
    if loss in (Loss.NOTHING, Loss.ALL):
        assert found == wanted


def test_a_length_that_was_cut_may_be_the_old_one() -> None:
    versions = [A + B, A]
    found = {bytes(surviving_bytes(versions, Loss.TORN, random.Random(seed))) for seed in SEEDS}
    assert found == {A + B, A}


def test_new_names_may_be_lost_each_by_itself() -> None:
    every = {frozenset(names) for count in range(3) for names in permutations(("file=1", "other=2"), count)}
    assert outcomes(two_files, Loss.TORN) == every
    assert outcomes(two_files, Loss.ALL) == {frozenset()}
    assert outcomes(two_files, Loss.NOTHING) == {frozenset({"file=1", "other=2"})}


def test_a_rename_may_be_lost_until_its_folder_is_synced() -> None:
    old, new = frozenset({"file=1", "other=2"}), frozenset({"file=2"})
    assert outcomes(unsynced_rename, Loss.ALL) == {old}
    assert outcomes(unsynced_rename, Loss.TORN) == {old, new}
    assert outcomes(unsynced_rename, Loss.NOTHING) == {new}


def test_a_synced_folder_keeps_its_names() -> None:
    def work(disk: SimDisk) -> None:
        unsynced_rename(disk)
        disk.sync_folder(FOLDER)

    for loss in Loss:
        assert outcomes(work, loss) == {frozenset({"file=2"})}


def test_names_may_come_in_another_order_than_they_were_made_but_on_ntfs() -> None:
    def work(disk: SimDisk) -> None:
        write(disk, FILE, b"1")
        disk.sync_folder(FOLDER)
        file = disk.create(OTHER)  # not synced: on NTFS its sync would settle all names
        file.close()
        disk.remove(FILE)

    before, both, after = frozenset({"file=1"}), frozenset({"file=1", "other="}), frozenset({"other="})
    assert outcomes(work, Loss.TORN) == {before, both, after, frozenset()}
    assert outcomes(work, Loss.TORN, ntfs=True) == {before, both, after}


def test_an_index_that_was_not_synced_may_be_an_older_one() -> None:
    disk = SimDisk()
    disk.make_folder(ROOT)
    database = disk.database(ROOT / "catalog.db", durable=False)
    for number in range(3):
        database.execute("BEGIN")
        database.execute(f"CREATE TABLE number{number} (x)")
        database.execute("COMMIT")
    sizes = set()
    for seed in SEEDS:
        after = disk.after_crash(Loss.TORN, seed).database(ROOT / "catalog.db", durable=False)
        sizes.add(after.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        after.close()
    assert sizes == {0, 1, 2, 3}
