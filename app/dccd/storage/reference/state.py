"""What the package's own databases know: when its runs began and ended, and what it once collected."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dccd.domain.coverage import Interval
from dccd.storage.reference.recognise import STATE


@dataclass(frozen=True, slots=True)
class OldState:
    """What is known of each dataset beside its files, by the name that the package has for it.

    Attributes
    ----------
    ends : mapping of str to list of int
        Instants, nanoseconds UTC, that a download went up to, or at which a stream ended: the bar that was
        open then was stored as it stood.
    collected : mapping of str to Interval
        First and last timestamp ever collected, both inclusive.
    unread : list of str
        Databases that could not be read, and why.
    """

    ends: Mapping[str, list[int]] = field(default_factory=dict)
    collected: Mapping[str, Interval] = field(default_factory=dict)
    unread: tuple[str, ...] = ()


def read_state(folder: Path) -> OldState:
    """Read its databases from copies, since even reading SQLite in place may write beside the file."""
    ends: dict[str, list[int]] = defaultdict(list)
    collected: dict[str, Interval] = {}
    unread: list[str] = []
    for row in _rows(folder, "runs.db", "SELECT spec_id, started_at, ended_at FROM runs", unread):
        operation, _, name = str(row[0]).partition(":")
        instant = row[2] if operation == "stream" else row[1]
        if isinstance(instant, int):
            ends[name].append(instant)
    query = "SELECT dataset_id, min_ts, max_ts FROM coverage"
    for dataset, first, last in _rows(folder, "coverage.db", query, unread):
        if isinstance(first, int) and isinstance(last, int):
            collected[str(dataset)] = Interval(first, last)
    return OldState(ends, collected, tuple(unread))


def _rows(folder: Path, database: str, query: str, unread: list[str]) -> list[tuple[object, ...]]:
    path = folder / STATE / database
    if not path.is_file():
        return []
    try:
        with tempfile.TemporaryDirectory(prefix="dccd-adopt-") as place:
            copy = Path(place) / database
            shutil.copyfile(path, copy)
            with contextlib.suppress(FileNotFoundError):  # there while its writer runs, or died
                shutil.copyfile(path.with_name(f"{database}-wal"), copy.with_name(f"{database}-wal"))
            with contextlib.closing(sqlite3.connect(copy)) as connection:
                return connection.execute(query).fetchall()
    except (OSError, sqlite3.Error) as error:
        unread.append(f"{STATE}/{database} cannot be read ({error})")
        return []
