"""One table of exit statuses, kept by every command that ends with a run."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dccd.domain.errors import DccdError, UsageError
from dccd.interfaces.cli.main import run
from dccd.interfaces.cli.statuses import DONE, FAILED, INTERRUPTED, WRONG_USE, status_of_error
from tests.unit.api.test_problems import every_error

ID = "binance:BTC-USDT:ohlc:1h"
HOURLY = ("binance", "BTC/USDT", "--span", "1h")
COMMANDS: dict[str, tuple[str, ...]] = {
    "backfill": ("backfill", *HOURLY),
    "check": ("check", *HOURLY),
    "check all": ("check", "all"),
    "audit": ("audit", *HOURLY),
    "export": ("export", *HOURLY, "--to", "out"),
    "verify": ("verify", *HOURLY),
    "verify --json": ("verify", *HOURLY, "--json"),
    "adopt": ("adopt", "old"),
    "move": ("move", "new"),
    "doctor": ("doctor", "binance"),
    "repair": ("repair", *HOURLY),
    "gaps --fill": ("gaps", *HOURLY, "--fill"),
}
ENDINGS: dict[str, tuple[str, str | None, int]] = {
    "succeeded": ("succeeded", None, DONE),
    "cancelled": ("cancelled", None, INTERRUPTED),
    "network": ("failed", "network", FAILED),
    "disk full": ("failed", "disk_full", FAILED),
    "the program was ended": ("interrupted", None, FAILED),
    "no capability": ("failed", "no_capability", WRONG_USE),
    "wrong range": ("failed", "invalid_range", WRONG_USE),
}
# All of them have it when they succeed; `faults` is how many differences or errors were found.
RESULT: dict[str, Any] = {
    "dataset": ID,
    "seed": 1,
    "rows": 1,
    "equal": 1,
    "windows": [],
    "skipped": [],
    "unconfirmed": 0,
    "evidence": "recorded",
    "passed": True,
    "doubted": [],
    "datasets": [],
    "findings": [],
    "works": 1,
    "not_taken": [],
    "not_taken_count": 0,
    "config": None,
    **dict.fromkeys(("differing", "stored_only", "exchange_only", "derived_only", "without_trades"), 0),
}


class Ended:
    """A client whose runs have all ended in one way."""

    def __init__(self, state: str, code: str | None, *, faults: int = 0) -> None:
        self.state, self.code, self.faults = state, code, faults

    def outcome(self) -> dict[str, Any]:
        result = None
        if self.state == "succeeded":
            difference: dict[str, Any] = {"ts": "", "id": None, "verdict": "differs", "fields": {}}
            difference |= {"field": "close", "derived": 1.0, "stored": 2.0, "relative": 0.5}
            result = RESULT | {"sound": not self.faults, "differences": [difference] * self.faults}
            result["fails"] = self.faults
        made = {"dataset": ID, "rows_written": 0, "folder": "new", "state": self.state, "result": result}
        return made if self.code is None else made | {"code": self.code, "error": "It went wrong."}

    async def _end(self, *_: object, **__: object) -> dict[str, Any]:
        return self.outcome()

    doctor = backfill = check = audit = export = verify = adopt = move = _end

    async def inventory(self) -> list[dict[str, Any]]:
        return [{"id": ID, "data_type": "ohlc"}]

    async def dataset_id(self, **_: object) -> str:
        return ID

    async def start_repair(self, datasets: list[str]) -> list[dict[str, Any]]:
        return [{"dataset": name, "run_id": "1", "why": ""} for name in datasets]

    async def follow_started(self, started: dict[str, Any], _on_progress: object) -> dict[str, Any]:
        made = self.outcome()
        return made | {"error": {"detail": made["error"]} if self.code else None}

    async def gaps(self, _dataset: str) -> list[dict[str, Any]]:
        left, self.faults = self.faults, 0 if self.state == "succeeded" else self.faults
        return [{"start_ms": 0, "end_ms": 1, "cause": "never fetched"}] * left


def typed(monkeypatch: pytest.MonkeyPatch, folder: Path, client: Ended, arguments: tuple[str, ...]) -> int:
    @asynccontextmanager
    async def connect(_: object) -> AsyncIterator[Ended]:
        yield client

    for name in ("backfill", "check", "data", "keep", "adopt", "move", "gaps", "doctor"):
        module = importlib.import_module(f"dccd.interfaces.cli.{name}")
        monkeypatch.setattr(module, "connect", connect)
        monkeypatch.setattr(module, "require_data", lambda _: None, raising=False)
    (folder / "config.toml").touch()
    return run([*arguments, "--config", str(folder / "config.toml"), "--data-path", str(folder)])


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_ends_every_command_alike(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    ending: str,
) -> None:
    state, code, status = ENDINGS[ending]
    repairs = command in ("repair", "gaps --fill")
    if repairs:  # what was typed is right, whatever the exchange says of a gap
        status = FAILED if status == WRONG_USE else status
    elif (command, code) == ("check all", "no_capability"):  # left out, and said
        status = DONE
    client = Ended(state, code, faults=1 if repairs else 0)
    assert typed(monkeypatch, tmp_path, client, COMMANDS[command]) == status
    said = capsys.readouterr()
    if status == INTERRUPTED:
        assert "cancelled" in said.err
    elif status and not repairs:
        assert said.err.count("dccd: ") == 1


@pytest.mark.parametrize("command", ["check", "check all", "audit", "verify", "verify --json", "doctor"])
def test_what_is_found_wrong_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    client = Ended("succeeded", None, faults=1)
    assert typed(monkeypatch, tmp_path, client, COMMANDS[command]) == FAILED


def test_wrong_use_is_what_no_later_attempt_makes_right() -> None:
    for kind in every_error():
        wrong = issubclass(kind, UsageError) and not kind.retryable
        if kind.__module__ == DccdError.__module__ or kind.code == "invalid_request":
            assert (status_of_error(kind.code) == WRONG_USE) == wrong, kind
    assert status_of_error(None) == FAILED
