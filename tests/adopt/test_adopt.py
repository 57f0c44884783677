"""A folder of the dccd 3 package comes over value by value, untouched itself, and proves what it proves."""

from __future__ import annotations

import hashlib
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute
import pytest

from dccd.application.operations.adopt import Adoption
from dccd.application.operations.adoptable import Adopted, AdoptReport, find, survey
from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import UsageError
from dccd.domain.gaps import GapCause
from dccd.storage.schema import arrow_schema
from dccd.storage.store import Store
from tests.adopt.conftest import HOUR_NS, Asked

pc: Any = pyarrow.compute

pytestmark = pytest.mark.needs("reference")

HOURLY, MINUTES = "binance:BTC-USDT:ohlc:1h", "bitfinex:BTC-USD:ohlc:1m"
TRADES, ANONYMOUS = "binance:XRP-ETH:trades", "kraken:XRP-ETH:trades"
SNAPSHOTS, CHANGES = "binance:BTC-USDT:orderbook:20", "binance:BTC-USDT:book_updates"


@pytest.fixture
def store(data_path: Path) -> Iterator[Store]:
    made = Store.open(data_path)
    yield made
    made.close()


def adopt(folder: Path, store: Store, stopped: Callable[[], bool] = lambda: False) -> AdoptReport:
    listing = find(folder, store.data_path)
    return Adoption(listing, store, "run", stopped=stopped, progress=lambda *_: None).run()


def stored(store: Store, dataset: str) -> pa.Table:
    """All rows, `ts` in nanoseconds, as the package's records have it."""
    identity = DatasetId.parse(dataset)
    table = pa.Table.from_batches(store.read(identity), arrow_schema(identity.data_type))
    ts = pc.add(pc.multiply(table["ts"].cast(pa.int64()), 1000), pc.fill_null(table["ts_sub_ns"], 0))
    return table.set_column(0, "ts", ts).drop_columns(["ts_sub_ns"])


class Done(NamedTuple):
    """The whole folder, taken over once for all tests that only look."""

    store: Store
    report: AdoptReport


@pytest.fixture(scope="module")
def done(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    store = Store.open(tmp_path_factory.mktemp("adopted") / "data")
    yield Done(store, adopt(written, store))
    store.close()


def only(folder: Path, *places: str) -> None:
    """Leave of a folder's datasets no other."""
    for path in folder.rglob("*.parquet"):
        if path.relative_to(folder).parent.as_posix() not in places:
            path.unlink()


def by_dataset(report: AdoptReport) -> dict[str, Adopted]:
    return {found.dataset: found for found in report.datasets}


def fingerprint(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Every name below a folder with its time of change, its length and the hash of its content."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        entry = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path)] = (entry.st_mtime_ns, 0 if path.is_dir() else entry.st_size, content)
    return found


def test_every_value_of_every_data_type_comes_over(asked: list[Asked], done: Done) -> None:
    store, report = done.store, by_dataset(done.report)
    compared = 0
    for item in asked:
        if not item.dataset:
            continue  # books and rolling contracts have tests of their own
        rows = stored(store, item.dataset).to_pylist()
        expected = [dict(row) for row in item.rows]
        for row in expected:
            if item.exchange == "bitmex":
                row["ts"] -= HOUR_NS
            if row.get("tid"):
                row["tid_num"] = int(row.pop("tid"))
        if item.data_type == "trades":

            def place(row: dict[str, Any]) -> tuple[Any, ...]:
                return row["ts"], row.get("tid_num") or 0, row["price"], row["amount"], row["side"]

            rows, expected = sorted(rows, key=place), sorted(expected, key=place)
        assert [{name: row[name] for name in expected[0]} for row in rows] == expected, item.dataset
        # What the package had no column for is null, not made up.
        assert all(row[name] is None for row in rows for name in row.keys() - expected[0].keys())
        found = report[item.dataset]
        assert (found.rows_read, found.rows_stored, found.rows_same) == (len(rows), len(rows), 0)
        compared += len(rows)
    assert compared > 49_000


def test_a_book_comes_over_as_snapshots_and_changes(asked: list[Asked], done: Done) -> None:
    store = done.store
    expected: dict[bool, list[tuple[Any, ...]]] = {True: [], False: []}
    book = next(item for item in asked if item.data_type == "orderbook")
    for message in book.rows:
        for side, levels in (("bid", message["bids"]), ("ask", message["asks"])):
            for level in levels:
                expected[message["is_snapshot"]].append(
                    (message["ts"], side, level["price"], level["amount"])
                )

    def levels_of(dataset: str) -> list[tuple[Any, ...]]:
        rows = stored(store, dataset).to_pylist()
        return sorted((row["ts"], row["side"], row["price"], row["amount"]) for row in rows)

    assert levels_of(SNAPSHOTS) == sorted(expected[True])
    assert levels_of(CHANGES) == sorted(expected[False])
    changes = stored(store, CHANGES)
    assert set(changes["is_snapshot"].to_pylist()) == {False}
    assert changes["recv_no"].equals(changes["ts"])


def test_not_a_byte_of_the_old_folder_changes(old_folder: Path, store: Store) -> None:
    before = fingerprint(old_folder)
    for path in [*old_folder.rglob("*"), old_folder]:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    try:
        survey(find(old_folder, store.data_path))
        adopt(old_folder, store)
    finally:
        for path in [old_folder, *old_folder.rglob("*")]:
            path.chmod(path.stat().st_mode | stat.S_IWUSR)
    assert fingerprint(old_folder) == before


def test_a_second_time_changes_nothing(old_folder: Path, store: Store) -> None:
    first = adopt(old_folder, store)
    files = fingerprint(store.data_path)
    known = {info.dataset: (info.covered, info.asked, info.gaps) for info in store.inventory()}
    again = adopt(old_folder, store)
    for one, two in zip(first.datasets, again.datasets, strict=True):
        assert (two.rows_stored, two.rows_differing) == (0, 0)
        assert two.rows_same == two.rows_read == one.rows_read
    assert {info.dataset: (info.covered, info.asked, info.gaps) for info in store.inventory()} == known
    after = fingerprint(store.data_path)
    assert {k: v for k, v in after.items() if k.endswith(".parquet")} == {
        k: v for k, v in files.items() if k.endswith(".parquet")
    }


def test_one_that_was_stopped_goes_on(old_folder: Path, asked: list[Asked], store: Store) -> None:
    pages = 0

    def stopped() -> bool:
        nonlocal pages
        pages += 1
        return pages > 12

    part = adopt(old_folder, store, stopped)
    whole = adopt(old_folder, store)
    assert sum(found.rows_stored for found in part.datasets) > 0
    assert sum(found.rows_stored for found in whole.datasets) > 0
    assert stored(store, TRADES).num_rows == 12_477
    for item in asked:
        if item.dataset:
            assert stored(store, item.dataset).num_rows == len(item.rows)


def test_each_bar_proves_its_own_time_and_an_absent_one_is_a_gap(asked: list[Asked], done: Done) -> None:
    store = done.store
    minute_ns = HOUR_NS // 60
    times = [row["ts"] for row in next(a for a in asked if a.dataset == MINUTES).rows]
    present = IntervalSet((ts, ts + minute_ns) for ts in times)
    absent = IntervalSet.of(times[0], times[-1] + minute_ns) - present
    assert absent, "the recording has minutes without a trade"
    last = Interval(times[-1], times[-1] + minute_ns)
    gaps = store.gaps(DatasetId.parse(MINUTES))
    assert [(g.start_ns, g.end_ns) for g in gaps if g.cause == GapCause.NEVER_FETCHED] == [*absent]
    assert [(g.start_ns, g.end_ns) for g in gaps if g.cause == GapCause.MAYBE_OPEN] == [tuple(last)]
    assert store.coverage(DatasetId.parse(MINUTES)).covered == present - IntervalSet([last])


def test_a_bar_in_which_a_run_of_the_package_ended_is_not_believed(asked: list[Asked], done: Done) -> None:
    store = done.store
    open_ns, last_ns = asked[0].rows[700]["ts"], asked[0].rows[-1]["ts"]
    gaps = [(g.start_ns, g.end_ns, g.cause) for g in store.gaps(DatasetId.parse(HOURLY))]
    assert gaps == [(ts, ts + HOUR_NS, GapCause.MAYBE_OPEN) for ts in (open_ns, last_ns)]
    assert stored(store, HOURLY).num_rows == 1500, "but it is shown until a better one comes"


def test_trades_prove_the_time_between_consecutive_ids_and_no_other(asked: list[Asked], done: Done) -> None:
    store = done.store
    rows = next(a for a in asked if a.dataset == TRADES).rows
    first_ns, last_ns = rows[0]["ts"], rows[-1]["ts"]
    assert [int(row["tid"]) for row in rows] == [int(rows[0]["tid"]) + n for n in range(len(rows))]
    assert store.coverage(DatasetId.parse(TRADES)).covered == IntervalSet.of(first_ns + 1, last_ns)
    assert not store.coverage(DatasetId.parse(ANONYMOUS)).covered
    assert not store.coverage(DatasetId.parse("binance:BTC-USDT_USDT:funding")).covered


def test_a_day_of_trades_that_is_missing_is_a_gap(old_folder: Path, asked: list[Asked], store: Store) -> None:
    only(old_folder, "binance/trades/XRP-ETH")
    days = sorted((old_folder / "binance" / "trades" / "XRP-ETH").iterdir())
    days[1].unlink()
    adopt(old_folder, store)
    times: list[Any] = stored(store, TRADES)["ts"].to_pylist()
    day_ns = 24 * HOUR_NS
    midnight = times[0] // day_ns * day_ns + day_ns
    before, after = max(t for t in times if t < midnight), min(t for t in times if t >= midnight)
    gaps = [(gap.start_ns, gap.end_ns) for gap in store.gaps(DatasetId.parse(TRADES))]
    assert (before, after + 1) in gaps


def test_what_cannot_be_mapped_is_listed(done: Done) -> None:
    left = {item.place: item.reason for item in done.report.not_taken}
    assert left.keys() == {"binance/ohlc/BTC-USDT_QUARTER/1h"}
    assert "dated futures" in left["binance/ohlc/BTC-USDT_QUARTER/1h"]


def test_rows_that_were_fetched_whole_stay_as_they_are(
    old_folder: Path, asked: list[Asked], store: Store
) -> None:
    only(old_folder, "binance/ohlc/BTC-USDT/1h")
    dataset, rows = DatasetId.parse(HOURLY), asked[0].rows
    mine = {name: [row[name] for row in rows[:10]] for name in rows[0]}
    mine["close"] = [value + 1 for value in mine["close"]]
    log = store.begin_backfill(dataset, "mine", source="the exchange")
    log.append(mine, IntervalSet.of(rows[0]["ts"], rows[10]["ts"]))
    log.finish()
    found = by_dataset(adopt(old_folder, store))[HOURLY]
    assert (found.rows_read, found.rows_stored, found.rows_same, found.rows_differing) == (1500, 1490, 0, 10)
    assert stored(store, HOURLY)["close"].to_pylist()[:11] == [*mine["close"], rows[10]["close"]]


def test_what_the_package_dropped_is_said(old_folder: Path, store: Store) -> None:
    (old_folder / "binance" / "ohlc" / "BTC-USDT" / "1w" / "2017.parquet").unlink()
    only(old_folder, "binance/ohlc/BTC-USDT/1w", "binance/orderbook/BTC-USDT")
    shutil.rmtree(old_folder / "kraken")
    report = adopt(old_folder, store)
    (note,) = by_dataset(report)["binance:BTC-USDT:ohlc:1w"].notes
    assert "once had rows from 2017-08-14T00:00:00Z" in note
    assert any("kraken:XRP/ETH:trades was collected" in item.reason for item in report.not_taken)


def test_the_survey_says_what_is_there_and_stores_nothing(old_folder: Path, store: Store) -> None:
    report = by_dataset(survey(find(old_folder, store.data_path)))
    assert (report[HOURLY].files, report[HOURLY].rows_read) == (1, 1500)
    assert {SNAPSHOTS, CHANGES} < report.keys()
    assert store.inventory() == []


def test_neither_folder_may_lie_in_the_other(old_folder: Path, tmp_path: Path) -> None:
    for data_path in (old_folder, old_folder / "new", old_folder.parent):
        with pytest.raises(UsageError, match="lie one in the other"):
            find(old_folder, data_path)
    link = tmp_path / "link"
    link.symlink_to(old_folder, target_is_directory=True)
    with pytest.raises(UsageError, match="lie one in the other"):
        find(link, old_folder / "new")
