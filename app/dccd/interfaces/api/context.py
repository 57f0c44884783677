"""What handlers work with: the service, who may ask, and what the desktop lends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dccd.interfaces.api.access import Access, FolderHandles

if TYPE_CHECKING:
    from dccd.application.service import Service


class Hooks:
    """What only a program with a window, or one that may be ended from outside, can do; None where it cannot.

    Attributes
    ----------
    on_raise
        Bring the window to the front.
    choose_folder
        Show the native dialog under this title; None when the person chose none.
    on_quit
        Begin to end the program; the answer to the request that asked for it is sent first.
    """

    on_raise: Callable[[], Awaitable[None]] | None = None
    choose_folder: Callable[[str], Awaitable[Path | None]] | None = None
    on_quit: Callable[[], Awaitable[None]] | None = None


@dataclass
class Context:
    """One running server's parts.

    Attributes
    ----------
    url
        ``http://127.0.0.1:port``.
    started_s
        When it started, monotonic seconds.
    closing
        Set when the server stops; what streams for ever ends on it.
    """

    service: Service
    access: Access
    url: str
    started_s: float
    hooks: Hooks
    folders: FolderHandles = field(default_factory=FolderHandles)
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    streams: int = 0
