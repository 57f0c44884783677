"""Replacing and counting on, through any publications: the order of merging and repetition never matter."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dccd.domain.coverage import IntervalSet
from dccd.storage.epochs import Replaced
from dccd.storage.merge import Part, merge, with_repeats
from dccd.storage.predecessors import Predecessors
from dccd.storage.slices import Unit, merged, parted
from tests.property.test_storage_merge import DATASETS, ROWS, table

_END_US = 1 << 40
_INSTANTS = st.integers(0, 12)
_STRETCHES = st.lists(st.tuples(st.integers(1, 4), st.tuples(_INSTANTS, _INSTANTS)), max_size=5)
EDGES = st.sampled_from([0, 1_000_003, 2_000_000, 3_000_000, 1_000_003_001])


def epochs(stretches: list[tuple[int, tuple[int, int]]]) -> tuple[Replaced, dict[int, int]]:
    """The same twice: as the program has it, and as a plain dict of instants."""
    plain: dict[int, int] = {}
    for epoch, (start, end) in stretches:
        for instant in range(start, end):
            plain[instant] = max(epoch, plain.get(instant, 0))
    return Replaced((epoch, IntervalSet.of(*stretch)) for epoch, stretch in stretches), plain


def as_dict(replaced: Replaced) -> dict[int, int]:
    found: dict[int, int] = {}
    for epoch, intervals in replaced:
        for start, end in intervals:
            assert not found.keys() & set(range(start, end)), "an instant twice"
            found |= dict.fromkeys(range(start, end), epoch)
    return found


@given(_STRETCHES, _STRETCHES, _STRETCHES, st.integers(0, 4), st.tuples(_INSTANTS, _INSTANTS))
def test_of_each_instant_the_greatest_epoch_counts(
    one: Any, two: Any, three: Any, epoch: int, clip: tuple[int, int]
) -> None:
    (a, plain), (b, other), (c, _) = epochs(one), epochs(two), epochs(three)
    assert as_dict(a) == plain
    assert as_dict(a | b) == {n: max(plain.get(n, 0), other.get(n, 0)) for n in plain.keys() | other.keys()}
    assert a | b == b | a
    assert (a | b) | c == a | (b | c)
    assert a | a == a
    assert as_dict(a.clip(*clip)) == {n: e for n, e in plain.items() if clip[0] <= n < clip[1]}
    assert a.epoch == max(plain.values(), default=0)
    dead = {n for start, end in a.dead(epoch, b) for n in range(start, end)}
    assert dead == {n for n, e in plain.items() if e > max(epoch, other.get(n, 0))}


def unit(rows: pa.Table, observation: object, epoch: int = 0, replaced: Replaced = Replaced()) -> Unit:  # noqa: B008 - immutable
    times: list[Any] = rows["ts"].cast(pa.int64()).to_pylist() or [0]
    load = partial(pa.concat_tables, [rows])
    return Unit(min(times), max(times), rows.num_rows, load, observation, epoch, replaced)


def rows_of(name: str, units: list[Unit], size: int) -> pa.Table:
    found = merged(DATASETS[name].data_type, units, 0, _END_US, size)
    return pa.concat_tables([table(DATASETS[name], []), *found])


def file_of(name: str, units: list[Unit], size: int) -> Unit:
    """What publishing makes of units."""
    replaced = Replaced()
    for each in units:
        replaced |= each.replaced
    return unit(rows_of(name, units, size), object(), replaced=replaced)


@pytest.mark.parametrize("name", DATASETS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_replacing_is_deleting_and_inserting_whatever_is_published_when(
    name: str, data: st.DataObject
) -> None:
    dataset = DATASETS[name]
    empty = table(dataset, [])
    expected, known = empty, 0
    frames: list[Unit] = []
    file: Unit | None = None
    published = 0
    size = data.draw(st.sampled_from([1, 1000]), "rows of a slice")
    for _ in range(data.draw(st.integers(1, 5), "pages")):
        page = table(dataset, data.draw(st.lists(ROWS[name], max_size=5), "rows"))
        if data.draw(st.booleans(), "replaces"):
            interval = IntervalSet.of(data.draw(EDGES), data.draw(EDGES))
            page, _ = parted(page, interval)
            expected = parted(expected, interval)[1]
            known += 1
            frames.append(unit(page, len(frames), known, Replaced([(known, interval)])))
        else:
            frames.append(unit(page, len(frames), known))
        expected = merge(dataset.data_type, [Part(expected, 0), Part(page, 1)])
        if data.draw(st.booleans(), "publish"):
            again = data.draw(st.integers(0, published), "frames that come back after a crash")
            units = [*([file] if file else []), *frames[published - again :]]
            file = file_of(name, data.draw(st.permutations(units)), size)
            published = len(frames)
    units = data.draw(st.permutations([*([file] if file else []), *frames[published:]]))
    assert rows_of(name, units, size).equals(expected)
    assert rows_of(name, data.draw(st.permutations(frames)), size).equals(expected)
    assert rows_of(name, [*([file] if file else []), *frames], size).equals(expected)


TRADE = st.tuples(st.sampled_from([1_000_000, 2_000_000, 3_000_000_000]), st.sampled_from([1.0, 2.0]))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_session_counts_equal_trades_through_pages_and_publications(data: st.DataObject) -> None:
    dataset = DATASETS["trades"]
    before = Predecessors()
    sessions: dict[str, Counter[Any]] = {"one": Counter(), "two": Counter()}
    frames: list[Unit] = []
    file: Unit | None = None
    published = 0
    for _ in range(data.draw(st.integers(1, 6), "pages")):
        session = data.draw(st.sampled_from(sorted(sessions)), "session")
        rows = [
            {"ts": ts, "price": price, "amount": 1.0} for ts, price in data.draw(st.lists(TRADE, max_size=4))
        ]
        sessions[session].update((row["ts"], row["price"]) for row in rows)
        page = table(dataset, rows)
        batch = page.combine_chunks().to_batches()
        repeats = before.repeats(dataset, session, 0, batch[0]) if batch else ()
        if batch:
            before.saw(dataset, session, 0, batch[0])
        frames.append(unit(with_repeats(page, repeats), len(frames)))
        if data.draw(st.booleans(), "publish"):
            again = data.draw(st.integers(0, published), "frames that come back after a crash")
            units = [*([file] if file else []), *frames[published - again :]]
            file = file_of("trades", data.draw(st.permutations(units)), 1000)
            published = len(frames)
    expected = sessions["one"] | sessions["two"]  # of two counts the greater
    for units in ([*([file] if file else []), *frames[published:]], frames):
        found = rows_of("trades", data.draw(st.permutations(units)), 1000)
        times_us: list[Any] = found["ts"].cast(pa.int64()).to_pylist()
        times = [
            us * 1000 + (ns or 0) for us, ns in zip(times_us, found["ts_sub_ns"].to_pylist(), strict=True)
        ]
        assert Counter(zip(times, found["price"].to_pylist(), strict=True)) == expected


def test_a_unit_that_is_dead_is_not_even_loaded() -> None:
    dataset = DATASETS["funding"]
    old = unit(table(dataset, [{"ts": 5_000, "rate": 1.0}]), 0)

    def fail() -> pa.Table:
        raise AssertionError("loaded")

    new = unit(table(dataset, []), 1, 1, Replaced([(1, IntervalSet.of(0, 10_000))]))
    assert list(merged(dataset.data_type, [replace(old, load=fail), new], 0, _END_US)) == []
