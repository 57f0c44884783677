"""The window's pages in a browser, over the real server and service and the stand-in exchange."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dccd.application.config import load_config
from dccd.application.service import Service
from dccd.application.service_factory import build_service
from dccd.interfaces.api.static_shell import ROOT as BUILT_PAGE
from dccd.interfaces.server import LocalServer
from tests.exchanges.binance import BinanceStandIn
from tests.exchanges.engine import Fault, Response

pytest.importorskip("playwright", reason="needs Playwright: uv sync")
from playwright.async_api import Browser, Page, Route, expect

pytestmark = pytest.mark.needs("browser")

PATIENCE_MS = 20_000
expect.set_options(timeout=PATIENCE_MS)

NOW_MS = 1_717_243_800_000  # 2024-06-01T12:10Z
ID = "binance:BTC-USDT:ohlc:1h"
HOSTILE = "<img src=x onerror=alert(1)>\u202eTDSU/CTB" + "X" * 5000


@dataclass
class Window:
    """A program with an exchange to ask, and the pages opened on it."""

    service: Service
    server: LocalServer
    exchange: BinanceStandIn
    browser: Browser
    complaints: list[str] = field(default_factory=list)

    async def open(self, address: str | None = None, *, width: int = 1180, height: int = 760) -> Page:
        """Open a page; what the browser complains about on it (errors, the policy) is collected."""
        page = await self.browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.complaints.append(f"{error}"))
        await page.goto(address or self.server.page_url())
        await expect(page.locator("main")).to_be_visible()
        await expect(page.get_by_text("Opening…")).to_have_count(0)
        return page

    def _listen(self, message) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


@pytest.fixture
async def window(
    browser: Browser, tmp_path: Path, data_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Window]:
    """Return the program at its first start."""
    if not (BUILT_PAGE / "index.html").is_file():
        pytest.skip("the page is not built: npm ci && npm run build, in frontend")
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    config = tmp_path / "config.toml"
    async with BinanceStandIn(now_ms=NOW_MS) as exchange:
        config.write_text(exchange.config)
        async with build_service(load_config(config, data_path=data_path)) as service:
            server = LocalServer(service)
            await server.start()
            try:
                yield Window(service, server, exchange, browser)
            finally:
                await server.stop()


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


async def test_from_the_first_start_to_the_chart_and_the_table(window: Window) -> None:
    page = await window.open()
    await expect(page.get_by_text("Nothing downloaded yet")).to_be_visible()
    assert "ticket" not in page.url

    search = page.get_by_role("combobox", name="Symbol")
    await search.fill("btcusdt")
    await expect(page.get_by_role("listbox").get_by_role("option").first).to_contain_text("BTC/USDT")
    await search.press("Enter")
    await expect(search).to_have_value("BTC/USDT")
    await choose(page, first_day="2024-05-01")
    plan = page.get_by_role("region", name="What will be fetched")
    await expect(plan).to_contain_text("about 756")
    await expect(plan).to_contain_text("dccd backfill binance BTC/USDT --span 1h --start 2024-05-01")

    await page.get_by_role("button", name="Start download").click()
    await expect(page.locator("li").filter(has_text="Done")).to_contain_text("756 rows")
    await expect(plan).to_contain_text("Already complete")
    await expect(page.get_by_role("button", name="Start download")).to_be_disabled()

    await plan.get_by_role("button", name="Show in Library").click()
    panel = page.get_by_role("region", name="BTC/USDT Candles 1h")
    await expect(panel.get_by_text("Complete")).to_be_visible()
    await expect(panel.get_by_text(re.compile("One candle is"))).to_be_visible()
    assert await panel.locator("canvas").count() > 0

    await panel.get_by_role("tab", name="Table").click()
    newest = panel.get_by_role("row").nth(1)
    await expect(newest).to_contain_text("2024-06-01 11:00:00")
    stored = (await _rows(window.service))[-1]
    await expect(newest.get_by_role("gridcell").nth(4)).to_have_text(f"{stored['close']:.10g}")
    await panel.get_by_role("button", name="Oldest first").click()
    await expect(panel.get_by_role("row").nth(1)).to_contain_text("2024-05-01 00:00:00")

    await panel.get_by_role("tab", name="Gaps").click()
    await expect(panel.get_by_text("nothing is missing")).to_be_visible()
    await panel.get_by_role("tab", name="About").click()
    await expect(panel.locator("pre")).to_contain_text("dccd.scan")

    await page.keyboard.press("Control+3")
    await page.get_by_role("gridcell", name="BTC/USDT").click()
    await expect(page.get_by_role("log")).to_contain_text("756")
    assert window.complaints == []


async def _rows(service: Service) -> list[dict[str, float]]:
    from dccd.domain.dataset import DatasetId

    return [row for batch in service.read(DatasetId.parse(ID)) for row in batch.to_pylist()]


async def test_a_download_outlives_its_page_and_can_be_cancelled_and_retried(window: Window) -> None:
    page = await window.open()
    await choose(page, span="1m", first_day="2024-03-01")
    window.exchange.latency_s = 0.5
    await page.get_by_role("button", name="Start download").click()
    running = page.get_by_role("region", name="Downloads").locator("li").filter(has_text="Running")
    await expect(running).to_be_visible()
    await page.close()

    page = await window.open()
    running = page.get_by_role("region", name="Downloads").locator("li").filter(has_text="Running")
    await expect(running.get_by_role("progressbar")).to_be_visible()
    await expect(page.get_by_text("1 running")).to_be_visible()
    await page.get_by_role("button", name="Cancel BTC/USDT Candles 1m").click()
    await expect(page.locator("li").filter(has_text="Cancelled").first).to_be_visible()
    await expect(page.get_by_text("Nothing is running")).to_be_visible()

    window.exchange.latency_s = 0
    await page.get_by_role("button", name="Undo").click()
    await expect(page.locator("li").filter(has_text="Done").first).to_be_visible()
    assert window.complaints == []


async def test_why_a_run_failed_is_said_and_its_gap_is_filled(window: Window) -> None:
    nonsense = Response(b'{"hello": "there"}')
    window.exchange.faults.append(Fault("answer", "/api/v3/klines", times=None, after=1, response=nonsense))
    page = await window.open()
    await choose(page, first_day="2023-12-01")
    await page.get_by_role("button", name="Start download").click()
    await expect(page.locator("li").filter(has_text="Failed")).to_be_visible()

    await page.keyboard.press("Control+3")
    await page.get_by_role("gridcell", name="BTC/USDT").click()
    panel = page.get_by_role("region", name="Run")
    await panel.get_by_text("Technical details").click()
    await expect(panel.locator("details pre")).to_contain_text("malformed_payload")

    window.exchange.faults.clear()
    await page.keyboard.press("Control+2")
    await page.get_by_role("gridcell", name="BTC/USDT").click()
    await page.get_by_role("tab", name="Gaps").click()
    await expect(page.get_by_role("grid", name="Gaps").get_by_role("row")).to_have_count(2)
    await page.get_by_role("button", name="Fill gaps").click()
    await expect(page.get_by_text("nothing is missing")).to_be_visible()
    assert window.complaints == []


async def test_wrong_input_is_said_beside_its_field(window: Window) -> None:
    page = await window.open()
    await page.get_by_role("button", name="Start download").click()
    await expect(page.get_by_text("Choose a symbol.")).to_be_visible()
    symbol = page.get_by_role("combobox", name="Symbol")
    await expect(symbol).to_have_attribute("aria-invalid", "true")
    await symbol.fill("NOPE/NOPE")
    await symbol.press("Tab")
    await expect(page.locator("#symbol-error")).to_contain_text("NOPE/NOPE")

    await page.get_by_role("button", name="From – to").click()
    await page.get_by_label("First day").fill("2024-02-01")
    await page.get_by_label("Last day").fill("2024-01-01")
    await expect(page.locator("#to-error")).to_contain_text("before the first day")


async def test_the_form_offers_what_the_market_has(window: Window) -> None:
    page = await window.open()
    kinds = page.get_by_label("Data", exact=True)
    assert "Funding rates" not in await kinds.locator("option").all_inner_texts()
    await page.get_by_label("Market").select_option("linear")
    assert "Funding rates" in await kinds.locator("option").all_inner_texts()
    await kinds.select_option("funding")
    await expect(page.get_by_label("Span")).to_have_count(0)
    await kinds.select_option("orderbook")
    await expect(page.get_by_label("Depth")).to_be_visible()
    await expect(page.get_by_text("as it is now")).to_be_visible()


async def test_without_a_window_an_export_is_downloaded(window: Window, tmp_path: Path) -> None:
    page = await window.open()
    await download(page, first_day="2024-05-01")
    await page.keyboard.press("Control+2")
    await page.get_by_role("gridcell", name="BTC/USDT").click()
    await page.get_by_role("button", name="Export…").click()
    dialog = page.get_by_role("dialog", name="Export")
    async with page.expect_download() as waiting:
        await dialog.get_by_role("button", name="Export…").click()
    saved = tmp_path / "saved.parquet"
    await (await waiting.value).save_as(saved)
    assert pq.read_table(saved).num_rows == 756
    # The browser tells of the refused dialog by itself; nothing else is wrong.
    assert [text for text in window.complaints if "409" not in text] == []


async def test_settings_hold_for_the_next_page(window: Window) -> None:
    page = await window.open()
    await page.keyboard.press("Control+4")
    await page.get_by_role("button", name="Dark").click()
    await page.get_by_role("button", name="Show local time").click()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.get_by_label("Address").fill("ftp://nowhere")
    await page.get_by_role("button", name="Add").click()
    await expect(page.locator("#host-address-error")).to_contain_text("https://")
    await page.close()

    page = await window.open()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await expect(page.get_by_role("button", name="Show UTC")).to_be_visible()
    assert window.complaints == []


async def test_keys_reach_everything(window: Window) -> None:
    page = await window.open()
    await download(page, first_day="2024-05-01")
    await page.keyboard.press("Control+2")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Library")
    await page.keyboard.press("/")
    await page.keyboard.type("btc 1h")
    await page.keyboard.press("Escape")
    await page.get_by_role("grid", name="Datasets").press("ArrowDown")
    await expect(page.get_by_role("tab", name="Chart")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("tab", name="Chart")).to_have_count(0)

    await page.keyboard.press("Control+1")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("btc candles")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("region", name="BTC/USDT Candles 1h")).to_be_visible()
    assert window.complaints == []


async def test_a_page_without_access_says_how_to_get_it(window: Window) -> None:
    used = window.server.page_url()
    await expect((await window.open(used)).get_by_role("heading", level=1)).to_have_text("Collect")
    for address in (window.server.url, used):
        page = await window.open(address)
        await expect(page.get_by_text("dccd open")).to_be_visible()


async def test_hostile_text_is_only_text(window: Window) -> None:
    page = await window.open()
    await download(page, first_day="2024-05-01")

    async def lie(route: Route) -> None:
        answer = await route.fetch()
        text = await answer.text()
        await route.fulfill(response=answer, body=text.replace('"BTC/USDT"', json.dumps(HOSTILE)))

    for path in ("inventory", "runs*", "datasets/**"):
        await page.route(f"**/api/{path}", lie)
    page.on("dialog", lambda dialog: window.complaints.append(dialog.message))
    await page.reload()
    for key in "123":
        await page.keyboard.press(f"Control+{key}")
        await expect(page.locator("bdi").filter(has_text="<img src=x").first).to_be_visible()
        assert await page.locator("img").count() == 0
        assert await _overflow(page) == []
    await page.keyboard.press("Control+2")
    await page.get_by_role("gridcell", name="<img").click()
    for tab in ("Chart", "Table", "Gaps", "About"):
        await page.get_by_role("tab", name=tab).click()
        assert await _overflow(page) == []
    assert window.complaints == []


@pytest.mark.parametrize("size", [(900, 600), (1180, 760), (1600, 1000)])
async def test_nothing_runs_out_of_the_window(window: Window, size: tuple[int, int]) -> None:
    page = await window.open(width=size[0], height=size[1])
    await download(page, first_day="2024-05-01")
    for key in "1234":
        await page.keyboard.press(f"Control+{key}")
        assert await _overflow(page) == [], f"page {key}"
        for grid in await page.get_by_role("grid").all():
            assert await grid.evaluate("it => it.scrollWidth - it.clientWidth") <= 0, f"page {key}"
    await page.keyboard.press("Control+2")
    await page.get_by_role("gridcell", name="BTC/USDT").click()
    for tab in ("Chart", "Table", "Gaps", "About"):
        await page.get_by_role("tab", name=tab).click()
        assert await _overflow(page) == [], tab


async def _overflow(page: Page) -> list[str]:
    """What sticks out at the right of its page without being scrolled there on purpose."""
    found: list[str] = await page.evaluate(
        """() => [...document.querySelectorAll("main *")]
            .filter((it) => it.getBoundingClientRect().right > innerWidth + 1)
            .filter((it) => !it.closest("[role=grid], pre, .clip, .unseen, svg"))
            .map((it) => `${it.tagName}.${it.className}`)"""
    )
    return found
