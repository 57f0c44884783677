"""Requests as Coinbase Exchange documents them, and answers it may give."""

from __future__ import annotations

import json

import pytest

from dccd.domain.errors import ExchangeError, ExchangeRefused, ExchangeUnavailable, Throttled
from dccd.domain.instrument import Instrument
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import HOUR_NS, parse_time
from dccd.domain.types import DataType, InstrumentType, Market
from dccd.sources.base import ByIdBack, ByWindow, Request, Response, Snapshot, Target
from dccd.sources.coinbase import COINBASE

START_NS = parse_time("2024-01-01")
PAIR = Instrument("coinbase", Symbol("BTC", "USD"), "BTC-USD", Market.SPOT, InstrumentType.SPOT)
OLD_TRADE = b"""[{"time":"2020-03-20T00:36:59.860Z","trade_id":86327327,"price":"6225.32000000",
"size":"0.06469797","side":"sell"},{"time":"2020-03-20T00:36:59Z","trade_id":86327326,"price":"6225",
"size":"1","side":"buy"}]"""


def target(span: str | None = None, depth: int | None = None) -> Target:
    return Target(PAIR, Span.parse(span) if span else None, depth)


def line(request: Request) -> str:
    query = "&".join(f"{name}={value}" for name, value in request.query)
    return f"{request.host} {request.path}?{query} weighs {request.weight}"


def test_bars() -> None:
    history = COINBASE.history[DataType.OHLC]
    assert isinstance(history, ByWindow)
    times = "start=2024-01-01T00:00:00Z&end=2024-01-01T00:59:59Z"
    capability = next(each for each in COINBASE.capabilities if each.data_type is DataType.OHLC)
    asked = [
        line(history.request(target(span), START_NS, START_NS + HOUR_NS, 60))
        for span in capability.spans[Market.SPOT]
    ]
    assert asked == [
        f"spot /products/BTC-USD/candles?granularity={seconds}&{times} weighs 1"
        for seconds in (60, 300, 900, 3600, 21600, 86400)
    ]


def test_the_first_bar_is_found_by_the_first_trade() -> None:
    history = COINBASE.history[DataType.OHLC]
    assert isinstance(history, ByWindow)
    assert history.first is not None
    assert history.parse_first is not None
    assert line(history.first(target("1m"))) == "spot /products/BTC-USD/trades?limit=1&after=2 weighs 1"
    assert history.parse_first(target(), Response(200, {}, OLD_TRADE))["ts"][0] == parse_time(
        "2020-03-20T00:36:59Z"
    )
    assert history.parse_first(target(), Response(200, {}, b"[]"))["ts"] == [parse_time("2014-12-01")]


def test_trades() -> None:
    history = COINBASE.history[DataType.TRADES]
    assert isinstance(history, ByIdBack)
    assert line(history.request(target(), 77, 1000)) == (
        "spot /products/BTC-USD/trades?limit=1000&after=77 weighs 1"
    )
    assert history.latest is not None
    assert line(history.latest(target())) == "spot /products/BTC-USD/trades?limit=1 weighs 1"
    columns = history.parse(target(), Response(200, {}, OLD_TRADE))
    assert columns["tid_num"] == [86327326, 86327327]
    assert columns["side"] == ["sell", "buy"]  # theirs is the maker's


@pytest.mark.parametrize("fraction", ["", ".8", ".860", ".350973", ".203013541"])
def test_times_keep_every_digit(fraction: str) -> None:
    history = COINBASE.history[DataType.TRADES]
    assert isinstance(history, ByIdBack)
    body = OLD_TRADE.replace(b".860Z", f"{fraction}Z".encode())
    expected = parse_time("2020-03-20T00:36:59Z") + int(f"{fraction[1:]:0<9}")
    assert history.parse(target(), Response(200, {}, body))["ts"][-1] == expected


def test_books_are_cut_to_the_depth_of_their_dataset() -> None:
    history = COINBASE.history[DataType.ORDERBOOK]
    assert isinstance(history, Snapshot)
    assert line(history.request(target(depth=2))) == "spot /products/BTC-USD/book?level=2 weighs 1"
    side = [[str(price), "1.5", price] for price in range(1, 9)]
    body = json.dumps({"bids": side, "asks": side, "time": "2021-02-12T01:09:23.334Z"}).encode()
    columns = history.parse(target(depth=2), Response(200, {}, body))
    assert columns["side"] == ["bid", "bid", "ask", "ask"]
    assert columns["count"] == [1, 2, 1, 2]
    assert set(columns["ts"]) == {parse_time("2021-02-12T01:09:23.334Z")}


def test_clock_and_list() -> None:
    clock = COINBASE.hosts["spot"].clock
    assert clock is not None
    assert line(clock) == "spot /time? weighs 1"
    assert [line(each.request) for each in COINBASE.listings] == ["spot /products? weighs 1"]
    told = Response(200, {}, b'{"iso":"2015-01-07T23:47:25.201Z","epoch":1420674445.201}')
    assert COINBASE.clock_ns(told) == parse_time("2015-01-07T23:47:25.201Z")


def test_what_is_not_even_text_is_known_by_its_status() -> None:
    assert isinstance(COINBASE.error(Response(500, {}, b'{"message":"\xff"}')), ExchangeUnavailable)
    assert isinstance(COINBASE.error(Response(404, {}, b'{"message":"\xff"}')), ExchangeRefused)


def failure(status: int, message: str | None, **headers: str) -> ExchangeError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = b"<html>" if message is None else json.dumps({"message": message}).encode()
    error = COINBASE.error(Response(status, named, body))
    assert error is not None
    return error


def test_throttles() -> None:
    for status, message in ((429, "Public rate limit exceeded"), (429, None), (200, "Rate limit exceeded")):
        error = failure(status, message)
        assert isinstance(error, Throttled)
        assert error.retry_after_s is None
    error = failure(429, None, retry_after="7")
    assert isinstance(error, Throttled)
    assert error.retry_after_s == 7.0


def test_other_errors() -> None:
    error = failure(404, "NotFound")
    assert isinstance(error, ExchangeRefused)
    assert str(error) == "Coinbase refused the request (HTTP 404, 'NotFound')."
    assert isinstance(failure(403, None), ExchangeRefused)
    assert isinstance(failure(503, "Service unavailable"), ExchangeUnavailable)
    for body in (b"[]", b'{"epoch":1}', b'{"message":5}'):
        assert COINBASE.error(Response(200, {}, body)) is None


@pytest.mark.parametrize(
    ("fields", "active"),
    [({"status": "online"}, True), ({"status": "delisted"}, False), ({"trading_disabled": True}, False)],
)
def test_instruments(fields: dict[str, object], active: bool) -> None:
    row: dict[str, object] = {"id": "BTC-USD", "base_currency": "BTC", "quote_currency": "USD"}
    row |= {"quote_increment": "1e-05", "base_increment": "0.1", "status": "online"} | fields
    (listing,) = COINBASE.listings
    (it,) = listing.parse(Response(200, {}, json.dumps([row]).encode()))
    assert (str(it.symbol), it.native, it.active) == ("BTC/USD", "BTC-USD", active)
    assert (it.tick_size, it.lot_size) == (1e-05, 0.1)
