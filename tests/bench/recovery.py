"""How soon the program answers and has recovered, beside a large journal: ``python -m tests.bench.recovery``.

Makes a data folder with journals that no file has, starts ``dccd serve`` on it, and asks it how it is.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

import httpx
import pyarrow as pa

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import MS_NS
from dccd.interfaces.api.runtime_file import RuntimeInfo, read_runtime_file
from dccd.storage.backfill_log import SEGMENT_BYTES
from dccd.storage.fs import RealFileSystem
from dccd.storage.journal import Journal
from dccd.storage.layout import Layout
from dccd.storage.schema import to_batch
from dccd.storage.store import Store

START = 1_704_067_200_000_000_000  # 2024-01-01
TRADE_EVERY_MS = 50
ASK_EVERY_S = 0.02


def fill(path: Path, size_bytes: int, rows: int, datasets: int) -> dict[str, int]:
    """Journals of about `size_bytes` with frames of so many trades each, of the datasets by turns."""
    fs, layout = RealFileSystem(), Layout(path)
    Store.open(path).close()
    names = [DatasetId.parse(f"binance:COIN{number}-USDT:trades") for number in range(datasets)]
    journal, written, frames = Journal.create(fs, layout.journals), 0, 0
    for turn in count():
        start = START + turn * rows * TRADE_EVERY_MS * MS_NS
        batch = trades(names[0], start, turn * rows, rows)
        covered = IntervalSet.of(start, start + rows * TRADE_EVERY_MS * MS_NS)
        for dataset in names:
            journal.append(dataset, batch, covered, source="bench")
            frames += 1
        if journal.size >= min(SEGMENT_BYTES, size_bytes - written):
            written += journal.size
            journal.close()
            if written >= size_bytes:
                return {"bytes": written, "frames": frames, "rows": frames * rows}
            journal = Journal.create(fs, layout.journals)
    raise AssertionError("the count never ends")


def trades(dataset: DatasetId, start: int, first_id: int, rows: int) -> pa.RecordBatch:
    """Trades of one stretch."""
    numbers = range(first_id, first_id + rows)
    return to_batch(
        dataset,
        {
            "ts": [start + n * TRADE_EVERY_MS * MS_NS for n in range(rows)],
            "price": [40_000 + n % 977 / 10 for n in numbers],
            "amount": [0.001 * (n % 89) for n in numbers],
            "side": ["buy" if n % 3 else "sell" for n in numbers],
            "tid_num": [*numbers],
        },
    )


def measure(path: Path) -> dict[str, float]:
    """Seconds from the start of the process; the slowest answer in between; the peak of its memory."""
    began = time.monotonic()
    command = [sys.executable, "-m", "dccd", "serve", "--data-path", str(path)]
    found: dict[str, float] = {}
    slowest = 0.0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            with ask(path, process) as http:
                while "published_s" not in found:
                    asked = time.monotonic()
                    health = http.get("/api/health").json()
                    now = time.monotonic()
                    slowest = max(slowest, now - asked)
                    found.setdefault("answers_s", now - began)
                    if health["recovering"] is None:
                        found.setdefault("recovered_s", now - began)
                        if not any((path / ".dccd" / "journal").iterdir()):
                            found["published_s"] = now - began
                    if health["problems"]:
                        raise SystemExit(health["problems"][0])
                    time.sleep(ASK_EVERY_S)
            found["rss_peak_mb"] = peak_mb(process.pid)
        finally:
            process.terminate()
            process.wait()
    return {**found, "slowest_answer_s": slowest}


def ask(path: Path, process: subprocess.Popen[bytes]) -> httpx.Client:
    """A client of the program, once that can be found."""
    running: RuntimeInfo | None = None
    while running is None:
        if process.poll() is not None:
            raise SystemExit(f"dccd serve ended with status {process.returncode}")
        time.sleep(ASK_EVERY_S)
        running = read_runtime_file(path)
    headers = {"Authorization": f"Bearer {running.secret}"}
    return httpx.Client(base_url=running.url, headers=headers, trust_env=False, timeout=60)


def peak_mb(pid: int) -> float:
    """Peak of a process's resident memory (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    [kilobytes] = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(kilobytes) / 1000


def main() -> None:
    """Make the folder, start the program on it, and print a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--rows", type=int, default=10_000, help="trades a frame")
    parser.add_argument("--datasets", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where to make the data folder; a temporary one else")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dccd-bench-", dir=options.folder) as folder:
        made = fill(Path(folder), options.bytes, options.rows, options.datasets)
        os.sync()
        took = measure(Path(folder))
    print(json.dumps({**made, **{name: round(value, 2) for name, value in took.items()}}))


if __name__ == "__main__":
    main()
