"""The window's handle, against a process that speaks the same lines over real pipes."""

import asyncio
import itertools
import os
import signal
import sys
from pathlib import Path

import msgspec
import psutil
import pytest

from dccd.interfaces.desktop import protocol, window_child
from dccd.interfaces.desktop.window import Crashed, DesktopWindow
from dccd.interfaces.desktop.window_child import WindowUnavailable

STANDIN = Path(__file__).with_name("standin.py")
URL = "http://127.0.0.1:1"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in waits for POSIX signals")


class Clock:
    """A sleep that ends when the test says so."""

    def __init__(self):
        self.slept_s = []
        self._wake = asyncio.Event()

    async def sleep(self, seconds):
        self.slept_s.append(seconds)
        await self._wake.wait()

    def wake(self):
        self._wake.set()
        self._wake = asyncio.Event()


class Events:
    """What the window reported, to be waited for."""

    def __init__(self):
        self.seen = []
        self._changed = asyncio.Event()

    def add(self, event):
        self.seen.append(event)
        self._changed.set()

    async def wait_for(self, kind, count=1):
        async with asyncio.timeout(20):
            while sum(isinstance(event, kind) for event in self.seen) < count:
                self._changed.clear()
                await self._changed.wait()


class Opened:
    """A handle with all that belongs to its test."""

    def __init__(self, log, fault=()):
        self.log = log
        self.events = Events()
        self.clock = Clock()
        tickets = map("ticket-{}".format, itertools.count(1))
        self.window = DesktopWindow(
            URL,
            lambda: next(tickets),
            self.events.add,
            command=[sys.executable, str(STANDIN), str(log), *fault],
            idle_s=300,
            sleep=self.clock.sleep,
        )

    def commands(self):
        return [protocol.decode_command(line) for line in self.log.read_bytes().splitlines()]

    def tickets(self):
        return [command.ticket for command in self.commands() if isinstance(command, protocol.Open)]


@pytest.fixture
async def opened(tmp_path):
    opened = Opened(tmp_path / "log")
    yield opened
    await opened.window.stop()


async def test_starting_opens_the_page_with_a_ticket(opened):
    await opened.window.start()
    assert opened.commands() == [protocol.Open(URL, "ticket-1")]
    assert opened.events.seen == [protocol.Shown(), protocol.Ready()]


async def test_the_ticket_is_not_in_the_arguments_of_the_process(opened):
    await opened.window.start()
    assert "ticket-1" not in " ".join(psutil.Process(opened.window.pid).cmdline())


async def test_two_that_open_at_once_share_one_process(opened):
    await asyncio.gather(opened.window.show(), opened.window.raise_(), opened.window.start())
    assert opened.tickets() == ["ticket-1"]


async def test_one_that_is_closed_while_it_loads_stays_away_until_asked_for_again(tmp_path):
    opened = Opened(tmp_path / "log", ["closed"])
    await opened.window.raise_()
    await opened.window.raise_()
    await opened.window.stop()
    assert opened.commands()[1:] == [protocol.Raise(), protocol.Quit()]


async def test_stopping_ends_the_process_without_calling_it_a_crash(opened):
    await opened.window.start()
    await opened.window.stop()
    assert opened.window.pid is None
    assert opened.commands()[-1] == protocol.Quit()
    assert not any(isinstance(event, Crashed) for event in opened.events.seen)


async def test_stopping_what_does_not_run_does_nothing(opened):
    await opened.window.stop()
    await opened.window.hide()
    assert opened.events.seen == []


async def test_after_a_stop_it_opens_again_with_a_new_ticket(opened):
    await opened.window.start()
    await opened.window.stop()
    await opened.window.show()
    assert opened.tickets() == ["ticket-1", "ticket-2"]


async def test_opening_while_it_ends_waits_for_the_end(opened):
    await opened.window.start()
    first = opened.window.pid
    stopping = asyncio.create_task(opened.window.stop())
    await asyncio.sleep(0)
    await opened.window.show()
    await stopping
    assert opened.window.pid not in {None, first}


async def test_long_hidden_it_is_ended(opened):
    await opened.window.start()
    await opened.window.hide()
    await opened.events.wait_for(protocol.Hidden)
    await asyncio.sleep(0)
    assert opened.clock.slept_s == [300]
    run = opened.window._run
    opened.clock.wake()
    await asyncio.wait_for(asyncio.wait({run}), 20)
    assert opened.window.pid is None
    assert not any(isinstance(event, Crashed) for event in opened.events.seen)


async def test_shown_again_in_time_it_is_not_ended(opened):
    await opened.window.start()
    first = opened.window.pid
    await opened.window.hide()
    await opened.events.wait_for(protocol.Hidden)
    await opened.window.show()
    await opened.events.wait_for(protocol.Shown, count=2)
    opened.clock.wake()
    await opened.window.hide()  # answered, so it lives
    await opened.events.wait_for(protocol.Hidden, count=2)
    assert opened.window.pid == first
    assert opened.tickets() == ["ticket-1"]


async def test_a_crash_is_reported_and_the_next_demand_starts_it_anew(opened):
    await opened.window.start()
    first = opened.window.pid
    os.kill(first, signal.SIGKILL)
    await opened.events.wait_for(Crashed)
    crashed = Crashed(-signal.SIGKILL, "The window's process was ended by signal 9.")
    assert opened.events.seen[-1] == crashed
    assert opened.window.pid is None

    await opened.window.raise_()
    await opened.events.wait_for(protocol.Ready, count=2)
    assert opened.window.pid not in {None, first}
    assert opened.tickets() == ["ticket-1", "ticket-2"]


async def test_a_window_that_dies_at_the_start_says_its_last_words(tmp_path):
    opened = Opened(tmp_path / "log", ["dies"])
    with pytest.raises(WindowUnavailable, match="the drawing surface is missing"):
        await opened.window.show()
    await opened.events.wait_for(Crashed)
    assert opened.events.seen[-1].exit_code == 1


async def test_a_window_that_never_is_ready_is_given_up_and_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(window_child, "READY_DEADLINE_S", 0.05)
    opened = Opened(tmp_path / "log", ["mute"])
    with pytest.raises(WindowUnavailable, match="did not load its page"):
        await opened.window.show()
    await opened.events.wait_for(Crashed)
    assert opened.window.pid is None


async def test_a_window_that_will_not_quit_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(window_child, "QUIT_DEADLINE_S", 0.05)
    opened = Opened(tmp_path / "log", ["deaf"])
    await opened.window.start()
    await asyncio.wait_for(opened.window.stop(), 20)
    assert opened.window.pid is None


async def test_stopping_while_it_starts_does_not_wait_until_it_is_ready(tmp_path):
    opened = Opened(tmp_path / "log", ["mute"])
    starting = asyncio.create_task(opened.window.start())
    await asyncio.sleep(0)
    await asyncio.wait_for(opened.window.stop(), 20)
    with pytest.raises(WindowUnavailable):
        await starting


async def test_a_command_that_does_not_exist_is_no_window():
    events = Events()
    window = DesktopWindow(URL, lambda: "ticket", events.add, command=["/nonexistent/dccd"])
    with pytest.raises(WindowUnavailable, match="cannot be started"):
        await window.start()
    await events.wait_for(Crashed)


@pytest.mark.parametrize(("title", "expected"), [("Where to?", Path("/srv/chosen")), ("cancel", None)])
async def test_a_folder_is_chosen_or_not(opened, title, expected):
    assert await opened.window.choose_folder(title, Path("/srv")) == expected
    assert isinstance(opened.commands()[0], protocol.Open)


async def test_two_dialogs_get_each_its_answer(opened):
    await opened.window.start()
    chosen, cancelled = await asyncio.gather(
        opened.window.choose_folder("one", Path("/a")), opened.window.choose_folder("cancel")
    )
    assert (chosen, cancelled) == (Path("/a/chosen"), None)


async def test_a_crash_ends_the_wait_for_a_folder(opened):
    with pytest.raises(WindowUnavailable, match="has ended"):
        await opened.window.choose_folder("crash")


async def test_what_a_library_prints_is_no_event(opened):
    await opened.window.start()
    assert all(isinstance(event, msgspec.Struct) for event in opened.events.seen)


def test_the_frozen_binary_starts_itself(monkeypatch):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", "/opt/dccd/dccd")
    assert window_child.window_command() == ["/opt/dccd/dccd", "--window"]
