"""A flipped bit or a cut in a journal costs the page that it is in and no other; its time is a gap."""

from __future__ import annotations

import os
import random
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.gaps import GapCause
from dccd.domain.timeutils import MINUTE_NS
from dccd.storage.frames import Frame
from dccd.storage.fs import RealFileSystem
from dccd.storage.journal import Journal
from dccd.storage.journal_scan import Hole
from dccd.storage.schema import to_batch
from dccd.storage.store import Store

ALL = os.environ.get("DCCD_DAMAGE") == "all"
FS = RealFileSystem()
BARS = DatasetId.parse("binance:BTC-USDT:ohlc:1m")
FUNDING = DatasetId.parse("binance:BTC-USDT:funding")
START = 1_706_745_600_000_000_000
PAGES = [(BARS, 0), (FUNDING, 0), (BARS, 5), (BARS, 10), (FUNDING, 5)]
ROWS = 5


def covered(first: int, count: int = ROWS) -> IntervalSet:
    return IntervalSet.of(START + first * MINUTE_NS, START + (first + count) * MINUTE_NS)


def page(dataset: DatasetId, first: int) -> dict[str, list[Any]]:
    times = [START + minute * MINUTE_NS for minute in range(first, first + ROWS)]
    values = [float(minute) for minute in range(first, first + ROWS)]
    names = ("open", "high", "low", "close", "volume") if dataset == BARS else ("rate",)
    return {"ts": times, **dict.fromkeys(names, values)}


@pytest.fixture
def written(tmp_path: Path) -> Journal:
    """A journal of five pages of two datasets."""
    journal = Journal.create(FS, tmp_path)
    for dataset, first in PAGES:
        journal.append(dataset, to_batch(dataset, page(dataset, first)), covered(first))
    journal.close()
    return journal


def judge(journal: Journal, pages: list[Frame], hit: int | None) -> None:
    """What is found must be the pages, whole, but for the one that was hit."""
    again = Journal.open(FS, journal.path)
    seqs = [frame.seq for frame in again.frames]
    assert seqs == [each.seq for each in pages if each.seq in seqs], "pages out of order, or twice"
    assert {each.seq for each in pages} - set(seqs) <= {hit}, "another page than the damaged one is gone"
    for frame in again.frames:
        dataset, first = PAGES[frame.seq - 1]
        assert frame.dataset == dataset
        assert frame.batch().equals(to_batch(dataset, page(dataset, first))), "other rows than were written"
        assert not frame.covered - covered(first)
        said = frame.covered | again.lost.get(dataset, IntervalSet())
        assert not covered(first) - said, "time that is neither covered nor lost"
    whole = bool(again.frames) and len(again.frames) == len(pages)
    assert bool(again.holes) or whole, "damage that nobody heard of"
    assert len(again.holes) <= 1
    again.close()


def test_a_flipped_bit_costs_one_page_at_most(written: Journal) -> None:
    rng = random.Random(1)
    good = written.path.read_bytes()
    for place in range(len(good)):
        if not ALL and place % 7:
            continue
        for bit in range(8) if ALL else [rng.randrange(8)]:
            damaged = bytearray(good)
            damaged[place] ^= 1 << bit
            written.path.write_bytes(damaged)
            hit = next((each.seq for each in written.frames if 0 <= place - each.offset < each.size), None)
            judge(written, written.frames, hit)


def test_a_zeroed_stretch_costs_the_pages_in_it(written: Journal) -> None:
    good = written.path.read_bytes()
    for first, last in ((2, 2), (2, 3), (1, 4), (4, 5)):
        start, end = written.frames[first - 1].offset, written.frames[last - 1]
        damaged = bytearray(good)
        damaged[start : end.offset + end.size] = bytes(end.offset + end.size - start)
        written.path.write_bytes(damaged)
        with closing(Journal.open(FS, written.path)) as again:
            assert [frame.seq for frame in again.frames] == [*range(1, first), *range(last + 1, 6)]
            assert again.holes == [Hole(start, end.offset + end.size - start)]
            # Nothing is known of what was there, so the next page of each dataset proves nothing.
            later = [frame for frame in again.frames if frame.seq > last]
            for dataset in {frame.dataset for frame in later}:
                assert not next(frame for frame in later if frame.dataset == dataset).covered


def test_a_cut_costs_the_pages_behind_it(written: Journal) -> None:
    good = written.path.read_bytes()
    for size in range(Journal.HEADER_SIZE, len(good), 1 if ALL else 17):
        written.path.write_bytes(good[:size])
        with closing(Journal.open(FS, written.path)) as again:
            kept = [each.seq for each in written.frames if each.offset + each.size <= size]
            assert [frame.seq for frame in again.frames] == kept
            assert bool(again.holes) == (size not in {each.offset for each in written.frames})


@pytest.mark.parametrize("part", ["header", "length", "meta", "rows"])
def test_what_a_start_does_about_a_damaged_page(tmp_path: Path, part: str) -> None:
    with closing(Store.open(tmp_path)) as store:
        log = store.begin_backfill(BARS, "run", source="binance")
        for first in (0, 5, 10):
            log.append(page(BARS, first), covered(first))
        other = store.begin_backfill(FUNDING, "run", source="binance")
        other.append(page(FUNDING, 0), covered(0))
    [path] = [each for each in (tmp_path / ".dccd" / "journal").iterdir() if b":ohlc:" in each.read_bytes()]
    data = bytearray(path.read_bytes())
    second = data.index(b"PAGE", data.index(b"PAGE") + 1)
    third = data.index(b"PAGE", second + 1)
    places = {"header": 9, "length": second + 5, "meta": data.index(b'"rows"', second), "rows": third - 40}
    place = places[part]
    data[place] ^= 0x20
    path.write_bytes(data)
    if part == "header":
        gone = lost = IntervalSet()
    elif part == "rows":
        gone = lost = covered(5)
    else:  # the head unread, nothing is known of the page, and the next one proves nothing
        gone, lost = covered(5, 10), covered(10)
    for _ in range(2):  # what was kept once is not kept again
        with closing(Store.open(tmp_path)) as store:
            rows = sum(batch.num_rows for batch in store.read(BARS))
            assert rows == (15 if part == "header" else 10)
            assert store.coverage(BARS).covered == covered(0, 15) - gone
            found = IntervalSet((gap.start_ns, gap.end_ns) for gap in store.gaps(BARS))
            assert found == lost
            assert {gap.cause for gap in store.gaps(BARS)} <= {GapCause.PUT_ASIDE.value}
            [problem] = store.problems
            assert problem.kept is not None
            assert problem.kept.read_bytes() in bytes(data)
            assert len(list(problem.kept.parent.iterdir())) == 1
            assert sum(batch.num_rows for batch in store.read(FUNDING)) == ROWS
    with closing(Store.open(tmp_path)) as store:
        store.publish()
        assert store.coverage(BARS).covered == covered(0, 15) - gone
        log = store.begin_backfill(BARS, "again", source="binance")
        log.append(page(BARS, 5), covered(5, 10))
        log.finish()
        assert store.coverage(BARS).covered == covered(0, 15)
        assert not store.gaps(BARS)
        assert sum(batch.num_rows for batch in store.read(BARS)) == 15
        assert not list((tmp_path / ".dccd" / "journal").glob("*.journal"))
    with closing(Store.open(tmp_path)) as store:
        assert store.problems == ()
