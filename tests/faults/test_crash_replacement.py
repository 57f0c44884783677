"""Doubted rows are fetched anew, and the power goes at any call: the doubt or the replacement stands."""

from __future__ import annotations

import os
from typing import Any

import pytest

from dccd.domain.gaps import GapCause
from dccd.storage.store import Store
from tests.faults.loss import Loss
from tests.faults.simdisk import Crash, SimDisk
from tests.faults.story import BARS, EDGE, FOLDER, minutes

ALL = os.environ.get("DCCD_CRASH_POINTS") == "all"
DOUBTED = minutes(-2, 2)  # in two files
NAMES = ("open", "high", "low", "close", "volume")
OLD, NEW = 9.0, 1.0  # by value the old ones would win


def bars(first: int, last: int, value: float) -> dict[str, Any]:
    times = [start for minute in range(first, last) for start, _ in minutes(minute, minute + 1)]
    return {"ts": times, **{name: [value] * len(times) for name in NAMES}}


def live(disk: SimDisk) -> list[str]:
    """Repair what is stored; returns, also when cut short, what was acknowledged."""
    acknowledged: list[str] = []
    store = None
    try:
        store = Store.open(FOLDER, fs=disk)
        (doubted,) = DOUBTED
        store.add_doubt(BARS, doubted, GapCause.DIFFERS)
        acknowledged.append("doubt")
        log = store.begin_backfill(BARS, "run", source="test")
        log.append(bars(-3, 0, NEW), minutes(-3, 0), None)
        log.append(bars(0, 2, NEW), minutes(0, 2), None)
        log.sync()
        acknowledged.append("sync")
        log.publish_before(EDGE)
        log.finish()
        acknowledged.append("finish")
    except Crash:
        pass
    finally:
        if store is not None:
            store.close()
    return acknowledged


def judge(disk: SimDisk, acknowledged: list[str]) -> str:
    """Hold what is left against what must be; returns what it is."""
    store = Store.open(FOLDER, fs=disk)
    found = []
    for _ in range(2):
        rows: dict[float, Any] = {
            (ts.as_py().timestamp() * 10**9 - EDGE) // (60 * 10**9): value
            for batch in store.read(BARS)
            for ts, value in zip(batch["ts"], batch["open"].to_pylist(), strict=True)
        }
        assert sorted(rows) == list(range(-4, 4)), "rows are lost"
        covered = store.coverage(BARS).covered
        believed = covered & DOUBTED
        missing = [gap for gap in store.gaps(BARS) if gap.cause == GapCause.DIFFERS]
        if "doubt" in acknowledged:
            wrong = {
                at for at, value in rows.items() if value == OLD and minutes(int(at), int(at) + 1) & believed
            }
            assert not wrong, "neither the doubt nor the replacement is there"
            assert bool(DOUBTED - believed) == bool(missing)
        if "sync" in acknowledged:
            assert {rows[at] for at in range(-2, 2)} == {NEW}, "what was synced is lost"
        if "finish" in acknowledged:
            assert covered == minutes(-4, 4)
            assert not store.doubted(BARS)
        found.append((rows, covered))
        store.publish()
    assert found[0] == found[1], "publishing changed what there is"
    values = {found[0][0][at] for at in range(-2, 2)}
    store.close()
    return f"{sorted(values)}"


@pytest.mark.parametrize("ntfs", [False, True], ids=["posix", "ntfs"])
@pytest.mark.parametrize("loss", [Loss.NOTHING, Loss.ALL, Loss.TORN, Loss.SCATTERED])
def test_the_doubt_stands_or_the_replacement_does(loss: Loss, ntfs: bool) -> None:
    before = SimDisk(ntfs=ntfs)
    store = Store.open(FOLDER, fs=before)
    log = store.begin_backfill(BARS, "run", source="test")
    log.append(bars(-4, 4, OLD), minutes(-4, 4), None)
    log.finish()
    store.close()
    whole = before.after_crash(Loss.NOTHING, 0)
    assert live(whole)[-1] == "finish"
    step = 1 if ALL else 5
    seen = set()
    for call in range(1 + [*Loss].index(loss) % step, whole.calls, step):
        disk = before.after_crash(Loss.NOTHING, 0)
        disk.crash_at = call
        acknowledged = live(disk)
        seen.add(judge(disk.after_crash(loss, call), acknowledged))
    assert {f"[{OLD}]", f"[{NEW}]"} <= seen, "the crashes were all on one side"
