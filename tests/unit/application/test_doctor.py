"""What works of what the exchanges offer, tried against the stand-ins of all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from dccd.application.config import parse_config
from dccd.application.jobs import JobRun, RunState
from dccd.application.operations.doctor import DoctorParams, DoctorResult, Finding
from dccd.application.service import Service
from dccd.application.service_factory import SOURCES, build_service
from dccd.domain.errors import UnknownExchange
from dccd.domain.types import DataType, Market, Mode, Transport
from dccd.sources.kraken import KRAKEN
from tests.exchanges.binance import BinanceStandIn
from tests.exchanges.engine import Fault, Response, StandIn
from tests.exchanges.kraken import KrakenStandIn
from tests.exchanges.live.engine import Bar, LiveStandIn, Trade
from tests.exchanges.live.kraken import KrakenLive
from tests.exchanges.roster import STAND_INS

NOBODY = "ws://127.0.0.1:9"  # discard: nobody listens there


class World(NamedTuple):
    """The program, the REST stand-ins of all exchanges by id, and Kraken's live one."""

    service: Service
    rest: dict[str, StandIn]
    kraken_live: LiveStandIn


@pytest.fixture
async def world(data_path: Path, tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        kraken_live = await stack.enter_async_context(KrakenLive())
        rest: dict[str, StandIn] = {}
        lines: list[str] = []
        archived = BinanceStandIn(has_archive=True)
        assert archived.archive is not None
        archived.archive.gone = {"aggTrades"}
        for source in SOURCES:
            stand_in = archived if source.id == "binance" else STAND_INS[source.id]()
            rest[source.id] = await stack.enter_async_context(stand_in)
            lines.append(stand_in.config)  # type: ignore[attr-defined]
            live_url = kraken_live.url if source.id == "kraken" else NOBODY
            lines += [
                f'{host.setting} = "{live_url}"'
                for host in source.hosts.values()
                if host.url.startswith("wss:")
            ]
        config = parse_config("\n".join(lines), Path("config.toml"))
        service = build_service(config.located(tmp_path / "config.toml", data_path))
        yield World(await stack.enter_async_context(service), rest, kraken_live)


async def examined(world: World, *exchanges: str, wait_s: float = 60) -> tuple[JobRun, list[Finding]]:
    params = DoctorParams(exchanges=list(exchanges), wait_s=wait_s)
    run = await world.service.wait((await world.service.mending.doctor(params)).run_id)
    assert run.state is RunState.SUCCEEDED, run.error
    result = DoctorResult.model_validate(run.result)
    assert result.works == sum(finding.works for finding in result.findings)
    assert result.works + result.fails == len(result.findings)
    return run, result.findings


def failing(findings: list[Finding]) -> dict[str, str]:
    return {
        f"{it.exchange} {it.market} {it.what} {it.transport}": it.words for it in findings if not it.works
    }


async def test_all_that_is_declared_is_tried_and_works_but_for_what_nobody_answers(world: World) -> None:
    run, findings = await examined(world, *(source.id for source in SOURCES if source.id != "kraken"))
    tried = {(it.exchange, it.market, it.what, it.transport) for it in findings}
    for source in SOURCES:
        for capability in source.capabilities if source.id != "kraken" else ():
            for market in capability.markets:
                assert (source.id, market, capability.data_type, capability.transport) in tried
    failed = failing([it for it in findings if it.transport is not Transport.WS])
    # Files are served by Binance's stand-in alone, and none of its trades.
    nothing = "has no file of the last days in its archive."
    assert failed == {
        f"{source.id} {market} {it.data_type} archive": f"{source.name} {nothing}"
        for source in SOURCES
        for it in source.capabilities
        if it.transport is Transport.ARCHIVE and (source.id != "binance" or it.data_type is DataType.TRADES)
        for market in it.markets
    }
    live = [it for it in findings if it.transport is Transport.WS]
    assert live
    assert all(not it.works and it.code == "network" and "127.0.0.1" in it.words for it in live)
    assert all(it.rows > 0 for it in findings if it.works and it.transport is Transport.REST)
    assert run.progress is not None
    assert run.progress.done == run.progress.total == len(findings)


async def tell_all(live: LiveStandIn) -> None:
    """Tell whoever comes to listen of a trade and a bar."""
    told: set[tuple[int, object]] = set()

    def listening() -> set[tuple[int, object]]:
        return {(id(peer), key) for peer in live.peers for key in peer.keys}

    while True:
        await live.until(lambda: bool(listening() - told))
        told.update(listening())
        now_ns = 1_700_000_000_000_000_000
        await live.trade("BTC/USD", Trade(now_ns, "100.0", "1.0"))
        await live.bar("BTC/USD", "1m", Bar(now_ns // (60 * 10**9) * 60 * 10**9, *("100.0",) * 4, "1.0"))


async def test_what_is_live_works_when_a_message_comes(world: World) -> None:
    rest = world.rest["kraken"]
    assert isinstance(rest, KrakenStandIn)
    rest.listing = {"XXBTZUSD": rest.listing["XXBTZUSD"]}  # the live one has this pair
    telling = asyncio.create_task(tell_all(world.kraken_live))
    try:
        _, findings = await examined(world, "kraken")
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling
    assert failing(findings) == {}
    live = {it.what for it in findings if it.transport is Transport.WS}
    assert live == {item.data_type for item in KRAKEN.capabilities if item.mode is Mode.LIVE}


async def test_a_feed_that_says_nothing_does_not_work(world: World) -> None:
    world.kraken_live.mute = True
    _, findings = await examined(world, "kraken", wait_s=3)
    live = [it for it in findings if it.transport is Transport.WS]
    assert {(it.works, it.code, it.words) for it in live} == {
        (False, "no_answer", "Nothing came within 3 s.")
    }


async def test_what_the_exchange_answers_is_told_where_it_does_not_work(world: World) -> None:
    refusal = Response(b'{"code":-1100,"msg":"Illegal characters found in parameter."}', status=400)
    world.rest["binance"].faults.append(Fault("answer", "/fapi/v1/klines", times=None, response=refusal))
    _, findings = await examined(world, "binance")
    failed = failing([it for it in findings if it.transport is Transport.REST or it.transport is None])
    (name,) = failed
    assert name == f"binance {Market.LINEAR} {DataType.OHLC} {Transport.REST}"
    assert "Illegal characters found in parameter." in failed[name]


async def test_what_is_not_answered_in_time_says_why(world: World) -> None:
    down = Response(b"<html>Bad gateway</html>", 502, {}, "text/html")
    world.rest["coinbase"].faults.append(Fault("answer", "/products/", times=None, response=down))
    world.rest["bybit"].faults.append(Fault("hang", "/v5/market/kline", times=None))
    _, findings = await examined(world, "coinbase", "bybit", wait_s=3)
    failed = failing([it for it in findings if it.transport is Transport.REST])
    assert "502" in failed["coinbase spot trades rest"]
    assert failed["bybit spot ohlc rest"] == "Nothing came within 3 s."
    assert "bybit spot trades rest" not in failed


async def test_without_a_list_of_instruments_nothing_else_is_tried_of_a_market(world: World) -> None:
    refusal = Response(b'{"code":0,"msg":"Service unavailable from a restricted location."}', status=451)
    world.rest["binance"].faults.append(
        Fault("answer", "/fapi/v1/exchangeInfo", times=None, response=refusal)
    )
    _, findings = await examined(world, "binance")
    linear = [it for it in findings if it.market is Market.LINEAR and it.what != "clock"]
    assert not any(it.works for it in linear)
    assert "restricted location" in linear[0].words
    assert {it.words for it in linear[1:]} == {"Not tried: there is no instrument to ask about."}
    assert any(it.works and it.what == "ohlc" for it in findings if it.market is Market.SPOT)


async def test_a_clock_is_read_each_time(world: World) -> None:
    await examined(world, "coinbase")
    world.rest["coinbase"].faults.append(Fault("answer", "/time", times=None, response=Response(b"{}", 500)))
    _, findings = await examined(world, "coinbase", wait_s=3)
    assert [it.works for it in findings if it.what == "clock"] == [False]


async def test_an_exchange_that_there_is_not(world: World) -> None:
    with pytest.raises(UnknownExchange):
        await world.service.mending.doctor(DoctorParams(exchanges=["binanse"]))


async def test_it_is_stopped_and_done_again(world: World) -> None:
    world.rest["coinbase"].faults.append(Fault("hang", "/products/", times=None))
    asked = await world.service.mending.doctor(DoctorParams(exchanges=["coinbase"], wait_s=5))
    same = await world.service.mending.doctor(DoctorParams(exchanges=["coinbase"], wait_s=5))
    assert (same.run_id, same.status) == (asked.run_id, "already-running")
    await world.service.cancel(asked.run_id)
    run = await world.service.wait(asked.run_id)
    assert run.state is RunState.CANCELLED
    world.rest["coinbase"].faults.clear()
    again = await world.service.wait((await world.service.retry(asked.run_id)).run_id)
    found = DoctorResult.model_validate(again.result).findings
    assert failing([it for it in found if it.transport is not Transport.WS]) == {}
