"""What is said of a dataset without reading it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.records import Columns
from dccd.domain.timeutils import DAY_NS, HOUR_NS, parse_time
from dccd.storage.store import Store

TRADES = DatasetId.parse("binance:BTC-USDT:trades")
START_NS = parse_time("2024-01-01")


def fill(store: Store, day: int, rows: int, covered_ns: int = DAY_NS) -> None:
    """Trades of one day, with random prices, since sizes are looked at."""
    start = START_NS + day * DAY_NS
    each = covered_ns // rows
    columns: Columns = {
        "ts": [start + index * each for index in range(rows)],
        "price": [hash((day, index)) / 7e11 for index in range(rows)],
        "amount": [hash((index, day)) / 3e15 for index in range(rows)],
        "tid_num": list(range(day * 1_000_000, day * 1_000_000 + rows)),
        "tid": [str(day * 1_000_000 + index) for index in range(rows)],
    }
    log = store.begin_backfill(TRADES, "run", source="binance")
    log.append(columns, IntervalSet.of(start, start + covered_ns))
    log.finish()


def test_bytes_a_day_are_those_of_the_newest_days(data_path: Path) -> None:
    with closing(Store.open(data_path)) as store:
        fill(store, 0, 10, covered_ns=HOUR_NS)
        assert store.info(TRADES).bytes_per_day is None  # an hour says nothing of a day
        for day in range(1, 4):
            fill(store, day, 2_000)
        for day in range(4, 40):
            fill(store, day, 500)
        found = store.info(TRADES)
        newest = [info.size_bytes for info in store.files(TRADES)][-30:]
        assert found.bytes_per_day == round(sum(newest) / 30)
