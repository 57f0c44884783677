"""What streams cost that bring little.

``python -m tests.bench.idle_streams [--streams 50] [--seconds 20] [folder]``

Each stream brings a row at a random moment of each two seconds, by the real clock. Counts syncs where they
are asked for, and the processor time of it all. The system's own count of the same:
``strace -c -f -e trace=fdatasync,fsync python -m tests.bench.idle_streams``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.records import Columns
from dccd.storage.fs import File, RealFileSystem
from dccd.storage.store import Store


class SyncCounter(RealFileSystem):
    """Counts the syncs of the files that it makes."""

    def __init__(self) -> None:
        self.syncs = 0

    def create(self, path: Path) -> File:
        file = super().create(path)
        plain = file.sync

        def sync() -> None:
            self.syncs += 1
            plain()

        file.sync = sync  # type: ignore[method-assign]
        return file


def run(parent: Path, streams: int, seconds: float) -> dict[str, Any]:
    """Stream for a while, and then be silent as long."""
    path = Path(tempfile.mkdtemp(prefix="dccd-bench-", dir=parent))
    rng, fs = random.Random(1), SyncCounter()
    store = Store.open(path, fs=fs)
    log = store.stream_log()
    datasets = [DatasetId.parse(f"x:C{number}-USD:trades") for number in range(streams)]
    moments = [
        (second + 2 * rng.random(), dataset) for second in range(0, round(seconds), 2) for dataset in datasets
    ]
    begun_s, cpu_s, syncs = time.monotonic(), time.process_time(), fs.syncs
    for number, (moment, dataset) in enumerate(sorted(moments, key=lambda item: item[0])):
        time.sleep(max(0.0, begun_s + moment - time.monotonic()))
        ts = time.time_ns()
        row: Columns = {"ts": [ts], "price": [1.0], "amount": [1.0], "tid_num": [number]}
        log.append(dataset, row, IntervalSet.of(ts, ts + 1), source="x", observation="session")
    time.sleep(max(0.0, begun_s + seconds + 1 - time.monotonic()))
    streaming = {"syncs": fs.syncs - syncs, "cpu_s": round(time.process_time() - cpu_s, 2)}
    cpu_s, syncs = time.process_time(), fs.syncs
    time.sleep(seconds)
    silent = {"syncs": fs.syncs - syncs, "cpu_s": round(time.process_time() - cpu_s, 2)}
    store.close()
    shutil.rmtree(path)
    rows = len(moments)
    return {"streams": streams, "seconds": seconds, "rows": rows, "streaming": streaming, "silent": silent}


def main() -> None:
    """Print a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    found = run(arguments.folder, arguments.streams, arguments.seconds)
    print(json.dumps({**found, "load": os.getloadavg()[0]}), flush=True)


if __name__ == "__main__":
    main()
