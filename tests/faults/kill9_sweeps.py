"""Sweeps of kill -9 over the calls of a data folder's life, and of its recovery."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.faults.judge import Found, verdict_on
from tests.faults.kill9 import Killer, Point
from tests.faults.ledger import Ledger
from tests.faults.mutants import Mutant
from tests.faults.sweeps import Crashed
from tests.faults.tally import Tally


def calls_of_life(killer: Killer, room: Path) -> list[Point]:
    """Every call of the story that touches its folder."""
    run = killer.run("story", room / "whole")
    assert run.done, "the story did not come to its end"
    return run.points


def killed_in_life(killer: Killer, room: Path, points: Sequence[Point]) -> Tally:
    """Kill the story at each point, and look at what is left."""
    tally = Tally("kill -9 at a system call of a life", "real")
    for point in points:
        folder = room / "folder"
        ledger = _killed(killer, "story", folder, point)
        tally.add(verdict_on(Found.on_the_real_disk(folder), ledger, power_cut=False), str(point))
        shutil.rmtree(folder)
    return tally


def killed_in_recovery(
    killer: Killer, room: Path, points: Sequence[Point], every: int, *, everything: bool = False
) -> Tally:
    """Kill the story at each point, and the recovery of what is left at some of its own.

    Parameters
    ----------
    points : sequence of Point
        Those that change the disk. Of the recovery's none else is tried: what it leaves was left before.
    every : int
        The recovery is killed at one of so many calls. From point to point the first one moves on by one, so
        that calls at any place are tried.
    everything : bool
        It is killed at each call, but where SQLite writes its pages, in the story or in the recovery: what
        they are worth half written is its business, and they take turns as said above.
    """
    tally = Tally("kill -9 in a life, then in its recovery", "real")
    left, copy = room / "left", room / "folder"
    for number, point in enumerate(points):
        ledger = _killed(killer, "story", left, point)
        _copy(left, copy)
        whole = killer.run("recovery", copy)
        assert whole.done, f"after {point} the recovery did not come to its end"
        shutil.rmtree(copy)
        calls = [call for call in whole.points if call.changes_disk]
        if everything and not point.is_database:
            pages = [call for call in calls if call.is_database]
            chosen = [call for call in calls if not call.is_database] + pages[number % every :: every]
        else:
            chosen = calls[number % every :: every]
        for second in chosen:
            _copy(left, copy)
            _killed(killer, "recovery", copy, second)
            verdict = verdict_on(Found.on_the_real_disk(copy), ledger, power_cut=False)
            tally.add(verdict, f"{point}, then {second}")
            shutil.rmtree(copy)
        shutil.rmtree(left, ignore_errors=True)
    return tally


def mutant_killed(killer: Killer, room: Path, mutant: Mutant) -> Crashed | None:
    """The first kill in the story that shows that a mutant is wrong, None when none does."""
    folder = room / "mutant"
    calls = [call for call in killer.run("story", folder, mutant=mutant.name).points if call.changes_disk]
    for start in range(9):  # all over the story at once
        for point in calls[start::9]:
            shutil.rmtree(folder)
            run = killer.run("story", folder, point, mutant.name)
            with mutant.code():
                verdict = verdict_on(Found.on_the_real_disk(folder), run.ledger, power_cut=False)
            if verdict.faults:
                return Crashed(str(point), verdict)
    return None


def _killed(killer: Killer, program: str, folder: Path, point: Point) -> Ledger:
    run = killer.run(program, folder, point)
    assert not run.done, f"{program} came to its end and was to be killed at {point}"
    return run.ledger


def _copy(source: Path, target: Path) -> None:
    if source.exists():  # else the life was killed before it made its folder
        shutil.copytree(source, target, copy_function=shutil.copy2)  # the index goes by times of change
