"""Which stored bars were made from trades, and from which: kept where files cannot hold it."""

from __future__ import annotations

from collections.abc import Mapping

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.storage.coverage_db import CoverageDb, What


class Derivations:
    """For each dataset of derived bars the time they take, by a fingerprint of what they were made from.

    What is noted holds only where the dataset is covered: it is noted before the bars are written.
    """

    def __init__(self, coverage: CoverageDb) -> None:
        self._coverage = coverage

    def of(self, dataset: DatasetId) -> dict[str, IntervalSet]:
        """Time by fingerprint."""
        return self._coverage.causes(dataset, What.DERIVED)

    def time(self, dataset: DatasetId) -> IntervalSet:
        """The same without fingerprints."""
        return IntervalSet(item for intervals in self.of(dataset).values() for item in intervals)

    def note(self, dataset: DatasetId, made: Mapping[str, IntervalSet]) -> None:
        """Record what bars are made from, in place of what was known of that time; durable at once."""
        again = IntervalSet(item for intervals in made.values() for item in intervals)
        known = {cause: intervals - again for cause, intervals in self.of(dataset).items()}
        for cause, intervals in made.items():
            known[cause] = known.get(cause, IntervalSet()) | intervals
        self._coverage.put(dataset, What.DERIVED, known)

    def forget(self, dataset: DatasetId, intervals: IntervalSet) -> None:
        """These bars are, from now on, no derived ones; durable at once."""
        known = self.of(dataset)
        self._coverage.put(dataset, What.DERIVED, {cause: each - intervals for cause, each in known.items()})
