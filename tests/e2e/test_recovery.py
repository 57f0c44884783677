"""A real process started beside journals that no file has: it answers, recovers, publishes."""

from __future__ import annotations

from pathlib import Path

import pytest

from dccd.storage.store import Store
from tests.bench.recovery import fill, measure


@pytest.fixture(autouse=True)
def runtime_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the runtime file of the process in a folder of the test's own."""
    (tmp_path / "runtime").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_what_journals_hold_is_in_files_after_a_start(data_path: Path) -> None:
    made = fill(data_path, 3_000_000, 1_000, 2)
    took = measure(data_path)
    assert took["answers_s"] <= took["recovered_s"] <= took["published_s"]
    store = Store.open(data_path)
    assert sum(info.rows for info in store.inventory()) == made["rows"]
    assert sum(file.rows for info in store.inventory() for file in store.files(info.dataset)) == made["rows"]
    assert store.problems == ()
    store.close()
