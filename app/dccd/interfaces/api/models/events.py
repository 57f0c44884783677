"""Server-sent events."""

from __future__ import annotations

from typing import Literal

from dccd.interfaces.api.models.base import Answer
from dccd.interfaces.api.models.work import Run, RunProgress


class ProgressEvent(Answer):
    """``event: progress``: a run moved on."""

    run_id: str
    progress: RunProgress


class LogEvent(Answer):
    """``event: log``: a line of a run's log."""

    run_id: str
    ts_ms: int
    level: Literal["info", "warning", "error"]
    message: str


class StatusEvent(Answer):
    """``event: status``: a run changed its state."""

    run: Run


class InventoryEvent(Answer):
    """``event: inventory``: a dataset changed on disk."""

    dataset: str


class ResetEvent(Answer):
    """``event: reset``: sent first on a new stream, and where events were missed: load the lists again."""

    last_id: int
