"""``dccd adopt``: the data, and the configuration, of the dccd 3 package."""

from __future__ import annotations

import asyncio
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dccd.interfaces.cli.connection import config_of, connect
from dccd.interfaces.cli.output import count, print_table
from dccd.interfaces.cli.progress import RunProgress
from dccd.interfaces.cli.statuses import DONE, status_of_run

if TYPE_CHECKING:
    from dccd.application.operations.adopt_work import AdoptParams

_SHOWN = 20  # of what was left out; the run's result has more


async def adopt(arguments: Namespace) -> int:
    """Take a folder over, or only say what there is; the exit status."""
    if arguments.dry_run:
        return await _say_what_there_is(arguments)
    async with connect(arguments) as client:
        with RunProgress(f"adopt {arguments.folder}") as progress:
            outcome = await client.adopt(
                arguments.folder, config_file=arguments.config_file, on_progress=progress
            )
    result = outcome["result"]
    if result is not None:
        print_table(
            ("DATASET", "ROWS", "STORED", "SAME", "DIFFERENT", "LEFT OUT", "GAPS"),
            [_line(found) for found in result["datasets"]],
            right=range(1, 7),
        )
        for found in result["datasets"]:
            _say_more(found)
        _say_not_taken(result["not_taken"], result["not_taken_count"])
        _say_config(result["config"])
    if outcome["state"] == "succeeded":
        stored = sum(found["rows_stored"] for found in result["datasets"])
        print(f"{count(stored, 'row')} stored. {arguments.folder} is as it was.")
    elif outcome["state"] == "cancelled":
        print("cancelled; the same command goes on from there", file=sys.stderr)
    else:
        print(f"dccd: adopting: {outcome.get('error', 'the run was interrupted')}", file=sys.stderr)
    return status_of_run(outcome)


async def _say_what_there_is(arguments: Namespace) -> int:
    # In this process: it needs the old folder alone, and looking makes no data folder.
    from dccd.application.operations.adopt_work import plan_adoption

    params = _params(arguments)
    plan = (await asyncio.to_thread(plan_adoption, params, config_of(arguments))).model_dump(mode="json")
    print_table(
        ("DATASET", "FILES", "ROWS", "FROM THE FOLDER"),
        [
            (found["dataset"], f"{found['files']:,}", f"{found['rows_read']:,}", found["place"])
            for found in plan["data"]["datasets"]
        ],
        right=(1, 2),
    )
    _say_not_taken(plan["data"]["not_taken"], plan["data"]["not_taken_count"])
    _say_config(plan["config"])
    return DONE


def _params(arguments: Namespace) -> AdoptParams:
    from dccd.application.operations.adopt_work import AdoptParams

    def absolute(place: str) -> str:
        return str(Path(place).expanduser().absolute())

    file = arguments.config_file
    return AdoptParams(
        folder=absolute(arguments.folder), config_file=None if file is None else absolute(file)
    )


def _line(found: dict[str, Any]) -> tuple[str, ...]:
    left_out = sum(found["rows_left_out"].values())
    counts = (*(found[f"rows_{name}"] for name in ("read", "stored", "same", "differing")), left_out)
    return found["dataset"], *(f"{count:,}" for count in (*counts, found["gap_count"]))


def _say_more(found: dict[str, Any]) -> None:
    for reason, number in found["rows_left_out"].items():
        print(f"{found['dataset']}: {count(number, 'row')} left out: {reason}")
    for note in found["notes"]:
        print(f"{found['dataset']}: {note}")


def _say_not_taken(items: list[dict[str, str]], count: int) -> None:
    for item in items[:_SHOWN]:
        print(f"not taken: {item['place']}: {item['reason']}")
    if count > _SHOWN:
        print(f"not taken: and {count - _SHOWN:,} more")


def _say_config(config: dict[str, Any] | None) -> None:
    if config is None:
        return
    done = f"written to {config['written_to']}" if config["written_to"] else "to be written"
    names = ", ".join(config["settings"]) or "no settings"
    there = f", {config['jobs_there']} there already" if config["jobs_there"] else ""
    print(f"configuration {done}: {names}; {count(len(config['jobs']), 'job')}{there}")
    for item in config["not_carried"]:
        print(f"not carried over: {item['place']}: {item['reason']}")
