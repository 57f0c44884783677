"""What cannot be read is kept: moved to one folder, named after where it was, and reported."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.storage.fs import FileSystem, in_words
from dccd.storage.layout import Layout

_BESIDE = ("-wal", "-shm", "-journal")  # of a SQLite database


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a person should know of the data folder.

    Attributes
    ----------
    kept : Path or None
        Where what it is about is kept.
    missing : tuple or None
        Of which dataset it took what; it is no problem any more once that is covered again.
    """

    text: str
    kept: Path | None = None
    missing: tuple[DatasetId, IntervalSet] | None = None


class Quarantine:
    """The folder for what cannot be read: moved there, named, reported, never dropped."""

    def __init__(self, fs: FileSystem, layout: Layout, clock: Callable[[], float] = time.time) -> None:
        self._fs, self._layout, self._clock = fs, layout, clock
        self.problems: list[Problem] = []

    def move(self, path: Path, why: str, missing: tuple[DatasetId, IntervalSet] | None = None) -> None:
        """Put a file aside; `missing` is what is missing without it, see :class:`Problem`."""
        kept = self._place(path.relative_to(self._layout.data_path).as_posix())
        with in_words(f"putting {path.name} aside"):
            self._fs.replace(path, kept)
            self._fs.sync_folder(kept.parent)
            self._fs.sync_folder(path.parent)
        self.problems.append(Problem(f"{why} It was put aside.", kept, missing))

    def move_database(self, path: Path, text: str) -> None:
        """Put a SQLite database aside, with what SQLite has beside it, and tell this text of it."""
        kept = self._place(path.relative_to(self._layout.data_path).as_posix())
        with in_words(f"putting {path.name} aside"):
            for suffix in (*_BESIDE, ""):  # it last: the next one would remove what is left of it there
                part = path.with_name(path.name + suffix)
                if self._fs.stat(part) is not None:
                    self._fs.replace(part, kept.with_name(kept.name + suffix))
            self._fs.sync_folder(kept.parent)
            self._fs.sync_folder(path.parent)
        self.problems.append(Problem(text, kept))

    def keep(self, name: str, data: bytes, why: str) -> None:
        """Put bytes aside, in a file of their own; what an earlier start has kept is not kept twice."""
        known = self._kept(name, len(data))
        kept = known or self._place(name)
        if known is None:
            self._write(kept, data)
        self.problems.append(Problem(why, kept))

    def begin(self, name: str, data: bytes) -> Path:
        """Put bytes aside in a file that more will follow in; to report it is left to the caller."""
        kept = self._place(name)
        self._write(kept, data)
        return kept

    def _write(self, kept: Path, data: bytes) -> None:
        with in_words(f"putting {kept.name} aside"):
            file = self._fs.create(kept)
            try:
                file.append(data)
                file.sync()
            except BaseException:
                file.close()
                with suppress(OSError):
                    self._fs.remove(kept)
                raise
            file.close()
            self._fs.sync_folder(kept.parent)

    def _kept(self, name: str, size: int) -> Path | None:
        for entry in self._fs.entries(self._layout.quarantine):
            if entry.name.partition("-")[2] == name and entry.size == size:
                return self._layout.quarantine / entry.name
        return None

    def _place(self, name: str) -> Path:
        """A name not yet taken, which says when and where from."""
        stem = f"{int(self._clock())}-{name.replace('/', '~')}"
        taken = {entry.name for entry in self._fs.entries(self._layout.quarantine)}
        number = 0
        while (found := f"{stem}.{number}" if number else stem) in taken:
            number += 1
        return self._layout.quarantine / found
