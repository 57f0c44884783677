"""Time that passes only when everybody waits for it."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Coroutine
from itertools import count
from typing import Any

from dccd.domain.timeutils import S_NS

START_NS = 1_700_000_000 * S_NS  # 20 s past a full minute
_TURNS = 12  # of the loop, for every task to come to its next wait


class FakeClock:
    """A clock and a sleep for it; `run` moves it to the next sleeper's hour whenever all tasks wait."""

    def __init__(self, start_ns: int = START_NS) -> None:
        self.ns = start_ns
        self.slept: list[float] = []
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._number = count()

    def now_ns(self) -> int:
        return self.ns

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.ns + round(seconds * S_NS), next(self._number), woken))
        await woken

    async def run(self, *work: Coroutine[Any, Any, Any]) -> list[Any]:
        """Run all to their ends; results, or the exceptions they ended with, in order."""
        tasks = [asyncio.create_task(each) for each in work]
        while not all(task.done() for task in tasks):
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            if self._sleepers:
                at_ns, _, woken = heapq.heappop(self._sleepers)
                self.ns = max(self.ns, at_ns)
                if not woken.done():
                    woken.set_result(None)
        return await asyncio.gather(*tasks, return_exceptions=True)
