"""``dccd gaps``: what was asked for and is not there; ``--fill`` fetches it."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import Any

from dccd.domain.errors import UsageError
from dccd.interfaces.cli.backfill import say_outcome
from dccd.interfaces.cli.connection import connect, dataset_of, require_data
from dccd.interfaces.cli.output import duration, print_json, print_table, time_ms
from dccd.interfaces.cli.progress import RunProgress
from dccd.interfaces.client import Client


async def gaps(arguments: Namespace) -> int:
    """Print or fill gaps; the exit status is 1 when a fill failed."""
    if (arguments.exchange is None) != (arguments.symbol is None):
        raise UsageError("Name an exchange and a symbol, or neither for all datasets.")
    require_data(arguments)
    async with connect(arguments) as client:
        if arguments.exchange is None:
            datasets = [d["id"] for d in await client.inventory() if d["gap_count"]]
        else:
            datasets = [await client.dataset_id(**dataset_of(arguments))]
        if arguments.fill:
            return max([await _fill(client, dataset) for dataset in datasets], default=0)
        found = {dataset: await client.gaps(dataset) for dataset in datasets}
    if arguments.json:
        print_json(found)
    elif any(found.values()):
        print_table(
            ("DATASET", "FROM", "TO", "LENGTH", "CAUSE"), [_line(d, g) for d in found for g in found[d]]
        )
    else:
        print("No gaps: everything that was asked for is stored.")
    return 0


def _line(dataset: str, gap: dict[str, Any]) -> tuple[str, ...]:
    length_s = (gap["end_ms"] - gap["start_ms"]) / 1000
    return dataset, time_ms(gap["start_ms"]), time_ms(gap["end_ms"]), duration(length_s), gap["cause"]


async def _fill(client: Client, dataset: str) -> int:
    started_s = time.monotonic()
    with RunProgress(f"fill {dataset}") as progress:
        outcome = await client.fill(dataset, on_progress=progress)
    return say_outcome(f"gaps of {dataset}", "stored", outcome, time.monotonic() - started_s)
