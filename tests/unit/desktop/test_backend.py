"""The tray says what the program does."""

import pytest

from dccd.application.events import EventBus
from dccd.application.jobs import RunState
from dccd.interfaces.desktop.backend import TrayStatus
from dccd.interfaces.desktop.tray import TrayState


class ShellOnPaper:
    """Notes what the tray was told."""

    def __init__(self) -> None:
        self.told: list[tuple[TrayState, str]] = []

    def set_state(self, state: TrayState, text: str) -> None:
        self.told.append((state, text))


@pytest.fixture
def shell() -> ShellOnPaper:
    return ShellOnPaper()


@pytest.fixture
def bus(shell: ShellOnPaper) -> EventBus:
    bus = EventBus()
    bus.subscribe(TrayStatus(shell))  # type: ignore[arg-type]  # the part of the desktop that it uses
    return bus


def test_it_counts_the_runs_under_way(shell: ShellOnPaper, bus: EventBus) -> None:
    first, second = bus.for_run("a"), bus.for_run("b")
    first.status(RunState.PENDING)
    first.status(RunState.RUNNING)
    second.status(RunState.RUNNING)
    first.status(RunState.SUCCEEDED)
    second.status(RunState.CANCELLED)
    assert shell.told == [
        (TrayState.WORKING, "1 run under way"),
        (TrayState.WORKING, "1 run under way"),
        (TrayState.WORKING, "2 runs under way"),
        (TrayState.WORKING, "1 run under way"),
        (TrayState.IDLE, "Nothing is running"),
    ]


def test_a_failure_asks_for_attention_until_something_else_happens(
    shell: ShellOnPaper, bus: EventBus
) -> None:
    bus.for_run("a").status(RunState.RUNNING)
    bus.for_run("a").status(RunState.FAILED)
    assert shell.told[-1][0] is TrayState.ATTENTION
    bus.for_run("b").status(RunState.RUNNING)
    assert shell.told[-1] == (TrayState.WORKING, "1 run under way")


def test_a_line_of_a_log_changes_nothing(shell: ShellOnPaper, bus: EventBus) -> None:
    bus.for_run("a").log("hello", "info", 1)
    assert shell.told == []
