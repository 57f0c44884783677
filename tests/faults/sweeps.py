"""Sweeps over the calls that change a simulated disk: each may be the last before the power goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from tests.faults.judge import Found, Verdict, verdict_on
from tests.faults.ledger import Ledger
from tests.faults.loss import Loss
from tests.faults.mutants import Mutant
from tests.faults.simdisk import Crash, SimDisk
from tests.faults.story import FOLDER, live, recover

Disks = Callable[[], SimDisk]  # a new disk of one kind


class Crashed(NamedTuple):
    """A crash, and what was found after it."""

    where: str
    verdict: Verdict


def calls_of_life(disks: Disks) -> range:
    """The numbers of the calls that the story makes."""
    disk = disks()
    live(disk, Ledger())
    return range(1, disk.calls + 1)


def crashes_in_life(
    disks: Disks, loss: Loss, calls: Iterable[int], seeds: Iterable[int] = (0,)
) -> Iterator[Crashed]:
    """Crash the story at each call, and look at what is left."""
    for call in calls:
        disk, ledger = _interrupted(disks, call)
        for seed in seeds:
            left = disk.after_crash(loss, call + seed * 1_000_003)
            yield Crashed(f"{disk.log[-1]!r}, call {call}, {loss}, seed {seed}", _look(left, ledger, loss))


def crashes_in_recovery(
    disks: Disks, loss: Loss, calls: Iterable[int], every: int, seeds: Iterable[int] = (0,)
) -> Iterator[Crashed]:
    """Crash the story at each call, and its recovery at every so many of its own.

    From call to call the recovery's first one moves on by one, so that calls at any place are tried.
    """
    for number, call in enumerate(calls):
        disk, ledger = _interrupted(disks, call)
        for seed in seeds:
            whole = disk.after_crash(loss, call + seed * 1_000_003)
            recover(whole, ledger, FOLDER)
            for second in range(1 + (number + seed) % every, whole.calls + 1, every):
                between = disk.after_crash(loss, call + seed * 1_000_003)
                between.crash_at = second
                try:
                    recover(between, ledger, FOLDER)
                except Crash:
                    pass
                verdict = _look(between.after_crash(loss, second + seed), ledger, loss)
                yield Crashed(
                    f"call {call}, then call {second} of the recovery, {loss}, seed {seed}", verdict
                )


def found_wrong(mutant: Mutant, loss: Loss, *, ntfs: bool) -> Crashed | None:
    """The first crash in the story that shows that a mutant is wrong, None when none does."""
    disks = partial(mutant.disk, ntfs=ntfs)
    with mutant.code():
        calls = sorted(calls_of_life(disks), key=lambda call: call % 9)  # all over the story at once
        crashes = crashes_in_life(disks, loss, calls)
        return next((crashed for crashed in crashes if crashed.verdict.faults), None)


def _interrupted(disks: Disks, call: int) -> tuple[SimDisk, Ledger]:
    """The disk and the ledger at the moment of the crash."""
    disk, ledger = disks(), Ledger()
    disk.crash_at = call
    try:
        live(disk, ledger)
    except Crash:
        return disk, ledger
    raise AssertionError(f"the story makes no {call} calls")


def _look(disk: SimDisk, ledger: Ledger, loss: Loss) -> Verdict:
    return verdict_on(Found(disk, FOLDER, disk.files), ledger, power_cut=loss.power_cut)
