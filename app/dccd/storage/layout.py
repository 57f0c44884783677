"""Where things lie in a data folder, and whether a folder may be used as one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from dccd.domain.dataset import DatasetId, Period
from dccd.domain.errors import DataFolderUnusable, StorageError, UsageError
from dccd.domain.timeutils import datetime_ns
from dccd.storage.fs import FileSystem, in_words
from dccd.storage.marker import FORMAT, read_marker, write_marker
from dccd.storage.reference.recognise import sign_of_reference

STATE = ".dccd"


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of a data folder."""

    data_path: Path

    @property
    def state(self) -> Path:
        """Everything that is not a period file."""
        return self.data_path / STATE

    @property
    def journals(self) -> Path:
        """Pages not yet published."""
        return self.state / "journal"

    @property
    def tmp(self) -> Path:
        """Files being written; cleared at each start."""
        return self.state / "tmp"

    @property
    def quarantine(self) -> Path:
        """What could not be read, kept."""
        return self.state / "quarantine"

    @property
    def trash(self) -> Path:
        """What was deleted and can be had back."""
        return self.state / "trash"

    @property
    def lock(self) -> Path:
        """Held by the process that works on the folder."""
        return self.state / "lock"

    @property
    def marker(self) -> Path:
        """Says that the folder is ours, and in which format."""
        return self.state / "format.json"

    def holds_data(self) -> bool:
        """Whether the folder has the marker, or the folder of a dataset."""
        return self.marker.is_file() or any(self.data_path.glob("*/exchange=*/symbol=*"))

    def dataset_in(self, folder: PurePosixPath) -> DatasetId | None:
        """The dataset whose files lie in a relative folder, None when it is no dataset's."""
        try:
            return DatasetId.from_folder(folder)
        except UsageError:
            return None

    def period_named(self, dataset: DatasetId, name: str) -> Period | None:
        """The period whose file has this name (without suffix), None when there is none."""
        digits = name.replace("T", "-").split("-")
        try:
            year, month, day, hour = (int(part) for part in (*digits, *("1", "1", "0")[len(digits) - 1 :]))
            period = dataset.period(datetime_ns(datetime(year, month, day, hour, tzinfo=UTC)))
        except ValueError:
            return None
        return period if period.name == name else None


def prepare(fs: FileSystem, layout: Layout) -> None:
    """Make sure that the folder can be worked on, making what is missing of it.

    Raises
    ------
    DataFolderUnusable
        It is a file, cannot be written to, belongs to the reference package or to a newer program.
    """
    path = layout.data_path
    with in_words(f"looking into {path}"):
        refuse_foreign(fs, layout)
    try:
        with in_words(f"preparing the data folder {path}"):
            for folder in (layout.state, layout.journals, layout.tmp, layout.quarantine):
                fs.make_folder(folder)
    except StorageError as error:
        raise DataFolderUnusable(f"{error} Choose a folder that you can write to.") from error


def mark(fs: FileSystem, layout: Layout) -> None:
    """Have a whole marker, where it is missing, damaged or of an older program; for who holds the lock.

    Raises
    ------
    StorageError
        The disk refused.
    """
    with in_words(f"marking the data folder {layout.data_path}"):
        marker = read_marker(fs, layout.marker)
        if marker is None or not marker.sealed:
            write_marker(fs, layout.marker)


def refuse_file(fs: FileSystem, path: Path) -> None:
    """Check that a path is a folder, or may become one.

    Raises
    ------
    DataFolderUnusable
        It is a file or lies below one.
    """
    for place in (path, *path.parents):
        found = fs.stat(place)
        if found is None:
            continue
        if not found.is_folder:
            below = "" if place == path else f"{path} cannot be a folder: "
            raise DataFolderUnusable(f"{below}{place} is a file, not a folder. Choose a folder for the data.")
        break


def refuse_foreign(fs: FileSystem, layout: Layout) -> None:
    """Check, touching nothing, that the folder is not another program's.

    Raises
    ------
    DataFolderUnusable
        It is a file or lies below one, belongs to the reference package or to a newer program, or its data
        was moved away.
    """
    path = layout.data_path
    refuse_file(fs, path)
    marker = read_marker(fs, layout.marker)
    if marker is not None and marker.format > FORMAT:
        raise DataFolderUnusable(
            f"{path} was written by a newer version of this program (format {marker.format}). Update it."
        )
    if marker is not None and marker.moved_to is not None:
        raise DataFolderUnusable(f"The data of {path} was moved to {marker.moved_to}. Use that folder.")
    if marker is None and (sign := sign_of_reference(path)) is not None:
        raise DataFolderUnusable(
            f"{path} belongs to the dccd 3 package ({sign}). Nothing was changed. Choose another folder for "
            f"this program, and take that data over into it: dccd adopt {path}"
        )
