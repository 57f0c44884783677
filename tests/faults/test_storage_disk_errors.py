"""The disk says no: an error in words, nothing acknowledged lost, and the next start succeeds."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

import pyarrow as pa
import pytest

from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import CorruptFile, DiskFull, StorageError
from dccd.storage.backfill_log import BackfillLog
from dccd.storage.store import Store
from tests.faults.judge import judge
from tests.faults.ledger import Ledger
from tests.faults.loss import Loss
from tests.faults.simdisk import SimDisk
from tests.faults.story import BARS, EDGE, FOLDER, TRADES, bars, live, minutes, trades

FILE = FOLDER / BARS.folder / "2024-01.parquet"


@pytest.fixture
def stored() -> tuple[SimDisk, Ledger]:
    """A disk after the whole story."""
    disk, ledger = SimDisk(), Ledger()
    live(disk, ledger)
    return disk, ledger


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["no room", "bad disk"])
def test_an_error_at_any_call_is_told_in_words_and_loses_nothing(number: int) -> None:
    clean = SimDisk()
    live(clean, Ledger())
    for at in range(1, clean.calls + 1, 4):
        disk, ledger = SimDisk(), Ledger()
        disk.fail = partial(fails_at, at, number)
        with suppress(StorageError):  # any other error fails the test
            live(disk, ledger)
        disk.fail = lambda _call, _name: None
        judge(disk.after_crash(Loss.ALL, at), ledger, power_cut=True)


def fails_at(at: int, number: int, call: int, _name: str) -> OSError | None:
    return OSError(number, "injected") if call == at else None


def test_a_page_that_found_no_room_can_be_appended_again() -> None:
    disk, ledger = SimDisk(), Ledger()
    store = Store.open(FOLDER, fs=disk)
    log = store.begin_backfill(BARS, "run", source="binance")
    ledger.append(log, bars(0, 10), minutes(0, 10))
    disk.fail = lambda _call, name: OSError(errno.ENOSPC, "full") if name.startswith("append") else None
    with pytest.raises(DiskFull, match="Free some space"):
        log.append(bars(10, 20), minutes(10, 20), None)
    assert store.info(BARS).rows == 10
    disk.fail = lambda _call, _name: None
    ledger.append(log, bars(10, 20), minutes(10, 20))
    log.finish()
    ledger.safe(BARS)
    store.close()
    judge(disk.after_crash(Loss.ALL, 0), ledger, power_cut=True)


def test_a_failed_sync_is_never_retried_on_that_journal() -> None:
    disk = SimDisk()
    store = Store.open(FOLDER, fs=disk)
    log = store.begin_backfill(BARS, "run", source="binance")
    log.append(bars(0, 10), minutes(0, 10), None)
    disk.fail = lambda _call, name: OSError(errno.EIO, "injected") if name == "sync file" else None
    with pytest.raises(StorageError):
        log.sync()
    disk.fail = lambda _call, _name: None
    with pytest.raises(StorageError, match="could not be synced"):
        log.sync()
    with pytest.raises(StorageError, match="could not be synced"):
        log.append(bars(10, 20), minutes(10, 20), None)
    log.finish()  # what can still be read is published, through a file of its own
    assert store.info(BARS).files == 1
    assert store.info(BARS).rows == 10
    store.close()


def test_a_page_whose_sync_fails_is_stored_all_the_same() -> None:
    disk, ledger = SimDisk(), Ledger()
    store = Store.open(FOLDER, fs=disk)
    times = count()
    log = BackfillLog(store, BARS, "run", "binance", clock=lambda: float(next(times)))  # a sync each append
    ledger.append(log, bars(0, 10), minutes(0, 10))
    ledger.safe(BARS)
    assert store.info(BARS).rows == 10
    disk.fail = lambda _call, name: OSError(errno.EIO, "injected") if name == "sync file" else None
    with pytest.raises(StorageError, match="syncing"):
        ledger.append(log, bars(10, 20), minutes(10, 20))
    disk.fail = lambda _call, _name: None
    assert (store.info(BARS).rows, store.info(BARS).covered) == (20, minutes(0, 20))
    judge(disk.after_crash(Loss.ALL, 0), ledger, power_cut=True)


def test_logs_that_the_disk_ended_leave_no_journal_once_another_is_published() -> None:
    disk = SimDisk(ntfs=True)  # where no open file can be removed: the descriptors are closed too
    store = Store.open(FOLDER, fs=disk)
    for number in range(4):
        log = store.begin_backfill(BARS, "run", source="binance")
        log.append(bars(number, number + 1), minutes(number, number + 1), None)
        disk.fail = lambda _call, name: OSError(errno.EIO, "injected") if name == "sync file" else None
        with pytest.raises(StorageError):
            log.sync()
        disk.fail = lambda _call, _name: None
        log.close()
        log.close()
    assert store.info(BARS).rows == 4
    log = store.begin_backfill(BARS, "run", source="binance")
    log.append(bars(4, 5), minutes(4, 5), None)
    log.finish()
    assert (store.info(BARS).rows, store.files(BARS)[0].rows) == (5, 5)
    assert not [path for path in disk.files() if path.endswith(".journal")]
    store.close()


def test_a_log_that_was_closed_is_published_by_the_store(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    log = store.begin_backfill(BARS, "run", source="binance")
    log.append(bars(0, 10), minutes(0, 10), None)
    log.close()
    assert store.files(BARS) == []
    store.publish()
    assert [info.rows for info in store.files(BARS)] == [10]
    assert not list((tmp_path / ".dccd" / "journal").iterdir())
    store.close()


def test_a_file_held_open_is_published_later() -> None:
    disk, ledger = SimDisk(ntfs=True), Ledger()
    live(disk, ledger)
    store = Store.open(FOLDER, fs=disk)
    before = disk.files()[str(FILE).lower()]
    reader = disk.source(FILE)
    log = store.begin_backfill(BARS, "run", source="binance")
    ledger.append(log, bars(-90, -60), minutes(-90, -60))
    log.finish()
    ledger.safe(BARS)
    assert disk.files()[str(FILE).lower()] == before
    assert sum(batch.num_rows for batch in store.read(BARS)) == ledger.rows(BARS).total()
    reader.close()
    store.publish()
    assert disk.files()[str(FILE).lower()] != before
    store.close()
    judge(disk.after_crash(Loss.ALL, 0), ledger, power_cut=True)


@pytest.mark.parametrize("where", [0.1, 0.5, 0.97], ids=["first page", "later page", "footer"])
def test_a_damaged_file_is_put_aside_and_its_period_is_a_gap(
    stored: tuple[SimDisk, Ledger], where: float
) -> None:
    disk, _ledger = stored

    def flip(data: bytearray) -> None:
        data[int(len(data) * where)] ^= 0xFF

    disk.damage(FILE, flip)
    store = Store.open(FOLDER, fs=disk)
    if not store.problems:  # only a reading of the rows can tell
        log = store.begin_backfill(BARS, "run", source="binance")
        log.append(bars(-50, -40), minutes(-50, -40), None)
        log.finish()
    assert [problem.kept is not None for problem in store.problems] == [True]
    assert not store.coverage(BARS).covered & minutes(-30, 0)
    assert any("put aside" in gap.cause for gap in store.gaps(BARS))
    assert sum(1 for path in disk.files() if "/quarantine/" in path) == 1
    store.close()
    again = Store.open(FOLDER, fs=disk)
    assert any("put aside" in gap.cause for gap in again.gaps(BARS))
    log = again.begin_backfill(BARS, "run", source="binance")
    log.append(bars(-90, 50), minutes(-90, 50), None)
    log.finish()
    assert {gap.cause for gap in again.gaps(BARS)} == {"never fetched"}
    again.close()


def flip_a_row(data: bytearray) -> None:
    data[len(data) // 3] ^= 0x01  # pages are not decoded when a file is read back: the hash must tell


def flip_the_footer(data: bytearray) -> None:
    data[data.index(b'"crc32"') + 40] ^= 0x01


def forget_the_end(data: bytearray) -> None:
    del data[-100:]


@pytest.mark.parametrize("damage", [flip_a_row, flip_the_footer, forget_the_end])
def test_a_new_file_that_reads_back_otherwise_never_replaces_the_old_one(
    stored: tuple[SimDisk, Ledger], damage: Callable[[bytearray], None]
) -> None:
    disk, ledger = stored
    before = disk.files()[str(FILE)]
    store = Store.open(FOLDER, fs=disk)
    log = store.begin_backfill(BARS, "run", source="binance")
    ledger.append(log, bars(-90, -60), minutes(-90, -60))
    log.sync()
    ledger.safe(BARS)

    def fail(_call: int, name: str) -> None:
        written = [path for path in disk.files() if "/tmp/" in path]
        if name == "sync file" and written:
            disk.damage(Path(written[0]), damage)

    disk.fail = fail
    with pytest.raises(CorruptFile, match=r"reads back otherwise .* old file was kept. Check the disk"):
        log.finish()
    assert disk.files()[str(FILE)] == before
    assert store.problems == ()
    assert not [path for path in disk.files() if "/tmp/" in path or "/quarantine/" in path]
    assert sum(batch.num_rows for batch in store.read(BARS)) == ledger.rows(BARS).total()
    disk.fail = lambda _call, _name: None
    store.publish()
    assert disk.files()[str(FILE)] != before
    store.close()
    judge(disk, ledger, power_cut=False)


def test_a_page_that_cannot_be_read_back_is_not_the_files_fault(stored: tuple[SimDisk, Ledger]) -> None:
    disk, ledger = stored
    before = disk.files()[str(FILE)]
    store = Store.open(FOLDER, fs=disk)
    log = store.begin_backfill(BARS, "run", source="binance")
    log.append(bars(-90, -60), minutes(-90, -60), None)
    [journal] = [path for path in disk.files() if path.endswith(".journal")]
    disk.damage(Path(journal), flip_last)
    damaged = disk.files()[journal]
    with pytest.raises(CorruptFile, match=r"A page of .* cannot be read back"):
        log.finish()
    assert disk.files()[str(FILE)] == before
    assert disk.files()[journal] == damaged
    assert store.problems == ()
    store.close()
    again = Store.open(FOLDER, fs=disk)
    assert ["no whole page" in problem.text for problem in again.problems] == [True]
    assert sum(batch.num_rows for batch in again.read(BARS)) == ledger.rows(BARS).total()
    again.close()
    judge(disk, ledger, power_cut=False)


def flip_last(data: bytearray) -> None:
    data[-1] ^= 0x01


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES], ids=["no descriptor", "no access"])
def test_a_file_that_may_not_be_opened_now_is_not_put_aside(
    stored: tuple[SimDisk, Ledger], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, ledger = stored
    before = disk.files()[str(FILE)]
    store = Store.open(FOLDER, fs=disk)
    log = store.begin_backfill(BARS, "run", source="binance")
    ledger.append(log, bars(-90, -60), minutes(-90, -60))
    opened = disk.source

    def refuse(path: Path) -> pa.NativeFile:
        if path == FILE:
            raise OSError(number, "injected", str(path))
        return opened(path)

    with monkeypatch.context() as patch:
        patch.setattr(disk, "source", refuse)
        with pytest.raises(StorageError, match=r"reading .*2024-01.parquet failed"):
            log.finish()
    assert disk.files()[str(FILE)] == before
    assert store.problems == ()
    store.publish()
    store.close()
    judge(disk, ledger, power_cut=False)


def test_a_damaged_index_is_made_anew(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    log = store.begin_backfill(TRADES, "run", source="bitfinex")
    log.append(trades(0, 10), minutes(0, 10), None)
    log.finish()
    store.close()
    (tmp_path / ".dccd" / "catalog.db").write_bytes(b"no database" * 100)
    store = Store.open(tmp_path)
    assert store.info(TRADES).rows == 10
    store.close()


def test_a_damaged_record_of_what_was_asked_is_put_aside(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    log = store.begin_backfill(TRADES, "run", source="bitfinex")
    log.append(trades(0, 10), minutes(0, 10), None)
    log.finish()
    store.close()
    (tmp_path / ".dccd" / "coverage.db").write_bytes(b"no database" * 100)
    store = Store.open(tmp_path)
    assert "put aside" in store.problems[0].text
    assert store.problems[0].kept is not None
    assert store.problems[0].kept.read_bytes().startswith(b"no database")
    assert store.info(TRADES).rows == 10
    store.close()


def test_a_torn_journal_is_cut_and_its_tail_kept(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    log = store.begin_backfill(TRADES, "run", source="bitfinex")
    log.append(trades(0, 10), minutes(0, 10), None)
    log.append(trades(10, 20), minutes(10, 20), None)
    store.close()
    [path] = (tmp_path / ".dccd" / "journal").iterdir()
    path.write_bytes(path.read_bytes()[:-7])
    store = Store.open(tmp_path)
    assert "no whole page" in store.problems[0].text
    assert store.info(TRADES).rows == 10
    assert store.coverage(TRADES).covered == minutes(0, 10)
    store.publish()
    assert not list((tmp_path / ".dccd" / "journal").iterdir())
    store.close()


def test_nothing_is_covered_that_only_an_empty_file_would_say(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    log = store.begin_backfill(TRADES, "run", source="bitfinex")
    log.append({}, IntervalSet.of(EDGE, EDGE + 10), None)
    log.finish()
    assert store.files(TRADES) == []
    store.close()
    store = Store.open(tmp_path)
    assert store.coverage(TRADES).covered == IntervalSet.of(EDGE, EDGE + 10)
    assert list(store.read(TRADES)) == []
    store.close()
