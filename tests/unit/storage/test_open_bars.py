"""Bars that are not closed: shown when asked for, in no file, proof of nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import StorageError, UnknownDataset
from dccd.domain.timeutils import MINUTE_NS
from dccd.storage.scan import scan
from dccd.storage.schema import to_batch
from dccd.storage.store import Store

BARS = DatasetId.parse("binance:BTC-USDT:ohlc:1m")
FEB = 1_706_745_600_000_000_000
NAMES = ("open", "high", "low", "close", "volume")


@pytest.fixture
def store(data_path: Path) -> Iterator[Store]:
    opened = Store.open(data_path)
    yield opened
    opened.close()


def append(store: Store, minutes: list[int], value: float, *, closed: bool = False) -> None:
    log = store.stream_log()
    columns: dict[str, list[Any]] = {"ts": [FEB + n * MINUTE_NS for n in minutes]}
    columns |= dict.fromkeys(NAMES, [value] * len(minutes))
    covered = IntervalSet((FEB + n * MINUTE_NS, FEB + (n + 1) * MINUTE_NS) for n in minutes if closed)
    log.append(BARS, columns, covered, source="binance", observation="one", provisional=not closed)
    log.flush()


def bars(
    store: Store, first: int | None = None, last: int | None = None, **options: Any
) -> list[tuple[int, float]]:
    start_ns, end_ns = (None if n is None else FEB + n * MINUTE_NS for n in (first, last))
    return [
        (round((row["ts"].timestamp() - FEB / 1e9) / 60), row["open"])
        for batch in store.read(BARS, start_ns, end_ns, **options)
        for row in batch.to_pylist()
    ]


def test_the_newest_state_of_a_bar_counts_until_it_is_closed(store: Store) -> None:
    append(store, [0], 1.0, closed=True)
    append(store, [1], 5.0)
    append(store, [1], 2.0)  # the newest, not the greatest
    assert bars(store) == [(0, 1.0)]
    assert bars(store, provisional=True) == [(0, 1.0), (1, 2.0)]
    append(store, [1], 3.0, closed=True)
    append(store, [2], 4.0)
    append(store, [1], 9.0)  # late: it is closed
    for _ in range(2):
        assert bars(store, provisional=True) == [(0, 1.0), (1, 3.0), (2, 4.0)]
        assert bars(store, 0, 2, provisional=True) == [(0, 1.0), (1, 3.0)]
        assert bars(store, 2, 3, provisional=True) == [(2, 4.0)]
        assert store.coverage(BARS).covered == IntervalSet.of(FEB, FEB + 2 * MINUTE_NS)
        store.publish()
    assert store.files(BARS)[0].rows == 2


def test_an_open_bar_that_was_never_closed_is_missing_once_a_later_one_is(store: Store) -> None:
    append(store, [0], 1.0)
    append(store, [1], 2.0, closed=True)
    assert bars(store, provisional=True) == [(1, 2.0)]


def test_a_journal_with_nothing_but_open_bars_goes(store: Store) -> None:
    append(store, [0], 1.0)
    assert bars(store, provisional=True) == [(0, 1.0)]
    with pytest.raises(UnknownDataset):
        store.read(BARS)
    with pytest.raises(UnknownDataset):
        scan("binance", "BTC/USDT", "1m", data_path=store.data_path)
    assert [info.dataset for info in store.inventory()] == []
    store.publish()
    store.close()
    assert not list((store.data_path / ".dccd" / "journal").iterdir())


def test_after_a_restart_open_bars_are_of_the_past(store: Store, data_path: Path) -> None:
    journal = store.new_journal(publishes_itself=False)
    columns: dict[str, list[Any]] = {"ts": [FEB], **{name: [1.0] for name in NAMES}}
    store.unpublished.add(journal.append(BARS, to_batch(BARS, columns), IntervalSet(), provisional=True))
    assert bars(store, provisional=True) == [(0, 1.0)]
    store.close()
    assert journal.path.exists()
    again = Store.open(data_path)
    with pytest.raises(UnknownDataset):
        again.read(BARS, provisional=True)
    assert not journal.path.exists()
    again.close()


def test_an_open_bar_proves_nothing(store: Store) -> None:
    journal = store.new_journal(publishes_itself=False)
    batch = to_batch(BARS, {"ts": [FEB], **{name: [1.0] for name in NAMES}})
    with pytest.raises(StorageError, match="is open"):
        journal.append(BARS, batch, IntervalSet.of(FEB, FEB + 1), provisional=True)


def test_only_a_few_open_bars_are_remembered(store: Store) -> None:
    for minute in range(40):
        append(store, [minute], 1.0)
    assert [minute for minute, _ in bars(store, provisional=True)] == list(range(24, 40))
