"""The real window: Qt's web engine in its own process, on an X display with a window manager."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys

import psutil
import pytest

from dccd.interfaces.desktop import protocol
from dccd.interfaces.desktop.window import Crashed, DesktopWindow
from dccd.interfaces.desktop.window_child import WindowUnavailable
from dccd.interfaces.desktop.window_process import MIN_SIZE_PX, SIZE_PX
from tests.e2e.desktop_page import PageServer
from tests.e2e.desktop_screen import Screen, runs, trayer, wait_until

pytestmark = pytest.mark.needs("display")

WINDOW_PROCESS = [sys.executable, "-m", "dccd.interfaces.desktop.window_process"]
PATIENCE_S = 30


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


async def until(what, found):
    """`wait_until`, while the event loop goes on."""
    return await asyncio.to_thread(wait_until, what, found)


class Desk:
    """A window, the display it is on, the page it shows, and the browser's debugging door to it."""

    def __init__(self, screen, page_server, folder):
        self.screen = screen
        self.page_server = page_server
        self.opened_in_browser = folder / "opened"
        self.devtools = f"http://127.0.0.1:{free_port()}"
        browser = folder / "browser"
        browser.write_text(f'#!/bin/sh\necho "$1" >> "{self.opened_in_browser}"\n')
        browser.chmod(0o700)
        environment = [
            f"DISPLAY={screen.environment['DISPLAY']}",
            f"QTWEBENGINE_REMOTE_DEBUGGING={self.devtools.removeprefix('http://')}",
            f"BROWSER={browser}",
        ]
        self.events = []
        self._changed = asyncio.Event()
        self.tickets = 0
        self.window = DesktopWindow(
            page_server.url,
            self.new_ticket,
            self.on_event,
            command=["env", *environment, *WINDOW_PROCESS],
        )

    def new_ticket(self):
        self.tickets += 1
        return f"ticket-{self.tickets}"

    def on_event(self, event):
        self.events.append(event)
        self._changed.set()

    async def happened(self, kind):
        async with asyncio.timeout(PATIENCE_S):
            while not any(isinstance(event, kind) for event in self.events):
                self._changed.clear()
                await self._changed.wait()

    @contextlib.asynccontextmanager
    async def page(self):
        from playwright.async_api import async_playwright

        async with async_playwright() as playwright:
            browser = await playwright.chromium.connect_over_cdp(self.devtools, no_defaults=True)
            yield browser.contexts[0].pages[0]
            await browser.close()


@pytest.fixture
def page_server():
    server = PageServer()
    yield server
    server.close()


@pytest.fixture
def tray(display):
    with trayer(Screen(display)):
        yield


@pytest.fixture
async def desk(display, page_server, tmp_path):
    desk = Desk(Screen(display), page_server, tmp_path)
    await desk.window.start()
    yield desk
    await desk.window.stop()


async def test_it_shows_the_page_with_its_ticket_in_a_window_of_the_usual_size(desk):
    async with desk.page() as page:
        assert await page.locator("h1").text_content() == "Here it is"
        assert page.url == f"{desk.page_server.url}/#ticket=ticket-1"
    (window,) = await until("the window", desk.screen.shown)
    assert desk.screen.size_px(window) == SIZE_PX


async def test_it_does_not_shrink_below_what_the_page_can_use(desk):
    (window,) = await until("the window", desk.screen.shown)
    desk.screen.run("xdotool", "windowsize", "--sync", window, *map(str, (MIN_SIZE_PX[0], MIN_SIZE_PX[1])))
    desk.screen.run("wmctrl", "-i", "-r", window, "-e", "0,-1,-1,300,200")
    assert desk.screen.size_px(window) == MIN_SIZE_PX


async def test_the_page_gets_no_bridge_into_python(desk):
    async with desk.page() as page:
        assert await page.evaluate("typeof window.pywebview") == "undefined"


async def test_hide_and_show_keep_the_page(desk):
    await until("the window", desk.screen.shown)
    async with desk.page() as page:
        await page.evaluate("document.querySelector('h1').textContent = 'As I left it'")
    await desk.window.hide()
    await until("the window to hide", lambda: not desk.screen.windows())
    await desk.window.show()
    await until("the window to come back", desk.screen.shown)
    async with desk.page() as page:
        assert await page.locator("h1").text_content() == "As I left it"
    assert desk.tickets == 1


async def test_with_no_tray_closing_minimises_and_raising_brings_it_back(desk):
    (window,) = await until("the window", desk.screen.shown)
    desk.screen.close(window)
    await desk.happened(protocol.Closed)
    await until("the window to minimise", lambda: desk.screen.windows() and not desk.screen.shown())
    await desk.window.raise_()
    await until("the window to come back", desk.screen.shown)
    await until("the focus", lambda: desk.screen.active() == "dccd")


async def test_with_a_tray_closing_hides_and_raising_brings_it_back(desk, tray):
    (window,) = await until("the window", desk.screen.shown)
    desk.screen.close(window)
    await desk.happened(protocol.Hidden)
    await until("the window to hide", lambda: not desk.screen.windows())
    await desk.window.raise_()
    await until("the window to come back", desk.screen.shown)
    assert desk.tickets == 1


async def test_raising_brings_it_before_another_window(desk, page_server, tmp_path):
    await until("the window", desk.screen.shown)
    other = Desk(desk.screen, page_server, tmp_path)
    await other.window.start()
    try:
        (front,) = await until("both", lambda: len(desk.screen.shown()) == 2 and {active_window(desk)})
        await desk.window.raise_()
        await until("the first window to come before", lambda: active_window(desk) != front)
    finally:
        await other.window.stop()


def active_window(desk):
    return desk.screen.run("xdotool", "getactivewindow")


async def test_killed_it_is_noticed_and_opened_anew(desk):
    await until("the window", desk.screen.shown)
    helpers = psutil.Process(desk.window.pid).children(recursive=True)
    os.kill(desk.window.pid, signal.SIGKILL)
    await desk.happened(Crashed)
    await until("its helpers to end", lambda: not any(runs(helper) for helper in helpers))
    await desk.window.show()
    await until("the new window", desk.screen.shown)
    async with desk.page() as page:
        assert page.url.endswith("#ticket=ticket-2")


async def test_a_page_whose_renderer_dies_is_a_crash_of_the_window(desk):
    # The web engine's helpers are children of ours; what they fork in turn are renderers.
    for helper in psutil.Process(desk.window.pid).children(recursive=True):
        if helper.ppid() != desk.window.pid:
            helper.kill()
    await desk.happened(Crashed)
    assert desk.events[-1].reason == "The process that draws the window's page has crashed."
    await desk.window.show()
    await until("the new window", desk.screen.shown)


async def test_a_page_that_is_not_served_is_no_window(display, tmp_path):
    class Gone:
        url = f"http://127.0.0.1:{free_port()}"

    desk = Desk(Screen(display), Gone, tmp_path)
    with pytest.raises(WindowUnavailable, match="could not load its page"):
        await desk.window.show()
    await desk.happened(Crashed)
    assert desk.events[-1].exit_code == 1


async def click(page, link):
    """Click as a page does itself: Playwright's click would wait for the page that is never navigated to."""
    await page.evaluate("link => document.getElementById(link).click()", link)


@pytest.mark.parametrize("link", ["allowed", "allowed-here"])
async def test_a_link_of_the_allow_list_opens_in_the_systems_browser(desk, link):
    async with desk.page() as page:
        await click(page, link)
        opened = await until(
            "the browser", lambda: desk.opened_in_browser.exists() and desk.opened_in_browser.read_text()
        )
        assert opened.startswith("https://www.tradingview.com/")
        assert page.url.startswith(desk.page_server.url)


@pytest.mark.parametrize("link", ["refused", "refused-here"])
async def test_any_other_link_opens_nowhere(desk, link):
    async with desk.page() as page:
        await click(page, link)
        await click(page, "allowed")
        opened = await until(
            "the browser", lambda: desk.opened_in_browser.exists() and desk.opened_in_browser.read_text()
        )
        assert opened == "https://www.tradingview.com/\n"
        assert page.url.startswith(desk.page_server.url)
        assert len(page.context.pages) == 1


async def test_a_link_to_a_page_of_ours_stays_in_the_window(desk):
    async with desk.page() as page:
        await page.click("#own")
        await page.wait_for_url("**/other")


async def test_a_folder_is_chosen_in_the_systems_dialog(desk, tmp_path):
    chosen = tmp_path / "market data"
    chosen.mkdir()
    choosing = asyncio.create_task(desk.window.choose_folder("Where should it go?", tmp_path))
    (dialog,) = await until("the dialog", lambda: desk.screen.shown("Where should it go?"))
    desk.screen.run("xdotool", "windowactivate", "--sync", dialog)
    desk.screen.run("xdotool", "key", "ctrl+a")
    desk.screen.run("xdotool", "type", str(chosen))
    desk.screen.run("xdotool", "key", "Return")
    assert await asyncio.wait_for(choosing, PATIENCE_S) == chosen


async def test_a_folder_dialog_can_be_cancelled(desk):
    choosing = asyncio.create_task(desk.window.choose_folder("Where should it go?"))
    (dialog,) = await until("the dialog", lambda: desk.screen.shown("Where should it go?"))
    desk.screen.run("xdotool", "windowactivate", "--sync", dialog)
    desk.screen.run("xdotool", "key", "Escape")
    assert await asyncio.wait_for(choosing, PATIENCE_S) is None


async def test_it_ends_in_time_even_with_a_dialog_open(desk):
    process = psutil.Process(desk.window.pid)
    choosing = asyncio.create_task(desk.window.choose_folder("Where should it go?"))
    await until("the dialog", lambda: desk.screen.shown("Where should it go?"))
    await asyncio.wait_for(desk.window.stop(), PATIENCE_S)
    with contextlib.suppress(WindowUnavailable):
        assert await choosing is None
    assert not process.is_running()


def test_the_end_of_the_program_ends_the_window_and_its_helpers(display, page_server):
    environment = {**os.environ, "DISPLAY": display}
    with subprocess.Popen(
        WINDOW_PROCESS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as window:
        assert window.stdin is not None
        assert window.stdout is not None
        window.stdin.write(protocol.encode(protocol.Open(page_server.url, "ticket")))
        window.stdin.flush()
        while protocol.decode_event(window.stdout.readline()) != protocol.Ready():
            continue
        helpers = psutil.Process(window.pid).children(recursive=True)
        assert helpers
        window.stdin.close()
        assert window.wait(PATIENCE_S) == 0
    wait_until("its helpers to end", lambda: not any(runs(helper) for helper in helpers))
