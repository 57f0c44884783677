"""A check that passes confirms its kind of data in this folder; one that differs takes that back."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dccd.application.service import Service
from dccd.domain.timeutils import parse_time
from dccd.domain.types import DataType, Evidence, Market
from dccd.storage.confirmed import Confirmations
from tests.unit.application.conftest import HOURLY, TRADES, fetched, hourly
from tests.unit.application.test_check import bar, checked, spoil


async def confirmed(service: Service) -> list[tuple[str, DataType, Market, str]]:
    return [
        (item.exchange, item.data_type, item.market, item.dataset)
        for item in await service.mending.confirmed()
    ]


BARS_OF_SPOT = ("binance", DataType.OHLC, Market.SPOT, str(HOURLY))


async def test_until_a_check_differs(service: Service) -> None:
    await fetched(service, hourly("2024-02-20"))
    assert await confirmed(service) == []
    await checked(service, HOURLY)
    assert await confirmed(service) == [BARS_OF_SPOT]
    (found,) = await service.mending.confirmed()
    assert found.rows == 252
    assert Confirmations(service.data_path).read() == [found]  # for commands, and the next start

    spoil(service, HOURLY, **bar(parse_time("2024-02-25T05:00"), 1e9))
    await checked(service, HOURLY)
    assert await confirmed(service) == []


async def test_a_check_that_compared_nothing_says_nothing(service: Service) -> None:
    await fetched(service, hourly("2024-03-01T11:00"))
    await checked(service, HOURLY)
    known = (await service.mending.confirmed())[0]
    earlier = replace(known, data_type=DataType.TRADES, dataset=str(TRADES))
    Confirmations(service.data_path).note(earlier, passed=True)
    before = await confirmed(service)
    assert len(before) == 2
    spoil(service, TRADES, ts=[parse_time("2024-03-01T12:19:59")], price=[1.0], amount=[1.0], tid_num=[1])
    _, result = await checked(service, TRADES)
    assert result.rows == 0
    assert await confirmed(service) == before


async def test_a_check_stands_though_it_cannot_be_noted(
    service: Service, data_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fetched(service, hourly("2024-02-28"))
    (data_path / ".dccd" / "confirmed.json").mkdir()
    run, result = await checked(service, HOURLY)
    assert result.passed
    assert result.evidence is Evidence.RECORDED
    assert any("noting what a check has confirmed failed" in line for line in run.log_tail)
    shutil.rmtree(data_path / ".dccd" / "confirmed.json")
