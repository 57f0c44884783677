"""Checks, audits and repairs over the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.gaps import GapCause
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MS_NS, parse_time
from dccd.interfaces.api import convert
from dccd.storage.info import Gap
from tests.exchanges.binance import BinanceStandIn
from tests.needs import ROOT
from tests.unit.api.running import Running, config, running

BARS = DatasetId.parse("binance:BTC-USDT:ohlc:1h")
BOOK = DatasetId.parse("binance:BTC-USDT:orderbook:100")
START_NS = parse_time("2024-02-01")


@pytest.fixture
async def filled(tmp_path: Path, data_path: Path) -> AsyncIterator[Running]:
    """Return a server with two days of bars, and an exchange behind it."""
    assert data_path.parent == tmp_path
    async with (
        BinanceStandIn(now_ms=parse_time("2024-03-01T12:20") // MS_NS) as exchange,
        running(config(tmp_path, exchange.config)) as made,
    ):
        asked = {"exchange": "binance", "symbol": "BTC/USDT", "data_type": "ohlc", "span": "1h"}
        times = {"start": "2024-02-01", "end": "2024-02-03"}
        await ended(made, (await made.local.post("/api/backfill", json=asked | times)).json())
        yield made


async def ended(made: Running, started: dict[str, Any]) -> dict[str, Any]:
    """The run's detail once it has ended."""
    await made.service.wait(started["run_id"])
    found: dict[str, Any] = (await made.local.get(f"/api/runs/{started['run_id']}")).json()
    assert found["state"] == "succeeded", found
    return found


async def test_a_check_is_a_run_whose_result_says_what_was_found(filled: Running) -> None:
    answer = await filled.local.post(f"/api/datasets/{BARS}/check", json={"windows": 3, "seed": 9})
    assert answer.status_code == 202
    run = await ended(filled, answer.json())
    assert (run["operation"], run["dataset"]) == ("check", str(BARS))
    assert run["params"] == {"windows": 3, "seed": 9}
    result = run["result"]
    assert (result["passed"], result["equal"], result["seed"]) == (True, 48, 9)
    listed = (await filled.local.get("/api/runs", params={"operation": "check"})).json()["runs"]
    assert [item["run_id"] for item in listed] == [run["run_id"]]


async def test_without_a_seed_one_is_drawn_and_told(filled: Running) -> None:
    runs = [
        await ended(filled, (await filled.local.post(f"/api/datasets/{BARS}/check", json={})).json())
        for _ in range(2)
    ]
    seeds = {run["params"]["seed"] for run in runs}
    assert len(seeds) == 2


async def test_a_page_may_repair_all_and_is_told_why_a_book_is_not(filled: Running) -> None:
    filled.service.store.add_lost(BARS, Interval(START_NS - DAY_NS, START_NS), GapCause.COLLECTOR_DOWN)
    filled.service.store.add_lost(BOOK, Interval(START_NS, START_NS + HOUR_NS), GapCause.DISCONNECTED)
    async with await filled.page() as page:
        answer = await page.post("/api/repair", json={})
    assert answer.status_code == 202
    by_dataset = {item["dataset"]: item for item in answer.json()["repairs"]}
    assert by_dataset.keys() == {str(BARS), str(BOOK)}
    book = by_dataset[str(BOOK)]
    assert (book["run_id"], book["status"], "past" in book["why"]) == (None, None, True)
    await ended(filled, by_dataset[str(BARS)])
    assert (await filled.local.get(f"/api/datasets/{BARS}/gaps")).json() == {"gaps": []}
    (left,) = (await filled.local.get(f"/api/datasets/{BOOK}/gaps")).json()["gaps"]
    assert (left["cause"], left["code"]) == ("disconnected", "disconnected")


async def test_a_repair_of_some_leaves_the_others(filled: Running) -> None:
    other = DatasetId.parse("binance:ETH-USDT:ohlc:1h")
    for dataset in (BARS, other):
        filled.service.store.add_asked(dataset, Interval(START_NS - DAY_NS, START_NS))
    answer = await filled.local.post("/api/repair", json={"datasets": [str(other)]})
    (started,) = answer.json()["repairs"]
    assert started["dataset"] == str(other)
    await ended(filled, started)
    assert await filled.service.gaps(other) == []
    assert len(await filled.service.gaps(BARS)) == 1


async def test_an_audit_is_a_run_whose_result_lists_the_differences(filled: Running) -> None:
    trades = DatasetId.parse("binance:BTC-USDT:trades")
    log = filled.service.store.begin_backfill(trades, "test", source="test")
    columns: dict[str, list[Any]] = {"ts": [START_NS], "price": [1.0], "amount": [1.0], "tid_num": [1]}
    log.append(columns, IntervalSet.of(START_NS, START_NS + 3 * HOUR_NS))
    log.finish()
    times = {"start": "2024-02-01", "end": "2024-02-01T02:00"}
    answer = await filled.local.post(f"/api/datasets/{BARS}/audit", json=times)
    run = await ended(filled, answer.json())
    result = run["result"]
    assert (result["differing"], result["stored_only"], result["passed"]) == (1, 1, False)
    assert run["params"] == {"start_ns": START_NS, "end_ns": START_NS + 2 * HOUR_NS}


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (f"datasets/{BARS}/check", {"windows": 0}, "invalid_request"),
    (f"datasets/{BARS}/check", {"windows": 1_001}, "invalid_request"),
    (f"datasets/{BARS}/check", {"seed": -1}, "invalid_request"),
    (f"datasets/{BOOK}/check", {}, "usage"),
    ("datasets/binance:ETH-USDT:ohlc:1h/check", {}, "unknown_dataset"),
    ("datasets/binance:ETH-USDT:trades/audit", {}, "usage"),
    (f"datasets/{BARS}/audit", {"start": "2024-01-02", "end": "2024-01-01"}, "invalid_range"),
    (f"datasets/{BARS}/audit", {}, "unknown_dataset"),
    ("repair", {"datasets": []}, "invalid_request"),
    ("repair", {"datasets": ["nothing"]}, "usage"),
    ("repair", {"datasets": ["binance:ETH-USDT:ohlc:1h"]}, "unknown_dataset"),
]


async def test_wrong_use_is_refused(filled: Running) -> None:
    for path, body, code in REFUSED:
        answer = await filled.local.post(f"/api/{path}", json=body)
        assert (answer.is_client_error, answer.json()["code"]) == (True, code), (path, body)
    assert (await filled.local.get("/api/runs", params={"operation": "check"})).json() == {"runs": []}


def test_every_cause_of_a_gap_has_a_code_that_is_documented() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for cause in GapCause:
        shown = convert.gap(Gap(0, 1, cause.value))
        assert (shown.cause, shown.code) == (cause.value, cause.name.lower())
        assert f"`{shown.code}`" in text
    assert convert.gap(Gap(0, 1, "an older program's words")).code == "other"
