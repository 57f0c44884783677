"""SIGTERM ends a command the way Ctrl-C does."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import Any

INTERRUPTED = 130


async def interruptible(command: Coroutine[Any, Any, int]) -> int:
    """Run a command; when it is interrupted, say so and return 130."""
    if sys.platform != "win32":
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await command
    except asyncio.CancelledError:
        print(
            "Interrupted. What was fetched is stored; the same command goes on from there.", file=sys.stderr
        )
        return INTERRUPTED
