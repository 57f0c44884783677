"""The window's pages in a browser, over the real server and service and the stand-in exchange."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dccd.application.service import Service
from tests.exchanges.engine import Fault, Response

pytest.importorskip("playwright", reason="needs Playwright: uv sync")
from playwright.async_api import Route, expect

from tests.e2e.window import Window, choose, download, overflow

pytestmark = pytest.mark.needs("browser")

ID = "binance:BTC-USDT:ohlc:1h"
HOSTILE = "<img src=x onerror=alert(1)>\u202eTDSU/CTB" + "X" * 5000


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


async def test_every_step_of_the_form_asks_for_a_plan_that_can_be(window: Window) -> None:
    page = await window.open()
    plans = "**/api/plan"
    async with page.expect_response(plans) as proposed:
        await page.get_by_role("combobox", name="Symbol").fill("BTC/USDT")
        await page.get_by_role("listbox").get_by_role("option").first.click()
    async with page.expect_response(plans) as this_year:
        await page.get_by_role("button", name="This year").click()
    async with page.expect_response(plans) as last_week:
        await page.get_by_role("button", name="From – to").click()
    async with page.expect_response(plans) as written:
        await page.get_by_label("First day").fill("2024-05-01")
    asked = [await answer.value for answer in (proposed, this_year, last_week, written)]
    starts = [json.loads(answer.request.post_data or "")["start"] for answer in asked]
    assert starts == ["2024-05-02", "2024-01-01", "2024-05-25", "2024-05-01"]
    assert window.complaints == []


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
    await page.get_by_role("button", name="Fill the gap").click()
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
        assert await overflow(page) == []
    await page.keyboard.press("Control+2")
    await page.get_by_role("gridcell", name="<img").click()
    for tab in ("Chart", "Table", "Gaps", "About"):
        await page.get_by_role("tab", name=tab).click()
        assert await overflow(page) == []
    assert window.complaints == []


@pytest.mark.parametrize("size", [(900, 600), (1180, 760), (1600, 1000)])
async def test_nothing_runs_out_of_the_window(window: Window, size: tuple[int, int]) -> None:
    page = await window.open(width=size[0], height=size[1])
    await download(page, first_day="2024-05-01")
    for key in "1234":
        await page.keyboard.press(f"Control+{key}")
        assert await overflow(page) == [], f"page {key}"
        for grid in await page.get_by_role("grid").all():
            assert await grid.evaluate("it => it.scrollWidth - it.clientWidth") <= 0, f"page {key}"
    await page.keyboard.press("Control+2")
    await page.get_by_role("gridcell", name="BTC/USDT").click()
    for tab in ("Chart", "Table", "Gaps", "About"):
        await page.get_by_role("tab", name=tab).click()
        assert await overflow(page) == [], tab
