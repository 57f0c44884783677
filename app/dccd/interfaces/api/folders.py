"""Folders that a request names: by path, if it may, else by the handle that the window's dialog gave."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

from dccd.domain.errors import AccessDenied
from dccd.interfaces.api.access import Scope
from dccd.interfaces.api.context import Context
from dccd.interfaces.api.models import FieldError
from dccd.interfaces.api.problems import InvalidRequest


class NamesFolder(Protocol):
    """A request with exactly one of both."""

    @property
    def folder(self) -> str | None:
        """An absolute path."""
        ...

    @property
    def folder_handle(self) -> str | None:
        """What stands for the folder that a person chose."""
        ...


def chosen_folder(context: Context, body: NamesFolder, scope: Scope) -> AbstractContextManager[Path]:
    """The folder, for as long as the context lasts; a handle is used up by a context that ends well.

    Raises
    ------
    AccessDenied
        A page names a path.
    InvalidRequest
        The path is not absolute.
    """
    if body.folder_handle is not None:
        return context.folders.lend(body.folder_handle)
    if scope is not Scope.LOCAL:
        raise AccessDenied("A page may not name a folder. Choose it with the window's dialog, or download.")
    folder = Path(body.folder or "").expanduser()
    if not folder.is_absolute():
        raise InvalidRequest([FieldError(field="folder", message="must be an absolute path")])
    return nullcontext(folder)
