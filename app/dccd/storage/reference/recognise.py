"""Whose folder it is: what tells a folder of the dccd 3 package from any other, touching nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

DATA_TYPES = ("ohlc", "trades", "orderbook", "funding", "open_interest")
STATE = ".dccd"

# The columns of its run history, which lies where this program keeps its own.
_RUNS_COLUMNS = {
    "run_id", "spec_id", "operation", "exchange", "symbol", "data_type", "state", "started_at", "ended_at",
    "rows_written", "error", "progress", "log_tail", "created_at",
}  # fmt: skip


def sign_of_reference(folder: Path) -> str | None:
    """What shows that the package writes, or wrote, to a folder, in words; None where nothing does."""
    if _has_its_runs(folder / STATE / "runs.db"):
        return "its run history is in .dccd/runs.db"
    found = next(_its_files(folder), None)
    return None if found is None else f"it holds {found.relative_to(folder).as_posix()}"


def _has_its_runs(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            columns = {row[1] for row in connection.execute("PRAGMA table_info(runs)")}
        finally:
            connection.close()
    except sqlite3.Error:
        return False
    return columns >= _RUNS_COLUMNS


def _its_files(folder: Path) -> Iterator[Path]:
    """Period files as it lays them out; no more is looked at than the first takes."""
    for exchange in _folders(folder):
        for data_type in DATA_TYPES:
            pattern = "*/*/*.parquet" if data_type in ("ohlc", "open_interest") else "*/*.parquet"
            try:
                yield from (exchange / data_type).glob(pattern)
            except OSError:
                continue  # what may not be looked into shows nothing


def _folders(folder: Path) -> Iterator[Path]:
    try:
        for path in folder.iterdir():
            if path.name != STATE and path.is_dir():
                yield path
    except OSError:
        return
