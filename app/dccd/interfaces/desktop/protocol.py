"""The lines that pass between the program and its window's process: one JSON object a line.

The program writes commands to the window's standard input; the window writes events to its standard output.
The end of standard input means that the program is gone, and ends the window too.
"""

from __future__ import annotations

import msgspec


class Open(msgspec.Struct, frozen=True, tag_field="cmd", tag="open"):
    """First command: show a window on the page at `url`, which trades `ticket` for its right to the API."""

    url: str
    ticket: str


class Show(msgspec.Struct, frozen=True, tag_field="cmd", tag="show"):
    """Show the window if it is hidden."""


class Raise(msgspec.Struct, frozen=True, tag_field="cmd", tag="raise"):
    """Show the window and bring it before the others."""


class Hide(msgspec.Struct, frozen=True, tag_field="cmd", tag="hide"):
    """Hide the window; its page stays loaded."""


class ChooseFolder(msgspec.Struct, frozen=True, tag_field="cmd", tag="folder_dialog"):
    """Ask the person for a folder, beginning at `start` (empty: wherever the system likes)."""

    id: int
    title: str
    start: str = ""


class Quit(msgspec.Struct, frozen=True, tag_field="cmd", tag="quit"):
    """End the window's process."""


class Ready(msgspec.Struct, frozen=True, tag_field="event", tag="ready"):
    """The page has been loaded."""


class Shown(msgspec.Struct, frozen=True, tag_field="event", tag="shown"):
    """The window is on the screen."""


class Hidden(msgspec.Struct, frozen=True, tag_field="event", tag="hidden"):
    """The window has left the screen; its process and page live on."""


class Closed(msgspec.Struct, frozen=True, tag_field="event", tag="closed"):
    """The person closed the window, which is about to hide (or, with no tray about, to minimise)."""


class Folder(msgspec.Struct, frozen=True, tag_field="event", tag="folder"):
    """The answer to `ChooseFolder` with this `id`; null when the person cancelled."""

    id: int
    path: str | None


class Failed(msgspec.Struct, frozen=True, tag_field="event", tag="error"):
    """Something the window could not do, in words for a person."""

    message: str


Command = Open | Show | Raise | Hide | ChooseFolder | Quit
Event = Ready | Shown | Hidden | Closed | Folder | Failed


def encode(message: Command | Event) -> bytes:
    """Return `message` as one line, its newline included."""
    return msgspec.json.encode(message) + b"\n"


def decode_command(line: bytes) -> Command:
    """Read a line written by the program; raises `msgspec.DecodeError` on anything else."""
    command: Command = msgspec.json.decode(line, type=Command)
    return command


def decode_event(line: bytes) -> Event:
    """Read a line written by the window; raises `msgspec.DecodeError` on anything else."""
    event: Event = msgspec.json.decode(line, type=Event)
    return event
