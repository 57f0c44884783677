"""The routes over a real service, whose exchange is the stand-in with the real candles."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from dccd import __version__
from dccd.domain.coverage import Interval
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import UsageError
from dccd.interfaces.server import LocalServer
from dccd.storage.quarantine import Problem
from tests.exchanges.binance import BinanceStandIn
from tests.unit.api.running import Running, client, config, running

DATASET = "binance:BTC-USDT:ohlc:1h"
WANTED = {"exchange": "binance", "symbol": "BTC/USDT", "data_type": "ohlc", "span": "1h"}
DAYS = {"start": "2020-01-01", "end": "2020-01-11"}
START_MS = 1_577_836_800_000
HOUR_MS = 3_600_000
HOURS = 240


@pytest.fixture
async def exchange() -> AsyncIterator[BinanceStandIn]:
    """Return a running stand-in, its candles generated."""
    async with BinanceStandIn() as stand_in:
        yield stand_in


@pytest.fixture
async def api(tmp_path: Path, exchange: BinanceStandIn) -> AsyncIterator[Running]:
    """Return a server whose Binance is the stand-in."""
    async with running(config(tmp_path, "# a person's comment\n" + exchange.config + "\n")) as made:
        yield made


async def ended(api: Running, run_id: str) -> dict[str, object]:
    """The run once it has ended."""
    async with asyncio.timeout(30):
        await api.service.wait(run_id)
    found: dict[str, object] = (await api.local.get(f"/api/runs/{run_id}")).json()
    return found


@pytest.fixture
async def filled(api: Running) -> Running:
    """Return the server with ten days of hourly candles stored."""
    started = await api.local.post("/api/backfill", json=WANTED | DAYS)
    assert started.status_code == 202
    assert started.json()["status"] == "started"
    run = await ended(api, started.json()["run_id"])
    assert (run["state"], run["rows_written"]) == ("succeeded", HOURS)
    return api


async def test_health(api: Running) -> None:
    health = (await api.local.get("/api/health")).json()
    assert health["status"] == "ok"
    assert health["version"] == __version__
    assert health["data_path"] == str(api.service.data_path)
    assert health["running"] == 0
    assert 0 < health["disk"]["free_bytes"] <= health["disk"]["total_bytes"]


async def test_exchanges_declare_what_they_can_do(api: Running) -> None:
    answer = (await api.local.get("/api/exchanges")).json()
    (binance,) = [exchange for exchange in answer["exchanges"] if exchange["id"] == "binance"]
    assert binance["name"] == "Binance"
    assert {"ohlc", "trades", "orderbook"} <= {item["data_type"] for item in binance["capabilities"]}
    assert (await api.local.get("/api/capabilities")).json() == answer


async def test_instruments_are_searched(api: Running) -> None:
    query: dict[str, str | int] = {"exchange": "binance", "query": "btc", "market": "spot", "limit": 5}
    answer = (await api.local.get("/api/instruments", params=query)).json()
    assert answer["items"][0]["symbol"].startswith("BTC/")
    assert {item["market"] for item in answer["items"]} == {"spot"}
    assert len(answer["items"]) <= 5 <= answer["total"]
    refreshed = await api.local.post("/api/instruments/refresh", json={"exchange": "binance"})
    assert refreshed.json() == {"total": answer["total"]}


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"exchange": "nowhere"}, 404, "unknown_exchange"),
        ({"symbol": "NO/SUCH"}, 404, "unknown_symbol"),
        ({"span": "7m"}, 422, "no_capability"),
        ({"span": "soon"}, 422, "invalid_span"),
        ({"span": None}, 422, "invalid_span"),
        ({"start": "2020-01-11", "end": "2020-01-01"}, 422, "invalid_range"),
        ({"start": "2099-01-01", "end": None}, 422, "invalid_range"),
        ({"start": "yesterday"}, 422, "invalid_range"),
    ],
)
async def test_a_wish_that_cannot_be_met_is_refused_with_its_reason(
    api: Running, change: dict[str, object], status: int, code: str
) -> None:
    answer = await api.local.post("/api/plan", json=WANTED | DAYS | change)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def test_a_plan_says_what_would_be_fetched_and_fetches_nothing(api: Running) -> None:
    plan = (await api.local.post("/api/plan", json=WANTED | DAYS)).json()
    assert plan["dataset"] == DATASET
    assert plan["todo"] == [[START_MS, START_MS + HOURS * HOUR_MS]]
    assert plan["rows"] == HOURS
    assert plan["requests"] >= 1
    assert plan["already_covered"] is False
    assert (await api.local.get("/api/inventory")).json() == {"datasets": []}


async def test_what_was_fetched_is_in_the_inventory(filled: Running) -> None:
    (dataset,) = (await filled.local.get("/api/inventory")).json()["datasets"]
    assert (dataset["id"], dataset["symbol"], dataset["span"]) == (DATASET, "BTC/USDT", "1h")
    assert dataset["rows"] == HOURS
    assert dataset["covered"] == [[START_MS, START_MS + HOURS * HOUR_MS]]
    assert (dataset["complete"], dataset["gap_count"]) == (True, 0)
    assert (dataset["start_ms"], dataset["end_ms"]) == (START_MS, START_MS + (HOURS - 1) * HOUR_MS)
    again = (await filled.local.post("/api/plan", json=WANTED | DAYS)).json()
    assert (again["already_covered"], again["todo"], again["rows"]) == (True, [], 0)
    detail = (await filled.local.get(f"/api/datasets/{DATASET}")).json()
    assert sum(item["rows"] for item in detail["file_list"]) == HOURS
    assert names_in(detail["path"]) == {item["name"] for item in detail["file_list"]}
    (file,) = filled.service.store.files(DatasetId.parse(DATASET))
    assert [item["sha256"] for item in detail["file_list"]] == [file.footer.sha256]


async def test_pages_of_rows_are_the_whole_from_either_end(filled: Running) -> None:
    stored = await arrow(filled, "")
    assert stored.num_rows == HOURS
    for order in ("asc", "desc"):
        found: list[list[object]] = []
        query = {"limit": 50, "order": order}
        while True:
            page = (await filled.local.get(f"/api/datasets/{DATASET}/rows", params=query)).json()
            found += page["rows"]
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]
        names = [column["name"] for column in page["columns"]]
        assert names[:5] == ["ts", "open", "high", "low", "close"]
        if order == "desc":
            found.reverse()
        # Floats come back bit for bit, and times as text.
        assert [row[1] for row in found] == stored.column("open").to_pylist()
        assert [row[5] for row in found] == stored.column("volume").to_pylist()
        assert (found[0][0], found[-1][0]) == ("2020-01-01T00:00:00Z", "2020-01-10T23:00:00Z")


def names_in(folder: str) -> set[str]:
    """Names of what lies in a folder."""
    return {path.name for path in Path(folder).iterdir()}


async def arrow(api: Running, query: str) -> pa.Table:
    """An Arrow answer as a table."""
    answer = await api.local.get(f"/api/datasets/{DATASET}/rows?format=arrow{query}")
    assert answer.headers["content-type"] == "application/vnd.apache.arrow.stream"
    return pa.ipc.open_stream(answer.content).read_all()


async def test_an_arrow_stream_has_a_range_or_pages(filled: Running) -> None:
    some = await arrow(filled, "&start=2020-01-02&end=2020-01-03")
    assert some.num_rows == 24
    answer = await filled.local.get(f"/api/datasets/{DATASET}/rows?format=arrow&limit=100")
    assert pa.ipc.open_stream(answer.content).read_all().num_rows == 100
    rest = await arrow(filled, f"&limit=1000&cursor={answer.headers['x-next-cursor']}")
    assert rest.num_rows == HOURS - 100
    none = await arrow(filled, "&start=2021-01-01")
    assert (none.num_rows, none.schema) == (0, some.schema)


async def test_a_stored_dataset_is_found_by_its_words_with_the_exchange_away(
    filled: Running, exchange: BinanceStandIn
) -> None:
    await exchange.close()
    answer = await filled.local.post("/api/find", json=WANTED | {"symbol": "BTC-USDT", "span": "hourly"})
    assert answer.json() == {"dataset": DATASET}


async def test_read_names_a_dataset_in_words(filled: Running) -> None:
    body = WANTED | {"symbol": "btc-usdt", "span": "3600", "limit": 3}
    page = (await filled.local.post("/api/read", json=body)).json()
    assert [row[0] for row in page["rows"]] == [f"2020-01-01T0{hour}:00:00Z" for hour in range(3)]


@pytest.mark.parametrize(
    "query", ["limit=10001", "cursor=x", "start=2020-02-01&end=2020-01-01", "format=arrow&order=desc"]
)
async def test_rows_that_cannot_be_given_are_refused(filled: Running, query: str) -> None:
    answer = await filled.local.get(f"/api/datasets/{DATASET}/rows?{query}")
    assert answer.status_code == 422, answer.text


async def test_a_chart_has_no_more_points_than_there_is_room_for(filled: Running) -> None:
    chart = (await filled.local.get(f"/api/datasets/{DATASET}/chart", params={"points": 100})).json()
    stored = (await arrow(filled, "")).to_pydict()
    assert chart["kind"] == "bars"
    assert len(chart["bars"]["t"]) <= 100
    assert chart["bars"]["t"][0] == START_MS // 1000
    assert max(chart["bars"]["h"]) == max(stored["high"])
    assert sum(chart["bars"]["v"]) == pytest.approx(sum(stored["volume"]))


async def test_a_gap_is_shown_and_filled_and_nothing_else_is_fetched(
    filled: Running, exchange: BinanceStandIn
) -> None:
    day_ns = 24 * HOUR_MS * 1_000_000
    start_ns = START_MS * 1_000_000 + 20 * day_ns
    filled.service.store.add_asked(DatasetId.parse(DATASET), Interval(start_ns, start_ns + day_ns))
    start_ms = start_ns // 1_000_000
    cause = {"cause": "never fetched", "code": "never_fetched"}
    gap = {"start_ms": start_ms, "end_ms": start_ms + 24 * HOUR_MS, **cause}
    assert (await filled.local.get(f"/api/datasets/{DATASET}/gaps")).json() == {"gaps": [gap]}
    (listed,) = (await filled.local.get("/api/inventory")).json()["datasets"]
    assert (listed["complete"], listed["gap_count"], listed["gaps"]) == (False, 1, [gap])
    before = exchange.count("/api/v3/klines")
    fill = await filled.local.post(f"/api/datasets/{DATASET}/fill")
    run = await ended(filled, fill.json()["run_id"])
    assert (run["state"], run["rows_written"]) == ("succeeded", 24)
    assert exchange.count("/api/v3/klines") == before + 1
    assert (await filled.local.get(f"/api/datasets/{DATASET}/gaps")).json() == {"gaps": []}


async def test_runs_are_listed_retried_and_cancelled(filled: Running) -> None:
    (first,) = (await filled.local.get("/api/runs")).json()["runs"]
    assert (first["operation"], first["dataset"], first["symbol"]) == ("backfill", DATASET, "BTC/USDT")
    retried = (await filled.local.post(f"/api/backfill/{first['run_id']}/retry")).json()
    run = await ended(filled, retried["run_id"])
    assert run["state"] == "succeeded"
    listed = (await filled.local.get("/api/runs", params={"limit": 1})).json()["runs"]
    assert [item["run_id"] for item in listed] == [retried["run_id"]]
    older = (await filled.local.get("/api/runs", params={"before": retried["run_id"]})).json()["runs"]
    assert [item["run_id"] for item in older] == [first["run_id"]]
    assert (await filled.local.get("/api/runs", params={"state": "failed"})).json() == {"runs": []}
    cancelled = await filled.local.delete(f"/api/backfill/{first['run_id']}")
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelling")
    assert (await filled.local.get(f"/api/backfill/{first['run_id']}")).json()["state"] == "succeeded"
    for method, path in (
        ("GET", "/api/runs/x"),
        ("DELETE", "/api/backfill/x"),
        ("POST", "/api/backfill/x/retry"),
    ):
        assert (await filled.local.request(method, path)).json()["code"] == "unknown_run"


async def test_events_tell_a_run_from_start_to_end(api: Running) -> None:
    async with api.local.stream("GET", "/api/events") as answer:
        pieces = answer.aiter_text()
        text = await anext(pieces)
        started = await api.local.post("/api/backfill", json=WANTED | DAYS)
        async with asyncio.timeout(30):
            while '"state":"succeeded"' not in text:
                text += await anext(pieces)
        await answer.aclose()
    frames = [
        dict(line.split(": ", 1) for line in frame.split("\n")) for frame in text.split("\n\n") if frame
    ]
    assert frames[0]["event"] == "reset"
    ids = [int(frame["id"]) for frame in frames]
    assert ids == sorted(set(ids))
    runs = [json.loads(frame["data"])["run"] for frame in frames if frame["event"] == "status"]
    assert {run["run_id"] for run in runs} == {started.json()["run_id"]}
    assert runs[-1]["rows_written"] == HOURS
    assert {"progress", "log", "inventory"} <= {frame["event"] for frame in frames}


async def test_a_local_program_exports_to_a_path(filled: Running, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    body = {"dataset": DATASET, "folder": str(folder), "format": "parquet"}
    run = await ended(filled, (await filled.local.post("/api/export", json=body)).json()["run_id"])
    assert (run["operation"], run["state"], run["rows_written"]) == ("export", "succeeded", HOURS)
    assert sum(pq.read_metadata(file).num_rows for file in folder.rglob("*.parquet")) == HOURS
    relative = await filled.local.post("/api/export", json=body | {"folder": "out"})
    assert relative.json()["errors"] == [{"field": "folder", "message": "must be an absolute path"}]


async def test_a_page_may_not_repeat_an_export_into_a_folder_named_before(
    filled: Running, tmp_path: Path
) -> None:
    body = {"dataset": DATASET, "folder": str(tmp_path / "out"), "format": "csv"}
    run = await ended(filled, (await filled.local.post("/api/export", json=body)).json()["run_id"])
    again = f"/api/backfill/{run['run_id']}/retry"
    async with await filled.page() as page:
        answer = await page.post(again)
    assert (answer.status_code, answer.json()["code"]) == (403, "access_denied")
    assert (await filled.local.post(again)).status_code == 202


async def test_health_tells_what_was_put_aside(api: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Problem("The journal x was torn. It was put aside.", Path("x"))
    monkeypatch.setattr(type(api.service.store), "problems", (found,))
    assert (await api.local.get("/api/health")).json()["problems"] == [found.text]


async def test_a_page_exports_to_the_folder_its_person_chose(filled: Running, tmp_path: Path) -> None:
    async with await filled.page() as page:
        asked = await page.post("/api/dialog/folder", json={"title": "Export to"})
        assert asked.json() == {"offered": False, "handle": None, "name": None}
        chosen: list[Path | None] = [tmp_path / "chosen", None]
        titles = []

        async def choose(title: str) -> Path | None:
            titles.append(title)
            return chosen.pop(0)

        filled.server.choose_folder = choose
        handle = (await page.post("/api/dialog/folder", json={"title": "Export to"})).json()["handle"]
        none = (await page.post("/api/dialog/folder", json={"title": "Export to"})).json()
        assert none == {"offered": True, "handle": None, "name": None}
        assert titles == ["Export to"] * 2
        wrong = {"dataset": "binance:ETH-USDT:ohlc:1h", "folder_handle": handle, "format": "csv"}
        assert (await page.post("/api/export", json=wrong)).json()["code"] == "unknown_dataset"
        right = wrong | {"dataset": DATASET}
        run = await ended(filled, (await page.post("/api/export", json=right)).json()["run_id"])
        assert run["state"] == "succeeded"
        assert list((tmp_path / "chosen").rglob("*.csv*"))
        assert (await page.post("/api/export", json=right)).status_code == 403


@pytest.mark.parametrize("kind", ["parquet", "csv", "arrow"])
async def test_a_download_is_one_file_with_every_row(filled: Running, tmp_path: Path, kind: str) -> None:
    query = {"format": kind, "start": "2020-01-02"}
    answer = await filled.local.get(f"/api/datasets/{DATASET}/download", params=query)
    assert (
        answer.headers["content-disposition"]
        == f"attachment; filename*=UTF-8''binance_BTC-USDT_ohlc_1h.{kind}"
    )
    stored = await arrow(filled, "&start=2020-01-02")
    match kind:
        case "parquet":
            assert pq.read_table(pa.BufferReader(answer.content)).equals(stored)
        case "arrow":
            assert pa.ipc.open_file(answer.content).read_all().equals(stored)
        case _:
            read = pa_csv.read_csv(io.BytesIO(answer.content))
            assert read.column("close").to_pylist() == stored.column("close").to_pylist()
            assert read.num_rows == HOURS - 24


async def test_settings_change_one_member_and_keep_comments(api: Running, tmp_path: Path) -> None:
    before = (await api.local.get("/api/config")).json()
    assert before["path"] == str(tmp_path / "config.toml")
    assert before["sections"]["settings"]["theme"] == "system"
    async with await api.page() as page:
        changed = await page.put("/api/config", json={"sections": {"settings": {"theme": "dark"}}})
        assert changed.json()["sections"]["settings"]["theme"] == "dark"
        assert changed.json()["sections"]["sources"] == before["sections"]["sources"]
        wrong = await page.put("/api/config", json={"sections": {"settings": {"theme": "pink"}}})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "config")
    text = (tmp_path / "config.toml").read_text()
    assert "# a person's comment" in text
    assert 'theme = "dark"' in text
    assert "rest_url" in text


async def test_a_page_sets_the_data_folder_its_person_chose(api: Running, tmp_path: Path) -> None:
    async def choose(_title: str) -> Path:
        return tmp_path / "new"

    api.server.choose_folder = choose
    async with await api.page() as page:
        handle = (await page.post("/api/dialog/folder", json={"title": "Data"})).json()["handle"]
        answer = await page.put("/api/config", json={"data_folder_handle": handle})
    assert answer.json()["sections"]["settings"]["data_path"] == str(tmp_path / "new")


async def test_a_proxys_password_is_not_shown(tmp_path: Path) -> None:
    text = '[sources.binance]\nproxy = "http://me:hunter2@proxy:3128"\n'
    async with running(config(tmp_path, text)) as api:
        answer = await api.local.get("/api/config")
    assert answer.json()["sections"]["sources"]["binance"]["proxy"] == "http://me:***@proxy:3128"


async def test_what_only_a_window_can_do_is_handed_to_it(api: Running) -> None:
    for path in ("raise", "quit"):
        answer = await api.local.post(f"/api/app/{path}")
        assert (answer.status_code, answer.json()["code"]) == (409, "not_offered")
    done: list[str] = []

    async def on_raise() -> None:
        done.append("raise")

    async def on_quit() -> None:
        done.append("quit")

    api.server.on_raise, api.server.on_quit = on_raise, on_quit
    for path in ("raise", "quit"):
        assert (await api.local.post(f"/api/app/{path}")).json() == {"status": "ok"}
    assert done == ["raise", "quit"]


async def test_a_ticket_for_a_new_page_is_in_its_addresss_fragment(api: Running) -> None:
    made = (await api.local.post("/api/app/ticket")).json()
    assert made["url"] == f"{api.server.url}/#ticket={made['ticket']}"
    token = (await api.anyone.post("/api/session", json={"ticket": made["ticket"]})).json()["token"]
    async with client(api.server.url, token) as page:
        assert (await page.get("/api/health")).status_code == 200


async def test_a_taken_port_is_said_in_a_sentence(api: Running) -> None:

    second = LocalServer(api.service, port=int(api.host.partition(":")[2]))
    with pytest.raises(UsageError, match="cannot be used"):
        await second.start()


async def test_a_given_port_can_be_used_again_at_once(api: Running) -> None:

    port = int(api.host.partition(":")[2])
    await api.local.get("/api/health")
    await api.server.stop()
    await api.server.stop()
    with pytest.raises(httpx.TransportError):
        await api.anyone.get("/")
    again = LocalServer(api.service, port=port)
    assert await again.start() == f"http://127.0.0.1:{port}"
    await again.stop()
