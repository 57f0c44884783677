"""What is held of each dataset, at a glance: from files, journals and the coverage database, in memory."""

from __future__ import annotations

import threading
from operator import attrgetter

from dccd.domain.dataset import DatasetId
from dccd.domain.errors import UnknownDataset
from dccd.domain.timeutils import US_NS
from dccd.storage.catalog import Catalog
from dccd.storage.coverage_db import CoverageDb, What
from dccd.storage.file_faults import FileFaults
from dccd.storage.footer import FileInfo
from dccd.storage.frames import Frame
from dccd.storage.info import Coverage, DatasetInfo, bytes_per_day, find_gaps
from dccd.storage.unpublished import Unpublished


class Holdings:
    """Coverage and glances of all datasets; a glance is remembered until the dataset changes. Thread-safe.

    What is published goes from journals to the coverage database or to files, and is noted in the new place
    before it leaves the old one. All is asked in that order, so that it is never missed on its way.
    """

    def __init__(
        self, catalog: Catalog, coverage: CoverageDb, faults: FileFaults, unpublished: Unpublished
    ) -> None:
        self._catalog, self._coverage, self._faults = catalog, coverage, faults
        self._unpublished = unpublished
        self._mutex = threading.Lock()
        self._infos: dict[DatasetId, DatasetInfo] = {}
        self._changes = 0

    def datasets(self) -> list[DatasetId]:
        """All datasets of which anything is known, by id."""
        known = {*self._unpublished.datasets(), *self._coverage.datasets(), *self._catalog.datasets()}
        return sorted(known | self._faults.datasets, key=str)

    def require(self, dataset: DatasetId) -> None:
        """Refuse a dataset of which nothing is known.

        Raises
        ------
        UnknownDataset
        """
        if not (
            self._unpublished.knows(dataset)
            or self._coverage.knows(dataset)
            or self._catalog.files(dataset)
            or dataset in self._faults.datasets
        ):
            raise UnknownDataset(f"Nothing is stored of {dataset}. {self._instead(dataset)}")

    def _instead(self, dataset: DatasetId) -> str:
        name = attrgetter("exchange", "symbol", "data_type")
        same = [known for known in self.datasets() if name(known) == name(dataset)]
        spans = sorted({known.span for known in same if known.span is not None})
        if spans:
            return f"There are {', '.join(map(str, spans))}: name one of them with --span."
        depths = sorted({known.depth for known in same if known.depth is not None})
        if depths:
            return f"There are depths {', '.join(map(str, depths))}: name one of them with --depth."
        return "The inventory lists what is stored."

    def coverage(self, dataset: DatasetId) -> Coverage:
        """What was fetched whole and is believed, asked for, and known to be absent."""
        covered, replaced = self._unpublished.covered(dataset), self._unpublished.replaced(dataset)
        # A doubt is forgotten once a file has what answers it; a page that has it is believed before.
        doubted = self._coverage.get(dataset, What.DOUBTED) - replaced
        covered |= self._coverage.get(dataset, What.EMPTY)
        covered |= self._catalog.covered(dataset)
        return Coverage(
            covered - doubted,
            self._coverage.get(dataset, What.ASKED),
            self._coverage.get(dataset, What.ABSENT),
        )

    def info(self, dataset: DatasetId) -> DatasetInfo:
        """A dataset at a glance.

        Raises
        ------
        UnknownDataset
        """
        self.require(dataset)
        with self._mutex:
            found, changes = self._infos.get(dataset), self._changes
        if found is None:
            found = self._describe(dataset)
            with self._mutex:
                if changes == self._changes:  # else it may be out of date already
                    self._infos[dataset] = found
        return found

    def changed(self, dataset: DatasetId | None = None) -> None:
        """Forget what was remembered of a dataset, or of all."""
        with self._mutex:
            if dataset is None:
                self._infos.clear()
            else:
                self._infos.pop(dataset, None)
            self._changes += 1

    def _describe(self, dataset: DatasetId) -> DatasetInfo:
        coverage = self.coverage(dataset)
        # Frames first; what is published between the two lines is in both, and its file says so.
        due, infos = self._unpublished.due_rows(dataset), self._catalog.files(dataset)
        files = {info.period: info for info in infos}
        bounds = [(info.first_ns, info.last_ns) for info in infos if info.rows]
        pending = 0
        for frame, by_period in due:
            rows = sum(n for period, n in by_period.items() if not _is_in(frame, files.get(period)))
            if rows:
                pending += rows
                bounds.append((frame.min_us * US_NS, frame.max_us * US_NS))
        return DatasetInfo(
            dataset,
            sum(info.rows for info in infos) + pending,
            sum(info.size_bytes for info in infos),
            min((first for first, _ in bounds), default=None),
            max((last for _, last in bounds), default=None),
            len(infos),
            coverage.covered,
            coverage.asked,
            coverage.absent,
            find_gaps(coverage, self._faults.missed(dataset)),
            max((info.mtime_ns for info in infos), default=0),
            bytes_per_day(infos),
        )


def _is_in(frame: Frame, info: FileInfo | None) -> bool:
    """Whether a file has what the frame has for its period."""
    return info is not None and info.footer.applied.get(frame.journal.id, 0) >= frame.seq
