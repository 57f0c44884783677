"""What is wrong with the disk, the configuration, the network or the exchange is said in one sentence.

Each of them ends the command with a status that is not zero and loses nothing. Wrong words on the command
line are tried in `test_cli.py`.
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
from dccd.storage.fs import Bytes, RealFile, RealFileSystem, Usage
from dccd.storage.room import Room
from dccd.storage.store import Store
from dccd.transport.retry import Backoff
from tests.exchanges.binance import BinanceStandIn
from tests.exchanges.engine import Fault, Response, in_thread

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

    def make_read_only(self) -> bool:
        """Whether that could be done."""
        return self._mounted and mount("-o", "remount,ro", str(self.folder))

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


@pytest.fixture
def unforeseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room that is there when one looks, and that another program has taken when it comes to writing."""
    monkeypatch.setattr(Store, "room", lambda *_: Room(1 << 40, 1 << 40, 0, 0))


def test_a_disk_that_is_too_small_is_said_to_be(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RealFileSystem, "usage", lambda *_: Usage(5 * MB, 6 * MB))
    said = person.types(*FEBRUARY)
    assert said.status == 1
    assert "in all, and 1.0 GB are to be kept free" in said.err
    assert "free_space_floor_gb" in said.err


@pytest.mark.usefixtures("unforeseen")
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


@pytest.mark.usefixtures("unforeseen")
def test_a_disk_that_is_full_from_the_start(person: Person, small_disk: MakeDisk) -> None:
    disk = small_disk(16 * 1024)
    person.data_path = disk.folder / "data"
    said = person.types(*FEBRUARY)
    assert said.status == 1
    assert "The disk is full" in said.sentence

    disk.make_room(64 * MB)
    assert person.types(*FEBRUARY).status == 0
    assert person.rows() == 708


def test_a_read_only_disk(person: Person, small_disk: MakeDisk) -> None:
    disk = small_disk(MB)
    if not disk.make_read_only():
        person.data_path = Path("/proc/dccd")  # nobody may make a folder there
    else:
        person.data_path = disk.folder / "data"
    said = person.types(*FEBRUARY)
    assert said.status == 1
    assert str(person.data_path) in said.sentence
    assert "Choose a folder that you can write to" in said.sentence


def test_a_data_folder_below_a_file(person: Person) -> None:
    (person.folder / "notes").write_text("mine")
    person.data_path = person.folder / "notes" / "data"
    said = person.types(*FEBRUARY)
    assert said.status == 1
    assert str(person.data_path) in said.sentence
    assert "Choose a folder" in said.sentence
    assert (person.folder / "notes").read_text() == "mine"


def test_a_data_folder_that_is_missing_is_made_with_its_parents(person: Person) -> None:
    person.data_path = person.folder / "new" / "disk" / "data"
    assert person.types("read", *HOURLY).status == 2
    assert person.types(*FEBRUARY).status == 0
    assert person.rows() == 708


def test_a_folder_of_the_reference_package_is_refused_and_left_alone(person: Person) -> None:
    columns = (
        "run_id spec_id operation exchange symbol data_type state started_at ended_at rows_written error"
    )
    state = person.data_path / ".dccd"
    state.mkdir(parents=True)
    with closing(sqlite3.connect(state / "runs.db")) as connection:
        connection.execute(
            f"create table runs ({', '.join(columns.split())}, progress, log_tail, created_at)"
        )
    before = {path: path.stat().st_mtime_ns for path in person.data_path.rglob("*")}
    content = (state / "runs.db").read_bytes()
    for command in (FEBRUARY, ("inventory",), ("read", *HOURLY), ("serve",)):
        said = person.types(*command)
        assert said.status == 1
        assert str(person.data_path) in said.sentence
        assert "Choose another folder" in said.sentence
    assert {path: path.stat().st_mtime_ns for path in person.data_path.rglob("*")} == before
    assert (state / "runs.db").read_bytes() == content
    assert person.exchange.requests == 0


# --- the configuration ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe\x00[settings]", "UTF-8"),
        (b"[settings]\ntheme = 'dark'\ntheme = 'light'\n", "line 3"),
        (b"[settings]\ntheme = 'purple'\n", "theme"),
        (b"[sources.binance]\nrest_ulr = 'http://127.0.0.1:1'\n", "rest_ulr"),
        (b"[sources.binance.budgets]\nspot = 'many'\n", "spot"),
        (b"[[jobs]]\nexchange = 'binance'\n", "pairs"),
        (b"settings = 3\n", "settings"),
    ],
)
def test_a_corrupt_configuration_is_named_and_kept(person: Person, content: bytes, words: str) -> None:
    person.config.write_bytes(content)
    for command in (("validate",), FEBRUARY):
        said = person.types(*command)
        assert said.status == 2
        assert words in said.sentence
        assert str(person.config) in said.sentence
    assert person.config.read_bytes() == content
    assert not person.data_path.exists()


def test_a_configuration_that_is_not_there(person: Person) -> None:
    person.config.unlink()
    said = person.types(*FEBRUARY)
    assert said.status == 2
    assert str(person.config) in said.sentence


# --- the network ----------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["http://127.0.0.1:9", "http://no-such-host.invalid"])
def test_no_way_to_the_exchange(person: Person, no_pauses: None, host: str) -> None:
    person.config.write_text(f'[sources.binance]\nrest_url = "{host}"\n')
    said = person.types(*FEBRUARY)
    assert said.status == 1
    assert host.removeprefix("http://").partition(":")[0] in said.sentence
    assert "Check the network" in said.sentence


def test_a_network_that_goes_away_in_the_middle(person: Person, no_pauses: None) -> None:
    command = ("backfill", "binance", "BTC/USDT", "--span", "1m", "--start", "2024-02-01")
    person.exchange.faults.append(Fault("reset", after=20, times=None))
    said = person.types(*command)
    assert said.status == 1
    assert "Check the network" in said.sentence
    stored_before = person.rows()

    person.exchange.faults.clear()
    asked_before = person.exchange.count(BARS, limit="1000")
    assert person.types(*command).status == 0
    assert person.rows() == 29 * 1_440 + 739
    assert 0 < person.exchange.count(BARS, limit="1000") - asked_before <= 43 - stored_before // 1_000


# --- the exchange ---------------------------------------------------------------------------------


def refusal(status: int, code: int, message: str, **headers: str) -> Response:
    body = json.dumps({"code": code, "msg": message}).encode()
    return Response(body, status, {name.replace("_", "-"): value for name, value in headers.items()})


def test_too_many_requests_waits_as_long_as_it_was_told(person: Person) -> None:
    slow_down = refusal(429, -1003, "Too much request weight used.", Retry_After="2")
    person.exchange.faults.append(Fault("answer", BARS, response=slow_down))
    assert person.types(*FEBRUARY).status == 0
    first, second, *_ = (asked for asked in person.exchange.log if asked.path == BARS)
    assert second.received_s - first.received_s >= 2
    assert person.exchange.statuses[429] == 1
    assert person.rows() == 708


@pytest.mark.parametrize(
    ("answer", "words", "tries"),
    [
        (
            refusal(418, -1003, "Way too much request weight used; IP banned.", Retry_After="86400"),
            "Start again then",
            1,
        ),
        (refusal(451, 0, "Service unavailable from a restricted location."), "restricted location", 1),
        (refusal(403, 0, "Forbidden by the web application firewall."), "Forbidden", 1),
        (Response(b"<html>Bad gateway</html>", 502, {}, "text/html"), "502", 8),
        (refusal(503, -1001, "Internal error; unable to process your request."), "503", 8),
    ],
    ids=["418 ban", "451 region", "403 firewall", "502 storm", "503 storm"],
)
def test_an_exchange_that_will_not_serve(
    person: Person, no_pauses: None, answer: Response, words: str, tries: int
) -> None:
    person.exchange.faults.append(Fault("answer", BARS, times=None, response=answer))
    said = person.types(*FEBRUARY)
    assert said.status == 1
    assert "Binance" in said.sentence
    assert words in said.sentence
    assert person.exchange.count(BARS) == tries

    person.exchange.faults.clear()
    assert person.types(*FEBRUARY).status == 0
    assert person.rows() == 708


def test_a_storm_that_passes_is_sat_through(person: Person, no_pauses: None) -> None:
    storm = refusal(503, -1001, "Internal error; unable to process your request.")
    person.exchange.faults.append(Fault("answer", BARS, times=6, response=storm))
    assert person.types(*FEBRUARY).status == 0
    assert person.exchange.statuses[503] == 6
    assert person.rows() == 708


def test_a_range_that_starts_before_the_exchange_did(person: Person) -> None:
    command = ("backfill", "binance", "BTC/USDT", "--span", "1d")
    assert person.types(*command, "--start", "2010-01-01").status == 0
    said = person.types("inventory", "--json")
    (dataset,) = json.loads(said.out)
    assert (dataset["complete"], dataset["gap_count"]) == (True, 0)
    assert dataset["start_ms"] > parse_time("2017-08-01") // 1_000_000

    asked = person.exchange.count(BARS)
    assert person.types(*command, "--start", "2009-01-01").status == 0
    assert person.exchange.count(BARS) - asked <= 1
    assert person.types("gaps", "--json").out.strip() == "{}"
