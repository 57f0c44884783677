"""A second launch on the same data folder raises the first one's window instead of starting another.

Who runs is decided by the data folder's lock; the runtime file, which only this user can read, says where.
"""

from __future__ import annotations

from pathlib import Path

import httpx

from dccd.interfaces.api.runtime_file import read_runtime_file

RAISE_PATH = "/api/app/raise"
TIMEOUT_S = 5.0


def raise_running(data_path: Path) -> bool:
    """Ask the program that runs on `data_path` to show its window.

    Returns
    -------
    bool
        Whether one runs and has done so. False when none runs, and also when the one that runs has no window
        to raise (``dccd serve``) or no longer answers.
    """
    running = read_runtime_file(data_path)
    if running is None:
        return False
    try:
        # No proxy from the environment: the address is this machine's own.
        with httpx.Client(trust_env=False, timeout=TIMEOUT_S) as client:
            answer = client.post(
                running.url + RAISE_PATH, headers={"Authorization": f"Bearer {running.secret}"}
            )
    except httpx.TransportError:
        return False
    return answer.is_success
