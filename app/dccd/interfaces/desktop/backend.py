"""The program as the desktop runs it: its server may use the window, and the tray tells its state."""

from __future__ import annotations

from pathlib import Path

from dccd.application.config import AppConfig
from dccd.application.events import Event, StatusEvent
from dccd.application.jobs import RunState
from dccd.interfaces.desktop.app import Shell
from dccd.interfaces.desktop.tray import TrayState
from dccd.interfaces.program import Program

_UNDER_WAY = frozenset({RunState.PENDING, RunState.RUNNING})


class TrayStatus:
    """What the tray shows, from the runs' changes of state."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._under_way: set[str] = set()

    def __call__(self, event: Event) -> None:
        """Take one event of the bus."""
        if not isinstance(event, StatusEvent):
            return
        if event.state in _UNDER_WAY:
            self._under_way.add(event.run_id)
        else:
            self._under_way.discard(event.run_id)
        count = len(self._under_way)
        if event.state is RunState.FAILED:
            self._shell.set_state(TrayState.ATTENTION, "A run failed; open dccd to see why")
        elif count:
            self._shell.set_state(
                TrayState.WORKING, "1 run under way" if count == 1 else f"{count} runs under way"
            )
        else:
            self._shell.set_state(TrayState.IDLE, "Nothing is running")


class DesktopBackend:
    """A :class:`Program` behind tray and window; see :class:`dccd.interfaces.desktop.app.Backend`."""

    def __init__(self, config: AppConfig) -> None:
        self._program = Program(config)

    async def start(self, shell: Shell) -> str:
        """Start the program with the window and the tray at its disposal; return its address."""

        async def choose_folder(title: str) -> Path | None:
            return await shell.choose_folder(title)

        async def begin_quit() -> None:
            shell.quit()

        self._program.server.on_raise = shell.raise_window
        self._program.server.choose_folder = choose_folder
        self._program.server.on_quit = begin_quit
        self._program.service.events.subscribe(TrayStatus(shell))
        return await self._program.start()

    async def stop(self) -> None:
        """Stop the program."""
        await self._program.stop()

    def new_ticket(self) -> str:
        """Return a ticket for the window's page."""
        return self._program.server.new_ticket()
