"""The program itself."""

from __future__ import annotations

from typing import Literal

from dccd.interfaces.api.models.base import Answer, Request, Text


class Done(Answer):
    """It was done; there is nothing more to say."""

    status: Literal["ok"] = "ok"


class Disk(Answer):
    """Room on the volume of the data folder; below `floor_bytes` free, downloads wait."""

    free_bytes: int
    total_bytes: int
    floor_bytes: int
    state: Literal["enough", "low", "full"]


class Recovering(Answer):
    """What a start still does before what is stored is known: a step in words, and how much of it is done.

    An unknown total is null. Questions about data are answered when it is over.
    """

    step: str
    done: int
    total: int | None


class Health(Answer):
    """The program's state; `disk` is null while the data folder cannot be looked at.

    `problems` says in words what was found damaged at start and put aside.
    """

    status: Literal["ok", "data_folder_unreachable"]
    version: str
    data_path: str
    uptime_s: float
    running: int
    disk: Disk | None
    recovering: Recovering | None
    problems: list[str]


class FolderRequest(Request):
    """Ask for a folder with the window's own dialog."""

    title: Text


class FolderChoice(Answer):
    """A handle that stands for the folder a person chose, good for one use; null when they chose none.

    `offered` is false where no window can show a dialog, as in a browser.
    """

    offered: bool
    handle: str | None
    name: str | None
