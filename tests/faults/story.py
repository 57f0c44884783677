"""A short life of a data folder, to be interrupted anywhere."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path
from unittest.mock import patch

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS, S_NS
from dccd.storage.fs import FileSystem, in_words
from dccd.storage.store import Store
from dccd.storage.stream_log import StreamLog
from tests.faults.ledger import Columns, Ledger, Told

BARS = DatasetId.parse("binance:BTC-USDT:ohlc:1m")
TRADES = DatasetId.parse("bitfinex:BTC-USD:trades")
NAMELESS = DatasetId.parse("kraken:ETH-USD:trades")  # trades without ids, told apart by their count
DATASETS = (BARS, TRADES, NAMELESS)
FOLDER = Path("/data")
EDGE = 1_706_745_600_000_000_000  # 2024-02-01, where a month and a day end


def bars(first: int, last: int, changed: tuple[int, int] = (0, 0)) -> Columns:
    """Minutes from `first` to `last` (exclusive), counted from the edge; some with other values."""
    numbers = range(first, last)
    values = [number + (0.25 if number not in range(*changed) else -9.75) for number in numbers]
    names = ("open", "high", "low", "close", "volume")
    return {"ts": [EDGE + number * MINUTE_NS for number in numbers], **dict.fromkeys(names, values)}


def trades(first: int, last: int) -> Columns:
    """One trade a minute around the edge, each pair in one millisecond."""
    numbers = range(first, last)
    return {
        "ts": [EDGE + number // 2 * 2 * MINUTE_NS + 100 * (number % 2) for number in numbers],
        "price": [1.5 + number for number in numbers],
        "amount": [1.0 for _ in numbers],
        "tid_num": [10_000 + number for number in numbers],
    }


def nameless(first: int, last: int) -> Columns:
    """In each minute three trades, two of them equal; none has an id."""
    times = [EDGE + number * MINUTE_NS for number in range(first, last) for _ in range(3)]
    return {"ts": times, "price": [2.5, 2.5, 3.5] * (last - first), "amount": [1.0] * len(times)}


def minutes(first: int, last: int) -> IntervalSet:
    """Time from `first` to `last`, minutes counted from the edge."""
    return IntervalSet.of(EDGE + first * MINUTE_NS, EDGE + last * MINUTE_NS)


class StoryClock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def monotonic(self) -> float:
        return self._now_s

    def time_ns(self) -> int:
        return EDGE + DAY_NS + round(self._now_s) * S_NS

    def forward(self, seconds: float) -> None:
        self._now_s += seconds


def live(fs: FileSystem, ledger: Ledger, folder: Path = FOLDER) -> None:
    """Some sessions of work; the last has to do without the index of files."""
    clock = StoryClock()
    streams = partial(stream_session, clock=clock)
    for session in (first_session, second_session, streams, trash_session, third_session):
        if session is third_session:
            with in_words("removing the index"):
                fs.remove(folder / ".dccd" / "catalog.db")
        with closing(Store.open(folder, fs=fs, clock=clock)) as store:
            session(store, ledger)


def first_session(store: Store, ledger: Ledger) -> None:
    """Pages in and out of order, across period edges, overlapping, without rows; some stay in journals."""
    ledger.ask(store, BARS, Interval(EDGE - HOUR_NS, EDGE + HOUR_NS))
    log = store.begin_backfill(BARS, "one", source="binance")
    ledger.append(log, bars(-60, -30), minutes(-60, -30))
    log.sync()
    ledger.safe(BARS)
    ledger.append(log, bars(-30, 20), minutes(-30, 20))  # across the edge
    ledger.append(log, bars(10, 30), minutes(10, 30))  # overlapping
    log.publish_before(EDGE + 30 * MINUTE_NS)
    ledger.safe(BARS)
    other = store.begin_backfill(TRADES, "two", source="bitfinex")
    ledger.append(other, trades(-20, 0), minutes(-20, 0))
    ledger.append(other, {}, IntervalSet.of(EDGE + 3 * DAY_NS, EDGE + 5 * DAY_NS))  # covered and empty
    other.sync()
    ledger.safe(TRADES)
    ledger.append(log, bars(30, 40), minutes(30, 40))
    ledger.append(log, bars(-70, -60), minutes(-70, -60))  # late, into the month that is published
    ledger.finish(log)
    ledger.append(other, trades(-10, 10), minutes(-10, 10))
    counted = store.begin_backfill(NAMELESS, "three", source="kraken")
    ledger.append(counted, nameless(0, 6), minutes(0, 6))
    ledger.append(counted, nameless(-4, 2), minutes(-4, 2))  # the older page later, and some of it again


def second_session(store: Store, ledger: Ledger) -> None:
    """What the first left; then pages for files that are there already."""
    late = store.begin_backfill(TRADES, "four", source="bitfinex")
    ledger.append(late, trades(10, 30), minutes(10, 30))
    ledger.finish(late)
    again = store.begin_backfill(BARS, "five", source="binance")
    ledger.append(again, bars(-40, 10), minutes(-40, 10))  # into both files once more
    ledger.finish(again)
    more = store.begin_backfill(TRADES, "six", source="bitfinex")
    ledger.append(more, trades(30, 40), minutes(30, 40))  # for a day whose file has heard of journals
    more.sync()
    ledger.safe(TRADES)


def stream_session(store: Store, ledger: Ledger, clock: StoryClock) -> None:
    """Small appends to the log that all streams share, with another bar open; some are fetched as well."""
    with patch.object(StreamLog, "start"):  # its thread's work is done here, so that calls keep their order
        log = store.stream_log()
    told = Told(ledger, log)
    told.append(TRADES, trades(50, 54), minutes(50, 54))
    told.append(NAMELESS, nameless(20, 22), minutes(20, 22))
    told.append(BARS, bars(60, 61), minutes(60, 61))
    log.append(BARS, bars(61, 62), IntervalSet(), source="stream", provisional=True)
    log.flush()
    told.flushed()
    told.append(TRADES, trades(54, 56), minutes(54, 56))
    clock.forward(1.5)
    _step(log)  # this time it syncs, too
    told.flushed()
    told.append(NAMELESS, nameless(22, 24), minutes(22, 24))
    clock.forward(0.3)
    _step(log)
    told.written()
    counted = store.begin_backfill(NAMELESS, "nine", source="kraken")
    ledger.append(counted, nameless(19, 23), minutes(19, 23))  # what the stream had, and what it missed
    ledger.finish(counted)
    told.append(BARS, bars(61, 63), minutes(61, 63))
    log.flush()
    told.flushed()
    clock.forward(2 * HOUR_NS / S_NS)
    store.publish_due()
    told.append(TRADES, trades(56, 58), minutes(56, 58))
    log.flush()
    told.flushed()  # and left to the next session


def _step(log: StreamLog) -> None:
    """What the log's thread does every so often; a refusal, which the log keeps to try again, is raised."""
    log.step()
    if log.trouble is not None:
        raise log.trouble


def trash_session(store: Store, ledger: Ledger) -> None:
    """A dataset is deleted, some of it fetched again, and then restored."""
    entry = ledger.delete(store, NAMELESS)
    log = store.begin_backfill(NAMELESS, "eleven", source="kraken")
    ledger.append(log, nameless(5, 9), minutes(5, 9))
    ledger.finish(log)
    ledger.restore(store, entry)


def third_session(store: Store, ledger: Ledger) -> None:
    """The same fetched once more, and more."""
    counted = store.begin_backfill(NAMELESS, "seven", source="kraken")
    ledger.append(counted, nameless(-2, 8), minutes(-2, 8))
    ledger.finish(counted)
    log = store.begin_backfill(BARS, "eight", source="binance")
    ledger.append(log, bars(40, 50), minutes(40, 50))
    ledger.append(log, bars(-80, -70), minutes(-80, -70))
    log.publish_before(EDGE + 10 * MINUTE_NS)  # the one month, not the other
    ledger.safe(BARS)
    ledger.append(log, bars(-90, -80), minutes(-90, -80))  # a month that has heard of this very journal
    log.sync()
    ledger.safe(BARS)
    ledger.finish(log)
    ledger.doubt(store, BARS, Interval(EDGE - 5 * MINUTE_NS, EDGE + 5 * MINUTE_NS))
    log = store.begin_backfill(BARS, "ten", source="binance")
    ledger.append(log, bars(-10, 2, changed=(-5, 5)), minutes(-10, 2))  # replaces a part, in both months
    log.sync()
    ledger.safe(BARS)
    ledger.append(log, bars(2, 8, changed=(-5, 5)), minutes(2, 8))
    ledger.finish(log)
    store.publish()  # what the sessions before have left
    for dataset in (TRADES, NAMELESS):
        ledger.safe(dataset)


def recover(fs: FileSystem, _ledger: Ledger, folder: Path = FOLDER) -> None:
    """What the next start does, and the publication after it."""
    with closing(Store.open(folder, fs=fs)) as store:
        store.publish()
