"""Real processes on a real disk, killed at a chosen system call: strace attaches to a fork that is warm."""

from __future__ import annotations

import io
import json
import pickle
import re
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.faults.kill9_zygote import DONE
from tests.faults.ledger import Event, Ledger
from tests.needs import ROOT

# A question mark: there are machines without that call.
CHANGING = (
    "?open,openat,?openat2,?creat,write,writev,pwrite64,?pwritev,?pwritev2,fsync,fdatasync,?sync_file_range,"
    "?rename,?renameat,renameat2,?link,linkat,?unlink,unlinkat,?mkdir,mkdirat,?rmdir,ftruncate,?truncate,"
    "fallocate,flock,close"
)
READING = "read,readv,pread64,?preadv,lseek,?stat,?lstat,fstat,?newfstatat,?statx,?access,?getdents64,fcntl"
_CHANGES = {"write", "writev", "pwrite64", "ftruncate", "rename", "unlink", "mkdir"}
_CHANGES |= {"renameat", "renameat2", "unlinkat", "mkdirat"}
_CALL = re.compile(r"(\d+) +(\w+)\((.*)")
_DEADLINE_S = 60


class Point(NamedTuple):
    """The `number`-th call of a name that a process makes, from 1."""

    name: str
    number: int
    text: str

    @property
    def changes_disk(self) -> bool:
        """Whether the folder is another after the call; one call that is not leaves what the next leaves."""
        return self.name in _CHANGES or "O_CREAT" in self.text

    @property
    def is_database(self) -> bool:
        """Whether SQLite writes a page of a database here, or of the journal that it rolls back by."""
        return self.name == "pwrite64"

    def __str__(self) -> str:
        return f"{self.name} no. {self.number} ({self.text[:120]})"


@dataclass(frozen=True, slots=True)
class Run:
    """What a process did before it ended."""

    ledger: Ledger
    done: bool
    points: list[Point]


@contextmanager
def started(calls: str = CHANGING) -> Iterator[Killer]:
    """A killer, ready; `calls` are the names that strace looks at."""
    command = [sys.executable, "-m", "tests.faults.kill9_zygote"]
    with tempfile.TemporaryDirectory(prefix="dccd-kill9-") as text, socket.socket(socket.AF_UNIX) as listener:
        address = Path(text) / "socket"
        listener.bind(str(address))
        listener.listen()
        listener.settimeout(_DEADLINE_S)
        with subprocess.Popen(
            [*command, str(address)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        ) as zygote:  # its input is closed in the end, which ends it
            killer = Killer(calls, Path(text) / "log", listener, zygote)
            assert killer.told() == "warm"
            yield killer


class Killer:
    """Starts programs of :mod:`tests.faults.kill9_zygote` and has them killed; made by :func:`started`."""

    def __init__(self, calls: str, log: Path, listener: socket.socket, zygote: subprocess.Popen[str]) -> None:
        self._calls, self._log, self._listener, self._zygote = calls, log, listener, zygote

    def told(self) -> str:
        """The zygote's next line."""
        assert self._zygote.stdout is not None
        return self._zygote.stdout.readline().strip()

    def run(self, program: str, folder: Path, kill_at: Point | None = None, mutant: str = "") -> Run:
        """Run a program on a data folder, to its end or to the call that it is killed at."""
        assert self._zygote.stdin is not None
        self._zygote.stdin.write(json.dumps([program, str(folder), mutant]) + "\n")
        self._zygote.stdin.flush()
        pid = self.told()
        command = ["strace", "-f", "-y", "-p", pid, "-o", str(self._log), "-e", f"trace={self._calls}"]
        if kill_at is not None:
            command += ["-e", f"inject={kill_at.name}:signal=KILL:when={kill_at.number}"]
        connection, _ = self._listener.accept()
        with connection, subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
            assert strace.stderr is not None
            attached = strace.stderr.readline()
            assert "attached" in attached, attached
            connection.settimeout(_DEADLINE_S)
            connection.sendall(b"!")
            told = io.BytesIO()
            while data := connection.recv(1 << 16):
                told.write(data)
        ledger, done = Ledger(), False
        told.seek(0)
        while told.tell() < len(told.getbuffer()):
            event: Event = pickle.load(told)
            done = event.kind == DONE
            ledger.take(event)
        return Run(ledger, done, _points(self._log.read_text(), pid, str(folder)))


def _points(log: str, pid: str, folder: str) -> list[Point]:
    """The calls that had to do with a folder, each with its number among all calls of its name."""
    numbers: Counter[str] = Counter()
    points: list[Point] = []
    for line in log.splitlines():
        found = _CALL.match(line)
        if found is not None and found[1] == pid:
            numbers[found[2]] += 1
            if folder in found[3]:
                points.append(Point(found[2], numbers[found[2]], found[3].replace(folder, "")))
    return points
