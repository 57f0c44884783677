"""Each request of BitMEX's as documented, and what is made of its answers and errors."""

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
from dccd.sources.base import ByTile, ByTime, ByWindow, Request, Response, Snapshot, Target
from dccd.sources.bitmex import BITMEX

START_NS = parse_time("2026-02-01T00:00:00.123456789Z")


def target(
    market: Market = Market.INVERSE, span: str = "1m", *, dated: bool = False, size: float | None = 1.0
) -> Target:
    kind = InstrumentType.FUTURE if dated else InstrumentType.PERPETUAL
    it = Instrument("bitmex", Symbol("BTC", "USD", "BTC"), "XBTUSD", market, kind, contract_size=size)
    return Target(it, Span.parse(span), 50)


def line(request: Request) -> str:
    query = "&".join(f"{name}={value}" for name, value in request.query)
    assert (request.host, request.budget, request.weight, request.headers) == ("rest", None, 1, {})
    return f"{request.path}?{query}"


@pytest.mark.parametrize(
    ("span", "first_end"),
    [
        ("1m", "2026-02-01T00:02:00Z"),
        ("5m", "2026-02-01T00:10:00Z"),
        ("1h", "2026-02-01T02:00:00Z"),
        ("1d", "2026-02-03T00:00:00Z"),
    ],
)
def test_bars_are_asked_for_by_the_end_of_the_first(span: str, first_end: str) -> None:
    history = BITMEX.history[DataType.OHLC]
    assert isinstance(history, ByWindow)
    path = f"/api/v1/trade/bucketed?symbol=XBTUSD&binSize={span}&partial=false"
    request = history.request(target(span=span), START_NS, START_NS + 1, 17)
    assert line(request) == f"{path}&startTime={first_end}&count=17"
    assert history.first is not None
    assert line(history.first(target(span=span))) == f"{path}&count=1"


def test_trades_are_asked_for_from_a_millisecond_and_a_place_in_it() -> None:
    history = BITMEX.history[DataType.TRADES]
    assert isinstance(history, ByTime)
    assert history.request_more is not None
    assert history.first is not None
    path, time = "/api/v1/trade?symbol=XBTUSD", "startTime=2026-02-01T00:00:00.124Z"
    assert line(history.request(target(), START_NS, START_NS + 9, 1000)) == f"{path}&{time}&count=1000"
    instant_ns = START_NS // MS_NS * MS_NS + MS_NS
    more = history.request_more(target(), instant_ns, 1000, 1000)
    assert line(more) == f"{path}&{time}&start=1000&count=1000"
    assert line(history.first(target())) == f"{path}&count=1"


def test_books_and_funding() -> None:
    book, funding = BITMEX.history[DataType.ORDERBOOK], BITMEX.history[DataType.FUNDING]
    assert isinstance(book, Snapshot)
    assert isinstance(funding, ByTile)
    assert funding.first is not None
    assert line(book.request(target())) == "/api/v1/orderBook/L2?symbol=XBTUSD&depth=50"
    day_ns = parse_time("2026-02-01")
    asked = line(funding.request(target(), day_ns, parse_time("2026-02-02"), 500))
    times = "startTime=2026-02-01T00:00:00Z&endTime=2026-02-01T23:59:59.999Z"
    assert asked == f"/api/v1/funding?symbol=XBTUSD&{times}&count=500"
    assert line(funding.first(target())) == "/api/v1/funding?symbol=XBTUSD&count=1"
    with pytest.raises(NoCapability, match="dated"):
        funding.request(target(dated=True), day_ns, START_NS, 500)


def test_clock_and_list() -> None:
    clock = BITMEX.hosts["rest"].clock
    assert clock is not None
    assert line(clock) == "/api/v1?"
    assert [line(each.request) for each in BITMEX.listings] == ["/api/v1/instrument/active?"]
    told = b'{"name":"BitMEX API","version":"2.0.0","timestamp":1598985828877}'
    assert BITMEX.clock_ns(Response(200, {}, told)) == 1_598_985_828_877 * MS_NS


def answer(*rows: Any) -> Response:
    return Response(200, {}, json.dumps(rows).encode())


def test_a_bar_is_told_at_its_end_and_counted_in_contracts() -> None:
    history = BITMEX.history[DataType.OHLC]
    assert isinstance(history, ByWindow)
    row = {
        "timestamp": "2017-01-01T00:01:00.000Z", "symbol": "XBTUSD", "open": 968.29, "high": 968.76,
        "low": 968.49, "close": 968.7, "trades": 17, "volume": 12993, "vwap": 968.72, "lastSize": 2000,
        "turnover": 1341256747, "homeNotional": 13.412567469999997, "foreignNotional": 12993,
    }  # fmt: skip
    quiet = row | {"timestamp": "2017-01-01T00:02:00.000Z", "vwap": None, "lastSize": None, "trades": 0}
    assert history.parse(target(), answer(row, quiet | {"homeNotional": 0, "foreignNotional": 0})) == {
        "ts": [parse_time("2017-01-01"), parse_time("2017-01-01T00:01:00Z")],
        "open": [968.29] * 2,
        "high": [968.76] * 2,
        "low": [968.49] * 2,
        "close": [968.7] * 2,
        "trades": [17, 0],
        "volume": [13.412567469999997, 0.0],
        "quote_volume": [12993.0, 0.0],
    }


@pytest.mark.parametrize(
    ("market", "amount"), [(Market.INVERSE, 100.0), (Market.LINEAR, 0.00101065), (Market.SPOT, 0.00101065)]
)
def test_trades(market: Market, amount: float) -> None:
    history = BITMEX.history[DataType.TRADES]
    assert isinstance(history, ByTime)
    row = {
        "timestamp": "2024-11-25T10:35:00.789Z", "symbol": "XBTUSD", "side": "Buy", "size": 100,
        "price": 98950.0, "trdMatchID": "00000000-006d-1000-0000-000e8737d540", "grossValue": 101065,
        "homeNotional": 0.00101065, "foreignNotional": 100.0, "trdType": "Regular",
    }  # fmt: skip
    assert history.parse(target(market), answer(row)) == {
        "ts": [parse_time("2024-11-25T10:35:00.789Z")],
        "price": [98950.0],
        "amount": [amount],
        "side": ["buy"],
        "tid": ["00000000-006d-1000-0000-000e8737d540"],
    }


@pytest.mark.parametrize(
    ("market", "size", "amounts"),
    [
        (Market.INVERSE, 1.0, [3.0, 7.0, 100.0]),
        (Market.LINEAR, 1e-6, [0.000003, 0.000007, 0.0001]),
        (Market.SPOT, 1e-8, [3e-8, 7e-8, 1e-6]),
        (Market.LINEAR, None, [3.0, 7.0, 100.0]),
    ],
)
def test_a_book_best_first_in_base(market: Market, size: float | None, amounts: list[float]) -> None:
    history = BITMEX.history[DataType.ORDERBOOK]
    assert isinstance(history, Snapshot)
    rows = [
        {"symbol": "X", "id": id_, "side": side, "size": count, "price": price}
        for id_, side, count, price in ((1, "Sell", 100, 3), (2, "Buy", 3, 2.5), (3, "Buy", 7, 1))
    ]
    got = history.parse(target(market, size=size), answer(*rows))
    assert got == {"side": ["bid", "bid", "ask"], "price": [2.5, 1.0, 3.0], "amount": amounts}


def listed(**fields: Any) -> list[Instrument]:
    row = {
        "symbol": "XBTUSD", "state": "Open", "typ": "FFWCSX", "listing": "2016-05-13T12:00:00.000Z",
        "expiry": None, "underlying": "XBT", "quoteCurrency": "USD", "settlCurrency": "XBt", "lotSize": 100,
        "tickSize": 0.5, "underlyingToPositionMultiplier": None, "isInverse": False, "isQuanto": False,
    } | fields  # fmt: skip
    (listing,) = BITMEX.listings
    return list(listing.parse(answer(row)))


@pytest.mark.parametrize(
    ("fields", "symbol", "market", "size", "lot"),
    [
        ({"isInverse": True}, "BTC/USD:BTC", Market.INVERSE, 1.0, 100.0),
        (
            {"quoteCurrency": "USDT", "settlCurrency": "USDt", "underlyingToPositionMultiplier": 1_000_000},
            "BTC/USDT:USDT",
            Market.LINEAR,
            1e-6,
            0.0001,
        ),
        ({"underlying": "ETH"}, "ETH/USD:BTC", Market.LINEAR, None, 100.0),
        (
            {
                "typ": "IFXXXP",
                "quoteCurrency": "USDT",
                "settlCurrency": "",
                "underlyingToPositionMultiplier": 10**8,
            },
            "BTC/USDT",
            Market.SPOT,
            1e-8,
            1e-6,
        ),
        (
            {"typ": "FFCCSX", "isInverse": True, "expiry": "2026-06-26T12:00:00.000Z"},
            "BTC/USD:BTC-260626",
            Market.INVERSE,
            1.0,
            100.0,
        ),
    ],
)
def test_instruments(
    fields: dict[str, Any], symbol: str, market: Market, size: float | None, lot: float
) -> None:
    (it,) = listed(**fields)
    assert (str(it.symbol), it.market, it.contract_size, it.lot_size) == (symbol, market, size, lot)
    assert (it.native, it.active, it.tick_size) == ("XBTUSD", True, 0.5)
    assert it.listed_ns == parse_time("2016-05-13T12:00:00Z")
    assert it.expiry_ns == (parse_time("2026-06-26T12:00:00Z") if "expiry" in fields else None)


def test_indices_spreads_and_predictions_are_no_instruments() -> None:
    for typ in ("MRCXXX", "MRRXXX", "FFMCSX", "FFICSX", "OCECCS"):
        assert listed(typ=typ) == []
    (it,) = listed(state="Closed", listing="2200-02-01T00:00:00.000Z")
    assert (it.active, it.listed_ns) == (False, None)


LIMITED = '{"error":{"message":"Rate limit exceeded, retry in 2 seconds.","name":"RateLimitError"}}'
BUSY = '{"error":{"message":"The system is currently overloaded.","name":"HTTPError"}}'
INVALID = '{"error":{"message":"\'symbol\' is invalid.","name":"ValidationError"}}'


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "wait_s"),
    [
        (429, LIMITED, {}, Throttled, 2.0),
        (429, LIMITED, {"retry-after": "7"}, Throttled, 7.0),
        (200, LIMITED, {}, Throttled, 2.0),
        (429, "", {"retry-after": "soon"}, Throttled, None),
        (503, BUSY, {}, ExchangeUnavailable, None),
        (502, "<html>", {}, ExchangeUnavailable, None),
        (400, INVALID, {}, ExchangeRefused, None),
        (200, INVALID, {}, ExchangeRefused, None),
        (403, "Forbidden", {}, ExchangeRefused, None),
    ],
)
def test_errors_in_its_own_words(
    status: int, body: str, headers: dict[str, str], kind: type[ExchangeError], wait_s: float | None
) -> None:
    error = BITMEX.error(Response(status, headers, body.encode()))
    assert type(error) is kind
    assert getattr(error, "retry_after_s", None) == wait_s
    if body.startswith("{"):
        assert json.loads(body)["error"]["message"] in str(error).replace('"', "")


@pytest.mark.parametrize("body", [b"[]", b'{"timestamp":1}', b'{"error":1}', b'{"error"\xff'])
def test_what_is_no_error(body: bytes) -> None:
    assert BITMEX.error(Response(200, {}, body)) is None
