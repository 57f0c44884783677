"""When to try again, and how long to wait before: the one place that says so."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from dccd.domain.errors import ExchangeError, MalformedPayload, Throttled

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Bounded attempts with full jitter: before attempt `n + 1` a random wait up to ``base_s * 2**(n-1)``.

    Attributes
    ----------
    attempts : int
        Tries in all.
    malformed_attempts : int
        Tries in all when the answers arrive but make no sense.
    base_s, cap_s : float
        First and longest upper bound of the wait, in seconds.
    """

    attempts: int = 8
    malformed_attempts: int = 3
    base_s: float = 0.5
    cap_s: float = 30.0

    def wait_s(self, failures: int, draw: float) -> float:
        """Wait after so many failures; `draw` is random in [0, 1)."""
        return draw * min(self.cap_s, self.base_s * 2.0 ** (failures - 1))


async def retry(
    attempt: Callable[[], Awaitable[T]],
    *,
    sleep: Sleep,
    backoff: Backoff,
    failed: Callable[[ExchangeError, float], None] | None = None,
    draw: Callable[[], float] = random.random,
) -> T:
    """Run `attempt` until it succeeds or may not be tried again.

    Only errors that say they are retryable, and malformed answers (a cut or garbled body), are tried
    again. A :class:`Throttled` that names its wait is not waited for here: the host's gate keeps it, for
    every request to that host; one that names none, or one already over, is backed off from besides.
    `failed` is told why, and the seconds until the next try, before each wait.

    Raises
    ------
    ExchangeError
        The last attempt's.
    """
    failures = 0
    while True:
        try:
            return await attempt()
        except ExchangeError as error:
            failures += 1
            malformed = isinstance(error, MalformedPayload)
            if not (error.retryable or malformed):
                raise
            if failures >= (backoff.malformed_attempts if malformed else backoff.attempts):
                raise
            if isinstance(error, Throttled) and error.retry_after_s is not None and error.retry_after_s > 0:
                continue
            wait_s = backoff.wait_s(failures, draw())
            if failed is not None:
                failed(error, wait_s)
        await sleep(wait_s)
