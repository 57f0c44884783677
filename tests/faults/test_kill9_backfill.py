"""A backfill whose process is killed, again and again, ends with what an undisturbed one has."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pytest

from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import parse_time
from dccd.domain.types import DataType
from dccd.storage.store import Store
from tests.exchanges.binance import BinanceStandIn
from tests.exchanges.engine import Request, in_thread

NOW_MS = parse_time("2024-03-01T12:20") // 1_000_000
KILLS = 3

Wait = Callable[..., None]


@dataclass(frozen=True)
class Case:
    """A backfill of some dozens of pages, and which requests are its pages."""

    dataset: DatasetId
    path: str
    options: str

    def is_page(self, asked: Request) -> bool:
        """Whether a request is for a page, and not to find where one begins."""
        return asked.path == self.path and asked.query["limit"] != "1"

    def place(self, page: Request) -> int:
        """Where a page begins: an instant in nanoseconds, or an id."""
        by_id = self.dataset.data_type is DataType.TRADES
        return int(page.query["fromId"]) if by_id else int(page.query["startTime"]) * 1_000


class Proven(NamedTuple):
    """What is stored: rows, where coverage ends, and the last id below that."""

    rows: int
    end_ns: int
    last_id: int

    def place(self, case: Case) -> int:
        """The last place, in a case's terms, that must not be asked for again."""
        return self.last_id if case.dataset.data_type is DataType.TRADES else self.end_ns - 1


CASES = [
    Case(
        DatasetId.parse("binance:BTC-USDT:ohlc:1m"),
        "/api/v3/klines",
        "--span 1m --start 2024-01-15 --end 2024-02-20",
    ),
    Case(
        DatasetId.parse("binance:BTC-USDT:trades"),
        "/api/v3/aggTrades",
        "--type trades --start 2024-02-28T23:00 --end 2024-02-29T01:00",
    ),
]


@dataclass
class Rig:
    """The stand-in, and processes that download from it."""

    exchange: BinanceStandIn
    wait: Wait
    folder: Path

    def start(self, case: Case, data_path: Path) -> subprocess.Popen[bytes]:
        config = self.folder / "config.toml"
        config.write_text(self.exchange.config, encoding="utf-8")
        command = [sys.executable, "-m", "dccd", "backfill", "binance", "BTC/USDT", *case.options.split()]
        command += ["--config", str(config), "--data-path", str(data_path)]
        environment = {**os.environ, "XDG_RUNTIME_DIR": str(self.folder)}
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)

    def pages(self, case: Case) -> list[Request]:
        return [asked for asked in list(self.exchange.log) if case.is_page(asked)]

    def reached(self, case: Case, count: int, process: subprocess.Popen[bytes]) -> bool:
        """Whether so many pages were asked for, or the process ended by itself."""
        return len(self.pages(case)) >= count or process.poll() is not None


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    exchange = BinanceStandIn(now_ms=NOW_MS, trades_per_s=5, latency_s=0.02, limits={"spot": 1_000_000})
    with in_thread(exchange) as wait:
        yield Rig(exchange, wait, tmp_path)


def stored(data_path: Path, dataset: DatasetId) -> pa.Table:
    """All rows, which are all in files."""
    with closing(Store.open(data_path)) as store:
        table = pa.Table.from_batches(store.read(dataset))
        assert sum(file.rows for file in store.files(dataset)) == table.num_rows
        return table


def proven(data_path: Path, dataset: DatasetId) -> Proven:
    """What the journal and the files prove, whatever a process that is gone had in mind."""
    with closing(Store.open(data_path)) as store:
        covered = store.coverage(dataset).covered
        rows = store.info(dataset).rows
        end_ns = covered.end_ns or 0
        ids = (
            [batch.column("tid_num")[-1].as_py() for batch in store.read(dataset, None, end_ns)]
            if (dataset.data_type is DataType.TRADES)
            else []
        )
    return Proven(rows, end_ns, ids[-1] if ids else -1)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.dataset.data_type.value)
def test_killed_at_random_moments_the_next_start_goes_on_from_the_last_journaled_page(
    rig: Rig, case: Case
) -> None:
    undisturbed, killed = rig.folder / "undisturbed", rig.folder / "killed"
    assert rig.start(case, undisturbed).wait(60) == 0
    total = len(rig.pages(case))
    assert total > 30
    moments = random.Random(os.urandom(8).hex())
    known = Proven(0, 0, -1)
    cut_short = 0
    for kill in range(KILLS + 1):
        rig.exchange.log.clear()
        process = rig.start(case, killed)
        if kill < KILLS:
            target = moments.randint(1, total // 4)
            rig.wait(partial(rig.reached, case, target, process))
            time.sleep(moments.uniform(0, 0.03))  # between two pages, or while one is written
            process.kill()
        ended = process.wait(60)
        asked = [case.place(page) for page in rig.pages(case)]
        assert all(place > known.place(case) for place in asked), (
            f"asked again for what was journaled up to {known}"
        )
        if kill < KILLS and ended != 0:
            cut_short += 1
            after = proven(killed, case.dataset)
            assert after.rows >= known.rows
            known = after
    assert cut_short >= 1
    assert ended == 0
    assert stored(killed, case.dataset) == stored(undisturbed, case.dataset)
