from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import CorruptFile, StorageError
from dccd.domain.timeutils import DAY_NS
from dccd.storage.fs import RealFileSystem
from dccd.storage.journal import Journal
from dccd.storage.schema import to_batch

TRADES = DatasetId.parse("kraken:BTC-USD:trades")
OTHER = DatasetId.parse("kraken:ETH-USD:trades")
DAY = 1_704_067_200_000_000_000
FS = RealFileSystem()


def rows(first: int, count: int) -> pa.RecordBatch:
    numbers = range(first, first + count)
    return to_batch(
        TRADES,
        {
            "ts": [DAY + n * 1000 for n in numbers],
            "price": [1.0 * n for n in numbers],
            "amount": [1.0] * count,
        },
    )


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.create(FS, tmp_path)


def test_pages_come_back_as_they_went_in(journal: Journal) -> None:
    journal.append(TRADES, rows(0, 3), IntervalSet.of(DAY, DAY + 3000), "next", source="kraken")
    journal.append(OTHER, rows(3, 2), IntervalSet(), observation="session")
    journal.close()
    again = Journal.open(FS, journal.path)
    first, second = again.frames
    assert again.id == journal.id
    assert (again.holes, again.lost) == ([], {})
    assert (first.seq, first.dataset, first.rows, first.cursor, first.source) == (
        1,
        TRADES,
        3,
        "next",
        "kraken",
    )
    assert first.covered == IntervalSet.of(DAY, DAY + 3000)
    assert (second.seq, second.dataset) == (2, OTHER)
    assert first.batch().equals(rows(0, 3))
    assert second.batch().equals(rows(3, 2))
    again.close()


def test_which_periods_a_page_has_rows_for(journal: Journal) -> None:
    times = [DAY - 1000, DAY, DAY + 1000, DAY + 2 * DAY_NS]
    frame = journal.append(
        TRADES, to_batch(TRADES, {"ts": times, "price": [1.0] * 4, "amount": [1.0] * 4}), IntervalSet()
    )
    expected = {"2023-12-31": 1, "2024-01-01": 2, "2024-01-03": 1}
    assert {period.name: count for period, count in frame.rows_due.items()} == expected
    journal.close()
    again = Journal.open(FS, journal.path)
    assert {period.name: count for period, count in again.frames[0].rows_due.items()} == expected
    again.close()


@pytest.mark.parametrize("cut", [1, 10, 40, 200])
def test_a_torn_end_is_no_page(journal: Journal, cut: int) -> None:
    journal.append(TRADES, rows(0, 3), IntervalSet())
    whole = journal.size
    journal.append(TRADES, rows(3, 3), IntervalSet())
    journal.close()
    data = journal.path.read_bytes()[:-cut]
    journal.path.write_bytes(data)
    again = Journal.open(FS, journal.path)
    assert [frame.seq for frame in again.frames] == [1]
    assert [hole[:2] for hole in again.holes] == [(whole, len(data) - whole)]
    assert again.read_hole(again.holes[0]) == data[whole:]
    again.close()


def test_every_flipped_bit_is_seen(journal: Journal) -> None:
    journal.append(TRADES, rows(0, 2), IntervalSet.of(DAY, DAY + 1))
    start = journal.size
    journal.append(TRADES, rows(2, 1), IntervalSet())
    journal.close()
    good = journal.path.read_bytes()
    for place in range(start, len(good)):
        journal.path.write_bytes(good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :])
        again = Journal.open(FS, journal.path)
        seqs = [frame.seq for frame in again.frames]
        harmless = (
            start <= place < start + 4 or start + 8 <= place < start + 12
        )  # the mark, the head's own CRC
        assert seqs == ([1, 2] if harmless else [1]), place
        again.close()


def test_a_page_of_another_journal_is_no_page(journal: Journal, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Journal.create(FS, tmp_path / "other")
    for each in (journal, other):
        each.append(TRADES, rows(0, 1), IntervalSet())
        each.close()
    head = Journal.HEADER_SIZE
    journal.path.write_bytes(journal.path.read_bytes()[:head] + other.path.read_bytes()[head:])
    again = Journal.open(FS, journal.path)
    assert again.frames == []
    again.close()


def test_a_file_without_our_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    path.write_bytes(b"something else, long enough to be a header")
    with pytest.raises(CorruptFile, match="no readable header"):
        Journal.open(FS, path)


def test_a_retired_journal_stays_while_it_is_read(journal: Journal) -> None:
    frame = journal.append(TRADES, rows(0, 2), IntervalSet())
    journal.pin()
    journal.retire()
    assert journal.path.exists()
    assert frame.batch().num_rows == 2
    with pytest.raises(StorageError, match="published"):
        journal.append(TRADES, rows(2, 1), IntervalSet())
    journal.unpin()
    assert not journal.path.exists()


def test_a_journal_that_cannot_be_removed_disturbs_no_reader(tmp_path: Path, caplog: Any) -> None:
    class Disk(RealFileSystem):
        def remove(self, path: Path) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

    journal = Journal.create(Disk(), tmp_path)
    journal.append(TRADES, rows(0, 1), IntervalSet())
    journal.pin()
    journal.retire()
    journal.unpin()
    assert "Permission denied" in caplog.text
    assert journal.path.exists()
