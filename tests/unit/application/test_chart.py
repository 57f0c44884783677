"""As many points as there is room for, at lengths that are told truthfully."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dccd.application.operations.chart import chart, step
from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS, MS_NS, S_NS, parse_time
from dccd.domain.types import DataType
from dccd.storage.store import Store

START_NS = parse_time("2019-09-10T08:00")
WEEK_NS = 7 * DAY_NS
spans = st.sampled_from(
    [S_NS, MINUTE_NS, 3 * MINUTE_NS, 5 * MINUTE_NS, HOUR_NS, 8 * HOUR_NS, DAY_NS, WEEK_NS]
)


def touched(step_ns: int, start_ns: int, end_ns: int) -> int:
    anchor_ns = 4 * DAY_NS if step_ns % WEEK_NS == 0 else 0
    return (end_ns - 1 - anchor_ns) // step_ns - (start_ns - anchor_ns) // step_ns + 1


@given(
    base_ns=spans, start=st.integers(0, 10**9), rows=st.integers(1, 5_000_000), points=st.integers(10, 3_000)
)
def test_room_is_used_to_a_half_at_least(base_ns: int, start: int, rows: int, points: int) -> None:
    start_ns = start * S_NS
    end_ns = start_ns + rows * base_ns
    for usual in (True, False):
        step_ns = step(base_ns, start_ns, end_ns, points, usual=usual)
        assert step_ns % base_ns == 0
        assert touched(step_ns, start_ns, end_ns) <= points
        if touched(base_ns, start_ns, end_ns) <= points:
            assert step_ns == base_ns
        else:
            assert touched(step_ns, start_ns, end_ns) >= points // 2 - 1


@pytest.mark.parametrize(
    ("days", "points", "length_ns"),
    [
        (1_000, 1_000, DAY_NS),
        (1_500, 1_000, 2 * DAY_NS),
        (2_500, 1_000, 3 * DAY_NS),
        (4_000, 800, WEEK_NS),
        (4_000, 300, 2 * WEEK_NS),
        (4_000, 200, 4 * WEEK_NS),
    ],
)
def test_bars_keep_to_lengths_that_people_read(days: int, points: int, length_ns: int) -> None:
    end_ns = parse_time("2024-01-01")
    assert step(MINUTE_NS, end_ns - days * DAY_NS, end_ns, points, usual=True) == length_ns


@pytest.fixture
def store(data_path: Path) -> Iterator[Store]:
    opened = Store.open(data_path)
    yield opened
    opened.close()


FUNDING = DatasetId("binance", Symbol.parse("BTC/USDT:USDT"), DataType.FUNDING)


def keep(store: Store, ts: list[int]) -> None:
    log = store.begin_backfill(FUNDING, "run", source="Binance")
    rates = [index / 1e6 for index in range(len(ts))]
    log.append({"ts": ts, "rate": rates, "mark_price": rates}, IntervalSet.of(ts[0], ts[-1] + 1))
    log.finish()


async def test_a_line_of_funding_uses_its_room_and_tells_its_bucket(store: Store) -> None:
    keep(store, [START_NS + index * 8 * HOUR_NS + index % 7 * MS_NS for index in range(7_847)])
    drawn = await chart(FUNDING, store=store, points=1_000)
    assert (drawn.kind, drawn.span_s) == ("line", 8 * 8 * 3_600)
    assert 950 <= len(drawn.bars.t) <= 1_000
    assert {later - t for t, later in zip(drawn.bars.t, drawn.bars.t[1:], strict=False)} == {drawn.span_s}


async def test_a_line_with_room_shows_each_row_at_its_own_time(store: Store) -> None:
    eight = [START_NS + index * 8 * HOUR_NS for index in range(50)]
    four = [eight[-1] + (index + 1) * 4 * HOUR_NS for index in range(50)]
    keep(store, eight + four)
    drawn = await chart(FUNDING, store=store, points=1_000)
    assert drawn.span_s == 4 * 3_600
    assert drawn.bars.t == [ts_ns // S_NS for ts_ns in eight + four]
    assert drawn.bars.c == [index / 1e6 for index in range(100)]


@pytest.mark.parametrize("span", ["1w", "14d"])
async def test_bars_of_weeks_are_drawn_when_they_open(store: Store, span: str) -> None:
    dataset = DatasetId("bitfinex", Symbol.parse("BTC/USD"), DataType.OHLC, Span.parse(span))
    opens = [Span.parse(span).floor(START_NS)]
    for _ in range(20):
        opens.append(Span.parse(span).next(opens[-1]))
    log = store.begin_backfill(dataset, "run", source="Bitfinex")
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), [1.5] * len(opens))
    log.append({"ts": opens, **prices}, IntervalSet.of(opens[0], Span.parse(span).next(opens[-1])))
    log.finish()
    drawn = await chart(dataset, store=store)
    assert drawn.bars.t == [ts_ns // S_NS for ts_ns in opens]
