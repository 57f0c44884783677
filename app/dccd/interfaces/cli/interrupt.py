"""SIGTERM ends a command the way Ctrl-C does."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from dccd.interfaces.cli.statuses import INTERRUPTED


async def interruptible(command: Coroutine[Any, Any, int], kept: str = "") -> int:
    """Run a command; when it is interrupted, say so, and what is kept of it, and return 130."""
    if sys.platform != "win32":
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await command
    except asyncio.CancelledError:
        print(f"Interrupted.{kept}", file=sys.stderr)
        return INTERRUPTED
