"""The file that says whose a data folder is, in which format, and where its data is if it was moved away."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from dccd.domain.errors import DataFolderUnusable
from dccd.storage.fs import FileSystem

FORMAT = 1


class Marker(NamedTuple):
    """What a data folder says of itself.

    Attributes
    ----------
    format : int
    moved_to : Path or None
        Where its data is now.
    sealed : bool
        Its checksum says that it is as it was written.
    """

    format: int
    moved_to: Path | None = None
    sealed: bool = False


def read_marker(fs: FileSystem, path: Path) -> Marker | None:
    """The marker at `path`, None when there is none; a damaged one says by its name whose the folder is.

    Raises
    ------
    DataFolderUnusable
        The system would not have it read.
    """
    try:
        file = fs.open(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DataFolderUnusable(f"{path} cannot be read ({error.strerror}).") from error
    try:
        return _decode(file.read_at(0, 1 << 16))
    except OSError as error:
        raise DataFolderUnusable(f"{path} cannot be read ({error.strerror}).") from error
    finally:
        file.close()


def _decode(data: bytes) -> Marker:
    try:
        said = json.loads(data)
        crc, moved_to = said.pop("crc32", None), said.get("moved_to")
        if crc in (None, _crc(said)):  # None: of before there were checksums
            return Marker(int(said["format"]), None if moved_to is None else Path(moved_to), crc is not None)
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return Marker(FORMAT)


def _crc(said: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(said, sort_keys=True).encode())


def write_marker(fs: FileSystem, path: Path, moved_to: Path | None = None) -> None:
    """Write the marker, or replace it in one step; durable when this returns."""
    said: dict[str, Any] = {"program": "dccd-desktop", "format": FORMAT}
    if moved_to is not None:
        said["moved_to"] = str(moved_to)
    fresh = path.with_name(f"{path.name}.new")
    fs.remove(fresh)
    file = fs.create(fresh)
    try:
        file.append(json.dumps({**said, "crc32": _crc(said)}).encode())
        file.sync()
    finally:
        file.close()
    fs.replace(fresh, path)
    fs.sync_folder(path.parent)
