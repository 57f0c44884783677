"""A flipped bit or a cut anywhere in a period file: an error in words, never other rows than were stored."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import CorruptFile
from dccd.domain.records import SCHEMAS, Column, Kind
from dccd.domain.timeutils import S_NS
from dccd.storage.footer import FileInfo
from dccd.storage.fs import RealFileSystem
from dccd.storage.layout import Layout
from dccd.storage.period_file import file_units, read_file_info
from dccd.storage.store import Store

ALL = os.environ.get("DCCD_DAMAGE") == "all"
START = 1_706_745_600_000_000_000
DATASETS = [
    DatasetId.parse(text)
    for text in (
        "binance:BTC-USDT:ohlc:1m",
        "binance:BTC-USDT:trades",
        "binance:BTC-USDT:orderbook:50",
        "binance:BTC-USDT:book_updates",
        "binance:BTC-USDT:funding",
        "binance:BTC-USDT:open_interest:5m",
    )
]


def rows_of(dataset: DatasetId, count: int) -> dict[str, list[Any]]:
    """Rows with something in each column, nulls in those that may be null."""

    def value(column: Column, row: int) -> object:
        if column.nullable and row % 3 == 1:
            return None
        match column.kind:
            case Kind.TIME:
                return START + row * S_NS
            case Kind.FLOAT:
                return 0.1 + row
            case Kind.INT:
                return row
            case Kind.SIDE:
                return ("bid", "ask")[row % 2]
            case Kind.BOOL:
                return row % 2 == 0
            case _:
                return f"text {row}"

    columns = [column for column in SCHEMAS[dataset.data_type].columns if column.kind is not Kind.SUB_NS]
    return {column.name: [value(column, row) for row in range(count)] for column in columns}


class Stored:
    """One small period file, and what it says."""

    def __init__(self, folder: Path, dataset: DatasetId) -> None:
        store = Store.open(folder)
        log = store.begin_backfill(dataset, "run", source="binance")
        log.append(rows_of(dataset, 40), IntervalSet.of(START, START + 60 * S_NS))
        log.finish()
        [self.info] = store.files(dataset)
        store.close()
        self.fs, self.layout = RealFileSystem(), Layout(folder)
        self.path = folder / self.info.path
        self.whole = self.path.read_bytes()
        self.rows = self.read(self.info)

    def read(self, info: FileInfo) -> pa.Table:
        """The rows, by way of what an index remembers of the file."""
        with file_units(self.fs, self.layout, info) as units:
            assert [(unit.min_us * 1000, unit.max_us * 1000) for unit in units] == [
                (self.info.first_ns, self.info.last_ns)
            ]
            return pa.concat_tables([unit.load() for unit in units])

    def judge(self, damaged: bytes) -> bool:
        """Whether the damage was noticed; if not, nothing may differ."""
        self.path.write_bytes(damaged)
        noticed = 0
        for look in (self._as_known, self._as_found):
            try:
                look()
            except CorruptFile as error:
                noticed += self.info.path in str(error)
        return noticed == 2

    def _as_known(self) -> None:
        assert self.read(self.info).equals(self.rows), "other rows than were stored"

    def _as_found(self) -> None:
        info = read_file_info(self.fs, self.layout, self.info.path)
        assert info.footer == self.info.footer
        assert self.read(info).equals(self.rows), "other rows than were stored"


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.data_type.value)
def test_no_flipped_bit_is_served(tmp_path: Path, dataset: DatasetId) -> None:
    stored = Stored(tmp_path, dataset)
    rng = random.Random(1)
    for place in range(0, len(stored.whole), 1 if ALL else 13):
        for bit in range(8) if ALL else [rng.randrange(8)]:
            damaged = bytearray(stored.whole)
            damaged[place] ^= 1 << bit
            noticed = stored.judge(bytes(damaged))
            # Within the data a few bits mean nothing (statistics in the header of a page).
            assert noticed or place < stored.info.footer.data_size, f"bit {bit} of byte {place}"


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.data_type.value)
def test_no_file_cut_short_is_served(tmp_path: Path, dataset: DatasetId) -> None:
    stored = Stored(tmp_path, dataset)
    for size in range(0, len(stored.whole), 1 if ALL else 61):
        assert stored.judge(stored.whole[:size]), f"{size} of {len(stored.whole)} bytes"


@pytest.mark.parametrize("size", [1, 8, 64, 512])
def test_no_overwritten_stretch_is_served(tmp_path: Path, size: int) -> None:
    stored = Stored(tmp_path, DATASETS[1])
    rng = random.Random(size)
    for _ in range(500 if ALL else 20):
        damaged = bytearray(stored.whole)
        at = rng.randrange(len(damaged) - size)
        damaged[at : at + size] = rng.choice([bytes(size), b"\xff" * size, rng.randbytes(size)])
        stored.judge(bytes(damaged))
