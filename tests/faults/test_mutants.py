"""The crash tests notice code that is wrong: each mutant fails the sweep of the test that is named.

By default the plainest kind of loss that shows it is tried of each, with `DCCD_CRASH_POINTS=all` every kind.
Those that kill -9 shows are run on a real disk as well, in `test_kill9_syscalls.py`.
"""

from __future__ import annotations

import os
import sys

import pytest

from tests.faults.loss import Loss
from tests.faults.mutants import MUTANTS, Mutant
from tests.faults.sweeps import found_wrong

ALL = os.environ.get("DCCD_CRASH_POINTS") == "all"

CASES = [
    pytest.param(mutant, loss, ntfs, id=f"{mutant.name}-{loss}-{'ntfs' if ntfs else 'posix'}")
    for mutant in MUTANTS
    for ntfs in (False, True)
    for loss in mutant.shown_by[: None if ALL else 1]
    if not (ntfs and mutant.ntfs)
]


@pytest.mark.parametrize(("mutant", "loss", "ntfs"), CASES)
def test_a_mutant_is_caught(
    mutant: Mutant, loss: Loss, ntfs: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    crashed = found_wrong(mutant, loss, ntfs=ntfs)
    assert crashed is not None, f"nobody would notice: {mutant.name}"
    mode = "ntfs" if ntfs else "posix"
    with capsys.disabled():
        named = f"test_every_call_may_be_the_last[{loss}-{mode}]"
        sys.stdout.write(f"\n{mutant.name}: caught by {named}, {crashed.where}\n")
