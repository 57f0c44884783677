"""Sweeps over the calls that change a simulated disk: each may be the last before the power goes."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from tests.faults.judge import Found, Verdict, verdict_on
from tests.faults.ledger import Ledger
from tests.faults.loss import Loss
from tests.faults.mutants import Mutant
from tests.faults.simdisk import SimDisk
from tests.faults.story import FOLDER, live, recover

_MANY = 1_000_000  # calls, more than any recovery makes
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
    for left in _left_by_life(disks, loss, calls, seeds):
        yield Crashed(left.where, _look(left, loss))


def crashes_in_recovery(
    disks: Disks, loss: Loss, calls: Iterable[int], every: int, seeds: Iterable[int] = (0,)
) -> Iterator[Crashed]:
    """Crash the story at each call, and its recovery at every so many of its own.

    From call to call the recovery's first one moves on by one, so that calls at any place are tried.
    """
    for number, first in enumerate(_left_by_life(disks, loss, calls, seeds)):
        for second in _left_by(
            recover, first.disk, first.ledger, loss, range(1 + number % every, _MANY, every)
        ):
            yield Crashed(f"{first.where}; then in recovery: {second.where}", _look(second, loss))


def found_wrong(mutant: Mutant, loss: Loss, *, ntfs: bool) -> Crashed | None:
    """The first crash in the story that shows that a mutant is wrong, None when none does."""
    disks = partial(mutant.disk, ntfs=ntfs)
    with mutant.code():
        every = _left_by_life(disks, loss, calls_of_life(disks), (0,))
        for start in range(9):  # all over the story at once
            for left in every[start::9]:
                verdict = _look(left, loss)
                if verdict.faults:
                    return Crashed(left.where, verdict)
    return None


class _Left(NamedTuple):
    """A disk after a crash, and the ledger at that moment."""

    where: str
    disk: SimDisk
    ledger: Ledger


def _left_by_life(disks: Disks, loss: Loss, calls: Iterable[int], seeds: Iterable[int]) -> list[_Left]:
    return _left_by(live, disks(), Ledger(), loss, {*calls}, seeds)


def _left_by(
    work: Callable[[SimDisk, Ledger], None],
    disk: SimDisk,
    ledger: Ledger,
    loss: Loss,
    calls: Container[int],
    seeds: Iterable[int] = (0,),
) -> list[_Left]:
    """Let work be done, and say what a crash at each of some calls would have left."""
    found: list[_Left] = []

    def at_call() -> None:
        if disk.calls in calls:
            for seed in seeds:
                where = f"{disk.log[-1]!r}, call {disk.calls}, {loss}, seed {seed}"
                left = disk.after_crash(loss, disk.calls + seed * 1_000_003)
                found.append(_Left(where, left, ledger.copied()))

    disk.at_call = at_call
    work(disk, ledger)
    return found


def _look(left: _Left, loss: Loss) -> Verdict:
    return verdict_on(Found(left.disk, FOLDER, left.disk.files), left.ledger, power_cut=loss.power_cut)
