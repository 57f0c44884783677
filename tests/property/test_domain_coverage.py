"""The algebra of intervals, against a plain set of instants."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dccd.domain.coverage import Interval, IntervalSet

_MOST = 40
_pairs = st.lists(st.tuples(st.integers(0, _MOST), st.integers(0, _MOST)), max_size=8)


def model(pairs: list[tuple[int, int]]) -> set[int]:
    return {instant for start, end in pairs for instant in range(start, end)}


def instants(intervals: IntervalSet) -> set[int]:
    return model([tuple(item) for item in intervals])  # type: ignore[misc]


def whole(intervals: IntervalSet) -> None:
    """Sorted, disjoint, not touching, none empty."""
    items = list(intervals)
    assert all(start < end for start, end in items)
    assert all(one.end_ns < other.start_ns for one, other in pairwise(items))


@given(_pairs, _pairs)
def test_as_sets_of_instants(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    a, b = IntervalSet(one), IntervalSet(other)
    for made, expected in (
        (a, model(one)),
        (a | b, model(one) | model(other)),
        (a & b, model(one) & model(other)),
        (a - b, model(one) - model(other)),
    ):
        whole(made)
        assert instants(made) == expected
    assert (a == b) == (model(one) == model(other))
    assert bool(a) == bool(model(one))
    if a == b:
        assert hash(a) == hash(b)


@given(_pairs, st.integers(-1, _MOST + 1), st.integers(-1, _MOST + 1))
def test_questions(pairs: list[tuple[int, int]], start: int, end: int) -> None:
    a, held = IntervalSet(pairs), model(pairs)
    asked = set(range(start, end))
    assert (start in a) == (start in held)
    assert instants(a.clip(start, end)) == held & asked
    assert a.covers(start, end) == (asked <= held)
    assert a.length_ns == len(held)
    assert a.start_ns == (min(held) if held else None)
    assert a.end_ns == (max(held) + 1 if held else None)
    assert len(a) == len(list(a))


@given(_pairs, _pairs, _pairs)
def test_laws(one: list[tuple[int, int]], other: list[tuple[int, int]], third: list[tuple[int, int]]) -> None:
    a, b, c = IntervalSet(one), IntervalSet(other), IntervalSet(third)
    assert a | b == b | a
    assert (a | b) | c == a | (b | c)
    assert a & (b | c) == (a & b) | (a & c)
    assert a - (b | c) == (a - b) - c
    assert (a - b) | (a & b) == a


def test_touching_intervals_are_one() -> None:
    assert list(IntervalSet([(5, 9), (1, 5), (3, 3), (9, 2)])) == [Interval(1, 9)]
    assert not IntervalSet.of(7, 7)
    assert "1" not in IntervalSet.of(0, 9)
