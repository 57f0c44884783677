"""``dccd gaps`` beside a data folder that is being recovered."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dccd.application import service_factory
from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import MINUTE_NS
from dccd.interfaces.cli.main import run
from dccd.interfaces.client import Client
from dccd.storage.fs import Entry, RealFileSystem
from dccd.storage.store import Store

BARS = DatasetId.parse("binance:BTC-USDT:ohlc:1m")
FEB = 1_706_745_600_000_000_000  # 2024-02-01
NAMES = ("open", "high", "low", "close", "volume")


class Disk(RealFileSystem):
    """A disk that lets a recovery begin when it is told to."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def entries(self, path: Path) -> list[Entry]:
        if path.parts[-2:] == (".dccd", "tmp"):
            assert self.go_on.wait(30)
        return super().entries(path)


def test_no_gaps_is_said_of_what_is_there_now(
    data_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "config.toml").touch()
    with closing(Store.open(data_path)) as store:
        store.add_asked(BARS, Interval(FEB, FEB + 10 * MINUTE_NS))
        log = store.begin_backfill(BARS, "run", source="binance")
        times = [FEB + minute * MINUTE_NS for minute in range(10)]
        log.append(
            {"ts": times} | dict.fromkeys(NAMES, [1.0] * 10), IntervalSet.of(FEB, times[-1] + MINUTE_NS)
        )
        log.finish()
        [file] = store.files(BARS)
    (data_path / file.path).unlink()  # somebody has taken it away since
    disk = Disk()
    monkeypatch.setattr(service_factory, "build_store", lambda path: Store.open(path, fs=disk, recover=False))
    send = Client.send

    async def answered_then(client: Client, *request: Any, **more: Any) -> Any:
        answer = await send(client, *request, **more)
        disk.go_on.set()
        return answer

    monkeypatch.setattr(Client, "send", answered_then)
    run(["gaps", "--config", str(tmp_path / "config.toml"), "--data-path", str(data_path)])
    printed = capsys.readouterr().out
    assert "its file is gone" in printed
    assert "No gaps" not in printed
