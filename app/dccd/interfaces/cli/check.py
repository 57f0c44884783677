"""``dccd check`` and ``dccd audit``: stored data against the exchange, and bars against trades."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any

from dccd.domain.errors import UsageError
from dccd.domain.types import Evidence
from dccd.interfaces.cli.connection import connect, dataset_of, require_data
from dccd.interfaces.cli.output import count, mending, print_json, print_table, time_ms
from dccd.interfaces.cli.progress import RunProgress
from dccd.interfaces.cli.statuses import DONE, FAILED, INTERRUPTED, status_of_run
from dccd.interfaces.client import Client

_SHOWN = 20  # differences; --json has the first thousand
_BOOKS = ("orderbook", "book_updates")


async def check(arguments: Namespace) -> int:
    """Check one dataset or all; the exit status is 1 when anything differs, or a check failed."""
    every = arguments.exchange == "all" and arguments.symbol is None
    if not every and (arguments.exchange is None or arguments.symbol is None):
        raise UsageError("Name an exchange and a symbol to check, or say: dccd check all.")
    require_data(arguments)
    datasets: list[str] = []
    left_out: list[str] = []
    async with connect(arguments) as client:
        if every:
            for found in await client.inventory():
                (left_out if found["data_type"] in _BOOKS else datasets).append(found["id"])
        else:
            datasets.append(await client.dataset_id(**dataset_of(arguments)))
        outcomes = [await _checked(client, dataset, arguments) for dataset in datasets]
    if every:  # bars of a span that the exchange has not were made from trades: there is nothing to ask for
        left_out += [outcome["dataset"] for outcome in outcomes if outcome.get("code") == "no_capability"]
        outcomes = [outcome for outcome in outcomes if outcome.get("code") != "no_capability"]
    if left_out:
        words = "the exchange offers nothing to compare with"
        print(f"left out: {', '.join(left_out)}; {words}", file=sys.stderr)
    if arguments.json:
        print_json([outcome["result"] for outcome in outcomes])
        return max([_status(outcome) for outcome in outcomes], default=0)
    return max([_say_check(outcome) for outcome in outcomes], default=0)


async def audit(arguments: Namespace) -> int:
    """Audit a dataset's bars; the exit status is 1 when anything differs."""
    require_data(arguments)
    async with connect(arguments) as client:
        dataset = await client.dataset_id(**dataset_of(arguments))
        with RunProgress(f"audit {dataset}") as progress:
            outcome = await client.audit(
                dataset, start=arguments.start, end=arguments.end, on_progress=progress
            )
    if arguments.json:
        print_json(outcome["result"])
        return _status(outcome)
    return _say_audit(outcome)


async def _checked(client: Client, dataset: str, arguments: Namespace) -> dict[str, Any]:
    with RunProgress(f"check {dataset}") as progress:
        return await client.check(
            dataset, windows=arguments.windows, seed=arguments.seed, on_progress=progress
        )


def _status(outcome: dict[str, Any]) -> int:
    """The exit status; says on standard error why there is no result, or not all of it."""
    status, result = status_of_run(outcome), outcome["result"]
    if status == INTERRUPTED:
        print(f"{outcome['dataset']}: cancelled; the same command begins anew", file=sys.stderr)
    elif status != DONE:
        why = outcome.get("error", "the run was interrupted") + mending(outcome.get("code"))
        print(f"dccd: {outcome['dataset']}: {why}", file=sys.stderr)
    return FAILED if status == DONE and result["differences"] else status


def _say_check(outcome: dict[str, Any]) -> int:
    status, result = _status(outcome), outcome["result"]
    if result is None:
        return status
    rows, stretches = count(result["rows"], "row"), _stretches(len(result["windows"]))
    print(
        f"{result['dataset']}: {rows} in {stretches} compared: "
        f"{result['equal']:,} equal, {result['differing']:,} differ, {result['stored_only']:,} only stored, "
        f"{result['exchange_only']:,} only at the exchange (seed {result['seed']})"
    )
    for reason in dict.fromkeys(skipped["why"] for skipped in result["skipped"]):
        print(f"  left out: {reason}")
    if result["passed"] and result["evidence"] == Evidence.DOCUMENTED:
        print("  what was known from documentation only is confirmed here now, see: dccd capabilities")
    if result["unconfirmed"]:
        print(f"  {count(result['unconfirmed'], 'row')} differed once and not when they were fetched again")
    _print_differences(
        ("TIME", "ID", "", "FIELD", "STORED", "EXCHANGE"),
        [
            (item["ts"], item["id"] or "", item["verdict"], name, str(stored), str(theirs))
            for item in result["differences"]
            for name, (stored, theirs) in item["fields"].items()
        ],
    )
    for window in result["doubted"]:
        span = f"{time_ms(window['start_ms'])} to {time_ms(window['end_ms'])}"
        print(f"  {span} is a gap now: dccd repair fetches it")
    return status


def _stretches(number: int) -> str:
    return "1 stretch" if number == 1 else f"{number:,} stretches"


def _say_audit(outcome: dict[str, Any]) -> int:
    status, result = _status(outcome), outcome["result"]
    if result is None:
        return status
    print(
        f"{result['dataset']}: {count(result['equal'], 'bar')} equal, {result['differing']:,} differ, "
        f"{result['derived_only']:,} only from trades, {result['stored_only']:,} only at the exchange, "
        f"{result['without_trades']:,} without trades"
    )
    _print_differences(
        ("BAR", "FIELD", "FROM TRADES", "EXCHANGE", "RELATIVE"),
        [
            (
                item["ts"],
                item["field"] or "the bar",
                "–" if item["derived"] is None else str(item["derived"]),
                "–" if item["stored"] is None else str(item["stored"]),
                "–" if item["relative"] is None else f"{item['relative']:.1e}",
            )
            for item in result["differences"]
        ],
    )
    return status


def _print_differences(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    if rows:
        print_table(head, rows[:_SHOWN])
    if len(rows) > _SHOWN:
        print(f"… {len(rows) - _SHOWN:,} more; --json has the first thousand rows")
