"""Others read files in a loop while they are published: no error, no row twice, none missing."""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import DAY_NS, HOUR_NS
from dccd.storage.store import Store
from tests.faults import outside_reader

PUBLISHES = int(os.environ.get("DCCD_PUBLISHES", "60"))
TRADES = DatasetId.parse("binance:BTC-USDT:trades")
START = 1_706_745_600_000_000_000
PAGE = 7
PACE_NS = HOUR_NS // 4  # of a trade: now and then a page lies in two days, and so in two files


def page(first: int) -> dict[str, list[object]]:
    numbers = range(first, first + PAGE)
    return {
        "ts": [START + number * PACE_NS for number in numbers],
        "price": [1.5 + number for number in numbers],
        "amount": [1.0 for _ in numbers],
        "tid_num": [*numbers],
    }


@contextmanager
def reading(engine: str, folder: Path, counters: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, outside_reader.__file__, engine, str(folder), str(counters)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_who_reads_the_files_while_they_are_published(tmp_path: Path) -> None:
    data, counters = tmp_path / "data", tmp_path / "counters"
    counters.write_bytes(bytes(24))
    with ExitStack() as stack:
        store = stack.enter_context(closing(Store.open(data)))
        shared = stack.enter_context(mmap.mmap(stack.enter_context(counters.open("r+b")).fileno(), 24))

        def publish(number: int, *, over: bool = False) -> None:
            first = number * PAGE
            shared[:] = struct.pack("<3q", first, first + PAGE, False)
            log.append(page(first), IntervalSet.of(START + first * PACE_NS, START + (first + PAGE) * PACE_NS))
            store.publish()
            shared[:] = struct.pack("<3q", first + PAGE, first + PAGE, over)

        log = store.begin_backfill(TRADES, "run", source="binance")
        publish(0)
        folder = data / TRADES.folder
        readers = {
            engine: stack.enter_context(reading(engine, folder, counters))
            for engine in outside_reader.ENGINES
        }
        for reader in readers.values():
            assert reader.stdout is not None
            if reader.stdout.readline() != "ready\n":
                pytest.fail(reader.communicate()[1])
        for number in range(1, PUBLISHES + 1):
            publish(number, over=number == PUBLISHES)
        for engine, reader in readers.items():
            said, wrong = reader.communicate()
            assert reader.returncode == 0, f"{engine}: {wrong}"
            times, again = map(int, said.split())
            assert times > 1, engine
            # Each reading of the others that falls into a publication may have to be made again.
            assert again <= (0 if engine == "pyarrow" else PUBLISHES), f"{engine}: {again} of {times}"
        days = -(-(PUBLISHES + 1) * PAGE * PACE_NS // DAY_NS)
        assert len(store.files(TRADES)) == days
