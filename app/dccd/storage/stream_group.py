"""Rows of one dataset that streams brought, on their way to becoming one frame of the journal."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.types import DataType
from dccd.storage.frames import Frame

WRITE_EVERY_S = 0.25
PROVISIONAL_EVERY_S = 1.0


@dataclass(slots=True, eq=False)
class Group:
    """Rows that become one frame."""

    dataset: DatasetId
    source: str
    observation: str | None
    provisional: bool
    since_s: float
    batches: list[pa.RecordBatch] = field(default_factory=list)
    covered: IntervalSet = field(default_factory=IntervalSet)
    size_bytes: int = 0
    written: Frame | None = None

    @property
    def due_s(self) -> float:
        """When to write it, by the clock that `since_s` is of."""
        return self.since_s + (PROVISIONAL_EVERY_S if self.provisional else WRITE_EVERY_S)

    def takes(self, source: str, observation: str | None) -> bool:
        """Whether more rows, seen like that, can join."""
        counted = self.dataset.data_type in (DataType.TRADES, DataType.BOOK_UPDATES)
        if counted and observation is None:  # an observation by itself, in which equal rows are counted
            return False
        return (self.source, self.observation) == (source, observation)

    def batch(self) -> pa.RecordBatch:
        """The rows as one batch; of a provisional bar's states the last."""
        if len(self.batches) > 1:
            table = pa.Table.from_batches(self.batches).combine_chunks()
            self.batches = table.to_batches()
        if self.provisional:
            newest = {ts: place for place, ts in enumerate(self.batches[0]["ts"].to_pylist())}
            return self.batches[0].take(pa.array(newest.values(), pa.int64()))
        return self.batches[0]
