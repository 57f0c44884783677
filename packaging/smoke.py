"""Prove that a built program works: it downloads, opens its window, can be launched twice, and ends cleanly.

``uv run python packaging/smoke.py [PROGRAM …]``, by default both of what ``packaging/build.py`` leaves in
``dist``; ``--source`` takes ``python -m dccd`` instead. Everything happens on a display, in folders and
against a stand-in exchange of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
BUILT = [ROOT / "dist" / "onedir" / "dccd" / "dccd", ROOT / "dist" / "onefile" / "dccd"]
PATIENCE_S = 90.0
DATASET = ["binance", "BTC/USDT", "--type", "ohlc", "--span", "1h"]
JANUARY = (["--start", "2024-01-01", "--end", "2024-02-01"], 31 * 24)
FEBRUARY = (["--start", "2024-02-01", "--end", "2024-03-01"], 29 * 24)

T = TypeVar("T")


class SmokeFailure(Exception):
    """The program did not do what it must."""


def wait_until(what: str, found: Callable[[], T]) -> T:
    deadline = time.monotonic() + PATIENCE_S
    while not (result := found()):
        if time.monotonic() > deadline:
            raise SmokeFailure(f"Waited {PATIENCE_S:.0f} s in vain for {what}.")
        time.sleep(0.1)
    return result


@contextmanager
def display() -> Iterator[str]:
    """An X display with a window manager, as long as the body runs."""
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1280x900x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL) as server:
        os.close(writer)
        try:
            with os.fdopen(reader, encoding="ascii") as numbers:
                name = f":{numbers.readline().strip()}"
            environment = {**os.environ, "DISPLAY": name}
            with subprocess.Popen(["openbox"], env=environment, stderr=subprocess.DEVNULL) as manager:
                try:
                    yield name
                finally:
                    manager.terminate()
        finally:
            server.terminate()


@contextmanager
def exchange() -> Iterator[str]:
    """The stand-in exchange, as long as the body runs; yields the configuration that points dccd at it."""
    command = [sys.executable, "-m", "tests.exchanges.binance", "--generated"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            lines: list[str] = []
            while len(lines) < 6:
                line = server.stdout.readline()
                if not line:
                    raise SmokeFailure("The stand-in exchange did not start.")
                lines.append(line)
            yield "".join(lines[2:])
        finally:
            server.terminate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class Program:
    """The program under test, in folders of its own.

    Parameters
    ----------
    command : list of str
        How to run it.
    folder : Path
        An empty folder.
    config : str
        Its configuration.
    display_name : str
        The X display it may use.
    """

    def __init__(self, command: list[str], folder: Path, config: str, display_name: str) -> None:
        self.command = command
        self.devtools = f"127.0.0.1:{free_port()}"
        file = folder / "config.toml"
        file.write_text(config)
        file.chmod(0o600)
        runtime = folder / "run"
        runtime.mkdir(mode=0o700)
        self.environment = {
            **os.environ,
            "DISPLAY": display_name,
            "DCCD_CONFIG": str(file),
            "DCCD_DATA_PATH": str(folder / "data"),
            "XDG_RUNTIME_DIR": str(runtime),
            "QTWEBENGINE_REMOTE_DEBUGGING": self.devtools,
        }
        self.environment.pop("WAYLAND_DISPLAY", None)

    def run(self, *arguments: str) -> str:
        """Run one command to its end and return what it printed."""
        try:
            done = subprocess.run(
                [*self.command, *arguments],
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise SmokeFailure(f"dccd {' '.join(arguments)} did not end in {PATIENCE_S:.0f} s.") from error
        if done.returncode:
            raise SmokeFailure(
                f"dccd {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done.stdout

    def start(self) -> subprocess.Popen[bytes]:
        """Start the app."""
        return subprocess.Popen(self.command, env=self.environment)

    def rows(self) -> int:
        """How many rows it says it has."""
        listed = json.loads(self.run("inventory", "--json"))
        return sum(
            dataset["rows"] for dataset in (listed["datasets"] if isinstance(listed, dict) else listed)
        )

    def download(self, what: tuple[list[str], int], total: int) -> None:
        """Download a range and see that all its rows are there."""
        arguments, _ = what
        self.run("backfill", *DATASET, *arguments)
        if (rows := self.rows()) != total:
            raise SmokeFailure(f"{rows} rows are stored, not {total}.")


@contextmanager
def page_of(program: Program) -> Iterator[Page]:
    """The page in the program's window, by the browser's debugging door."""

    def reachable() -> bool:
        host, port = program.devtools.split(":")
        with socket.socket() as attempt:
            return attempt.connect_ex((host, int(port))) == 0

    wait_until("the window's debugging port", reachable)
    with sync_playwright() as playwright:
        browser = playwright.chromium.connect_over_cdp(f"http://{program.devtools}", no_defaults=True)
        yield wait_until("the window's page", lambda: browser.contexts[0].pages)[0]
        browser.close()


def check(program: Program, screenshot: Path | None) -> None:
    """Put a program through everything; raises `SmokeFailure`."""
    january, february = JANUARY[1], FEBRUARY[1]
    program.download(JANUARY, january)
    say(f"downloaded {january} rows with no app running")

    begun = time.monotonic()
    app = program.start()
    try:
        with page_of(program) as page:
            page.wait_for_selector("h1", timeout=PATIENCE_S * 1000)
            say(f"window opened after {time.monotonic() - begun:.1f} s: {page.title()!r}, {heading(page)!r}")
            program.run()
            say("a second launch raised the first")
            program.download(FEBRUARY, january + february)
            say(f"downloaded {february} more rows through the running app")
            if screenshot is not None:
                capture(program, screenshot)
        family = psutil.Process(app.pid).children(recursive=True)
        begun = time.monotonic()
        app.send_signal(signal.SIGTERM)
        status = app.wait(PATIENCE_S)
        if status != 0:
            raise SmokeFailure(f"SIGTERM ended the app with status {status}.")
        wait_until("all its processes to end", lambda: not any(map(lives, family)))
        say(f"SIGTERM ended it and its {len(family)} processes in {time.monotonic() - begun:.1f} s, status 0")
    finally:
        if app.poll() is None:
            app.kill()
            app.wait()
    if program.rows() != january + february:
        raise SmokeFailure("Rows are missing after the app has ended.")


def heading(page: Page) -> str:
    return (page.locator("h1").first.text_content() or "").strip()


def capture(program: Program, path: Path) -> None:
    subprocess.run(["import", "-window", "root", str(path)], env=program.environment, check=True)


def lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def say(line: str) -> None:
    print(f"  {line}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Prove that a built program works.")
    parser.add_argument("programs", nargs="*", type=Path, help="default: what build.py left in dist")
    parser.add_argument("--source", action="store_true", help="the sources, by this Python")
    parser.add_argument("--screenshot", type=Path, help="file to keep a picture of the last window in")
    arguments = parser.parse_args()
    programs = [] if arguments.source else [path.resolve() for path in arguments.programs or BUILT]
    for path in programs:
        if not path.is_file():
            parser.error(f"there is no {path}; build it with packaging/build.py")
    commands = [[str(path)] for path in programs] or [[sys.executable, "-m", "dccd"]]
    if missing := [tool for tool in ("Xvfb", "openbox") if shutil.which(tool) is None]:
        parser.error(f"no {' and no '.join(missing)} on PATH: apt install xvfb openbox")
    for command in commands:
        print(" ".join(command), flush=True)
        with display() as name, exchange() as config, tempfile.TemporaryDirectory() as folder:
            try:
                check(Program(command, Path(folder), config, name), arguments.screenshot)
            except SmokeFailure as failure:
                sys.exit(f"  failed: {failure}")


if __name__ == "__main__":
    main()
