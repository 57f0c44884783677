"""Each request of Kraken Futures' as documented, and what is made of its answers and errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dccd.domain.errors import ExchangeError, ExchangeRefused, ExchangeUnavailable, NoCapability, Throttled
from dccd.domain.instrument import Instrument
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import MS_NS, parse_time
from dccd.domain.types import DataType, InstrumentType, Market
from dccd.sources.base import ByCursor, ByTile, ByWindow, Request, Response, Snapshot, Target
from dccd.sources.krakenfutures import KRAKENFUTURES

START_NS, END_NS = parse_time("2026-02-01"), parse_time("2026-02-01T01:00:00Z")
START_S, END_S = START_NS // 10**9, END_NS // 10**9


def target(market: Market = Market.LINEAR, span: str = "1m", *, dated: bool = False) -> Target:
    kind = InstrumentType.FUTURE if dated else InstrumentType.PERPETUAL
    settle = "USD" if market is Market.LINEAR else "BTC"
    symbol = Symbol("BTC", "USD", settle)
    it = Instrument("krakenfutures", symbol, "PF_XBTUSD", market, kind, contract_size=1.0)
    return Target(it, Span.parse(span), 2)


def line(request: Request) -> str:
    query = "&".join(f"{name}={value}" for name, value in request.query)
    assert (request.host, request.budget, request.weight, request.headers) == ("rest", None, 1, {})
    return f"{request.path}?{query}"


def test_bars_are_asked_for_in_seconds() -> None:
    history = KRAKENFUTURES.history[DataType.OHLC]
    assert isinstance(history, ByWindow)
    assert history.first is not None
    for span in KRAKENFUTURES.capabilities[0].spans[Market.LINEAR]:
        asked = line(history.request(target(span=span), START_NS, END_NS, 60))
        assert asked == f"/api/charts/v1/trade/PF_XBTUSD/{span}?from={START_S}&to={END_S - 1}"
        assert line(history.first(target(span=span))) == "/api/charts/v1/trade/PF_XBTUSD/1w?from=0"


def test_trades_are_asked_for_with_a_millisecond_more_on_either_side() -> None:
    history = KRAKENFUTURES.history[DataType.TRADES]
    assert isinstance(history, ByCursor)
    path = "/api/history/v3/market/PF_XBTUSD/executions"
    bounds = f"since={START_NS // MS_NS - 1}&before={END_NS // MS_NS + 2}&sort=asc&count=1000"
    first = history.start(target(), START_NS, END_NS)
    assert line(history.request(target(), first, START_NS, END_NS + 1)) == f"{path}?{bounds}"
    more = history.request(target(), "YXNjKzE=", START_NS, END_NS + 1)
    assert line(more) == f"{path}?{bounds}&continuation_token=YXNjKzE="
    assert dict(history.request(target(), "", 0, END_NS).query)["since"] == "0"


def test_books_funding_clock_and_list() -> None:
    book, funding = KRAKENFUTURES.history[DataType.ORDERBOOK], KRAKENFUTURES.history[DataType.FUNDING]
    assert isinstance(book, Snapshot)
    assert isinstance(funding, ByTile)
    v3 = "/derivatives/api/v3/"
    assert line(book.request(target())) == v3 + "orderbook?symbol=PF_XBTUSD"
    rates = line(funding.request(target(), START_NS, END_NS, 10_000))
    assert rates == v3 + "historical-funding-rates?symbol=PF_XBTUSD"
    with pytest.raises(NoCapability, match="dated"):
        funding.request(target(dated=True), START_NS, END_NS, 10_000)
    clock = KRAKENFUTURES.hosts["rest"].clock
    assert clock is not None
    assert line(clock) == v3 + "tickers/PF_XBTUSD?"
    assert [line(each.request) for each in KRAKENFUTURES.listings] == [v3 + "instruments?"]


def answer(content: Any, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(200, named, json.dumps(content).encode())


def test_bars_whose_volume_is_a_number_or_a_text() -> None:
    history = KRAKENFUTURES.history[DataType.OHLC]
    assert isinstance(history, ByWindow)
    prices = {"open": "56294.0", "high": "56475", "low": "55935.5", "close": "56250"}
    rows = [
        {"time": 1620816960000, **prices, "volume": 10824},
        {"time": 1620817020000, **prices, "volume": "0.5"},
    ]
    assert history.parse(target(), answer({"candles": rows, "more_candles": False})) == {
        "ts": [1620816960000 * MS_NS, 1620817020000 * MS_NS],
        "open": [56294.0] * 2,
        "high": [56475.0] * 2,
        "low": [55935.5] * 2,
        "close": [56250.0] * 2,
        "volume": [10824.0, 0.5],
    }


def test_weeks_that_begin_on_another_day_are_refused() -> None:
    history = KRAKENFUTURES.history[DataType.OHLC]
    assert isinstance(history, ByWindow)
    row = {"open": "1", "high": "1", "low": "1", "close": "1", "volume": 0}
    monday_ms = parse_time("2026-02-02") // MS_NS
    history.parse(target(span="1w"), answer({"candles": [row | {"time": monday_ms}], "more_candles": False}))
    thursday = answer({"candles": [row | {"time": monday_ms + 3 * 86_400_000}], "more_candles": False})
    with pytest.raises(ValueError, match="2026-02-05"):
        history.parse(target(span="1w"), thursday)


def executed(number: int) -> dict[str, Any]:
    order = {"tradeable": "PF_XBTUSD", "direction": "Sell", "quantity": "0.5"}
    execution = {
        "uid": f"uid-{number}", "makerOrder": order, "takerOrder": order | {"direction": "Buy"},
        "timestamp": 1764206270368 + number, "quantity": "0.0113", "price": "90771", "markPrice": "90771.1",
    }  # fmt: skip
    return {"uid": "event", "event": {"Execution": {"execution": execution, "takerReducedQuantity": ""}}}


@pytest.mark.parametrize(
    ("headers", "body", "token"),
    [
        ({"next_continuation_token": "YQ=="}, {}, "YQ=="),
        ({}, {"continuationToken": "Yg=="}, "Yg=="),
        ({"next_continuation_token": ""}, {}, None),
        ({"is_truncated": "false"}, {}, None),
    ],
)
def test_trades_and_the_next_pages_token(
    headers: dict[str, str], body: dict[str, str], token: str | None
) -> None:
    history = KRAKENFUTURES.history[DataType.TRADES]
    assert isinstance(history, ByCursor)
    content = {"elements": [executed(0), executed(1)], "len": 2} | body
    page = history.parse(target(), answer(content, **headers), "")
    assert page.next == token
    assert page.columns == {
        "ts": [1764206270368 * MS_NS, 1764206270369 * MS_NS],
        "price": [90771.0] * 2,
        "tid": ["uid-0", "uid-1"],
        "amount": [0.0113] * 2,
        "side": ["buy"] * 2,
    }


def test_a_book_best_first_to_its_depth() -> None:
    history = KRAKENFUTURES.history[DataType.ORDERBOOK]
    assert isinstance(history, Snapshot)
    sides = {"bids": [[1, 5], [3, 4.2], [2, 7.2]], "asks": [[4, 5.5], [6, 1], [5, 0.4183]]}
    content = {"orderBook": sides, "result": "success", "serverTime": "2020-08-27T17:03:33.196Z"}
    assert history.parse(target(), answer(content)) == {
        "ts": [parse_time("2020-08-27T17:03:33.196Z")] * 4,
        "side": ["bid", "bid", "ask", "ask"],
        "price": [3.0, 2.0, 4.0, 5.0],
        "amount": [4.2, 7.2, 5.5, 0.4183],
    }


def test_funding_is_the_relative_rate() -> None:
    history = KRAKENFUTURES.history[DataType.FUNDING]
    assert isinstance(history, ByTile)
    rates = [
        {"timestamp": "2026-02-01T01:00:00.000Z", "fundingRate": 1.33, "relativeFundingRate": 0.00002},
        {"timestamp": "2026-02-01T00:00:00Z", "fundingRate": -1.1, "relativeFundingRate": "-0.00001"},
    ]
    got = history.parse(target(), answer({"result": "success", "rates": rates}))
    assert got == {"ts": [START_NS, END_NS], "rate": [-0.00001, 0.00002]}


def listed(**fields: Any) -> list[Instrument]:
    row = {
        "symbol": "PF_XBTUSD", "type": "flexible_futures", "tickSize": 1, "contractSize": 1,
        "tradeable": True, "contractValueTradePrecision": 4, "base": "BTC", "quote": "USD",
        "openingDate": "2022-03-22T13:18:45Z",
    } | fields  # fmt: skip
    (listing,) = KRAKENFUTURES.listings
    return list(listing.parse(answer({"result": "success", "instruments": [row]})))


@pytest.mark.parametrize(
    ("fields", "symbol", "market", "lot"),
    [
        ({}, "BTC/USD:USD", Market.LINEAR, 0.0001),
        (
            {"symbol": "PI_XBTUSD", "type": "futures_inverse", "contractValueTradePrecision": 0},
            "BTC/USD:BTC",
            Market.INVERSE,
            1.0,
        ),
        (
            {"symbol": "FF_XBTUSD_260626", "lastTradingTime": "2026-06-26T15:00:00.000Z"},
            "BTC/USD:USD-260626",
            Market.LINEAR,
            0.0001,
        ),
        (
            {"symbol": "PV_XRPXBT", "type": "futures_vanilla", "base": "", "quote": ""},
            "XRP/BTC:BTC",
            Market.LINEAR,
            0.0001,
        ),
        ({"base": "PEPE", "contractValueTradePrecision": -3}, "PEPE/USD:USD", Market.LINEAR, 1000.0),
    ],
)
def test_instruments(fields: dict[str, Any], symbol: str, market: Market, lot: float) -> None:
    """What a contract settles in tells the linear from the inverse of one pair."""
    (it,) = listed(**fields)
    assert (str(it.symbol), it.market, it.lot_size) == (symbol, market, lot)
    assert (it.contract_size, it.tick_size, it.active) == (1.0, 1.0, True)
    assert it.type is (InstrumentType.FUTURE if "lastTradingTime" in fields else InstrumentType.PERPETUAL)
    assert it.listed_ns == parse_time("2022-03-22T13:18:45Z")


def test_indices_and_what_has_expired() -> None:
    assert listed(type="spot index") == []
    for fields in ({"tradeable": False}, {"isExpired": True}):
        (it,) = listed(**fields)
        assert not it.active


NOT_FOUND = '{"result":"error","errors":[{"code":0,"message":"404 NOT_FOUND"}]}'
INVALID = '{"errors":[{"severity":"error","type":"t","msg":"Invalid resolution"}]}'


def failed(words: str) -> str:
    return json.dumps({"result": "error", "error": words, "serverTime": "2026-02-01T00:00:00Z"})


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "words"),
    [
        (200, failed("apiLimitExceeded"), {}, Throttled, "apiLimitExceeded"),
        (429, "", {"retry-after": "7"}, Throttled, "429"),
        (200, failed("Unavailable"), {}, ExchangeUnavailable, "Unavailable"),
        (503, "<html>", {}, ExchangeUnavailable, "503"),
        (200, failed("invalidArgument: symbol"), {}, ExchangeRefused, "symbol"),
        (404, NOT_FOUND, {}, ExchangeRefused, "404 NOT_FOUND"),
        (400, INVALID, {}, ExchangeRefused, "Invalid resolution"),
        (403, '{"errors":"x"}', {}, ExchangeRefused, "403"),
    ],
)
def test_errors_in_its_own_words(
    status: int, body: str, headers: dict[str, str], kind: type[ExchangeError], words: str
) -> None:
    error = KRAKENFUTURES.error(Response(status, headers, body.encode()))
    assert type(error) is kind
    assert words in str(error)
    assert getattr(error, "retry_after_s", None) == (7.0 if headers else None)


@pytest.mark.parametrize(
    "body", [b'{"result":"success"}', b'{"errors":[],"result":{}}', b"[]", b'{"error":1}', b"\xff"]
)
def test_what_is_no_error(body: bytes) -> None:
    assert KRAKENFUTURES.error(Response(200, {}, body)) is None
