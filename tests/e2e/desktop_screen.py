"""What is on an X display, asked of the window manager, and what a person does there."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")

PATIENCE_S = 30.0


def wait_until(what: str, found: Callable[[], T]) -> T:
    """Return the first true result of `found`; fail, saying `what`, when there is none for long."""
    deadline = time.monotonic() + PATIENCE_S
    while not (result := found()):
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited {PATIENCE_S:.0f} s in vain for {what}")
        time.sleep(0.05)
    return result


class Screen:
    """One X display."""

    def __init__(self, display: str) -> None:
        self.environment = {**os.environ, "DISPLAY": display}

    def run(self, *command: str) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def windows(self, title: str = "dccd") -> list[str]:
        """Ids of the windows with this title that the task bar has: shown or minimised, not hidden."""
        lines = (line.split(None, 3) for line in self.run("wmctrl", "-l").splitlines())
        return [fields[0] for fields in lines if len(fields) == 4 and fields[3] == title]

    def shown(self, title: str = "dccd") -> list[str]:
        """Ids of the windows with this title that are on the screen."""
        visible = {
            int(window) for window in self.run("xdotool", "search", "--onlyvisible", "--name", ".").split()
        }
        return [window for window in self.windows(title) if int(window, 16) in visible]

    def size_px(self, window: str) -> tuple[int, int]:
        """Width and height of a window, its frame not included."""
        lines = self.run("xdotool", "getwindowgeometry", "--shell", window).splitlines()
        geometry = dict(line.split("=") for line in lines)
        return int(geometry["WIDTH"]), int(geometry["HEIGHT"])

    def active(self) -> str:
        """Title of the window that has the focus."""
        return self.run("xdotool", "getactivewindow", "getwindowname")

    def close(self, window: str) -> None:
        """Ask a window to close, as its frame's button does."""
        self.run("wmctrl", "-i", "-c", window)

    def screenshot(self, path: Path) -> None:
        self.run("import", "-window", "root", str(path))

    def click_tray(self) -> None:
        """Click the icon of a `trayer` that holds but one."""
        x_px, y_px = map(int, self.run("xdotool", "getdisplaygeometry").split())
        self.run("xdotool", "mousemove", str(x_px - 16), str(y_px - 16), "click", "1")


@contextmanager
def trayer(screen: Screen) -> Iterator[None]:
    """A tray at the display's lower right corner, as long as the body runs."""
    command = ["trayer", "--edge", "bottom", "--align", "right", "--widthtype", "request", "--height", "32"]
    with subprocess.Popen(command, env=screen.environment, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(
                "the tray", lambda: screen.run("xdotool", "search", "--onlyvisible", "--name", "^panel$")
            )
            yield
        finally:
            process.terminate()


def runs(process: psutil.Process) -> bool:
    """Whether a process lives; one that has ended and is only not yet collected does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
