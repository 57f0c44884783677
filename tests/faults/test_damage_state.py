"""A flipped bit or a cut in any of the program's own files: a start succeeds, no row is lost or made up."""

from __future__ import annotations

import os
import random
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dccd.application.jobs import JobRun
from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import StorageError
from dccd.domain.gaps import GapCause
from dccd.storage.runs_sqlite import RunsStore
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
    """Bits flipped one at a time, and cuts: all of them for a small file when asked for, else some."""
    rng = random.Random(seed)
    places = (
        range(len(data) * 8)
        if ALL and len(data) < 600
        else rng.sample(range(len(data) * 8), 200 if ALL else 12)
    )
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


async def test_a_damaged_history_of_runs(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    await (await RunsStore[JobRun].open(path, JobRun)).close()
    data = path.read_bytes()
    for damaged in damages(data, 1):
        path.write_bytes(damaged)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        try:
            store = await RunsStore[JobRun].open(path, JobRun)
            await store.list()
            await store.close()
        except StorageError as error:
            assert "no market data" in str(error)  # noqa: PT017 - either way is right
