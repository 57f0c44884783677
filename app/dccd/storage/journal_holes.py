"""What is done about the stretches of a journal that are no pages: kept aside, reported, their time a gap."""

from __future__ import annotations

from collections.abc import Callable

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import StorageError
from dccd.domain.gaps import GapCause
from dccd.storage.coverage_db import CoverageDb, What
from dccd.storage.journal import Journal
from dccd.storage.quarantine import Problem, Quarantine


def put_holes_aside(
    journal: Journal,
    quarantine: Quarantine,
    coverage: CoverageDb,
    covered: Callable[[DatasetId], IntervalSet],
) -> None:
    """Keep what is in a journal's holes, and record what they were to prove as lost, unless it is covered.

    Where the disk has no room for that, nobody is kept from the rest: the journal stays when it is published,
    and the next start tries again.
    """
    name = journal.path.name
    try:
        for dataset, lost in journal.lost.items():
            if left := lost - covered(dataset):
                coverage.add(dataset, What.LOST, left, GapCause.PUT_ASIDE.value)
        for hole in journal.holes:
            if hole.refused:  # it may be a page that can be read another time
                raise StorageError("the disk would not have them read")
            quarantine.keep(
                f"{name}@{hole.offset}",
                journal.read_hole(hole),
                f"{hole.size} bytes at {hole.offset} of the journal {name} are no whole page, and put aside.",
            )
    except StorageError as error:
        journal.leave()
        quarantine.problems.append(
            Problem(
                f"Bytes of the journal {name} that are no whole page could not be put aside ({error}). It is "
                "kept; the next start tries again.",
                journal.path,
            )
        )
