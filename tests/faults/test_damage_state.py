"""A flipped bit or a cut in any of the program's own files: a start succeeds, no row is lost or made up."""

from __future__ import annotations

import errno
import os
import random
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest

from dccd.application.config import AppConfig
from dccd.application.jobs import JobRun, RunState
from dccd.application.operations.recorded import new_work_run
from dccd.application.operations.verify import VerifyParams
from dccd.application.service_factory import build_service
from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import StorageError
from dccd.domain.gaps import GapCause
from dccd.storage.fs import RealFileSystem
from dccd.storage.store import Store
from tests.faults.story import BARS, EDGE, NAMELESS, TRADES, bars, minutes, nameless, trades

ALL = os.environ.get("DCCD_DAMAGE") == "all"
ASKED = Interval(EDGE - 3_600_000_000_000, EDGE + 7_200_000_000_000)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with something in each kind of file."""
    folder = tmp_path_factory.mktemp("whole") / "data"
    with closing(Store.open(folder)) as store:
        store.add_asked(BARS, ASKED)
        store.add_lost(TRADES, Interval(EDGE - 1000, EDGE), GapCause.DISCONNECTED)
        for dataset, rows in ((BARS, bars(-40, 40)), (TRADES, trades(0, 30)), (NAMELESS, nameless(0, 9))):
            log = store.begin_backfill(dataset, "run", source="binance")
            log.append(rows, minutes(-40, 40), None)
            log.finish()
        store.keeping.delete(NAMELESS)
        log = store.begin_backfill(BARS, "more", source="binance")
        log.append(bars(40, 50), minutes(40, 50), None)
    return folder


def damages(data: bytes, seed: int) -> list[bytes]:
    """Bits flipped one at a time, and cuts: all of a small file when asked for, else some.

    Of a larger one, a database, those of its header when asked for, and some.
    """
    rng = random.Random(seed)
    bits = range(len(data) * 8)
    if ALL:
        places = [*bits] if len(data) < 600 else [*bits[: 100 * 8], *rng.sample(bits, 200)]
    else:
        places = rng.sample(bits, 12)
    flipped = [data[: at // 8] + bytes([data[at // 8] ^ 1 << at % 8]) + data[at // 8 + 1 :] for at in places]
    sizes = range(len(data)) if ALL and len(data) < 600 else {0, len(data) // 2, len(data) - 1}
    return flipped + [data[:size] for size in sizes]


def times(store: Store, dataset: DatasetId) -> list[int]:
    found: list[Any] = []
    for batch in store.read(dataset):
        found += batch["ts"].cast(pa.int64()).to_pylist()
    return found


@pytest.mark.parametrize("name", ["coverage.db", "catalog.db", "format.json", "lock"])
def test_a_start_beside_a_damaged_file(whole: Path, tmp_path: Path, name: str) -> None:
    with closing(Store.open(shutil.copytree(whole, tmp_path / "whole"))) as store:
        expected = {dataset: times(store, dataset) for dataset in (BARS, TRADES)}
        covered = {dataset: store.coverage(dataset).covered for dataset in (BARS, TRADES)}
    data = (whole / ".dccd" / name).read_bytes() or b'{"host": "h", "pid": 1, "beat_s": 1.0}'
    for number, damaged in enumerate(damages(data, len(name))):
        folder = shutil.copytree(whole, tmp_path / str(number))
        path = folder / ".dccd" / name
        path.write_bytes(damaged)
        with closing(Store.open(folder)) as store:
            assert {dataset: times(store, dataset) for dataset in expected} == expected
            told = bool(store.problems)
            assert all(problem.kept is None or problem.kept.exists() for problem in store.problems)
            for dataset, before in covered.items():
                now = store.coverage(dataset).covered
                assert now == before or (told and not now - before), "coverage is other, and nobody says so"
            known = store.coverage(BARS).asked == IntervalSet([ASKED])
            assert known or told or not damaged, "what was asked for is other, and nobody says so"
            [entry] = store.keeping.deleted()
            store.keeping.restore(entry.id)
            assert len(times(store, NAMELESS)) == 27
            store.add_absent(NAMELESS, ASKED, "known")  # it can be written, too
        shutil.rmtree(folder)


def test_a_damaged_record_of_what_is_in_the_trash(whole: Path, tmp_path: Path) -> None:
    [manifest] = [
        path.relative_to(whole)
        for path in (whole / ".dccd" / "trash").rglob("*")
        if path.is_file() and path.suffix != ".parquet"
    ]
    for number, damaged in enumerate(damages((whole / manifest).read_bytes(), 1)):
        folder = shutil.copytree(whole, tmp_path / str(number))
        (folder / manifest).write_bytes(damaged)
        with closing(Store.open(folder)) as store:
            assert len(times(store, BARS)) == 90
            try:
                for entry in store.keeping.deleted():
                    store.keeping.restore(entry.id)
            except StorageError as error:
                assert str(error)  # noqa: PT017 - either way is right
            kept = [*folder.rglob("*.parquet*")]
            assert len(kept) == len([*whole.rglob("*.parquet")]), "rows in the trash are gone"
        shutil.rmtree(folder)


def new_run(number: int) -> JobRun:
    run = new_work_run("verify", VerifyParams(datasets=[str(BARS)]), BARS)
    return run.model_copy(update={"state": RunState.FAILED, "log_tail": [f"line {number}"]})


async def test_a_damaged_history_of_runs(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "whole")
    path, quarantine = folder / ".dccd" / "runs.db", folder / ".dccd" / "quarantine"
    kept = [new_run(number) for number in range(40)]
    async with build_service(AppConfig(), data_path=folder) as service:
        for run in kept:
            await service.runs.save(run)
    data, aside = path.read_bytes(), 0
    for damaged in damages(data, 1) + [data[:size] for size in (1, 99, 100, 4095, 4096, 9000)]:
        path.write_bytes(damaged)
        async with build_service(AppConfig(), data_path=folder) as service:
            told = [text for text in service.problems if "history of runs" in text]
            found = await service.runs.list(limit=100)
            if told:
                aside += 1
                assert (len(told), found) == (1, [])
                assert damaged in [each.read_bytes() for each in quarantine.iterdir()]
            elif len(damaged) > 1:  # of one byte SQLite makes nothing
                left_out = [text for text in service.problems if text.startswith("1 entry of the history")]
                assert len(found) == len(kept) - len(left_out), "runs are gone, and nobody says so"
            again = new_run(0)
            await service.runs.save(again)
        async with build_service(AppConfig(), data_path=folder) as service:
            assert await service.runs.get(again.run_id) == again
            assert not [text for text in service.problems if "history of runs" in text], "told twice"
    assert aside == len([*quarantine.iterdir()]) > 0


def test_a_database_is_put_aside_with_what_sqlite_left_beside_it(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "whole")
    parts = {suffix: os.urandom(5000) for suffix in ("", "-wal", "-shm")}
    with closing(Store.open(folder)) as store:
        for _ in range(2):
            for suffix, data in parts.items():
                (folder / ".dccd" / f"runs.db{suffix}").write_bytes(data)
            store.put_aside(folder / ".dccd" / "runs.db", "told")
        assert not [*(folder / ".dccd").glob("runs.db*")]
        first, second = store.problems
        for problem in (first, second):
            assert problem.kept is not None
            for suffix, data in parts.items():
                assert problem.kept.with_name(problem.kept.name + suffix).read_bytes() == data
        assert first.kept != second.kept


async def test_a_history_of_runs_on_a_disk_without_room_stays(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "whole")
    (folder / ".dccd" / "runs.db").write_bytes(b"no database" * 500)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with patch.object(RealFileSystem, "replace", full), pytest.raises(StorageError, match="disk is full"):
        await build_service(AppConfig(), data_path=folder).start()
    assert (folder / ".dccd" / "runs.db").read_bytes() == b"no database" * 500
    with closing(Store.open(folder)):  # nothing was left locked
        pass
