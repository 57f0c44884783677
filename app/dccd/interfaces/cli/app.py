"""``dccd`` without a command: the desktop app, or ``dccd serve`` where no window can be opened."""

from __future__ import annotations

import asyncio
import sys
from argparse import Namespace

from dccd.interfaces.cli.connection import config_of
from dccd.interfaces.cli.interrupt import interruptible
from dccd.interfaces.cli.serve import serve_until_ended
from dccd.interfaces.cli.statuses import DONE
from dccd.interfaces.desktop.app import run_desktop
from dccd.interfaces.desktop.backend import DesktopBackend
from dccd.interfaces.desktop.display import window_problem
from dccd.interfaces.desktop.single_instance import raise_running


def open_desktop(arguments: Namespace) -> int:
    """Show the app: raise the one that runs on the data folder, else start it; the exit status."""
    config = config_of(arguments)
    if raise_running(config.data_path):
        return DONE
    problem = window_problem()
    if problem is not None:
        print(f"dccd: {problem}", file=sys.stderr, flush=True)
        return asyncio.run(interruptible(serve_until_ended(config)))
    return run_desktop(
        DesktopBackend(config),
        lambda line: print(line, flush=True),
        hidden=getattr(arguments, "hidden", False),
    )
