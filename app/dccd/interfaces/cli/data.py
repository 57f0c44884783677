"""``dccd read``, ``inventory`` and ``export``: what is stored, printed or written to files."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from typing import Any

from dccd.interfaces.cli.connection import connect, dataset_of, require_data
from dccd.interfaces.cli.output import (
    count,
    duration,
    mending,
    print_json,
    print_rows,
    print_table,
    size,
    time_ms,
)
from dccd.interfaces.cli.progress import RunProgress
from dccd.interfaces.cli.statuses import DONE, status_of_run

_TABLE_ROWS = 50


async def read(arguments: Namespace) -> int:
    """Print rows; the exit status."""
    require_data(arguments)
    limit = arguments.limit
    if limit is None and arguments.format == "table":
        limit = _TABLE_ROWS
    printed, more = 0, False
    async with connect(arguments) as client:
        pages = client.read_pages(
            **dataset_of(arguments),
            start=arguments.start,
            end=arguments.end,
            # One more than shown, to know whether to say that there is more.
            limit=limit + 1 if limit is not None and arguments.limit is None else limit,
        )
        async for page in pages:
            if arguments.limit is None and limit is not None and page.num_rows > limit:
                page, more = page.slice(0, limit), True  # noqa: PLW2901 - the page, cut to what is shown
            print_rows(page, arguments.format, first=printed == 0)
            printed += page.num_rows
    if more:
        print("… more rows; --limit N shows more, --format csv all of them", file=sys.stderr)
    return DONE


async def inventory(arguments: Namespace) -> int:
    """Print the datasets; the exit status."""
    require_data(arguments)
    async with connect(arguments) as client:
        datasets = await client.inventory()
    if arguments.json:
        print_json(datasets)
        return DONE
    print_table(
        ("EXCHANGE", "SYMBOL", "TYPE", "SPAN", "ROWS", "SIZE", "FROM", "TO", "GAPS"),
        [
            (
                d["exchange"],
                d["symbol"],
                d["data_type"],
                d["span"] or (str(d["depth"]) if d["depth"] else "–"),
                f"{d['rows']:,}",
                size(d["size_bytes"]),
                time_ms(d["start_ms"]),
                time_ms(d["end_ms"]),
                str(d["gap_count"]),
            )
            for d in datasets
        ],
        right=(4, 5, 8),
    )
    return DONE


async def export(arguments: Namespace) -> int:
    """Write files; the exit status."""
    require_data(arguments)
    started_s = time.monotonic()
    async with connect(arguments) as client:
        dataset = await client.dataset_id(**dataset_of(arguments))
        with RunProgress(f"export {dataset}") as progress:
            outcome = await client.export(
                dataset,
                arguments.to,
                format=arguments.format,
                start=arguments.start,
                end=arguments.end,
                certificate=arguments.certificate,
                on_progress=progress,
            )
    return _say_export(f"{dataset} to {arguments.to}", outcome, time.monotonic() - started_s)


def _say_export(title: str, outcome: dict[str, Any], seconds: float) -> int:
    """Print how it ended; the exit status."""
    if outcome["state"] == "succeeded":
        print(f"{title}: {count(outcome['rows_written'], 'row')} written in {duration(seconds)}")
        return DONE
    # A file gets its name when it is whole.
    anew = "no unfinished file is left behind, and the same command begins anew"
    if outcome["state"] == "cancelled":
        print(f"{title}: cancelled; {anew}", file=sys.stderr)
    else:
        why = outcome.get("error", "The run was interrupted.") + mending(outcome.get("code"))
        print(f"dccd: {title}: {why} Nothing is kept of it: {anew}.", file=sys.stderr)
    return status_of_run(outcome)
