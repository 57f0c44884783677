from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dccd.application.instruments import InstrumentCache, ListedSource
from dccd.domain.errors import DiskFull, ExchangeError, NetworkError
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import DAY_NS, parse_time
from dccd.sources.binance import BINANCE
from tests.exchanges.binance import BinanceStandIn
from tests.exchanges.engine import Fault, Response

LIST = "/api/v3/exchangeInfo"
TODAY_NS = parse_time("2024-03-01T12:00")


class Clock:
    now_ns = TODAY_NS

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "instruments"


@pytest.fixture
async def exchange() -> AsyncIterator[BinanceStandIn]:
    async with BinanceStandIn() as stand_in:
        yield stand_in


def source_of(exchange: BinanceStandIn, folder: Path, clock: Clock) -> ListedSource:
    """A source as a new process would have it."""
    urls = dict.fromkeys(("rest_url", "futures_url", "delivery_url"), exchange.url)
    return ListedSource(BINANCE, cache=InstrumentCache(folder, clock=clock), urls=urls)


@pytest.fixture
async def source(exchange: BinanceStandIn, folder: Path, clock: Clock) -> AsyncIterator[ListedSource]:
    made = source_of(exchange, folder, clock)
    yield made
    await made.aclose()


def copies(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "binance").iterdir())


async def test_a_list_is_fetched_once_and_then_read_from_disk(
    source: ListedSource, exchange: BinanceStandIn, folder: Path, clock: Clock
) -> None:
    fetched = list(await source.instruments())
    await source.instruments()
    later = source_of(exchange, folder, clock)
    assert sorted(map(str, await later.instruments())) == sorted(map(str, fetched))
    assert exchange.count(LIST) == 1
    assert copies(folder) == ["2024-03-01.json"]


async def test_after_a_day_it_is_fetched_again_and_a_copy_kept_where_it_differs(
    source: ListedSource, exchange: BinanceStandIn, folder: Path, clock: Clock
) -> None:
    await source.instruments()
    clock.now_ns += DAY_NS
    await source.instruments()
    assert (exchange.count(LIST), copies(folder)) == (2, ["2024-03-01.json"])
    exchange.listings["spot"] = [e for e in exchange.listings["spot"] if e["symbol"] != "XRPETH"]
    clock.now_ns += DAY_NS
    await source.instruments()
    assert (exchange.count(LIST), copies(folder)) == (3, ["2024-03-01.json", "2024-03-03.json"])


async def test_what_is_listed_no_more_stays_known_as_inactive(
    source: ListedSource, exchange: BinanceStandIn, folder: Path, clock: Clock
) -> None:
    pair = Symbol("XRP", "ETH")
    assert (await source.instruments()).resolve(pair).active
    exchange.listings["spot"] = [e for e in exchange.listings["spot"] if e["symbol"] != "XRPETH"]
    assert not (await source.instruments(refresh=True)).resolve(pair).active
    assert not (await source_of(exchange, folder, clock).instruments()).resolve(pair).active


async def test_a_market_whose_list_cannot_be_had_keeps_its_instruments_as_they_were(
    source: ListedSource, exchange: BinanceStandIn
) -> None:
    perpetual = Symbol("BTC", "USDT", "USDT")
    await source.instruments()
    blocked = Response(b'{"code":0,"msg":"Service unavailable from a restricted location"}', status=451)
    exchange.faults.append(Fault("answer", "/fapi/v1/exchangeInfo", times=None, response=blocked))
    assert (await source.instruments(refresh=True)).resolve(perpetual).active
    assert source.listing_errors


async def test_without_a_network_the_newest_copy_serves_however_old(
    source: ListedSource, exchange: BinanceStandIn, folder: Path, clock: Clock
) -> None:
    listed = len(await source.instruments())
    await exchange.close()
    clock.now_ns += 400 * DAY_NS
    later = source_of(exchange, folder, clock)
    assert len(await later.instruments()) == listed
    with pytest.raises(NetworkError):
        await later.instruments(refresh=True)
    await later.aclose()


async def test_without_a_network_and_without_a_copy_it_says_so(
    source: ListedSource, exchange: BinanceStandIn
) -> None:
    await exchange.close()
    with pytest.raises(ExchangeError):
        await source.instruments()


async def test_a_copy_that_cannot_be_read_is_fetched_anew(
    source: ListedSource, exchange: BinanceStandIn, folder: Path, clock: Clock
) -> None:
    await source.instruments()
    (folder / "binance" / "2024-03-01.json").write_text("[{", encoding="utf-8")
    later = source_of(exchange, folder, clock)
    assert len(await later.instruments()) > 0
    assert exchange.count(LIST) == 2
    await later.aclose()


async def test_a_full_disk_is_said_and_leaves_no_half_list(
    source: ListedSource, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(path: Path, content: bytes) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", no_room)
        with pytest.raises(DiskFull, match="Free some space"):
            await source.instruments()
    assert copies(folder) == []
    assert await source.instruments()
    assert len(copies(folder)) == 1
