"""The desktop app: the tray's loop on the main thread, everything else on an event loop beside it.

Nothing here knows what the program does; it starts a `Backend`, keeps it reachable by tray and window, and
ends it in order on Quit, SIGTERM, SIGINT or log-off: first the window, then the backend, and the tray last.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Protocol

from dccd.interfaces.desktop import protocol
from dccd.interfaces.desktop.tray import Tray, TrayState, platform_tray
from dccd.interfaces.desktop.window import Crashed, DesktopWindow, WindowEvent
from dccd.interfaces.desktop.window_child import WindowUnavailable

logger = logging.getLogger(__name__)

# Closing the terminal and logging off send SIGHUP, where there is such a thing.
END_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
]


class Shell(Protocol):
    """What a backend may ask of the desktop; on the event loop."""

    async def raise_window(self) -> None:
        """Bring the window before the others, opening it if need be. Raises `WindowUnavailable`."""

    async def choose_folder(self, title: str, start: Path | None = None) -> Path | None:
        """Let the person choose a folder; None when cancelled. Raises `WindowUnavailable`."""

    def set_state(self, state: TrayState, text: str) -> None:
        """Tell the tray what goes on."""

    def quit(self) -> None:
        """End the program as Quit in the tray does."""


class Backend(Protocol):
    """What the desktop needs of the program behind it; all of it on one event loop."""

    async def start(self, shell: Shell) -> str:
        """Start, and return the page's address, ``http://127.0.0.1:port``."""

    async def stop(self) -> None:
        """Stop, with nothing lost; called once, also after a `start` that failed."""

    def new_ticket(self) -> str:
        """Return a single-use ticket for the page."""


def run_desktop(
    backend: Backend,
    say: Callable[[str], None],
    *,
    hidden: bool = False,
    tray: Tray | None = None,
    window_command: Sequence[str] | None = None,
) -> int:
    """Run the desktop app until it is told to quit; on the main thread.

    Ask `display.window_problem` first: on Linux, Qt ends the process where it finds no display.

    Parameters
    ----------
    backend : Backend
        The program behind tray and window.
    say : callable
        Tells the person one line, where the program was started from; called on the event loop's thread.
    hidden : bool
        Start in the tray, without a window.
    tray : Tray, optional
        By default, the platform's.
    window_command : sequence of str, optional
        How to start the window's process; by default, this program with ``--window``.

    Returns
    -------
    int
        The exit status: 0 after Quit or a signal.

    Raises
    ------
    Exception
        Whatever the backend raised when it was started or stopped.
    """
    tray = tray or platform_tray()
    desktop = _Desktop(backend, tray, say, hidden=hidden, window_command=window_command)
    previous = {number: signal.signal(number, lambda *_: desktop.quit()) for number in END_SIGNALS}
    # Not a daemon: the interpreter must not go while streams are being put to disk.
    thread = threading.Thread(target=desktop.run, name="asyncio")
    thread.start()
    try:
        tray.run(desktop.open, desktop.quit)
    finally:
        # The tray's loop may have ended by itself, as when the session's display went away.
        desktop.quit()
        thread.join()
        for number, handler in previous.items():
            signal.signal(number, handler)
    if desktop.error is not None:
        raise desktop.error
    return 0


class _Desktop:
    """The half that runs on the event loop, and is the backend's `Shell`."""

    def __init__(
        self,
        backend: Backend,
        tray: Tray,
        say: Callable[[str], None],
        *,
        hidden: bool,
        window_command: Sequence[str] | None,
    ) -> None:
        self._backend = backend
        self._tray = tray
        self._say = say
        self._hidden = hidden
        self._window_command = window_command
        self._loop = asyncio.new_event_loop()
        self._quit = asyncio.Event()
        self._url = ""
        self._window: DesktopWindow | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._told = TrayState.IDLE, "Running"
        self.error: BaseException | None = None

    # Called on the main thread.

    def open(self) -> None:
        """Open the window, or raise it."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(lambda: self._spawn(self._open_or_say_why()))

    def quit(self) -> None:
        """Begin to end the program; callable from any thread, and more than once."""
        # A loop that is closed already has ended, as wished.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._quit.set)

    # Called on the event loop's thread.

    def run(self) -> None:
        """Serve until told to quit, then release the main thread."""
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001  # run_desktop raises it again, on the main thread
            self.error = error
        finally:
            self._tray.stop()

    async def raise_window(self) -> None:
        await self._opened().raise_()

    async def choose_folder(self, title: str, start: Path | None = None) -> Path | None:
        return await self._opened().choose_folder(title, start)

    def set_state(self, state: TrayState, text: str) -> None:
        self._told = state, text
        self._tray.set_state(state, text)

    async def _serve(self) -> None:
        try:
            self._url = await self._backend.start(self)
            self._window = DesktopWindow(
                self._url, self._backend.new_ticket, self._on_window_event, command=self._window_command
            )
            if not self._hidden:
                self._spawn(self._open_or_say_why())
            await self._quit.wait()
        finally:
            if self._window is not None:
                await self._window.stop()
            await self._backend.stop()

    async def _open_or_say_why(self) -> None:
        if self._window is None:
            return  # still starting; the window opens when that is done
        try:
            await self._window.raise_()
        except WindowUnavailable as error:
            if not self._quit.is_set():
                address = f"{self._url}/#ticket={self._backend.new_ticket()}"
                self._say(f"{error} The app runs on; open {address} in a browser.")

    def _opened(self) -> DesktopWindow:
        if self._window is None or self._quit.is_set():
            raise WindowUnavailable("The app is starting or ending, and has no window now.")
        return self._window

    def _on_window_event(self, event: WindowEvent) -> None:
        match event:
            case Crashed():
                self._tray.set_state(TrayState.ATTENTION, "The window crashed; collecting goes on")
            case protocol.Ready():
                self._tray.set_state(*self._told)  # no longer that the window crashed
            case protocol.Failed(message=message):
                logger.error("%s", message)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
