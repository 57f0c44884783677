"""The icon near the clock: one interface, an adapter a platform.

The tray's loop is the main thread's for the whole life of the program, because window systems insist on it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from importlib.resources import files
from typing import Protocol


class TrayState(StrEnum):
    """What the icon tells at a glance; the tooltip says the same in words."""

    IDLE = "idle"
    WORKING = "working"
    ATTENTION = "attention"


class Tray(Protocol):
    """An icon with a menu of Open and Quit, and the loop that serves it."""

    def run(self, on_open: Callable[[], None], on_quit: Callable[[], None]) -> None:
        """Show the icon and serve it until `stop`; on the main thread, which also hears signals here.

        Parameters
        ----------
        on_open, on_quit : callable
            Called on any thread when the person clicks the icon or chooses from its menu; must not block.
        """

    def set_state(self, state: TrayState, text: str) -> None:
        """Show `state`, with `text` as the tooltip and the menu's first line; callable from any thread."""

    def stop(self) -> None:
        """Make `run` return, or return at once if it is yet to be called; callable from any thread."""


def icon_png(state: TrayState) -> bytes:
    """Return the icon for `state` as PNG."""
    return (files(__package__) / "icons" / f"tray-{state}.png").read_bytes()


def platform_tray() -> Tray:
    """Return the tray of this platform; on the main thread."""
    if sys.platform == "win32":
        from dccd.interfaces.desktop.tray_pystray import PystrayTray

        return PystrayTray()
    if sys.platform == "darwin":
        from dccd.interfaces.desktop.tray_macos import MacTray

        return MacTray()
    from dccd.interfaces.desktop.tray_qt import QtTray

    return QtTray()
