"""The reference's measured faults (numbered as in the list of them), each shown not to be ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dccd.application.config import parse_config
from dccd.application.events import ProgressEvent, StatusEvent
from dccd.application.jobs import RunState
from dccd.application.service import Service
from dccd.application.service_factory import build_service
from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import ConfigError, UnknownDataset
from dccd.domain.timeutils import parse_time
from tests.exchanges.binance import BinanceStandIn
from tests.exchanges.engine import Fault, Response
from tests.unit.application.conftest import HOURLY, Tree, fetched, hourly, hours, table, times_ns

KLINES = "/api/v3/klines"
REFUSED = Response(b'{"code":-1100,"msg":"Illegal characters found in a parameter."}', status=400)


def refuse(exchange: BinanceStandIn, start: str = "2020-01-01") -> None:
    """Answer every page from `start` on with an error that no retry helps against."""
    start_us = parse_time(start) // 1_000  # spot is asked in microseconds
    exchange.faults.append(
        Fault(
            "answer",
            KLINES,
            when=lambda request: int(request.query.get("startTime", 0)) >= start_us,
            times=None,
            response=REFUSED,
        )
    )


async def test_reference_fault_2_after_a_run_that_died_half_way_last_fetches_the_rest(
    service: Service, exchange: BinanceStandIn
) -> None:
    refuse(exchange, "2023-06-01")
    died = await fetched(service, hourly("2023-01-01", "2024-01-01"))
    assert died.state is RunState.FAILED
    assert died.error is not None
    assert died.error.code == "exchange_refused"
    assert 0 < len(times_ns(service, HOURLY)) < 8_760
    exchange.faults.clear()
    assert (await fetched(service, hourly("last"))).state is RunState.SUCCEEDED
    assert times_ns(service, HOURLY) == hours("2023-01-01", "2024-03-01T12:00")


async def test_reference_fault_3_the_same_iso_start_fetches_nothing_again(
    service: Service, exchange: BinanceStandIn
) -> None:
    await fetched(service, hourly("2024-02-01"))
    before = exchange.count(KLINES)
    again = await fetched(service, hourly("2024-02-01"))
    assert again.state is RunState.SUCCEEDED
    assert (again.rows_written, exchange.count(KLINES)) == (0, before)


async def test_reference_fault_4_an_interior_gap_is_found_and_only_it_is_fetched(
    service: Service, exchange: BinanceStandIn
) -> None:
    await fetched(service, hourly("2024-01-01", "2024-01-05"))
    await fetched(service, hourly("2024-01-06", "2024-01-10"))
    assert await service.gaps(HOURLY) == []  # nobody asked for the fifth
    refuse(exchange)
    await fetched(service, hourly("2024-01-01", "2024-01-10"))
    exchange.faults.clear()
    gap = (parse_time("2024-01-05"), parse_time("2024-01-06"))
    assert [(found.start_ns, found.end_ns) for found in await service.gaps(HOURLY)] == [gap]
    before = exchange.count(KLINES)
    run = await service.wait((await service.mending.fill_gaps(HOURLY)).run_id)
    assert run.rows_written == 24
    (request,) = list(exchange.log)[-(exchange.count(KLINES) - before) :]
    assert int(request.query["startTime"]) == gap[0] // 1_000
    assert times_ns(service, HOURLY) == hours("2024-01-01", "2024-01-10")
    assert await service.gaps(HOURLY) == []


async def test_reference_fault_5_the_bar_still_open_is_never_stored(
    service: Service, exchange: BinanceStandIn
) -> None:
    await fetched(service, hourly("2024-03-01"))
    assert times_ns(service, HOURLY)[-1] == parse_time("2024-03-01T11:00")
    assert service.store.coverage(HOURLY).covered.end_ns == parse_time("2024-03-01T12:00")
    await service.stop()
    assert exchange.now_ms is not None
    exchange.now_ms += 3_600_000
    async with build_service(service.config) as later:
        await fetched(later, hourly("last"))
        assert times_ns(later, HOURLY)[-1] == parse_time("2024-03-01T12:00")
    await service.start()


async def test_reference_fault_6_a_null_never_overwrites_a_value(service: Service) -> None:
    await fetched(service, hourly("2024-02-28", "2024-02-29"))
    before = table(service, HOURLY)
    bare: dict[str, list[Any]] = {
        name: before.column(name).to_pylist() for name in ("open", "high", "low", "close", "volume")
    }
    start_ns = parse_time("2024-02-28")
    bare["ts"] = hours("2024-02-28", "2024-02-29")
    log = service.store.begin_backfill(HOURLY, "bare", source="elsewhere")
    log.append(bare, IntervalSet.of(start_ns, parse_time("2024-02-29")), None)
    log.finish()
    assert table(service, HOURLY) == before
    assert before.column("quote_volume").null_count == 0


async def test_reference_fault_9_what_the_scheduler_says_reaches_every_subscriber(service: Service) -> None:
    with service.events.enable_queue() as page, service.events.enable_queue() as monitor:
        run = await fetched(service, hourly("2024-02-01"))
        for queue in (page, monitor):
            told = [(await anext(queue)).event for _ in range(len(queue._items))]
            of_run = [event for event in told if getattr(event, "run_id", None) == run.run_id]
            states = [event.state for event in of_run if isinstance(event, StatusEvent)]
            assert states == [RunState.PENDING, RunState.RUNNING, RunState.SUCCEEDED]
            last = [event for event in of_run if isinstance(event, ProgressEvent)][-1]
            assert (last.done, last.total, last.rows) == (708, 708, 708)


async def test_reference_fault_11_reading_what_is_not_stored_creates_nothing(
    service: Service, tree: Tree
) -> None:
    unknown = DatasetId.parse("binance:ETH-USDT:ohlc:1m")
    await service.ready()
    before = tree()
    with pytest.raises(UnknownDataset, match="ETH-USDT"):
        list(service.read(unknown))
    for asking in (service.info, service.gaps, service.chart, service.mending.fill_gaps):
        with pytest.raises(UnknownDataset):
            await asking(unknown)
    with pytest.raises(UnknownDataset):
        await service.rows(unknown, limit=10)
    with pytest.raises(UnknownDataset):
        await service.export([unknown], service.data_path.parent / "out")
    assert tree() == before


async def test_a_range_nobody_asked_for_is_not_filled_by_last(service: Service) -> None:
    await fetched(service, hourly("2024-01-01", "2024-01-02"))
    await fetched(service, hourly("2024-02-29", "2024-03-01"))
    await fetched(service, hourly("last"))
    assert times_ns(service, HOURLY) == [
        *hours("2024-01-01", "2024-01-02"),
        *hours("2024-02-29", "2024-03-01T12:00"),
    ]


async def test_last_with_nothing_stored_goes_thirty_days_back(service: Service) -> None:
    await fetched(service, hourly("last"))
    assert times_ns(service, HOURLY) == hours("2024-01-31T12:00", "2024-03-01T12:00")


async def test_origin_begins_with_the_exchange(service: Service) -> None:
    daily = hourly("origin").model_copy(update={"span": "1d"})
    await fetched(service, daily)
    stored = times_ns(service, DatasetId.parse("binance:BTC-USDT:ohlc:1d"))
    assert (stored[0], stored[-1]) == (parse_time("2017-08-17"), parse_time("2024-02-29"))


async def test_a_start_before_the_exchange_began_asks_for_nothing_there(
    service: Service, exchange: BinanceStandIn
) -> None:
    await fetched(service, hourly("2015-01-01", "2017-08-18"))
    assert exchange.count(KLINES) <= 2
    assert await service.gaps(HOURLY) == []
    assert times_ns(service, HOURLY) == hours("2017-08-17T04:00", "2017-08-18")


@pytest.mark.parametrize("setting", ['cron = "0 3 * * *"', 'trigger_kind = "cron"'])
def test_fault_8_a_cron_expression_is_refused_not_ignored(setting: str) -> None:
    text = f'[[jobs]]\nexchange = "binance"\npairs = ["BTC/USDT"]\nspan = "1h"\n{setting}\n'
    with pytest.raises(ConfigError, match=r"line 5.*(cron|trigger_kind)"):
        parse_config(text, Path("config.toml"))
