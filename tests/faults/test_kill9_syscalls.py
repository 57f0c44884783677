"""Kill -9 at every system call that touches the data folder, on a real disk, and at those of its recovery.

By default a few points are tried, the same at each run. `DCCD_CRASH_POINTS=all` tries every call of the
story, those that only read included; and, after each call that changes the disk, each such call of the
recovery. Of pairs in which SQLite writes a page one in eight is tried.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.kill9 import CHANGING, READING, Killer, started
from tests.faults.kill9_sweeps import calls_of_life, killed_in_life, killed_in_recovery, mutant_killed
from tests.faults.loss import Loss
from tests.faults.mutants import MUTANTS, Mutant
from tests.faults.tally import HEAD

ALL = os.environ.get("DCCD_CRASH_POINTS") == "all"

pytestmark = pytest.mark.needs("strace")


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    with started(f"{CHANGING},{READING}" if ALL else CHANGING) as killer:
        yield killer


def show(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")


def test_killed_at_any_system_call_nothing_is_lost_or_there_twice(
    killer: Killer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = calls_of_life(killer, tmp_path)
    tally = killed_in_life(killer, tmp_path, calls if ALL else calls[::40])
    show(capsys, f"{HEAD}\n{tally}")
    tally.check(at_least=len(calls) if ALL else 20)


def test_killed_again_in_recovery_nothing_is_lost_or_there_twice(
    killer: Killer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = [call for call in calls_of_life(killer, tmp_path) if call.changes_disk]
    some = calls if ALL else calls[15::90]
    tally = killed_in_recovery(killer, tmp_path, some, 8, everything=ALL)
    show(capsys, f"{HEAD}\n{tally}")
    tally.check(at_least=len(calls) if ALL else 10)


MUTANTS_SHOWN = [mutant for mutant in MUTANTS if Loss.NOTHING in mutant.shown_by]


@pytest.mark.parametrize(
    "mutant", MUTANTS_SHOWN if ALL else MUTANTS_SHOWN[:1], ids=lambda mutant: mutant.name
)
def test_a_mutant_is_caught(
    killer: Killer, mutant: Mutant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crashed = mutant_killed(killer, tmp_path, mutant)
    assert crashed is not None, f"nobody would notice: {mutant.name}"
    show(capsys, f"{mutant.name}: caught on a real disk by kill -9, {crashed.where}")
