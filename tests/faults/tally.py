"""Counts of a sweep over crash points, a line of the fault table each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.faults.judge import Verdict
from tests.faults.sweeps import Crashed

HEAD = f"{'scenario':<58} {'mode':<8} {'points':>7} {'lost':>5} {'twice':>6} {'faults':>7}"


@dataclass
class Tally:
    """Points tried, and what was found to be wrong at them.

    Attributes
    ----------
    lost, twice : int
        Rows that were acknowledged and are gone; rows that are there too often. Over all points.
    faults : list of str
        Everything that was wrong, in words, with the point; lost and double rows included.
    """

    scenario: str
    mode: str
    points: int = 0
    lost: int = 0
    twice: int = 0
    faults: list[str] = field(default_factory=list)

    def add_all(self, crashes: Iterable[Crashed]) -> None:
        """Count all points of a sweep."""
        for where, verdict in crashes:
            self.add(verdict, where)

    def add(self, verdict: Verdict, where: str) -> None:
        """Count a point."""
        self.points += 1
        self.lost += verdict.lost
        self.twice += verdict.twice
        if verdict.faults:
            self.faults.append(f"{where}: {'; '.join(verdict.faults)}")

    def __str__(self) -> str:
        return (
            f"{self.scenario:<58} {self.mode:<8} {self.points:>7} {self.lost:>5} {self.twice:>6} "
            f"{len(self.faults):>7}"
        )

    def check(self, at_least: int) -> None:
        """Fail when anything was wrong, or when too few points were tried to say so."""
        assert not self.faults, f"{self}\n" + "\n".join(self.faults[:5])
        assert self.points >= at_least, f"only {self.points} points were tried: {self.scenario}"
