"""The desktop app as a process: its tray, its signals, and what it leaves behind, which is nothing."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from tests.e2e.desktop_screen import PATIENCE_S, Screen, runs, trayer, wait_until
from tests.needs import ROOT

pytestmark = pytest.mark.needs("display")


class App:
    """The app's process; killed at the end of the body unless it has ended."""

    def __init__(self, screen):
        self.screen = screen
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.desktop_program"],
            cwd=ROOT,
            env=screen.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "started\n"

    def __enter__(self):
        wait_until("the window", self.screen.shown)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        wait_until("the window to be gone", lambda: not self.screen.windows())

    def helpers(self):
        return psutil.Process(self.process.pid).children(recursive=True)

    def ended_cleanly(self, helpers):
        assert self.process.wait(PATIENCE_S) == 0
        assert self.process.stdout is not None
        assert self.process.stdout.read().splitlines()[-1] == "stopped"
        wait_until("its helpers to end", lambda: not any(runs(helper) for helper in helpers))


@pytest.fixture
def screen(display):
    return Screen(display)


@pytest.fixture
def app(screen):
    with App(screen) as app:
        yield app


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(app, number):
    helpers = app.helpers()
    assert helpers
    app.process.send_signal(number)
    app.ended_cleanly(helpers)


def test_a_click_in_the_tray_brings_a_closed_window_back(screen):
    with trayer(screen), App(screen) as app:
        (window,) = wait_until("the window", screen.shown)
        screen.close(window)
        wait_until("the window to hide", lambda: not screen.windows())
        screen.click_tray()
        wait_until("the window to come back", screen.shown)
        helpers = app.helpers()
        app.process.terminate()
        app.ended_cleanly(helpers)


def test_the_crash_of_the_window_leaves_the_app_running_and_a_click_opens_another(screen):
    with trayer(screen), App(screen) as app:
        helpers = app.helpers()
        os.kill(next(helper.pid for helper in helpers if helper.ppid() == app.process.pid), signal.SIGKILL)
        wait_until("the window to be gone", lambda: not screen.windows())
        screen.click_tray()
        wait_until("the new window", screen.shown)
        helpers += app.helpers()
        app.process.terminate()
        app.ended_cleanly(helpers)


def test_killed_the_app_takes_its_window_along(app):
    helpers = app.helpers()
    app.process.kill()
    wait_until("its window and helpers to end", lambda: not any(runs(helper) for helper in helpers))
