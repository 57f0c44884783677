from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from dccd.application.jobs import JobRun, JobTarget, Operation, Progress, RunError, RunState
from dccd.application.runs import interrupted
from dccd.domain.errors import StorageError
from dccd.domain.types import DataType
from dccd.storage.runs_sqlite import RunsStore

Store = RunsStore[JobRun]
Opens = Callable[[], Coroutine[Any, Any, Store]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".dccd" / "runs.db"


@pytest.fixture
def aside() -> list[str]:
    """What was told of files that were put aside."""
    return []


@pytest.fixture
async def open_store(path: Path, aside: list[str]) -> AsyncIterator[Opens]:
    def put_aside(database: Path, text: str) -> None:
        database.replace(database.with_name(f"aside-{len(aside)}"))
        aside.append(text)

    async def opened() -> Store:
        stores.append(await Store.open(path, JobRun, put_aside))
        return stores[-1]

    stores: list[Store] = []
    yield opened
    for store in stores:
        await store.close()


@pytest.fixture
async def runs(open_store: Opens) -> Store:
    return await open_store()


def run(number: int, state: RunState = RunState.SUCCEEDED, dataset: str = "binance:A-B:trades") -> JobRun:
    return JobRun(
        run_id=f"run{number}",
        spec_id="backfill:binance:A/B:trades",
        operation="backfill",
        target=JobTarget(exchange="binance", symbol="A/B", data_type=DataType.TRADES),
        dataset=dataset,
        params={"start": "last"},
        state=state,
        created_at=number,
        progress=Progress(done=1, total=2, unit="seconds", rows=7),
        log_tail=["first", "second"],
    )


async def test_a_run_comes_back_as_it_was_saved(runs: Store) -> None:
    await runs.save(run(1))
    assert await runs.get("run1") == run(1)
    assert await runs.get("other") is None


async def test_saving_again_replaces(runs: Store) -> None:
    await runs.save(run(1, RunState.RUNNING))
    failed = run(1, RunState.FAILED).model_copy(update={"error": RunError(code="network", detail="no")})
    await runs.save(failed)
    assert await runs.get("run1") == failed
    assert len(await runs.list()) == 1


async def test_the_history_survives_the_process(open_store: Opens) -> None:
    first = await open_store()
    await first.save(run(1))
    await first.close()
    second = await open_store()
    assert await second.get("run1") == run(1)
    await second.close()


async def test_lists_are_newest_first_filtered_paged_and_without_logs(runs: Store) -> None:
    for number in range(5):
        state = RunState.FAILED if number == 3 else RunState.SUCCEEDED
        await runs.save(run(number, state, dataset="x" if number % 2 else "y"))

    async def ids(**filters: object) -> list[str]:
        return [item.run_id for item in await runs.list(**filters)]  # type: ignore[arg-type]

    assert await ids() == ["run4", "run3", "run2", "run1", "run0"]
    assert await ids(limit=2) == ["run4", "run3"]
    assert await ids(limit=2, before="run3") == ["run2", "run1"]
    assert await ids(state="failed") == ["run3"]
    assert await ids(dataset="y") == ["run4", "run2", "run0"]
    assert await ids(dataset="y", before="run3") == ["run2", "run0"]
    assert await ids(operation="export") == []
    assert (await runs.list())[0].log_tail == []


async def test_what_an_earlier_process_left_running_is_marked_interrupted(runs: Store) -> None:
    for number, state in enumerate(RunState):
        await runs.save(run(number, state))
    changed = await runs.finish_unfinished(interrupted)
    assert [item.run_id for item in changed] == ["run0", "run1"]
    found = await runs.get("run1")
    assert found is not None
    assert found.state is RunState.INTERRUPTED
    assert found.error is not None
    assert found.error.code == "interrupted"
    assert found.log_tail == ["first", "second"]
    assert (await runs.get("run3")) == run(3, RunState.FAILED)


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        ("backfill", "What was fetched is kept"),
        ("export", "Nothing is kept of an export"),
        ("move", "What was copied is taken up"),
        ("verify", "Nothing is lost; start it again."),
    ],
)
def test_what_was_interrupted_says_what_is_kept_of_it(operation: Operation, words: str) -> None:
    ended = interrupted(run(1).model_copy(update={"operation": operation}))
    assert ended.error is not None
    assert words in ended.error.detail


async def test_old_runs_are_forgotten_unless_they_have_not_ended(runs: Store) -> None:
    await runs.save(run(1))
    await runs.save(run(2, RunState.RUNNING))
    await runs.save(run(3))
    assert await runs.delete_before(3) == 1
    assert [item.run_id for item in await runs.list()] == ["run3", "run2"]


async def test_a_run_that_cannot_be_written_is_kept_in_memory(runs: Store, path: Path) -> None:
    await runs.save(run(1, RunState.RUNNING))
    await runs._db.execute(
        "CREATE TRIGGER full BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
    )
    await runs.save(run(1, RunState.FAILED))
    assert await runs.get("run1") == run(1, RunState.FAILED)
    assert (await runs.list())[0].state is RunState.FAILED
    await runs._db.execute("DROP TRIGGER full")
    await runs.save(run(1, RunState.CANCELLED))
    await runs.close()
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT state FROM runs").fetchone() == ("cancelled",)
    other.close()


async def test_old_runs_that_cannot_be_forgotten_are_told_and_kept(runs: Store) -> None:
    await runs.save(run(1, RunState.FAILED))
    await runs._db.execute(
        "CREATE TRIGGER full BEFORE DELETE ON runs BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
    )
    with pytest.raises(StorageError, match="disk is full"):
        await runs.delete_before(1 << 62)
    assert await runs.get("run1") is not None


async def test_no_file_beside_it_needs_room_to_be_read(runs: Store, path: Path) -> None:
    await runs.save(run(1, RunState.FAILED))
    assert not path.with_name("runs.db-shm").exists()


def changed(path: Path, sql: str) -> bytes:
    """The file, after somebody else changed it."""
    path.parent.mkdir(exist_ok=True)
    with sqlite3.connect(path) as other:
        other.executescript(sql)
    other.close()
    return contents(path)


def flip(path: Path, place: int, bits: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= bits
    path.write_bytes(data)


def contents(path: Path) -> bytes:
    return path.read_bytes()


@pytest.mark.parametrize("version", [2, 99])
async def test_a_file_of_a_newer_version_is_left_alone(
    open_store: Opens, path: Path, aside: list[str], version: int
) -> None:
    await (await open_store()).close()
    changed(path, "ALTER TABLE runs ADD COLUMN more TEXT")
    changed(path, f"PRAGMA user_version = {version}")
    with pytest.raises(StorageError, match=r"written by a newer dccd .*Update dccd"):
        await open_store()
    assert aside == []


@pytest.mark.parametrize(
    "sql",
    [
        "PRAGMA user_version = 0",
        "PRAGMA user_version = 3",  # two bits of it are set, one was
        "ALTER TABLE runs RENAME TO walks",
        "ALTER TABLE runs DROP COLUMN log_tail",
        "UPDATE runs SET document = 'no JSON'",
        "UPDATE runs SET log_tail = '['",
        "PRAGMA writable_schema = 1; DELETE FROM sqlite_master WHERE name = 'runs_by_time'",
    ],
)
async def test_a_file_of_another_form_is_put_aside(
    open_store: Opens, runs: Store, path: Path, aside: list[str], sql: str
) -> None:
    await runs.save(run(1))
    await runs.close()
    data = changed(path, sql)
    again = await open_store()
    [told] = aside
    assert told.startswith("The history of runs could not be read and was put aside (")
    assert contents(path.with_name("aside-0")) == data
    assert await again.list() == []
    await again.save(run(2))
    await again.close()
    again = await open_store()
    assert ([item.run_id for item in await again.list()], len(aside)) == (["run2"], 1)
    await again.close()


@pytest.mark.parametrize(
    "change",
    ["'$.news', 1", "'$.target.span', '!m'"],  # a field of a newer version; what no span is, in its own words
)
async def test_a_run_that_this_version_does_not_know_hides_no_other(
    open_store: Opens, runs: Store, path: Path, aside: list[str], change: str
) -> None:
    for number in range(3):
        await runs.save(run(number, RunState.RUNNING))
    await runs.close()
    changed(path, f"UPDATE runs SET document = json_set(document, {change}) WHERE run_id = 'run1'")
    again = await open_store()
    assert again.problems == []
    assert [item.run_id for item in await again.list()] == ["run2", "run0"]
    assert await again.get("run1") is None
    assert len(await again.finish_unfinished(interrupted)) == 2
    assert aside == []
    [told] = again.problems
    assert told.startswith("1 entry of the history of runs cannot be read")
    await again.close()


async def test_a_bit_that_forbids_to_write_is_damage(
    open_store: Opens, runs: Store, path: Path, aside: list[str]
) -> None:
    await runs.close()
    flip(path, 18, 4)  # the header's version for writing: readers go on without a word
    store = await open_store()
    await store.save(run(1))
    await store.close()
    store = await open_store()
    assert ([item.run_id for item in await store.list()], len(aside)) == (["run1"], 1)
    await store.close()


async def test_a_file_that_the_system_refuses_stays(
    open_store: Opens, runs: Store, path: Path, aside: list[str]
) -> None:
    await runs.save(run(1))
    await runs.close()
    in_the_way = path.with_name("runs.db-wal")
    in_the_way.mkdir()
    with pytest.raises(StorageError, match=r"unable to open .* holds no market data; move it"):
        await open_store()
    in_the_way.rmdir()
    again = await open_store()
    assert ([item.run_id for item in await again.list()], aside) == (["run1"], [])
    await again.close()


@pytest.fixture
def garbage(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database, but longer than a header of one hundred bytes" * 4)


@pytest.mark.usefixtures("garbage")
async def test_a_file_that_is_no_database_is_put_aside(open_store: Opens, aside: list[str]) -> None:
    store = await open_store()
    assert await store.list() == []
    await store.close()
    assert "file is not a database" in aside[0]
