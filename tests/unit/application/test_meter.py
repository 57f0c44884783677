"""The pace is that of the last seconds, not of the whole run."""

from __future__ import annotations

import pytest

from dccd.application.operations.meter import PACE_S, Meter
from dccd.domain.coverage import IntervalSet
from dccd.domain.timeutils import HOUR_NS
from tests.unit.application.conftest import HOURLY


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meter(clock: Clock) -> Meter:
    return Meter(HOURLY, IntervalSet.of(0, 1_000 * HOUR_NS), clock=clock)


def page(meter: Meter, first: int, rows: int = 100) -> None:
    meter.add(rows, IntervalSet.of(first * HOUR_NS, (first + rows) * HOUR_NS))


def test_the_first_seconds_are_not_taken_for_ten(clock: Clock, meter: Meter) -> None:
    clock.now_s += 2
    page(meter, 0)
    told = meter.progress()
    assert (told.done, told.total, told.unit, told.rows) == (100, 1_000, "bars", 100)
    assert (told.rows_per_s, told.eta_s) == (50.0, 18.0)


def test_old_pages_do_not_count_for_the_pace(clock: Clock, meter: Meter) -> None:
    page(meter, 0, 500)
    clock.now_s += 60
    page(meter, 500)
    told = meter.progress()
    assert (told.rows_per_s, told.eta_s) == (100 / PACE_S, 400 / 10)


def test_when_nothing_comes_the_pace_falls_to_nothing(clock: Clock, meter: Meter) -> None:
    page(meter, 0)
    clock.now_s += PACE_S / 2
    slowing = meter.progress("Binance is silent")
    assert (slowing.rows_per_s, slowing.waiting) == (20.0, "Binance is silent")
    clock.now_s += PACE_S / 2
    told = meter.progress()
    assert (told.rows, told.rows_per_s, told.eta_s) == (100, 0.0, None)


def test_what_was_gone_through_is_done_without_a_pace(meter: Meter) -> None:
    meter.leave(next(iter(IntervalSet.of(0, 1_000 * HOUR_NS))))
    told = meter.progress()
    assert (told.done, told.eta_s) == (1_000, None)
