"""Sweeps over the calls that change a simulated disk: each may be the last before the power goes."""

from __future__ import annotations

import gc
import pickle
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from tests.faults.judge import Found, Seen, Verdict, compared, look, verdict_on
from tests.faults.ledger import Ledger
from tests.faults.loss import Loss
from tests.faults.mutants import Mutant
from tests.faults.simdisk import SimDisk
from tests.faults.story import DATASETS, FOLDER, live, recover

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

    From one to another the recovery's first call moves on by one, so that calls at any place are tried.
    Crashes of the story that leave the same disk are recovered from once, and what a second crash leaves is
    looked at once; each is held against all that the story had been promised.
    """
    looks = Looks(loss)
    same: defaultdict[bytes, list[Left]] = defaultdict(list)
    for left in _left_by_life(disks, loss, calls, seeds):
        others = same[left.disk.image()]
        if all(left.ledger != other.ledger for other in others):
            others.append(left)
    for number, firsts in enumerate(same.values()):
        numbers = range(1 + number % every, _MANY, every)
        for second in left_by(recover, firsts[0].disk, Ledger(), loss, numbers):
            verdicts = looks.verdicts(second.disk, [first.ledger for first in firsts])
            for first, verdict in zip(firsts, verdicts, strict=True):
                yield Crashed(f"{first.where}; then in recovery: {second.where}", verdict)
        gc.collect()  # disks refer to themselves, and Python does not know how large their databases are


class Looks:
    """Verdicts on disks. Equal disks are looked at once, and what was seen is held against a ledger once.

    Attributes
    ----------
    disks : int
        How many that were not equal have been looked at.
    """

    def __init__(self, loss: Loss) -> None:
        self._loss = loss
        self._by_image: dict[bytes, Seen] = {}
        self._alike: dict[bytes, Seen] = {}  # few things are seen on many disks
        self._verdicts: dict[tuple[int, int], tuple[Ledger, Verdict]] = {}

    @property
    def disks(self) -> int:
        return len(self._by_image)

    def verdicts(self, disk: SimDisk, ledgers: Iterable[Ledger]) -> list[Verdict]:
        """Of a disk that a recovery has left, one for each ledger; looking at it changes it."""
        image = disk.image()
        seen = self._by_image.get(image)
        if seen is None:
            seen = look(Found(disk, FOLDER, disk.files), DATASETS)
            seen = self._by_image[image] = self._alike.setdefault(pickle.dumps(seen), seen)
        return [self._compared(seen, ledger) for ledger in ledgers]

    def _compared(self, seen: Seen, ledger: Ledger) -> Verdict:
        key = id(seen), id(ledger)
        if key not in self._verdicts:  # the ledger is kept as well, lest another gets its id
            self._verdicts[key] = ledger, compared(seen, ledger, power_cut=self._loss.power_cut)
        return self._verdicts[key][1]


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


class Left(NamedTuple):
    """A disk after a crash, and the ledger at that moment."""

    where: str
    disk: SimDisk
    ledger: Ledger


def left_by(
    work: Callable[[SimDisk, Ledger], None],
    disk: SimDisk,
    ledger: Ledger,
    loss: Loss,
    calls: Container[int],
    seeds: Iterable[int] = (0,),
) -> list[Left]:
    """Let work be done, and say what a crash at each of some calls would have left, once for each seed."""
    found: list[Left] = []

    def at_call() -> None:
        if disk.calls in calls:
            for seed in seeds:
                where = f"{disk.log[-1]!r}, call {disk.calls}, {loss}, seed {seed}"
                left = disk.after_crash(loss, disk.calls + seed * 1_000_003)
                found.append(Left(where, left, ledger.copied()))

    disk.at_call = at_call
    work(disk, ledger)
    disk.at_call = lambda: None  # it would keep all that was found
    return found


def _left_by_life(disks: Disks, loss: Loss, calls: Iterable[int], seeds: Iterable[int]) -> list[Left]:
    return left_by(live, disks(), Ledger(), loss, {*calls}, seeds)


def _look(left: Left, loss: Loss) -> Verdict:
    return verdict_on(Found(left.disk, FOLDER, left.disk.files), left.ledger, power_cut=loss.power_cut)
