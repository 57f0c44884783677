"""``dccd backfill``: fetch what is missing, with its progress."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from dccd.domain.errors import UsageError
from dccd.domain.timeutils import iso
from dccd.interfaces.cli.connection import connect, dataset_of
from dccd.interfaces.cli.output import count, duration, size, time_ms
from dccd.interfaces.cli.progress import RunProgress
from dccd.interfaces.cli.statuses import DONE, status_of_run


async def backfill(arguments: Namespace) -> int:
    """Run the command; the exit status."""
    asked = dataset_of(arguments) | {
        "start": arguments.start,
        "end": arguments.end,
        "transport": arguments.transport,
    }
    if arguments.plan and arguments.derive_from:
        raise UsageError("Making bars from stored trades fetches nothing: leave --plan out.")
    async with connect(arguments) as client:
        if arguments.plan:
            print_plan(await client.plan(**asked))
            return DONE
        asked["derive_from"] = arguments.derive_from
        started_s = time.monotonic()
        with RunProgress(f"{arguments.exchange} {arguments.symbol} {arguments.data_type}") as progress:
            outcome = await client.backfill(**asked, on_progress=progress)
        # Named by its id, which says which contract a name such as BTC/USDT:quarter stood for.
        return _say_outcome(outcome["dataset"], outcome, time.monotonic() - started_s)


def _say_outcome(title: str, outcome: dict[str, Any], seconds: float) -> int:
    """Print how a backfill ended; the exit status."""
    rows = outcome["rows_written"]
    if outcome["state"] == "succeeded":
        rate = f", {rows / seconds:,.0f} rows/s" if rows and seconds > 0 else ""
        nothing = "nothing was to be had" if outcome.get("not_served") else "nothing was missing"
        facts = f"{count(rows, 'row')} stored in {duration(seconds)}{rate}" if rows else nothing
        print(f"{title}: {facts}")
    elif outcome["state"] == "cancelled":
        after = f"{title}: cancelled after {count(rows, 'row')}"
        print(f"{after}; the same command goes on from there", file=sys.stderr)
    else:
        were = "row was" if rows == 1 else "rows were"
        kept = f" {rows:,} {were} stored before; the same command goes on from there." if rows else ""
        print(f"dccd: {title}: {outcome.get('error', 'the run was interrupted')}{kept}", file=sys.stderr)
    if outcome.get("not_served"):
        print(f"  not to be had: {_ranges(outcome['not_served'], iso)}; {outcome['why']}")
    return status_of_run(outcome)


def _ranges(ranges: list[list[int]], word: Callable[[int], str]) -> str:
    """The first few in words."""
    named = ", ".join(f"{word(start)} to {word(end)}" for start, end in ranges[:5])
    return f"{named} and {len(ranges) - 5} more" if len(ranges) > 5 else named


def print_plan(plan: dict[str, Any]) -> None:
    """What would be fetched, in words."""
    print(f"{plan['dataset']}: {time_ms(plan['start_ms'])} to {time_ms(plan['end_ms'])}")
    if plan["already_covered"]:
        print("All of it is stored already.")
        return
    if plan["not_served"]:
        print(f"not to be had: {_ranges(plan['not_served'], time_ms)}; {plan['why']}")
    if not plan["todo"]:
        print("There is nothing else to fetch.")
        return
    took = duration(plan["seconds"]) if plan["seconds"] >= 1 else "under 1 s"
    print(
        f"about {count(plan['rows'], 'row')} in {count(plan['requests'], 'request')}, "
        f"{size(plan['bytes'])} on disk, {took}; source: {plan['transport']}; bound by: {plan['bottleneck']}"
    )
    for part in plan["parts"] if len(plan["parts"]) > 1 else ():
        name = "from its public files" if part["transport"] == "archive" else "from its API"
        print(f"  {name}: {_ranges(part['ranges'], time_ms)}; {count(part['requests'], 'request')}")
