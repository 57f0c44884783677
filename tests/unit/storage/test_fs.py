from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dccd.storage.fs import File, RealFileSystem

LATE: list[Callable[[File], object]] = [
    lambda file: file.append(b"late"),
    lambda file: file.read_at(0, 5),
    lambda file: file.truncate(0),
    lambda file: file.sync(),
]


@pytest.mark.parametrize("late", LATE, ids=["append", "read", "truncate", "sync"])
def test_a_closed_file_touches_no_other(tmp_path: Path, late: Callable[[File], object]) -> None:
    fs = RealFileSystem()
    closed = fs.create(tmp_path / "closed")
    closed.close()
    other = fs.create(tmp_path / "other")  # the system gives it the descriptor that has become free
    other.append(b"other")
    with pytest.raises(OSError, match="Bad file descriptor"):
        late(closed)
    closed.close()
    assert other.read_at(0, 9) == b"other"
    other.close()
    assert (tmp_path / "other").read_bytes() == b"other"
