"""What is wrong with the disk, the configuration, the network or the exchange is said in one sentence.

Each of them ends the command with a status that is not zero and loses nothing; what `test_cli.py` tries of wrong
words on the command line is not tried again here.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pytest

from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import parse_time
from dccd.interfaces.cli.main import run
from dccd.storage.fs import Bytes, RealFile
from dccd.storage.store import Store
from dccd.transport.retry import Backoff
from tests.exchanges.binance import BinanceStandIn
from tests.exchanges.engine import Fault, Request, Response, in_thread

NOW_MS = parse_time("2024-03-01T12:20:00Z") // 1_000_000
HOURLY = ("binance", "BTC/USDT", "--span", "1h")
FEBRUARY = ("backfill", *HOURLY, "--start", "2024-02-01")  # one page of bars
MINUTES = DatasetId.parse("binance:BTC-USDT:ohlc:1m")
HALF_A_YEAR = (
    "backfill",
    "binance",
    "BTC/USDT",
    "--span",
    "1m",
    "--start",
    "2023-09-01",
    "--end",
    "2024-03-01",
)
BARS = "/api/v3/klines"
MB = 1 << 20


class Said(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """What is on standard error: one line, which is no traceback."""
        (line,) = [line for line in self.err.splitlines() if not line.startswith("binance BTC/USDT")]
        assert line.startswith("dccd: ")
        return line


@dataclass
class Person:
    """Somebody at the command line, with a configuration and a data folder."""

    exchange: BinanceStandIn
    folder: Path
    data_path: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    def types(self, *arguments: str) -> Said:
        self.capsys.readouterr()
        places = ("--config", str(self.config), "--data-path", str(self.data_path))
        status = run([*arguments, *places])
        return Said(status, *self.capsys.readouterr())

    def rows(self) -> int:
        """How many rows the inventory lists."""
        said = self.types("inventory", "--json")
        assert said.status == 0, said.err
        return sum(dataset["rows"] for dataset in json.loads(said.out))


@pytest.fixture
def person(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Person]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "run").mkdir(mode=0o700)
    exchange = BinanceStandIn(now_ms=NOW_MS, limits={"spot": 1_000_000})
    with in_thread(exchange):
        person = Person(exchange, tmp_path, tmp_path / "data", capsys)
        person.config.write_text(exchange.config)
        yield person


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the waits between two attempts pass at once; what an exchange asks for is still kept."""
    monkeypatch.setattr(Backoff, "wait_s", lambda *_: 0.0)


# --- the data folder ------------------------------------------------------------------------------


def mount(*arguments: str) -> bool:
    """Whether the system let us; containers and plain users often may not."""
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


class Disk:
    """A small disk: a file system of its own where one may be mounted, else a limit on what files take."""

    def __init__(self, folder: Path, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        folder.mkdir()
        self._mounted = mount("-t", "tmpfs", "-o", f"size={room}", "tmpfs", str(folder))
        if not self._mounted:
            self._left = room
            append = RealFile.append

            def limited(file: RealFile, *parts: Bytes) -> None:
                size = sum(memoryview(part).nbytes for part in parts)
                if size > self._left:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self._left -= size
                append(file, *parts)

            monkeypatch.setattr(RealFile, "append", limited)

    def make_room(self, room: int) -> None:
        if self._mounted:
            assert mount("-o", f"remount,size={room}", str(self.folder))
        else:
            self._left = room

    def close(self) -> None:
        if self._mounted:
            subprocess.run(["umount", str(self.folder)], check=True)


MakeDisk = Callable[[int], Disk]


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeDisk]:
    disks: list[Disk] = []

    def make(room: int) -> Disk:
        disks.append(Disk(tmp_path / f"disk{len(disks)}", room, monkeypatch))
        return disks[-1]

    yield make
    for disk in disks:
        disk.close()


def stored(data_path: Path) -> pa.Table:
    with closing(Store.open(data_path)) as store:
        return pa.Table.from_batches(store.read(MINUTES))


def test_a_disk_that_fills_in_the_middle(person: Person, small_disk: MakeDisk) -> None:
    undisturbed = person.folder / "undisturbed"
    person.data_path = undisturbed
    assert person.types(*HALF_A_YEAR).status == 0

    disk = small_disk(6 * MB)
    person.data_path = disk.folder / "data"
    said = person.types(*HALF_A_YEAR)
    assert said.status == 1
    assert "The disk is full" in said.sentence
    assert "Free some space" in said.sentence
    assert "the same command goes on" in said.sentence
    acknowledged = int(said.sentence.split(" rows were stored")[0].split()[-1].replace(",", ""))
    assert acknowledged > 0

    disk.make_room(256 * MB)
    assert person.rows() >= acknowledged
    with closing(Store.open(person.data_path)) as store:
        covered = store.coverage(MINUTES).covered
    person.exchange.log.clear()
    assert person.types(*HALF_A_YEAR).status == 0
    pages = [asked for asked in person.exchange.log if asked.path == BARS]
    assert pages
    assert all(int(asked.query["startTime"]) * 1_000 not in covered for asked in pages)
    assert stored(person.data_path) == stored(undisturbed)


def test_a_disk_that_is_full_from_the_start(person: Person, small_disk: MakeDisk) -> None:
    disk = small_disk(16 * 1024)
    person.data_path = disk.folder / "data"
    said = person.types(*FEBRUARY)
    assert said.status == 1
    assert "The disk is full" in said.sentence

    disk.make_room(64 * MB)
    assert person.types(*FEBRUARY).status == 0
    assert person.rows() == 708
