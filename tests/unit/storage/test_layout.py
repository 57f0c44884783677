from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from dccd.domain.dataset import DatasetId
from dccd.domain.errors import DataFolderUnusable
from dccd.storage.fs import RealFileSystem
from dccd.storage.layout import Layout
from dccd.storage.store import Store

# As the reference package (dccd 3.8) makes it.
REFERENCE_RUNS = """
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY, spec_id TEXT NOT NULL, operation TEXT NOT NULL, exchange TEXT NOT NULL,
    symbol TEXT NOT NULL, data_type TEXT NOT NULL, state TEXT NOT NULL, started_at INTEGER, ended_at INTEGER,
    rows_written INTEGER DEFAULT 0, error TEXT, progress TEXT, log_tail TEXT DEFAULT '[]',
    created_at INTEGER NOT NULL
)
"""


def test_a_folder_of_the_reference_is_left_alone(data_path: Path) -> None:
    (data_path / ".dccd").mkdir()
    connection = sqlite3.connect(data_path / ".dccd" / "runs.db")
    connection.execute(REFERENCE_RUNS)
    connection.close()
    before = {path: path.stat().st_mtime_ns for path in data_path.rglob("*")}
    with pytest.raises(DataFolderUnusable, match="dccd 3"):
        Store.open(data_path)
    assert {path: path.stat().st_mtime_ns for path in data_path.rglob("*")} == before


@pytest.mark.parametrize(
    "place", ["binance/ohlc/BTC-USDT/1h/2024.parquet", "okx/trades/BTC-USDT_PERP/2024-01-31.parquet"]
)
def test_a_folder_of_the_reference_is_known_by_its_files_alone(data_path: Path, place: str) -> None:
    (data_path / place).parent.mkdir(parents=True)
    (data_path / place).touch()
    for use in (Store.open, Store.exists):
        with pytest.raises(DataFolderUnusable, match=rf"dccd 3 .*{place}.* dccd adopt {data_path}"):
            use(data_path)
    assert not (data_path / ".dccd").exists()


def test_a_folder_of_ours_without_its_state_is_no_other_programs(data_path: Path) -> None:
    folder = data_path / "ohlc" / "exchange=binance" / "symbol=BTC-USDT" / "span=1h"
    folder.mkdir(parents=True)
    (folder / "2024.parquet").write_bytes(b"a copy that broke off")
    assert Store.exists(data_path)
    Store.open(data_path).close()


def test_our_own_run_history_does_not_look_like_it(data_path: Path) -> None:
    Store.open(data_path).close()
    connection = sqlite3.connect(data_path / ".dccd" / "runs.db")
    connection.execute(REFERENCE_RUNS)
    connection.close()
    Store.open(data_path).close()


def test_a_folder_of_a_newer_program_is_refused(data_path: Path) -> None:
    Store.open(data_path).close()
    (data_path / ".dccd" / "format.json").write_text('{"format": 99}')
    with pytest.raises(DataFolderUnusable, match="newer version"):
        Store.open(data_path)


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "deep" / "data"):
        for use in (Store.open, Store.exists):
            with pytest.raises(
                DataFolderUnusable, match=r"file is a file, not a folder\. Choose a folder"
            ) as raised:
                use(path)
            assert str(path) in str(raised.value)


def test_a_folder_made_below_a_file_says_which(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotADirectoryError, match="file is a file, not a folder"):
        RealFileSystem().make_folder(tmp_path / "file" / "data")


@pytest.mark.parametrize(
    "text",
    [
        "binance:BTC-USDT:ohlc:1m",
        "binance:BTC-USDT:ohlc:1d",
        "binance:BTC-USDT:trades",
        "binance:BTC-USDT:book_updates",
        "binance:BTC-USDT:orderbook:50",
        "binance:BTC-USDT:funding",
    ],
)
def test_a_period_is_found_by_its_name(text: str) -> None:
    dataset, layout = DatasetId.parse(text), Layout(Path("data"))
    period = dataset.period(1_706_999_999_000_000_000)
    assert layout.period_named(dataset, period.name) == period
    for wrong in ("2024-13", "notes", "2024-1", "", "2024-02-30T01"):
        assert layout.period_named(dataset, wrong) is None


def test_a_data_folder_is_recognised_and_nothing_is_made(tmp_path: Path) -> None:
    assert not Store.exists(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    (tmp_path / "notes" / "2024").mkdir(parents=True)
    (tmp_path / "file").touch()
    assert not Store.exists(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "notes"]


def test_a_data_folder_is_known_by_its_marker_or_by_its_datasets(tmp_path: Path) -> None:
    Store.open(tmp_path / "opened").close()
    assert Store.exists(tmp_path / "opened")
    dataset = DatasetId.parse("binance:BTC-USDT:ohlc:1m")
    (tmp_path / "copied" / dataset.folder).mkdir(parents=True)
    assert Store.exists(tmp_path / "copied")
