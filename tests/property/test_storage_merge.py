"""The laws of merging, for every data type: the order of arrival and repetition never matter."""

from __future__ import annotations

from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from dccd.domain.dataset import DatasetId
from dccd.domain.records import SCHEMAS
from dccd.storage.merge import Part, merge
from dccd.storage.schema import to_batch
from dccd.storage.slices import Unit, merged

DATASETS = {
    name: DatasetId.parse(f"binance:BTC-USDT:{name}")
    for name in ("ohlc:1m", "trades", "funding", "open_interest:5m", "orderbook:5", "book_updates")
}
TIMES = st.sampled_from([1_000_000, 1_000_005, 2_000_000, 1_000_003_000])
FEW = st.sampled_from([1.0, 2.0])


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


def identified() -> st.SearchStrategy[dict[str, Any]]:
    """A trade with an id; the id says what the trade is, but not all of it need be known."""

    def trade(number: int, side: str | None, received: int | None) -> dict[str, Any]:
        ts = (1_000_000, 1_000_005, 2_000_000)[number % 3]
        known = {"ts": ts, "price": 1.0 + number % 2, "amount": 1.0, "tid_num": number}
        return {**known, "side": "buy", "tid": side, "recv_ts": received}

    return st.builds(trade, st.integers(0, 4), maybe(st.just("x")), maybe(st.sampled_from([1000, 2000])))


RECEIVED = {"recv_ts": maybe(st.sampled_from([1000, 2000]))}
ANONYMOUS = st.fixed_dictionaries(
    {"ts": TIMES, "price": FEW, "amount": st.just(1.0), "side": st.sampled_from(["buy", None])},
    optional=RECEIVED,
)
ROWS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "ohlc:1m": st.fixed_dictionaries(
        {"ts": TIMES, **dict.fromkeys(("open", "high", "low", "close", "volume"), FEW)},
        optional={
            **dict.fromkeys(("quote_volume", "taker_buy_volume", "taker_buy_quote_volume"), maybe(FEW)),
            "trades": maybe(st.integers(0, 2)),
        },
    ),
    "trades": st.one_of(identified(), ANONYMOUS),
    "funding": st.fixed_dictionaries({"ts": TIMES, "rate": FEW}, optional={"mark_price": maybe(FEW)}),
    "open_interest:5m": st.fixed_dictionaries(
        {"ts": TIMES, "open_interest": FEW}, optional={"open_interest_value": maybe(FEW)}
    ),
    "orderbook:5": st.fixed_dictionaries(
        {"ts": TIMES, "side": st.sampled_from(["bid", "ask"]), "price": FEW, "amount": FEW},
        optional={"count": maybe(st.integers(0, 2)), **RECEIVED},
    ),
    "book_updates": st.fixed_dictionaries(
        {
            "ts": st.just(1_000_000),
            "session": st.sampled_from(["a", "b"]),
            "recv_no": st.integers(0, 2),
            "is_snapshot": st.just(False),
            "side": st.sampled_from(["bid", "ask"]),
            "price": FEW,
            "amount": FEW,
        },
        optional={"seq": maybe(st.integers(0, 2)), "count": maybe(st.integers(0, 2)), **RECEIVED},
    ),
}


def table(dataset: DatasetId, rows: list[dict[str, Any]]) -> pa.Table:
    names = {name for row in rows for name in row} | {"ts"}
    columns = {name: [row.get(name) for row in rows] for name in names}
    if not rows:
        return pa.Table.from_batches([to_batch(dataset, {"ts": []})])
    return pa.Table.from_batches([to_batch(dataset, columns)])


@pytest.mark.parametrize("name", DATASETS)
def test_every_column_is_drawn(name: str) -> None:
    drawn: set[str] = set()

    @settings(max_examples=200, phases=[Phase.generate], database=None)
    @given(ROWS[name])
    def draw(row: dict[str, Any]) -> None:
        drawn.update(column for column, value in row.items() if value is not None)

    draw()
    assert drawn == {*SCHEMAS[DATASETS[name].data_type].names} - {"ts_sub_ns"}


def bounds(rows: pa.Table) -> tuple[int, int]:
    times = rows["ts"].cast(pa.int64()).to_pylist()
    return int(times[0] or 0), int(times[-1] or 0)


def together(dataset: DatasetId, *tables: pa.Table) -> pa.Table:
    return merge(dataset.data_type, [Part(each, number) for number, each in enumerate(tables)])


@pytest.mark.parametrize("name", DATASETS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_merging_is_idempotent_commutative_associative(name: str, data: st.DataObject) -> None:
    dataset = DATASETS[name]
    a, b, c = (table(dataset, data.draw(st.lists(ROWS[name], max_size=6))) for _ in range(3))
    whole = together(dataset, a, b, c)
    whole.validate(full=True)
    assert together(dataset, c, b, a).equals(whole)
    assert together(dataset, together(dataset, a, b), c).equals(whole)
    assert together(dataset, a, together(dataset, b, c)).equals(whole)
    assert together(dataset, whole, b).equals(whole)
    assert together(dataset, whole).equals(whole)


@settings(max_examples=40, deadline=None)
@given(
    pages=st.lists(st.lists(st.integers(0, 40), max_size=8, unique=True), max_size=8), size=st.integers(1, 9)
)
def test_slices_give_what_one_merge_gives(pages: list[list[int]], size: int) -> None:
    dataset = DATASETS["trades"]
    second = 1_000_000_000
    tables = [
        table(
            dataset,
            [{"ts": n * second // 3, "price": 1.0, "amount": 1.0, "tid_num": n} for n in sorted(page)],
        )
        for page in pages
        if page
    ]
    units = [
        Unit(*bounds(each), len(each), partial(pa.concat_tables, [each]), n) for n, each in enumerate(tables)
    ]
    found = list(merged(dataset.data_type, units, 0, 1 << 62, size))
    expected = together(dataset, *tables)
    assert pa.concat_tables([expected.slice(0, 0), *found]).equals(expected)


@settings(max_examples=40, deadline=None)
@given(counts=st.lists(st.integers(0, 4), min_size=1, max_size=5))
def test_equal_trades_without_ids_combine_by_the_greatest_count(counts: list[int]) -> None:
    dataset = DATASETS["trades"]
    trade = {"ts": 1_000_000, "price": 1.0, "amount": 1.0}
    assert together(dataset, *(table(dataset, [trade] * count) for count in counts)).num_rows == max(counts)


def test_pages_of_one_observation_are_counted_together() -> None:
    dataset = DATASETS["trades"]
    trade = table(dataset, [{"ts": 1_000_000, "price": 1.0, "amount": 1.0}])
    parts = [Part(trade, "session"), Part(trade, "session"), Part(trade, "fetch")]
    assert merge(dataset.data_type, parts).num_rows == 2


def test_a_trade_with_an_id_takes_the_place_of_one_without() -> None:
    dataset = DATASETS["trades"]
    bare = {"ts": 1_000_000, "price": 1.0, "amount": 1.0, "side": "buy"}
    found = together(dataset, table(dataset, [bare, bare]), table(dataset, [{**bare, "tid": "x"}]))
    assert found["tid"].to_pylist() == ["x", None]


def test_of_a_conflict_the_required_fields_stay_together() -> None:
    dataset = DATASETS["ohlc:1m"]
    low = {"ts": 0, "open": 1.0, "high": 9.0, "low": 1.0, "close": 1.0, "volume": 1.0, "trades": 5}
    high = {"ts": 0, "open": 2.0, "high": 2.0, "low": 2.0, "close": 2.0, "volume": 2.0}
    [row] = together(dataset, table(dataset, [low]), table(dataset, [high])).to_pylist()
    assert (row["open"], row["high"], row["trades"]) == (2.0, 2.0, 5)
