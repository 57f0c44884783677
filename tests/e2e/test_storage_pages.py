"""What a person sees and does where stored data is damaged, missing, deleted or moved."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dccd.application.requests import BackfillRequest
from dccd.domain.coverage import Interval
from dccd.domain.dataset import DatasetId
from dccd.domain.gaps import GapCause
from dccd.domain.timeutils import HOUR_NS, parse_time
from dccd.domain.types import Evidence

pytest.importorskip("playwright", reason="needs Playwright: uv sync")
from playwright.async_api import Page, Route, expect

from tests.adopt.old_files import bars, write
from tests.e2e.window import Window, overflow

pytestmark = pytest.mark.needs("browser")

BARS = DatasetId.parse("binance:BTC-USDT:ohlc:1h")
NAME = "BTC/USDT Candles 1h"
ROWS = 24 * 31
HOSTILE = "<img src=x onerror=alert(1)>\u202eTDSU/CTB" + "X" * 500


async def store_may(window: Window) -> None:
    """Store the hours of a month."""
    request = BackfillRequest(
        exchange="binance",
        symbol="BTC/USDT",
        data_type=BARS.data_type,
        span="1h",
        start=parse_time("2024-05-01"),
        end=parse_time("2024-06-01"),
    )
    submission = await window.service.start_backfill(request)
    await window.service.wait(submission.run_id)


def files(folder: Path) -> list[Path]:
    """The files with data, but for those put aside."""
    return [path for path in folder.rglob("*.parquet") if ".dccd" not in path.parts]


def damage(data_path: Path) -> None:
    """Flip a byte among the rows of the only file."""
    (file,) = files(data_path)
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 0xFF
    file.write_bytes(data)


def content(file: str | Path) -> str:
    return Path(file).read_text("utf-8")


async def open_dataset(window: Window) -> Page:
    """A page that shows the dataset's panel."""
    page = await window.open()
    await page.keyboard.press("Control+2")
    await page.get_by_role("gridcell", name="BTC/USDT").click()
    await expect(page.get_by_role("region", name=NAME)).to_be_visible()
    return page


async def more(page: Page, action: str) -> None:
    """Choose from the menu of a dataset's panel, with keys alone."""
    await page.get_by_role("button", name="More").press("ArrowDown")
    await expect(page.get_by_role("menuitem").first).to_be_focused()
    item = page.get_by_role("menuitem", name=action)
    while not await item.evaluate("it => it === document.activeElement"):
        await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")


async def test_what_is_deleted_can_be_had_back(window: Window) -> None:
    await store_may(window)
    page = await open_dataset(window)
    await more(page, "Delete")
    await expect(page.get_by_text("No data yet")).to_be_visible()
    await expect(page.get_by_text("is in the trash")).to_be_visible()
    await page.get_by_role("button", name="Undo").click()
    await expect(page.get_by_role("gridcell", name="BTC/USDT")).to_be_visible()
    assert (await window.service.info(BARS)).rows == ROWS

    await page.get_by_role("gridcell", name="BTC/USDT").click()
    await page.get_by_role("grid", name="Datasets").press("Delete")
    await expect(page.get_by_text("No data yet")).to_be_visible()
    await page.keyboard.press("Control+k")
    await page.keyboard.type("open trash")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Restore BTC/USDT Candles 1h").click()
    await expect(page.get_by_text("It is back.")).to_be_visible()
    await expect(page.get_by_text("What is deleted from the library waits here")).to_be_visible()
    assert (await window.service.info(BARS)).rows == ROWS
    assert window.complaints == []


async def test_the_trash_is_emptied_once_it_was_asked(window: Window) -> None:
    await store_may(window)
    await window.service.keeping.delete(BARS)
    page = await window.open()
    await page.keyboard.press("Control+4")
    await page.get_by_role("button", name="Empty the trash…").click()
    dialog = page.get_by_role("dialog", name="Empty the trash")
    await expect(dialog).to_contain_text("This deletes 1\u00a0dataset for good and frees")
    await dialog.get_by_role("button", name="Cancel").click()
    assert len(await window.service.keeping.trash()) == 1
    await page.get_by_role("button", name="Empty the trash…").click()
    await dialog.get_by_role("button", name="Delete for good").click()
    await expect(page.get_by_text("The trash is empty")).to_be_visible()
    assert await window.service.keeping.trash() == []
    assert window.complaints == []


async def test_a_damaged_file_is_found_put_aside_and_fetched_again(window: Window, data_path: Path) -> None:
    await store_may(window)
    damage(data_path)
    page = await open_dataset(window)
    await page.get_by_role("button", name="Verify the dataset").click()
    await expect(page.get_by_text("error found").or_(page.get_by_text("errors found"))).to_be_visible()
    await expect(page.get_by_text("Reading every byte again.")).to_have_count(0)
    await page.get_by_role("button", name="Show", exact=True).click()
    panel = page.get_by_role("region", name="Run", exact=True)
    await expect(page.locator(".mark.bad")).to_have_count(2)
    await expect(panel).to_contain_text("has another hash than was written")
    await expect(panel).to_contain_text("Mending the dataset puts the file aside")
    await panel.get_by_role("button", name="Put damaged files aside").click()
    await expect(page.get_by_text("Damaged files are put aside; their time is a gap now.")).to_be_visible()
    assert files(data_path) == []
    await page.get_by_role("button", name="Show", exact=True).click()
    await expect(panel.get_by_text("Mended").first).to_be_visible()
    await expect(panel.get_by_role("button", name="Put damaged files aside")).to_have_count(0)

    await panel.get_by_role("button", name=NAME).click()
    await page.get_by_role("tab", name="Gaps").click()
    await expect(page.get_by_role("grid", name="Gaps")).to_contain_text(
        "put aside: its file could not be read"
    )
    await page.get_by_role("button", name="Fill the gap", exact=True).click()
    await expect(page.get_by_text("nothing is missing")).to_be_visible()
    assert (await window.service.info(BARS)).rows == ROWS
    # That a damaged file has no chart is the only thing the browser has to tell.
    assert {text for text in window.complaints if "status of 500" not in text} == set()


async def test_the_causes_of_gaps_are_explained_and_one_is_filled(window: Window) -> None:
    await store_may(window)
    start_ns = parse_time("2024-05-02")
    causes = [GapCause.FILE_GONE, GapCause.DIFFERS, GapCause.DISCONNECTED]
    for number, cause in enumerate(causes):
        at_ns = start_ns + number * 24 * HOUR_NS
        window.service.store.add_doubt(BARS, Interval(at_ns, at_ns + HOUR_NS), cause)
    page = await open_dataset(window)
    await page.get_by_role("tab", name="Gaps").click()
    grid = page.get_by_role("grid", name="Gaps")
    for cause in causes:
        await expect(grid.get_by_text(cause.value)).to_be_visible()
    await grid.press("ArrowDown")
    await expect(page.get_by_text("Put it back from a copy")).to_be_visible()
    await grid.press("ArrowDown")
    await expect(page.get_by_text("A check found that the exchange has other values")).to_be_visible()
    window.exchange.log.clear()
    await page.get_by_role("button", name="Fill this gap").click()
    await expect(grid.get_by_text(GapCause.DIFFERS.value)).to_have_count(0)
    left = {gap.cause for gap in await window.service.gaps(BARS)}
    assert left == {GapCause.FILE_GONE.value, GapCause.DISCONNECTED.value}

    await page.get_by_role("button", name="Fetch all gaps").click()
    await expect(page.get_by_text("nothing is missing")).to_be_visible()
    await expect(page.get_by_role("button", name="Fetch all gaps")).to_have_count(0)
    assert window.complaints == []


async def test_a_gap_that_is_found_while_it_is_looked_at_is_told_everywhere(window: Window) -> None:
    await store_may(window)
    page = await open_dataset(window)
    panel = page.get_by_role("region", name=NAME)
    await expect(panel.get_by_text("Complete", exact=True)).to_be_visible()
    at_ns = parse_time("2024-05-02")
    window.service.store.add_doubt(BARS, Interval(at_ns, at_ns + HOUR_NS), GapCause.FILE_GONE)
    await page.get_by_role("tab", name="Gaps").click()
    await expect(page.get_by_role("grid", name="Gaps")).to_contain_text(GapCause.FILE_GONE.value)
    await expect(panel.get_by_text("Complete", exact=True)).to_have_count(0)
    await expect(panel.get_by_role("button", name="1\u00a0gap")).to_be_visible()
    assert window.complaints == []


async def test_a_sound_dataset_is_verified(window: Window) -> None:
    await store_may(window)
    page = await open_dataset(window)
    await more(page, "Verify")
    await expect(page.get_by_text("Verified: all is as it was written.")).to_be_visible()
    await page.get_by_role("button", name="Show", exact=True).click()
    panel = page.get_by_role("region", name="Run", exact=True)
    await expect(panel.get_by_text("sound", exact=True)).to_be_visible()
    await expect(panel).to_contain_text(f"{ROWS} rows")
    assert window.complaints == []


async def test_a_check_and_its_result(window: Window) -> None:
    await store_may(window)
    page = await open_dataset(window)
    await more(page, "Check against the exchange")
    await expect(page.get_by_text("there is no difference")).to_be_visible()
    await page.get_by_role("button", name="Show", exact=True).click()
    panel = page.get_by_role("region", name="Run", exact=True)
    await expect(panel.get_by_text("No difference")).to_be_visible()
    await panel.get_by_text("What was compared").click()
    await expect(panel.get_by_role("listitem").first).to_contain_text("2024-05-")
    await panel.get_by_role("button", name="Open").click()
    await page.get_by_role("button", name="More").click()
    await expect(page.get_by_role("menuitem", name="Audit")).to_have_attribute("aria-disabled", "true")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="More")).to_be_focused()
    await page.get_by_role("tab", name="About").click()
    async with page.expect_download() as waiting:
        await page.get_by_role("button", name="Download certificate").click()
    assert json.loads(content(await (await waiting.value).path()))["rows"] == ROWS
    assert window.complaints == []


async def test_what_is_from_documentation_only_says_so_until_a_check_has_passed(window: Window) -> None:
    bound = window.service.registry.get("binance")
    documented = tuple(
        item.model_copy(update={"evidence": Evidence.DOCUMENTED}) for item in bound.source.capabilities
    )
    bound.source = replace(bound.source, capabilities=documented)
    bound.capabilities = documented
    await store_may(window)
    page = await window.open()
    unchecked = page.get_by_text("From documentation only, not yet checked against real data")
    await expect(unchecked).to_be_visible()
    assert await overflow(page) == []

    await page.keyboard.press("Control+2")
    await page.get_by_role("gridcell", name="BTC/USDT").click()
    await more(page, "Check against the exchange")
    await expect(page.get_by_text("there is no difference")).to_be_visible()
    await page.keyboard.press("Control+1")
    confirmed = page.get_by_text("From documentation, confirmed here on 20")
    await expect(confirmed).to_be_visible()
    await page.get_by_label("Data", exact=True).select_option("trades")
    await expect(unchecked).to_be_visible()
    await page.get_by_label("Data", exact=True).select_option("ohlc")
    await expect(confirmed).to_be_visible()
    await page.get_by_label("Market").select_option("linear")
    await expect(unchecked).to_be_visible()
    assert window.complaints == []


async def test_the_data_folder_is_moved(window: Window, tmp_path: Path, data_path: Path) -> None:
    await store_may(window)
    new = tmp_path / "elsewhere"

    window.server.choose_folder = lambda _title: chosen(new)
    page = await window.open()
    await page.keyboard.press("Control+4")
    await page.get_by_role("button", name="Move…").click()
    dialog = page.get_by_role("dialog", name="Move the data folder")
    await expect(dialog).to_contain_text(str(new))
    await dialog.get_by_role("button", name="Move", exact=True).click()
    await expect(page.get_by_text(f"The data is in {new} now.")).to_be_visible()
    await expect(page.locator("code").filter(has_text=str(new))).to_be_visible()
    assert window.service.data_path == new
    assert files(data_path) == []
    assert len(files(new)) == 1
    await page.keyboard.press("Control+2")
    await page.get_by_role("gridcell", name="BTC/USDT").click()
    await page.get_by_role("tab", name="Table").click()
    await expect(page.get_by_role("row").filter(has_text="2024-05-31 23:00:00")).to_be_visible()


async def test_the_change_waits_for_what_runs(window: Window, tmp_path: Path) -> None:
    await store_may(window)
    new = tmp_path / "elsewhere"
    window.server.choose_folder = lambda _title: chosen(new)
    page = await window.open()
    window.exchange.latency_s = 0.5
    request = BackfillRequest(
        exchange="binance",
        symbol="BTC/USDT",
        data_type=BARS.data_type,
        span="1m",
        start=parse_time("2024-01-01"),
    )
    running = await window.service.start_backfill(request)
    await page.keyboard.press("Control+4")
    await page.get_by_role("button", name="Move…").click()
    await page.get_by_role("button", name="Move", exact=True).click()
    await expect(page.get_by_text("Everything is copied to")).to_be_visible()
    await page.get_by_role("button", name="Change over now").click()
    await expect(page.get_by_text("1 run is under way").first).to_be_visible()
    await window.service.cancel(running.run_id)
    await expect(page.get_by_text(f"The data is in {new} now.")).to_be_visible()
    await expect(page.get_by_role("button", name="Change over now")).to_have_count(0)


async def chosen(folder: Path) -> Path:
    return folder


async def test_a_folder_of_dccd_3_is_taken_over(window: Window, tmp_path: Path) -> None:
    old = tmp_path / "crypto"
    write(old, "binance/ohlc/BTC-USDT/1h/2024.parquet", bars(10))
    write(old, "notes/todo.parquet", bars(1))
    window.server.choose_folder = lambda _title: chosen(old)
    page = await window.open()
    await page.keyboard.press("Control+4")
    await page.get_by_role("button", name="Take over a dccd 3 folder…").click()
    dialog = page.get_by_role("dialog", name="Take over a dccd 3 folder")
    await expect(dialog.get_by_role("list", name="Datasets")).to_contain_text(NAME)
    await expect(dialog).to_contain_text("not taken over")
    assert await window.service.inventory() == []
    await dialog.get_by_role("button", name="Take over", exact=True).click()
    panel = page.get_by_role("region", name="Run", exact=True)
    await expect(panel).to_contain_text("10 rows read, 10 stored")
    await panel.get_by_role("button", name=NAME).click()
    await expect(page.get_by_role("region", name=NAME)).to_be_visible()
    assert window.complaints == []


async def test_without_a_window_the_command_is_shown(window: Window) -> None:
    page = await window.open()
    await page.keyboard.press("Control+k")
    await page.keyboard.type("dccd 3")
    await page.keyboard.press("Enter")
    adopt = page.get_by_text("dccd adopt FOLDER")
    await expect(adopt).to_be_visible()
    await page.get_by_role("button", name="Move…").click()
    command = page.get_by_text("dccd move FOLDER")
    await expect(command).to_be_visible()
    await expect(adopt).to_have_count(0)
    button = await page.get_by_role("button", name="Move…").bounding_box()
    below = await command.bounding_box()
    assert button is not None
    assert below is not None
    assert 0 < below["y"] - button["y"] < 100
    assert window.complaints == []


async def test_limits_are_checked_and_saved(window: Window) -> None:
    page = await window.open()
    await page.keyboard.press("Control+4")
    floor = page.get_by_label("Keep free (GB)")
    await expect(floor).to_have_value("1")
    await floor.fill("lots")
    await expect(page.locator("#floor-error")).to_contain_text("A number")
    await expect(page.get_by_role("button", name="Save")).to_be_disabled()
    await floor.fill("2.5")
    await page.get_by_label("Keep trash (days)").fill("30")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved.")).to_be_visible()
    settings = window.service.config.settings
    assert (settings.free_space_floor_gb, settings.trash_days) == (2.5, 30)
    assert window.complaints == []


async def test_a_start_and_its_problems_are_told(window: Window) -> None:
    recovering = {"step": HOSTILE, "done": 40, "total": 100}
    told: dict[str, Any] = {"recovering": recovering, "problems": [HOSTILE] * 3}

    async def lie(route: Route) -> None:
        answer = await route.fetch()
        said = await answer.json()
        said["disk"]["state"] = "low"
        await route.fulfill(response=answer, body=json.dumps(said | told))

    page = await window.open()
    await page.route("**/api/health", lie)
    page.on("dialog", lambda dialog: window.complaints.append(dialog.message))
    await page.reload()
    await expect(page.get_by_text("Checking the data folder… 40%")).to_be_visible()
    await expect(page.get_by_role("progressbar", name="Checking the data folder")).to_be_visible()
    await expect(page.get_by_text("Low: downloads wait")).to_be_visible()
    await page.get_by_text("1 thing to know").click()
    problems = page.get_by_role("list", name="Things to know about the data folder")
    await expect(problems.get_by_text("<img src=x")).to_be_visible()
    await expect(problems.get_by_text("(3 times)")).to_be_visible()
    assert await page.locator("img").count() == 0
    assert await overflow(page) == []

    told["recovering"] = None
    await expect(page.get_by_text("Checking the data folder…")).to_have_count(0)
    await page.get_by_role("button", name="Close these messages").click()
    await expect(problems).to_have_count(0)
    await page.keyboard.press("Control+4")
    await expect(page.get_by_role("region", name="Storage").get_by_text("<img src=x")).to_be_visible()
    assert await overflow(page) == []
    assert window.complaints == []


RESULTS: dict[str, dict[str, Any]] = {
    "verify": {
        "datasets": [
            {
                "dataset": HOSTILE,
                "errors": 1,
                "problems": [{"severity": "error", "file": HOSTILE, "text": HOSTILE, "advice": HOSTILE}],
                "failure": HOSTILE,
            }
        ],
        "errors": 1,
    },
    "check": {
        "rows": 1,
        "skipped": [{"start_ms": 0, "end_ms": 1, "why": HOSTILE}],
        "differences": [
            {"ts": HOSTILE, "id": HOSTILE, "verdict": HOSTILE, "fields": {HOSTILE: [HOSTILE, 1]}}
        ],
    },
    "audit": {"differences": [{"ts": HOSTILE, "field": HOSTILE, "stored": 1, "derived": 2}], "equal": 1},
    "adopt": {
        "folder": HOSTILE,
        "datasets": [
            {"dataset": HOSTILE, "place": HOSTILE, "rows_left_out": {HOSTILE: 1}, "notes": [HOSTILE]}
        ],
        "not_taken": [{"place": HOSTILE, "reason": HOSTILE}],
    },
    "move": {"folder": HOSTILE},
}


async def test_what_runs_found_is_only_text(window: Window) -> None:
    await store_may(window)
    (run,) = await window.service.runs.list()
    kind = ""

    async def lie(route: Route) -> None:
        answer = await route.fetch()
        said = await answer.json()
        for each in said.get("runs", [said]):
            each |= {"operation": kind, "symbol": None, "params": {"folder": HOSTILE}}
        if "log_tail" in said:
            said["result"] = RESULTS[kind]
        await route.fulfill(response=answer, body=json.dumps(said))

    page = await window.open(width=900, height=600)
    await page.route("**/api/runs**", lie)
    page.on("dialog", lambda dialog: window.complaints.append(dialog.message))
    await page.goto(f"{page.url.split('#')[0]}#/runs/{run.run_id}")
    panel = page.get_by_role("region", name="Run", exact=True)
    for kind in RESULTS:
        await page.reload()
        for summary in await panel.locator("summary").all():
            await summary.click()
        await expect(panel.get_by_text("<img src=x").nth(1)).to_be_visible()
        assert await page.locator("img").count() == 0, kind
        assert await overflow(page) == [], kind
    await page.unroute_all(behavior="wait")  # none may be under way when the browser is closed
    assert window.complaints == []
