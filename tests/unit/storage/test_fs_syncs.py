"""That syncing reaches the operating system, for the right file and in the right order."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import MINUTE_NS
from dccd.storage.store import Store

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="names the files of descriptors through /proc"
)

BARS = DatasetId.parse("binance:BTC-USDT:ohlc:1m")
FEB = 1_706_745_600_000_000_000  # 2024-02-01
BAR: dict[str, list[Any]] = {
    "ts": [FEB],
    **{name: [1.0] for name in ("open", "high", "low", "close", "volume")},
}
COVERED = IntervalSet.of(FEB, FEB + MINUTE_NS)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """What the system was asked to make durable or to rename, in order; each call is made as well."""
    made: list[tuple[str, Path]] = []
    fdatasync, fsync, replace = os.fdatasync, os.fsync, os.replace

    def path_of(descriptor: int) -> Path:
        return Path(f"/proc/self/fd/{descriptor}").readlink()

    def noted_fdatasync(descriptor: int) -> None:
        made.append(("sync", path_of(descriptor)))
        fdatasync(descriptor)

    def noted_fsync(descriptor: int) -> None:
        made.append(("sync", path_of(descriptor)))
        fsync(descriptor)

    def noted_replace(source: Any, target: Any) -> None:
        made.append(("rename from", Path(source)))
        made.append(("rename to", Path(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fdatasync", noted_fdatasync)
    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    return made


def test_every_step_reaches_the_disk_before_the_next(data_path: Path, calls: list[tuple[str, Path]]) -> None:
    store = Store.open(data_path)
    journals = store.data_path / ".dccd" / "journal"
    log = store.begin_backfill(BARS, "run", source="binance")
    calls.clear()
    log.append(BAR, COVERED)
    [journal] = journals.iterdir()
    assert calls == [("sync", journal), ("sync", journals)]  # its header, and its name
    calls.clear()
    log.sync()
    assert calls == [("sync", journal)]
    log.sync()
    assert calls == [("sync", journal)], "nothing was added, and it was synced again"
    calls.clear()
    log.finish()
    store.close()
    file = store.data_path / store.files(BARS)[0].path
    [temporary] = [path for what, path in calls if what == "rename from"]
    assert temporary.parent == store.data_path / ".dccd" / "tmp"
    made = [(what, path) for what, path in calls if path in (temporary, file, file.parent, journals)]
    assert made == [
        ("sync", temporary),
        ("rename from", temporary),
        ("rename to", file),
        ("sync", file.parent),
        ("sync", journals),  # the journal is removed last
    ]
    for folder in file.parent.relative_to(store.data_path).parents:
        assert ("sync", store.data_path / folder) in calls, (
            f"the name of what lies in {folder} is not durable"
        )


def test_a_page_is_synced_before_it_is_published(data_path: Path, calls: list[tuple[str, Path]]) -> None:
    store = Store.open(data_path)
    log = store.begin_backfill(BARS, "run", source="binance")
    log.append(BAR, COVERED)
    [journal] = (store.data_path / ".dccd" / "journal").iterdir()
    calls.clear()
    log.finish()
    store.close()
    assert calls.index(("sync", journal)) < [what for what, _path in calls].index("rename from")
