from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter

import pytest

from dccd.domain.errors import Throttled
from dccd.domain.timeutils import MINUTE_NS, S_NS
from dccd.sources.base import Limit
from dccd.transport.ratelimit import PATIENCE_S, Budget, Gate, RollingBudget
from tests.unit.transport.fake_clock import START_NS, FakeClock


class Exchange:
    """Counts weight by the minutes of its own clock, at the moment a request arrives."""

    def __init__(self, clock: FakeClock, units: int) -> None:
        self.clock, self.units = clock, units
        self.used: Counter[int] = Counter()

    def serve(self, weight: int) -> int:
        minute = self.clock.ns // MINUTE_NS
        self.used[minute] += weight
        return self.used[minute]


@pytest.mark.parametrize("error_ms", [-120, 0, 120])
@pytest.mark.parametrize("seed", range(2))
async def test_an_allowance_is_used_up_and_never_passed(error_ms: int, seed: int) -> None:
    """Twenty requests in flight, each way up to a quarter second, our idea of the clock off by a little."""
    clock, draw = FakeClock(), random.Random(seed)
    exchange = Exchange(clock, 600)
    budget = Budget(
        Limit(600, used_header="used"), now_ns=lambda: clock.ns + error_ms * 1_000_000, sleep=clock.sleep
    )
    left = [200]

    async def worker() -> None:
        while left[0] > 0:
            left[0] -= 1
            weight = draw.choice((1, 2, 5, 20))
            window = await budget.reserve(weight)
            await clock.sleep(draw.uniform(0.13, 0.25))
            used = exchange.serve(weight)
            await clock.sleep(draw.uniform(0.13, 0.25))
            budget.settle(weight, window, used)

    await clock.run(*(worker() for _ in range(20)))
    assert max(exchange.used.values()) <= 600
    whole_minutes = [used for _, used in sorted(exchange.used.items())][:-1]
    assert min(whole_minutes) >= 0.8 * 600


@pytest.mark.parametrize(("units", "window_s", "workers"), [(600, 5, 24), (20, 2, 24), (10, 1, 24)])
async def test_a_rolling_allowance_is_used_up_and_never_passed(
    units: int, window_s: int, workers: int
) -> None:
    """Wherever a window is laid, and wherever on its way a request is counted."""
    clock, draw = FakeClock(), random.Random(units)
    limit = Limit(units, window_s=window_s, rolling=True)
    budget = RollingBudget(limit, now_ns=clock.now_ns, sleep=clock.sleep)
    arrived: list[int] = []
    left = [5 * units]

    async def worker() -> None:
        while left[0] > 0:
            left[0] -= 1
            window = await budget.reserve(1)
            await clock.sleep(draw.uniform(0.02, 0.15))
            arrived.append(clock.ns)
            await clock.sleep(draw.uniform(0.02, 0.05))
            budget.settle(1, window, None)

    await clock.run(*(worker() for _ in range(workers)))
    arrived.sort()
    window_ns = window_s * S_NS
    most = max(bisect_right(arrived, at_ns + window_ns - 1) - place for place, at_ns in enumerate(arrived))
    assert most <= units
    of_four = bisect_right(arrived, arrived[0] + 4 * window_ns)
    assert of_four >= 0.8 * 4 * units


async def test_a_clock_that_is_set_back_stops_nothing() -> None:
    clock = FakeClock()
    budget = RollingBudget(Limit(2, window_s=5, rolling=True), now_ns=clock.now_ns, sleep=clock.sleep)
    budget.settle(1, await budget.reserve(1), None)
    clock.ns -= MINUTE_NS
    await clock.run(budget.reserve(1))
    assert not clock.slept


async def test_what_others_used_from_the_same_address_counts() -> None:
    clock = FakeClock()
    budget = Budget(Limit(100, used_header="used"), now_ns=clock.now_ns, sleep=clock.sleep)
    budget.settle(10, await budget.reserve(10), 90)
    assert budget.used == 90
    await clock.run(budget.reserve(10))
    assert clock.ns // MINUTE_NS == START_NS // MINUTE_NS + 1
    assert 0 < clock.ns % MINUTE_NS < S_NS


async def test_a_count_of_the_minute_before_says_nothing_of_this_one() -> None:
    clock = FakeClock()
    budget = Budget(Limit(100, used_header="used"), now_ns=clock.now_ns, sleep=clock.sleep)
    window = await budget.reserve(10)
    clock.ns += MINUTE_NS
    budget.settle(10, window, 95)
    assert budget.used == 0
    await clock.run(budget.reserve(50))
    assert clock.slept == []


async def test_what_is_in_flight_at_the_turn_of_the_minute_counts_in_both() -> None:
    clock = FakeClock()
    budget = Budget(Limit(100), now_ns=clock.now_ns, sleep=clock.sleep)
    await budget.reserve(60)
    clock.ns += MINUTE_NS
    assert budget.used == 60


async def test_a_request_dearer_than_the_allowance_goes_alone() -> None:
    clock = FakeClock()
    budget = Budget(Limit(10), now_ns=clock.now_ns, sleep=clock.sleep)
    budget.settle(1, await budget.reserve(1), None)
    window = (await clock.run(budget.reserve(20)))[0]
    assert window > START_NS // MINUTE_NS


async def test_free_requests_never_wait() -> None:
    clock = FakeClock()
    budget = Budget(Limit(10), now_ns=clock.now_ns, sleep=clock.sleep)
    await budget.reserve(9)
    await budget.reserve(0)
    assert clock.slept == []


async def test_a_wait_is_kept_to_the_second_and_never_shortened() -> None:
    clock = FakeClock()
    gate = Gate(now_ns=clock.now_ns, sleep=clock.sleep)
    gate.close(Throttled("slow down", 7.0), 60.0)
    gate.close(Throttled("slow down", 3.0), 60.0)
    assert gate.closed
    await clock.run(gate.wait(), gate.wait())
    assert clock.ns == START_NS + 7 * S_NS
    assert not gate.closed


@pytest.mark.parametrize("named_s", [None, 0.0, -3.0])
async def test_a_host_that_names_no_wait_is_left_alone_all_the_same(named_s: float | None) -> None:
    clock = FakeClock()
    gate = Gate(now_ns=clock.now_ns, sleep=clock.sleep)
    gate.close(Throttled("slow down", named_s), 12.5)
    await clock.run(gate.wait())
    assert clock.slept == [12.5]


async def test_the_next_window_is_known_before_this_one_is_used_up() -> None:
    clock = FakeClock()
    budget = Budget(Limit(10), now_ns=clock.now_ns, sleep=clock.sleep)
    assert budget.left_s == 40.25
    clock.ns += round(40.25 * S_NS)
    assert budget.left_s == 60


async def test_a_long_ban_ends_the_run_with_its_length() -> None:
    clock = FakeClock()
    gate = Gate(now_ns=clock.now_ns, sleep=clock.sleep)
    gate.close(Throttled("banned", PATIENCE_S + 100), 60.0)
    with pytest.raises(Throttled) as caught:
        await gate.wait()
    assert caught.value.retry_after_s == PATIENCE_S + 100
    assert clock.slept == []
