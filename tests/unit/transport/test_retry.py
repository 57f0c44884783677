from __future__ import annotations

from dccd.domain.errors import (
    DccdError,
    ExchangeRefused,
    ExchangeUnavailable,
    MalformedPayload,
    NetworkError,
    Throttled,
)
from dccd.transport.retry import Backoff, retry
from tests.unit.transport.fake_clock import FakeClock

BACKOFF = Backoff(attempts=5, malformed_attempts=3, base_s=1.0, cap_s=4.0)


async def tried(clock: FakeClock, *outcomes: DccdError | str, draw: float = 1.0) -> tuple[object, int]:
    left = list(outcomes)

    async def attempt() -> str:
        outcome = left.pop(0)
        if isinstance(outcome, DccdError):
            raise outcome
        return outcome

    result = await clock.run(retry(attempt, sleep=clock.sleep, backoff=BACKOFF, draw=lambda: draw))
    return result[0], len(outcomes) - len(left)


async def test_waits_double_up_to_a_cap() -> None:
    clock = FakeClock()
    failures = [NetworkError("down")] * 2 + [ExchangeUnavailable("busy")] * 2
    assert await tried(clock, *failures, "rows") == ("rows", 5)
    assert clock.slept == [1.0, 2.0, 4.0, 4.0]


async def test_jitter_takes_any_share_of_the_wait() -> None:
    clock = FakeClock()
    await tried(clock, NetworkError("down"), NetworkError("down"), "rows", draw=0.25)
    assert clock.slept == [0.25, 0.5]


async def test_attempts_are_bounded() -> None:
    error, attempts = await tried(FakeClock(), *[NetworkError("down")] * 9)
    assert isinstance(error, NetworkError)
    assert attempts == BACKOFF.attempts


async def test_garbage_is_asked_for_again_a_few_times_then_said() -> None:
    error, attempts = await tried(FakeClock(), *[MalformedPayload("{{")] * 9)
    assert isinstance(error, MalformedPayload)
    assert attempts == BACKOFF.malformed_attempts


async def test_a_refusal_is_final() -> None:
    clock = FakeClock()
    error, attempts = await tried(clock, ExchangeRefused("no such symbol"), "rows")
    assert isinstance(error, ExchangeRefused)
    assert (attempts, clock.slept) == (1, [])


async def test_a_named_wait_is_left_to_the_gate() -> None:
    clock = FakeClock()
    assert await tried(clock, Throttled("429", 9.0), Throttled("429"), "rows") == ("rows", 3)
    assert clock.slept == [2.0]


async def test_a_named_wait_that_is_over_is_backed_off_from() -> None:
    clock = FakeClock()
    assert await tried(clock, Throttled("429", 0.0), Throttled("418", -60.0), "rows") == ("rows", 3)
    assert clock.slept == [1.0, 2.0]
