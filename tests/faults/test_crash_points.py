"""The power cut, and the process killed, at every call that changes the disk; and again in the recovery.

By default some points are tried, the same at each run. `DCCD_CRASH_POINTS=all` tries every call of the story,
and after each every call of the recovery; `DCCD_CRASH_SEEDS=4` tries each four times, with other losses.
"""

from __future__ import annotations

import os
from functools import partial

import pytest

from tests.faults.judge import judge
from tests.faults.ledger import Ledger
from tests.faults.loss import Loss
from tests.faults.simdisk import SimDisk
from tests.faults.story import live
from tests.faults.sweeps import calls_of_life, crashes_in_life, crashes_in_recovery
from tests.faults.tally import Tally

ALL = os.environ.get("DCCD_CRASH_POINTS") == "all"
SEEDS = range(int(os.environ.get("DCCD_CRASH_SEEDS", "1")))

modes = pytest.mark.parametrize("ntfs", [False, True], ids=["posix", "ntfs"])
losses = pytest.mark.parametrize("loss", Loss)


@modes
@losses
def test_every_call_may_be_the_last(loss: Loss, ntfs: bool) -> None:
    disks = partial(SimDisk, ntfs=ntfs)
    calls = calls_of_life(disks)
    if not ALL:
        calls = calls[[*Loss].index(loss) * 6 :: 40]
    tally = Tally(f"crash at a call of a life, {loss}", "ntfs" if ntfs else "posix")
    tally.add_all(crashes_in_life(disks, loss, calls, SEEDS))
    tally.check(at_least=7)


@modes
@losses
def test_recovery_may_be_cut_short_too(loss: Loss, ntfs: bool) -> None:
    disks = partial(SimDisk, ntfs=ntfs)
    calls = calls_of_life(disks)
    if not ALL:
        calls = calls[5 + [*Loss].index(loss) * 23 :: 200]
    tally = Tally(f"crash in a life, then in its recovery, {loss}", "ntfs" if ntfs else "posix")
    tally.add_all(crashes_in_recovery(disks, loss, calls, 1 if ALL else 16, SEEDS))
    tally.check(at_least=2)


@modes
def test_a_disk_that_loses_nothing_passes(ntfs: bool) -> None:
    disk, ledger = SimDisk(ntfs=ntfs), Ledger()
    live(disk, ledger)
    judge(disk.after_crash(Loss.ALL, 0), ledger, power_cut=True)
