"""A folder with a few bars in it, on a disk that can be made to refuse; for tests of several subjects."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import MINUTE_NS
from dccd.storage.fs import Entry, RealFileSystem
from dccd.storage.store import Store

BARS = DatasetId.parse("binance:BTC-USDT:ohlc:1m")
FEB = 1_706_745_600_000_000_000  # 2024-02-01
JANUARY, FEBRUARY = (-60, 0), (0, 60)


def bars(first: int, last: int) -> dict[str, Any]:
    minutes = range(first, last)
    names = ("open", "high", "low", "close", "volume")
    values = [float(minute) for minute in minutes]
    return {"ts": [FEB + m * MINUTE_NS for m in minutes], **dict.fromkeys(names, values)}


def span(first: int, last: int) -> IntervalSet:
    return IntervalSet.of(FEB + first * MINUTE_NS, FEB + last * MINUTE_NS)


def fill(store: Store, first: int, last: int) -> None:
    log = store.begin_backfill(BARS, "run", source="binance")
    log.append(bars(first, last), span(first, last), None)
    log.finish()


def opens(store: Store) -> list[Any]:
    return [value for batch in store.read(BARS) for value in batch["open"].to_pylist()]


def causes(store: Store) -> dict[str, IntervalSet]:
    found: dict[str, IntervalSet] = {}
    for gap in store.gaps(BARS):
        found[gap.cause] = found.get(gap.cause, IntervalSet()) | IntervalSet.of(gap.start_ns, gap.end_ns)
    return found


class Disk(RealFileSystem):
    """A disk that can be made to refuse some paths, or to wait before it lists the journals."""

    def __init__(self) -> None:
        self.refuses: Callable[[Path], bool] = lambda _path: False
        self.go_on = threading.Event()
        self.go_on.set()
        self.waits = threading.Event()

    def _check(self, path: Path) -> None:
        if self.refuses(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

    def source(self, path: Path) -> pa.NativeFile:
        self._check(path)
        return super().source(path)

    def entries(self, path: Path) -> list[Entry]:
        if path.name == "journal":
            self.waits.set()
            assert self.go_on.wait(30)
        self._check(path)
        return super().entries(path)


@pytest.fixture
def stored(data_path: Path) -> Path:
    """A data folder with two files, all of which was asked for."""
    with closing(Store.open(data_path)) as store:
        store.add_asked(BARS, Interval(FEB - 60 * MINUTE_NS, FEB + 60 * MINUTE_NS))
        fill(store, *JANUARY)
        fill(store, *FEBRUARY)
    return data_path


def january(data_path: Path) -> Path:
    return data_path / BARS.folder / "2024-01.parquet"
