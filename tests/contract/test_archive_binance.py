"""Binance's public files: planned, fetched, proven whole and merged with what the API gives, over sockets."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dccd.application.config import parse_config
from dccd.application.jobs import JobRun, RunState
from dccd.application.requests import BackfillRequest
from dccd.application.service import Service
from dccd.application.service_factory import build_service
from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import NoCapability
from dccd.domain.timeutils import DAY_NS, HOUR_NS, parse_time
from dccd.domain.types import Transport
from dccd.storage.schema import arrow_schema
from tests.exchanges import engine
from tests.exchanges.binance import BinanceStandIn
from tests.exchanges.engine import Fault

NOW_NS = parse_time("2026-03-01T12:34:56.789Z")
Moment = str | int | None
PAIRS = ["BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"]
TRADES = DatasetId.parse("binance:BTC-USDT:trades")
FILES = "/data/spot/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-"


@pytest.fixture
async def exchange() -> AsyncIterator[BinanceStandIn]:
    # A trade a second: a day of them is 86,400.
    limits = dict.fromkeys(("spot", "usdm", "coinm"), 10**9)
    async with BinanceStandIn(
        now_ms=NOW_NS // 10**6, trades_per_s=1, has_archive=True, limits=limits
    ) as server:
        yield server


@pytest.fixture
async def service(exchange: BinanceStandIn, data_path: Path) -> AsyncIterator[Service]:
    config = parse_config(exchange.config, Path("config.toml")).located(None, data_path)
    async with build_service(config) as started:
        yield started


def asked(
    symbol: str, data_type: str, span: str | None, start: Moment, end: Moment, **more: Any
) -> BackfillRequest:
    what = {"exchange": "binance", "symbol": symbol, "data_type": data_type, "span": span}
    return BackfillRequest.model_validate({**what, "start": start, "end": end, **more})


def trades(start: Moment, end: Moment, **more: Any) -> BackfillRequest:
    return asked("BTC/USDT", "trades", None, start, end, **more)


async def fetched(service: Service, request: BackfillRequest) -> JobRun:
    return await service.wait((await service.start_backfill(request)).run_id)


def rows(service: Service, dataset: DatasetId) -> Any:
    return pa.Table.from_batches(service.read(dataset), arrow_schema(dataset.data_type))


def covered(service: Service, dataset: DatasetId) -> IntervalSet:
    return service.store.coverage(dataset).covered


@pytest.mark.parametrize("symbol", PAIRS)
@pytest.mark.parametrize("day", ["2024-12-31", "2025-01-01"])
async def test_a_day_of_trades_is_the_same_from_a_file_and_from_the_api(
    exchange: BinanceStandIn, service: Service, symbol: str, day: str
) -> None:
    """Milliseconds before 2025 and microseconds after, capitals or none, with a line of names or without."""
    start_ns = parse_time(day)
    request = asked(symbol, "trades", None, start_ns, start_ns + DAY_NS)
    run = await fetched(service, request)
    assert run.state is RunState.SUCCEEDED
    dataset = DatasetId.parse(run.dataset or "")
    assert exchange.count("/data/") == 2
    assert covered(service, dataset) == IntervalSet.of(start_ns, start_ns + DAY_NS)
    from_file = rows(service, dataset)

    service.store.keeping.delete(dataset)
    part = request.model_copy(update={"transport": Transport.REST, "end": start_ns + HOUR_NS})
    await fetched(service, part)
    from_api = rows(service, dataset)
    assert exchange.count("/data/") == 2
    hour = from_file.slice(0, from_api.num_rows)
    for name in ("price", "amount", "side", "tid_num"):
        assert hour[name].equals(from_api[name])
    coarse = [hour["ts"].cast(pa.int64()).to_pylist(), from_api["ts"].cast(pa.int64()).to_pylist()]
    if day < "2025" or ":" in symbol:
        coarse = [[us // 1_000 for us in times] for times in coarse]
    assert coarse[0] == coarse[1]

    run = await fetched(service, request.model_copy(update={"start": start_ns}))
    assert run.rows_written < from_file.num_rows + 1
    merged = rows(service, dataset)
    assert merged.num_rows == from_file.num_rows
    assert merged["tid_num"].equals(from_file["tid_num"])


async def test_a_file_over_what_the_api_gave_makes_no_duplicates(service: Service) -> None:
    """Both of all of a day, in the two precisions of the time before 2025."""
    start_ns = parse_time("2024-06-01")
    await fetched(service, trades(start_ns + HOUR_NS, start_ns + 2 * HOUR_NS, transport="rest"))
    ids = rows(service, TRADES)["tid_num"].to_pylist()
    await fetched(service, trades(start_ns, start_ns + DAY_NS, transport="archive"))
    after = rows(service, TRADES)["tid_num"].to_pylist()
    assert after == list(range(after[0], after[0] + 86_400))
    assert set(ids) < set(after)


async def test_files_for_whole_days_and_the_api_for_the_rest(
    exchange: BinanceStandIn, service: Service
) -> None:
    start_ns = parse_time("2026-02-25T22:00:00Z")
    request = trades(start_ns, None)
    plan = await service.plan(request)
    assert plan.transport is Transport.AUTO
    files, api = plan.parts
    assert files.transport is Transport.ARCHIVE
    assert files.intervals == IntervalSet.of(parse_time("2026-02-26"), parse_time("2026-02-28"))
    assert files.requests == 4
    assert files.download_bytes
    assert api.intervals == plan.todo - files.intervals

    run = await fetched(service, request)
    assert run.state is RunState.SUCCEEDED
    assert exchange.count("/data/") == 4 + 2  # the plan asked two files for their size
    [whole] = covered(service, TRADES)
    assert whole.start_ns == start_ns
    assert 0 < NOW_NS + HOUR_NS - whole.end_ns < 2 * HOUR_NS  # the stand-in's clock stands still, ours runs
    ids = rows(service, TRADES)["tid_num"].to_pylist()
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert abs(plan.rows - len(ids)) < 100
    assert not list((service.store.data_path / ".dccd" / "downloads").iterdir())


@pytest.mark.parametrize("symbol", PAIRS)
async def test_bars_by_months_and_days_are_those_of_the_api(
    exchange: BinanceStandIn, service: Service, symbol: str
) -> None:
    request = asked(symbol, "ohlc", "15m", "2025-11-20", "2026-02-03")
    run = await fetched(service, request.model_copy(update={"transport": Transport.ARCHIVE}))
    assert run.state is RunState.SUCCEEDED
    dataset = DatasetId.parse(run.dataset or "")
    kinds = {request.path.split("/")[-5] for request in exchange.log if ".zip" in request.path}
    assert kinds == {"daily", "monthly"}
    assert exchange.count("/data/") == 2 * (11 + 2 + 2)
    assert covered(service, dataset) == IntervalSet.of(parse_time("2025-11-20"), parse_time("2026-02-03"))
    from_files = rows(service, dataset)
    service.store.keeping.delete(dataset)
    await fetched(service, request.model_copy(update={"transport": Transport.REST}))
    assert rows(service, dataset).equals(from_files)


async def test_few_bars_are_asked_for(exchange: BinanceStandIn, service: Service) -> None:
    run = await fetched(service, asked("BTC/USDT", "ohlc", "1h", "2024-01-01", "2025-01-01"))
    assert run.rows_written == 366 * 24
    assert exchange.count("/data/") == 0


async def test_recorded_bars_bit_for_bit(shared: Path, data_path: Path) -> None:
    lines = gzip.decompress(
        (shared / "datasets/binance_klines/BTCUSDT_15m.jsonl.gz").read_bytes()
    ).splitlines()
    recorded = [row for row in map(json.loads, lines) if row[0] < parse_time("2025-04-01") // 10**6]
    recorded = [row for row in recorded if row[0] >= parse_time("2025-01-01") // 10**6]
    async with BinanceStandIn(shared=shared, now_ms=NOW_NS // 10**6, has_archive=True) as exchange:
        config = parse_config(exchange.config, Path("config.toml")).located(None, data_path)
        async with build_service(config) as service:
            request = asked("BTC/USDT", "ohlc", "15m", "2025-01-01", "2025-04-01", transport="archive")
            run = await fetched(service, request)
            found = rows(service, DatasetId.parse(run.dataset or ""))
    assert found["ts"].cast(pa.int64()).to_pylist() == [row[0] * 1_000 for row in recorded]
    for name, place in (
        ("open", 1),
        ("high", 2),
        ("low", 3),
        ("close", 4),
        ("volume", 5),
        ("quote_volume", 7),
    ):
        assert found[name].to_pylist() == [float(row[place]) for row in recorded]
    assert found["trades"].to_pylist() == [row[8] for row in recorded]


@pytest.mark.parametrize("symbol", PAIRS[1:])
async def test_open_interest_of_before_what_the_api_keeps(
    exchange: BinanceStandIn, service: Service, symbol: str
) -> None:
    request = asked(symbol, "open_interest", "5m", "2026-01-26", "2026-02-02")
    run = await fetched(service, request)
    assert run.state is RunState.SUCCEEDED
    assert run.result is None
    dataset = DatasetId.parse(run.dataset or "")
    [interval] = covered(service, dataset)
    assert interval.start_ns == parse_time("2026-01-26")
    assert exchange.count("/data/") == 2 * 5
    both = rows(service, dataset)
    service.store.keeping.delete(dataset)
    request = asked(symbol, "open_interest", "5m", "2026-01-30T20:00:00Z", "2026-02-02", transport="rest")
    await fetched(service, request)
    by_api = rows(service, dataset)
    assert by_api.equals(both.slice(both.num_rows - by_api.num_rows))
    service.store.keeping.delete(dataset)
    await fetched(service, request.model_copy(update={"transport": Transport.ARCHIVE}))
    assert rows(service, dataset).equals(by_api)


async def test_a_day_without_a_file_comes_from_the_api(exchange: BinanceStandIn, service: Service) -> None:
    assert exchange.archive is not None
    exchange.archive.gone.add("2026-01-02")
    run = await fetched(service, trades("2026-01-01", "2026-01-04"))
    assert run.state is RunState.SUCCEEDED
    assert run.rows_written == 3 * 86_400
    assert run.result is None
    assert covered(service, TRADES) == IntervalSet.of(parse_time("2026-01-01"), parse_time("2026-01-04"))
    assert exchange.count("/api/v3/aggTrades") > 86


async def test_a_day_without_a_file_is_not_taken_for_empty(
    exchange: BinanceStandIn, service: Service
) -> None:
    assert exchange.archive is not None
    exchange.archive.gone.add("2026-01-02")
    run = await fetched(service, trades("2026-01-01", "2026-01-04", transport="archive"))
    assert run.state is RunState.SUCCEEDED
    assert run.result is not None
    assert run.result["not_served"] == [[parse_time("2026-01-02"), parse_time("2026-01-03")]]
    assert covered(service, TRADES) == IntervalSet(
        [
            (parse_time("2026-01-01"), parse_time("2026-01-02")),
            (parse_time("2026-01-03"), parse_time("2026-01-04")),
        ]
    )
    assert [(gap.start_ns, gap.end_ns) for gap in service.store.gaps(TRADES)] == [
        (parse_time("2026-01-02"), parse_time("2026-01-03"))
    ]


@pytest.mark.parametrize(
    "table", [b"", b"agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"]
)
async def test_a_file_without_a_row_proves_nothing(
    exchange: BinanceStandIn, service: Service, table: bytes
) -> None:
    assert exchange.archive is not None
    exchange.archive.edit = lambda path, whole: table if "2026-01-02" in path else whole
    run = await fetched(service, trades("2026-01-02", "2026-01-03", transport="archive"))
    assert run.state is RunState.SUCCEEDED
    assert run.rows_written == 0
    assert covered(service, TRADES) == IntervalSet()


async def test_what_a_file_lacks_comes_from_the_api(exchange: BinanceStandIn, service: Service) -> None:
    """Ids that jump within a day's file, and from one day's file to the next."""
    assert exchange.archive is not None

    def without(path: str, table: bytes) -> bytes:
        lines = table.splitlines(keepends=True)
        if path.endswith("2026-01-02.zip"):
            del lines[40_000:40_500]
            del lines[-700:]
        return b"".join(lines)

    exchange.archive.edit = without
    run = await fetched(service, trades("2026-01-01", "2026-01-04"))
    assert run.state is RunState.SUCCEEDED
    ids = rows(service, TRADES)["tid_num"].to_pylist()
    assert ids == list(range(ids[0], ids[0] + 3 * 86_400))
    assert covered(service, TRADES) == IntervalSet.of(parse_time("2026-01-01"), parse_time("2026-01-04"))
    assert exchange.count("/api/v3/aggTrades", limit="1000") < 12


async def test_a_month_that_ends_early_is_filled(exchange: BinanceStandIn, service: Service) -> None:
    """As files of January 2024 did, on the 10th."""
    assert exchange.archive is not None
    exchange.archive.edit = lambda path, table: b"".join(
        table.splitlines(keepends=True)[: 10 * 1440] if "2025-10" in path else [table]
    )
    run = await fetched(service, asked("BTC/USDT", "ohlc", "1m", "2025-05-01", "2025-12-01"))
    dataset = DatasetId.parse(run.dataset or "")
    assert run.state is RunState.SUCCEEDED
    assert covered(service, dataset) == IntervalSet.of(parse_time("2025-05-01"), parse_time("2025-12-01"))
    assert rows(service, dataset).num_rows == 214 * 1440
    assert 21 * 1440 // 1000 <= exchange.count("/api/v3/klines") <= 40


async def test_a_month_without_a_file_comes_by_its_days(exchange: BinanceStandIn, service: Service) -> None:
    assert exchange.archive is not None
    exchange.archive.gone.add("-2025-11.zip")
    run = await fetched(
        service, asked("BTC/USDT", "ohlc", "1m", "2025-11-01", "2025-12-01", transport="archive")
    )
    assert run.rows_written == 30 * 1440
    assert run.result is None


async def test_a_damaged_file_is_fetched_anew_and_then_left_to_the_api(
    exchange: BinanceStandIn, service: Service
) -> None:
    assert exchange.archive is not None
    exchange.archive.wrong.add("2026-01-02")
    run = await fetched(service, trades("2026-01-01", "2026-01-04"))
    assert run.state is RunState.SUCCEEDED
    assert run.rows_written == 3 * 86_400
    assert exchange.count(FILES + "2026-01-02.zip") == 2 * 2
    assert any("SHA-256" in line for line in run.log_tail)
    assert exchange.count("/api/v3/aggTrades") > 86


@pytest.mark.parametrize("kind", ["truncate", "reset", "close"])
async def test_a_file_that_is_cut_goes_on_where_it_was(
    exchange: BinanceStandIn, service: Service, kind: Any
) -> None:
    exchange.faults.append(Fault(kind, FILES, when=lambda request: not request.path.endswith("SUM"), times=1))
    run = await fetched(service, trades("2026-01-02", "2026-01-03"))
    assert run.state is RunState.SUCCEEDED
    assert run.rows_written == 86_400
    ranges = [
        request.headers.get("range") for request in exchange.log if request.path == FILES + "2026-01-02.zip"
    ]
    assert len(ranges) == 2
    assert (ranges[1] is not None) == (kind == "truncate")
    assert exchange.count("/api/v3/aggTrades", limit="1000") == 0


async def test_a_run_that_ended_goes_on_with_the_bytes_it_had(
    exchange: BinanceStandIn, data_path: Path
) -> None:
    config = parse_config(exchange.config, Path("config.toml")).located(None, data_path)
    exchange.faults.append(
        Fault("truncate", FILES + "2026-01-02.zip", when=lambda r: not r.path.endswith("SUM"))
    )
    exchange.faults.append(Fault("hang", FILES + "2026-01-02.zip", times=None))
    async with build_service(config) as service:
        run_id = (await service.start_backfill(trades("2026-01-01", "2026-01-03"))).run_id
        await exchange.until(lambda: exchange.count(FILES + "2026-01-02.zip") == 2)
    exchange.faults.clear()
    exchange.log.clear()
    async with build_service(config) as service:
        run = await service.run(run_id)
        assert run.state in (RunState.CANCELLED, RunState.INTERRUPTED)
        run = await fetched(service, trades("2026-01-01", "2026-01-03"))
        assert run.state is RunState.SUCCEEDED
        ids = rows(service, TRADES)["tid_num"].to_pylist()
    assert ids == list(range(ids[0], ids[0] + 2 * 86_400))
    [request] = [r for r in exchange.log if r.path == FILES + "2026-01-02.zip"]
    assert request.headers["range"].startswith("bytes=")
    assert not list((data_path / ".dccd" / "downloads").iterdir())


@pytest.mark.parametrize("status", [403, 451])
async def test_an_archive_that_does_not_serve_this_network(
    exchange: BinanceStandIn, service: Service, status: int
) -> None:
    exchange.faults.append(Fault("answer", "/data/", times=None, response=engine.Response(b"", status)))
    run = await fetched(service, trades("2026-01-01", "2026-01-02", transport="archive"))
    assert run.state is RunState.FAILED
    assert run.error is not None
    assert "does not serve this network" in run.error.detail
    run = await fetched(service, trades("2026-01-01", "2026-01-02"))
    assert run.state is RunState.SUCCEEDED
    assert run.rows_written == 86_400
    assert any("The exchange's API gives the rest" in line for line in run.log_tail)


async def test_an_archive_that_asks_for_fewer_requests_is_left_alone_as_long(
    exchange: BinanceStandIn, service: Service
) -> None:
    refusal = engine.Response(b"", 429, {"Retry-After": "1"})
    exchange.faults.append(Fault("answer", FILES, times=1, response=refusal))
    run = await fetched(service, trades("2026-01-02", "2026-01-03"))
    assert run.state is RunState.SUCCEEDED
    times = [request.received_s for request in exchange.log if request.path.startswith(FILES)]
    assert times[1] - times[0] >= 1
    assert exchange.count("/api/v3/aggTrades", limit="1000") == 0


async def test_a_file_of_something_else_is_refused(exchange: BinanceStandIn, service: Service) -> None:
    assert exchange.archive is not None
    exchange.archive.edit = lambda path, table: table.replace(b",True,", b",maybe,")
    run = await fetched(service, trades("2026-01-02", "2026-01-03"))
    assert run.state is RunState.SUCCEEDED
    assert run.rows_written >= 86_400
    assert any("something else in it" in line for line in run.log_tail)
    assert set(rows(service, TRADES)["side"].to_pylist()) == {"buy", "sell"}


async def test_a_file_of_another_day_is_refused(exchange: BinanceStandIn, service: Service) -> None:
    assert exchange.archive is not None
    shift = DAY_NS // 1_000

    def later(path: str, table: bytes) -> bytes:
        rows = (line.split(b",") for line in table.splitlines())
        return b"".join(
            b",".join((*row[:5], b"%d" % (int(row[5]) + shift), *row[6:])) + b"\n" for row in rows
        )

    exchange.archive.edit = later
    run = await fetched(service, trades("2026-01-02", "2026-01-03", transport="archive"))
    assert run.rows_written == 0
    assert covered(service, TRADES) == IntervalSet()


async def test_what_there_are_no_files_of_is_said(service: Service) -> None:
    request = asked("BTC/USDT:USDT", "funding", None, "2026-01-01", None, transport="archive")
    with pytest.raises(NoCapability, match="publishes no files"):
        await service.plan(request)
    run = await fetched(service, trades("2026-02-26", None, transport="archive"))
    assert run.state is RunState.SUCCEEDED
    assert run.result is not None
    assert "files have" in run.result["why"]
    assert covered(service, TRADES) == IntervalSet.of(parse_time("2026-02-26"), parse_time("2026-02-28"))
