"""``dccd`` without a command: the desktop app, or ``dccd serve`` where no window can be opened."""

from __future__ import annotations

import asyncio
import sys
from argparse import Namespace
from pathlib import Path

from dccd.application.config import AppConfig
from dccd.interfaces.cli.connection import config_of
from dccd.interfaces.cli.interrupt import interruptible
from dccd.interfaces.cli.serve import serve_until_ended
from dccd.interfaces.desktop.app import Shell, run_desktop
from dccd.interfaces.desktop.display import window_problem
from dccd.interfaces.desktop.single_instance import raise_running
from dccd.interfaces.program import Program


def open_desktop(arguments: Namespace) -> int:
    """Show the app: raise the one that runs on the data folder, else start it; the exit status."""
    config = config_of(arguments)
    if raise_running(config.data_path):
        return 0
    problem = window_problem()
    if problem is not None:
        print(f"dccd: {problem}", file=sys.stderr, flush=True)
        return asyncio.run(interruptible(serve_until_ended(config)))
    return run_desktop(
        DesktopBackend(config),
        lambda line: print(line, flush=True),
        hidden=getattr(arguments, "hidden", False),
    )


class DesktopBackend:
    """The program as the desktop starts it: its server may raise the window and ask for folders."""

    def __init__(self, config: AppConfig) -> None:
        self._program = Program(config)

    async def start(self, shell: Shell) -> str:
        """Start the program; see :class:`dccd.interfaces.desktop.app.Backend`."""

        async def choose_folder(title: str) -> Path | None:
            return await shell.choose_folder(title)

        async def quit_() -> None:
            shell.quit()

        self._program.server.on_raise = shell.raise_window
        self._program.server.choose_folder = choose_folder
        self._program.server.on_quit = quit_
        return await self._program.start()

    async def stop(self) -> None:
        """Stop it; see :class:`dccd.interfaces.desktop.app.Backend`."""
        await self._program.stop()

    def new_ticket(self) -> str:
        """A ticket for the window's page."""
        return self._program.server.new_ticket()
