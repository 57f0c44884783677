"""What the window needs of Windows beyond pywebview's own interface; imported in the window's process alone."""

from __future__ import annotations

from collections.abc import Callable


def on_session_ending(callback: Callable[[], None]) -> None:
    """Call `callback` when the person logs off or shuts down.

    A window that refuses to close would hold the shutdown up, so it must know that this close is meant.
    """
    import clr  # noqa: PLC0415

    clr.AddReference("System")
    from Microsoft.Win32 import SystemEvents  # noqa: PLC0415

    SystemEvents.SessionEnding += lambda _sender, _arguments: callback()
