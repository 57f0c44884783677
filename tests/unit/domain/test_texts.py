"""What is refused, and what is read in more than one form."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from dccd.domain.dataset import DatasetId
from dccd.domain.errors import InvalidRange, InvalidSpan, UsageError
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import iso, parse_time
from dccd.domain.types import DataType

BTC = Symbol("BTC", "USDT")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("1m", "1m"), ("1M", "1mo"), ("1mo", "1mo"), ("60", "1m"), (3600, "1h"), ("60m", "1h"), ("24h", "1d"),
        ("7d", "1w"), ("1w", "1w"), ("14d", "14d"), ("2w", "14d"), (2_592_000, "1mo"), ("daily", "1d"),
        ("Hour", "1h"),
        ("15min", "15m"), ("90s", "90s"), ("3M", "3mo"),
    ],
)  # fmt: skip
def test_spans_in_their_forms(text: str | int, label: str) -> None:
    assert str(Span.parse(text)) == label


@pytest.mark.parametrize("text", ["", "m", "0m", "-1m", "1x", "1.5h", "1 m", "m1", 0, -60, "0", "١m"])
def test_spans_refused(text: str | int) -> None:
    with pytest.raises(InvalidSpan, match="1m"):
        Span.parse(text)


@pytest.mark.parametrize("text", ["", "BTC", "BTC/", "/USDT", "BTC/USDT:USDT-2612", "BTC/USDT:USDT-26122A"])
def test_symbols_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Symbol.parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2019-01-25", "2019-01-25T00:00:00Z"),
        ("2019-01-25T16:01:39", "2019-01-25T16:01:39Z"),
        ("2019-01-25 16:01:39.5+02:00", "2019-01-25T14:01:39.5Z"),
        ("2019-01-25T16:01:39.123456789Z", "2019-01-25T16:01:39.123456789Z"),
        ("1548432099000000000", "2019-01-25T16:01:39Z"),
        (0, "1970-01-01T00:00:00Z"),
    ],
)
def test_times_in_their_forms(text: str | int, expected: str) -> None:
    assert iso(parse_time(text)) == expected


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2019-13-01", "1969-12-31", -1, 2**63, "2300-01-01", "12:30"]
)
def test_times_refused(text: str | int) -> None:
    with pytest.raises(InvalidRange):
        parse_time(text)


def test_a_dataset_has_the_span_or_depth_its_type_has() -> None:
    hour = Span.parse("1h")
    for data_type, span, depth in (
        (DataType.OHLC, None, None),
        (DataType.TRADES, hour, None),
        (DataType.ORDERBOOK, None, None),
        (DataType.OHLC, hour, 5),
    ):
        with pytest.raises(UsageError):
            DatasetId("x", BTC, data_type, span, depth)


@pytest.mark.parametrize(
    "text",
    ["", "x", "x:BTC-USDT", "x:BTC-USDT:ohlc", "x:BTC-USDT:ohlc:60m", "x:BTC-USDT:trades:1m",
     "x:BTC-USDT:candles:1m",
     "x:btc-usdt:trades", "x:BTC-USDT:orderbook:ten", "x:BTC-USDT:trades:"],
)  # fmt: skip
def test_ids_refused(text: str) -> None:
    with pytest.raises(UsageError, match="dataset id"):
        DatasetId.parse(text)


@pytest.mark.parametrize(
    "folder",
    ["", "ohlc", "ohlc/exchange=x/symbol=BTC-USDT", "ohlc/exchange=x/symbol=BTC-USDT/span=60m", "../../etc",
     "trades/exchange=x/symbol=BTC-USDT/extra=1", "trades/symbol=BTC-USDT/exchange=x",
     "ohlc/exchange=x/symbol=a-b/span=1m"],
)  # fmt: skip
def test_folders_refused(folder: str) -> None:
    with pytest.raises(UsageError, match="not a dataset's folder"):
        DatasetId.from_folder(PurePosixPath(folder))


def test_what_periods_are_called() -> None:
    moment = parse_time("2024-12-31T23:30:00Z")
    names = {
        DataType.BOOK_UPDATES: "2024-12-31T23", DataType.TRADES: "2024-12-31", DataType.FUNDING: "2024",
    }  # fmt: skip
    for data_type, name in names.items():
        assert DatasetId("x", BTC, data_type).period(moment).name == name
    for span, name in (("1m", "2024-12"), ("30m", "2024-12"), ("1h", "2024"), ("1mo", "2024")):
        assert DatasetId("x", BTC, DataType.OHLC, Span.parse(span)).period(moment).name == name


@pytest.mark.parametrize("exchange", ["", "..", "../..", "a/b", "Binance", "b=c", "x y"])
def test_an_exchange_that_is_no_folders_name_is_refused(exchange: str) -> None:
    with pytest.raises(UsageError, match="not the name of an exchange"):
        DatasetId(exchange, Symbol("BTC", "USDT"), DataType.TRADES)


@pytest.mark.parametrize("depth", [0, -1])
def test_a_depth_is_positive(depth: int) -> None:
    with pytest.raises(UsageError, match="makes no sense"):
        DatasetId("binance", Symbol("BTC", "USDT"), DataType.ORDERBOOK, depth=depth)


@pytest.mark.parametrize("text", ["1700000000", "1700000000000", "1700000000000000"])
def test_seconds_are_not_taken_for_nanoseconds(text: str) -> None:
    with pytest.raises(InvalidRange, match="1970"):
        parse_time(text)
    assert parse_time("1700000000000000000") == 1_700_000_000_000_000_000
