"""Bars from trades: right to the last digit, and the same however the trades come."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dccd.application.operations.bars import Bar, BarBuilder, BarRules, columns_of, whole_bars
from dccd.domain.coverage import IntervalSet
from dccd.domain.span import Span
from dccd.domain.timeutils import DAY_NS, MINUTE_NS, S_NS, US_NS, parse_time

START_US = parse_time("2024-02-28T23:50") // US_NS
SIDES = ("buy", "sell")


def trades(rows: list[tuple[int, float, float, str | None]]) -> pa.RecordBatch:
    """Trades of (microseconds since the start, price, amount, side)."""
    return pa.RecordBatch.from_pydict(
        {
            "ts": pa.array([START_US + row[0] for row in rows], pa.int64()).cast(pa.timestamp("us", "UTC")),
            "price": pa.array([row[1] for row in rows], pa.float64()),
            "amount": pa.array([row[2] for row in rows], pa.float64()),
            "side": pa.array([row[3] for row in rows], pa.string()),
        }
    )


def built(
    span: str, batch: pa.RecordBatch, cuts: list[int] | None = None, rules: BarRules | None = None
) -> list[Bar]:
    """The bars of a batch that comes cut at these rows."""
    builder = BarBuilder(Span.parse(span), rules or BarRules())
    edges = [0, *sorted(cuts or []), batch.num_rows]
    found: list[Bar] = []
    for first, stop in pairwise(edges):
        found += builder.add(batch.slice(first, stop - first))
    return [*found, *builder.finish()]


prices = st.floats(1e-8, 1e8)
rows = st.lists(
    st.tuples(st.integers(0, 2 * 3_600_000_000), prices, prices, st.sampled_from((*SIDES, None))),
    min_size=1,
    max_size=60,
).map(lambda found: sorted(found, key=lambda row: row[0]))


@given(rows=rows, data=st.data(), span=st.sampled_from(("1s", "1m", "5m", "7m", "1h", "1d", "1w", "1mo")))
def test_cuts_change_nothing_not_even_the_last_digit(rows: list[Any], data: st.DataObject, span: str) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=8))
    batch = trades(rows)
    assert built(span, batch, cuts) == built(span, batch)


@given(rows=rows)
def test_a_bar_is_what_its_trades_are(rows: list[Any]) -> None:
    for bar in built("5m", trades(rows)):
        own = [row for row in rows if bar.ts <= (START_US + row[0]) * US_NS < bar.ts + 5 * MINUTE_NS]
        worth = [row[1] * row[2] for row in own]
        assert (bar.open, bar.close) == (own[0][1], own[-1][1])
        assert (bar.high, bar.low) == (max(row[1] for row in own), min(row[1] for row in own))
        assert bar.trades == len(own)
        # The nearest float of the exact sum, whatever the order.
        assert bar.volume == float(sum(Fraction(row[2]) for row in own))
        assert bar.quote_volume == float(sum(map(Fraction, worth)))
        if any(row[3] is None for row in own):
            assert bar.taker_buy_volume is bar.taker_buy_quote_volume is None
        else:
            bought = [row[3] == "buy" for row in own]
            amounts = [Fraction(row[2]) for row, buys in zip(own, bought, strict=True) if buys]
            assert bar.taker_buy_volume == float(sum(amounts))


# Amounts and prices of which every sum and product is a float: then nothing is rounded anywhere.
exact = st.integers(1, 2**16).map(lambda number: number / 64)
exact_rows = st.lists(
    st.tuples(st.integers(0, 3_600_000_000), exact, exact, st.sampled_from(SIDES)), min_size=1, max_size=60
).map(lambda found: sorted(found, key=lambda row: row[0]))


@given(rows=exact_rows, span=st.sampled_from(("5m", "1h", "1d", "1w", "1mo")))
def test_long_bars_are_the_short_ones_taken_together(rows: list[Any], span: str) -> None:
    batch, length = trades(rows), Span.parse(span)
    together: dict[int, list[Bar]] = {}
    for bar in built("1m", batch):
        together.setdefault(length.floor(bar.ts), []).append(bar)

    def total(bars: list[Bar], name: str) -> Any:
        return sum(getattr(bar, name) for bar in bars)

    sums = ("volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume")
    assert built(span, batch) == [
        Bar(
            open_ns,
            bars[0].open,
            max(bar.high for bar in bars),
            min(bar.low for bar in bars),
            bars[-1].close,
            *(total(bars, name) for name in sums),
        )
        for open_ns, bars in together.items()
    ]


def test_sums_that_plain_addition_gets_wrong() -> None:
    batch = trades([(0, 1.0, 1e16, "buy"), (1, 1.0, 1.0, "buy"), (2, 1.0, 1.0, "buy")])
    assert sum([1e16, 1.0, 1.0]) == 1e16
    for cuts in ([], [1], [2], [1, 2]):
        (bar,) = built("1h", batch, cuts)
        assert bar.volume == bar.quote_volume == bar.taker_buy_volume == 10_000_000_000_000_002


@pytest.mark.parametrize(
    ("span", "opens"),
    [
        ("1m", "2024-02-28T23:50"),
        ("1d", "2024-02-28"),
        ("3d", "2024-02-26"),
        ("1w", "2024-02-26"),
        ("14d", "2024-02-15"),
        ("1mo", "2024-02-01"),
    ],
)
def test_bars_open_where_the_calendar_says(span: str, opens: str) -> None:
    (bar,) = built(span, trades([(0, 2.0, 3.0, "sell")]))
    assert bar == Bar(parse_time(opens), 2.0, 2.0, 2.0, 2.0, 3.0, 6.0, 1, 0.0, 0.0)


def test_trades_taken_together_have_no_count() -> None:
    (bar,) = built("1m", trades([(0, 2.0, 3.0, "buy")]), rules=BarRules(counted=False))
    assert bar.trades is None


def test_inverse_contracts_are_worth_a_fixed_amount_of_quote_currency() -> None:
    batch = trades([(0, 50_000.0, 10.0, "buy"), (1, 25_000.0, 5.0, "sell")])
    (bar,) = built("1m", batch, rules=BarRules(contract_size=100.0))
    assert (bar.quote_volume, bar.volume) == (1_500.0, 1_000 / 50_000 + 500 / 25_000)
    assert (bar.taker_buy_quote_volume, bar.taker_buy_volume) == (1_000.0, 1_000 / 50_000)


def test_a_bar_counts_only_when_all_of_it_is_covered() -> None:
    day = parse_time("2024-02-01")
    covered = IntervalSet([(day + S_NS, day + DAY_NS - S_NS), (day + 3 * DAY_NS, day + 5 * DAY_NS)])
    assert whole_bars(covered, Span.parse("1d")) == IntervalSet.of(day + 3 * DAY_NS, day + 5 * DAY_NS)
    hours = whole_bars(covered, Span.parse("1h"))
    assert hours.clip(0, day + DAY_NS) == IntervalSet.of(day + DAY_NS // 24, day + 23 * DAY_NS // 24)
    assert not whole_bars(covered, Span.parse("1mo"))


def test_no_trades_make_no_bars() -> None:
    builder = BarBuilder(Span.parse("1m"), BarRules())
    assert [*builder.add(trades([])), *builder.finish()] == []
    assert columns_of([]) == {"ts": []}
