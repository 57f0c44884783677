"""A whole backfill against the stand-in, beside the bare loop in the same run: rows/s, requests, peak RSS.

::

    python -m tests.bench.backfill --kind klines --rows 525600
    python -m tests.bench.backfill --kind trades --rows 1000000 --runs 5
    python -m tests.bench.backfill --kind klines --rows 525600 --latency-ms 150 --weight-limit 6000 \\
        --real-time --no-bare
    python -m tests.bench.backfill --kind trades --rows 5000000 --runs 1 --no-bare
    python -m tests.bench.backfill --kind trades --rows 8640000 --runs 1 --no-bare --transport archive

The downloads and the bare loop run by turns in processes of their own, pinned to one processor and the
stand-in to another. Prints a line of JSON a run, then the medians and their ratio. What is measured is from
the start of the run to its end, with every row in its period file and synced; starting up is left out. A
first download, in which the stand-in makes its pages, is not counted. `docs/benchmarks.md` says how to read
the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.bench.bare_loop import NOW_MS, START_MS
from tests.bench.standin_process import ROOT, stand_in_process

KINDS = {"klines": ("ohlc", "1m", 60_000), "trades": ("trades", None, 10)}  # data type, span, ms a row
UNLIMITED = 10**12


async def download(url: str, kind: str, rows: int, budget: int | None, transport: str) -> dict[str, Any]:
    """Store `rows` rows in an empty data folder; return the figures. Without a budget, the exchange's own."""
    from dccd.application.config import parse_config
    from dccd.application.requests import BackfillRequest
    from dccd.application.service_factory import build_service

    data_type, span, row_ms = KINDS[kind]
    text = f"""
        [sources.binance]
        rest_url = "{url}"
        futures_url = "{url}"
        delivery_url = "{url}"
        archive_url = "{url}"
    """
    if budget is not None:
        text += f"[sources.binance.budgets]\nspot = {budget}\n"
    request = BackfillRequest.model_validate(
        {
            "exchange": "binance",
            "symbol": "BTC/USDT",
            "data_type": data_type,
            "span": span,
            "start": START_MS * 1_000_000,
            "end": (START_MS + rows * row_ms) * 1_000_000,
            "transport": transport,
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        config = parse_config(text, Path("bench.toml")).located(None, Path(folder))
        async with build_service(config) as service:
            await service.resolve(request)
            started_s, started_cpu_s = time.perf_counter(), time.process_time()
            run = await service.wait((await service.start_backfill(request)).run_id)
            seconds, cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
    if run.rows_written != rows:
        raise RuntimeError(f"stored {run.rows_written} of {rows} rows: {run.error}")
    return {
        "what": "dccd",
        "kind": kind,
        "rows": rows,
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu_s, 3),
        "rows_per_s": round(rows / seconds),
        "rss_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_024,
    }


def measure(module: str, *options: str) -> dict[str, Any]:
    """Run one measurement in a fresh process."""
    command = [sys.executable, "-m", module, *options]
    answer = subprocess.run(command, stdout=subprocess.PIPE, cwd=ROOT, check=True)
    figures: dict[str, Any] = json.loads(answer.stdout)
    return figures


def compare(options: argparse.Namespace) -> None:
    """Measure by turns and print."""
    what = ("--kind", options.kind, "--rows", str(options.rows))
    figures: dict[str, list[float]] = {}
    stand_in_options = ("--weight-limit", str(options.weight_limit), "--latency-ms", str(options.latency_ms))
    fixed = ("--generated", "--now-ms", str(NOW_MS), "--trades-per-s", "100")
    files = ("--archive",) if options.transport == "archive" else ()
    with stand_in_process(*stand_in_options, *files, *(() if options.real_time else fixed)) as stand_in:
        ours: tuple[str, ...] = ("--url", stand_in.url, "--transport", options.transport)
        if options.weight_limit == UNLIMITED:
            ours += ("--budget", str(UNLIMITED))
        if options.transport == "archive":  # a day of trades takes it a minute to write
            for day in range(options.rows * KINDS[options.kind][2] // 86_400_000):
                when = f"{datetime.fromtimestamp(START_MS / 1000 + day * 86_400, UTC):%Y-%m-%d}"
                urlopen(
                    f"{stand_in.url}/data/spot/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-{when}.zip"
                ).read()
        measure("tests.bench.backfill", *what, *ours)
        for _ in range(options.runs):
            before = stand_in.stats()
            runs = [measure("tests.bench.backfill", *what, *ours)]
            after = stand_in.stats()
            runs[0]["requests"] = after["requests"] - before["requests"]
            runs[0]["refused"] = sum(
                count for status, count in after["statuses"].items() if int(status) >= 400
            )
            if options.bare:
                runs.append(measure("tests.bench.bare_loop", *what, "--url", stand_in.url))
            for run in runs:
                print(json.dumps(run), flush=True)
                figures.setdefault(run["what"], []).append(run["rows_per_s"])
        print(json.dumps({"stand_in": stand_in.stats()}))
    medians = {name: statistics.median(values) for name, values in figures.items()}
    ratios = {f"dccd / {name}": round(medians["dccd"] / value, 2) for name, value in medians.items()}
    print(
        json.dumps(
            {"median_rows_per_s": medians, "ratio": {k: v for k, v in ratios.items() if k != "dccd / dccd"}}
        )
    )


def main() -> None:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=sorted(KINDS), default="klines")
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--weight-limit", type=int, default=UNLIMITED, help="weight a minute")
    parser.add_argument("--real-time", action="store_true", help="the stand-in's clock runs, as budgets need")
    parser.add_argument("--no-bare", dest="bare", action="store_false", help="leave the bare loop out")
    parser.add_argument("--transport", choices=("rest", "archive"), default="rest", help="of whole days")
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--budget", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.url:
        made = download(options.url, options.kind, options.rows, options.budget, options.transport)
        print(json.dumps(asyncio.run(made)))
    else:
        compare(options)


if __name__ == "__main__":
    main()
