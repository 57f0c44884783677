"""Moving a data folder: whole in the old place until it is whole in the new one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import DataFolderUnusable, DiskFull, StorageError
from dccd.domain.timeutils import HOUR_NS, parse_time
from dccd.storage.fs import RealFileSystem, Usage
from dccd.storage.relocate import Relocation
from dccd.storage.store import Store

BARS = DatasetId.parse("binance:BTC-USDT:ohlc:1h")
START_NS = parse_time("2024-01-01")


class Died(BaseException):
    """The process ended here."""


class DyingAt(RealFileSystem):
    """A disk whose process dies before its n-th change of a name."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def _count(self) -> None:
        if self.left == 0:
            raise Died
        self.left -= 1

    def replace(self, source: Path, target: Path) -> None:
        self._count()
        super().replace(source, target)

    def remove(self, path: Path) -> None:
        self._count()
        super().remove(path)


@pytest.fixture
def other_volume() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="dccd-test-", dir="/dev/shm"))  # another volume
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=["one volume", "another volume"])
def target(request: pytest.FixtureRequest, tmp_path: Path, other_volume: Path) -> Path:
    place: Path = tmp_path if request.param == "one volume" else other_volume
    if request.param == "another volume":
        assert place.stat().st_dev != tmp_path.stat().st_dev
    return place / "new" / "place"


def fill(store: Store, hours: range, *, publish: bool = True) -> None:
    starts = [START_NS + hour * HOUR_NS for hour in hours]
    values = {name: [1.0] * len(starts) for name in ("open", "high", "low", "close", "volume")}
    log = store.begin_backfill(BARS, "run", source="binance")
    log.append({"ts": starts, **values}, IntervalSet.of(starts[0], starts[-1] + HOUR_NS))
    if publish:
        log.finish()
    else:
        log.close()


def hours_in(folder: Path) -> list[int]:
    with closing(Store.open(folder)) as store:
        rows = [
            int(us) for batch in store.read(BARS) for us in batch.column("ts").view(pa.int64()).to_numpy()
        ]
    return [(us * 1000 - START_NS) // HOUR_NS for us in rows]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "old"
    with closing(Store.open(folder)) as store:
        fill(store, range(48))
        fill(store, range(48, 60), publish=False)
    return folder


def copied(move: Relocation) -> int:
    return move.copy(lambda *_: None, lambda: False)


def test_all_of_it_is_in_the_new_place_and_the_old_one_says_where(source: Path, target: Path) -> None:
    (source / "notes.txt").write_text("mine")
    move = Relocation(source, target)
    move.check()
    copied(move)
    move.finish()
    assert hours_in(target) == list(range(60))
    move.clean()
    assert (target / "notes.txt").read_text() == "mine"
    assert sorted(path.name for path in source.rglob("*") if path.is_file()) == ["format.json", "lock"]
    with pytest.raises(DataFolderUnusable, match=r"was moved to .*place"):
        Store.open(source)


def test_what_came_after_the_copy_is_moved_too(source: Path, target: Path) -> None:
    move = Relocation(source, target)
    copied(move)
    with closing(Store.open(source)) as store:
        store.publish()  # the journal that was copied is gone, the file has changed
        fill(store, range(60, 70), publish=False)
    move.finish()
    assert hours_in(target) == list(range(70))
    journals = {path.name for path in (target / ".dccd" / "journal").iterdir()}
    assert len(journals) == 1


def test_a_second_copy_writes_only_what_changed(source: Path, other_volume: Path) -> None:
    first = copied(Relocation(source, other_volume / "new"))
    assert first >= sum(path.stat().st_size for path in source.rglob("*.parquet"))
    again = Relocation(source, other_volume / "new")
    assert copied(again) == 0
    with closing(Store.open(source)) as store:
        store.publish()
    assert 0 < copied(again) < first + 100_000


def test_a_copy_that_is_stopped_goes_on_later(source: Path, other_volume: Path) -> None:
    move = Relocation(source, other_volume / "new")
    told: list[tuple[int, int]] = []
    move.copy(lambda done, total: told.append((done, total)), lambda: len(told) == 2)
    assert len(told) == 2
    with pytest.raises(DataFolderUnusable, match="part of a copy"):
        Store.open(other_volume / "new")
    move = Relocation(source, other_volume / "new")
    move.check()
    move.finish()
    assert hours_in(other_volume / "new") == list(range(60))


def test_wherever_it_dies_one_of_the_folders_has_all(
    source: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = tmp_path / "original"
    shutil.copytree(source, original)
    decided = 0
    monkeypatch.setattr(Relocation, "_take_back", lambda _: None)  # the dead undo nothing
    for point in range(100):
        for folder in (source, target):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(original, source)
        move = Relocation(source, target, DyingAt(point))
        try:
            move.finish()
        except Died:
            pass
        else:
            break
        try:
            assert hours_in(source) == list(range(60)), point
        except DataFolderUnusable:
            decided += 1
            assert hours_in(target) == list(range(60)), point
    else:
        raise AssertionError("it never came to its end")
    assert point > 4
    assert decided >= 2


def test_wherever_undoing_it_dies_one_of_the_folders_has_all(
    source: Path, target: Path, tmp_path: Path
) -> None:
    original = tmp_path / "original"
    shutil.copytree(source, original)
    for point in range(100):
        for folder in (source, target):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(original, source)
        Relocation(source, target).finish()
        try:
            Relocation(source, target, DyingAt(point)).undo()
        except Died:
            pass
        else:
            break
        try:
            assert hours_in(target) == list(range(60)), point
        except DataFolderUnusable:
            assert hours_in(source) == list(range(60)), point
    else:
        raise AssertionError("it never came to its end")
    assert point > 2
    assert hours_in(source) == list(range(60))
    with pytest.raises(DataFolderUnusable, match="part of a copy"):
        Store.open(target)
    assert hours_in(source) == list(range(60))
    again = Relocation(source, target)
    again.check()
    again.finish()
    assert hours_in(target) == list(range(60))


def test_a_file_held_open_leaves_the_old_folder_as_it_was(source: Path, tmp_path: Path) -> None:
    class HeldOpen(RealFileSystem):
        """Another program has a file of the bars open, as Windows minds."""

        def replace(self, source: Path, target: Path) -> None:
            if source.name == "ohlc" and source.parent.name == "old":
                raise OSError(13, "held open")
            super().replace(source, target)

    with pytest.raises(StorageError, match="held open"):
        Relocation(source, tmp_path / "new", HeldOpen()).finish()
    assert hours_in(source) == list(range(60))


def test_places_that_cannot_work_are_refused(source: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "photo.jpg").write_bytes(b"x")
    for place, words in (
        (source, "already"),
        (source / "inside", "inside the other"),
        (tmp_path, "inside the other"),
        (taken, "not empty"),
        (taken / "photo.jpg", "is a file"),
    ):
        with pytest.raises(DataFolderUnusable, match=words):
            Relocation(source, place).check()
    assert hours_in(source) == list(range(60))


def test_another_volume_needs_room(source: Path, other_volume: Path) -> None:
    class Full(RealFileSystem):
        def usage(self, path: Path) -> Usage:
            return Usage(1000, 10**9)

    with pytest.raises(DiskFull, match="GB free"):
        Relocation(source, other_volume / "new", Full()).check()
    assert not (other_volume / "new").exists()


def test_it_can_be_moved_back(source: Path, target: Path) -> None:
    move = Relocation(source, target)
    move.finish()
    move.clean()
    back = Relocation(target, source)
    back.check()
    back.finish()
    assert hours_in(source) == list(range(60))


def test_a_copy_that_reads_back_otherwise_is_no_copy(source: Path, other_volume: Path) -> None:
    class Flipping(RealFileSystem):
        def replace(self, source: Path, target: Path) -> None:
            super().replace(source, target)
            if target.suffix == ".parquet":
                with target.open("r+b") as file:
                    file.seek(100)
                    byte = file.read(1)
                    file.seek(100)
                    file.write(bytes([byte[0] ^ 1]))
                    os.fsync(file.fileno())

    with pytest.raises(StorageError, match="reads back otherwise"):
        Relocation(source, other_volume / "new", Flipping()).finish()
    assert hours_in(source) == list(range(60))


def test_what_is_deleted_after_it_was_copied_does_not_come_back(source: Path, target: Path) -> None:
    move = Relocation(source, target)
    copied(move)
    with closing(Store.open(source)) as store:
        store.keeping.delete(BARS)
    move.finish()
    with closing(Store.open(target)) as store:
        assert store.inventory() == []
        assert [entry.rows for entry in store.keeping.deleted()] == [60]
