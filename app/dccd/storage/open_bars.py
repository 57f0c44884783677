"""Bars that are not closed yet: their newest state, in memory. They are in no file, and prove nothing."""

from __future__ import annotations

import threading

import pyarrow as pa

from dccd.domain.dataset import DatasetId
from dccd.storage.frames import Frame

_MOST = 16  # of a dataset: one is open, a few may wait for their last state


class OpenBars:
    """Provisional rows by dataset. Thread-safe."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._rows: dict[DatasetId, dict[object, pa.Table]] = {}

    def take(self, frame: Frame) -> None:
        """A provisional page: of each of its bars the newest state."""
        table = pa.Table.from_batches([frame.batch()])
        states = {ts: table.slice(place, 1) for place, ts in enumerate(table["ts"].to_pylist())}
        with self._mutex:
            rows = {**self._rows.get(frame.dataset, {}), **states}
            self._rows[frame.dataset] = dict(sorted(rows.items(), key=lambda item: str(item[0]))[-_MOST:])

    def forget(self, dataset: DatasetId) -> None:
        """The dataset was deleted."""
        with self._mutex:
            self._rows.pop(dataset, None)

    def rows(self, dataset: DatasetId) -> pa.Table | None:
        """The bars by time, None when there are none."""
        with self._mutex:
            rows = self._rows.get(dataset)
        return pa.concat_tables(rows.values()).combine_chunks() if rows else None
