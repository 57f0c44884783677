"""Requests as Binance documents them, and answers it may give."""

from __future__ import annotations

import json

import pytest

from dccd.domain.errors import ExchangeError, ExchangeRefused, ExchangeUnavailable, Throttled
from dccd.domain.instrument import Instrument
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MS_NS, S_NS, US_NS, parse_time
from dccd.domain.types import DataType, InstrumentType, Market
from dccd.sources.base import ById, ByTime, ByWindow, Request, Response, Snapshot, Target
from dccd.sources.binance import BINANCE

START_NS = parse_time("2024-01-01")
START_MS, START_US = START_NS // MS_NS, START_NS // US_NS
SECOND_US = f"startTime={START_US}&endTime={START_US + 999_999}"
SECOND_MS = f"startTime={START_MS}&endTime={START_MS + 999}"


def target(market: Market, span: str | None = None, depth: int | None = None, **more: object) -> Target:
    native, symbol, size = {
        Market.SPOT: ("BTCUSDT", Symbol("BTC", "USDT"), None),
        Market.LINEAR: ("BTCUSDT", Symbol("BTC", "USDT", "USDT"), 1.0),
        Market.INVERSE: ("BTCUSD_PERP", Symbol("BTC", "USD", "BTC"), 100.0),
    }[market]
    kind = InstrumentType.SPOT if market is Market.SPOT else InstrumentType.PERPETUAL
    it = Instrument("binance", symbol, native, market, kind, contract_size=size, **more)  # type: ignore[arg-type]
    return Target(it, Span.parse(span) if span else None, depth)


def line(request: Request) -> str:
    query = "&".join(f"{name}={value}" for name, value in request.query)
    return f"{request.host} {request.path}?{query} weighs {request.weight}"


def bars(asked: Target, end_ns: int, limit: int) -> str:
    history = BINANCE.history[DataType.OHLC]
    assert isinstance(history, ByWindow)
    return line(history.request(asked, START_NS, end_ns, limit))


def test_bars() -> None:
    hour_us = START_US + 3_600_000_000 - 1
    assert bars(target(Market.SPOT, "1m"), START_NS + HOUR_NS, 60) == (
        f"spot /api/v3/klines?symbol=BTCUSDT&interval=1m&startTime={START_US}"
        f"&endTime={hour_us}&limit=60 weighs 2"
    )
    hour_ms = START_MS + 3_600_000 - 1
    assert bars(target(Market.LINEAR, "1mo"), START_NS + HOUR_NS, 499) == (
        f"linear /fapi/v1/klines?symbol=BTCUSDT&interval=1M&startTime={START_MS}"
        f"&endTime={hour_ms}&limit=499 weighs 2"
    )
    assert bars(target(Market.INVERSE, "1w"), START_NS + HOUR_NS, 99) == (
        f"inverse /dapi/v1/klines?symbol=BTCUSD_PERP&interval=1w&startTime={START_MS}"
        f"&endTime={hour_ms}&limit=99 weighs 1"
    )


@pytest.mark.parametrize(
    ("limit", "weight"), [(1, 1), (99, 1), (100, 2), (499, 2), (500, 5), (1000, 5), (1001, 10)]
)
def test_futures_bars_weigh_by_their_limit(limit: int, weight: int) -> None:
    assert bars(target(Market.LINEAR, "1m"), START_NS + HOUR_NS, limit).endswith(f"weighs {weight}")


def test_bounds_are_inclusive_and_never_widen() -> None:
    """A half-open range in nanoseconds, asked for in whole units with both ends included."""
    history = BINANCE.history[DataType.OHLC]
    assert isinstance(history, ByWindow)
    query = dict(history.request(target(Market.LINEAR, "1m"), 1_500_000, 3_500_001, 1).query)
    assert (query["startTime"], query["endTime"]) == ("2", "3")
    query = dict(history.request(target(Market.LINEAR, "1m"), 2_000_000, 3_000_000, 1).query)
    assert (query["startTime"], query["endTime"]) == ("2", "2")


@pytest.mark.parametrize(
    ("market", "line_of_ids", "line_at"),
    [
        (
            Market.SPOT,
            "spot /api/v3/aggTrades?symbol=BTCUSDT&fromId=7&limit=1000 weighs 4",
            f"spot /api/v3/aggTrades?symbol=BTCUSDT&{SECOND_US}&limit=1 weighs 4",
        ),
        (
            Market.LINEAR,
            "linear /fapi/v1/aggTrades?symbol=BTCUSDT&fromId=7&limit=1000 weighs 20",
            f"linear /fapi/v1/aggTrades?symbol=BTCUSDT&{SECOND_MS}&limit=1 weighs 20",
        ),
        (
            Market.INVERSE,
            "inverse /dapi/v1/aggTrades?symbol=BTCUSD_PERP&fromId=7&limit=1000 weighs 20",
            f"inverse /dapi/v1/aggTrades?symbol=BTCUSD_PERP&{SECOND_MS}&limit=1 weighs 20",
        ),
    ],
)
def test_trades(market: Market, line_of_ids: str, line_at: str) -> None:
    history = BINANCE.history[DataType.TRADES]
    assert isinstance(history, ById)
    assert line(history.request(target(market), 7, history.rows)) == line_of_ids
    assert history.request_at is not None
    assert line(history.request_at(target(market), START_NS, START_NS + S_NS, 1)) == line_at
    assert [name for name, _ in history.latest(target(market)).query] == ["symbol", "limit"]
    assert history.window_s < 3600


def test_only_spot_is_asked_for_microseconds() -> None:
    history = BINANCE.history[DataType.TRADES]
    assert isinstance(history, ById)
    for market in Market:
        headers = history.request(target(market), 0, 1).headers
        assert headers == ({"X-MBX-TIME-UNIT": "MICROSECOND"} if market is Market.SPOT else {})


@pytest.mark.parametrize(
    ("market", "depth", "limit", "weight"),
    [
        (Market.SPOT, 7, 7, 5),
        (Market.SPOT, 101, 101, 25),
        (Market.SPOT, 1000, 1000, 50),
        (Market.SPOT, 5000, 5000, 250),
        (Market.LINEAR, 7, 10, 2),
        (Market.LINEAR, 51, 100, 5),
        (Market.INVERSE, 500, 500, 10),
        (Market.INVERSE, 1000, 1000, 20),
    ],
)
def test_books(market: Market, depth: int, limit: int, weight: int) -> None:
    history = BINANCE.history[DataType.ORDERBOOK]
    assert isinstance(history, Snapshot)
    request = history.request(target(market, depth=depth))
    assert (request.path[-6:], request.query[1], request.weight) == ("/depth", ("limit", str(limit)), weight)


def test_a_book_is_cut_to_the_depth_of_its_dataset() -> None:
    history = BINANCE.history[DataType.ORDERBOOK]
    assert isinstance(history, Snapshot)
    side = [[str(price), "1"] for price in range(10)]
    body = json.dumps({"lastUpdateId": 1, "E": 2, "T": 3, "bids": side, "asks": side}).encode()
    columns = history.parse(target(Market.LINEAR, depth=7), Response(200, {}, body))
    assert columns["side"] == ["bid"] * 7 + ["ask"] * 7
    assert columns["ts"] == [3 * MS_NS] * 14


def test_funding_and_its_own_allowance() -> None:
    history = BINANCE.history[DataType.FUNDING]
    assert isinstance(history, ByTime)
    for market, budget in ((Market.LINEAR, "funding"), (Market.INVERSE, None)):
        asked = target(market)
        request = history.request(asked, START_NS, START_NS + DAY_NS, 1000)
        path = f"/{'fd'[market is Market.INVERSE]}api/v1/fundingRate?symbol={asked.instrument.native}"
        times = f"&startTime={START_MS}&endTime={START_MS + 86_399_999}&limit=1000"
        assert line(request) == f"{BINANCE.host_of[market]} {path}{times} weighs 1"
        assert request.budget == budget


def test_rates_of_before_mark_prices_were_recorded() -> None:
    history = BINANCE.history[DataType.FUNDING]
    assert isinstance(history, ByTime)
    rows = [
        {"fundingTime": ms, "fundingRate": "0.0001", "markPrice": "" if ms < 5 else "9.5"} for ms in range(9)
    ]
    found = history.parse(target(Market.LINEAR), Response(200, {}, json.dumps(rows).encode()))
    assert found["mark_price"][4:6] == [None, 9.5]


def test_open_interest() -> None:
    history = BINANCE.history[DataType.OPEN_INTEREST]
    assert isinstance(history, ByWindow)
    times = f"startTime={START_MS}&endTime={START_MS + 3_599_999}&limit=12 weighs 1"
    for market, whose in (
        (Market.LINEAR, "linear /futures/data/openInterestHist?symbol=BTCUSDT"),
        (Market.INVERSE, "inverse /futures/data/openInterestHist?pair=BTCUSD&contractType=PERPETUAL"),
    ):
        request = history.request(target(market, "5m"), START_NS, START_NS + HOUR_NS, 12)
        assert line(request) == f"{whose}&period=5m&{times}"
        assert request.budget == ("linear data" if market is Market.LINEAR else None)


def test_the_oldest_bar_is_asked_for() -> None:
    history = BINANCE.history[DataType.OHLC]
    assert isinstance(history, ByWindow)
    assert history.first is not None
    query = dict(history.first(target(Market.SPOT, "4h")).query)
    assert (query["startTime"], query["limit"], query["interval"]) == ("0", "1", "4h")
    query = dict(history.first(target(Market.INVERSE, "4h", listed_ns=START_NS + HOUR_NS)).query)
    assert int(query["startTime"]) < START_MS < int(query["endTime"])
    assert int(query["endTime"]) - int(query["startTime"]) < 200 * 86_400_000
    assert (query["interval"], query["limit"]) == ("1d", "200")


def test_every_span_of_every_market_has_its_own_name_at_binance() -> None:
    history = BINANCE.history[DataType.OHLC]
    assert isinstance(history, ByWindow)
    capability = next(each for each in BINANCE.capabilities if each.data_type is DataType.OHLC)
    for market, spans in capability.spans.items():
        asked = [
            dict(history.request(target(market, span), 0, HOUR_NS, 1).query)["interval"] for span in spans
        ]
        assert asked == [span.replace("1mo", "1M") for span in spans]
    assert capability.spans[Market.SPOT] == ("1s", *capability.spans[Market.LINEAR])


def failure(status: int, body: bytes, **headers: str) -> ExchangeError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    error = BINANCE.error(Response(status, named, body, received_ns=1_659_761_900_000 * MS_NS))
    assert error is not None
    return error


def test_throttling_and_bans_carry_their_wait() -> None:
    body = b'{"code":-1003,"msg":"Too much request weight used"}'
    for status, wait in ((429, "13"), (418, "172800")):
        error = failure(status, body, retry_after=wait)
        assert isinstance(error, Throttled)
        assert error.retry_after_s == float(wait)
    error = failure(418, b'{"code":-1003,"msg":"Way too much; IP banned until 1659761931230. Please"}')
    assert isinstance(error, Throttled)
    assert error.retry_after_s == pytest.approx(31.23)
    error = failure(429, b"<html>")
    assert isinstance(error, Throttled)
    assert error.retry_after_s is None
    assert isinstance(failure(200, body), Throttled)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"code":-1,"msg":"Go away."}'])
def test_a_ban_is_known_by_its_status_alone(body: bytes) -> None:
    error = failure(418, body, retry_after="120")
    assert isinstance(error, Throttled)
    assert error.retry_after_s == 120


@pytest.mark.parametrize("status", [403, 451])
def test_a_blocked_region_is_told_what_to_do(status: int) -> None:
    error = failure(status, b"<html>Forbidden</html>")
    assert isinstance(error, ExchangeRefused)
    assert "data-api.binance.vision" in str(error)
    assert "[sources.binance]" in str(error)


def test_other_errors() -> None:
    for status, body in ((502, b"<html>"), (400, b'{"code":-1001,"msg":"Internal error"}'), (503, b"")):
        assert isinstance(failure(status, body), ExchangeUnavailable)
    error = failure(400, b'{"code":-1121,"msg":"Invalid symbol."}')
    assert isinstance(error, ExchangeRefused)
    assert error.native_code == "-1121"
    assert str(error) == "Binance refused the request (HTTP 400, 'Invalid symbol.')."
    assert failure(404, b"nothing here").retryable is False


def test_what_is_no_error() -> None:
    for body in (b"[]", b'{"symbols":[]}', b'{"code":0,"msg":"fine"}', b'{"code":"x"}'):
        assert BINANCE.error(Response(200, {}, body)) is None


def listed(market: Market, **fields: object) -> Instrument:
    row = {
        "symbol": "BTCUSDT",
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "filters": [],
    }
    listing = next(each for each in BINANCE.listings if each.request.host == BINANCE.host_of[market])
    body = json.dumps({"symbols": [row | fields]}, ensure_ascii=False).encode()
    return listing.parse(Response(200, {}, body))[0]


@pytest.mark.parametrize(
    ("market", "fields", "symbol", "active"),
    [
        (Market.SPOT, {"status": "TRADING"}, "BTC/USDT", True),
        (Market.SPOT, {"status": "BREAK"}, "BTC/USDT", False),
        (Market.SPOT, {"symbol": "币安人生USDT", "baseAsset": "币安人生"}, "币安人生/USDT", False),
        (Market.LINEAR, {"contractType": "PERPETUAL", "status": "TRADING"}, "BTC/USDT:USDT", True),
        (Market.LINEAR, {"contractType": "TRADIFI_PERPETUAL", "status": "TRADING"}, "BTC/USDT:USDT", True),
        (
            Market.LINEAR,
            {"contractType": "PERPETUAL DELIVERING", "status": "SETTLING"},
            "BTC/USDT:USDT",
            False,
        ),
        (Market.LINEAR, {"contractType": "", "status": "PENDING_TRADING"}, "BTC/USDT:USDT", False),
        (
            Market.LINEAR,
            {"symbol": "BTCUSDT_261225", "contractType": "CURRENT_QUARTER", "status": "TRADING"},
            "BTC/USDT:USDT-261225",
            True,
        ),
        (
            Market.LINEAR,
            {
                "symbol": "BTCUSDT_260925",
                "contractType": "CURRENT_QUARTER DELIVERING",
                "status": "DELIVERING",
            },
            "BTC/USDT:USDT-260925",
            False,
        ),
        (
            Market.INVERSE,
            {"symbol": "BTCUSD_PERP", "quoteAsset": "USD", "marginAsset": "BTC", "contractStatus": "TRADING"},
            "BTC/USD:BTC",
            True,
        ),
    ],
)
def test_instruments(market: Market, fields: dict[str, object], symbol: str, active: bool) -> None:
    it = listed(market, **fields)
    assert (str(it.symbol), it.active, it.market) == (symbol, active, market)


def test_an_instruments_figures() -> None:
    it = listed(
        Market.INVERSE,
        symbol="BTCUSD_261225",
        contractSize=100,
        onboardDate=1_700_000_000_000,
        deliveryDate=1_798_185_600_000,
        filters=[
            {"filterType": "PRICE_FILTER", "tickSize": "0.10", "minPrice": "1"},
            {"filterType": "LOT_SIZE", "stepSize": "1"},
            {"filterType": "MARKET_LOT_SIZE", "stepSize": "5"},
        ],
    )
    assert (it.tick_size, it.lot_size, it.contract_size) == (0.1, 1.0, 100.0)
    assert it.listed_ns == 1_700_000_000 * S_NS
    assert it.expiry_ns == parse_time("2026-12-25T08:00:00Z")
    assert listed(Market.SPOT).contract_size is None


def test_coin_margined_contracts_in_the_linear_list_are_left_to_their_own() -> None:
    row = {
        "symbol": "BTCUSD_PERP",
        "baseAsset": "BTC",
        "quoteAsset": "USD",
        "marginAsset": "BTC",
        "filters": [],
    }
    linear = row | {"symbol": "BTCUSDT", "quoteAsset": "USDT", "marginAsset": "USDT"}
    listing = next(each for each in BINANCE.listings if each.request.host == "linear")
    found = listing.parse(Response(200, {}, json.dumps({"symbols": [row, linear]}).encode()))
    assert [it.native for it in found] == ["BTCUSDT"]


def test_allowances_are_learned_from_the_listing() -> None:
    rates = [{"rateLimitType": "ORDERS", "limit": 50}, {"rateLimitType": "REQUEST_WEIGHT", "limit": 3000}]
    body = json.dumps({"symbols": [], "rateLimits": rates}).encode()
    for listing in BINANCE.listings:
        assert listing.limits is not None
        assert listing.limits(Response(200, {}, body)) == {listing.request.host: 3000}
