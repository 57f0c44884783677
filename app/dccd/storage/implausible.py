"""Rows whose times cannot be: kept apart with a reason, so that one of them costs no page."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute

from dccd.domain.dataset import DatasetId
from dccd.domain.errors import StorageError
from dccd.domain.records import Columns
from dccd.domain.timeutils import DAY_NS
from dccd.storage.fs import FileSystem, in_words
from dccd.storage.layout import Layout
from dccd.storage.quarantine import Problem, Quarantine
from dccd.storage.schema import UNREADABLE, as_array

pc: Any = pyarrow.compute  # its stubs refuse much of what the kernels take

EARLIEST_NS = 1_230_940_800_000_000_000  # 2009-01-03, the day of Bitcoin's first block
AHEAD_NS = DAY_NS
REMEMBERED = 10_000  # rows of a dataset that are not kept twice; with a wrong clock all are implausible

NO_TIME = "no time that can be read"
TOO_EARLY = "a time before 2009-01-03"
TOO_LATE = "a time more than a day ahead of this computer's clock"


class ImplausibleRows:
    """Takes rows with implausible times out of pages, and keeps them. Thread-safe."""

    def __init__(
        self,
        fs: FileSystem,
        layout: Layout,
        quarantine: Quarantine,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._fs, self._layout, self._quarantine, self._clock_ns = fs, layout, quarantine, clock_ns
        self._mutex = threading.Lock()
        self._kept: dict[DatasetId, tuple[Path, set[bytes]]] = {}
        self._problems: dict[tuple[DatasetId, str], tuple[int, Problem]] = {}

    @property
    def problems(self) -> tuple[Problem, ...]:
        """One for each dataset and reason, with how many rows there were."""
        with self._mutex:
            return tuple(problem for _, problem in self._problems.values())

    def take_out(self, dataset: DatasetId, columns: Columns, source: str) -> tuple[Columns, bool]:
        """The rows of a page whose times are plausible, and whether those are all.

        Plausible is from 2009-01-03 to a day after now. The others are in the quarantine, durably, when this
        returns: as lines of JSON, each with its reason.

        Raises
        ------
        StorageError
            The columns are no rows, or the disk refused.
        """
        ts = columns.get("ts")
        if ts is None or not len(ts):
            return columns, True
        latest_ns = self._clock_ns() + AHEAD_NS
        try:
            times = as_array(ts, pa.int64())
        except UNREADABLE:
            times = None
        if times is not None and not times.null_count:
            bounds = pc.min_max(times).as_py()
            if bounds["min"] >= EARLIEST_NS and bounds["max"] <= latest_ns:
                return {**columns, "ts": times}, True  # type: ignore[dict-item]
        reasons = [_reason(value, latest_ns) for value in _values(ts)]
        if any(len(values) != len(reasons) for values in columns.values()):
            raise StorageError(f"Rows for {dataset}: the columns have different lengths.")
        bad = [row for row, reason in enumerate(reasons) if reason]
        if bad:
            self._keep(dataset, source, [(reasons[row], _row(columns, row)) for row in bad])
        rest = [row for row, reason in enumerate(reasons) if not reason]
        return {name: _chosen(values, rest) for name, values in columns.items()}, not bad

    def _keep(
        self, dataset: DatasetId, source: str, rows: Sequence[tuple[str, Mapping[str, object]]]
    ) -> None:
        lines = {
            json.dumps(
                {"dataset": str(dataset), "source": source, "reason": reason, "row": row}, default=str
            ).encode(): reason
            for reason, row in rows
        }
        with self._mutex:
            known = self._kept.get(dataset)
            new = [line for line in lines if known is None or line not in known[1]]
            if not new:
                return  # the same page, fetched again
            data = b"".join(line + b"\n" for line in new)
            if known is None:
                known = self._quarantine.begin(f"rows of {dataset}.jsonl".replace(":", "~"), data), set()
                self._kept[dataset] = known
            else:
                with in_words(f"putting rows of {dataset} aside"):
                    file = self._fs.open(known[0], write=True)
                    size = file.size
                    try:
                        file.append(data)
                        file.sync()
                    except BaseException:
                        with suppress(OSError):
                            file.truncate(size)
                        raise
                    finally:
                        file.close()
            if len(known[1]) + len(new) > REMEMBERED:
                known[1].clear()
            known[1].update(new)
            for reason, count in Counter(lines[line] for line in new).items():
                before = self._problems.get((dataset, reason), (0, None))[0]
                self._problems[dataset, reason] = (
                    before + count,
                    _problem(dataset, before + count, reason, known[0]),
                )


def _problem(dataset: DatasetId, count: int, reason: str, kept: Path) -> Problem:
    were = f"1 row of {dataset} was" if count == 1 else f"{count:,} rows of {dataset} were"
    return Problem(f"{were} put aside, with {reason}. What their pages were to prove counts as a gap.", kept)


def _values(ts: Any) -> list[object]:
    return ts.to_pylist() if isinstance(ts, pa.Array | pa.ChunkedArray) else list(ts)


def _reason(value: object, latest_ns: int) -> str:
    """Why a time is implausible, empty when it is not."""
    try:
        [ts_ns] = as_array([value], pa.int64()).to_pylist()
    except UNREADABLE:
        ts_ns = value  # an integer that is too large for one, or nothing that says a time
    if not isinstance(ts_ns, int):
        return NO_TIME
    if ts_ns < EARLIEST_NS:
        return TOO_EARLY
    return TOO_LATE if ts_ns > latest_ns else ""


def _row(columns: Columns, row: int) -> dict[str, object]:
    found = {}
    for name, values in columns.items():
        value: Any = values[row]
        found[name] = value.as_py() if isinstance(value, pa.Scalar) else value
    return found


def _chosen(values: Any, rows: list[int]) -> Sequence[object]:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values.take(pa.array(rows, pa.int64()))  # type: ignore[return-value]
    return [values[row] for row in rows]
