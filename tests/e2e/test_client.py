"""Python clients side by side on one data folder."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from dccd import Client
from dccd.application import service_factory
from dccd.domain.timeutils import MS_NS, parse_time
from dccd.interfaces.client import ApiError
from dccd.storage.fs import Entry, RealFileSystem
from dccd.storage.store import Store
from tests.exchanges.binance import BinanceStandIn

NOW_MS = parse_time("2024-03-01T12:20:00Z") // MS_NS
KLINES = "/api/v3/klines"


@pytest.fixture
async def exchange() -> AsyncIterator[BinanceStandIn]:
    async with BinanceStandIn(now_ms=NOW_MS) as stand_in:
        yield stand_in


@pytest.fixture
def client(exchange: BinanceStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Client]:
    config = tmp_path / "config.toml"
    config.write_text(exchange.config)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "run").mkdir(mode=0o700)
    return lambda: Client(config, data_path=tmp_path / "data")


async def test_the_verbs(client: Callable[[], Client], tmp_path: Path) -> None:
    async with client() as c:
        plan = await c.plan("binance", "BTC/USDT", "ohlc", span="1h", start="2024-02-01")
        assert (plan["rows"], plan["requests"]) == (708, 1)
        done = await c.backfill("binance", "BTC/USDT", "ohlc", span=3600, start="2024-02-01")
        assert (done["state"], done["rows_written"]) == ("succeeded", 708)
        assert done["start_ns"] == parse_time("2024-02-01")
        assert done["end_ns"] == parse_time("2024-03-01T12:00:00Z")
        table = await c.read("binance", "BTC/USDT", "ohlc", span="1h", limit=700)
        assert table.num_rows == 700
        (dataset,) = await c.inventory()
        assert dataset["id"] == done["dataset"] == "binance:BTC-USDT:ohlc:1h"
        written = await c.export(dataset["id"], tmp_path / "out", format="arrow")
        assert (written["state"], written["rows_written"]) == ("succeeded", 708)
        assert await c.gaps(dataset["id"]) == []


async def test_what_is_stored_is_not_told_of_a_folder_that_could_not_be_recovered(
    client: Callable[[], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Disk(RealFileSystem):
        def entries(self, path: Path) -> list[Entry]:
            if path.name == "journal":
                raise OSError(errno.EIO, "Input/output error")
            return super().entries(path)

    monkeypatch.setattr(
        service_factory, "build_store", lambda path: Store.open(path, fs=Disk(), recover=False)
    )
    async with client() as c:
        with pytest.raises(ApiError, match="Input/output error") as refused:
            await c.inventory()
    assert refused.value.problem_code == "storage"


@pytest.mark.parametrize("entry", ["..", "a?b", "a#b", "a%2Fb", "ü"])
async def test_a_name_in_a_path_is_one_part_of_it(client: Callable[[], Client], entry: str) -> None:
    async with client() as c:
        with pytest.raises(ApiError) as refused:
            await c.restore(entry)
    assert refused.value.problem_code == "unknown_trash"
    assert repr(entry) in str(refused.value)


async def test_a_client_outlives_the_one_it_went_through(client: Callable[[], Client]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with client() as first:
            second = await stack.enter_async_context(client())
            assert second.url == first.url
            assert await second.inventory() == []
        assert await second.inventory() == []
        assert second.url != first.url


async def test_the_first_stays_until_the_downloads_of_others_are_done(
    client: Callable[[], Client], exchange: BinanceStandIn
) -> None:
    exchange.latency_s = 0.05
    async with contextlib.AsyncExitStack() as stack:
        async with client():
            second = await stack.enter_async_context(client())
            download = asyncio.create_task(
                second.backfill("binance", "BTC/USDT", "ohlc", span="1m", start="2024-02-01")
            )
            await exchange.until(lambda: exchange.count(KLINES) > 3)
        done = await download
    assert (done["state"], done["rows_written"]) == ("succeeded", 29 * 1440 + 739)


async def test_who_gives_up_waiting_cancels_only_what_he_began(
    client: Callable[[], Client], exchange: BinanceStandIn
) -> None:
    exchange.latency_s = 0.05
    followed = asyncio.Event()

    async def download(c: Client, symbol: str = "BTC/USDT", seen: asyncio.Event | None = None) -> object:
        return await c.backfill(
            "binance",
            symbol,
            "ohlc",
            span="1m",
            start="2024-01-01",
            on_progress=lambda _: None if seen is None else seen.set(),
        )

    async with client() as first, client() as second:
        began = asyncio.create_task(download(first))
        await exchange.until(lambda: exchange.count(KLINES) > 2)
        attached = asyncio.create_task(download(second, seen=followed))
        await followed.wait()
        attached.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attached
        done = await began
        assert isinstance(done, dict)
        assert done["state"] == "succeeded"

    async with client() as third:
        exchange.latency_s = 0.2
        own = asyncio.create_task(
            third.backfill("binance", "ETH/USDT", "ohlc", span="1m", start="2023-01-01")
        )
        await exchange.until(lambda: exchange.count(KLINES, symbol="ETHUSDT") > 2)
        own.cancel()
        with pytest.raises(asyncio.CancelledError):
            await own
        (run,) = (await third.call("GET", "/api/runs", params={"limit": 1}))["runs"]
        assert run["state"] == "cancelled"
