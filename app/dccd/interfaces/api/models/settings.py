"""The configuration."""

from __future__ import annotations

from pydantic import Field, JsonValue

from dccd.interfaces.api.models.base import Answer, Request, Text


class Settings(Answer):
    """The configuration by section, with the file it stands in; secrets are left out."""

    path: str
    sections: dict[str, JsonValue]


class SettingsUpdate(Request):
    """Sections and the members to change in them; what is not named stays as it is.

    `data_folder_handle` sets the data folder to what the native dialog gave.
    """

    sections: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    data_folder_handle: Text | None = None
