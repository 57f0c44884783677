"""The window's pages in a browser: over the real server and service, and a stand-in for the exchange."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus

import pytest

from dccd.application.service import Service
from dccd.interfaces.server import LocalServer
from tests.exchanges.binance import BinanceStandIn

pytest.importorskip("playwright", reason="needs Playwright: uv sync")
from playwright.async_api import Browser, ConsoleMessage, Error, Page, Response, expect

NOW_MS = 1_717_243_800_000  # 2024-06-01T12:10Z
PATIENCE_MS = 20_000
expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Window:
    """A program with an exchange to ask, and the pages opened on it."""

    service: Service
    server: LocalServer
    exchange: BinanceStandIn
    browser: Browser
    complaints: list[str] = field(default_factory=list)

    async def open(self, address: str | None = None, *, width: int = 1180, height: int = 760) -> Page:
        """Open a page; what the browser complains about on it (errors, the policy) is collected.

        Its clock shows what the exchange's does: by a clock of today every range that the form proposes, for
        as long as a step takes, begins years after the exchange's present.
        """
        page = await self.browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(PATIENCE_MS)
        await page.clock.install(time=datetime.fromtimestamp(NOW_MS / 1000, UTC))
        page.on("console", self._listen)
        page.on("response", self._read)
        page.on("pageerror", lambda error: self.complaints.append(f"{error}"))
        await page.goto(address or self.server.page_url())
        await expect(page.locator("main")).to_be_visible()
        await expect(page.get_by_text("Opening…")).to_have_count(0)
        return page

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} ({message.location['url']})")

    async def _read(self, response: Response) -> None:
        """Add what a refusal says to the browser's complaint about it, which names its address alone."""
        if response.status < HTTPStatus.BAD_REQUEST:
            return
        request = response.request
        asked = f"{request.method} {request.url} {request.post_data or ''}"
        try:
            self.complaints.append(f"{asked}: a status of {response.status}: {await response.text()}")
        except Error:  # the page was closed, or went elsewhere, before it had read the answer
            pass


async def choose(page: Page, *, symbol: str = "BTC/USDT", span: str = "1h", first_day: str) -> None:
    """Fill in the form, up to a plan."""
    await page.get_by_role("combobox", name="Symbol").fill(symbol)
    await page.get_by_role("listbox").get_by_role("option").filter(has_text=symbol).first.click()
    await page.get_by_label("Span").select_option(span)
    await page.get_by_role("button", name="From – to").click()
    await page.get_by_label("First day").fill(first_day)
    await expect(page.get_by_text("Requests")).to_be_visible()


async def download(page: Page, **what: str) -> None:
    """Choose, start, and wait for the end."""
    await choose(page, **what)
    await page.get_by_role("button", name="Start download").click()
    await expect(page.locator("li").filter(has_text="Done").first).to_be_visible()


async def overflow(page: Page) -> list[str]:
    """What sticks out at the right of its page without being scrolled there on purpose."""
    found: list[str] = await page.evaluate(
        """() => [...document.querySelectorAll("main *")]
            .filter((it) => it.getBoundingClientRect().right > innerWidth + 1)
            .filter((it) => !it.closest("[role=grid], pre, .clip, .unseen, .wide, svg"))
            .map((it) => `${it.tagName}.${it.className}`)"""
    )
    return found
