"""Folders that are broken, hostile or just odd: reported, never fatal, and the rest comes over."""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dccd.application.operations import adoptable
from dccd.application.operations.adopt import Adoption
from dccd.application.operations.adoptable import AdoptReport, find, survey
from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import DataFolderUnusable, UsageError
from dccd.storage.reference import file as old_file
from dccd.storage.store import Store
from tests.adopt.old_files import HOUR_NS, START_NS, bars, trades, write

BARS, TRADES = DatasetId.parse("binance:BTC-USDT:ohlc:1h"), DatasetId.parse("binance:BTC-USDT:trades")
GOOD = "binance/ohlc/BTC-USDT/1h/2024.parquet"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one good file of ten bars."""
    write(tmp_path / "crypto", GOOD, bars(10))
    return tmp_path / "crypto"


@pytest.fixture
def store(data_path: Path) -> Iterator[Store]:
    made = Store.open(data_path)
    yield made
    made.close()


def adopt(folder: Path, store: Store) -> AdoptReport:
    listing = find(folder, store.data_path)
    return Adoption(listing, store, "run", stopped=lambda: False, progress=lambda *_: None).run()


def reasons(report: AdoptReport) -> dict[str, str]:
    return {item.place: item.reason for item in report.not_taken}


def column(store: Store, dataset: DatasetId, name: str) -> list[Any]:
    return [value for batch in store.read(dataset, columns=["ts", name]) for value in batch[name].to_pylist()]


def test_what_is_no_file_of_the_package_is_left_and_named(folder: Path, store: Store) -> None:
    place = folder / "binance" / "ohlc" / "BTC-USDT" / "1h"
    (place / "2020.parquet").write_bytes(b"")
    (place / "2021.parquet").write_bytes(b"PAR1 and then nothing of the kind PAR1")
    (place / "2022.parquet").mkdir()
    (place / "2023.parquet").symlink_to(folder / "nowhere")
    (place / "2024.parquet.tmp.17.18").write_bytes(b"half")
    (place / "notes.txt").write_text("mine")
    os.mkfifo(place / "2019.parquet")
    (folder / "readme").write_text("mine")
    (folder / "binance" / "liquidations").mkdir()
    whole = (place / "2024.parquet").read_bytes()
    (place / "2018.parquet").write_bytes(whole[: len(whole) // 2])
    loop = folder / "binance" / "ohlc" / "ETH-USDT"
    loop.symlink_to(loop)
    for report in (survey(find(folder, store.data_path)), adopt(folder, store)):
        found = reasons(report)
        assert {Path(name).name for name in found} == {
            "2018.parquet", "2019.parquet", "2020.parquet", "2021.parquet", "2022.parquet", "2023.parquet",
            "2024.parquet.tmp.17.18", "notes.txt", "readme", "liquidations", "ETH-USDT",
        }  # fmt: skip
    assert len(column(store, BARS, "close")) == 10


def test_of_very_many_things_left_out_all_are_counted(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adoptable, "LISTED_MAX", 3)
    for number in range(5):
        (folder / f"{number}.txt").touch()
    report = adopt(folder, store)
    assert (len(report.not_taken), report.not_taken_count) == (3, 5)


def test_a_linked_file_and_folder_count_like_others(folder: Path, store: Store, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "2025.parquet", bars(5))
    (folder / "binance" / "ohlc" / "ETH-USDT").mkdir()
    (folder / "binance" / "ohlc" / "ETH-USDT" / "1h").symlink_to(tmp_path / "elsewhere")
    adopt(folder, store)
    assert len(column(store, DatasetId.parse("binance:ETH-USDT:ohlc:1h"), "close")) == 5


def test_foreign_columns_are_told(folder: Path, store: Store) -> None:
    without_low = {name: values for name, values in bars(2).items() if name != "low"}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"time": [1], "open": [1.0]}, "no column TS"),
        (bars(2, TS=["a", "b"]), "not nanoseconds"),
        (bars(2, TS=[1.5e18, 1.6e18]), "not nanoseconds"),
        (bars(2, close=["1", "2"]), "close is string, not numbers"),
        (bars(2, trades=[1.5, 2.5]), "trades is double, not whole numbers"),
        (without_low, "no column low"),
    ]
    for year, (rows, _) in enumerate(cases, 2030):
        write(folder, f"binance/ohlc/BTC-USDT/1h/{year}.parquet", rows)
    found = reasons(adopt(folder, store))
    assert len(found) == len(cases)
    for year, (_, said) in enumerate(cases, 2030):
        assert said in found[f"binance/ohlc/BTC-USDT/1h/{year}.parquet"]
    assert len(column(store, BARS, "close")) == 10


def test_times_of_all_sizes_are_sorted_out(tmp_path: Path, store: Store) -> None:
    times = [-(2**63), -1, 0, 1_704_067_200, START_NS, START_NS + HOUR_NS, 2**62, 2**63 - 1, None]
    write(tmp_path / "crypto", GOOD, bars(9, TS=times))
    (found,) = adopt(tmp_path / "crypto", store).datasets
    assert found.rows_left_out == {"no time": 1, "a time before 2009 or in the future": 6}
    assert (found.rows_read, found.rows_stored) == (9, 2)
    assert column(store, BARS, "close") == [5.0, 6.0]


def test_values_that_are_none_are_left_out_and_counted(tmp_path: Path, store: Store) -> None:
    values = [1.0, None, math.nan, math.inf, 0.0, 6.0]
    write(tmp_path / "crypto", GOOD, bars(6, close=values, quote_volume=[math.nan, 1.0, 1.0, 1.0, 1.0, 7.0]))
    (found,) = adopt(tmp_path / "crypto", store).datasets
    assert sorted(found.rows_left_out.values()) == [1, 3]
    assert column(store, BARS, "close") == [1.0, 6.0]
    assert column(store, BARS, "quote_volume") == [None, 7.0]
    gaps = [(gap.start_ns, gap.end_ns) for gap in store.gaps(BARS)]
    assert (START_NS + HOUR_NS, START_NS + 5 * HOUR_NS) in gaps, "what was left out is not covered"


def test_older_spellings_come_along_and_unknown_columns_are_named(tmp_path: Path, store: Store) -> None:
    rows = bars(3, weightedAverage=[1.0] * 3, quoteVolume=[4.0, 5.0, 6.0])
    del rows["quote_volume"], rows["trades"]
    write(tmp_path / "crypto", GOOD, rows)
    (found,) = adopt(tmp_path / "crypto", store).datasets
    assert column(store, BARS, "quote_volume") == [4.0, 5.0, 6.0]
    assert found.notes == ["the column weightedAverage of 1 file(s) means nothing here"]


def test_rows_in_no_order_and_twice_come_over_once(tmp_path: Path, store: Store) -> None:
    rows = bars(6)
    for name in rows:
        rows[name] = [*reversed(rows[name]), *rows[name]]
    write(tmp_path / "crypto", GOOD, rows)
    write(tmp_path / "crypto", GOOD.replace("2024", "2023"), bars(3))
    (found,) = adopt(tmp_path / "crypto", store).datasets
    assert (found.rows_read, found.rows_stored, found.rows_same) == (15, 6, 9)
    assert column(store, BARS, "close") == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_a_file_too_large_to_be_sorted_is_told(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, GOOD, bars(3, TS=[START_NS + HOUR_NS, START_NS, START_NS + 2 * HOUR_NS]))
    monkeypatch.setattr(old_file, "UNSORTED_ROWS_MAX", 2)
    assert "too many to sort" in reasons(adopt(folder, store))[GOOD]


def test_equal_trades_without_ids_are_counted_across_pages(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(old_file.read_pages, "__defaults__", (4,))
    rows = trades([None] * 10, TS=[START_NS] * 2 + [START_NS + 10**9] * 8)
    write(tmp_path / "crypto", "binance/trades/BTC-USDT/2024-01-01.parquet", rows)
    for stored in (10, 0):
        (found,) = adopt(tmp_path / "crypto", store).datasets
        assert (found.rows_read, found.rows_stored) == (10, stored)
    assert len(column(store, TRADES, "price")) == 10


def test_ids_of_all_kinds(tmp_path: Path, store: Store) -> None:
    ids = ["1", "2", "007", "", None, "9" * 30, "e3b0-c442"]
    write(tmp_path / "crypto", "binance/trades/BTC-USDT/2024-01-01.parquet", trades([*ids]))
    adopt(tmp_path / "crypto", store)
    assert column(store, TRADES, "tid_num") == [1, 2, None, None, None, None, None]
    assert column(store, TRADES, "tid") == [None, None, "007", None, None, "9" * 30, "e3b0-c442"]


def test_a_hole_among_ids_is_a_gap_also_between_pages(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(old_file.read_pages, "__defaults__", (3,))
    ids = [str(number) for number in (5, 6, 7, 8, 9, 10, 12, 13, 14)]
    write(tmp_path / "crypto", "binance/trades/BTC-USDT/2024-01-01.parquet", trades([*ids]))
    adopt(tmp_path / "crypto", store)
    second_ns = 10**9
    assert [tuple(i) for i in store.coverage(TRADES).covered] == [
        (START_NS + 1, START_NS + 5 * second_ns),
        (START_NS + 6 * second_ns + 1, START_NS + 8 * second_ns),
    ]


def test_bars_off_the_grid_prove_nothing(tmp_path: Path, store: Store) -> None:
    times = [START_NS + number * HOUR_NS + number % 2 for number in range(4)]
    write(tmp_path / "crypto", GOOD, bars(4, TS=times))
    (found,) = adopt(tmp_path / "crypto", store).datasets
    assert (found.rows_stored, len(found.notes)) == (4, 1)
    assert [tuple(i) for i in store.coverage(BARS).covered] == [(START_NS, START_NS + HOUR_NS)]


NAMES = {
    "binance/ohlc/BTC-USDT/2592000s": "binance:BTC-USDT:ohlc:1mo",
    "Binance/ohlc/XBT-USDT/3600s": "binance:BTC-USDT:ohlc:1h",
    "krakenfutures/ohlc/BTC-USD/1h": "krakenfutures:BTC-USD_USD:ohlc:1h",
    "krakenfutures/ohlc/ETH-USD_PERP/1h": "krakenfutures:ETH-USD_USD:ohlc:1h",
    "bitmex/ohlc/ETH-USD/1h": "bitmex:ETH-USD_BTC:ohlc:1h",
    "bitmex/ohlc/XBT-USDT/1h": "bitmex:BTC-USDT_USDT:ohlc:1h",
    "bybit/ohlc/BTC-USDT_PERP/90s": "bybit:BTC-USDT_USDT:ohlc:90s",
}
NO_NAMES = {
    "okx/ohlc/BTC-USDT_PERP/1h", "bitmex/ohlc/ETH-BTC/1h", "binance/ohlc/BTC-USDT_NEXT_QUARTER/1h",
    "binance/ohlc/A-B-C/1h", "binance/ohlc/BTCUSDT/1h", "binance/ohlc/BTC-USDT/soon", "bin ance/ohlc/A-B/1h",
}  # fmt: skip


def test_names_become_one_contract_or_are_told(tmp_path: Path, data_path: Path) -> None:
    for place in (*NAMES, *NO_NAMES):
        write(tmp_path / "crypto", f"{place}/2024.parquet", bars(2))
    report = survey(find(tmp_path / "crypto", data_path))
    assert {found.place: found.dataset for found in report.datasets} == NAMES
    assert set(reasons(report)) == NO_NAMES


def test_its_databases_may_be_anything(folder: Path, store: Store) -> None:
    (folder / ".dccd").mkdir()
    (folder / ".dccd" / "runs.db").write_bytes(b"no database at all" * 100)
    with closing(sqlite3.connect(folder / ".dccd" / "coverage.db")) as database:
        database.execute("CREATE TABLE coverage (dataset_id, min_ts, max_ts)")
        rows = [("x", "a", None), (None, 2**62, 5), ("binance:BTC/USDT:ohlc:3600s", START_NS, 2**62)]
        database.executemany("INSERT INTO coverage VALUES (?, ?, ?)", rows)
        database.commit()
    report = adopt(folder, store)
    assert any("runs.db cannot be read" in item.reason for item in report.not_taken)
    assert report.datasets[0].rows_stored == 10


def test_a_run_of_the_package_under_way_is_seen_in_its_write_ahead_log(folder: Path, store: Store) -> None:
    (folder / ".dccd").mkdir()
    with closing(sqlite3.connect(folder / ".dccd" / "runs.db")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE runs (spec_id, started_at, ended_at)")
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        row = ("backfill:binance:BTC/USDT:ohlc:3600s", START_NS + 4 * HOUR_NS, None)
        database.execute("INSERT INTO runs VALUES (?, ?, ?)", row)
        database.commit()
        before = {path.name: path.read_bytes() for path in (folder / ".dccd").iterdir()}
        adopt(folder, store)
        assert {path.name: path.read_bytes() for path in (folder / ".dccd").iterdir()} == before
    gaps = [gap.start_ns for gap in store.gaps(BARS)]
    assert gaps == [START_NS + 4 * HOUR_NS, START_NS + 9 * HOUR_NS]


def test_what_is_fetched_later_takes_the_place_of_a_bar_that_was_open(folder: Path, store: Store) -> None:
    adopt(folder, store)
    last_ns = START_NS + 9 * HOUR_NS
    better = {name: [0.25] for name in ("open", "high", "low", "close", "volume")}
    log = store.begin_backfill(BARS, "repair", source="the exchange")
    (gap,) = store.gaps(BARS)
    assert (gap.start_ns, gap.end_ns) == (last_ns, last_ns + HOUR_NS)
    log.append({"ts": [last_ns], **better}, IntervalSet.of(last_ns, last_ns + HOUR_NS))
    log.finish()
    for _ in range(2):
        assert column(store, BARS, "close") == [*map(float, range(1, 10)), 0.25]
        assert store.gaps(BARS) == []
        adopt(folder, store)


def test_growing_since_does_not_make_an_open_bar_believed(folder: Path, store: Store) -> None:
    adopt(folder, store)
    write(folder, GOOD, bars(12))
    (found,) = adopt(folder, store).datasets
    assert (found.rows_stored, found.rows_same) == (2, 10)
    gaps = [gap.start_ns for gap in store.gaps(BARS)]
    assert gaps == [START_NS + 9 * HOUR_NS, START_NS + 11 * HOUR_NS]


def test_one_that_was_cut_short_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    for year, count in ((2024, 30), (2023, 40), (2022, 50)):
        times = [START_NS - (2024 - year) * 400 * 24 * HOUR_NS + number * HOUR_NS for number in range(count)]
        write(tmp_path / "crypto", GOOD.replace("2024", str(year)), bars(count, TS=times))
    outcomes = []
    for name, dies_after in (("whole", None), ("cut", 2), ("cut", None)):
        pages = 0

        def page(*_: int, dies_after: int | None = dies_after) -> None:
            nonlocal pages
            pages += 1
            if pages == dies_after:
                raise ZeroDivisionError

        store = Store.open(tmp_path / name)
        try:
            listing = find(tmp_path / "crypto", store.data_path)
            Adoption(listing, store, "run", stopped=lambda: False, progress=page).run()
        except ZeroDivisionError:
            assert dies_after
        else:
            info = store.info(BARS)
            outcomes.append((column(store, BARS, "close"), info.covered, info.asked, info.gaps))
        finally:
            store.close()
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0][0]) == 120


def test_no_folder_of_the_package_is_refused_by_name(tmp_path: Path, data_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for name in ("file", "empty", "missing"):
        with pytest.raises(UsageError, match=f"Adopting .*{name}"):
            find(tmp_path / name, data_path)


def test_a_data_folder_of_ours_is_none_of_the_package(folder: Path, store: Store, data_path: Path) -> None:
    adopt(folder, store)
    with pytest.raises(UsageError, match="nothing of the dccd 3 package"):
        find(data_path, folder.parent / "another")
    with pytest.raises(DataFolderUnusable, match="dccd adopt"):
        Store.open(folder)
