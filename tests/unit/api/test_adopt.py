"""Taking over an old folder through the API: what a page may name, and what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adopt.old_files import bars, write
from tests.unit.api.running import Running


@pytest.fixture
def old(tmp_path: Path) -> Path:
    write(tmp_path / "crypto", "binance/ohlc/BTC-USDT/1h/2024.parquet", bars(10))
    (tmp_path / "config.yml").write_text("settings: {timezone: local}\n")
    return tmp_path / "crypto"


async def test_a_page_adopts_the_folder_its_person_chose_and_may_look_first(api: Running, old: Path) -> None:
    async def choose(_title: str) -> Path:
        return old

    api.server.choose_folder = choose
    async with await api.page() as page:
        handle = (await page.post("/api/dialog/folder", json={"title": "Adopt"})).json()["handle"]
        for _ in range(2):
            plan = (await page.post("/api/adopt/plan", json={"folder_handle": handle})).json()
            assert [found["rows"] for found in plan["datasets"]] == [10]
        started = (await page.post("/api/adopt", json={"folder_handle": handle})).json()
        run = await api.service.wait(started["run_id"])
        assert (run.state, run.rows_written) == ("succeeded", 10)
        shown = (await page.get(f"/api/runs/{run.run_id}")).json()
        assert shown["result"]["datasets"][0]["rows_stored"] == 10
        assert (await page.post("/api/adopt", json={"folder_handle": handle})).status_code == 403
        assert (await page.post(f"/api/backfill/{run.run_id}/retry")).status_code == 403
    assert (await api.local.post(f"/api/backfill/{run.run_id}/retry")).status_code == 202


async def test_a_page_names_neither_folder_nor_configuration(api: Running, old: Path) -> None:
    bodies = [{"folder": str(old)}, {"folder_handle": "x", "config_file": str(old.parent / "config.yml")}]
    async with await api.page() as page:
        for route in ("/api/adopt", "/api/adopt/plan"):
            for body in bodies:
                assert (await page.post(route, json=body)).status_code == 403
    assert (await api.local.get("/api/inventory")).json()["datasets"] == []


async def test_what_is_wrong_is_told_by_its_member(api: Running, old: Path) -> None:
    for body, field in (
        ({"folder": "crypto"}, "folder"),
        ({"folder": str(old), "config_file": "config.yml"}, "config_file"),
    ):
        answer = await api.local.post("/api/adopt", json=body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    answer = await api.local.post("/api/adopt", json={"folder": str(old.parent / "nowhere")})
    assert (answer.status_code, answer.json()["code"]) == (422, "usage")
