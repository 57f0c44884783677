"""A second launch on the same data folder raises the first one's window instead of starting another.

Who runs is decided by the data folder's lock; the runtime file, which only this user can read, says where.
"""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from dccd.interfaces.api.runtime_file import RuntimeInfo, read_runtime_file
from dccd.storage.lock import holder

RAISE_PATH = "/api/app/raise"
# The answer comes when the window is there, and its process may have to be started for that.
ANSWER_DEADLINE_S = 60.0
# From taking the lock to serving, for the second of two clicks.
START_PATIENCE_S = 3.0
POLL_S = 0.05


def raise_running(data_path: Path) -> bool:
    """Ask the program that runs on `data_path` to show its window.

    Returns
    -------
    bool
        Whether one runs and has done so. False when none runs, and also when the one that runs has no window
        to raise (``dccd serve``) or does not answer.
    """
    running = _running(data_path)
    if running is None:
        return False
    try:
        # No proxy from the environment: the address is this machine's own.
        with httpx.Client(trust_env=False, timeout=ANSWER_DEADLINE_S) as client:
            answer = client.post(
                running.url + RAISE_PATH, headers={"Authorization": f"Bearer {running.secret}"}
            )
    except httpx.TransportError:
        return False
    return answer.is_success


def _running(data_path: Path) -> RuntimeInfo | None:
    """Return where the holder of the lock is found, waiting a moment for one that is just starting.

    Without a holder the file is a dead program's, and whoever has its port by now must not get the secret.
    """
    deadline = time.monotonic() + START_PATIENCE_S
    while holder(data_path) is not None:
        if (found := read_runtime_file(data_path)) is not None or time.monotonic() > deadline:
            return found
        time.sleep(POLL_S)
    return None
