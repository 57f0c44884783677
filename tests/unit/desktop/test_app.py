"""The desktop app around a backend that only takes notes, with a tray that only waits."""

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from dccd.interfaces.desktop import protocol
from dccd.interfaces.desktop.app import END_SIGNALS, run_desktop
from dccd.interfaces.desktop.tray import TrayState

STANDIN = Path(__file__).with_name("standin.py")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in waits for POSIX signals")


class WaitingTray:
    """A tray without an icon; what the person would do is done by `person` once the state says so."""

    def __init__(self, notes, person=None, *, backend=None, log=None):
        self.notes = notes
        self.person = person
        self.backend, self.log = backend, log
        self.states = []
        self._stopped = threading.Event()

    def run(self, on_open, on_quit):
        self.on_open, self.on_quit = on_open, on_quit
        # Short waits: a signal's handler runs on this thread, between two of them.
        while not self._stopped.wait(0.01):
            if self.person is not None and self.person(self):
                self.person = None

    def set_state(self, state, text):
        self.states.append((state, text))

    def stop(self):
        self.notes.append("tray stopped")
        self._stopped.set()


class NotingBackend:
    def __init__(self, notes, fail_at=""):
        self.notes = notes
        self.fail_at = fail_at
        self.shell = None
        self.tickets = 0

    async def start(self, shell):
        self.shell = shell
        self.notes.append("backend started")
        if self.fail_at == "start":
            raise OSError("the port is taken")
        return "http://127.0.0.1:1"

    async def stop(self):
        self.notes.append("backend stopped")

    def new_ticket(self):
        self.tickets += 1
        return f"ticket-{self.tickets}"


@pytest.fixture
def run(tmp_path):
    """Run the app with a person (or a signal) who acts on its tray; return notes, exit status and more."""
    log = tmp_path / "log"

    def run(person, *, hidden=False, fault=(), fail_at=""):
        notes: list[str] = []
        backend = NotingBackend(notes, fail_at)
        tray = WaitingTray(notes, person, backend=backend, log=log)
        command = [sys.executable, str(STANDIN), str(log), *fault]
        status = run_desktop(
            backend,
            lambda line: notes.append(f"said: {line}"),
            hidden=hidden,
            tray=tray,
            window_command=command,
        )
        return notes, status, tray

    return run


def quit_when_ready(tray):
    if (TrayState.IDLE, "Running") in tray.states:
        tray.on_quit()
        return True
    return False


def commands(tray):
    return [protocol.decode_command(line) for line in tray.log.read_bytes().splitlines()]


def test_quit_ends_window_backend_and_tray_in_this_order(run):
    notes, status, tray = run(quit_when_ready)
    assert status == 0
    assert commands(tray)[0] == protocol.Open("http://127.0.0.1:1", "ticket-1")
    assert commands(tray)[-1] == protocol.Quit()
    assert notes == ["backend started", "backend stopped", "tray stopped"]


@pytest.mark.parametrize("number", END_SIGNALS, ids=lambda number: number.name)
def test_a_signal_ends_it_as_quit_does(run, number):
    before = signal.getsignal(number)

    def send(tray):
        if (TrayState.IDLE, "Running") in tray.states:
            os.kill(os.getpid(), number)
            return True
        return False

    notes, status, _ = run(send)
    assert status == 0
    assert notes == ["backend started", "backend stopped", "tray stopped"]
    assert signal.getsignal(number) is before


def test_hidden_it_starts_without_a_window_and_opens_one_on_demand(run):
    def click_then_quit(tray):
        if tray.backend.shell is not None and not tray.notes.count("clicked"):
            tray.notes.append("clicked")
            assert not tray.log.exists()
            tray.on_open()
        return quit_when_ready(tray)

    notes, status, tray = run(click_then_quit, hidden=True)
    assert status == 0
    assert "clicked" in notes
    assert isinstance(commands(tray)[0], protocol.Open)


def test_without_a_window_the_app_says_where_it_is_and_runs_on(run):
    def quit_when_said(tray):
        if any(note.startswith("said") for note in tray.notes):
            tray.on_quit()
            return True
        return False

    notes, status, tray = run(quit_when_said, fault=["dies"])
    assert status == 0
    said = next(note for note in notes if note.startswith("said"))
    assert "the drawing surface is missing" in said
    assert "open http://127.0.0.1:1/#ticket=ticket-2 in a browser" in said
    assert tray.states[-1][0] is TrayState.ATTENTION
    assert notes[-2:] == ["backend stopped", "tray stopped"]


def test_a_backend_that_cannot_start_ends_the_app_with_its_error(run):
    with pytest.raises(OSError, match="the port is taken"):
        run(None, fail_at="start")


def test_a_tray_whose_loop_ends_by_itself_ends_the_app_cleanly(run):
    def vanish(tray):
        if (TrayState.IDLE, "Running") in tray.states:
            tray._stopped.set()
            return True
        return False

    notes, status, _ = run(vanish)
    assert status == 0
    assert notes[:2] == ["backend started", "backend stopped"]


def test_the_backend_may_raise_the_window_and_ask_for_a_folder_and_quit(run):
    answers = []

    class Asking(NotingBackend):
        async def start(self, shell):
            self.asking = asyncio.create_task(self.ask(shell))
            return await super().start(shell)

        async def ask(self, shell):
            await shell.raise_window()
            answers.append(await shell.choose_folder("Where to?", Path("/srv")))
            shell.quit()

    notes: list[str] = []
    tray = WaitingTray(notes)
    log = Path(os.devnull)
    command = [sys.executable, str(STANDIN), str(log)]
    assert run_desktop(Asking(notes), notes.append, tray=tray, window_command=command) == 0
    assert answers == [Path("/srv/chosen")]
