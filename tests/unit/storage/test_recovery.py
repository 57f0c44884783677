"""What a start does, and what it may find: a damaged index or record, a journal that is no good."""

from __future__ import annotations

import errno
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import StorageError
from dccd.domain.gaps import GapCause
from dccd.domain.timeutils import DAY_NS, MINUTE_NS
from dccd.storage.fs import RealFileSystem
from dccd.storage.store import Store
from tests.unit.storage.conftest import (
    BARS,
    FEB,
    JANUARY,
    Disk,
    bars,
    causes,
    fill,
    january,
    opens,
    span,
)

# --- open and recover, apart ----------------------------------------------------------------------


def test_what_the_index_knows_is_told_before_the_recovery(stored: Path) -> None:
    with closing(Store.open(stored)) as store:
        log = store.begin_backfill(BARS, "run", source="binance")
        log.append(bars(60, 70), span(60, 70), None)
    with closing(Store.open(stored, recover=False)) as store:
        assert store.recovering is not None
        assert [info.rows for info in store.inventory()] == [120]
        store.recover()
        assert store.recovering is None
        assert [info.rows for info in store.inventory()] == [130]


def test_who_needs_what_is_right_waits_for_the_recovery(stored: Path) -> None:
    disk = Disk()
    disk.go_on.clear()
    with closing(Store.open(stored, fs=disk, recover=False)) as store:
        recovering = threading.Thread(target=store.recover)
        recovering.start()
        assert disk.waits.wait(30)
        rows: list[int] = []
        asking = threading.Thread(target=lambda: rows.append(store.info(BARS).rows))
        asking.start()
        assert store.inventory()[0].rows == 120
        assert rows == []
        disk.go_on.set()
        asking.join()
        assert rows == [120]
        recovering.join()


def test_closing_ends_a_recovery(stored: Path) -> None:
    disk = Disk()
    disk.go_on.clear()
    store = Store.open(stored, fs=disk, recover=False)
    failed: list[StorageError] = []

    def recover() -> None:
        try:
            store.recover()
        except StorageError as error:
            failed.append(error)

    recovering = threading.Thread(target=recover)
    recovering.start()
    assert disk.waits.wait(30)
    store.interrupt()
    disk.go_on.set()
    store.close()
    recovering.join()
    assert "closed" in str(failed[0])
    Store.open(stored).close()


def test_a_recovery_that_failed_can_be_done_again(stored: Path) -> None:
    disk = Disk()
    with closing(Store.open(stored, fs=disk, recover=False)) as store:
        disk.refuses = lambda path: path == stored
        for _ in range(2):
            with pytest.raises(StorageError, match="reading the data folder"):
                store.info(BARS)
        assert store.recovering is None
        assert not store.recovered
        disk.refuses = lambda _path: False
        assert store.info(BARS).rows == 120


# --- the index ------------------------------------------------------------------------------------


def garbage(path: Path) -> None:
    path.write_bytes(b"no database" * 100)


def nothing(path: Path) -> None:
    path.unlink()


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def not_to_be_written(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[18] ^= 2  # the header's version for writing: whoever only reads goes on without a word
    path.write_bytes(data)


def sql(text: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(text)

    return change


# SQLite names in its error what it cannot make out, and these words are no text.
words_that_are_no_text = sql(
    "PRAGMA writable_schema = 1; UPDATE sqlite_master SET name = CAST(x'c4' AS TEXT), sql = ''"
)


@pytest.mark.parametrize(
    "change",
    [
        garbage,
        nothing,
        a_folder,
        cut,
        words_that_are_no_text,
        sql("PRAGMA user_version = 1"),
        sql("DROP TABLE files"),
        sql("ALTER TABLE files DROP COLUMN crc"),
        sql("UPDATE files SET size_bytes = 'many'"),
        sql("UPDATE files SET first_ns = first_ns + 1, last_ns = 0"),
        sql("UPDATE files SET footer = replace(footer, '60', '61')"),
        sql("UPDATE files SET path = path || 'x'"),
    ],
    ids=lambda change: getattr(change, "__name__", ""),
)
def test_an_index_that_is_no_good_costs_nothing(stored: Path, change: Callable[[Path], None]) -> None:
    change(stored / ".dccd" / "catalog.db")
    for _ in range(2):
        with closing(Store.open(stored)) as store:
            info = store.info(BARS)
            assert (info.rows, info.start_ns, info.gaps) == (120, FEB - 60 * MINUTE_NS, ())
            assert len(opens(store)) == 120
            assert store.problems == ()


def test_no_flipped_bit_of_the_index_makes_a_wrong_answer(stored: Path) -> None:
    path = stored / ".dccd" / "catalog.db"
    whole = path.read_bytes()
    used = [at for at in range(len(whole)) if whole[at]]
    for at in used[:: max(1, len(used) // 40)]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with closing(Store.open(stored)) as store:
            info = store.info(BARS)
            assert (info.rows, info.start_ns, info.files) == (120, FEB - 60 * MINUTE_NS, 2), at
            assert info.covered == span(-60, 60), at


def test_an_index_that_is_not_to_be_written_is_made_anew(stored: Path) -> None:
    path = stored / ".dccd" / "catalog.db"
    not_to_be_written(path)
    with closing(Store.open(stored)) as store:
        fill(store, 60, 70)
        assert store.info(BARS).rows == 130
    sql("DELETE FROM files")(path)


def test_an_index_that_another_program_holds_is_left_alone(stored: Path) -> None:
    path = stored / ".dccd" / "catalog.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with closing(Store.open(stored)) as store:
            assert store.info(BARS).rows == 120
            fill(store, 60, 70)
        other.execute("ROLLBACK")
    with closing(RealFileSystem().database(path, durable=False)) as index:
        [(wait_ms,)] = index.execute("PRAGMA busy_timeout")
    assert wait_ms <= 500, "a start is held up"
    with closing(Store.open(stored)) as store:
        assert store.info(BARS).rows == 130
        assert store.gaps(BARS) == []


# --- the record of what was asked for -------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        garbage,
        cut,
        not_to_be_written,
        words_that_are_no_text,
        sql("DROP TABLE intervals"),
        sql("UPDATE intervals SET start_ns = start_ns + 1"),
        sql("UPDATE intervals SET kind = 'no such kind'"),
        sql("UPDATE intervals SET dataset = 'no dataset'"),
        sql("UPDATE intervals SET end_ns = 'late'"),
        sql("UPDATE intervals SET cause = CAST(x'ff' AS TEXT)"),
        sql("PRAGMA user_version = 9"),
    ],
    ids=lambda change: getattr(change, "__name__", ""),
)
def test_a_damaged_record_is_kept_and_made_good(data_path: Path, change: Callable[[Path], None]) -> None:
    with closing(Store.open(data_path)) as store:
        store.add_asked(BARS, Interval(FEB, FEB + DAY_NS))
        fill(store, 0, 10)
        fill(store, 20, 30)
    path = data_path / ".dccd" / "coverage.db"
    change(path)
    damaged = path.read_bytes()
    for start in range(2):
        with closing(Store.open(data_path)) as store:
            assert (len(store.problems) > 0) == (start == 0)
            if start == 0:
                assert store.problems[0].kept is not None
                assert store.problems[0].kept.read_bytes() == damaged
            assert not span(0, 30) - store.coverage(BARS).asked
            assert not store.coverage(BARS).asked - span(0, 24 * 60)
            assert not span(10, 20) - IntervalSet(gap[:2] for gap in map(bounds, store.gaps(BARS)))


def bounds(gap: Any) -> tuple[int, int]:
    return gap.start_ns, gap.end_ns


def test_sound_entries_of_a_damaged_record_hold(data_path: Path) -> None:
    other = DatasetId.parse("binance:ETH-USDT:ohlc:1m")
    with closing(Store.open(data_path)) as store:
        store.add_asked(BARS, Interval(FEB, FEB + DAY_NS))
        store.add_asked(other, Interval(FEB, FEB + DAY_NS))
        fill(store, 0, 10)
    sql("UPDATE intervals SET start_ns = start_ns + 1 WHERE dataset LIKE '%BTC%'")(
        data_path / ".dccd" / "coverage.db"
    )
    with closing(Store.open(data_path)) as store:
        assert store.coverage(other).asked == IntervalSet.of(FEB, FEB + DAY_NS)
        assert store.coverage(BARS).asked == span(0, 10)


def test_the_record_of_the_first_version_is_read(data_path: Path) -> None:
    with closing(Store.open(data_path)) as store:
        store.add_asked(BARS, Interval(FEB, FEB + DAY_NS))
    sql("ALTER TABLE intervals DROP COLUMN crc; PRAGMA application_id = 0; PRAGMA user_version = 1")(
        data_path / ".dccd" / "coverage.db"
    )
    for _ in range(2):
        with closing(Store.open(data_path)) as store:
            assert store.coverage(BARS).asked == IntervalSet.of(FEB, FEB + DAY_NS)
            assert store.problems == ()


def test_what_a_first_attempt_found_damaged_is_told_by_the_second(data_path: Path) -> None:
    class Stubborn(RealFileSystem):
        refuses = True

        def replace(self, source: Path, target: Path) -> None:
            if self.refuses and source.name == "zz.journal":
                raise OSError(errno.ENOSPC, "No space left on device")
            super().replace(source, target)

    with closing(Store.open(data_path)) as store:
        log = store.begin_backfill(BARS, "run", source="binance")
        for first in range(3):
            log.append(bars(first, first + 1), span(first, first + 1), None)
        log.close()
        [journal] = store.unpublished.journal_ids()
        with store.unpublished.pinned(BARS) as due:
            middle = due[1].frame.offset + due[1].frame.size - 8
    path = data_path / ".dccd" / "journal" / f"{journal}.journal"
    data = bytearray(path.read_bytes())
    data[middle] ^= 1
    path.write_bytes(data)
    path.with_name("zz.journal").write_bytes(bytes(100))
    disk = Stubborn()
    with closing(Store.open(data_path, fs=disk, recover=False)) as store:
        with pytest.raises(StorageError):
            store.recover()
        disk.refuses = False
        assert opens(store) == [0.0, 2.0]
        assert causes(store) == {GapCause.PUT_ASIDE: span(1, 2)}
        assert sorted("whole page" in problem.text for problem in store.problems) == [False, True]
        store.publish()
    assert not path.exists()
    assert len([each for each in (data_path / ".dccd" / "quarantine").iterdir() if journal in each.name]) == 1


def test_who_waited_for_the_recovery_is_told_nothing_from_before(
    stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Store.open(stored, recover=False)) as store:
        assert store.inventory()[0].gaps == ()  # and remembered
        january(stored).unlink()
        ensure = store._parts.recovery.ensure
        told: list[dict[str, IntervalSet]] = []

        def ask_at_once() -> None:
            monkeypatch.setattr(store._parts.recovery, "ensure", ensure)
            ensure()
            told.append(causes(store))

        monkeypatch.setattr(store._parts.recovery, "ensure", ask_at_once)
        store.recover()
        assert told == [{GapCause.FILE_GONE: span(*JANUARY)}]
