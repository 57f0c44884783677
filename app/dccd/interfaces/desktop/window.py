"""The window as the rest of the program knows it: shown on demand, ended when long hidden, free to crash."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dccd.interfaces.desktop import protocol
from dccd.interfaces.desktop.window_child import WindowChild, window_command

logger = logging.getLogger(__name__)

# Long enough that a person who closes and re-opens finds the page as it was, short enough that the web
# engine's memory (some 400 MB) comes back the same coffee break.
IDLE_S = 300.0


@dataclass(frozen=True, slots=True)
class Crashed:
    """The window's process ended without being told to.

    Attributes
    ----------
    exit_code : int
        Negative: the signal that ended it.
    reason : str
        A sentence for a person.
    """

    exit_code: int
    reason: str


WindowEvent = protocol.Event | Crashed


class DesktopWindow:
    """The handle of the window, to be used on one event loop.

    Parameters
    ----------
    url : str
        Where the program's page is, ``http://127.0.0.1:port``.
    new_ticket : callable
        Returns a fresh single-use ticket; called each time the window's process is started.
    on_event : callable
        Called on the event loop with every `WindowEvent`.
    command : sequence of str, optional
        How to start the window's process.
    idle_s : float
        Seconds after hiding at which the process is ended.
    sleep : callable
        ``asyncio.sleep``, or a test's clock.
    """

    def __init__(
        self,
        url: str,
        new_ticket: Callable[[], str],
        on_event: Callable[[WindowEvent], None],
        *,
        command: Sequence[str] | None = None,
        idle_s: float = IDLE_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._url = url
        self._new_ticket = new_ticket
        self._on_event = on_event
        self._command = list(command) if command is not None else window_command()
        self._idle_s = idle_s
        self._sleep = sleep
        self._child: WindowChild | None = None
        self._run: asyncio.Task[int] | None = None
        self._idle: asyncio.Task[None] | None = None
        self._put_away = False  # by the person, since it was last asked for

    @property
    def pid(self) -> int | None:
        """Process id of the window's process; None while there is none."""
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """Start the window's process unless it runs, and wait until its page is loaded and shown.

        Raises
        ------
        WindowUnavailable
            It could not be started; the reason is in the message.
        """
        while self._run is not None and self._child is not None and self._child.ending:
            await asyncio.wait({self._run})
            await asyncio.sleep(0)  # for what is called at its end
        await self._running().ready()

    async def show(self) -> None:
        """Show the window, starting its process if there is none. Raises `WindowUnavailable`."""
        await self.start()
        self._send(protocol.Show())

    async def raise_(self) -> None:
        """Show the window and bring it before the others. Raises `WindowUnavailable`.

        One that the person closes while its page is still loading stays away.
        """
        self._put_away = False
        await self.start()
        if not self._put_away:
            self._send(protocol.Raise())

    async def hide(self) -> None:
        """Hide the window, if there is one."""
        self._send(protocol.Hide())

    async def choose_folder(self, title: str, start: Path | None = None) -> Path | None:
        """Let the person choose a folder in the system's own dialog.

        Parameters
        ----------
        title : str
            What the dialog's title asks for.
        start : Path, optional
            Folder it begins at.

        Returns
        -------
        Path or None
            None when the person cancelled.

        Raises
        ------
        WindowUnavailable
            The window could not be opened, or ended while the dialog was open.
        """
        await self.show()
        return await self._running().choose_folder(title, start)

    async def stop(self) -> None:
        """End the window's process, if there is one; it may be started again."""
        self._stay_awake()
        if self._child is not None and self._run is not None:
            await self._child.quit(self._run)

    def _running(self) -> WindowChild:
        """Return the present child, started without waiting if there is none."""
        if self._child is None:
            self._child = WindowChild(self._command, self._on_child_event)
            self._run = asyncio.create_task(self._child.run(self._url, self._new_ticket()), name="window")
            self._run.add_done_callback(self._on_child_end)
        return self._child

    def _send(self, command: protocol.Command) -> None:
        if self._child is not None:
            self._child.send(command)

    def _on_child_event(self, event: protocol.Event) -> None:
        match event:
            case protocol.Shown():
                self._stay_awake()
            case protocol.Closed():
                self._put_away = True
            case protocol.Hidden():
                self._stay_awake()
                self._idle = asyncio.create_task(self._end_when_idle(), name="window-idle")
        self._on_event(event)

    def _on_child_end(self, run: asyncio.Task[int]) -> None:
        child, self._child, self._run = self._child, None, None
        self._stay_awake()
        if run.cancelled() or child is None or child.ending:
            return
        crashed = Crashed(run.result(), child.describe_end())
        logger.warning("The window has crashed (exit status %d): %s", crashed.exit_code, crashed.reason)
        self._on_event(crashed)

    def _stay_awake(self) -> None:
        if self._idle is not None and self._idle is not asyncio.current_task():
            self._idle.cancel()
        self._idle = None

    async def _end_when_idle(self) -> None:
        await self._sleep(self._idle_s)
        await self.stop()
