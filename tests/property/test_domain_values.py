"""Symbols, spans, datasets and times: there and back, whatever they are."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from dccd.domain.dataset import DatasetId
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MAX_NS, datetime_ns, iso, ns_datetime, parse_time
from dccd.domain.types import DataType

# What exchanges call currencies: mostly A–Z and 0–9, now and then anything at all.
_CODES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=12)
_NAMES = st.one_of(_CODES, st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6))
_EXPIRIES = st.from_regex(r"[0-9]{6}", fullmatch=True)
symbols = st.one_of(
    st.builds(Symbol, _NAMES, _NAMES),
    st.builds(Symbol, _NAMES, _NAMES, _NAMES, st.none() | _EXPIRIES),
)
# Names as people write them: upper case, without the marks that part a symbol.
plain_symbols = st.one_of(
    st.builds(Symbol, _CODES, _CODES), st.builds(Symbol, _CODES, _CODES, _CODES, st.none() | _EXPIRIES)
)
spans = st.one_of(
    st.sampled_from(
        ["1s", "1m", "3m", "15m", "1h", "6h", "1d", "3d", "1w", "2w", "14d", "15d", "1mo", "3mo"]
    ).map(Span.parse),
    st.integers(1, 99_999).map(Span),
)
moments = st.integers(0, MAX_NS - 400 * DAY_NS)

_EXCHANGES = st.sampled_from(["binance", "kraken", "krakenfutures"])
datasets = st.one_of(
    st.builds(
        DatasetId, _EXCHANGES, symbols, st.sampled_from([DataType.OHLC, DataType.OPEN_INTEREST]), spans
    ),
    st.builds(
        DatasetId,
        _EXCHANGES,
        symbols,
        st.sampled_from([DataType.TRADES, DataType.FUNDING, DataType.BOOK_UPDATES]),
    ),
    st.builds(DatasetId, _EXCHANGES, symbols, st.just(DataType.ORDERBOOK), st.none(), st.integers(1, 10_000)),
)


@given(plain_symbols)
def test_symbols_are_read_back(symbol: Symbol) -> None:
    renamed = {"XBT": "BTC", "XDG": "DOGE"}
    expected = Symbol(
        renamed.get(symbol.base, symbol.base),
        renamed.get(symbol.quote, symbol.quote),
        renamed.get(symbol.settle, symbol.settle) if symbol.settle else None,
        symbol.expiry,
    )
    text = str(symbol)
    assert Symbol.parse(text) == expected
    assert Symbol.parse(text.lower()) == expected
    assert Symbol.parse(text.replace("/", "-")) == expected
    assert Symbol.parse(text.replace("/", "_")) == expected


@given(symbols)
def test_slugs_are_read_back_and_fit_any_file_system(symbol: Symbol) -> None:
    assert Symbol.from_slug(symbol.slug) == symbol
    assert re.fullmatch(r"[A-Z0-9%_-]+", symbol.slug)


@given(symbols, symbols)
@example(Symbol("a", "B"), Symbol("A", "B"))
@example(Symbol("A-B", "C"), Symbol("A", "B-C"))
@example(Symbol("A", "B_C"), Symbol("A", "B", "C"))
@example(Symbol("A", "B", "C-260101"), Symbol("A", "B", "C", "260101"))
def test_slugs_are_unique_ignoring_case(one: Symbol, other: Symbol) -> None:
    assert (one.slug.casefold() == other.slug.casefold()) == (one == other)


@given(datasets)
def test_datasets_are_read_back(dataset: DatasetId) -> None:
    assert DatasetId.parse(str(dataset)) == dataset
    assert DatasetId.from_folder(dataset.folder) == dataset
    assert not dataset.folder.is_absolute()
    reserved = {"con", "prn", "aux", "nul"}
    for part in dataset.folder.parts:
        assert not set(part) & set('<>:"\\|?*/')
        assert part.rstrip(" .") == part
        assert part.casefold() not in reserved


@given(datasets, datasets)
def test_folders_are_unique_ignoring_case(one: DatasetId, other: DatasetId) -> None:
    assert (str(one.folder).casefold() == str(other.folder).casefold()) == (one == other)
    assert (str(one).casefold() == str(other).casefold()) == (one == other)


def test_minutes_and_months_are_two_folders_ignoring_case() -> None:
    symbol = Symbol("BTC", "USDT")
    folders = [str(DatasetId("x", symbol, DataType.OHLC, Span.parse(text)).folder) for text in ("1m", "1M")]
    assert folders[1] == "ohlc/exchange=x/symbol=BTC-USDT/span=1mo"
    assert folders[0].casefold() != folders[1].casefold()


@given(spans)
def test_spans_are_read_back(span: Span) -> None:
    assert Span.parse(str(span)) == span


@given(spans, moments)
def test_a_moment_lies_in_exactly_one_bar(span: Span, ts_ns: int) -> None:
    open_ns = span.floor(ts_ns)
    assert open_ns <= ts_ns < span.next(open_ns)
    assert span.floor(open_ns) == open_ns == span.ceil(open_ns)
    assert span.floor(span.next(open_ns)) == span.next(open_ns)
    assert span.ceil(ts_ns) in (open_ns, span.next(open_ns))
    assert span.ceil(ts_ns) >= ts_ns


@given(spans, moments, st.integers(0, 40))
def test_bars_are_counted_as_they_are_stepped(span: Span, ts_ns: int, bars: int) -> None:
    opens = [span.ceil(ts_ns)]
    for _ in range(bars):
        opens.append(span.next(opens[-1]))
    assert span.forward(opens[0], bars) == opens[-1]
    assert span.count(ts_ns, opens[-1]) == bars
    assert span.count(opens[-1], ts_ns) == 0
    assert span.count(ts_ns, opens[-1] + 1) == bars + 1


@given(moments)
def test_weeks_open_on_monday_months_on_the_first_days_at_midnight(ts_ns: int) -> None:
    week = ns_datetime(Span.parse("1w").floor(ts_ns))
    assert (week.weekday(), week.hour, week.minute, week.second) == (0, 0, 0, 0)
    month = ns_datetime(Span.parse("1mo").floor(ts_ns))
    assert (month.day, month.hour, month.minute) == (1, 0, 0)
    assert (month.year, month.month) == (ns_datetime(ts_ns).year, ns_datetime(ts_ns).month)
    length = Span.parse("1mo").next(datetime_ns(month)) - datetime_ns(month)
    assert length == monthrange(month.year, month.month)[1] * DAY_NS
    assert Span.parse("1d").floor(ts_ns) % DAY_NS == 0
    assert Span.parse("14d").floor(ts_ns) % (14 * DAY_NS) == 0


@given(moments, st.sampled_from(["14d", "15d", "3d", "1w"]), moments)
def test_an_exchange_that_counts_from_elsewhere(ts_ns: int, text: str, anchor_ns: int) -> None:
    span = Span.parse(text)
    open_ns = span.floor(ts_ns, anchor_ns)
    assert open_ns <= ts_ns < span.next(open_ns)
    assert (open_ns - anchor_ns) % span.nominal_ns == 0


@given(st.integers(0, MAX_NS - 1))
def test_times_are_read_back_to_the_nanosecond(ts_ns: int) -> None:
    assert parse_time(iso(ts_ns)) == ts_ns
    assert parse_time(ts_ns) == ts_ns
    assert ts_ns - datetime_ns(ns_datetime(ts_ns)) in range(1000)


@given(st.datetimes(datetime(1970, 1, 2), datetime(2261, 1, 1)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001
def test_times_with_a_zone_are_the_same_instant(moment: datetime, offset_min: int) -> None:
    aware = moment.replace(tzinfo=UTC)
    hours, minutes = divmod(abs(offset_min), 60)
    zone = f"{'-' if offset_min < 0 else '+'}{hours:02d}:{minutes:02d}"
    zoned = aware.isoformat().removesuffix("+00:00") + zone
    assert parse_time(zoned) == datetime_ns(aware - timedelta(minutes=offset_min))


@given(datasets, moments)
def test_periods_tile_time(dataset: DatasetId, ts_ns: int) -> None:
    period = dataset.period(ts_ns)
    start_ns, end_ns = period.interval
    assert start_ns <= ts_ns < end_ns
    assert dataset.period(start_ns) == dataset.period(end_ns - 1) == period
    after = dataset.period(end_ns)
    assert after.interval.start_ns == end_ns
    assert after.name > period.name
    assert dataset.periods(start_ns, end_ns + 1) == [period, after]
    assert dataset.periods(ts_ns, ts_ns) == []
    if dataset.data_type is DataType.BOOK_UPDATES:
        assert end_ns - start_ns == HOUR_NS
