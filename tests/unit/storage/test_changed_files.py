"""Files that are not as they were: gone, changed, damaged, refused; between two starts and while running."""

from __future__ import annotations

import errno
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from dccd.domain.errors import StorageError
from dccd.domain.gaps import GapCause
from dccd.storage.store import Store
from tests.faults.simdisk import SimDisk
from tests.unit.storage.conftest import (
    BARS,
    FEB,
    FEBRUARY,
    JANUARY,
    Disk,
    bars,
    causes,
    fill,
    january,
    opens,
    span,
)


@contextmanager
def running(data_path: Path, *, restarts: bool, change: Callable[[], object]) -> Iterator[Store]:
    """A store under which, or between two starts of which, something is changed."""
    store = Store.open(data_path)
    if restarts:
        store.close()
    change()
    if restarts:
        store = Store.open(data_path)
    try:
        yield store
    finally:
        store.close()


WHEN = pytest.mark.parametrize("restarts", [True, False], ids=["between starts", "while running"])


@WHEN
def test_a_file_that_is_gone_is_a_gap_until_it_is_back(stored: Path, restarts: bool, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with running(stored, restarts=restarts, change=lambda: january(stored).rename(kept)) as store:
        assert opens(store) == [float(n) for n in range(60)]
        assert causes(store) == {GapCause.FILE_GONE: span(-60, 0)}
        fill(store, -10, 5)
        assert opens(store) == [float(n) for n in range(-10, 60)]
        assert causes(store) == {GapCause.FILE_GONE: span(-60, -10)}
    january(stored).unlink()
    shutil.copy2(kept, january(stored))
    with closing(Store.open(stored)) as store:
        assert store.gaps(BARS) == []
        assert opens(store) == [float(n) for n in range(-60, 60)]


@WHEN
def test_a_file_replaced_by_an_older_one_loses_what_that_lacks(
    data_path: Path, tmp_path: Path, restarts: bool
) -> None:
    with closing(Store.open(data_path)) as store:
        fill(store, -60, -30)
        shutil.copy2(january(data_path), tmp_path / "older")
        fill(store, -30, 0)

    def go_back() -> None:
        shutil.copy2(tmp_path / "older", january(data_path))

    with running(data_path, restarts=restarts, change=go_back) as store:
        assert opens(store) == [float(n) for n in range(-60, -30)]
        assert causes(store) == {GapCause.FILE_GONE: span(-30, 0)}
        fill(store, -30, 0)
        assert opens(store) == [float(n) for n in range(-60, 0)]
        assert store.gaps(BARS) == []


@WHEN
def test_a_file_that_was_added_is_not_written_over(data_path: Path, tmp_path: Path, restarts: bool) -> None:
    with closing(Store.open(tmp_path / "other")) as other:
        fill(other, *JANUARY)
    Store.open(data_path).close()

    def add() -> None:
        january(data_path).parent.mkdir(parents=True)
        shutil.copy2(january(tmp_path / "other"), january(data_path))

    with running(data_path, restarts=restarts, change=add) as store:
        fill(store, -10, 5)
        assert opens(store) == [float(n) for n in range(-60, 5)]
        assert store.coverage(BARS).covered == span(-60, 5)


def test_a_file_damaged_while_running_is_put_aside_once_it_is_read(stored: Path) -> None:
    with closing(Store.open(stored)) as store:
        january(stored).write_bytes(january(stored).read_bytes()[:-9])
        assert opens(store) == [float(n) for n in range(60)]
        assert causes(store) == {GapCause.PUT_ASIDE: span(-60, 0)}
        assert store.problems[0].kept is not None


def test_what_was_put_aside_is_a_problem_until_its_time_is_covered_again(data_path: Path) -> None:
    with closing(Store.open(data_path)) as store:
        fill(store, 0, 10)
        [file] = store.files(BARS)
    path = data_path / file.path
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with closing(Store.open(data_path)) as store:
        fill(store, 0, 9)
        assert len(store.problems) == 1
        fill(store, 9, 10)
        assert not store.problems


def test_a_file_that_may_not_be_read_now_stops_nobody_and_is_not_written_over(stored: Path) -> None:
    before = january(stored).read_bytes()
    (stored / ".dccd" / "catalog.db").unlink()
    disk = Disk()
    disk.refuses = lambda path: path == january(stored)
    with closing(Store.open(stored, fs=disk)) as store:
        assert opens(store) == [float(n) for n in range(60)]
        assert causes(store) == {GapCause.UNREADABLE: span(-60, 0)}
        assert "Permission denied" in store.problems[0].text
        with pytest.raises(StorageError, match="cannot be read now"):
            fill(store, -10, 70)
        assert january(stored).read_bytes() == before
        assert store.info(BARS).size_bytes == sum(info.size_bytes for info in store.files(BARS))
        assert store.files(BARS)[0].rows == 70, "the other period was published"
        disk.refuses = lambda _path: False
        store.publish()
        assert opens(store) == [float(n) for n in range(-60, 70)]
        assert store.problems == ()
        assert store.gaps(BARS) == []
    assert not list((stored / ".dccd" / "quarantine").iterdir())


def test_a_dataset_of_which_nothing_may_be_read_now_is_known(data_path: Path) -> None:
    with closing(Store.open(data_path)) as store:
        fill(store, -60, 0)
    (data_path / ".dccd" / "catalog.db").unlink()
    disk = Disk()
    disk.refuses = lambda path: path == january(data_path)
    with closing(Store.open(data_path, fs=disk)) as store:
        assert [info.dataset for info in store.inventory()] == [BARS]
        assert store.info(BARS).rows == 0


def test_what_lies_in_a_folder_that_may_not_be_listed_is_not_gone(stored: Path) -> None:
    disk = Disk()
    disk.refuses = lambda path: path.name == "symbol=BTC-USDT"
    with closing(Store.open(stored, fs=disk)) as store:
        assert causes(store) == {GapCause.UNREADABLE: span(-60, 60)}
        assert ["symbol=BTC-USDT" in problem.text for problem in store.problems] == [True]
    with closing(Store.open(stored)) as store:
        assert store.gaps(BARS) == []
        assert store.info(BARS).rows == 120


def test_a_full_disk_keeps_nobody_from_what_is_left() -> None:
    disk, folder = SimDisk(), Path("/data")
    with closing(Store.open(folder, fs=disk)) as store:
        fill(store, *JANUARY)
        fill(store, *FEBRUARY)
    disk.remove(january(folder))
    disk.fail = lambda _call, name: OSError(errno.ENOSPC, "full") if "commit" in name else None
    with closing(Store.open(folder, fs=disk)) as store:
        assert opens(store) == [float(n) for n in range(60)]
        assert causes(store) == {GapCause.FILE_GONE: span(-60, 0)}
        assert "is gone, which could not be recorded" in store.problems[0].text
    disk.fail = lambda _call, _name: None
    for _ in range(2):
        with closing(Store.open(folder, fs=disk)) as store:
            assert causes(store) == {GapCause.FILE_GONE: span(-60, 0)}
            assert store.problems == ()


def test_a_page_of_two_months_proves_nothing_of_a_file_that_is_gone(data_path: Path) -> None:
    with closing(Store.open(data_path)) as store:
        log = store.begin_backfill(BARS, "run", source="binance")
        log.append(bars(-60, 60), span(-60, 60), None)
        log.publish_before(FEB)  # of the page, only February waits
        [january] = store.files(BARS)
        (data_path / january.path).unlink()
        assert opens(store) == [float(n) for n in range(60)]
        assert store.coverage(BARS).covered == span(0, 60)
        assert causes(store) == {GapCause.FILE_GONE: span(-60, 0)}
        log.append(bars(-10, 0), span(-10, 0), None)
        log.finish()
        assert opens(store) == [float(n) for n in range(-10, 60)]
        assert store.coverage(BARS).covered == span(-10, 60)
        assert causes(store) == {GapCause.FILE_GONE: span(-60, -10)}


def test_a_file_that_a_reader_is_refused_is_a_gap_at_once(data_path: Path) -> None:
    disk = Disk()
    with closing(Store.open(data_path, fs=disk)) as store:
        fill(store, *JANUARY)
        fill(store, *FEBRUARY)
        assert store.info(BARS).gaps == ()
        january(data_path).touch()
        disk.refuses = lambda path: path.name == january(data_path).name
        with pytest.raises(StorageError):
            opens(store)
        assert causes(store) == {GapCause.UNREADABLE: span(*JANUARY)}


def test_what_a_reader_found_damaged_is_not_put_aside_once_it_was_replaced(
    stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Store.open(stored)) as store:
        january(stored).write_bytes(january(stored).read_bytes()[:-9])
        look, looked = store._parts.catalog._look, False

        def look_and_be_overtaken(path: str) -> object:
            nonlocal looked
            found = look(path)
            if not looked:
                looked = True
                fill(store, *JANUARY)  # which puts the damaged file aside, too
            return found

        monkeypatch.setattr(store._parts.catalog, "_look", look_and_be_overtaken)
        assert opens(store) == [float(n) for n in range(-60, 60)]
        assert store.gaps(BARS) == []
        assert len(list((stored / ".dccd" / "quarantine").iterdir())) == 1


def test_readers_that_find_a_damaged_file_at_once_put_it_aside_once(
    stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Store.open(stored)) as store:
        january(stored).write_bytes(january(stored).read_bytes()[:-9])
        look, first_looks, together = store._parts.catalog._look, iter(range(4)), threading.Barrier(4)

        def look_together(path: str) -> object:
            found = look(path)
            if next(first_looks, None) is not None:
                together.wait(30)
            return found

        monkeypatch.setattr(store._parts.catalog, "_look", look_together)
        with ThreadPoolExecutor(4) as pool:
            assert [*pool.map(lambda _: len(opens(store)), range(4))] == [60] * 4
        assert causes(store) == {GapCause.PUT_ASIDE: span(-60, 0)}
        assert len(store.problems) == 1
