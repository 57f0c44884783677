"""All exchanges read at once, each at its own allowance: ``python -m tests.bench.together``.

Stand-ins in a process of their own, with a latency, refuse what is too much. Prints the share of the
documented allowance that was used in some minutes, after one that is not counted, and what was refused.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

import httpx

from dccd.application.bound_source import BoundSource
from dccd.application.service_factory import SOURCES
from dccd.domain.dataset import DatasetId
from dccd.domain.span import Span
from dccd.domain.timeutils import DAY_NS
from dccd.domain.types import DataType
from dccd.sources.base import Latest, Request, Response, Source
from dccd.transport.connections import Sink
from dccd.transport.http import HttpTransport
from tests.bench.parsing import SYMBOLS
from tests.exchanges.engine import STATS_PATH, in_thread
from tests.exchanges.roster import STAND_INS

REFUSALS = ("403", "418", "429")


@dataclass(slots=True)
class Used:
    """What an exchange was asked for in the time that counts."""

    budget: str
    weight: int = 0
    requests: int = 0


async def read(source: Source, url: str, counts_from_s: float, until_s: float) -> Used:
    """Fetch bars (trades where only the newest bars are served) over and over until a moment."""
    kind = DataType.TRADES if isinstance(source.history[DataType.OHLC], Latest) else DataType.OHLC
    used = Used("")

    class Counting(HttpTransport):
        async def _exchange(self, request: Request, sink: Sink | None) -> Response:
            if counts_from_s <= time.monotonic() < until_s:
                used.weight += request.weight
                used.requests += 1
            used.budget = request.budget or request.host
            return await super()._exchange(request, sink)

    bound = BoundSource(source, urls={host.setting: url for host in source.hosts.values()})
    bound._http.__class__ = Counting
    listed = await bound.instruments()
    it = next(each for each in listed if str(each.symbol) in SYMBOLS and each.active)
    dataset = DatasetId(source.id, it.symbol, kind, Span.parse("1m") if kind is DataType.OHLC else None)
    now_ns = time.time_ns()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(until_s - time.monotonic()):
            while True:
                async for _ in bound.history(dataset, it, now_ns - 900 * DAY_NS, now_ns):
                    pass
    await bound.aclose()
    return used


def serve(names: list[str], latency_s: float, answer: Connection) -> None:
    """Run stand-ins until told to end; answers with their addresses."""
    with contextlib.ExitStack() as stack:
        stand_ins = {name: STAND_INS[name]() for name in names}
        for stand_in in stand_ins.values():
            stand_in.latency_s = latency_s
            stack.enter_context(in_thread(stand_in))
        answer.send({name: stand_in.url for name, stand_in in stand_ins.items()})
        answer.recv()


async def together(urls: dict[str, str], minutes: int) -> dict[str, Used]:
    """Read all exchanges at once."""
    start_s = time.monotonic()
    counted = (start_s + 60, start_s + 60 * (minutes + 1))
    chosen = [source for source in SOURCES if source.id in urls]
    found = await asyncio.gather(*(read(each, urls[each.id], *counted) for each in chosen))
    return {source.id: used for source, used in zip(chosen, found, strict=True)}


def main() -> None:
    """Measure."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("exchange", nargs="*", default=sorted(STAND_INS))
    options.add_argument("--minutes", type=int, default=2)
    options.add_argument("--latency-ms", type=float, default=150.0)
    chosen = options.parse_args()
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=serve, args=(chosen.exchange, chosen.latency_ms / 1000, theirs), daemon=True
    )
    process.start()
    urls = ours.recv()
    used = asyncio.run(together(urls, chosen.minutes))
    for source in SOURCES:
        if source.id in used:
            found = used[source.id]
            limit = source.budgets[found.budget]
            share = found.weight / (limit.units * chosen.minutes * 60 / limit.window_s)
            statuses = httpx.get(urls[source.id] + STATS_PATH).json()["statuses"]
            refused = sum(statuses.get(status, 0) for status in REFUSALS)
            allowance = f"{limit.units:,} {limit.unit} in {limit.window_s} s"
            print(
                f"{source.id:14} {share:6.1%} of {allowance} ({found.requests:,} requests, {refused} refused)"
            )
    ours.send(None)
    process.join()


if __name__ == "__main__":
    main()
