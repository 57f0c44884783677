"""What a page has to know of those before it: its dataset's epoch, and what its observation has seen."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute

from dccd.domain.dataset import DatasetId
from dccd.domain.types import DataType

pc: Any = pyarrow.compute  # its stubs refuse much of what the kernels take

Key = tuple[Any, ...]
Repeats = tuple[tuple[int, int], ...]

_TWIN = ("ts", "ts_sub_ns", "price", "amount", "side")
_REACH_US = 60_000_000  # how far back in exchange time equal trades of one session are looked for
_OBSERVATIONS = 4  # of a dataset that are remembered: the one under way, and a few whose last pages are late
_KEYS = 4096


class Predecessors:
    """Epochs by dataset, and counts of equal trades by observation. Thread-safe."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._epochs: dict[DatasetId, int] = {}
        self._given: dict[DatasetId, int] = {}
        self._seen: dict[DatasetId, dict[str, _Seen]] = {}

    def epoch(self, dataset: DatasetId) -> int:
        """The epoch for a page that replaces nothing: the greatest of which pages or files tell."""
        with self._mutex:
            return self._epochs.get(dataset, 0)

    def next_epoch(self, dataset: DatasetId) -> int:
        """An epoch for a page that replaces; greater than all that are known or were given."""
        with self._mutex:
            found = max(self._epochs.get(dataset, 0), self._given.get(dataset, 0)) + 1
            self._given[dataset] = found
            return found

    def note(self, dataset: DatasetId, epoch: int) -> None:
        """A page or a file of this epoch counts from now on."""
        if epoch:
            with self._mutex:
                self._epochs[dataset] = max(epoch, self._epochs.get(dataset, 0))

    def repeats(self, dataset: DatasetId, observation: str, epoch: int, batch: pa.RecordBatch) -> Repeats:
        """Trades without ids that equal some of earlier pages of their observation: row, and how many.

        So that the page can be merged apart from those before it, which may be in a file already.
        """
        with self._mutex:
            seen = self._seen.get(dataset, {}).get(observation)
            if seen is None or seen.epoch != epoch:
                return ()
            counts = seen.counts
            return tuple((row, counts[key]) for row, key in _keys(dataset, batch) if key in counts)

    def saw(self, dataset: DatasetId, observation: str, epoch: int, batch: pa.RecordBatch) -> None:
        """The page was written."""
        keys = _keys(dataset, batch)
        if not keys:
            return
        with self._mutex:
            known = self._seen.setdefault(dataset, {})
            seen = known.pop(observation, None)
            if seen is None or seen.epoch != epoch:  # rows from before a replacement may be dead: count anew
                seen = _Seen(epoch)
            known[observation] = seen
            while len(known) > _OBSERVATIONS:
                del known[next(iter(known))]
            seen.add([key for _, key in keys])


class _Seen:
    """How often one observation has seen equal trades, as far back as matters."""

    __slots__ = ("counts", "epoch", "size")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.counts: Counter[Key] = Counter()
        self.size = _KEYS

    def add(self, keys: list[Key]) -> None:
        """Count trades."""
        self.counts.update(keys)
        if len(self.counts) > self.size:
            oldest_us = max(key[0] for key in self.counts) - _REACH_US
            self.counts = Counter({key: no for key, no in self.counts.items() if key[0] >= oldest_us})
            self.size = 2 * len(self.counts) + _KEYS


def _keys(dataset: DatasetId, batch: pa.RecordBatch) -> list[tuple[int, Key]]:
    """Trades without an id, each with what it is compared by: time first."""
    if dataset.data_type is not DataType.TRADES:
        return []
    rows = pc.indices_nonzero(pc.and_(batch["tid_num"].is_null(), batch["tid"].is_null()))
    columns = [batch[name].take(rows) for name in _TWIN]
    columns[0] = columns[0].cast(pa.int64())
    return list(zip(rows.to_pylist(), zip(*(c.to_pylist() for c in columns), strict=True), strict=True))
