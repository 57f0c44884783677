"""A disk that is really full: an error in words, nothing lost; a start succeeds, and with room it goes on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import DiskFull, StorageError
from dccd.domain.gaps import GapCause
from dccd.storage.fs import RealFileSystem
from dccd.storage.room import RESUME_BYTES, SPARE_BYTES, HardFloor
from dccd.storage.store import Store
from dccd.storage.stream_log import BUFFER_BYTES_MAX, StreamLog
from tests.faults.judge import Found, rows_in, verdict_on
from tests.faults.ledger import Ledger, rows_of
from tests.faults.small_disk import PAGE_BYTES, SmallDisk, small_disk
from tests.faults.story import BARS, EDGE, TRADES, bars, first_session, live, minutes, second_session, trades
from tests.store_clock import StoreClock

ALL = os.environ.get("DCCD_FULL_DISK") == "all"
pytestmark = pytest.mark.needs("mount")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as made:
        yield made


class Watched:
    """The real disk, which does something before one of the calls that may change it."""

    def __init__(self, at: int, then: Callable[[], None]) -> None:
        self.calls = 0
        self._at, self._then, self._fs = at, then, RealFileSystem()

    def count(self) -> None:
        self.calls += 1
        if self.calls == self._at:
            self._then()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._fs, name)
        if name in ("create", "replace", "remove", "make_folder", "lock", "database"):
            self.count()
        return (lambda *args: WatchedFile(self, found(*args))) if name == "create" else found


class WatchedFile:
    """A file that was made on it."""

    def __init__(self, fs: Watched, file: Any) -> None:
        self._fs, self._file = fs, file

    def __getattr__(self, name: str) -> Any:
        if name in ("append", "sync"):
            self._fs.count()
        return getattr(self._file, name)


def judge_full(folder: Path, ledger: Ledger) -> None:
    """Start on the disk as it is, full: all that was acknowledged can be read."""
    with closing(Store.open(folder)) as store:
        deleted = {entry.dataset for entry in store.keeping.deleted()}
        for dataset in {page.dataset for page in ledger.offered} - deleted:
            expected = ledger.expected(dataset, ledger.written)
            assert not expected.due - rows_in(store, dataset), "acknowledged rows are lost"
            assert not expected.must - store.coverage(dataset).covered, "acknowledged coverage is lost"
        for dataset, asked in ledger.asked.items():
            assert not asked - store.coverage(dataset).asked


def judge_with_room(folder: Path, ledger: Ledger) -> None:
    """Start with room again: nothing is lost or twice, and the story can be lived from its beginning."""
    verdict = verdict_on(Found.on_the_real_disk(folder), ledger, power_cut=False)
    assert not verdict.faults, "; ".join(verdict.faults)
    again = Ledger()
    live(RealFileSystem(), again, folder)
    assert len(again.written) == len(again.offered)
    verdict = verdict_on(Found.on_the_real_disk(folder), again, power_cut=False)
    assert not verdict.faults, "; ".join(verdict.faults)


@pytest.fixture
def no_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams are taken on a disk that is nearly full, so that it is their rows that find no room."""
    monkeypatch.setattr(HardFloor, "look", lambda _self, _now_s: None)


@pytest.mark.usefixtures("no_floor")
def test_the_disk_is_full_from_any_call_on(disk: SmallDisk) -> None:
    whole = Watched(0, lambda: None)
    Store.open(disk.path / "whole").close()
    live(whole, Ledger(), disk.path / "whole")
    for at in range(1, whole.calls + 1, 1 if ALL else 41):
        folder, ledger = disk.path / str(at), Ledger()
        Store.open(folder).close()  # what cannot even be made has nothing to lose
        fs = Watched(at, lambda: disk.leave(0))
        with suppress(DiskFull):  # any other error fails the test
            live(fs, ledger, folder)
        assert fs.calls >= at
        judge_full(folder, ledger)
        disk.ample()
        judge_with_room(folder, ledger)


@pytest.mark.usefixtures("no_floor")
def test_a_disk_of_any_size(disk: SmallDisk) -> None:
    before = disk.used_pages
    live(RealFileSystem(), Ledger(), disk.path / "whole")
    needed = disk.used_pages - before + 40  # what is freed on the way is needed on the way
    told = done = 0
    tried = range(0, needed, 1 if ALL else 17)
    for pages in tried:
        folder, ledger = disk.path / str(pages), Ledger()
        disk.leave(pages)
        try:
            live(RealFileSystem(), ledger, folder)
        except StorageError as error:
            told += "full" in str(error)
        else:
            done += 1
        if (folder / ".dccd" / "coverage.db").exists() and ledger.offered:
            judge_full(folder, ledger)
        disk.ample()
        judge_with_room(folder, ledger)
    assert told + done == len(tried)
    assert min(told, done) > 0


@pytest.mark.parametrize("pages", range(9) if ALL else [0, 2, 5])
def test_a_program_that_goes_on_once_there_is_room(disk: SmallDisk, pages: int) -> None:
    with closing(Store.open(disk.path / "data")) as store:
        ledger = Ledger()
        first_session(store, ledger)
        log, other = (store.begin_backfill(each, "more", source="binance") for each in (BARS, TRADES))
        ledger.append(log, bars(60, 90), minutes(60, 90))
        disk.leave(pages)
        refused = 0
        for first in range(100, 3000, 100):
            try:
                ledger.append(log, bars(first, first + 100), minutes(first, first + 100))
                ledger.append(other, trades(first, first + 100), minutes(first, first + 100))
            except DiskFull as error:
                refused += "Free some space" in str(error)
        assert refused
        with suppress(DiskFull):  # what is removed on the way may be room enough
            log.finish()
        assert store.info(BARS).rows
        assert sum(batch.num_rows for batch in store.read(TRADES))
        disk.ample()
        second_session(store, ledger)
        again = store.begin_backfill(BARS, "again", source="binance")
        ledger.append(again, bars(60, 3000), minutes(60, 3000))
        again.finish()
        store.publish()
    verdict = verdict_on(Found.on_the_real_disk(disk.path / "data"), ledger, power_cut=False)
    assert not verdict.faults, "; ".join(verdict.faults)


def test_what_is_no_page_stays_in_its_journal_until_there_is_room(disk: SmallDisk) -> None:
    folder = disk.path / "data"
    with closing(Store.open(folder)) as store:
        log = store.begin_backfill(BARS, "run", source="binance")
        log.append(bars(0, 10), minutes(0, 10))
        log.append(bars(10, 20), minutes(10, 20))
    [journal] = (folder / ".dccd" / "journal").iterdir()
    journal.write_bytes(journal.read_bytes()[:-7])
    size = journal.stat().st_size
    disk.leave(0)
    with closing(Store.open(folder)) as store:
        assert ["could not be put aside" in problem.text for problem in store.problems] == [True]
        assert store.info(BARS).rows == 10
        assert not list((folder / ".dccd" / "quarantine").iterdir())
        disk.ample()
        store.publish()
        assert store.files(BARS)[0].rows == 10
        assert journal.stat().st_size == size, "what nobody has kept elsewhere is gone"
    with closing(Store.open(folder)) as store:
        assert ["put aside" in problem.text for problem in store.problems] == [True]
        assert [gap.cause for gap in store.gaps(BARS)] == [GapCause.PUT_ASIDE.value]
        store.publish()
        assert not journal.exists()
        assert store.info(BARS).rows == 10


class Streamed:
    """Trades, one a minute, given to a log on a real disk by a clock that is moved by hand."""

    def __init__(self, folder: Path) -> None:
        self.clock = StoreClock(EDGE)
        self.store = Store.open(folder, clock=self.clock)
        self.log = StreamLog(self.store, self.clock.monotonic)
        self.taken: set[int] = set()

    def give(self, number: int, copies: int = 1) -> None:
        """The trades of a minute, which prove it."""
        columns = {name: values * copies for name, values in trades(2 * number, 2 * number + 1).items()}
        self.log.append(TRADES, columns, self.minute(number), source="s", observation="session")
        self.taken.add(number)

    def second(self) -> None:
        """What the thread does in a second."""
        self.clock.pass_s(1)
        self.log.step()

    def minute(self, number: int) -> IntervalSet:
        return minutes(2 * number, 2 * number + 2)

    def judge(self, refused: set[int]) -> None:
        """What was taken is there and covered; what was not is a gap that says why, and nothing else is."""
        assert refused
        self.log.flush()
        self.second()
        due = sum((rows_of(TRADES, trades(2 * each, 2 * each + 1)) for each in self.taken), Counter())
        assert rows_in(self.store, TRADES) == due
        covered = IntervalSet(item for each in self.taken for item in self.minute(each))
        assert self.store.coverage(TRADES).covered == covered
        lost = IntervalSet(item for each in refused for item in self.minute(each))
        gaps = self.store.gaps(TRADES)
        assert IntervalSet((gap.start_ns, gap.end_ns) for gap in gaps) == lost
        assert {gap.cause for gap in gaps} == {GapCause.DISK_FULL.value}

    def close(self) -> None:
        self.log.close()
        self.store.close()


def test_streams_stop_at_the_hard_floor_and_go_on_with_room_again(disk: SmallDisk) -> None:
    with closing(Streamed(disk.path / "data")) as streamed:
        refused = set()
        for number in range(60):
            if number == 20:
                disk.leave((SPARE_BYTES - 1) // PAGE_BYTES)
            if number == 40:
                disk.leave((SPARE_BYTES + 2 * RESUME_BYTES) // PAGE_BYTES)
                streamed.second()
            try:
                streamed.give(number)
            except DiskFull:
                refused.add(number)
            streamed.second()
        assert refused == {*range(21, 40)}, "the room is looked at once a second"
        streamed.judge(refused)


@pytest.mark.usefixtures("no_floor")
def test_what_a_full_disk_and_a_full_memory_cannot_take_is_a_gap(disk: SmallDisk) -> None:
    with closing(Streamed(disk.path / "data")) as streamed:
        refused = set()
        streamed.give(0)
        streamed.second()
        disk.leave(0)
        copies = BUFFER_BYTES_MAX // 2000  # one trade as often as makes some megabytes
        for number in range(1, 100):
            try:
                streamed.give(number, copies)
            except DiskFull:
                refused.add(number)
            streamed.second()
        assert len(refused) < 99, "some were kept in memory"
        assert isinstance(streamed.log.trouble, DiskFull)
        disk.ample()
        streamed.second()
        for number in range(100, 110):
            streamed.give(number)
            streamed.second()
        streamed.clock.pass_s(60)
        streamed.judge(refused)
