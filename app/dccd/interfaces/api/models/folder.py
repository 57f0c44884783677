"""Moving the data folder."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from dccd.interfaces.api.models.base import PathText, Request, Text


class MoveRequest(Request):
    """The folder to move the data to; a page names it by the handle its dialog gave."""

    folder: PathText | None = None
    folder_handle: Text | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.folder is None) == (self.folder_handle is None):
            raise ValueError("give either folder or folder_handle")
        return self
