"""What ``dccd status`` says of a program that recovers its data folder."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from dccd.interfaces.api.runtime_file import RuntimeInfo
from dccd.interfaces.cli import status


@pytest.mark.parametrize(
    ("recovering", "said"),
    [
        ({"step": "reading journals", "done": 1000, "total": 9000}, "reading journals (1,000 of 9,000)"),
        ({"step": "starting", "done": 0, "total": None}, "recovering what the last run left: starting\n"),
        (None, ""),
    ],
)
async def test_status_says_how_far_a_recovery_is(
    recovering: dict[str, object] | None,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    health = {"version": "1", "data_path": str(tmp_path), "uptime_s": 3.0, "running": 0, "disk": None}
    health |= {"problems": ["A file was put aside."], "recovering": recovering}

    async def answer(*_: object) -> dict[str, object]:
        return health

    monkeypatch.setattr(status, "read_runtime_file", lambda _path: RuntimeInfo(url="u", secret="s", pid=1))
    monkeypatch.setattr(status, "_ask", answer)
    await status.status(argparse.Namespace(json=False, data_path=tmp_path))
    printed = capsys.readouterr().out
    assert said in printed
    assert ("recovering" in printed) == (recovering is not None)
    assert "problem: A file was put aside." in printed
