"""What rows prove of time, by itself: also where a process dies before it has noted its doubts."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from dccd.domain.coverage import IntervalSet
from dccd.domain.span import Span
from dccd.domain.types import DataType
from dccd.storage.reference.proof import Proof
from tests.adopt.old_files import HOUR_NS, START_NS

MONTHS = [1_704_067_200_000_000_000, 1_706_745_600_000_000_000, 1_709_251_200_000_000_000]  # of 2024


def page(times: list[int], ids: list[int] | None = None) -> pa.Table:
    columns: dict[str, Any] = {"ts": pa.array(times, pa.int64())}
    if ids is not None:
        columns["tid_num"] = pa.array(ids, pa.int64())
    return pa.table(columns)


def test_the_newest_bar_is_never_proven_until_there_is_a_newer() -> None:
    proof = Proof(DataType.OHLC, Span.parse("1h"))
    times = [START_NS + number * HOUR_NS for number in range(4)]
    assert proof.add(page(times[:2])) == IntervalSet.of(times[0], times[1])
    assert proof.last_bar == (times[1], times[2])
    assert proof.add(page(times[3:])) == IntervalSet.of(times[1], times[2])
    assert proof.last_bar == (times[3], times[3] + HOUR_NS)


def test_months_are_as_long_as_they_are() -> None:
    proof = Proof(DataType.OHLC, Span.parse("1mo"))
    assert proof.add(page([*MONTHS, MONTHS[2] + 1])) == IntervalSet.of(MONTHS[0], MONTHS[2])
    assert proof.off_grid == 1


def test_weeks_begin_on_monday() -> None:
    proof = Proof(DataType.OHLC, Span.parse("1w"))
    proof.add(page([START_NS, START_NS + 7 * 24 * HOUR_NS]))  # 2024-01-01 was one
    assert proof.off_grid == 0


def test_ids_that_are_consecutive_while_time_falls_prove_nothing() -> None:
    proof = Proof(DataType.TRADES, None)
    assert proof.add(page([10, 20, 30], [7, 6, 5])) == IntervalSet()


def test_many_trades_of_one_instant_are_whole_between_others() -> None:
    proof = Proof(DataType.TRADES, None)
    assert proof.add(page([10, 20, 20, 20, 30], [4, 7, 5, 6, 8])) == IntervalSet.of(11, 30)


def test_a_page_without_an_id_ends_the_run() -> None:
    proof = Proof(DataType.TRADES, None)
    assert proof.add(page([10, 20], [1, 2])) == IntervalSet.of(11, 20)
    without = page([30]).append_column("tid_num", pa.array([None], pa.int64()))
    assert proof.add(without) == IntervalSet()
    assert proof.add(page([40, 50], [3, 4])) == IntervalSet.of(41, 50)
