"""``dccd doctor``: what works from here of what the exchanges offer."""

from __future__ import annotations

import sys
from argparse import Namespace
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from typing import Any

from dccd.interfaces.cli.connection import connect, has_data
from dccd.interfaces.cli.output import print_json, print_table
from dccd.interfaces.cli.progress import RunProgress
from dccd.interfaces.cli.statuses import DONE, FAILED, INTERRUPTED, status_of_run


async def doctor(arguments: Namespace) -> int:
    """Try it; the exit status is 1 when anything does not work."""
    with ExitStack() as stack:
        if not has_data(arguments):  # looking makes no data folder
            folder = stack.enter_context(TemporaryDirectory(prefix="dccd-doctor-"))
            arguments = Namespace(**vars(arguments) | {"data_path": folder})
        async with connect(arguments) as client:
            with RunProgress("doctor") as progress:
                outcome = await client.doctor(
                    arguments.exchanges or None, wait_s=arguments.wait, on_progress=progress
                )
    status, result = status_of_run(outcome), outcome["result"]
    if arguments.json:
        print_json(result)
    elif result is not None:
        _say(result)
    if status == INTERRUPTED:
        print("doctor: cancelled; the same command begins anew", file=sys.stderr)
    elif status != DONE:
        print(f"dccd: doctor: {outcome.get('error', 'the run was interrupted')}", file=sys.stderr)
    return FAILED if status == DONE and result["fails"] else status


def _say(result: dict[str, Any]) -> None:
    print_table(
        ("EXCHANGE", "MARKET", "WHAT", "VIA", "ASKED FOR", "TOOK", "", "ANSWER"),
        [
            (
                item["exchange"],
                item["market"],
                item["what"],
                item["transport"] or "–",
                item["symbol"] or "–",
                f"{item['took_ms'] / 1000:.1f} s",
                "works" if item["works"] else "FAILS",
                item["words"],
            )
            for item in result["findings"]
        ],
        right=(5,),
    )
    every = result["works"] + result["fails"]
    print(f"{result['works']:,} of {every:,} work." if result["fails"] else f"All {every:,} work.")
