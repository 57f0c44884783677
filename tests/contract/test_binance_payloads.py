"""Whatever Binance might answer, cut or garbled: rows, or an error of ours, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dccd.domain.errors import DccdError, ExchangeError
from dccd.domain.instrument import Instrument
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.types import DataType, InstrumentType, Market
from dccd.sources.base import ByCursor, Request, Response, Target
from dccd.sources.binance import BINANCE
from dccd.transport.http import HttpTransport
from dccd.transport.retry import Backoff

SAMPLES: dict[DataType, bytes] = {
    DataType.OHLC: b'[[16725312,"0.07","0.08","0.06","0.07","29.4",16726175,"2.1",54,"15.2","1.0","0"]]',
    DataType.TRADES: b'[{"a":1,"p":"0.001","q":"23.0","f":1,"l":1,"T":1570752011620,"m":true,"M":true}]',
    DataType.ORDERBOOK: b'{"lastUpdateId":1,"E":2,"T":3,"bids":[["1.5","2"]],"asks":[["1.6","3"]]}',
    DataType.FUNDING: b'[{"symbol":"X","fundingTime":16982208,"fundingRate":"0.01","markPrice":"1.5"}]',
    DataType.OPEN_INTEREST: b'[{"timestamp":1,"sumOpenInterest":"3.5","sumOpenInterestValue":"4"}]',
}
IT = Instrument(
    "binance", Symbol("X", "Y", "Y"), "XY", Market.INVERSE, InstrumentType.PERPETUAL, contract_size=10.0
)
TARGET = Target(IT, Span.parse("1m"), 100)


def parser(data_type: DataType) -> Callable[[Response], Any]:
    history = BINANCE.history[data_type]
    if isinstance(history, ByCursor):
        return lambda response: history.parse(TARGET, response, "0").columns
    return lambda response: history.parse(TARGET, response)


async def read(body: bytes, status: int, parse: Callable[[Response], Any]) -> object:
    """What `fetch` makes of an answer, without a socket."""

    class Canned(HttpTransport):
        async def _send(self, request: Request, sink: object = None) -> Response:
            return Response(status, {"retry-after": "x"}, body)

    async def no_sleep(seconds: float) -> None:
        return None

    transport = Canned(
        BINANCE,
        urls={},
        units={},
        proxy=None,
        backoff=Backoff(attempts=1, malformed_attempts=1),
        now_ns=time.time_ns,
        sleep=no_sleep,
    )
    try:
        return await transport.fetch(Request("spot", "/x"), parse)
    except DccdError as error:
        return error


@pytest.mark.parametrize("data_type", SAMPLES)
async def test_every_beginning_of_an_answer(data_type: DataType) -> None:
    sample = SAMPLES[data_type]
    for length in range(len(sample)):
        assert isinstance(await read(sample[:length], 200, parser(data_type)), ExchangeError)
    assert not isinstance(await read(sample, 200, parser(data_type)), DccdError)


@pytest.mark.parametrize("data_type", SAMPLES)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=150)
@given(data=st.data())
async def test_any_change_of_an_answer(data_type: DataType, data: st.DataObject) -> None:
    body = bytearray(SAMPLES[data_type])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    result = await read(bytes(body), 200, parser(data_type))
    assert isinstance(result, ExchangeError) or len({len(column) for column in result.values()}) == 1  # type: ignore[attr-defined]


@settings(deadline=None)
@given(status=st.integers(100, 599), body=st.binary(max_size=60) | st.just(b'{"code":-1003,"msg":"x"}'))
def test_any_answer_is_an_error_of_ours_or_none(status: int, body: bytes) -> None:
    error = BINANCE.error(Response(status, {"retry-after": "soon"}, body))
    assert isinstance(error, ExchangeError | None)
    assert error is not None or status < 400


async def test_an_error_that_is_no_text_is_an_error_of_ours() -> None:
    assert isinstance(await read(b'{"code":-1,"msg":"\xd6"}', 200, parser(DataType.TRADES)), ExchangeError)
