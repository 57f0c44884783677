"""A process that has imported everything; it forks one that works on a data folder each time it is asked to.

Lines of JSON come in, `[program, folder, mutant]`, and the process id of each fork goes out. The fork calls
its parent's socket, waits there for the word to begin, and tells it every event of the ledger as it happens.
"""

from __future__ import annotations

import ctypes
import json
import os
import pickle
import signal
import socket
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import ParamSpec, TypeVar

from dccd.storage.fs import FileSystem, RealFileSystem
from tests.faults.ledger import Event, Ledger
from tests.faults.mutants import MUTANTS
from tests.faults.simdisk import SimDisk
from tests.faults.story import BARS, FOLDER, live, recover

_P = ParamSpec("_P")
_T = TypeVar("_T")

PROGRAMS: dict[str, Callable[[FileSystem, Ledger, Path], None]] = {"story": live, "recovery": recover}
DONE = "done"
_PR_SET_PTRACER, _ANY = 0x59616D61, -1  # of <sys/prctl.h>; a system without it says no, and needs none


def main(address: str) -> None:
    """Warm up, then fork until the input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead need no burial
    disk = SimDisk()
    live(disk, Ledger())
    recover(disk, Ledger(), FOLDER)
    _say("warm")
    for line in sys.stdin:
        program, folder, mutant = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                _work(address, program, Path(folder), mutant)
            finally:
                os._exit(1)
        _say(str(child))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _may_be_traced() -> None:
    """Let strace attach where a system allows that for descendants only."""
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(_ANY), 0, 0, 0)


def _work(address: str, program: str, folder: Path, mutant: str) -> None:
    _may_be_traced()
    ThreadPoolExecutor.submit = _submit  # type: ignore[method-assign]
    with socket.socket(socket.AF_UNIX) as parent:
        parent.connect(address)
        parent.recv(1)

        def tell(event: Event) -> None:
            parent.sendall(pickle.dumps(event))

        with next((each.code() for each in MUTANTS if each.name == mutant), nullcontext()):
            PROGRAMS[program](RealFileSystem(), Ledger(tell), folder)
        tell(Event(DONE, BARS))
    os._exit(0)


def _submit(
    _self: Executor, function: Callable[_P, _T], /, *args: _P.args, **options: _P.kwargs
) -> Future[_T]:
    """Work for threads is done at once: strace counts each thread's calls by themselves."""
    future: Future[_T] = Future()
    try:
        future.set_result(function(*args, **options))
    except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
        future.set_exception(error)
    return future


if __name__ == "__main__":
    main(sys.argv[1])
