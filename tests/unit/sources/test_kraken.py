"""Requests as Kraken documents them, and answers it may give."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dccd.domain.errors import ExchangeError, ExchangeRefused, ExchangeUnavailable, Throttled
from dccd.domain.instrument import Instrument
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import S_NS, parse_time
from dccd.domain.types import DataType, InstrumentType, Market
from dccd.sources.base import ByTime, Latest, Request, Response, Snapshot, Target
from dccd.sources.kraken import KRAKEN

START_NS = parse_time("2024-01-01")
PAIR = Instrument("kraken", Symbol("BTC", "USD"), "XBTUSD", Market.SPOT, InstrumentType.SPOT)


def target(span: str | None = None, depth: int | None = None) -> Target:
    return Target(PAIR, Span.parse(span) if span else None, depth)


def line(request: Request) -> str:
    query = "&".join(f"{name}={value}" for name, value in request.query)
    return f"{request.host} {request.path}?{query} weighs {request.weight}"


def test_bars_of_every_span() -> None:
    history = KRAKEN.history[DataType.OHLC]
    assert isinstance(history, Latest)
    capability = next(each for each in KRAKEN.capabilities if each.data_type is DataType.OHLC)
    asked = [line(history.request(target(span), 720)) for span in capability.spans[Market.SPOT]]
    minutes = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)
    assert asked == [f"spot /0/public/OHLC?pair=XBTUSD&interval={each} weighs 1" for each in minutes]


def test_trades() -> None:
    history = KRAKEN.history[DataType.TRADES]
    assert isinstance(history, ByTime)
    request = history.request(target(), START_NS, START_NS + S_NS, history.rows)
    since = START_NS - 100_000
    assert line(request) == f"spot /0/public/Trades?pair=XBTUSD&since={since}&count=1000 weighs 1"
    assert history.first is not None
    assert line(history.first(target())) == "spot /0/public/Trades?pair=XBTUSD&since=0&count=1 weighs 1"
    assert dict(history.request(target(), 0, S_NS, 1000).query)["since"] == "0"


def test_books() -> None:
    history = KRAKEN.history[DataType.ORDERBOOK]
    assert isinstance(history, Snapshot)
    assert line(history.request(target(depth=25))) == "spot /0/public/Depth?pair=XBTUSD&count=25 weighs 1"


def test_clock_and_list() -> None:
    clock = KRAKEN.hosts["spot"].clock
    assert clock is not None
    assert line(clock) == "spot /0/public/Time? weighs 1"
    assert [line(each.request) for each in KRAKEN.listings] == ["spot /0/public/AssetPairs? weighs 1"]


def test_times_keep_every_digit() -> None:
    """A float of seconds has 0.24 us between its values: its text is what counts."""
    history = KRAKEN.history[DataType.TRADES]
    assert isinstance(history, ByTime)
    told = {
        "1688669597.8277369": 1_688_669_597_827_736_900,
        "1762819943.330817": 1_762_819_943_330_817_000,
        "1385579841": 1_385_579_841_000_000_000,
    }
    rows = ",".join(f'["1.5","2",{text},"b","m","",7]' for text in told)
    body = f'{{"error":[],"result":{{"last":"1","XXBTZUSD":[{rows}]}}}}'
    assert history.parse(target(), Response(200, {}, body.encode()))["ts"] == list(told.values())


def test_what_is_not_even_text_is_known_by_its_status() -> None:
    assert isinstance(KRAKEN.error(Response(500, {}, b'{"error":["E\xff"]}')), ExchangeUnavailable)
    assert isinstance(KRAKEN.error(Response(404, {}, b'{"error":["E\xff"]}')), ExchangeRefused)


def failure(status: int, *words: str, **headers: str) -> ExchangeError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = json.dumps({"error": list(words)}).encode() if words else b"<html>"
    error = KRAKEN.error(Response(status, named, body, received_ns=1_700_000_000 * S_NS))
    assert error is not None
    return error


@pytest.mark.parametrize(
    ("status", "words", "wait_s"),
    [
        (200, ["EAPI:Rate limit exceeded"], None),
        (200, ["WGeneral:Deprecated", "EGeneral:Too many requests"], None),
        (200, ["EGeneral:Temporary lockout"], None),
        (200, ["EService: Throttled: 1700000007"], 7.0),
        (200, ["EService:Throttled:"], None),
        (429, [], None),
    ],
)
def test_throttles_under_any_status(status: int, words: list[str], wait_s: float | None) -> None:
    error = failure(status, *words)
    assert isinstance(error, Throttled)
    assert error.retry_after_s == wait_s
    named = failure(status, *words, retry_after="13")
    assert isinstance(named, Throttled)
    assert named.retry_after_s == 13.0


def test_other_errors() -> None:
    error = failure(200, "EQuery:Unknown asset pair")
    assert isinstance(error, ExchangeRefused)
    assert (str(error), error.native_code) == (
        "Kraken refused the request (HTTP 200, 'EQuery:Unknown asset pair').",
        "EQuery",
    )
    for status, words in ((200, "EService:Unavailable"), (200, "EGeneral:Internal error"), (520, "")):
        assert isinstance(failure(status, *filter(None, [words])), ExchangeUnavailable)
    assert failure(403).retryable is False


@pytest.mark.parametrize(
    "body",
    [b'{"error":[],"result":{}}', b'{ "error": [ ], "result": {}}', b'{"error":["WGeneral:x"]}', b"[]"],
)
def test_what_is_no_error(body: bytes) -> None:
    assert KRAKEN.error(Response(200, {}, body)) is None


def listed(**fields: Any) -> list[Instrument]:
    pair = {"altname": "XBTUSD", "wsname": "XBT/USD", "pair_decimals": 1, "lot_decimals": 8} | fields
    (listing,) = KRAKEN.listings
    return list(listing.parse(Response(200, {}, json.dumps({"error": [], "result": {"X": pair}}).encode())))


def test_instruments() -> None:
    (it,) = listed(tick_size="0.5", status="online")
    assert (str(it.symbol), it.native, it.active) == ("BTC/USD", "XBTUSD", True)
    assert (it.tick_size, it.lot_size, it.contract_size) == (0.5, 1e-8, None)
    (it,) = listed(wsname="XDG/XBT", status="cancel_only")
    assert (str(it.symbol), it.active, it.tick_size) == ("DOGE/BTC", False, 0.1)


def test_dark_pools_are_left_out() -> None:
    assert listed(altname="XBTUSD.d", wsname="") == []
