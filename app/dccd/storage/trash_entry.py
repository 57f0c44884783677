"""What lies in the trash: a folder a deletion, with a manifest that says what was deleted.

The manifest's name says how far things are: `unfinished.json` while files go in or come back (a crash then
is answered by putting back what is there), `deleted.json`, and `emptied.json` from when it is for good.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import CorruptFile, DccdError
from dccd.storage.coverage_db import What
from dccd.storage.footer import FileInfo
from dccd.storage.fs import FileSystem
from dccd.storage.layout import Layout

PART = "manifest.part"  # being written
_FORMAT = 1


class State(StrEnum):
    """How far a deletion is; the manifest's name without its suffix."""

    UNFINISHED = "unfinished"
    DELETED = "deleted"
    EMPTIED = "emptied"


@dataclass(frozen=True, slots=True)
class TrashEntry:
    """A deleted dataset.

    Attributes
    ----------
    deleted_ns : int
        When it was.
    files, rows, size_bytes : int
    start_ns, end_ns : int or None
        Timestamps of the first and the last row, both inclusive; None without rows.
    """

    id: str
    dataset: DatasetId
    deleted_ns: int
    files: int
    rows: int
    size_bytes: int
    start_ns: int | None
    end_ns: int | None


class Record(NamedTuple):
    """What the coverage database said of the dataset."""

    what: What
    cause: str
    intervals: IntervalSet


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that it takes to put a dataset back.

    Attributes
    ----------
    hashes : mapping of str to str
        By file name, the hash of its data as its footer says it.
    journals : mapping of str to int
        By journal (hex UUID) the last frame at the time: those of the dataset up to there are in the files.
    epoch : int
        The greatest of the dataset; what is stored after the deletion is not from before it.
    """

    entry: TrashEntry
    hashes: Mapping[str, str]
    records: tuple[Record, ...]
    journals: Mapping[str, int]
    epoch: int = 0

    def encode(self) -> bytes:
        """JSON with a CRC of the rest of it."""
        entry = self.entry
        body = json.dumps(
            {
                "format": _FORMAT,
                "dataset": str(entry.dataset),
                "deleted_ns": entry.deleted_ns,
                "rows": entry.rows,
                "size_bytes": entry.size_bytes,
                "bounds": [entry.start_ns, entry.end_ns],
                "files": dict(self.hashes),
                "records": [[what.value, cause, [*intervals]] for what, cause, intervals in self.records],
                "journals": dict(self.journals),
                "epoch": self.epoch,
            }
        )
        return f'{{"crc32": {zlib.crc32(body.encode())}, "manifest": {body}}}\n'.encode()

    @classmethod
    def decode(cls, name: str, text: bytes) -> Manifest:
        """Read what :meth:`encode` wrote.

        Raises
        ------
        CorruptFile
            It is not that, or a newer program's.
        """
        try:
            head, _, rest = text.rstrip().partition(b', "manifest": ')
            if head != f'{{"crc32": {zlib.crc32(rest[:-1])}'.encode():
                raise CorruptFile("it fails its checksum")
            body = json.loads(rest[:-1])
            if body["format"] > _FORMAT:
                raise CorruptFile(f"it was written by a newer program (format {body['format']})")
            entry = TrashEntry(
                name,
                DatasetId.parse(body["dataset"]),
                body["deleted_ns"],
                len(body["files"]),
                body["rows"],
                body["size_bytes"],
                *body["bounds"],
            )
            records = (
                Record(What(what), cause, IntervalSet(tuple(item) for item in items))
                for what, cause, items in body["records"]
            )
            return cls(entry, body["files"], tuple(records), body["journals"], body.get("epoch", 0))
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptFile(f"it cannot be read ({error})") from error
        except DccdError as error:
            raise CorruptFile(str(error)) from error


class Found(NamedTuple):
    """A folder of the trash.

    Attributes
    ----------
    state : State or None
        None: it has no manifest, nothing was moved into it yet.
    manifest : Manifest or None
        None: there is none, or it cannot be read.
    """

    folder: Path
    state: State | None
    manifest: Manifest | None


def look(fs: FileSystem, layout: Layout) -> list[Found]:
    """All folders of the trash, the oldest first."""
    return [
        _look_into(fs, layout.trash / name)
        for name in sorted(entry.name for entry in fs.entries(layout.trash) if entry.is_folder)
    ]


def write_manifest(fs: FileSystem, folder: Path, manifest: Manifest, state: State = State.UNFINISHED) -> None:
    """Write an entry's manifest, durably, in the place of the one that it has; makes the folder."""
    fs.make_folder(folder)
    part = folder / PART
    fs.remove(part)
    file = fs.create(part)
    try:
        file.append(manifest.encode())
        file.sync()
    finally:
        file.close()
    fs.replace(part, _path(folder, state))
    fs.sync_folder(folder)


def enter(fs: FileSystem, folder: Path, before: State, after: State) -> None:
    """Note how far the deletion is; durable when this returns."""
    fs.replace(_path(folder, before), _path(folder, after))
    flush(fs, folder, after)


def flush(fs: FileSystem, folder: Path, state: State) -> None:
    """Make durable what was renamed into the folder: NTFS does it when a file is synced."""
    file = fs.open(_path(folder, state), write=True)
    try:
        file.sync()
    finally:
        file.close()
    fs.sync_folder(folder)


def leave(fs: FileSystem, folder: Path, state: State) -> None:
    """Remove an entry whose files are gone from it."""
    fs.remove(_path(folder, state))
    fs.remove(folder / PART)
    fs.sync_folder(folder)
    fs.remove_folder(folder)


class Buried:
    """What the trash knows that a start must not dig up again."""

    def __init__(self, found: Iterable[Found] = ()) -> None:
        manifests = [each.manifest for each in found if each.manifest is not None]
        self._hashes = {
            (f"{manifest.entry.dataset.folder}/{name}", sha256)
            for manifest in manifests
            for name, sha256 in manifest.hashes.items()
        }
        self._frames: dict[tuple[DatasetId, str], int] = {}
        for manifest in manifests:
            for journal, seq in manifest.journals.items():
                key = manifest.entry.dataset, journal
                self._frames[key] = max(seq, self._frames.get(key, 0))

    def holds(self, info: FileInfo) -> bool:
        """Whether a file that is gone from its place was deleted."""
        return (info.path, info.sha256) in self._hashes

    def has_frame(self, dataset: DatasetId, journal_id: str, seq: int) -> bool:
        """Whether a page that is still in a journal was deleted with its dataset."""
        return seq <= self._frames.get((dataset, journal_id), 0)


def _path(folder: Path, state: State) -> Path:
    return folder / f"{state}.json"


def _look_into(fs: FileSystem, folder: Path) -> Found:
    names = {entry.name for entry in fs.entries(folder)}
    state = next((state for state in State if f"{state}.json" in names), None)
    if state is None:
        return Found(folder, None, None)
    try:
        file = fs.open(_path(folder, state))
    except FileNotFoundError:  # restored, emptied or further since
        return Found(folder, None, None)
    try:
        return Found(folder, state, Manifest.decode(folder.name, file.read_at(0, file.size)))
    except CorruptFile:
        return Found(folder, state, None)
    finally:
        file.close()
