"""Public files of Bybit, OKX and BitMEX: fetched, read, and merged with what the API gives, over sockets."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
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
from dccd.domain.timeutils import HOUR_NS, MS_NS, ns_datetime, parse_time
from dccd.domain.types import Transport
from dccd.storage.schema import arrow_schema
from tests.exchanges.binance_archive import zipped
from tests.exchanges.bitmex import BitmexStandIn
from tests.exchanges.bybit import BybitStandIn
from tests.exchanges.files import FileHost
from tests.exchanges.okx import OkxStandIn
from tests.exchanges.walk import Trade, decimal

NOW_NS = parse_time("2026-03-01T12:34:56.789Z")
EVERY_MS = 20_000
_DERIVATIVE = re.compile(r"/trading/(\w+)/\1(\d{4}-\d\d-\d\d)\.csv\.gz")
_NAMES = "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional"
_SPOT = re.compile(r"/spot/(\w+)/\1[_-](\d{4}-\d\d(?:-\d\d)?)\.csv\.gz")
_OKX = re.compile(r"/cdn/okex/traderecords/trades/daily/(\d{8})/([\w-]+)-trades-(\d{4}-\d\d-\d\d)\.zip")


def slow(exchange: Any) -> None:
    """Fewer trades, of which a day is soon written."""
    exchange.walks = {key: replace(walk, every_ms=EVERY_MS) for key, walk in exchange.walks.items()}


def within(walk: Any, when: str, shift_h: int = 0) -> list[Trade]:
    """The trades of a day or a month."""
    start = datetime.fromisoformat(when if len(when) > 7 else f"{when}-01").replace(tzinfo=UTC)
    end = start + timedelta(days=1) if len(when) > 7 else (start + timedelta(days=32)).replace(day=1)
    first, stop = (
        walk.number_at(int((moment + timedelta(hours=shift_h)).timestamp()) * 1_000)
        for moment in (start, end)
    )
    return walk.trades(first, stop)


def bybit_file(exchange: BybitStandIn, path: str) -> bytes | None:
    """As Bybit publishes them: derivatives the newest first, seconds with a tenth of a millisecond."""
    if found := _DERIVATIVE.fullmatch(path):
        symbol, when = found.groups()
        category = "inverse" if symbol == "BTCUSD" else "linear"
        lines = [
            "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional"
        ]
        for each in reversed(within(exchange.walks[category, symbol], when)):
            size = str(each.amount) if category == "inverse" else decimal(each.amount, 3)
            second = f"{each.time_ms // 1_000}.{each.time_ms % 1_000:03d}4"
            side = "Buy" if each.buy else "Sell"
            price = decimal(each.price, 1)
            lines.append(f"{second},{symbol},{side},{size},{price},PlusTick,{each.number:032x},1e+10,1,2")
    elif (found := _SPOT.fullmatch(path)) and ("_" in path or found[2] < "2026-02"):
        lines = ["id,timestamp,price,volume,side,rpi"]
        for place, each in enumerate(within(exchange.walks["spot", found[1]], found[2]), 1):
            price, amount = decimal(each.price, 1), decimal(each.amount, 3)
            lines.append(f"{place},{each.time_ms},{price},{amount},{'buy' if each.buy else 'sell'},0")
    else:
        return None
    return gzip.compress(("\n".join(lines) + "\n").encode(), 1)


def okx_file(exchange: OkxStandIn, path: str) -> bytes | None:
    """As OKX publishes them: days of Hong Kong, and names in two languages."""
    found = _OKX.fullmatch(path)
    if found is None or found[2] not in exchange.walks or found[1] != found[3].replace("-", ""):
        return None
    names = "trade_id/撮合id,side/交易方向,size/数量,price/价格,created_time/成交时间\n".encode("gbk")
    spot = "SWAP" not in found[2]
    rows = (
        f"{each.number + 1},{'buy' if each.buy else 'sell'},"
        f"{decimal(each.amount, 3) if spot else each.amount},{decimal(each.price, 1)},{each.time_ms}\n"
        for each in within(exchange.walks[found[2]], found[3], -8)
    )
    return zipped(path, names + "".join(rows).encode())


def bitmex_file(exchange: BitmexStandIn, path: str) -> bytes | None:
    """As BitMEX publishes them: all instruments in one file, nine digits of a second."""
    found = re.fullmatch(r"/data/trade/(\d{8})\.csv\.gz", path)
    if found is None:
        return None
    start_ns = parse_time(datetime.strptime(found[1], "%Y%m%d").replace(tzinfo=UTC).isoformat())
    lines = [_NAMES]
    for symbol in ("XBTUSD", "XBTUSDT"):
        fills, listed = exchange.fills(symbol), exchange._listed[symbol]
        for fill in fills.between(fills.first_from(start_ns), fills.first_from(start_ns + 24 * HOUR_NS)):
            row = exchange._trade(listed, fill) | {"timestamp": _nine_digits(fill.ts_ns)}
            lines.append(",".join(str(row[name]) for name in _NAMES.split(",")))
    return gzip.compress(("\n".join(lines) + "\n").encode(), 1)


def _nine_digits(ts_ns: int) -> str:
    return f"{ns_datetime(ts_ns):%Y-%m-%dD%H:%M:%S}.{ts_ns % 10**9:09d}"


class Both:
    """An exchange, its files, and the program with both."""

    def __init__(self, exchange: Any, host: FileHost, service: Service) -> None:
        self.exchange, self.host, self.service = exchange, host, service

    async def fetched(self, symbol: str, start: str | int, end: str | int | None, **more: Any) -> JobRun:
        what = {"exchange": self.exchange_id, "symbol": symbol, "data_type": "trades"}
        request = BackfillRequest.model_validate({**what, "start": start, "end": end, **more})
        return await self.service.wait((await self.service.start_backfill(request)).run_id)

    @property
    def exchange_id(self) -> str:
        kinds = {BybitStandIn: "bybit", OkxStandIn: "okx", BitmexStandIn: "bitmex"}
        return kinds[type(self.exchange)]

    def rows(self, run: JobRun) -> Any:
        dataset = DatasetId.parse(run.dataset or "")
        return pa.Table.from_batches(self.service.read(dataset), arrow_schema(dataset.data_type))

    def covered(self, run: JobRun) -> IntervalSet:
        return self.service.store.coverage(DatasetId.parse(run.dataset or "")).covered


Start = Callable[[Any, Callable[[Any, str], bytes | None]], Any]


@pytest.fixture
async def start(data_path: Path) -> Any:
    async with AsyncExitStack() as stack:

        async def begin(exchange: Any, make: Callable[[Any, str], bytes | None]) -> Both:
            if hasattr(exchange, "walks"):
                slow(exchange)
            await stack.enter_async_context(exchange)
            host = await stack.enter_async_context(FileHost(lambda path: make(exchange, path)))
            text = re.sub(r'archive_url = ".*"', f'archive_url = "{host.url}"', exchange.config)
            config = parse_config(text, Path("config.toml")).located(None, data_path)
            service = await stack.enter_async_context(build_service(config))
            return Both(exchange, host, service)

        yield begin


@pytest.fixture
async def bybit(start: Start) -> Both:
    return await start(BybitStandIn(now_ms=NOW_NS // MS_NS), bybit_file)


@pytest.fixture
async def okx(start: Start) -> Both:
    return await start(OkxStandIn(now_ms=NOW_NS // MS_NS, is_limited=False), okx_file)


@pytest.mark.parametrize("symbol", ["BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"])
async def test_bybits_days_that_its_api_never_gives(bybit: Both, symbol: str) -> None:
    run = await bybit.fetched(symbol, "2026-02-10", "2026-02-13")
    assert run.state is RunState.SUCCEEDED
    assert run.result is None
    assert bybit.covered(run) == IntervalSet.of(parse_time("2026-02-10"), parse_time("2026-02-13"))
    category, name = run.dataset or "", "BTCUSD" if symbol == "BTC/USD:BTC" else "BTCUSDT"
    category = "spot" if ":" not in symbol else "inverse" if name == "BTCUSD" else "linear"
    made = [
        each
        for day in (10, 11, 12)
        for each in within(bybit.exchange.walks[category, name], f"2026-02-{day}")
    ]
    found = bybit.rows(run)
    assert found.num_rows == len(made)
    times = found["ts"].cast(pa.int64()).to_pylist()
    assert [us // 1_000 for us in times] == [each.time_ms for each in made]
    if category == "spot":  # no ids: trades of one instant are in order of price
        assert found["tid"].null_count == found.num_rows
        assert sorted(found["amount"].to_pylist()) == sorted(each.amount / 1_000 for each in made)
    else:
        amounts = {f"{each.number:032x}": each.amount for each in made}
        size = 1 if category == "inverse" else 1_000
        assert [amounts[tid] / size for tid in found["tid"].to_pylist()] == found["amount"].to_pylist()


async def test_bybits_months_of_spot(bybit: Both) -> None:
    run = await bybit.fetched("BTC/USDT", "2026-01-01", "2026-02-02", transport="archive")
    assert run.state is RunState.SUCCEEDED
    paths = [request.path.rpartition("/")[2] for request in bybit.host.log]
    assert paths == ["BTCUSDT-2026-01.csv.gz", "BTCUSDT_2026-02-01.csv.gz"]
    assert bybit.covered(run) == IntervalSet.of(parse_time("2026-01-01"), parse_time("2026-02-02"))


async def test_a_part_of_a_day_that_only_a_file_has(bybit: Both) -> None:
    start_ns = parse_time("2026-02-10T06:00:00Z")
    run = await bybit.fetched("BTC/USDT:USDT", start_ns, start_ns + HOUR_NS)
    assert bybit.covered(run) == IntervalSet.of(start_ns, start_ns + HOUR_NS)
    times = bybit.rows(run)["ts"].cast(pa.int64()).to_pylist()
    assert start_ns // 1_000 <= times[0]
    assert times[-1] < (start_ns + HOUR_NS) // 1_000


@pytest.mark.parametrize("symbol", ["BTC/USDT", "BTC/USDT:USDT"])
async def test_bybits_files_and_its_newest_trades_make_no_duplicates(bybit: Both, symbol: str) -> None:
    """The API's trades have ids; the file's of spot have none, and those of derivatives finer times."""
    walk = bybit.exchange.walks["spot" if ":" not in symbol else "linear", "BTCUSDT"]
    while walk.time(walk.number_at(bybit.exchange.now_ms)) == walk.time(
        walk.number_at(bybit.exchange.now_ms) - 60
    ):
        bybit.exchange.frozen_ms -= HOUR_NS // MS_NS  # all of what the API gives is of one instant
    first = await bybit.fetched(symbol, NOW_NS - 12 * HOUR_NS, None, transport="rest")
    newest = bybit.rows(first)
    assert newest.num_rows >= 50
    assert newest["tid"].null_count == 0
    bybit.exchange.frozen_ms += 4 * 86_400_000
    bybit.service.registry.get("bybit")._now_ns = lambda: NOW_NS + 4 * 86_400 * 10**9
    run = await bybit.fetched(symbol, "2026-03-01", "2026-03-02", transport="archive")
    assert run.state is RunState.SUCCEEDED
    made = within(walk, "2026-03-01")
    after = bybit.rows(run)
    assert after.num_rows == len(made)
    assert set(newest["tid"].to_pylist()) <= set(after["tid"].to_pylist())


@pytest.mark.parametrize("symbol", ["BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"])
async def test_okxs_days_and_what_its_api_gives_are_the_same(okx: Both, symbol: str) -> None:
    """A day of Hong Kong, from 16:00 to 16:00 UTC."""
    start_ns = parse_time("2026-02-10T16:00:00Z")
    run = await okx.fetched(symbol, start_ns, start_ns + 24 * HOUR_NS)
    assert run.state is RunState.SUCCEEDED
    assert [request.path[-14:] for request in okx.host.log] == ["2026-02-11.zip"]
    assert okx.covered(run) == IntervalSet.of(start_ns, start_ns + 24 * HOUR_NS)
    from_file = okx.rows(run)
    okx.service.store.keeping.delete(DatasetId.parse(run.dataset or ""))
    await okx.fetched(symbol, start_ns, start_ns + 2 * HOUR_NS, transport="rest")
    from_api = okx.rows(run)
    assert from_api.num_rows > 300
    assert from_api.equals(from_file.slice(0, from_api.num_rows))
    await okx.fetched(symbol, start_ns, start_ns + 24 * HOUR_NS)
    assert okx.rows(run).equals(from_file)


async def test_okxs_trades_of_before_what_its_api_keeps(okx: Both) -> None:
    run = await okx.fetched("BTC/USDT", "2025-06-01", "2025-06-03")
    assert run.state is RunState.SUCCEEDED
    assert run.result is None
    assert [request.path[-14:] for request in okx.host.log] == [f"2025-06-0{day}.zip" for day in (1, 2, 3)]
    assert okx.covered(run) == IntervalSet.of(parse_time("2025-06-01"), parse_time("2025-06-03"))
    assert okx.exchange.count("/api/v5/market/history-trades") == 0


async def test_what_no_file_has_and_no_api_keeps_is_said(start: Start) -> None:
    def make(exchange: OkxStandIn, path: str) -> bytes | None:
        return None if "2025-06-02" in path else okx_file(exchange, path)

    okx = await start(OkxStandIn(now_ms=NOW_NS // MS_NS, is_limited=False), make)
    run = await okx.fetched("BTC/USDT", "2025-06-01", "2025-06-03")
    lacking = [parse_time("2025-06-01T16:00:00Z"), parse_time("2025-06-02T16:00:00Z")]
    assert run.state is RunState.SUCCEEDED
    assert run.result["not_served"] == [lacking]
    assert not okx.covered(run) & IntervalSet([(lacking[0], lacking[1])])


async def test_a_damaged_gzip_is_left_out_whole(start: Start) -> None:
    """No row of it is believed: its sum is compared before any is read."""

    def make(exchange: BybitStandIn, path: str) -> bytes | None:
        file = bybit_file(exchange, path)
        return file if file is None or "2026-02-11" not in path else file[: len(file) // 2]

    bybit = await start(BybitStandIn(now_ms=NOW_NS // MS_NS), make)
    run = await bybit.fetched("BTC/USDT:USDT", "2026-02-10", "2026-02-13")
    assert run.state is RunState.SUCCEEDED
    assert run.result["not_served"] == [[parse_time("2026-02-11"), parse_time("2026-02-12")]]
    assert any("is damaged" in line for line in run.log_tail)
    assert run.result["why"] == "Bybit has no file of it, or a damaged one, see the run's log"
    times = bybit.rows(run)["ts"].cast(pa.int64()).to_pylist()
    day = (parse_time("2026-02-11") // 1_000, parse_time("2026-02-12") // 1_000)
    assert not [us for us in times if day[0] <= us < day[1]]


async def test_a_plan_of_files_alone_tells_rows_by_their_size(okx: Both) -> None:
    request = BackfillRequest.model_validate(
        {
            "exchange": "okx",
            "symbol": "BTC/USDT",
            "data_type": "trades",
            "start": "2025-06-01",
            "end": "2025-07-01",
        }
    )
    plan = await okx.service.plan(request)
    assert plan.transport is Transport.ARCHIVE
    [part] = plan.parts
    assert part.requests == 31
    assert part.download_bytes is not None
    assert 0.3 < plan.rows / (30 * 86_400_000 / EVERY_MS) < 3
    assert okx.host.count() == 3


@pytest.mark.parametrize("symbol", ["BTC/USD:BTC", "BTC/USDT:USDT"])
async def test_bitmexs_days_and_what_its_api_gives_are_the_same(start: Start, symbol: str) -> None:
    """Nine digits of a second in a file and three over the API are one trade, by its id."""
    bitmex = await start(BitmexStandIn(now_ns=lambda: NOW_NS), bitmex_file)
    run = await bitmex.fetched(symbol, "2026-02-10", "2026-02-11")
    assert run.state is RunState.SUCCEEDED
    assert bitmex.covered(run) == IntervalSet.of(parse_time("2026-02-10"), parse_time("2026-02-11"))
    from_file = bitmex.rows(run)
    assert from_file.num_rows > 10_000
    bitmex.service.store.keeping.delete(DatasetId.parse(run.dataset or ""))
    await bitmex.fetched(symbol, "2026-02-10", "2026-02-10T02:00:00Z", transport="rest")
    from_api = bitmex.rows(run)
    part = from_file.slice(0, from_api.num_rows)
    for name in ("tid", "price", "amount", "side"):
        assert sorted(part[name].to_pylist()) == sorted(from_api[name].to_pylist())
    await bitmex.fetched(symbol, "2026-02-10", "2026-02-11", transport="archive")
    after = bitmex.rows(run)
    assert after.num_rows == from_file.num_rows
    assert set(after["tid"].to_pylist()) == set(from_file["tid"].to_pylist())
