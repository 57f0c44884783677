"""One process a data folder: a lock the system takes back when its holder dies, and a heartbeat for the rest.

On a local disk the system's lock is the truth. On a network share it may be kept per host, so the file also
says who holds it and is touched while they live: a lock free here but beating elsewhere is refused too.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dccd.domain.errors import DataFolderLocked
from dccd.storage.fs import FLAGS, FileSystem, Lock, in_words, lock_descriptor
from dccd.storage.layout import Layout

HEARTBEAT_S = 10.0
_STALE_S = 60.0
_PATIENCE_S = 0.5  # `holder` takes the lock for an instant to see whether it is free


@dataclass(frozen=True, slots=True)
class Holder:
    """Who works on a data folder."""

    host: str
    pid: int
    beat_s: float

    def __str__(self) -> str:
        return f"{self.host}, pid {self.pid}"


class FolderLock:
    """The data folder's lock, held until :meth:`release`."""

    def __init__(self, lock: Lock, clock: Callable[[], float]) -> None:
        self._lock, self._clock = lock, clock
        self._stop = threading.Event()
        self._beat_if_possible()
        self._thread = threading.Thread(target=self._keep_beating, name="dccd-heartbeat", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Let others work on the folder; idempotent."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join()
        try:
            self._lock.write("")
        except OSError:
            pass  # a full disk must not keep the lock; the beat it leaves is stale in a minute
        self._lock.release()

    def _beat(self) -> None:
        self._lock.write(
            json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "beat_s": self._clock()})
        )

    def _keep_beating(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            self._beat_if_possible()

    def _beat_if_possible(self) -> None:
        try:
            self._beat()
        except OSError:
            pass  # the system's lock is held all the same, and the next beat may find room


def acquire(fs: FileSystem, layout: Layout, clock: Callable[[], float] = time.time) -> FolderLock:
    """Take the data folder's lock.

    Raises
    ------
    DataFolderLocked
        Another process has it.
    """
    deadline = time.monotonic() + _PATIENCE_S
    with in_words(f"locking the data folder {layout.data_path}"):
        while (lock := fs.lock(layout.lock)) is None:
            if time.monotonic() > deadline:
                raise _locked(layout, _read(layout.lock))
            time.sleep(0.02)
    other = _read(layout.lock)
    if other and other.host != socket.gethostname() and abs(clock() - other.beat_s) < _STALE_S:
        lock.release()
        raise _locked(layout, other)
    return FolderLock(lock, clock)


def holder(data_path: Path) -> Holder | None:
    """Who works on the folder now, None when nobody does. Makes and changes nothing."""
    path = Layout(data_path).lock
    try:
        descriptor = os.open(path, FLAGS | os.O_RDWR)
    except OSError:
        return None
    try:
        found = _read(path)
        if lock_descriptor(descriptor):
            return None
        return found or Holder("another host", 0, 0.0)
    finally:
        os.close(descriptor)


def _read(path: Path) -> Holder | None:
    try:
        parsed = json.loads(path.read_bytes())
        return Holder(parsed["host"], parsed["pid"], parsed["beat_s"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _locked(layout: Layout, who: Holder | None) -> DataFolderLocked:
    text = str(who) if who else "another process"
    return DataFolderLocked(
        f"The data folder {layout.data_path} is in use by {text}. Use that one, or end it first.", text
    )
