"""What the window needs of Windows beyond pywebview's interface; imported in the window's process alone."""

from __future__ import annotations

from collections.abc import Callable


def on_session_ending(callback: Callable[[], None]) -> None:
    """Call `callback` when the person logs off or shuts down.

    A window that refuses to close would hold the shutdown up, so it must know that this close is meant.
    """
    import clr

    clr.AddReference("System")
    from Microsoft.Win32 import SystemEvents

    SystemEvents.SessionEnding += lambda _sender, _arguments: callback()
