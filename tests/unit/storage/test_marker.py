"""The file that says whose a data folder is: whatever becomes of it, a folder of ours stays one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dccd.domain.errors import DataFolderLocked, DataFolderUnusable
from dccd.storage.fs import RealFileSystem
from dccd.storage.layout import Layout, mark, refuse_foreign
from dccd.storage.marker import FORMAT, Marker, read_marker, write_marker
from dccd.storage.store import Store
from tests.faults.story import BARS, bars, minutes

FS = RealFileSystem()


def damaged(data: bytes) -> Iterator[bytes]:
    """Every flipped bit, and every length."""
    for at in range(len(data) * 8):
        yield data[: at // 8] + bytes([data[at // 8] ^ 1 << at % 8]) + data[at // 8 + 1 :]
    for size in range(len(data)):
        yield data[:size]


@pytest.fixture
def layout(data_path: Path) -> Layout:
    """Of a folder that holds some bars."""
    with closing(Store.open(data_path)) as store:
        log = store.begin_backfill(BARS, "run", source="binance")
        log.append(bars(0, 9), minutes(0, 9), None)
        log.finish()
    return Layout(data_path)


def test_no_damage_makes_a_folder_of_ours_anothers(layout: Layout) -> None:
    whole = layout.marker.read_bytes()
    for data in damaged(whole):
        layout.marker.write_bytes(data)
        refuse_foreign(FS, layout)
        marker = read_marker(FS, layout.marker)
        assert marker is not None
        assert (marker.format, marker.moved_to) == (FORMAT, None)
        if len(data) < len(whole):
            mark(FS, layout)
            assert layout.marker.read_bytes() == whole


def test_damage_never_sends_anybody_to_a_folder_that_is_not_the_right_one(layout: Layout) -> None:
    there = layout.data_path.parent / "there"
    write_marker(FS, layout.marker, moved_to=there)
    assert read_marker(FS, layout.marker) == Marker(FORMAT, there, sealed=True)
    for data in damaged(layout.marker.read_bytes()):
        layout.marker.write_bytes(data)
        marker = read_marker(FS, layout.marker)
        assert marker is not None
        assert (marker.format, marker.moved_to) in {(FORMAT, None), (FORMAT, there)}


@pytest.mark.parametrize("number", ["3", "5", "9", "91"])
def test_a_format_that_nobody_wrote_is_written_anew(layout: Layout, number: str) -> None:
    whole = layout.marker.read_text()
    layout.marker.write_text(whole.replace('"format": 1', f'"format": {number}'))
    with closing(Store.open(layout.data_path)) as store:
        assert layout.marker.read_text() == whole
        assert store.info(BARS).rows == 9


def test_an_older_marker_is_read_and_sealed(layout: Layout) -> None:
    whole = layout.marker.read_text()
    layout.marker.write_text('{"program": "dccd-desktop", "format": 1}')
    Store.open(layout.data_path).close()
    assert layout.marker.read_text() == whole
    assert json.loads(whole).keys() == {"program", "format", "crc32"}


def test_a_newer_programs_marker_is_left_alone(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        newer.setattr("dccd.storage.marker.FORMAT", 3)
        write_marker(FS, layout.marker)
    before = layout.marker.read_bytes()
    with pytest.raises(DataFolderUnusable, match=r"newer version of this program \(format 3\)"):
        Store.open(layout.data_path)
    assert layout.marker.read_bytes() == before


def test_a_damaged_marker_is_left_to_who_holds_the_lock(layout: Layout) -> None:
    with closing(Store.open(layout.data_path)):
        layout.marker.write_bytes(b"{")
        with pytest.raises(DataFolderLocked):
            Store.open(layout.data_path)
        assert layout.marker.read_bytes() == b"{"
