"""Rows whose times cannot be cost no other row, are kept, and leave a gap that says so."""

from __future__ import annotations

import errno
import json
from array import array
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import DiskFull, StorageError
from dccd.domain.gaps import GapCause
from dccd.domain.timeutils import DAY_NS, MINUTE_NS
from dccd.storage import implausible
from dccd.storage.implausible import EARLIEST_NS
from dccd.storage.info import Gap
from dccd.storage.store import Store
from tests.faults.simdisk import SimDisk
from tests.store_clock import StoreClock

TRADES = DatasetId.parse("bitfinex:BTC-USD:trades")
NOW = 1_706_745_600_000_000_000
SPAN = IntervalSet.of(NOW - MINUTE_NS, NOW)


@pytest.fixture
def store(data_path: Path) -> Iterator[Store]:
    opened = Store.open(data_path, clock=StoreClock(NOW))
    yield opened
    opened.close()


def page(times: Any) -> dict[str, Any]:
    count = len(times)
    return {
        "ts": times,
        "price": [float(row) for row in range(count)],
        "amount": pa.array([1.0] * count),
        "tid_num": array("q", range(count)),
    }


def append(store: Store, times: Any) -> None:
    log = store.begin_backfill(TRADES, "run", source="bitfinex")
    log.append(page(times), SPAN, None)
    log.finish()


def prices(store: Store) -> list[float]:
    return [row["price"] for batch in store.read(TRADES) for row in batch.to_pylist()]


def kept(store: Store) -> list[dict[str, Any]]:
    [problem] = {each.kept for each in store.problems}
    assert problem is not None
    return [json.loads(line) for line in problem.read_text().splitlines()]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (EARLIEST_NS - 1, "before 2009-01-03"),
        (-1, "before 2009-01-03"),
        (NOW // 1_000_000, "before 2009-01-03"),  # milliseconds
        (NOW + DAY_NS + 1, "more than a day ahead"),
        (NOW * 1000, "more than a day ahead"),  # more than 64 bits
        (None, "no time that can be read"),
        ("soon", "no time that can be read"),
        (float("nan"), "no time that can be read"),
    ],
)
def test_one_bad_time_costs_one_row(store: Store, bad: Any, words: str) -> None:
    append(store, [NOW - 3, bad, NOW - 1])
    assert prices(store) == [0.0, 2.0]
    [problem] = store.problems
    assert problem.text.startswith("1 row of bitfinex:BTC-USD:trades")
    assert words in problem.text
    [line] = kept(store)
    assert words in line["reason"]
    assert (line["row"]["tid_num"], line["source"]) == (1, "bitfinex")
    assert bad != bad or line["row"]["ts"] == bad  # noqa: PLR0124 - a NaN
    assert store.coverage(TRADES).covered == IntervalSet()
    assert store.gaps(TRADES) == [Gap(NOW - MINUTE_NS, NOW, GapCause.IMPLAUSIBLE)]


def test_the_bounds_are_plausible_themselves(store: Store) -> None:
    append(store, [EARLIEST_NS, NOW, NOW + DAY_NS])
    assert prices(store) == [0.0, 1.0, 2.0]
    assert store.coverage(TRADES).covered == SPAN
    assert store.problems == ()


@pytest.mark.parametrize(
    "kind", [list, tuple, lambda t: array("q", t), pa.array, lambda t: pa.chunked_array([t])]
)
def test_columns_of_any_kind(store: Store, kind: Any) -> None:
    append(store, kind([NOW - 3, 0, NOW - 1]))
    assert prices(store) == [0.0, 2.0]


def test_there_is_one_problem_for_a_dataset_and_a_reason(store: Store) -> None:
    append(store, [0, 1, NOW - 1])
    append(store, [0, 2, NOW * 5])
    append(store, [0, 2, NOW * 5])  # the same page again: nothing new
    texts = sorted(problem.text for problem in store.problems)
    assert [text.partition(" of ")[0] for text in texts] == ["1 row", "3 rows"]
    assert len(kept(store)) == 4


def test_the_time_is_a_gap_until_a_page_without_such_rows_covers_it(store: Store) -> None:
    append(store, [NOW - 3, 0])
    append(store, [NOW - 3, NOW - 2])
    assert store.coverage(TRADES).covered == SPAN
    assert store.gaps(TRADES) == []


def test_streams_too(store: Store) -> None:
    log = store.stream_log()
    log.append(TRADES, page([NOW - 3, 0]), SPAN, source="bitfinex", observation="one")
    log.flush()
    assert prices(store) == [0.0]
    assert [gap.cause for gap in store.gaps(TRADES)] == [GapCause.IMPLAUSIBLE]
    log.append(TRADES, page([0]), IntervalSet(), source="bitfinex")
    log.flush()
    assert prices(store) == [0.0]


def test_columns_of_different_lengths_are_refused(store: Store) -> None:
    log = store.begin_backfill(TRADES, "run", source="bitfinex")
    with pytest.raises(StorageError, match="different lengths"):
        log.append({**page([NOW, 0]), "price": [1.0]}, SPAN, None)


def is_full_at(step: str, _call: int, name: str) -> OSError | None:
    return OSError(errno.ENOSPC, "full") if name.startswith(step) else None


def test_bad_rows_are_durable_before_the_page_is_taken_or_the_page_is_not() -> None:
    disk = SimDisk()
    folder = Path("/data")
    store = Store.open(folder, fs=disk, clock=StoreClock(NOW))
    log = store.begin_backfill(TRADES, "run", source="bitfinex")
    log.append(page([NOW - 3, 0]), SPAN, None)
    for step in ("append", "sync file"):
        disk.fail = partial(is_full_at, step)
        with pytest.raises(DiskFull):
            log.append(page([NOW - 2, 1]), SPAN, None)
        assert prices(store) == [0.0]
    disk.fail = lambda _call, _name: None
    log.append(page([NOW - 2, 1]), SPAN, None)
    [path] = [path for path in disk.files() if "quarantine" in path]
    assert [json.loads(line)["row"]["ts"] for line in disk.files()[path].splitlines()] == [0, 1]
    store.close()


def test_what_is_remembered_of_such_rows_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(implausible, "REMEMBERED", 2)
    for day in (2, 3, 4, 4):  # the last page is fetched again
        append(store, [NOW + day * DAY_NS])
    assert len(kept(store)) == 3
    [(_, remembered)] = store._parts.implausible._kept.values()
    assert len(remembered) <= 2
