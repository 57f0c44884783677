"""What checks have confirmed, kept beside the data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dccd.domain.errors import StorageError
from dccd.domain.types import DataType, Market, Transport
from dccd.storage.confirmed import Confirmation, Confirmations
from dccd.storage.fs import File, RealFileSystem

BARS = Confirmation("okx", DataType.OHLC, Market.SPOT, Transport.REST, "okx:BTC-USDT:ohlc:1h", 5, 480)
CONTRACTS = replace(BARS, market=Market.LINEAR, dataset="okx:BTC-USDT_USDT:ohlc:1h")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".dccd").mkdir()
    return tmp_path


def test_the_newest_of_each_kind_is_kept(folder: Path) -> None:
    assert Confirmations(folder).read() == []
    Confirmations(folder).note(BARS, passed=True)
    Confirmations(folder).note(CONTRACTS, passed=True)
    later = replace(BARS, dataset="okx:ETH-USDT:ohlc:1h", checked_ns=6)
    Confirmations(folder).note(later, passed=True)
    assert Confirmations(folder).read() == [CONTRACTS, later]


def test_a_check_that_finds_a_difference_takes_it_back(folder: Path) -> None:
    for made in (BARS, CONTRACTS):
        Confirmations(folder).note(made, passed=True)
    Confirmations(folder).note(replace(BARS, dataset="okx:ETH-USDT:ohlc:1h"), passed=False)
    assert Confirmations(folder).read() == [CONTRACTS]


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b'[{"exchange": "okx"}]', b"{}"])
def test_of_a_damaged_file_nothing_is_believed_and_the_next_check_is_kept(
    folder: Path, content: bytes
) -> None:
    (folder / ".dccd" / "confirmed.json").write_bytes(content)
    assert Confirmations(folder).read() == []
    Confirmations(folder).note(BARS, passed=True)
    assert Confirmations(folder).read() == [BARS]


class FullDisk(RealFileSystem):
    def create(self, path: Path) -> File:
        raise OSError(28, "No space left on device")


def test_on_a_full_disk_what_was_known_stays(folder: Path) -> None:
    Confirmations(folder).note(BARS, passed=True)
    with pytest.raises(StorageError):
        Confirmations(folder, FullDisk()).note(CONTRACTS, passed=True)
    assert Confirmations(folder).read() == [BARS]
