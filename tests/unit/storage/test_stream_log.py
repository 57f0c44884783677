from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import DiskFull, StorageError
from dccd.domain.records import Columns
from dccd.domain.timeutils import DAY_NS, MINUTE_NS
from dccd.storage import stream_log
from dccd.storage.journal import Journal
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
UPDATES = DatasetId.parse("kraken:BTC-USD:book_updates")


class Streams:
    """A log on a disk that can fail, by a clock that is moved by hand."""

    def __init__(self) -> None:
        self.disk, self.clock = SimDisk(), StoreClock(DAY)
        self.store = Store.open(FOLDER, fs=self.disk, clock=self.clock)
        self.log = StreamLog(self.store, self.clock.monotonic)

    def trade(self, number: int, dataset: DatasetId = BTC, observation: str | None = "session") -> None:
        """One trade with an id, and the microsecond that it proves."""
        ts = DAY + number * 1000
        columns: Columns = {"ts": [ts], "price": [1.5], "amount": [1.0], "tid_num": [number]}
        covered = IntervalSet.of(ts, ts + 1000)
        self.log.append(dataset, columns, covered, source="kraken", observation=observation)

    def twins(self, observation: str | None = "session") -> None:
        """Two trades that nothing tells apart."""
        columns: Columns = {"ts": [DAY, DAY], "price": [1.5, 1.5], "amount": [1.0, 1.0]}
        self.log.append(BTC, columns, IntervalSet(), source="kraken", observation=observation)

    def run(self, seconds: float) -> None:
        """What the thread does meanwhile."""
        end_s = self.clock.monotonic() + seconds
        while (pause_s := self.log.step()) is not None and self.clock.monotonic() + pause_s <= end_s:
            self.clock.pass_s(pause_s)
        self.clock.pass_s(max(0.0, end_s - self.clock.monotonic()))

    def calls(self, name: str) -> int:
        return sum(1 for call in self.disk.log if call.startswith(name))

    def refuse(self, name: str, number: int = errno.ENOSPC) -> None:
        self.disk.fail = lambda _call, called: (
            OSError(number, "injected") if called.startswith(name) else None
        )

    def relent(self) -> None:
        self.disk.fail = lambda _call, _name: None

    def journals(self) -> list[str]:
        return [path for path in self.disk.files() if path.endswith(".journal")]


@pytest.fixture
def streams() -> Iterator[Streams]:
    made = Streams()
    yield made
    made.store.close()


def bar(close: float) -> dict[str, list[float]]:
    names = ("open", "high", "low", "close", "volume")
    return {"ts": [DAY], **{name: [close] for name in names}}


def ids(store: Store, dataset: DatasetId = BTC) -> list[Any]:
    return [number for batch in store.read(dataset) for number in batch["tid_num"].to_pylist()]


def after_power_cut(disk: SimDisk, loss: Loss = Loss.ALL) -> Store:
    return Store.open(FOLDER, fs=disk.after_crash(loss, 0))


def test_rows_are_in_the_journal_after_a_quarter_of_a_second(streams: Streams) -> None:
    streams.trade(0)
    assert streams.log.step() == 0.25
    assert streams.journals() == []
    streams.clock.pass_s(0.25)
    streams.log.step()
    assert ids(streams.store) == [0]
    assert streams.store.coverage(BTC).covered == IntervalSet.of(DAY, DAY + 1000)


def test_what_came_meanwhile_is_one_frame_a_dataset(streams: Streams) -> None:
    before = streams.calls("append")
    for number in range(20):
        streams.trade(number, (BTC, ETH)[number % 2])
        streams.clock.pass_s(0.01)
    streams.clock.pass_s(0.1)
    streams.log.step()
    assert [frame.rows for dataset in (BTC, ETH) for frame in streams.store.unpublished._frames[dataset]] == [
        10,
        10,
    ]
    assert streams.calls("append") - before == 3  # and the journal's header


@pytest.mark.parametrize("datasets", [1, 50])
def test_all_streams_together_cost_one_sync_a_second(streams: Streams, datasets: int) -> None:
    many = [DatasetId.parse(f"kraken:C{number}-USD:trades") for number in range(datasets)]
    streams.trade(0)
    streams.log.flush()
    before = streams.calls("sync file")
    for second in range(20):
        for place, dataset in enumerate(many):
            streams.trade(1 + second * datasets + place, dataset)
            streams.run(1 / datasets)
    assert 19 <= streams.calls("sync file") - before <= 21


def test_where_nothing_comes_nothing_is_synced_and_nobody_wakes(streams: Streams) -> None:
    streams.trade(0)
    streams.run(10)
    before = streams.disk.calls
    assert streams.log.step() is None
    streams.run(3600)
    assert streams.disk.calls == before


def test_bars_that_are_open_cost_no_sync(streams: Streams) -> None:
    synced, appended = streams.calls("sync file"), streams.calls("append")
    for second in range(1, 30):
        streams.log.append(BARS, bar(float(second)), IntervalSet(), source="kraken", provisional=True)
        streams.run(1)
    assert streams.calls("sync file") - synced == 1  # the journal's header
    assert streams.calls("append") - appended <= 30


def test_open_bars_that_are_written_take_no_memory(streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_log, "BUFFER_BYTES_MAX", 20_000)
    for second in range(30):
        streams.log.append(BARS, bar(float(second)), IntervalSet(), source="kraken", provisional=True)
        streams.run(1)


def test_of_a_bar_that_is_open_the_last_state_is_written(streams: Streams) -> None:
    for close in (5.0, 9.0, 7.0):
        streams.log.append(BARS, bar(close), IntervalSet(), source="kraken", provisional=True)
    streams.log.flush()
    rows = [row for batch in streams.store.read(BARS, provisional=True) for row in batch.to_pylist()]
    assert [row["close"] for row in rows] == [7.0]


def test_flushed_rows_survive_a_power_cut(streams: Streams) -> None:
    for number in range(5):
        streams.trade(number)
    streams.log.flush()
    streams.trade(5)
    store = after_power_cut(streams.disk)
    assert ids(store) == [0, 1, 2, 3, 4]
    assert store.coverage(BTC).covered == IntervalSet.of(DAY, DAY + 5000)
    store.close()


def test_what_is_written_and_not_synced_survives_the_process(streams: Streams) -> None:
    streams.trade(0)
    streams.run(1.5)
    streams.trade(1)
    streams.run(0.3)
    store = after_power_cut(streams.disk, Loss.NOTHING)
    assert ids(store) == [0, 1]
    store.close()


def test_closing_keeps_everything_and_leaves_no_journal_that_is_published(streams: Streams) -> None:
    streams.trade(0)
    streams.log.close()
    assert ids(streams.store) == [0]
    streams.log.close()
    streams.store.publish()
    assert streams.journals() == []
    with pytest.raises(StorageError, match="closed"):
        streams.trade(1)


def test_the_store_closes_its_log(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    log = store.stream_log()
    assert store.stream_log() is log
    log.append(BTC, {"ts": [DAY], "price": [1.0], "amount": [1.0], "tid_num": [7]}, IntervalSet(), source="k")
    store.close()
    again = Store.open(tmp_path)
    assert ids(again) == [7]
    again.close()


def test_rows_that_found_no_room_are_kept_and_written_when_there_is(streams: Streams) -> None:
    streams.trade(0)
    streams.log.flush()
    streams.refuse("append")
    for number in range(1, 50):
        streams.trade(number)
        streams.run(0.1)
    assert isinstance(streams.log.trouble, DiskFull)
    with pytest.raises(DiskFull, match="Free some space"):
        streams.log.flush()
    assert ids(streams.store) == [0]
    streams.relent()
    streams.run(2)
    assert streams.log.trouble is None
    assert ids(streams.store) == [*range(50)]


def test_appending_is_refused_once_the_memory_set_aside_is_full(
    streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_log, "BUFFER_BYTES_MAX", 20_000)
    streams.refuse("append")
    taken = 18  # each of 65 bytes, and 1024 beside them
    for number in range(taken):
        streams.trade(number)
        streams.run(1)
    with pytest.raises(DiskFull, match="no more rows can be kept"):
        streams.trade(taken)
    streams.relent()
    streams.run(2)
    assert ids(streams.store) == [*range(taken)]
    for number in range(taken, taken + 100):  # what is durable takes no memory
        streams.trade(number)
        streams.run(1)


def test_what_fills_the_memory_is_written_at_once(streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_log, "BUFFER_BYTES_MAX", 20_000)
    for number in range(5):
        streams.trade(number)
    streams.log.step()  # no time has passed
    assert ids(streams.store) == [*range(5)]


def test_rows_that_come_too_fast_are_refused_in_words(
    streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_log, "BUFFER_BYTES_MAX", 5_000)
    for number in range(4):
        streams.trade(number)
    with pytest.raises(StorageError, match="faster than the disk"):
        streams.trade(4)


def test_a_failed_sync_is_never_repeated_on_that_journal(streams: Streams) -> None:
    streams.trade(0)
    streams.log.flush()
    [first] = streams.journals()
    streams.trade(1)
    streams.run(0.5)
    streams.trade(2)
    streams.refuse("sync file", errno.EIO)
    streams.run(1)
    assert isinstance(streams.log.trouble, StorageError)
    streams.relent()
    size = len(streams.disk.files()[first])
    streams.trade(3)
    streams.log.flush()
    assert len(streams.disk.files()[first]) == size
    assert ids(streams.store) == [0, 1, 2, 3]
    assert streams.store.info(BTC).rows == 4
    after = streams.disk.after_crash(Loss.ALL, 0)
    del after._names[first]  # whatever became of it
    assert ids(Store.open(FOLDER, fs=after)) == [1, 2, 3]


@pytest.mark.parametrize("loss", [Loss.NOTHING, Loss.ALL])
@pytest.mark.parametrize("observation", ["session", None])
def test_copies_count_once_whatever_became_of_the_first(
    streams: Streams, observation: str | None, loss: Loss
) -> None:
    streams.trade(0, ETH)
    streams.log.flush()
    streams.twins(observation)
    streams.run(0.5)
    streams.refuse("sync file", errno.EIO)
    with pytest.raises(StorageError):
        streams.log.flush()
    streams.relent()
    streams.log.flush()
    assert len(streams.journals()) == 2
    assert streams.store.info(BTC).rows == 2
    assert sum(batch.num_rows for batch in streams.store.read(BTC)) == 2
    store = after_power_cut(streams.disk, loss)
    assert sum(batch.num_rows for batch in store.read(BTC)) == 2
    store.publish()
    assert [info.rows for info in store.files(BTC)] == [2]
    store.close()


def test_a_sync_that_a_publication_found_impossible_costs_no_row(streams: Streams) -> None:
    streams.trade(0)
    streams.log.flush()
    streams.trade(1)
    streams.run(0.5)
    streams.refuse("sync file", errno.EIO)
    with pytest.raises(StorageError, match="syncing a journal"):
        streams.store.publish(BTC)
    streams.relent()
    streams.trade(2)
    streams.log.flush()
    store = after_power_cut(streams.disk)
    assert ids(store) == [0, 1, 2]
    store.close()


def test_a_journal_of_some_size_is_left_and_removed_once_published(
    streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_log, "SEGMENT_BYTES", 4000)
    for number in range(20):
        streams.trade(number)
        streams.log.flush()
    assert len(streams.journals()) > 2
    streams.store.publish()
    assert len(streams.journals()) == 1
    assert ids(streams.store) == [*range(20)]


def test_no_frame_outlives_one_that_came_before_it_in_another_journal(
    streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_log, "SEGMENT_BYTES", 1500)
    for number in range(6):
        streams.trade(number)
        streams.clock.pass_s(0.25)
        streams.log.step()
    names = streams.journals()
    kept = streams.disk.after_crash(Loss.ALL, 0)
    for name in names[:-1]:
        assert kept.files()[name] == streams.disk.files()[name]


def test_equal_trades_of_one_session_are_counted_over_its_frames(streams: Streams) -> None:
    streams.twins()
    streams.run(1)
    streams.twins()
    streams.twins("another")
    streams.log.flush()
    assert sum(batch.num_rows for batch in streams.store.read(BTC)) == 4


def test_rows_without_an_observation_are_one_by_themselves(streams: Streams) -> None:
    streams.twins(None)
    streams.twins(None)
    streams.log.flush()
    assert sum(batch.num_rows for batch in streams.store.read(BTC)) == 2


def test_coverage_never_comes_before_the_rows_it_rests_on(streams: Streams) -> None:
    streams.trade(0, observation="one")
    streams.trade(1, observation="two")
    streams.trade(2, observation="one")  # may rest on the second: not written with the first
    streams.clock.pass_s(1)
    made = streams.disk.calls + 3  # the journal: made, its header, its sync ...
    streams.disk.fail = lambda call, name: (
        OSError(errno.EIO, "injected") if call > made + 2 and name.startswith("append") else None
    )
    streams.log.step()
    assert ids(streams.store) == [0]
    assert streams.store.coverage(BTC).covered == IntervalSet.of(DAY, DAY + 1000)
    streams.relent()
    streams.run(2)
    assert streams.store.coverage(BTC).covered == IntervalSet.of(DAY, DAY + 3000)


def test_columns_that_cannot_be_read_are_refused_at_once(streams: Streams) -> None:
    with pytest.raises(StorageError, match="no column ts"):
        streams.log.append(BTC, {"price": [1.0]}, IntervalSet(), source="kraken")
    assert streams.log.step() is None


def test_time_without_rows_is_covered(streams: Streams) -> None:
    streams.log.append(BTC, {}, IntervalSet.of(DAY, DAY + MINUTE_NS), source="kraken")
    streams.log.flush()
    assert streams.store.coverage(BTC).covered == IntervalSet.of(DAY, DAY + MINUTE_NS)
    streams.store.publish()
    store = after_power_cut(streams.disk)
    assert store.coverage(BTC).covered == IntervalSet.of(DAY, DAY + MINUTE_NS)
    store.close()


def test_many_writers_lose_and_double_nothing_while_it_is_read_and_published(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    log = store.stream_log()
    datasets = [DatasetId.parse(f"kraken:C{number}-USD:trades") for number in range(6)]
    each, done = 150, threading.Event()
    wrong: list[object] = []

    def write(writer: int) -> None:
        for number in range(each):
            dataset = datasets[(writer + number) % len(datasets)]
            key = writer * each + number
            ts = DAY + key % 7 * DAY_NS // 3 + key * 1000
            columns: Columns = {"ts": [ts], "price": [1.0], "amount": [1.0], "tid_num": [key]}
            log.append(dataset, columns, IntervalSet.of(ts, ts + 1), source="kraken", observation=str(writer))
            if number % 50 == 49:
                log.flush()

    def publish() -> None:
        while not done.is_set():
            store.publish()

    def read() -> None:
        while not done.is_set():
            for dataset in datasets:
                if store.unpublished.knows(dataset) or store.files(dataset):
                    found = ids(store, dataset)
                    if len(found) != len(set(found)):
                        wrong.append(found)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    others = [threading.Thread(target=work) for work in (publish, read)]
    for thread in (*writers, *others):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in others:
        thread.join()
    assert wrong == []
    log.flush()
    assert sorted(number for dataset in datasets for number in ids(store, dataset)) == [*range(8 * each)]
    store.close()
    again = Store.open(tmp_path)
    assert sorted(number for dataset in datasets for number in ids(again, dataset)) == [*range(8 * each)]
    assert sum(again.coverage(dataset).covered.length_ns for dataset in datasets) == 8 * each
    again.close()


def test_an_error_of_the_program_is_told_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    streams = Streams()
    streams.trade(0)

    def fail(*_: object, **__: object) -> Journal:
        raise ValueError("a mistake of ours")

    with monkeypatch.context() as broken:
        broken.setattr(Store, "new_journal", fail)
        for _ in range(3):
            streams.run(1)
    assert "a mistake of ours" in str(streams.log.trouble)
    assert len(caplog.records) == 1, "told once"
    streams.run(2)
    assert streams.log.trouble is None
    assert streams.store.unpublished.knows(BTC)
    streams.log.close()
    streams.store.close()
