"""Where the files of an archive lie until they are read."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath
from typing import Any

import pytest

from dccd.sources.base import Request
from dccd.transport.downloads import Downloads


@pytest.mark.parametrize(
    "symbol", ["BTCUSDT", r"..\..\BTC", "C:BTC", "BTC/../../x", "币安", "X" * 300, "BTC\n", "a?b*c"]
)
def test_no_symbol_leads_out_of_the_folder(tmp_path: Path, symbol: str) -> None:
    nobody: Any = None
    place = Downloads("test", nobody, tmp_path)._place(Request("archive", f"/{symbol}-2025-01-01.zip"))
    assert place.parent == tmp_path
    assert place.suffix == ".zip"
    assert PureWindowsPath(place.name).parts == (place.name,)
    assert place.name.isprintable()
    assert len(place.name.encode()) < 200


def test_two_files_of_one_name_lie_apart(tmp_path: Path) -> None:
    nobody: Any = None
    downloads = Downloads("test", nobody, tmp_path)
    paths = ("/a/x.zip", "/b/x.zip", "/b/\\x.zip")
    assert len({downloads._place(Request("archive", path)) for path in paths}) == 3
