"""The tray on Windows: pystray on a thread of its own, while the main thread waits and hears Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Callable
from io import BytesIO

import pystray
from PIL import Image

from dccd.interfaces.desktop.tray import TrayState, icon_png

# An endless wait on Windows is deaf to Ctrl-C.
SIGNAL_POLL_S = 0.5


class PystrayTray:
    """`Tray` by pystray's win32 back-end."""

    def __init__(self) -> None:
        self._images = {state: Image.open(BytesIO(icon_png(state))) for state in TrayState}
        self._stopped = threading.Event()
        self._text = "dccd"
        self._icon = pystray.Icon("dccd", self._images[TrayState.IDLE], "dccd")

    def run(self, on_open: Callable[[], None], on_quit: Callable[[], None]) -> None:
        """Serve the icon until `stop`; see `Tray.run`."""
        self._icon.menu = pystray.Menu(
            pystray.MenuItem(lambda _item: self._text, None, enabled=False),
            pystray.Menu.SEPARATOR,
            pystray.MenuItem("Open", lambda _icon, _item: on_open(), default=True),
            pystray.MenuItem("Quit", lambda _icon, _item: on_quit()),
        )
        threading.Thread(target=self._icon.run, name="tray", daemon=True).start()
        while not self._stopped.wait(SIGNAL_POLL_S):
            continue
        self._icon.stop()

    def set_state(self, state: TrayState, text: str) -> None:
        """Show `state` and `text`; see `Tray.set_state`."""
        self._text = text
        self._icon.icon = self._images[state]
        # Windows cuts a tooltip at 127 characters, and pystray raises on longer ones.
        self._icon.title = f"dccd: {text}"[:127]
        self._icon.update_menu()

    def stop(self) -> None:
        """Make `run` return; see `Tray.stop`."""
        self._stopped.set()
