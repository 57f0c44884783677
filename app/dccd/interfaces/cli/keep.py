"""``dccd verify``, ``certificate``, ``delete`` and ``trash``: what is stored, looked after."""

from __future__ import annotations

import asyncio
import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from dccd.domain.errors import UnknownTrash, UsageError
from dccd.interfaces.cli.connection import connect, dataset_of, require_data
from dccd.interfaces.cli.output import arguments_of, count, print_json, print_table, size, time_ms
from dccd.interfaces.cli.progress import RunProgress
from dccd.interfaces.cli.statuses import DONE, FAILED, INTERRUPTED, status_of_run


async def verify(arguments: Namespace) -> int:
    """Verify one dataset or all; the exit status is 1 when anything is wrong with them."""
    if (arguments.exchange is None) != (arguments.symbol is None):
        raise UsageError("Name an exchange and a symbol, or neither for all datasets.")
    require_data(arguments)
    async with connect(arguments) as client:
        wanted = None if arguments.exchange is None else [await client.dataset_id(**dataset_of(arguments))]
        with RunProgress("verify") as progress:
            outcome = await client.verify(wanted, mend=arguments.mend, on_progress=progress)
    status, result = status_of_run(outcome), outcome["result"]
    if arguments.json:
        print_json(result)
    elif result is not None:
        for dataset in result["datasets"]:
            _say(dataset)
    if status == INTERRUPTED:
        print("verify: cancelled; the same command begins anew", file=sys.stderr)
    elif status != DONE:
        print(f"dccd: verify: {outcome.get('error', 'the run was interrupted')}", file=sys.stderr)
    return FAILED if status == DONE and not result["sound"] else status


def _say(found: dict[str, Any]) -> None:
    sound = "sound" if not found["errors"] and found["failure"] is None else count(found["errors"], "error")
    warned = f", {count(found['warnings'], 'warning')}" if found["warnings"] else ""
    read = f"{count(found['rows'], 'row')} in {count(found['files'], 'file')}, {size(found['size_bytes'])}"
    print(f"{found['dataset']}: {sound}{warned} ({read})")
    if found["failure"] is not None:
        print(f"  not read to its end: {found['failure']}")
    for problem in found["problems"]:
        words = _words(problem["file"], problem["text"])
        print(f"  {problem['severity']}: {words} {_advice(found, problem)}")


def _words(file: str, text: str) -> str:
    """What is wrong with a file, which is named once."""
    text = text.replace(f"({file} ", "(it ")
    return text if text.startswith(file) else f"{file}: {text}"


def _advice(found: dict[str, Any], problem: dict[str, Any]) -> str:
    """What to do, as a command where there is one; what was done."""
    advice = str(problem["advice"])
    if problem["mended"]:
        return f"{advice} Done."
    command = f"`dccd verify {arguments_of(found['dataset'])} --mend`"
    advice = advice.replace("Mending the dataset", command)
    return advice.replace("mend the dataset, which makes", f"{command}, which makes")


async def certificate(arguments: Namespace) -> int:
    """Print or write a dataset's certificate; the exit status."""
    require_data(arguments)
    output = None if arguments.output is None else Path(arguments.output)
    if output is not None and not output.parent.is_dir():
        raise UsageError(f"There is no folder {output.parent}. Make it, or name another file to write to.")
    async with connect(arguments) as client:
        document = await client.certificate(await client.dataset_id(**dataset_of(arguments)))
    text = json.dumps(document, indent=2) + "\n"
    if output is None:
        sys.stdout.write(text)
    else:
        await asyncio.to_thread(output.write_text, text, encoding="utf-8")
    return DONE


async def delete(arguments: Namespace) -> int:
    """Move a dataset to the trash; the exit status."""
    require_data(arguments)
    async with connect(arguments) as client:
        entry = await client.delete(await client.dataset_id(**dataset_of(arguments)))
    rows, until = count(entry["rows"], "row"), time_ms(entry["emptied_ms"])
    print(f"{entry['dataset']}: {rows} in the trash until {until}.")
    print(f"dccd trash --restore {entry['id']}   puts them back")
    return DONE


async def trash(arguments: Namespace) -> int:
    """List, restore or empty; the exit status."""
    require_data(arguments)
    async with connect(arguments) as client:
        if arguments.restore is not None:
            if arguments.restore not in {item["id"] for item in await client.trash()}:
                raise UnknownTrash(
                    f"There is no such entry in the trash: {arguments.restore!r}. "
                    "`dccd trash` lists what there is."
                )
            entry = await client.restore(arguments.restore)
            print(f"{entry['dataset']}: {count(entry['rows'], 'row')} put back.")
            return DONE
        items = await (client.empty_trash() if arguments.empty else client.trash())
    if arguments.json:
        print_json(items)
    elif arguments.empty:
        freed = size(sum(item["size_bytes"] for item in items))
        print(f"{count(len(items), 'deleted dataset')} removed for good, {freed} freed.")
    elif not items:
        print("The trash is empty.")
    else:
        print_table(
            ("ID", "DATASET", "ROWS", "SIZE", "DELETED", "KEPT UNTIL"),
            [
                (
                    item["id"],
                    item["dataset"],
                    f"{item['rows']:,}",
                    size(item["size_bytes"]),
                    time_ms(item["deleted_ms"]),
                    time_ms(item["emptied_ms"]),
                )
                for item in items
            ],
            right=(2, 3),
        )
    return DONE
