"""What rows prove of the time around them. What they do not prove stays a gap, and can be fetched."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import SPAN_TYPES
from dccd.domain.span import Span
from dccd.domain.types import DataType

pc: Any = pyarrow.compute  # its stubs refuse much of what the kernels take


class Proof:
    """What the pages of one dataset prove, given in order of time.

    A bar, or an observation of open interest, proves its own span, if it stands on the span's grid. Trades
    prove the time between two of them whose ids are consecutive. All else proves nothing: what lies between
    two fundings or two snapshots was not stored with them.

    Attributes
    ----------
    last_bar : tuple of int or None
        Open and end of the newest bar so far. It is not among what is proven: it may have been open when it
        was stored.
    off_grid : int
        Bars that open where none of that span does.
    """

    def __init__(self, data_type: DataType, span: Span | None) -> None:
        self._data_type, self._span = data_type, span
        self._run: tuple[int, int, int] | None = None  # where a run of ids began; its last time and id
        self.last_bar: tuple[int, int] | None = None
        self.off_grid = 0

    def add(self, rows: pa.Table) -> IntervalSet:
        """What a page, with those before it, newly proves.

        Parameters
        ----------
        rows : pa.Table
            `ts` in nanoseconds, ascending; for trades `tid_num`, if there are ids.
        """
        if not rows.num_rows:
            return IntervalSet()
        if self._data_type in SPAN_TYPES and self._span is not None:
            return self._bars(rows["ts"].combine_chunks(), self._span)
        if self._data_type is DataType.TRADES and "tid_num" in rows.column_names:
            return self._trades(rows.select(["ts", "tid_num"]))
        return IntervalSet()

    def _bars(self, ts: Any, span: Span) -> IntervalSet:
        if span.months:
            times = [t for t in ts.to_pylist() if span.floor(t) == t]
            self.off_grid += len(ts) - len(times)
            found = [(t, span.next(t)) for t in times]
        else:
            length = pa.scalar(span.nominal_ns, pa.int64())
            anchor = pa.scalar(span.floor(0), pa.int64())
            since = pc.subtract(ts, anchor)
            on_grid = pc.equal(pc.multiply(pc.divide(since, length), length), since)
            good = ts.filter(on_grid)
            self.off_grid += len(ts) - len(good)
            found = [(a, b + span.nominal_ns) for a, b in _runs(good, span.nominal_ns)]
        if not found:
            return IntervalSet()
        proven = IntervalSet(found if self.last_bar is None else [self.last_bar, *found])
        newest = found[-1][1]
        if span.months:
            self.last_bar = found[-1]
        else:
            self.last_bar = (newest - span.nominal_ns, newest)
        return proven - IntervalSet((self.last_bar,))

    def _trades(self, rows: pa.Table) -> IntervalSet:
        if rows["tid_num"].null_count:
            self._run = None
            return IntervalSet()
        rows = rows.sort_by([("ts", "ascending"), ("tid_num", "ascending")])
        ts, ids = (rows[name].combine_chunks() for name in ("ts", "tid_num"))
        breaks = [0, *(at + 1 for at in _breaks(ids, 1)), len(ids)]
        found: list[tuple[int, int]] = []
        for first, after in pairwise(breaks):
            began_ns, proven_ns = ts[first].as_py(), ts[first].as_py()
            if self._run is not None and first == 0 and ids[0].as_py() == self._run[2] + 1:
                began_ns, proven_ns = self._run[0], self._run[1]
            # Others of the very instant at which a run begins or ends may be missing.
            last_ns = ts[after - 1].as_py()
            found.append((max(began_ns + 1, proven_ns), last_ns))
            self._run = (began_ns, last_ns, ids[after - 1].as_py())
        return IntervalSet(found)


def _breaks(values: Any, step: int) -> list[int]:
    """After which places a value is not the one before it and a step."""
    if len(values) < 2:
        return []
    steps = pc.subtract(values.slice(1), values.slice(0, len(values) - 1))
    found: list[int] = pc.indices_nonzero(pc.not_equal(steps, step)).to_pylist()
    return found


def _runs(values: Any, step: int) -> list[tuple[int, int]]:
    """First and last value of each unbroken row of steps; a value twice breaks none."""
    values = pc.unique(values)
    if not len(values):
        return []
    breaks = _breaks(values, step)
    firsts, lasts = [0, *(at + 1 for at in breaks)], [*breaks, len(values) - 1]
    return [(values[a].as_py(), values[b].as_py()) for a, b in zip(firsts, lasts, strict=True)]
