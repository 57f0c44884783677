from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

import pytest

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId, Period
from dccd.domain.errors import StorageError
from dccd.domain.records import Columns
from dccd.domain.timeutils import DAY_NS, HOUR_NS, S_NS
from dccd.storage import paced_publisher, stream_log
from dccd.storage.publish_policy import (
    BUSY_S,
    QUIET_BYTES,
    QUIET_S,
    RETRY_S,
    SETTLE_S,
    WORTH,
    Backlog,
    Publication,
    due,
)
from dccd.storage.store import Store
from dccd.storage.stream_log import StreamLog
from tests.faults.simdisk import SimDisk
from tests.store_clock import StoreClock

FOLDER = Path("/data")
DAY = 1_704_067_200_000_000_000  # 2024-01-01
NOON = DAY + DAY_NS // 2
NOW_S = 100_000.0
BTC = DatasetId.parse("kraken:BTC-USD:trades")
ETH = DatasetId.parse("kraken:ETH-USD:trades")
TODAY, YESTERDAY = BTC.period(NOON), BTC.period(NOON - DAY_NS)
MB = 1 << 20


def decide(
    size_bytes: int,
    age_s: float,
    file_bytes: int = 0,
    *,
    now_ns: int = NOON,
    periods: Mapping[Period, float] | None = None,
    holding: frozenset[DatasetId] = frozenset(),
) -> list[tuple[DatasetId, int | None]]:
    since_s = periods or {TODAY: NOW_S - age_s}
    found = due(
        [Backlog(BTC, size_bytes, since_s)],
        lambda _dataset, _period: file_bytes,
        now_s=NOW_S,
        now_ns=now_ns,
        holding=holding,
    )
    return [publication[:2] for publication in found]


def test_a_small_file_is_written_after_a_quarter_of_an_hour() -> None:
    assert QUIET_S < 15 * 60
    assert decide(1000, QUIET_S - 1, QUIET_BYTES - 2000) == []
    assert decide(1000, QUIET_S, QUIET_BYTES - 2000) == [(BTC, None)]


def test_a_large_file_is_written_when_that_is_worth_it_and_after_two_hours() -> None:
    assert BUSY_S < 2 * 3600
    assert decide(10 * MB, QUIET_S, 2 * 10 * MB) == [(BTC, None)]
    assert decide(10 * MB, BUSY_S - 1, 2 * 10 * MB + 1) == []
    assert decide(10 * MB, BUSY_S, 200 * MB) == [(BTC, None)]


def test_a_period_that_is_over_is_written_soon_after_its_end() -> None:
    end = TODAY.interval.end_ns
    periods = {TODAY: NOW_S - 600, BTC.period(end): NOW_S - 1}
    after = end + round(SETTLE_S * S_NS)
    assert decide(10 * MB, 0, 100 * MB, now_ns=after - 1, periods=periods) == []
    assert decide(10 * MB, 0, 100 * MB, now_ns=after, periods=periods) == [(BTC, end)]


def test_rows_that_come_late_do_not_have_their_file_written_at_once() -> None:
    assert decide(1000, 0, 100 * MB, periods={YESTERDAY: NOW_S - 300}) == []
    assert decide(1000, 0, 100 * MB, periods={YESTERDAY: NOW_S - BUSY_S}) == [(BTC, None)]


def test_what_an_earlier_process_left_is_written_at_once() -> None:
    assert decide(1000, 0, 100 * MB, periods={TODAY: float("-inf")}) == [(BTC, None)]


def test_what_keeps_old_journals_is_written_at_once() -> None:
    assert decide(1000, 1, 100 * MB, holding=frozenset({BTC})) == [(BTC, None)]
    assert decide(1000, 1, 100 * MB, holding=frozenset({ETH})) == []


def test_the_cheapest_comes_first() -> None:
    backlogs = [Backlog(BTC, 1000, {TODAY: 0.0}), Backlog(ETH, 10, {TODAY: 0.0})]
    found = due(backlogs, lambda _dataset, _period: 7, now_s=NOW_S, now_ns=NOON, holding=frozenset())
    assert found == [Publication(ETH, None, 17), Publication(BTC, None, 1007)]


@pytest.mark.parametrize("final_bytes", [1 * MB, 20 * MB, 75 * MB, 500 * MB])
@pytest.mark.parametrize("ratio", [3, 5, 12, 50], ids="{} times the file".format)
def test_a_day_is_written_at_most_five_times_where_it_is_dense(ratio: int, final_bytes: int) -> None:
    """A dataset that brings `ratio` bytes of journal for each of its file, evenly, by the policy alone."""
    step_s, written, waiting, oldest = 60, 0.0, 0.0, 0.0
    in_file = 0.0
    per_s = final_bytes / 86_400
    oldest_s = 0.0
    for now_s in range(0, 86_400, step_s):
        waiting += per_s * step_s * ratio
        found = due(
            [Backlog(BTC, int(waiting), {TODAY: oldest_s})],
            lambda _dataset, _period: int(in_file),  # noqa: B023 - asked at once
            now_s=float(now_s),
            now_ns=DAY + now_s * S_NS,
            holding=frozenset(),
        )
        oldest = max(oldest, now_s - oldest_s)
        if found:
            in_file += waiting / ratio
            written += in_file
            waiting, oldest_s = 0.0, float(now_s)
    journal = final_bytes * ratio
    quiet = 96 * QUIET_BYTES  # small files are written by the clock
    assert oldest <= BUSY_S + step_s
    assert written <= max(5 * journal, quiet)
    assert WORTH < 5


class Streams:
    """A store whose log and clock are moved by hand."""

    def __init__(self, *, ntfs: bool = False) -> None:
        self.disk, self.clock = SimDisk(ntfs=ntfs), StoreClock(DAY)
        self.store = Store.open(FOLDER, fs=self.disk, clock=self.clock)
        self.log = StreamLog(self.store, self.clock.monotonic)

    def trade(self, number: int, dataset: DatasetId = BTC) -> None:
        ts = self.clock.ns
        columns: Columns = {"ts": [ts], "price": [1.5], "amount": [1.0], "tid_num": [number]}
        self.log.append(dataset, columns, IntervalSet.of(ts, ts + 1000), source="kraken", observation="a")
        self.log.flush()

    def rows(self, dataset: DatasetId = BTC) -> list[int]:
        return [info.rows for info in self.store.files(dataset)]


def test_readers_of_files_are_a_quarter_of_an_hour_behind() -> None:
    streams = Streams()
    streams.trade(0)
    for _ in range(90):
        streams.clock.pass_s(10)
        streams.store.publish_due()
    assert streams.rows() == [1]
    assert streams.store.unpublished.backlogs() == []
    streams.store.close()


def test_the_end_of_a_day_brings_its_file_and_leaves_the_next() -> None:
    streams = Streams()
    streams.clock.pass_s(86_400 - 30)
    streams.trade(0)
    streams.clock.pass_s(40)
    streams.trade(1)
    streams.store.publish_due()
    assert streams.rows() == []
    streams.clock.pass_s(SETTLE_S)
    streams.store.publish_due()
    assert [info.period.name for info in streams.store.files(BTC)] == ["2024-01-01"]
    assert [[*backlog.since_s] for backlog in streams.store.unpublished.backlogs()] == [
        [BTC.period(DAY + DAY_NS)]
    ]
    streams.store.close()


def test_pages_of_a_download_are_not_published_by_the_clock() -> None:
    streams = Streams()
    log = streams.store.begin_backfill(BTC, "run", source="kraken")
    columns: Columns = {"ts": [DAY], "price": [1.5], "amount": [1.0], "tid_num": [1]}
    log.append(columns, IntervalSet.of(DAY, DAY + HOUR_NS), None)
    streams.clock.pass_s(86_400)
    streams.store.publish_due()
    assert streams.rows() == []
    log.close()  # as where the disk ended it
    streams.store.publish_due()
    assert streams.rows() == [1]
    streams.store.close()


def test_a_dataset_that_fails_is_left_alone_for_a_while_and_keeps_no_other() -> None:
    streams = Streams()
    streams.trade(0)
    streams.trade(1, ETH)
    streams.clock.pass_s(QUIET_S)
    first = next(backlog.dataset for backlog in streams.store.unpublished.backlogs())
    failing = iter([OSError(errno.EIO, "injected")])
    streams.disk.fail = lambda _call, name: next(failing, None) if name.startswith("create") else None
    with pytest.raises(StorageError):
        streams.store.publish_due()
    assert first == BTC
    assert (streams.rows(BTC), streams.rows(ETH)) == ([], [1])
    streams.store.publish_due()
    assert streams.rows(BTC) == []
    streams.clock.pass_s(RETRY_S)
    streams.store.publish_due()
    assert streams.rows(BTC) == [1]
    streams.store.close()


def test_a_file_held_open_is_not_written_every_few_seconds() -> None:
    streams = Streams(ntfs=True)
    streams.trade(0)
    streams.store.publish()
    reader = streams.disk.source(FOLDER / BTC.folder / "2024-01-01.parquet")
    streams.trade(1)
    streams.clock.pass_s(QUIET_S)
    before = streams.disk.counts()["create"]
    for _ in range(10):
        streams.store.publish_due()
        streams.clock.pass_s(10)
    assert streams.disk.counts()["create"] == before + 1
    reader.close()
    streams.clock.pass_s(RETRY_S)
    streams.store.publish_due()
    assert streams.rows() == [2]
    streams.store.close()


def test_the_journals_do_not_grow_for_ever_for_one_quiet_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_log, "SEGMENT_BYTES", 4000)
    monkeypatch.setattr(paced_publisher, "LOG_BYTES_MAX", 16_000)
    streams = Streams()
    streams.trade(0, ETH)
    most = 0
    for number in range(1, 200):
        streams.trade(number)
        streams.store.publish_due()  # no time passes
        size = sum(len(data) for path, data in streams.disk.files().items() if path.endswith(".journal"))
        most = max(most, size)
    assert streams.rows(ETH) == [1]
    assert 12_000 < most < 16_000 + 2 * 4000
    streams.store.close()


def test_at_the_end_what_is_quick_is_published_and_the_rest_left() -> None:
    streams = Streams()
    streams.trade(0)
    for number in range(100):
        streams.trade(number, ETH)
    [btc, eth] = streams.store.unpublished.backlogs()
    assert (btc.dataset, eth.dataset) == (BTC, ETH)
    streams.store.publish_last(0.5 * eth.size_bytes / paced_publisher.BYTES_PER_S)
    assert (streams.rows(BTC), streams.rows(ETH)) == ([1], [])
    streams.clock.pass_s(BUSY_S)
    streams.store.publish_due()  # too late: the program is ending
    assert streams.rows(ETH) == []
    streams.store.publish_last(5)
    assert streams.rows(ETH) == [100]
    streams.store.close()


def test_a_publication_under_way_ends_with_the_period_at_hand() -> None:
    streams = Streams()
    streams.trade(0)
    streams.clock.pass_s(86_400)
    streams.trade(1)
    streams.clock.pass_s(BUSY_S)

    def end(_call: int, name: str) -> None:
        if name.startswith("create"):
            streams.store._paced._is_ending = True  # as publish_last does before it waits for its turn

    streams.disk.fail = end
    streams.store.publish_due()
    assert [info.period.name for info in streams.store.files(BTC)] == ["2024-01-01"]
    streams.store.publish_last(5)
    assert [info.period.name for info in streams.store.files(BTC)] == ["2024-01-01", "2024-01-02"]
    streams.store.close()


def test_the_last_publication_keeps_to_its_time() -> None:
    streams = Streams()
    streams.trade(0)
    streams.clock.pass_s(86_400)
    streams.trade(1)

    def take_long(_call: int, name: str) -> None:
        if name.startswith("create"):
            streams.clock.pass_s(6)

    streams.disk.fail = take_long
    streams.store.publish_last(5)
    assert [info.period.name for info in streams.store.files(BTC)] == ["2024-01-01"]
    streams.store.close()
