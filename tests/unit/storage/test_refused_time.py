"""What streams bring while the disk has no room is refused, and its time becomes a gap that says so."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import DiskFull, StorageError
from dccd.domain.gaps import GapCause
from dccd.domain.records import Columns
from dccd.storage import stream_log
from dccd.storage.fs import Usage
from dccd.storage.room import RESUME_BYTES, SPARE_BYTES, Room
from dccd.storage.store import Store
from dccd.storage.stream_log import StreamLog
from tests.faults.loss import Loss
from tests.faults.simdisk import SimDisk
from tests.store_clock import StoreClock

FOLDER = Path("/data")
DAY = 1_704_067_200_000_000_000  # 2024-01-01
BTC = DatasetId.parse("kraken:BTC-USD:trades")
ETH = DatasetId.parse("kraken:ETH-USD:trades")
BARS = DatasetId.parse("kraken:BTC-USD:ohlc:1m")
US = 1000
ENOUGH = 1 << 40


class Streams:
    """A log on a disk with as much room as the test says, by a clock that is moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.disk, self.clock = SimDisk(), StoreClock(DAY)
        self.free_bytes = ENOUGH
        monkeypatch.setattr(self.disk, "usage", lambda _path: Usage(self.free_bytes, ENOUGH))
        self.store = Store.open(FOLDER, fs=self.disk, clock=self.clock)
        self.log = StreamLog(self.store, self.clock.monotonic)

    def trade(self, number: int, *, since: int | None = None, session: str = "one") -> None:
        """A trade of some microsecond; time before it is proven whole from `since` on, else nothing is."""
        ts = DAY + number * US
        covered = IntervalSet() if since is None else IntervalSet.of(DAY + since * US, ts)
        columns: Columns = {"ts": [ts], "price": [1.5], "amount": [1.0], "tid_num": [number]}
        self.log.append(BTC, columns, covered, source="kraken", observation=session)

    def run(self, seconds: float) -> None:
        """What the thread does meanwhile."""
        end_s = self.clock.monotonic() + seconds
        while (pause_s := self.log.step()) is not None and self.clock.monotonic() + pause_s <= end_s:
            self.clock.pass_s(pause_s)
        self.clock.pass_s(max(0.0, end_s - self.clock.monotonic()))

    def full(self) -> None:
        """Have the room sink below the hard floor, and be noticed."""
        self.free_bytes = SPARE_BYTES - 1
        self.trade(0)
        self.run(2)

    def gaps(self) -> list[tuple[int, int, str]]:
        return [
            ((gap.start_ns - DAY) // US, (gap.end_ns - DAY) // US, gap.cause) for gap in self.store.gaps(BTC)
        ]

    def ids(self) -> list[Any]:
        return [number for batch in self.store.read(BTC) for number in batch["tid_num"].to_pylist()]


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Iterator[Streams]:
    made = Streams(monkeypatch)
    yield made
    made.disk.fail = lambda _call, _name: None
    made.log.close()
    made.store.close()


def test_below_the_hard_floor_nothing_is_taken_and_that_is_a_gap(streams: Streams) -> None:
    streams.full()
    assert streams.ids() == [0], "what was taken before is stored"
    for number in range(1, 10):
        with pytest.raises(DiskFull, match=r"67 MB are free.* until 84 MB are.* Free some space"):
            streams.trade(number, since=number - 1)
        streams.run(1)
    assert "The disk is nearly full" in str(streams.log.trouble)
    streams.free_bytes = ENOUGH
    streams.run(2)
    assert streams.log.trouble is None
    streams.trade(10, since=9)
    streams.run(2)
    assert streams.ids() == [0, 10]
    assert streams.gaps() == [(0, 10, GapCause.DISK_FULL.value)], "the ninth has no row, and is not proven"


def test_what_is_refused_is_told_while_it_lasts(streams: Streams) -> None:
    streams.full()
    with pytest.raises(DiskFull):
        streams.trade(1, since=0)
    streams.run(0.1)
    assert streams.gaps() == [(0, 2, GapCause.DISK_FULL.value)]
    commits = streams.disk.log.count("commit coverage.db")
    for number in range(2, 60):
        with pytest.raises(DiskFull):
            streams.trade(number, since=number - 1)
        streams.run(1)
    assert streams.disk.log.count("commit coverage.db") - commits <= 1, "not at each of them"
    streams.run(60)
    assert streams.gaps() == [(0, 60, GapCause.DISK_FULL.value)]


def test_a_proof_that_comes_later_leaves_out_what_was_refused(streams: Streams) -> None:
    streams.full()
    with pytest.raises(DiskFull):
        streams.trade(5)
    streams.free_bytes = ENOUGH
    streams.run(2)
    streams.trade(9, since=0)  # its session had the trade of the fifth; the store has not
    streams.trade(12, since=9)
    streams.log.flush()
    assert streams.store.coverage(BTC).covered == IntervalSet(
        [(DAY, DAY + 5 * US), (DAY + 6 * US, DAY + 12 * US)]
    )
    assert streams.gaps() == [(5, 6, GapCause.DISK_FULL.value)]


def test_another_session_proves_what_it_has_seen_itself(streams: Streams) -> None:
    streams.full()
    with pytest.raises(DiskFull):
        streams.trade(5)
    streams.free_bytes = ENOUGH
    streams.run(2)
    streams.trade(9, since=0, session="two")
    streams.log.flush()
    assert streams.gaps() == []


def test_streams_go_on_only_with_some_room_to_spare(streams: Streams) -> None:
    streams.full()
    floor = streams.store.room().hard_floor_bytes
    streams.free_bytes = floor + RESUME_BYTES - 1
    streams.run(2)
    assert isinstance(streams.log.trouble, DiskFull)
    streams.free_bytes += 1
    streams.run(2)
    assert streams.log.trouble is None


def test_room_is_measured_once_a_second_and_never_while_nothing_comes(streams: Streams) -> None:
    measured = 0
    room = streams.store.room

    def count() -> Room:
        nonlocal measured
        measured += 1
        return room()

    streams.log._floor._measure = count
    for number in range(100):
        streams.trade(number)
        streams.run(0.1)
    assert 8 <= measured <= 11
    streams.run(5)
    before = measured
    streams.run(3600)
    assert measured == before


def test_a_disk_that_cannot_be_asked_for_its_room_is_written_to(
    streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: Path) -> Usage:
        raise OSError(errno.EIO, "injected")

    monkeypatch.setattr(streams.disk, "usage", fail)
    streams.trade(0)
    streams.run(2)
    streams.trade(1)
    streams.run(2)
    assert streams.ids() == [0, 1]


def test_an_open_bar_that_is_refused_is_no_gap(streams: Streams) -> None:
    streams.full()
    names = ("open", "high", "low", "close", "volume")
    columns: Columns = {"ts": [DAY], **{name: [1.0] for name in names}}
    with pytest.raises(DiskFull):
        streams.log.append(BARS, columns, IntervalSet(), source="kraken", provisional=True)
    streams.run(2)
    assert BARS not in [info.dataset for info in streams.store.inventory()]


def refuse(streams: Streams, number: int = errno.ENOSPC) -> None:
    """Have the disk take nothing more."""
    streams.disk.fail = lambda _call, name: (
        OSError(number, "injected") if name.startswith(("append", "commit")) else None
    )


@pytest.mark.parametrize(
    ("number", "cause"), [(errno.ENOSPC, GapCause.DISK_FULL), (errno.EIO, GapCause.NEVER_FETCHED)]
)
def test_what_the_memory_set_aside_has_no_room_for_is_a_gap_once_the_disk_writes(
    streams: Streams, monkeypatch: pytest.MonkeyPatch, number: int, cause: GapCause
) -> None:
    monkeypatch.setattr(stream_log, "BUFFER_BYTES_MAX", 5_000)
    refuse(streams, number)
    taken = refused = 0
    for second in range(10):
        try:
            streams.trade(second, since=second - 1)
            taken += 1
        except StorageError:
            refused += 1
        streams.run(1)
    assert (taken, refused) == (4, 6)
    streams.disk.fail = lambda _call, _name: None
    streams.run(61)
    assert streams.ids() == [0, 1, 2, 3]
    assert streams.gaps() == [(3, 10, cause.value)]
    streams.trade(10, since=9)
    streams.log.flush()
    assert streams.gaps() == [(3, 10, cause.value)]
    log = streams.store.begin_backfill(BTC, "repair", source="kraken")
    rows: Columns = {
        "ts": [DAY + each * US for each in range(3, 10)],
        "price": [1.5] * 7,
        "amount": [1.0] * 7,
    }
    log.append({**rows, "tid_num": [*range(3, 10)]}, IntervalSet.of(DAY + 3 * US, DAY + 10 * US))
    log.finish()
    assert streams.gaps() == []


def test_what_was_refused_last_is_recorded_at_the_end(streams: Streams) -> None:
    streams.full()
    with pytest.raises(DiskFull):
        streams.trade(1, since=0)
    streams.log.close()
    streams.store.close()
    store = Store.open(FOLDER, fs=streams.disk.after_crash(Loss.ALL, 0))
    assert [gap.cause for gap in store.gaps(BTC)] == [GapCause.DISK_FULL.value]
    store.close()


def test_rows_with_implausible_times_that_cannot_be_put_aside_are_a_gap_too(streams: Streams) -> None:
    streams.trade(0, since=-1)
    streams.run(2)
    streams.disk.fail = lambda _call, name: OSError(errno.ENOSPC, "injected") if "jsonl" in name else None
    columns: Columns = {"ts": [5], "price": [1.5], "amount": [1.0], "tid_num": [1]}
    with pytest.raises(DiskFull):
        streams.log.append(BTC, columns, IntervalSet.of(DAY, DAY + 9 * US), source="kraken")
    streams.run(2)
    assert streams.gaps() == [(0, 9, GapCause.DISK_FULL.value)]
