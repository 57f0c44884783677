"""How fast each exchange's answers are read, on one core: ``python -m tests.bench.parsing``.

A stand-in's largest answer of each kind is taken once, over HTTP, and then read again and again: from its
bytes to columns. Prints rows a second of processor time, the best of several stretches.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable

from dccd.application.bound_source import BoundSource
from dccd.application.service_factory import SOURCES
from dccd.domain.dataset import DatasetId
from dccd.domain.span import Span
from dccd.domain.timeutils import HOUR_NS
from dccd.domain.types import DataType, Mode
from dccd.sources.base import Request, Response, Source, Target
from dccd.transport.connections import Sink
from dccd.transport.http import HttpTransport
from tests.contract.kit import parser
from tests.exchanges.roster import STAND_INS

SYMBOLS = ("BTC/USDT", "BTC/USD", "BTC/USD:BTC", "BTC/USD:USD")


async def longest_answer(source: Source, kind: DataType) -> tuple[Target, Response]:
    """The answer with the most bytes of those to a few hours' worth of requests."""
    answers: list[Response] = []

    class Recording(HttpTransport):
        async def _send(self, request: Request, sink: Sink | None = None) -> Response:
            answers.append(await super()._send(request, sink))
            return answers[-1]

    async with STAND_INS[source.id]() as stand_in:
        urls = {host.setting: stand_in.url for host in source.hosts.values()}
        bound = BoundSource(source, urls=urls)
        bound._http.__class__ = Recording
        listed = await bound.instruments()
        it = next(each for each in listed if str(each.symbol) in SYMBOLS and each.active)
        span = Span.parse("1m") if kind is DataType.OHLC else None
        dataset = DatasetId(source.id, it.symbol, kind, span)
        answers.clear()
        now_ns = time.time_ns()
        pages = bound.history(dataset, it, now_ns - 20 * HOUR_NS, now_ns)
        try:
            async for _ in pages:
                if len(answers) >= 4:
                    break
        finally:
            await pages.aclose()
            await bound.aclose()
    return Target(it, span), max(answers, key=lambda answer: len(answer.body))


def rate(read: Callable[[], int], seconds: float) -> float:
    """Rows a second of processor time, of the best of five stretches."""
    best = 0.0
    for _ in range(5):
        rows, start = 0, time.process_time()
        while (spent := time.process_time() - start) < seconds / 5:
            rows += read()
        best = max(best, rows / spent)
    return best


def main() -> None:
    """Measure all."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("exchange", nargs="*")
    options.add_argument("--seconds", type=float, default=2.0)
    chosen = options.parse_args()
    for source in SOURCES:
        if chosen.exchange and source.id not in chosen.exchange:
            continue
        offered = {each.data_type for each in source.capabilities if each.mode is Mode.HISTORICAL}
        for kind in (DataType.OHLC, DataType.TRADES):
            if kind in offered:
                target, answer = asyncio.run(longest_answer(source, kind))
                parse = parser(source.history[kind], target)
                rows = len(parse(answer)["ts"])
                found = rate(lambda: len(parse(answer)["ts"]), chosen.seconds)  # noqa: B023 (called at once)
                print(f"{source.id:14} {kind:7} {found:12,.0f} rows/s  (page of {rows:,} rows)")


if __name__ == "__main__":
    main()
