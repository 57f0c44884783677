"""The configuration, shown without secrets and changed a member at a time."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from dccd.domain.errors import AccessDenied
from dccd.interfaces.api import models
from dccd.interfaces.api.access import Scope
from dccd.interfaces.api.context import Context
from dccd.interfaces.api.endpoint import endpoint


@endpoint("GET", "/api/config")
async def settings(context: Context) -> models.Settings:
    """The settings by section, and the file they stand in."""
    return _shown(context)


@endpoint("PUT", "/api/config")
async def change_settings(context: Context, body: models.SettingsUpdate, scope: Scope) -> models.Settings:
    """Change the members that are named and no others; comments in the file stay."""
    changes: dict[str, dict[str, Any]] = {name: dict(section) for name, section in body.sections.items()}
    names_path = "data_path" in changes.get("settings", {})
    if names_path and scope is not Scope.LOCAL:
        raise AccessDenied("A page may not name a folder. Choose it with the window's dialog.")
    if body.data_folder_handle is None:
        await context.service.change_settings(changes)
    else:
        with context.folders.lend(body.data_folder_handle) as folder:
            changes.setdefault("settings", {})["data_path"] = str(folder)
            await context.service.change_settings(changes)
    return _shown(context)


def _shown(context: Context) -> models.Settings:
    config = context.service.config
    sections = config.model_dump(mode="json")
    for source in sections["sources"].values():
        if source.get("proxy"):
            source["proxy"] = _without_password(source["proxy"])
    return models.Settings(path=str(config.path), sections=sections)


def _without_password(address: str) -> str:
    parts = urlsplit(address)
    if parts.password is None:
        return address
    return parts._replace(netloc=f"{parts.username}:***@{parts.netloc.rpartition('@')[2]}").geturl()


ENDPOINTS = (settings, change_settings)
