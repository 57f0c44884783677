"""Moving a data folder: copied and checked while work goes on, switched over while it stands still.

On one volume names are moved, from one to another bytes: each file is copied, read back and compared before
the old one is touched. The step that decides is one rename: the old folder's marker, which then says where
its data is. Before it the old folder is the data folder, whole; after it the new one is, and opening that
finishes what was interrupted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from dccd.domain.errors import DataFolderUnusable, DiskFull
from dccd.storage.copy_tree import STAYS, TreeCopy, data_files
from dccd.storage.fs import FileSystem, RealFileSystem, in_words
from dccd.storage.layout import STATE, Layout, refuse_file, refuse_foreign
from dccd.storage.marker import read_marker, write_marker
from dccd.storage.room import SPARE_BYTES

Told = Callable[[int, int], None]


class Relocation:
    """One move of a data folder.

    Parameters
    ----------
    source, target : Path
        The folder as it is, and where it is to be; the target is made, must be empty, or hold what an earlier
        attempt at this move left.
    """

    def __init__(self, source: Path, target: Path, fs: FileSystem | None = None) -> None:
        self.source, self.target = source, target
        self._fs = fs or RealFileSystem()
        self._copy = TreeCopy(self._fs, source, target)

    def check(self) -> None:
        """Refuse a place that cannot work, changing nothing.

        Raises
        ------
        DataFolderUnusable
            The target is in use, not empty, inside the folder itself or around it.
        DiskFull
            It lies on another volume, which has too little room.
        """
        source, target = self.source.resolve(), self.target.resolve()
        if source == target:
            raise DataFolderUnusable(f"The data is in {self.target} already.")
        if source.is_relative_to(target) or target.is_relative_to(source):
            raise DataFolderUnusable(
                f"{self.target} and {self.source} lie one inside the other. Choose a folder apart from it."
            )
        with in_words(f"looking into {self.target}"):
            layout = Layout(self.target)
            refuse_file(self._fs, self.target)
            if not (_is_empty(self._fs, layout) or _begun(self.target) == source):
                refuse_foreign(self._fs, layout)
                raise DataFolderUnusable(f"{self.target} is not empty. Choose an empty folder, or a new one.")
            if not self.is_one_volume():
                self._require_room()

    def is_one_volume(self) -> bool:
        """Whether the folder can be renamed instead of copied."""
        place = self.target
        while not place.exists():
            place = place.parent
        return place.stat().st_dev == self.source.stat().st_dev

    def copy(self, told: Told, stopped: Callable[[], bool]) -> int:
        """Do beforehand what can be done while the program works on the folder; see :meth:`TreeCopy.copy`.

        Returns
        -------
        int
            Bytes that were written; 0 on one volume.
        """
        if self.is_one_volume():
            return 0
        with in_words(f"copying the data folder to {self.target}"):
            self._begin()
            return self._copy.copy(told, stopped)

    def finish(self) -> None:
        """Make the target the data folder; nobody may work on the old one meanwhile.

        When this returns, the target is whole and durable, and the old folder says where its data went.

        Raises
        ------
        DiskFull, StorageError
            The old folder is as it was, and stays the data folder.
        """
        with in_words(f"moving the data folder to {self.target}"):
            self._begin()
            if not self.is_one_volume():
                self._copy.copy(lambda *_: None, lambda: False)
                self._copy.prune()
            write_marker(self._fs, Layout(self.source).marker, moved_to=self.target)
            try:
                self.complete()
            except BaseException:
                self._take_back()
                raise

    def complete(self) -> None:
        """What is left to do once the old folder's marker names the target; may be done again."""
        if self.is_one_volume():
            _move_names(self._fs, self.source, self.target)
        write_marker(self._fs, Layout(self.target).marker)
        _remove(self._fs, _under_way(self.target))

    def undo(self) -> None:
        """Make the old folder the data folder again, after :meth:`finish` and before :meth:`clean`.

        Nobody may work on the new one. What was copied to another volume stays there, for the next attempt.

        Raises
        ------
        DiskFull, StorageError
            Opening the new folder finishes the move.
        """
        with in_words(f"moving the data folder back to {self.source}"):
            self._begin()
            self._take_back()

    def _take_back(self) -> None:
        """Undo the deciding step: another program held something open (Windows)."""
        if self.is_one_volume():
            _move_names(self._fs, self.target, self.source)
        write_marker(self._fs, Layout(self.source).marker)

    def clean(self) -> None:
        """Remove the old folder's files, once the new folder has been opened; its marker stays.

        Raises
        ------
        StorageError
            Some could not be removed; they harm nothing.
        """
        with in_words(f"removing what is left in {self.source}"):
            for path, _ in list(data_files(self._fs, self.source)):
                self._fs.remove(self.source / path)
            for folder, _, _ in os.walk(self.source, topdown=False):
                if not any(Path(folder).iterdir()):
                    Path(folder).rmdir()

    def _begin(self) -> None:
        """Mark the target as the beginning of this move."""
        if _begun(self.target) != self.source.resolve():
            self._fs.make_folder(self.target / STATE)
            self._fs.remove(Layout(self.target).marker)
            self._fs.remove(_under_way(self.target))
            file = self._fs.create(_under_way(self.target))
            try:
                file.append(json.dumps({"from": str(self.source.resolve())}).encode())
                file.sync()
            finally:
                file.close()
            self._fs.sync_folder(self.target / STATE)

    def _require_room(self) -> None:
        place = self.target
        while not place.exists():
            place = place.parent
        needed = sum(entry.size for _, entry in data_files(self._fs, self.source)) + SPARE_BYTES
        needed -= sum(entry.size for _, entry in data_files(self._fs, self.target))
        free = self._fs.usage(place).free_bytes
        if free < needed:
            raise DiskFull(
                f"{self.target} has {free / 1e9:.1f} GB free; the data and some to spare is "
                f"{needed / 1e9:.1f} GB."
            )


def _is_empty(fs: FileSystem, layout: Layout) -> bool:
    """Whether a folder holds nothing, or but the marker that its data was moved away."""
    if not fs.entries(layout.data_path):
        return True
    marker = read_marker(fs, layout.marker)
    return marker is not None and marker.moved_to is not None and not any(data_files(fs, layout.data_path))


def _under_way(target: Path) -> Path:
    return target / STATE / "moving.json"


def _begun(target: Path) -> Path | None:
    """The folder that is being moved to `target`, None when none is."""
    try:
        return Path(json.loads(_under_way(target).read_bytes())["from"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def finish_interrupted(fs: FileSystem, target: Path) -> None:
    """Finish a move to `target` that was decided and then interrupted; part of opening a folder.

    Raises
    ------
    DataFolderUnusable
        The move was not decided: the data is where it was, and here is part of a copy.
    """
    source = _begun(target)
    if source is None:
        return
    marker = read_marker(fs, Layout(source).marker)
    if marker is None or marker.moved_to is None or marker.moved_to.resolve() != target.resolve():
        raise DataFolderUnusable(
            f"{target} holds part of a copy of {source}, made to move the data there. Finish that move, or "
            f"delete {target} to drop the copy."
        )
    Relocation(source, target, fs).complete()


def _move_names(fs: FileSystem, source: Path, target: Path) -> None:
    """Rename all that makes up the data from one folder of a volume to another."""
    for folder in (PurePosixPath(), PurePosixPath(STATE)):
        for entry in fs.entries(source / folder):
            if entry.name in ({STATE} if folder == PurePosixPath() else STAYS):
                continue
            _clear_the_way(target / folder / entry.name)
            fs.replace(source / folder / entry.name, target / folder / entry.name)
        fs.sync_folder(target / folder)
        fs.sync_folder(source / folder)


def _clear_the_way(path: Path) -> None:
    """Empty folders that another system refuses to rename over."""
    if path.is_dir():
        for folder, _, _ in os.walk(path, topdown=False):
            Path(folder).rmdir()


def _remove(fs: FileSystem, path: Path) -> None:
    fs.remove(path)
    fs.sync_folder(path.parent)
