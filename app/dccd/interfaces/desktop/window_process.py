"""The window's process: pywebview on one page, steered by the lines of `protocol`.

Started by the program as ``dccd --window``, never by a person. It holds no data, no right but its page's
ticket and no state worth keeping: whenever it ends, the program goes on and can start another.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import webbrowser
from importlib.resources import as_file, files
from typing import Any

import msgspec

from dccd.interfaces.desktop import protocol
from dccd.interfaces.desktop.links import open_external

SIZE_PX = (1180, 760)
MIN_SIZE_PX = (900, 600)
# How long the window may take to go once told to, before the process ends without it.
CLOSE_DEADLINE_S = 5.0


class EventPipe:
    """Standard output, kept for events alone: whatever a library prints goes to standard error instead."""

    def __init__(self) -> None:
        self._pipe = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def send(self, event: protocol.Event) -> None:
        """Write one event; callable from any thread. A program that is gone no longer listens."""
        try:
            with self._lock:
                self._pipe.write(protocol.encode(event))
        except BrokenPipeError:
            pass


class WindowProcess:
    """One window, from the command that opens it to its end."""

    def __init__(self, commands: io.FileIO, events: EventPipe) -> None:
        self._commands = commands
        self._events = events
        self._window: Any = None
        self._shell: Any = None
        self._loaded = False
        self._ending = False
        self._exit_code = 0

    def run(self) -> int:
        """Show the window until told to end; return the process's exit status."""
        line = self._commands.readline()
        if not line:
            return 0
        first = protocol.decode_command(line)
        if not isinstance(first, protocol.Open):
            self._events.send(protocol.Failed("The window was given another command before the one to open."))
            return 2
        with as_file(files(__package__) / "icons" / "window.png") as icon:
            self._show(first, str(icon))
        return self._exit_code

    def _show(self, command: protocol.Open, icon: str) -> None:
        if sys.platform == "linux":
            from dccd.interfaces.desktop import window_qt

            window_qt.prepare_environment()
            self._shell = window_qt.QtShell(icon)
            window_qt.drop_javascript_bridge(self._on_loaded)
        elif sys.platform == "win32":
            from dccd.interfaces.desktop.window_windows import on_session_ending

            on_session_ending(self._on_session_ending)
        import webview

        # Every back-end of pywebview opens links that want a new window by this call, unexamined.
        webbrowser.open = open_external
        window = webview.create_window(
            "dccd",
            f"{command.url}/#ticket={command.ticket}",
            width=SIZE_PX[0],
            height=SIZE_PX[1],
            min_size=MIN_SIZE_PX,
            text_select=True,
            zoomable=True,
        )
        assert window is not None
        self._window = window
        window.events.before_show += lambda: self._on_created(command.url)
        window.events.shown += lambda: self._events.send(protocol.Shown())
        window.events.closing += self._on_closing
        if self._shell is None:
            window.events.loaded += lambda: self._on_loaded(True)
        threading.Thread(target=self._obey, name="commands", daemon=True).start()
        webview.start(gui="qt" if self._shell else None, icon=icon)

    def _on_created(self, url: str) -> None:
        if self._shell is not None:
            from dccd.interfaces.desktop.window_qt import guard_page

            guard_page(self._window.native, url, self._on_page_crash)

    def _on_loaded(self, ok: bool) -> None:
        if ok:
            self._loaded = True
            self._events.send(protocol.Ready())
        elif not self._loaded and not self._ending:
            # Later ones are loads that were refused (`guard_page`), and leave the page as it was.
            self._fail("The window could not load its page from the program.")

    def _on_page_crash(self) -> None:
        self._fail("The process that draws the window's page has crashed.")

    def _fail(self, message: str) -> None:
        self._events.send(protocol.Failed(message))
        self._exit_code = 1
        self._end()

    def _on_closing(self) -> bool:
        """Refuse to close, and get out of sight instead; called on the window system's thread.

        The hiding happens on another thread: inside this handler it freezes pywebview on Windows.
        """
        if self._ending:
            return True
        self._events.send(protocol.Closed())
        away = self._hide if self._shell is None or self._shell.tray_present() else self._window.minimize
        threading.Thread(target=away, name="closing").start()
        return False

    def _on_session_ending(self) -> None:
        self._ending = True

    def _hide(self) -> None:
        self._window.hide()
        self._events.send(protocol.Hidden())

    def _raise(self) -> None:
        if self._shell is not None:
            self._shell.activate(self._window.native)
        else:
            self._window.show()
            self._window.restore()

    def _obey(self) -> None:
        """Carry out commands until the program says quit, or is gone."""
        try:
            for line in self._commands:
                match protocol.decode_command(line):
                    case protocol.Show():
                        self._window.show()
                    case protocol.Raise():
                        self._raise()
                    case protocol.Hide():
                        self._hide()
                    case protocol.ChooseFolder() as command:
                        # Of its own, so that Quit is heard while the dialog is open.
                        threading.Thread(target=self._choose_folder, args=(command,), daemon=True).start()
                    case protocol.Quit():
                        break
                    case protocol.Open():
                        self._events.send(protocol.Failed("The window is open already."))
        except msgspec.DecodeError as error:
            self._fail(f"The window was sent a line it cannot read: {error}.")
        self._end()

    def _choose_folder(self, command: protocol.ChooseFolder) -> None:
        import webview

        self._window.localization["linux.openFolder"] = command.title
        chosen = self._window.create_file_dialog(webview.FileDialog.FOLDER, directory=command.start)
        self._events.send(protocol.Folder(command.id, str(chosen[0]) if chosen else None))

    def _end(self) -> None:
        self._ending = True
        deadline = threading.Timer(CLOSE_DEADLINE_S, os._exit, args=(self._exit_code,))
        deadline.daemon = True
        deadline.start()
        if self._shell is not None:
            self._shell.quit()
        else:
            self._window.destroy()


def main() -> int:
    """Run the window's process on standard input and output; return its exit status."""
    # Unbuffered: a buffer's lock, held by the thread that waits for a command, would abort Python at its end.
    with open(0, "rb", buffering=0, closefd=False) as commands:
        return WindowProcess(commands, EventPipe()).run()


if __name__ == "__main__":
    raise SystemExit(main())
