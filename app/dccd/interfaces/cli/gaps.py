"""``dccd gaps`` and ``dccd repair``: what was asked for and is not there, and fetching just that."""

from __future__ import annotations

import sys
from argparse import Namespace
from contextlib import AbstractAsyncContextManager
from typing import Any

from dccd.domain.dataset import DatasetId
from dccd.domain.errors import UsageError
from dccd.domain.types import DataType
from dccd.interfaces.cli.connection import connect, dataset_of, require_data
from dccd.interfaces.cli.output import duration, print_json, print_table, time_ms
from dccd.interfaces.cli.progress import RunProgress
from dccd.interfaces.cli.statuses import DONE, FAILED, INTERRUPTED
from dccd.interfaces.client import Client

Gap = dict[str, Any]

_NONE = "No gaps: everything that was asked for, and was to be had, is stored."
_CANCELLED = "the run was cancelled"
_HEAD = ("DATASET", "FROM", "TO", "LENGTH", "CAUSE")


async def gaps(arguments: Namespace) -> int:
    """Print or fill gaps; the exit status is 1 when some are left after filling."""
    if arguments.fill:
        return await repair(arguments)
    async with connect_to_data(arguments) as client:
        found = await _gaps_of(client, arguments)
    if arguments.json:
        print_json(found)
    elif any(found.values()):
        print_table(_HEAD, [_line(dataset, gap) for dataset in found for gap in found[dataset]])
    else:
        print(_NONE)
    return DONE


async def repair(arguments: Namespace) -> int:
    """Fetch the gaps of one dataset or of all, one by one; the exit status is 1 when some are left."""
    async with connect_to_data(arguments) as client:
        found = await _gaps_of(client, arguments)
        # Trades first: bars may be made from them.
        order = sorted(found, key=lambda name: DatasetId.parse(name).data_type is not DataType.TRADES)
        before = {name: found[name] for name in order if found[name]}
        if not before:
            print(_NONE)
            return DONE
        left: dict[str, list[Gap]] = {}
        reasons: dict[str, str] = {}
        for dataset in before:
            for started in await client.start_repair([dataset]):
                reasons[dataset] = started["why"] or await _follow(client, started)
            left[dataset] = await client.gaps(dataset)
    print_table(
        ("DATASET", "GAPS", "LENGTH", "FILLED", "LEFT"),
        [(name, *_summary(before[name], left[name])) for name in before],
        right=(1, 4),
    )
    for name, missing in left.items():
        if missing:
            print()
            print_table(_HEAD, [_line(name, gap) for gap in missing])
            print(f"Not filled: {reasons.get(name) or 'the exchange gave nothing for it'}")
    if _CANCELLED in reasons.values():
        print("cancelled; the same command goes on from there", file=sys.stderr)
        return INTERRUPTED
    return FAILED if any(left.values()) else DONE


def connect_to_data(arguments: Namespace) -> AbstractAsyncContextManager[Client]:
    """The client, once it is sure that there is data and that one dataset or none is named."""
    if (arguments.exchange is None) != (arguments.symbol is None):
        raise UsageError("Name an exchange and a symbol, or neither for all datasets.")
    require_data(arguments)
    return connect(arguments)


async def _gaps_of(client: Client, arguments: Namespace) -> dict[str, list[Gap]]:
    """The gaps of the dataset that is named, or of all that have any, their files looked at anew."""
    if arguments.exchange is not None:
        dataset = await client.dataset_id(**dataset_of(arguments))
        return {dataset: await client.gaps(dataset)}
    found = {each["id"]: await client.gaps(each["id"]) for each in await client.inventory()}
    return {dataset: gaps for dataset, gaps in found.items() if gaps}


async def _follow(client: Client, started: dict[str, Any]) -> str:
    """Wait for a run; why it did not do all, if so."""
    with RunProgress(f"repair {started['dataset']}") as progress:
        run = await client.follow_started(started, progress)
    if run["error"] is not None:
        return str(run["error"]["detail"])
    if run["state"] != "succeeded":
        return _CANCELLED if run["state"] == "cancelled" else f"the run was {run['state']}"
    return str((run["result"] or {}).get("why", ""))


def _summary(before: list[Gap], left: list[Gap]) -> tuple[str, str, str, str]:
    whole_ms, left_ms = (sum(gap["end_ms"] - gap["start_ms"] for gap in found) for found in (before, left))
    filled_ms = max(0, whole_ms - left_ms)
    return f"{len(before):,}", duration(whole_ms / 1000), duration(filled_ms / 1000), f"{len(left):,}"


def _line(dataset: str, gap: Gap) -> tuple[str, ...]:
    length_s = (gap["end_ms"] - gap["start_ms"]) / 1000
    return dataset, time_ms(gap["start_ms"]), time_ms(gap["end_ms"]), duration(length_s), gap["cause"]
