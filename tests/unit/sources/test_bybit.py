"""Each request of Bybit's as documented, and what is made of its answers and errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dccd.domain.errors import ExchangeRefused, ExchangeUnavailable, NoCapability, Throttled
from dccd.domain.instrument import Instrument
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import MS_NS, S_NS, parse_time
from dccd.domain.types import DataType, Evidence, InstrumentType, Market, Mode
from dccd.sources.base import ByTile, ByWindow, Latest, Request, Response, Snapshot, Target
from dccd.sources.bybit import BYBIT

START_NS, END_NS = parse_time("2026-02-01"), parse_time("2026-02-01T01:00:00Z")


def target(market: Market, span: str = "1m", *, dated: bool = False) -> Target:
    kind = InstrumentType.FUTURE if dated else InstrumentType.PERPETUAL
    kind = InstrumentType.SPOT if market is Market.SPOT else kind
    settle = {Market.SPOT: None, Market.LINEAR: "USDT", Market.INVERSE: "BTC"}[market]
    it = Instrument("bybit", Symbol("BTC", "USDT", settle), "BTCUSDT", market, kind, contract_size=1.0)
    return Target(it, Span.parse(span), 50)


def window(data_type: DataType) -> ByWindow:
    history = BYBIT.history[data_type]
    assert isinstance(history, ByWindow)
    return history


def query(request: Request) -> dict[str, str]:
    assert request.host == "rest"
    assert (request.weight, request.method, request.headers) == (1, "GET", {})
    return dict(request.query)


@pytest.mark.parametrize("market", Market)
@pytest.mark.parametrize(
    ("span", "interval"), [("1m", "1"), ("1h", "60"), ("12h", "720"), ("1d", "D"), ("1w", "W"), ("1mo", "M")]
)
def test_bars_are_asked_for_with_both_bounds_inclusive(market: Market, span: str, interval: str) -> None:
    request = window(DataType.OHLC).request(target(market, span), START_NS, END_NS, 60)
    assert request.path == "/v5/market/kline"
    assert query(request) == {
        "category": str(market),
        "symbol": "BTCUSDT",
        "interval": interval,
        "start": str(START_NS // MS_NS),
        "end": str(END_NS // MS_NS - 1),
        "limit": "60",
    }


def test_every_declared_span_can_be_asked_for() -> None:
    for capability in BYBIT.capabilities:
        for market, spans in capability.spans.items():
            for span in spans:
                window(capability.data_type).request(target(market, span), START_NS, END_NS, 1)


def test_the_first_bar_is_looked_for_among_weeks_and_months() -> None:
    first = window(DataType.OHLC).first
    assert first is not None
    for span, interval in (("1m", "W"), ("1w", "W"), ("1mo", "M")):
        asked = query(first(target(Market.SPOT, span)))
        assert asked == {"category": "spot", "symbol": "BTCUSDT", "interval": interval, "limit": "1000"}


def test_trades_books_funding_and_open_interest_are_asked_for_as_documented() -> None:
    whose = {"category": "linear", "symbol": "BTCUSDT"}
    times = {"startTime": str(START_NS // MS_NS), "endTime": str(END_NS // MS_NS - 1)}
    latest, book = BYBIT.history[DataType.TRADES], BYBIT.history[DataType.ORDERBOOK]
    funding, interest = BYBIT.history[DataType.FUNDING], window(DataType.OPEN_INTEREST)
    assert isinstance(latest, Latest)
    assert isinstance(book, Snapshot)
    assert isinstance(funding, ByTile)
    requests = {
        "recent-trade": (latest.request(target(Market.LINEAR), 1000), {"limit": "1000"}),
        "orderbook": (book.request(target(Market.LINEAR)), {"limit": "50"}),
        "funding/history": (
            funding.request(target(Market.LINEAR), START_NS, END_NS, 200), {**times, "limit": "200"},
        ),
        "open-interest": (
            interest.request(target(Market.LINEAR, "5m"), START_NS, END_NS, 12),
            {"intervalTime": "5min", **times, "limit": "12"},
        ),
    }  # fmt: skip
    for endpoint, (request, rest) in requests.items():
        assert request.path == f"/v5/market/{endpoint}"
        assert list(query(request).items()) == list({**whose, **rest}.items())
    assert latest.rows == {Market.SPOT: 60, Market.LINEAR: 1000, Market.INVERSE: 1000}
    with pytest.raises(NoCapability, match="dated"):
        funding.request(target(Market.LINEAR, dated=True), START_NS, END_NS, 200)


def test_instruments_are_asked_for_by_market_and_state() -> None:
    asked = [(query(each.request)["category"], query(each.request)["status"]) for each in BYBIT.listings]
    assert len(set(asked)) == len(asked) == 9
    assert ("linear", "Closed") in asked
    assert asked[0] == ("spot", "Trading")
    more = BYBIT.listings[1].more
    assert more is not None
    following = more(Response(200, {}, b'{"result":{"list":[],"nextPageCursor":"page%3D2"}}'))
    assert following is not None
    assert query(following) == {**query(BYBIT.listings[1].request), "cursor": "page%3D2"}
    assert more(Response(200, {}, b'{"result":{"list":[],"nextPageCursor":""}}')) is None


def answer(**result: Any) -> Response:
    return Response(200, {}, json.dumps({"retCode": 0, "retMsg": "OK", "result": result}).encode())


def test_documented_bars_of_an_inverse_contract() -> None:
    rows = [
        ["1670608800000", "17071", "17073", "17027", "17055.5", "268611", "15.74462667"],
        ["1670605200000", "17071.5", "17071.5", "17061", "17071", "4177", "0.24469757"],
    ]
    got = window(DataType.OHLC).parse(target(Market.INVERSE), answer(symbol="BTCUSD", list=rows))
    assert got["ts"] == [1670605200000 * MS_NS, 1670608800000 * MS_NS]
    assert got["volume"] == [0.24469757, 15.74462667]
    assert got["quote_volume"] == [4177.0, 268611.0]
    assert got["close"] == [17071.0, 17055.5]


def test_trades_out_of_line_are_put_in_order() -> None:
    rows = [
        {"execId": name, "price": "1.5", "size": "2", "side": side, "time": time, "isBlockTrade": False}
        for name, side, time in (
            ("d", "Buy", "30"),
            ("c", "Sell", "10"),
            ("b", "Buy", "20"),
            ("a", "Buy", "20"),
        )
    ]
    latest = BYBIT.history[DataType.TRADES]
    assert isinstance(latest, Latest)
    got = latest.parse(target(Market.LINEAR), answer(list=rows))
    assert got["tid"] == ["c", "a", "b", "d"]
    assert got["side"] == ["sell", "buy", "buy", "buy"]
    assert got["ts"] == [ms * MS_NS for ms in (10, 20, 20, 30)]


def test_open_interest_of_inverse_contracts_is_in_usd() -> None:
    body = answer(list=[{"openInterest": "461134384.00000000", "timestamp": "1669571400000"}])
    parse = window(DataType.OPEN_INTEREST).parse
    assert parse(target(Market.LINEAR), body) == {
        "ts": [1669571400000 * MS_NS],
        "open_interest": [461134384.0],
    }
    assert parse(target(Market.INVERSE), body)["open_interest_value"] == [461134384.0]


@pytest.mark.parametrize(("status", "body", "kind", "code"), [
    (200, b'{"retCode":10001,"retMsg":"Not supported symbols"}', ExchangeRefused, "10001"),
    (200, b'{"retCode":10009,"retMsg":"Service Restricted"}', ExchangeRefused, "10009"),
    (403, b"The distribution is configured to block access from your country.", ExchangeRefused, "403"),
    (404, b"404 page not found", ExchangeRefused, "404"),
    (200, b'{"retCode":10016,"retMsg":"Server error."}', ExchangeUnavailable, None),
    (502, b"<html>", ExchangeUnavailable, None),
    (200, b'{"retCode":10006,"retMsg":"Too many visits!"}', Throttled, None),
    (429, b"", Throttled, None),
    (403, b"access too frequent", Throttled, None),
])  # fmt: skip
def test_errors_in_its_own_words(status: int, body: bytes, kind: type, code: str | None) -> None:
    error = BYBIT.error(Response(status, {}, body))
    assert type(error) is kind
    assert getattr(error, "native_code", None) == code
    words = json.loads(body)["retMsg"] if body.startswith(b"{") else body.decode()
    assert words in str(error)


def test_the_waits_it_names() -> None:
    reset = {"x-bapi-limit-reset-timestamp": "1700000002500"}
    visits = Response(200, reset, b'{"retCode":10006,"retMsg":"Too many visits!"}', 1_700_000_000 * S_NS)
    error, ban = BYBIT.error(visits), BYBIT.error(Response(403, {}, b"access too frequent"))
    assert isinstance(error, Throttled)
    assert isinstance(ban, Throttled)
    assert (error.retry_after_s, ban.retry_after_s) == (2.5, 600.0)


def test_what_is_no_error() -> None:
    assert BYBIT.error(Response(200, {}, b'{"retCode":0,"retMsg":"OK"}')) is None
    assert BYBIT.error(Response(200, {}, b'{"retMsg":"OK","retCode":0}')) is None
    assert BYBIT.error(Response(200, {}, b"no JSON at all")) is None  # its parser says what is wrong


def test_the_clock_is_told_in_nanoseconds() -> None:
    assert (
        BYBIT.clock_ns(answer(timeSecond="1688639403", timeNano="1688639403423213947")) == 1688639403423213947
    )


def test_what_is_recorded_is_live_and_the_past_is_by_documentation_alone() -> None:
    shown = {(capability.mode, capability.evidence) for capability in BYBIT.capabilities}
    assert shown == {(Mode.HISTORICAL, Evidence.DOCUMENTED), (Mode.LIVE, Evidence.RECORDED)}
