"""Progress of a run: a bar on a terminal, a plain line every few seconds in a pipe."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

from dccd.interfaces.cli.output import count, duration, size

_LINE_EVERY_S = 5.0


class RunProgress:
    """Shows a run as it is polled; use it as a context manager and pass it to `on_progress`."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: Any = None
        self._task: Any = None
        self._next_line_s = time.monotonic() + _LINE_EVERY_S

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                TextColumn("{task.fields[facts]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=None, facts="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, run: dict[str, Any]) -> None:
        """Show the run as it stands."""
        progress = run.get("progress")
        if progress is None:
            return
        if self._bar is not None:
            self._bar.update(
                self._task, completed=progress["done"], total=progress["total"], facts=facts(progress)
            )
        elif time.monotonic() >= self._next_line_s:
            self._next_line_s = time.monotonic() + _LINE_EVERY_S
            print(f"{self._title}: {facts(progress)}", file=sys.stderr, flush=True)


def facts(progress: dict[str, Any]) -> str:
    """``123,000 rows, 41 %, 52,000 rows/s, 3 s left``, and what it waits for."""
    parts = [count(progress["rows"], "row")] if progress["unit"] != "bytes" else [size(progress["done"])]
    if progress["total"]:
        parts.append(f"{min(100.0, 100 * progress['done'] / progress['total']):.0f} %")
    if progress["rows_per_s"]:
        parts.append(f"{progress['rows_per_s']:,.0f} rows/s")
    if progress["eta_s"] is not None:
        parts.append(f"{duration(progress['eta_s'])} left")
    if progress["waiting"]:
        parts.append(progress["waiting"])
    return ", ".join(parts)
