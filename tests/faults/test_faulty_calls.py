"""Any call to the disk fails: an error in words, nothing lost, and the next start finds everything."""

from __future__ import annotations

import errno
import gc
import os
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from dccd.domain.dataset import DatasetId
from dccd.domain.errors import CorruptFile, DiskFull, StorageError, UnknownDataset
from dccd.storage.store import Store
from tests.faults.faulty_fs import FaultyFs
from tests.faults.judge import Found, verdict_on
from tests.faults.ledger import Ledger
from tests.faults.story import BARS, bars, first_session, minutes, second_session, third_session

WRITES = {"create", "append", "truncate", "sync", "replace", "make_folder", "sync_folder", "sql commit"}
READS = {"read_at", "read", "sql pragma", "sql select"}
# The index of files may be lost, and the removal of a published journal be done by the next start.
UNNEEDED = {"sql commit catalog.db", "sync_folder journal"}
ALL = os.environ.get("DCCD_FAULTY_CALLS") == "all"


def live_on(fs: FaultyFs, ledger: Ledger, folder: Path) -> int:
    """Three sessions, each of which the disk may end; how many it did."""
    ended = 0
    for session in (first_session, second_session, third_session):
        try:
            with closing(Store.open(folder, fs=fs)) as store:
                session(store, ledger)
        except StorageError:  # any other error fails the test
            ended += 1
    return ended


def once(at: int, number: int, call: int, _name: str, _path: Path) -> int | None:
    return number if call == at else None


def no_writes_from(at: int, number: int, call: int, name: str, _path: Path) -> int | None:
    return number if call >= at and name in WRITES else None


def unreadable(bad: Path, _call: int, name: str, path: Path) -> int | None:
    return errno.EIO if path == bad and name in READS else None


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC], ids=["bad disk", "no room"])
def test_any_call_may_fail_once(tmp_path: Path, number: int) -> None:
    whole = FaultyFs()
    assert live_on(whole, Ledger(), tmp_path / "whole") == 0
    ended = 0
    for at in range(1 + number % 7, len(whole.log) + 1, 1 if ALL else 79):
        folder, ledger = tmp_path / str(at), Ledger()
        fs = FaultyFs(partial(once, at, number))
        ended += live_on(fs, ledger, folder)
        verdict = verdict_on(Found.on_the_real_disk(folder), ledger, power_cut=False)
        assert not verdict.faults, f"call {at}, {fs.log[at - 1]}: {'; '.join(verdict.faults)}"
    assert ended


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC], ids=["bad disk", "no room"])
def test_writing_may_fail_from_any_call_on(tmp_path: Path, number: int) -> None:
    whole = FaultyFs()
    live_on(whole, Ledger(), tmp_path / "whole")
    writes = [place for place, entry in enumerate(whole.log, 1) if entry.rpartition(" ")[0] in WRITES]
    last_needed = max(place for place in writes if whole.log[place - 1] not in UNNEEDED)
    for at in writes[:: 1 if ALL else 41]:
        folder, ledger = tmp_path / str(at), Ledger()
        fs = FaultyFs(partial(no_writes_from, at, number))
        assert bool(live_on(fs, ledger, folder)) == (at <= last_needed)
        verdict = verdict_on(Found.on_the_real_disk(folder), ledger, power_cut=False)
        assert not verdict.faults, f"call {at}, {fs.log[at - 1]}: {'; '.join(verdict.faults)}"


def test_a_file_that_found_no_room_is_written_into_no_other_later(tmp_path: Path) -> None:
    fs = FaultyFs()
    with closing(Store.open(tmp_path, fs=fs)) as store:
        log = store.begin_backfill(BARS, "run", source="binance")
        log.append(bars(0, 10), minutes(0, 10))
        fs.fail = lambda _call, name, path: (
            errno.ENOSPC if (name, path.suffix) == ("append", ".parquet") else None
        )
        with pytest.raises(DiskFull) as refusal:
            log.finish()
        fs.fail = lambda _call, _name, _path: None
        with (tmp_path / "other").open("xb"):  # the system gives it the descriptor that has become free
            del refusal
            gc.collect()  # whoever has held the unfinished file ends
        assert (tmp_path / "other").read_bytes() == b""


@pytest.mark.parametrize("kind", ["*.journal", "*.parquet", "catalog.db"])
def test_a_file_in_a_bad_sector_keeps_nobody_from_the_others(tmp_path: Path, kind: str) -> None:
    with closing(Store.open(tmp_path)) as store:
        first_session(store, Ledger())
        before = {info.dataset: rows_in(store, info.dataset) for info in store.inventory()}
    for bad in sorted(tmp_path.rglob(kind)):
        fs = FaultyFs(partial(unreadable, bad))
        with closing(Store.open(tmp_path, fs=fs)) as store:
            untouched = [dataset for dataset, rows in before.items() if rows_in(store, dataset) == rows]
            assert len(untouched) >= len(before) - 1
            told = bool(store.problems) or kind == "*.parquet"  # whoever reads it is told
            assert len(untouched) == len(before) or told
        assert bad.exists()
    with closing(Store.open(tmp_path)) as store:
        assert {dataset: rows_in(store, dataset) for dataset in before} == before
        assert store.problems == ()


def rows_in(store: Store, dataset: DatasetId) -> int:
    try:
        return sum(batch.num_rows for batch in store.read(dataset))
    except (CorruptFile, UnknownDataset) as error:
        return -len(str(error))
