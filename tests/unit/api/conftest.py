"""A running API, with its runtime file in a folder of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.api.running import Running, config, running


@pytest.fixture(autouse=True)
def runtime_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder where runtime files go."""
    folder = tmp_path / "runtime"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder / "dccd"


@pytest.fixture
async def api(tmp_path: Path, data_path: Path) -> AsyncIterator[Running]:
    """Return a server over an empty data folder."""
    assert data_path.parent == tmp_path
    async with running(config(tmp_path)) as made:
        yield made
