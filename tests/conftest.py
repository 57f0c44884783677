"""Fixtures and rules for all tests; what tests need from the machine is in `tests.needs`."""

from __future__ import annotations

import importlib.util
import os
import select
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import needs

if TYPE_CHECKING:
    from playwright.async_api import Browser

START_DEADLINE_S = 20


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose `needs` are not all there."""
    for mark in item.iter_markers("needs"):
        for what in mark.args:
            needs.require(what)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a test's skip into a failure when everything is required."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        _fail_if_required(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a whole file's skip into a failure when everything is required."""
    report = yield
    if report.skipped:
        _fail_if_required(report)
    return report


def _fail_if_required(report: pytest.TestReport | pytest.CollectReport) -> None:
    if needs.everything_is_required():
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"DCCD_REQUIRE=all, and this was skipped. {reason}"


@pytest.fixture
def data_path(tmp_path: Path) -> Path:
    """Return an empty data folder."""
    path = tmp_path / "data"
    path.mkdir()
    return path


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of the shared data sets (`../shared`, or DCCD_SHARED)."""
    needs.require("shared")
    return needs.shared_folder()


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """Return the name (`:7`) of an X display of the tests' own, with a window manager on it.

    The name is not put into this process's environment: a program under test gets it in its own, as DISPLAY.
    """
    needs.require("display")
    reader, writer = os.pipe()
    # `setpriv`: a test that crashes the interpreter leaves no display behind.
    command = ["setpriv", "--pdeathsig", "TERM", "Xvfb", "-displayfd", str(writer)]
    command += ["-screen", "0", "1280x900x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL) as server:
        os.close(writer)
        try:
            with os.fdopen(reader, encoding="ascii") as numbers:
                if not select.select([numbers], [], [], START_DEADLINE_S)[0]:
                    pytest.fail(f"Xvfb named no display within {START_DEADLINE_S} s")
                number = numbers.readline().strip()
            if not number:
                pytest.fail(f"Xvfb ended with status {server.wait()} and named no display")
            environment = {**os.environ, "DISPLAY": f":{number}"}
            with subprocess.Popen(["openbox"], env=environment, stderr=subprocess.DEVNULL) as manager:
                try:
                    _wait_for_window_manager(environment)
                    yield f":{number}"
                finally:
                    manager.terminate()
        finally:
            server.terminate()


def _wait_for_window_manager(environment: dict[str, str]) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    # The list of windows comes last, when it manages what there is; a window mapped before may stay unseen.
    while subprocess.run(["wmctrl", "-l"], env=environment, capture_output=True, check=False).returncode:
        if time.monotonic() > deadline:
            pytest.fail(f"openbox did not manage the display within {START_DEADLINE_S} s")
        time.sleep(0.05)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Return a headless Chromium, as Playwright's asynchronous API drives it.

    One a test, on the test's own event loop: a loop that outlived the test could not be shared with the next.
    """
    needs.require("browser")
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=needs.chromium(), args=["--no-sandbox"], headless=True
        )
        yield chromium
        await chromium.close()


@pytest.fixture(scope="session")
def spark_python() -> list[str]:
    """Return the command of a Python that can import pyspark, to run a script with.

    Spark is always run in a process of its own: it starts a Java machine that does not end with the test.
    """
    needs.require("spark")
    return _heavy_python("pyspark")


@pytest.fixture(scope="session")
def ccxt_python() -> list[str]:
    """Return the command of a Python that can import ccxt."""
    needs.require("ccxt")
    return _heavy_python("ccxt")


def _heavy_python(package: str) -> list[str]:
    if importlib.util.find_spec(package):
        return [sys.executable]
    return ["uv", "run", "--quiet", "--isolated", "--only-group", "heavy", "python"]
