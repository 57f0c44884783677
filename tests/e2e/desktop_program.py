"""The desktop app around a page that says little: what the tests of tray and signals run.

``python -m tests.e2e.desktop_program`` says on standard output when it has started and stopped.
"""

import asyncio
import sys

from dccd.interfaces.desktop.app import Shell, run_desktop
from tests.e2e.desktop_page import PageServer


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class PageBackend:
    """A backend of one static page."""

    async def start(self, shell: Shell) -> str:
        self._server = PageServer()
        say("started")
        return self._server.url

    async def stop(self) -> None:
        await asyncio.to_thread(self._server.close)
        say("stopped")

    def new_ticket(self) -> str:
        return "ticket"


if __name__ == "__main__":
    command = [sys.executable, "-m", "dccd.interfaces.desktop.window_process"]
    sys.exit(run_desktop(PageBackend(), say, window_command=command))
