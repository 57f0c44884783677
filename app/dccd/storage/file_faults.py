"""What is done about a period file that is not as it was: put aside, gone, or not to be read just now.

What it held becomes a gap with its cause, recorded durably first. Where even that cannot be recorded (a
full disk) it is a gap in memory, and the next start finds the same again. Nothing here stops the rest.
"""

from __future__ import annotations

import logging
import threading
from pathlib import PurePosixPath
from typing import NamedTuple

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import CorruptFile, StorageError
from dccd.domain.gaps import GapCause
from dccd.storage.coverage_db import CoverageDb, What
from dccd.storage.footer import FileInfo
from dccd.storage.layout import Layout
from dccd.storage.quarantine import Problem, Quarantine

_log = logging.getLogger(__name__)


class RefusedFile(StorageError):
    """A period file is there, and can neither be read nor be put aside now: nothing may take its place."""


class _ForNow(NamedTuple):
    """A gap that only this process knows of."""

    dataset: DatasetId | None
    missing: IntervalSet
    cause: GapCause
    problem: Problem


class FileFaults:
    """Faults of period files, told and recorded. Thread-safe."""

    def __init__(self, layout: Layout, quarantine: Quarantine, coverage: CoverageDb) -> None:
        self._layout, self._quarantine, self._coverage = layout, quarantine, coverage
        self._mutex = threading.Lock()
        self._for_now: dict[str, _ForNow] = {}

    @property
    def problems(self) -> list[Problem]:
        """What holds for now."""
        with self._mutex:
            return list(dict.fromkeys(item.problem for item in self._for_now.values()))

    @property
    def datasets(self) -> set[DatasetId]:
        """Those of which something is missing for now."""
        with self._mutex:
            return {item.dataset for item in self._for_now.values() if item.dataset is not None}

    def forget(self) -> None:
        """Forget what held for now: everything is about to be looked at again."""
        with self._mutex:
            self._for_now.clear()

    def missed(self, dataset: DatasetId) -> dict[str, IntervalSet]:
        """What of a dataset was lost or is doubted, by cause."""
        found = self._coverage.missed(dataset)
        with self._mutex:
            for item in self._for_now.values():
                if item.dataset == dataset:
                    cause = item.cause.value
                    found[cause] = found.get(cause, IntervalSet()) | item.missing
        return found

    def damaged(self, path: str, error: CorruptFile, known: FileInfo | None) -> None:
        """Put a file aside that is damaged itself.

        Raises
        ------
        RefusedFile
            It could not be, and stays where it is; its time is a gap for now.
        """
        dataset, held = self._held(path, known)
        try:
            if dataset is not None:
                self._coverage.add(dataset, What.LOST, held, GapCause.PUT_ASIDE.value)
            missing = (dataset, held) if dataset is not None and held else None
            self._quarantine.move(self._layout.data_path / path, str(error), missing)
        except StorageError as refusal:
            text = f"{error} It could not be put aside: {refusal}"
            self._note(path, known, GapCause.PUT_ASIDE, text)
            raise RefusedFile(text) from refusal
        self.well(path)

    def refused(self, path: str, error: OSError, known: FileInfo | None) -> RefusedFile:
        """Take note of a file that the system will not have read now; it stays where it is.

        Returns
        -------
        RefusedFile
            The same in words, to raise where the file is needed.
        """
        text = (
            f"{path} cannot be read now ({error.strerror or error}). It was left as it is; its time counts "
            "as missing until it can be. Check its permissions and the disk."
        )
        self._note(path, known, GapCause.UNREADABLE, text)
        return RefusedFile(text)

    def shut(self, folder: str, error: OSError, below: list[FileInfo]) -> None:
        """Take note of a folder that cannot be listed now, with what was known of the files below it."""
        text = (
            f"The folder {folder} cannot be read now ({error.strerror or error}). What lies in it was left "
            "as it is, and counts as missing until it can be. Check its permissions and the disk."
        )
        _log.warning("%s", text)
        missing: dict[DatasetId | None, IntervalSet] = {None: IntervalSet()}
        for info in below:
            dataset = info.footer.dataset
            missing[dataset] = missing.get(dataset, IntervalSet()) | info.footer.covered
        with self._mutex:
            for each, intervals in missing.items():
                self._for_now[f"{folder}/{each}"] = _ForNow(
                    each, intervals, GapCause.UNREADABLE, Problem(text)
                )

    def gone(self, dataset: DatasetId, missing: IntervalSet, path: str) -> bool:
        """Record that a file, or a part of what it held, is gone; whether that is durable."""
        try:
            self._coverage.add(dataset, What.LOST, missing, GapCause.FILE_GONE.value)
        except StorageError as error:
            _log.warning("recording that %s is gone failed: %s", path, error)
            problem = Problem(f"{path} is gone, which could not be recorded: {error}")
            with self._mutex:
                self._for_now[path] = _ForNow(dataset, missing, GapCause.FILE_GONE, problem)
            return False
        return True

    def back(self, dataset: DatasetId, covered: IntervalSet) -> None:
        """Take note of files that are there (again): what they cover is lost no more."""
        if self._coverage.get(dataset, What.LOST) & covered:
            try:
                self._coverage.remove(dataset, What.LOST, covered)
            except StorageError as error:
                _log.warning("recording that files of %s are back failed: %s", dataset, error)

    def well(self, path: str) -> None:
        """Take note that nothing is wrong with a file any more."""
        with self._mutex:
            self._for_now.pop(path, None)

    def _note(self, path: str, known: FileInfo | None, cause: GapCause, text: str) -> None:
        dataset, held = self._held(path, known)
        _log.warning("%s", text)
        with self._mutex:
            self._for_now[path] = _ForNow(dataset, held, cause, Problem(text))

    def _held(self, path: str, known: FileInfo | None) -> tuple[DatasetId | None, IntervalSet]:
        """What a file held or was to hold, as far as is known."""
        place = PurePosixPath(path)
        dataset = self._layout.dataset_in(place.parent)
        if dataset is None or (period := self._layout.period_named(dataset, place.stem)) is None:
            return None, IntervalSet()
        if known is not None:
            return dataset, known.footer.covered
        return dataset, self._coverage.get(dataset, What.ASKED).clip(*period.interval)
