"""Print the fault table: `python -m tests.faults.table`, `--all` for every point.

Each line is a way to crash, on the simulated disk in its two modes or on the real one: how many points were
tried, and over all of them the acknowledged rows that were lost, the rows that were there twice, and the
points at which anything at all was wrong. Then the mutants, and where each was caught. The exit status says
whether all is well.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path

from tests.faults.kill9 import CHANGING, READING, started
from tests.faults.kill9_sweeps import calls_of_life, killed_in_life, killed_in_recovery, mutant_killed
from tests.faults.loss import Loss
from tests.faults.mutants import MUTANTS
from tests.faults.simdisk import SimDisk
from tests.faults.sweeps import calls_of_life as calls_on_disk
from tests.faults.sweeps import crashes_in_life, crashes_in_recovery, found_wrong
from tests.faults.tally import HEAD, Tally


def main(everything: bool) -> int:
    """Print line by line."""
    wrong = 0
    _say(HEAD)
    for tally in chain(simulated(everything), real(everything)):
        wrong += bool(tally.faults)
        _say("\n    ".join([str(tally), *tally.faults[:5]]))
    for line in mutants():
        wrong += "not caught" in line
        _say(line)
    return min(wrong, 1)


def simulated(everything: bool) -> Iterator[Tally]:
    """Power cuts, and processes that end, on the simulated disk."""
    for mode in ("posix", "ntfs"):
        disks = partial(SimDisk, ntfs=mode == "ntfs")
        calls = calls_on_disk(disks)
        for number, loss in enumerate(Loss):
            tally = Tally(f"crash in a life, what was not synced: {loss}", mode)
            tally.add_all(crashes_in_life(disks, loss, calls if everything else calls[number::10]))
            yield tally
            tally = Tally(f"crash, then in its recovery, not synced: {loss}", mode)
            some = calls if everything else calls[number * 7 :: 50]
            tally.add_all(crashes_in_recovery(disks, loss, some, 1 if everything else 12))
            yield tally


def real(everything: bool) -> Iterator[Tally]:
    """Processes killed on this machine's disk, where there is strace."""
    if shutil.which("strace") is None:
        _say("no strace on PATH: nothing was killed on a real disk")
        return
    with tempfile.TemporaryDirectory() as text:
        room = Path(text)
        with started(f"{CHANGING},{READING}" if everything else CHANGING) as killer:
            calls = calls_of_life(killer, room)
            yield killed_in_life(killer, room, calls if everything else calls[::20])
            calls = [call for call in calls if call.changes_disk]
            some = calls if everything else calls[15::60]
            yield killed_in_recovery(killer, room, some, 8, everything=everything)
            for number, mutant in enumerate(MUTANTS):
                if Loss.NOTHING in mutant.shown_by:
                    crashed = mutant_killed(killer, room / str(number), mutant)
                    _say(
                        f"mutant on a real disk: {mutant.name}: {crashed.where if crashed else 'not caught'}"
                    )


def mutants() -> Iterator[str]:
    """Each mutant in each mode, and the first crash point that showed it."""
    for mutant in MUTANTS:
        for mode in ("posix", "ntfs"):
            if mode == "ntfs" and mutant.ntfs:
                yield f"mutant, ntfs: {mutant.name}: makes no sense there, {mutant.ntfs}"
                continue
            crashed = found_wrong(mutant, mutant.shown_by[0], ntfs=mode == "ntfs")
            yield f"mutant, {mode}: {mutant.name}: {f'caught, {crashed.where}' if crashed else 'not caught'}"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main("--all" in sys.argv[1:]))
