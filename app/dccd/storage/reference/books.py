"""Order books of the package: how deep its snapshots are, and its changes apart from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute

from dccd.storage.reference.file import TIME, UnreadableOldFile, read_pages

pc: Any = pyarrow.compute  # its stubs refuse much of what the kernels take

# A dataset of snapshots is known by its depth here. The package stores none, and a thin book has fewer levels
# than were asked for: the least of these that holds all of them is taken.
DEPTHS = (1, 5, 10, 20, 25, 50, 100, 150, 200, 400, 500, 1000, 5000)
SESSION = "adopted"


class Book(NamedTuple):
    """What the files of an order book hold.

    Attributes
    ----------
    depth : int or None
        Of its deepest snapshot, as one of :data:`DEPTHS` or exactly; None without a snapshot.
    has_updates : bool
        Whether there are changes.
    """

    depth: int | None
    has_updates: bool


def look_into(files: Sequence[Path]) -> Book:
    """Read through an order book's files; those that cannot be read count for nothing here."""
    most, has_updates = 0, False
    for path in files:
        try:
            for page in read_pages(path, [TIME, "side", "is_snapshot"]):
                if {"side", "is_snapshot"} <= {*page.column_names}:
                    most = max(most, _levels(page))
                    has_updates |= bool(pc.any(pc.equal(page["is_snapshot"], False)).as_py())
        except UnreadableOldFile:
            continue
    return Book(next((depth for depth in DEPTHS if depth >= most), most) if most else None, has_updates)


def _levels(page: pa.Table) -> int:
    shown = page.filter(pc.equal(page["is_snapshot"], True))
    if not shown.num_rows:
        return 0
    counted = shown.group_by([TIME, "side"], use_threads=False).aggregate([([], "count_all")])
    most: int = pc.max(counted["count_all"]).as_py()
    return most


def snapshots(rows: pa.Table) -> pa.Table:
    """The rows that are of snapshots."""
    return rows.filter(rows["is_snapshot"]).drop_columns(["is_snapshot"])


def updates(rows: pa.Table) -> pa.Table:
    """The rows that are of changes, as book updates.

    The package keeps no order of arrival: all rows of one instant are one message, numbered by that instant.
    """
    rows = rows.filter(pc.invert(rows["is_snapshot"]))
    rows = rows.append_column("session", pa.repeat(pa.scalar(SESSION), rows.num_rows))
    return rows.append_column("recv_no", rows["ts"])
