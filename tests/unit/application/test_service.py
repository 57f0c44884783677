from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dccd.application.config import AppConfig
from dccd.application.events import InventoryEvent, LogEvent
from dccd.application.jobs import JobRun, RunState
from dccd.application.requests import BackfillRequest, DatasetRequest
from dccd.application.service import Service
from dccd.application.service_factory import build_runs_store, build_service
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import (
    DccdError,
    InvalidRange,
    InvalidSpan,
    NetworkError,
    NoCapability,
    UnknownDataset,
    UnknownExchange,
    UnknownRun,
    UnknownSymbol,
    UsageError,
)
from dccd.domain.timeutils import DAY_NS, HOUR_NS, parse_time
from tests.exchanges.binance import BinanceStandIn
from tests.exchanges.engine import Fault, Request, Response
from tests.unit.application.conftest import HOURLY, NOW_NS, fetched, hourly, hours, table, times_ns

KLINES = "/api/v3/klines"
PERPETUAL = "BTC/USDT:USDT"


def request(data_type: str, symbol: str = "BTC/USDT", **more: object) -> BackfillRequest:
    asked = {"exchange": "binance", "symbol": symbol, "data_type": data_type, **more}
    return BackfillRequest.model_validate(asked)


def hold(exchange: BinanceStandIn, start: str = "2020-01-01") -> None:
    """Answer no page that starts at `start` or later."""
    start_us = parse_time(start) // 1_000

    def late(asked: Request) -> bool:
        return int(asked.query.get("startTime", 0)) >= start_us

    exchange.faults.append(Fault("hang", KLINES, when=late, times=None))


async def entered(service: Service, run_id: str, state: RunState) -> JobRun:
    """The run, once it is in this state."""
    with service.events.enable_queue() as queue:
        while (run := await service.run(run_id)).state is not state:
            await anext(queue)
    return run


# --- every data type ------------------------------------------------------------------------------


async def test_trades_of_a_stretch(service: Service) -> None:
    run = await fetched(service, request("trades", start="2024-03-01T10:00", end="2024-03-01T12:00"))
    assert run.state is RunState.SUCCEEDED
    assert run.progress is not None
    assert (run.progress.done, run.progress.total, run.progress.unit) == (7_200, 7_200, "seconds")
    dataset = DatasetId.parse("binance:BTC-USDT:trades")
    stored = table(service, dataset)
    ids: list[Any] = stored.column("tid_num").to_pylist()
    assert len(ids) == run.rows_written > 7_000
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert await service.gaps(dataset) == []


async def test_trades_without_a_start_go_an_hour_back(service: Service) -> None:
    await fetched(service, request("trades"))
    covered = service.store.coverage(DatasetId.parse("binance:BTC-USDT:trades")).covered
    assert (covered.start_ns or 0) - (NOW_NS - HOUR_NS) < HOUR_NS // 60
    assert covered.length_ns > 58 * HOUR_NS // 60


async def test_funding_goes_a_year_back(service: Service) -> None:
    run = await fetched(service, request("funding", PERPETUAL))
    assert run.rows_written == pytest.approx(365 * 3, abs=2)
    assert await service.gaps(DatasetId.parse("binance:BTC-USDT_USDT:funding")) == []


async def test_open_interest_that_the_exchange_keeps_no_longer_is_said_and_not_called_empty(
    service: Service,
) -> None:
    run = await fetched(service, request("open_interest", PERPETUAL, span="1h", start="2024-01-01"))
    assert run.state is RunState.SUCCEEDED
    dataset = DatasetId.parse("binance:BTC-USDT_USDT:open_interest:1h")
    assert run.rows_written == pytest.approx(30 * 24, abs=2)
    assert any("keeps the last 30 days only" in line for line in run.log_tail)
    coverage = service.store.coverage(dataset)
    # Another source may have it: it is neither proven empty nor covered.
    assert not coverage.absent
    assert abs((coverage.covered.start_ns or 0) - (NOW_NS - 30 * DAY_NS)) <= HOUR_NS
    assert await service.gaps(dataset) == []


async def test_a_book_is_one_snapshot_as_deep_as_there_is(service: Service) -> None:
    run = await fetched(service, request("orderbook"))
    dataset = DatasetId.parse("binance:BTC-USDT:orderbook:5000")
    assert run.dataset == str(dataset)
    assert run.state is RunState.SUCCEEDED
    assert run.rows_written == table(service, dataset).num_rows > 0
    assert await service.gaps(dataset) == []
    chart = await service.chart(dataset)
    assert chart.depth is not None
    assert chart.depth.bids[0][0] < chart.depth.asks[0][0]
    assert chart.depth.bids == sorted(chart.depth.bids, reverse=True)


# --- plans ----------------------------------------------------------------------------------------


async def test_a_plan_says_what_would_be_fetched_and_fetches_nothing(
    service: Service, exchange: BinanceStandIn
) -> None:
    plan = await service.plan(hourly("2024-01-01", "2024-02-01"))
    assert (plan.start_ns, plan.end_ns) == (parse_time("2024-01-01"), parse_time("2024-02-01"))
    assert (plan.rows, plan.requests) == (744, 1)
    assert not plan.already_covered
    assert plan.size_bytes > 0
    assert plan.bottleneck
    assert await service.inventory() == []


async def test_a_plan_of_what_is_stored_is_empty(service: Service) -> None:
    await fetched(service, hourly("2024-01-01", "2024-02-01"))
    plan = await service.plan(hourly("2024-01-10", "2024-01-20"))
    assert plan.already_covered
    assert (plan.rows, plan.requests) == (0, 0)


# --- runs -----------------------------------------------------------------------------------------


async def test_one_run_a_dataset_at_a_time(service: Service, exchange: BinanceStandIn) -> None:
    hold(exchange)
    first = await service.start_backfill(hourly("2024-01-01"))
    same = await service.start_backfill(hourly("2024-01-01"))
    assert (first.status, same) == ("started", (first.run_id, "already-running"))

    other_range = await service.start_backfill(hourly("2023-06-01", "2023-07-01"))
    assert other_range.status == "started"
    await service.start_backfill(hourly("2024-01-01").model_copy(update={"span": "1d"}))
    await exchange.until(lambda: exchange.count("/api/v3/klines", interval="1d") > 0)
    assert (await service.run(other_range.run_id)).state is RunState.PENDING

    exchange.faults.clear()
    await service.cancel(first.run_id)
    assert (await service.wait(other_range.run_id)).state is RunState.SUCCEEDED
    assert times_ns(service, HOURLY)[:720] == hours("2023-06-01", "2023-07-01")


async def test_asked_for_twice_at_once_it_is_one_run(service: Service) -> None:
    first, second = await asyncio.gather(*(service.start_backfill(hourly("2024-02-01")) for _ in range(2)))
    assert {first.status, second.status} == {"started", "already-running"}
    assert (await service.wait(second.run_id)).state is RunState.SUCCEEDED
    assert len(await service.runs.list()) == 1


async def test_a_run_cancelled_at_once_ends(service: Service) -> None:
    run_id = (await service.start_backfill(hourly("2024-02-01"))).run_id
    await service.cancel(run_id)
    assert (await service.wait(run_id)).state is RunState.CANCELLED
    assert service.scheduler.running == 0


async def test_a_cancelled_run_keeps_what_it_fetched_and_last_goes_on(
    service: Service, exchange: BinanceStandIn
) -> None:
    hold(exchange, "2023-03-01")
    with service.events.enable_queue() as queue:
        run_id = (await service.start_backfill(hourly("2023-01-01", "2024-01-01"))).run_id
        while (await service.run(run_id)).rows_written == 0:
            await anext(queue)
    await service.cancel(run_id)
    run = await service.wait(run_id)
    assert (run.state, run.error) == (RunState.CANCELLED, None)
    kept = times_ns(service, HOURLY)
    assert len(kept) >= 1_000
    assert kept == hours("2023-01-01", "2024-01-01")[: len(kept)]
    exchange.faults.clear()
    await fetched(service, hourly("last", "2024-01-01"))
    assert times_ns(service, HOURLY) == hours("2023-01-01", "2024-01-01")


async def test_a_run_is_cancelled_while_it_still_prepares(service: Service, exchange: BinanceStandIn) -> None:
    await service.resolve(
        DatasetRequest.model_validate(hourly("last").model_dump(include={*DatasetRequest.model_fields}))
    )
    exchange.faults.append(Fault("hang", "/api/v3/time", times=None))
    run_id = (await service.start_backfill(hourly("2024-01-01"))).run_id
    await exchange.until(lambda: exchange.count("/api/v3/time") > 0)
    await service.cancel(run_id)
    assert (await service.wait(run_id)).state is RunState.CANCELLED


async def test_more_runs_than_an_exchange_gets_wait_their_turn_and_can_be_cancelled(
    service: Service, exchange: BinanceStandIn
) -> None:
    hold(exchange)
    spans = ["1h", "2h", "4h", "6h"]
    runs = [
        (await service.start_backfill(hourly("2024-01-01").model_copy(update={"span": span}))).run_id
        for span in spans
    ]
    for run_id in runs[:3]:
        await entered(service, run_id, RunState.RUNNING)
    assert (await service.run(runs[3])).state is RunState.PENDING
    await service.cancel(runs[3])
    assert (await service.wait(runs[3])).state is RunState.CANCELLED
    await service.cancel(runs[0])
    assert (await service.wait(runs[0])).state is RunState.CANCELLED


async def test_a_run_tells_its_log_and_that_the_inventory_changed(service: Service) -> None:
    told: list[object] = []
    service.events.subscribe(told.append)
    run = await fetched(service, hourly("2024-02-01"))
    assert InventoryEvent(dataset=str(HOURLY)) in told
    assert any(isinstance(event, LogEvent) and "708 rows" in event.message for event in told)
    assert any("708 rows" in line for line in run.log_tail)


async def test_retry_does_the_same_again(service: Service, exchange: BinanceStandIn) -> None:
    exchange.faults.append(
        Fault("answer", KLINES, times=None, response=Response(b'{"code":-1100,"msg":"No."}', status=400))
    )
    failed = await fetched(service, hourly("2024-02-01", "2024-02-02"))
    assert failed.state is RunState.FAILED
    exchange.faults.clear()
    again = await service.wait((await service.retry(failed.run_id)).run_id)
    assert again.state is RunState.SUCCEEDED
    assert again.spec_id == failed.spec_id
    assert times_ns(service, HOURLY) == hours("2024-02-01", "2024-02-02")


async def test_when_the_program_ends_a_run_ends_as_interrupted_and_goes_on_later(
    config: AppConfig, exchange: BinanceStandIn
) -> None:
    hold(exchange, "2023-03-01")
    async with build_service(config) as first:
        with first.events.enable_queue() as queue:
            run_id = (await first.start_backfill(hourly("2023-01-01", "2024-01-01"))).run_id
            while (await first.run(run_id)).rows_written == 0:
                await anext(queue)
    exchange.faults.clear()
    async with build_service(config) as second:
        run = await second.run(run_id)
        assert run.state is RunState.INTERRUPTED
        assert run.rows_written >= 1_000
        await fetched(second, hourly("last", "2024-01-01"))
        assert times_ns(second, HOURLY) == hours("2023-01-01", "2024-01-01")


async def test_what_an_earlier_process_left_running_is_interrupted(
    config: AppConfig, service: Service
) -> None:
    run = await fetched(service, hourly("2024-02-28"))
    await service.stop()
    runs = await build_runs_store(service.store)
    await runs.save(run.model_copy(update={"state": RunState.RUNNING}))
    await runs.close()
    await service.start()
    found = await service.run(run.run_id)
    assert found.state is RunState.INTERRUPTED
    assert found.error is not None
    assert "start it again to go on" in found.error.detail


async def test_an_unknown_run_is_said_so(service: Service) -> None:
    for asking in (service.run, service.wait, service.cancel, service.retry):
        with pytest.raises(UnknownRun, match="There is no run 'nothing'"):
            await asking("nothing")


# --- wrong input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "kind", "said"),
    [
        ({"exchange": "mtgox"}, UnknownExchange, "There is no exchange 'mtgox'. Known: binance"),
        ({"symbol": "BTC/USDX"}, UnknownSymbol, "binance lists no 'BTC/USDX'. Did you mean"),
        ({"symbol": "nonsense"}, UnknownSymbol, "binance lists no 'nonsense'."),
        ({"span": None}, InvalidSpan, "ohlc needs a span such as 1m or 1h"),
        ({"span": "7m"}, NoCapability, "no span 7m. There are 1s, 1m"),
        ({"data_type": "trades"}, InvalidSpan, "trades has no span"),
        ({"data_type": "funding", "span": None}, NoCapability, "and BTC/USDT is spot"),
        ({"data_type": "orderbook", "span": None, "depth": 9_999}, NoCapability, "a depth of 1 to 5,000"),
        (
            {"start": "2024-02-01", "end": "2024-01-01"},
            InvalidRange,
            "ends .* before it starts .* Swap the two",
        ),
        ({"start": "2199-01-01"}, InvalidRange, "starts in the future .* Choose an earlier start"),
        ({"end": "2199-01-01"}, InvalidRange, "ends in the future .* Leave the end out"),
    ],
)
async def test_wrong_use_is_refused_at_once_in_one_sentence(
    service: Service, asked: dict[str, object], kind: type[DccdError], said: str
) -> None:
    good = {"exchange": "binance", "symbol": "BTC/USDT", "data_type": "ohlc", "span": "1h"}
    wrong = BackfillRequest.model_validate(good | asked)
    for asking in (service.start_backfill, service.plan):
        with pytest.raises(kind, match=said) as raised:
            await asking(wrong)
        assert str(raised.value).endswith((".", "?"))
    assert await service.runs.list() == []


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("2024-03-02", None, r"starts in the future .*Choose an earlier start\."),
        ("2024-01-01", "2024-03-02", r"ends in the future .*Leave the end out"),
        ("last", "2024-03-02", r"ends in the future .*Leave the end out"),
    ],
)
async def test_the_exchanges_clock_says_what_is_in_the_future(
    service: Service, start: str, end: str | None, said: str
) -> None:
    with pytest.raises(InvalidRange, match=said):
        await service.plan(hourly(start, end))
    run = await fetched(service, hourly(start, end))
    assert run.state is RunState.FAILED
    assert run.error is not None
    assert run.error.code == "invalid_range"
    assert await service.inventory() == []


async def test_a_range_in_the_future_is_refused_with_the_hour_it_is(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dccd.application.service.time.time_ns", lambda: NOW_NS + 198_369_124)
    for wrong in (hourly("2030-01-01"), hourly("2024-01-01", "2030-01-01")):
        with pytest.raises(InvalidRange, match=r"\(2030-01-01T00:00:00Z\); it is 2024-03-01T12:20:00Z now\."):
            await service.start_backfill(wrong)


async def test_without_a_network_it_is_one_sentence(config: AppConfig, exchange: BinanceStandIn) -> None:
    await exchange.close()
    async with build_service(config) as service:
        with pytest.raises(NetworkError) as raised:
            await service.start_backfill(hourly("2024-01-01"))
        assert "binance" in str(raised.value).lower()


# --- rows, charts, exports ------------------------------------------------------------------------


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("limit", [1, 7, 100, 1_000])
async def test_pages_of_rows_are_all_rows_once(service: Service, *, descending: bool, limit: int) -> None:
    await fetched(service, hourly("2024-02-28", "2024-03-01"))
    found: list[object] = []
    cursor = None
    while True:
        page = await service.rows(HOURLY, limit=limit, cursor=cursor, descending=descending)
        assert page.table.num_rows <= limit
        found += page.table.to_pylist()
        cursor = page.next_cursor
        if cursor is None:
            break
    wanted = table(service, HOURLY).to_pylist()
    assert found == (wanted[::-1] if descending else wanted)


@pytest.mark.parametrize("descending", [False, True])
async def test_pages_split_rows_of_one_instant_without_loss(service: Service, *, descending: bool) -> None:
    dataset = DatasetId.parse("binance:BTC-USDT:trades")
    ts_ns = parse_time("2024-01-01")
    ids = list(range(20))
    log = service.store.begin_backfill(dataset, "made", source="made")
    log.append(
        {
            "ts": [ts_ns + (number // 8) * 1_000_000 for number in ids],
            "price": [1.0] * 20,
            "amount": [1.0] * 20,
            "tid": [str(number) for number in ids],
            "tid_num": ids,
        },
        service.store.coverage(dataset).covered,
        None,
    )
    log.finish()
    found: list[Any] = []
    cursor = None
    while True:
        page = await service.rows(dataset, limit=3, cursor=cursor, descending=descending)
        found += page.table.column("tid_num").to_pylist()
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == (ids[::-1] if descending else ids)


async def test_rows_of_a_stretch(service: Service) -> None:
    await fetched(service, hourly("2024-02-01", "2024-03-01"))
    start_ns, end_ns = parse_time("2024-02-10"), parse_time("2024-02-11")
    first = await service.rows(HOURLY, start_ns, end_ns, limit=100)
    assert first.table.num_rows == 24
    newest = await service.rows(HOURLY, start_ns, end_ns, limit=2, descending=True)
    assert newest.table.column("ts").cast(pa.int64()).to_pylist() == [
        (end_ns - HOUR_NS) // 1_000,
        (end_ns - 2 * HOUR_NS) // 1_000,
    ]


async def test_a_cursor_that_is_none_of_ours_is_refused(service: Service) -> None:
    await fetched(service, hourly("2024-02-28"))
    with pytest.raises(UsageError, match="is not a cursor"):
        await service.rows(HOURLY, limit=1, cursor="x")


async def test_a_chart_rebins_bars_by_the_rules_of_bars(service: Service) -> None:
    await fetched(service, hourly("2024-02-01", "2024-03-01"))
    chart = await service.chart(HOURLY, points=40)
    assert (chart.kind, chart.span_s) == ("bars", 86_400)
    assert len(chart.bars.t) == 29
    stored = table(service, HOURLY).to_pylist()
    for index in (0, 28):
        day = stored[index * 24 : (index + 1) * 24]
        assert chart.bars.t[index] == int(day[0]["ts"].timestamp())
        assert chart.bars.o[index] == day[0]["open"]
        assert chart.bars.h[index] == max(bar["high"] for bar in day)
        assert chart.bars.l[index] == min(bar["low"] for bar in day)
        assert chart.bars.c[index] == day[-1]["close"]
        assert chart.bars.v[index] == pytest.approx(sum(bar["volume"] for bar in day))


async def test_a_chart_with_room_shows_the_bars_as_they_are(service: Service) -> None:
    await fetched(service, hourly("2024-02-28", "2024-03-01"))
    chart = await service.chart(HOURLY, points=1_000)
    stored = table(service, HOURLY)
    assert chart.span_s == 3_600
    assert chart.bars.o == stored.column("open").to_pylist()
    assert chart.bars.v == stored.column("volume").to_pylist()


async def test_a_chart_of_trades_is_made_of_bars(service: Service) -> None:
    await fetched(service, request("trades", start="2024-03-01T10:00", end="2024-03-01T12:00"))
    dataset = DatasetId.parse("binance:BTC-USDT:trades")
    chart = await service.chart(dataset, points=150)
    assert (chart.kind, chart.span_s) == ("bars", 60)
    assert len(chart.bars.t) == 120
    minute = [
        row
        for row in table(service, dataset).to_pylist()
        if int(row["ts"].timestamp()) // 60 * 60 == chart.bars.t[5]
    ]
    assert chart.bars.o[5] == minute[0]["price"]
    assert chart.bars.h[5] == max(trade["price"] for trade in minute)
    assert chart.bars.c[5] == minute[-1]["price"]
    assert chart.bars.v[5] == pytest.approx(sum(trade["amount"] for trade in minute))


async def test_a_chart_of_funding_is_a_line_and_shows_no_volume(service: Service) -> None:
    await fetched(service, request("funding", PERPETUAL, start="2024-02-01", end="2024-03-01"))
    dataset = DatasetId.parse("binance:BTC-USDT_USDT:funding")
    chart = await service.chart(dataset)
    assert chart.kind == "line"
    assert chart.bars.c == table(service, dataset).column("rate").to_pylist()
    assert set(chart.bars.v) == {None}


async def test_a_chart_shows_the_gaps_of_its_stretch(service: Service, exchange: BinanceStandIn) -> None:
    await fetched(service, hourly("2024-01-01", "2024-01-05"))
    hold(exchange)
    run_id = (await service.start_backfill(hourly("2024-01-01", "2024-01-10"))).run_id
    await exchange.until(lambda: exchange.count(KLINES) > 2)
    await service.cancel(run_id)
    await service.wait(run_id)
    chart = await service.chart(HOURLY, parse_time("2024-01-04"), parse_time("2024-01-07"))
    assert list(chart.gaps) == [(parse_time("2024-01-05"), parse_time("2024-01-07"))]


async def test_an_export_is_a_run_with_progress(service: Service, tmp_path: Path) -> None:
    await fetched(service, hourly("2024-02-01", "2024-03-01"))
    folder = tmp_path / "new" / "folder"
    run = await service.wait(await service.export([HOURLY], folder, start_ns=parse_time("2024-02-10")))
    assert (run.state, run.operation, run.rows_written) == (RunState.SUCCEEDED, "export", 20 * 24)
    assert run.progress is not None
    assert (run.progress.done, run.progress.total) == (480, 480)
    (file,) = await asyncio.to_thread(lambda: list(folder.iterdir()))
    assert pq.read_table(file).num_rows == 480
    again = await service.wait((await service.retry(run.run_id)).run_id)
    assert again.rows_written == 480


async def test_an_export_that_cannot_work_is_refused(service: Service, tmp_path: Path) -> None:
    await fetched(service, hourly("2024-02-28"))
    taken = tmp_path / "file"
    taken.touch()
    with pytest.raises(UsageError, match="that is a file"):
        await service.export([HOURLY], taken)
    with pytest.raises(UsageError, match="inside the data folder"):
        await service.export([HOURLY], service.data_path / "out")
    with pytest.raises(InvalidRange, match="Swap the two"):
        await service.export([HOURLY], tmp_path / "out", start_ns=2, end_ns=1)
    with pytest.raises(UnknownDataset):
        await service.export([DatasetId.parse("binance:ETH-BTC:trades")], tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- instruments ----------------------------------------------------------------------------------


async def test_instruments_are_kept_on_disk_and_serve_without_a_network(
    config: AppConfig, exchange: BinanceStandIn
) -> None:
    asked = DatasetRequest.model_validate(
        {"exchange": "binance", "symbol": "BTC/USDT:perp", "data_type": "trades"}
    )
    async with build_service(config) as online:
        listed = len(await online.registry.get("binance").instruments())
    await exchange.close()
    async with build_service(config) as offline:
        assert len(await offline.registry.get("binance").instruments()) == listed
        dataset, instrument = await offline.resolve(asked.model_copy(update={"symbol": PERPETUAL}))
        assert (str(dataset), instrument.native) == ("binance:BTC-USDT_USDT:trades", "BTCUSDT")


async def test_settings_change_without_touching_others(service: Service) -> None:
    await service.change_settings({"settings": {"theme": "dark"}})
    changed = await service.change_settings({"settings": {"timezone": "local"}})
    assert (changed.settings.theme, changed.settings.timezone) == ("dark", "local")
    assert service.data_path == changed.data_path


def parquet_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("ohlc/**/*.parquet"))


@pytest.mark.parametrize("damage", ["gone", "cut"])
async def test_a_file_that_goes_while_the_program_runs_is_a_gap_at_once_and_fetched_again(
    service: Service, data_path: Path, damage: str
) -> None:
    await fetched(service, hourly("2024-02-01", "2024-02-03"))
    [file] = parquet_files(data_path)
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-50])
    cause = "its file is gone" if damage == "gone" else "put aside: its file could not be read"
    assert [gap.cause for gap in await service.gaps(HOURLY)] == [cause]
    assert (await service.info(HOURLY)).rows == 0
    [repair] = await service.mending.repair()
    assert repair.submission is not None
    await service.wait(repair.submission.run_id)
    assert await service.gaps(HOURLY) == []
    assert (await service.info(HOURLY)).rows == 48


async def test_files_do_not_count_as_gone_while_their_drive_is_away(
    service: Service, data_path: Path
) -> None:
    await fetched(service, hourly("2024-02-01", "2024-02-03"))
    away = data_path.with_name("away")
    await asyncio.to_thread(data_path.rename, away)
    assert (await service.info(HOURLY)).rows == 48
    await asyncio.to_thread(away.rename, data_path)
    assert await service.gaps(HOURLY) == []
