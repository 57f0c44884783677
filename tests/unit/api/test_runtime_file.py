"""How other programs of the user find the running one."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dccd.domain.errors import StorageError
from dccd.interfaces.api import runtime_file
from dccd.interfaces.api.runtime_file import read_runtime_file, remove_runtime_file, write_runtime_file
from dccd.storage.store import Store
from tests.unit.api.running import Running, client

posix = pytest.mark.skipif(sys.platform == "win32", reason="a profile's folders are private on Windows")


async def test_the_file_says_where_the_program_is_while_it_runs(api: Running) -> None:
    found = read_runtime_file(api.service.data_path)
    assert found is not None
    assert (found.url, found.secret, found.pid) == (api.server.url, api.server.secret, os.getpid())
    async with client(found.url, found.secret) as other:
        assert (await other.get("/api/health")).status_code == 200
    await api.server.stop()
    assert read_runtime_file(api.service.data_path) is None


def test_a_file_left_behind_is_not_believed(data_path: Path) -> None:
    write_runtime_file(data_path, "http://127.0.0.1:1", "s")
    assert read_runtime_file(data_path) is None


async def test_a_file_of_another_process_is_not_believed(
    api: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)
    write_runtime_file(api.service.data_path, "http://127.0.0.1:1", "s")
    assert read_runtime_file(api.service.data_path) is None


@pytest.fixture
def held(data_path: Path) -> Iterator[Path]:
    """Return a data folder whose lock this process holds, with a runtime file that is believed."""
    store = Store.open(data_path)
    write_runtime_file(data_path, "http://127.0.0.1:1", "s")
    assert read_runtime_file(data_path) is not None
    yield data_path
    store.close()


@posix
def test_only_its_user_can_read_it(held: Path, runtime_folder: Path) -> None:
    (file,) = runtime_folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(runtime_folder.stat().st_mode) == 0o700
    file.chmod(0o644)
    assert read_runtime_file(held) is None


@posix
def test_a_link_put_in_its_place_is_not_followed(held: Path, runtime_folder: Path) -> None:
    (file,) = runtime_folder.iterdir()
    elsewhere = file.rename(file.parent.parent / "elsewhere.json")
    file.symlink_to(elsewhere)
    assert read_runtime_file(held) is None


def test_each_data_folder_has_a_file_of_its_own(data_path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    first, second = (write_runtime_file(path, "http://127.0.0.1:1", "s") for path in (data_path, other))
    assert first != second
    assert write_runtime_file(data_path / ".." / data_path.name, "http://127.0.0.1:2", "s") == first
    remove_runtime_file(data_path)
    remove_runtime_file(data_path)
    assert not first.exists()
    assert second.exists()


def test_a_runtime_folder_that_cannot_be_written_gives_way_to_the_cache(
    data_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    fallback = tmp_path / "cache"
    monkeypatch.setattr(runtime_file, "_folders", lambda: (in_the_way / "dccd", fallback))
    assert write_runtime_file(data_path, "http://127.0.0.1:1", "s").parent == fallback
    monkeypatch.setattr(runtime_file, "_folders", lambda: (in_the_way / "dccd", in_the_way / "run"))
    with pytest.raises(StorageError, match="Make one of these folders writable"):
        write_runtime_file(data_path, "http://127.0.0.1:1", "s")
