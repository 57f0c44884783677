"""Each request of OKX's as documented, and what is made of its answers and errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dccd.domain.errors import ExchangeError, ExchangeRefused, ExchangeUnavailable, NoCapability, Throttled
from dccd.domain.instrument import Instrument
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import MS_NS, parse_time
from dccd.domain.types import DataType, Evidence, InstrumentType, Market, Mode
from dccd.sources.base import ByIdBack, ByTile, ByWindow, Request, Response, Snapshot, Target
from dccd.sources.okx import OKX

START_NS, END_NS = parse_time("2026-02-01"), parse_time("2026-02-01T01:00:00Z")
START, END = str(START_NS // MS_NS - 1), str(END_NS // MS_NS)


def target(market: Market, span: str = "1m", *, dated: bool = False, size: float | None = 0.01) -> Target:
    kind = InstrumentType.FUTURE if dated else InstrumentType.PERPETUAL
    kind = InstrumentType.SPOT if market is Market.SPOT else kind
    settle = {Market.SPOT: None, Market.LINEAR: "USDT", Market.INVERSE: "BTC"}[market]
    it = Instrument("okx", Symbol("BTC", "USDT", settle), "BTC-USDT", market, kind, contract_size=size)
    return Target(it, Span.parse(span), 50)


def window(data_type: DataType) -> ByWindow:
    history = OKX.history[data_type]
    assert isinstance(history, ByWindow)
    return history


def trades() -> ByIdBack:
    history = OKX.history[DataType.TRADES]
    assert isinstance(history, ByIdBack)
    return history


def asked(request: Request, path: str, budget: str) -> list[tuple[str, str]]:
    assert (request.host, request.path, request.budget) == ("rest", f"/api/v5/{path}", budget)
    assert (request.weight, request.method, request.headers) == (1, "GET", {})
    assert request.query[0] == ("instId", "BTC-USDT")
    return list(request.query[1:])


@pytest.mark.parametrize(
    ("span", "bar"),
    [("1m", "1m"), ("1h", "1H"), ("4h", "4H"), ("6h", "6Hutc"), ("1d", "1Dutc"), ("1mo", "1Mutc")],
)
def test_bars_are_asked_for_with_both_bounds_exclusive_and_on_utc(span: str, bar: str) -> None:
    request = window(DataType.OHLC).request(target(Market.SPOT, span), START_NS, END_NS, 60)
    wanted = [("bar", bar), ("after", END), ("before", START), ("limit", "60")]
    assert asked(request, "market/history-candles", "candles") == wanted


def test_every_declared_span_can_be_asked_for() -> None:
    for capability in OKX.capabilities:
        for market, spans in capability.spans.items():
            for span in spans:
                window(capability.data_type).request(target(market, span), START_NS, END_NS, 1)


def test_the_first_bar_is_looked_for_among_months() -> None:
    first = window(DataType.OHLC).first
    assert first is not None
    request = first(target(Market.SPOT))
    assert asked(request, "market/history-candles", "candles") == [("bar", "1Mutc"), ("limit", "300")]


def test_trades_are_asked_for_before_an_id_or_a_moment() -> None:
    by_id = trades().request(target(Market.LINEAR), 242720721, 100)
    wanted = [("type", "1"), ("after", "242720721"), ("limit", "100")]
    assert asked(by_id, "market/history-trades", "trades") == wanted
    before = trades().request_before
    assert before is not None
    by_time = before(target(Market.LINEAR), END_NS - 1, 1)  # within a millisecond: its end
    assert asked(by_time, "market/history-trades", "trades") == [
        ("type", "2"),
        ("after", END),
        ("limit", "1"),
    ]


def test_books_funding_and_open_interest_are_asked_for_as_documented() -> None:
    book, funding = OKX.history[DataType.ORDERBOOK], OKX.history[DataType.FUNDING]
    assert isinstance(book, Snapshot)
    assert isinstance(funding, ByTile)
    assert asked(book.request(target(Market.SPOT)), "market/books", "books") == [("sz", "50")]
    request = funding.request(target(Market.LINEAR), START_NS, END_NS, 400)
    wanted = [("before", START), ("after", END), ("limit", "400")]
    assert asked(request, "public/funding-rate-history", "funding") == wanted
    request = window(DataType.OPEN_INTEREST).request(target(Market.LINEAR, "1h"), START_NS, END_NS, 12)
    path = "rubik/stat/contracts/open-interest-history"
    wanted = [("period", "1H"), ("end", END), ("begin", START), ("limit", "12")]
    assert asked(request, path, "open interest") == wanted
    with pytest.raises(NoCapability, match="dated"):
        funding.request(target(Market.LINEAR, dated=True), START_NS, END_NS, 400)


def test_instruments_are_asked_for_by_type() -> None:
    requests = [each.request for each in OKX.listings]
    assert {request.path for request in requests} == {"/api/v5/public/instruments"}
    assert [request.query for request in requests] == [
        (("instType", kind),) for kind in ("SPOT", "SWAP", "FUTURES")
    ]


def answer(*data: Any) -> Response:
    return Response(200, {}, json.dumps({"code": "0", "msg": "", "data": data}).encode())


def test_documented_bars() -> None:
    """Spot says base and quote twice, contracts say contracts, base and quote."""
    rows = [
        ["1597026383085", "3.721", "3.743", "3.677", "3.708", "8422410", "22698348.04", "12698348.04", "1"],
        ["1597026323085", "3.731", "3.799", "3.494", "3.72", "24912403", "67632347.24", "37632347.24", "1"],
    ]
    parse = window(DataType.OHLC).parse
    spot, linear = (parse(target(market), answer(*rows)) for market in (Market.SPOT, Market.LINEAR))
    assert spot["ts"] == [1597026323085 * MS_NS, 1597026383085 * MS_NS]
    assert (spot["volume"], linear["volume"]) == ([24912403.0, 8422410.0], [67632347.24, 22698348.04])
    assert spot["quote_volume"] == linear["quote_volume"] == [37632347.24, 12698348.04]


@pytest.mark.parametrize(
    ("market", "size", "amounts"),
    [
        (Market.SPOT, None, [3.0, 0.7]),
        (Market.LINEAR, 0.01, [0.03, 0.007]),
        (Market.LINEAR, 0.1, [0.3, 0.07]),
        (Market.LINEAR, 1000.0, [3000.0, 700.0]),
        (Market.INVERSE, 100.0, [3.0, 0.7]),
    ],
)
def test_contracts_become_base_to_the_nearest_number(
    market: Market, size: float | None, amounts: list[float]
) -> None:
    """Three times a tenth is not three tenths; inverse contracts stay what they are."""
    row = {"instId": "X", "side": "sell", "source": "0", "px": "29963.2", "ts": "1654161646974"}
    rows = [row | {"sz": "0.7", "tradeId": "8"}, row | {"sz": "3", "tradeId": "7"}]
    got = trades().parse(target(market, size=size), answer(*rows))
    assert list(got["amount"]) == amounts
    assert (got["tid_num"], got["side"], got["price"]) == ([7, 8], ["sell"] * 2, [29963.2] * 2)


def test_the_rate_that_was_paid_goes_before_the_predicted_one() -> None:
    funding = OKX.history[DataType.FUNDING]
    assert isinstance(funding, ByTile)
    rows = [
        {"fundingRate": "0.1", "realizedRate": "0.2", "fundingTime": "2"},
        {"fundingRate": "0.3", "realizedRate": "", "fundingTime": "1"},
    ]
    assert funding.parse(target(Market.LINEAR), answer(*rows)) == {
        "ts": [MS_NS, 2 * MS_NS],
        "rate": [0.3, 0.2],
    }


def test_open_interest_is_base_and_usd() -> None:
    got = window(DataType.OPEN_INTEREST).parse(
        target(Market.INVERSE), answer(["5", "731377.5", "111", "8888888"])
    )
    assert got == {"ts": [5 * MS_NS], "open_interest": [111.0], "open_interest_value": [8888888.0]}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b'{"msg":"Requests too frequent.","code":"50011"}', Throttled),
        (429, b'{"msg":"Too Many Requests","code":"50011"}', Throttled),
        (429, b"", Throttled),
        (429, b'{"msg":"Systems are busy. Please try again later.","code":"50013"}', ExchangeUnavailable),
        (503, b'{"msg":"Service temporarily unavailable.","code":"50001"}', ExchangeUnavailable),
        (502, b"<html>", ExchangeUnavailable),
        (200, b'{"msg":"Instrument ID does not exist.","code":"51001","data":[]}', ExchangeRefused),
        (400, b'{"msg":"Parameter bar error","code":"51000","data":[]}', ExchangeRefused),
        (403, b"Access denied", ExchangeRefused),
    ],
)
def test_errors_in_its_own_words(status: int, body: bytes, kind: type[ExchangeError]) -> None:
    error = OKX.error(Response(status, {}, body))
    assert type(error) is kind
    words = json.loads(body)["msg"] if body.startswith(b"{") else body.decode()
    assert words in str(error)
    assert getattr(error, "native_code", "51") in ("51001", "51000", "403", "51")


def test_what_is_no_error() -> None:
    assert OKX.error(Response(200, {}, b'{"code":"0","msg":"","data":[]}')) is None
    assert OKX.error(Response(200, {}, b'{"msg":"","code":"0","data":[]}')) is None
    assert OKX.error(Response(200, {}, b"\xd6 no JSON at all")) is None  # its parser says what is wrong


def test_the_clock() -> None:
    assert OKX.clock_ns(answer({"ts": "1597026383085"})) == 1597026383085 * MS_NS


def test_what_is_recorded_are_books_and_live_trades() -> None:
    recorded = [each for each in OKX.capabilities if each.evidence is Evidence.RECORDED]
    assert {(each.mode, each.data_type) for each in recorded} == {
        (Mode.HISTORICAL, DataType.ORDERBOOK),
        (Mode.LIVE, DataType.ORDERBOOK),
        (Mode.LIVE, DataType.BOOK_UPDATES),
        (Mode.LIVE, DataType.TRADES),
    }
