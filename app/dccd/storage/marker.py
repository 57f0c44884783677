"""The file that says whose a data folder is, in which format, and where its data is if it was moved away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from dccd.domain.errors import DataFolderUnusable
from dccd.storage.fs import FileSystem

FORMAT = 1


class Marker(NamedTuple):
    """What a data folder says of itself."""

    format: int
    moved_to: Path | None = None


def read_marker(fs: FileSystem, path: Path) -> Marker | None:
    """The marker at `path`, None when there is none.

    Raises
    ------
    DataFolderUnusable
        It is there and cannot be read.
    """
    try:
        file = fs.open(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DataFolderUnusable(f"{path} cannot be read ({error.strerror}).") from error
    try:
        said = json.loads(file.read_at(0, 1 << 16))
        moved_to = said.get("moved_to")
        return Marker(int(said["format"]), None if moved_to is None else Path(moved_to))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Marker(FORMAT)  # torn by a power cut in its first second: the name alone says whose it is
    finally:
        file.close()


def write_marker(fs: FileSystem, path: Path, moved_to: Path | None = None) -> None:
    """Write the marker, or replace it in one step; durable when this returns."""
    said: dict[str, Any] = {"program": "dccd-desktop", "format": FORMAT}
    if moved_to is not None:
        said["moved_to"] = str(moved_to)
    fresh = path.with_name(f"{path.name}.new")
    fs.remove(fresh)
    file = fs.create(fresh)
    try:
        file.append(json.dumps(said).encode())
        file.sync()
    finally:
        file.close()
    fs.replace(fresh, path)
    fs.sync_folder(path.parent)
