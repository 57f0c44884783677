"""What is missing, as a partition: every missing instant once, put down to the cause that comes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dccd.domain.coverage import IntervalSet
from dccd.domain.gaps import GapCause
from dccd.storage.info import Coverage, find_gaps

_MOST = 30
SETS = st.lists(st.tuples(st.integers(0, _MOST), st.integers(0, _MOST)), max_size=5).map(IntervalSet)
MISSED = st.dictionaries(st.sampled_from([*(cause.value for cause in GapCause), "an older program's"]), SETS)
_ORDER = [*(cause.value for cause in GapCause), "an older program's"]


@given(SETS, SETS, SETS, MISSED)
def test_every_missing_instant_has_the_first_of_its_causes(
    covered: IntervalSet, asked: IntervalSet, absent: IntervalSet, missed: dict[str, IntervalSet]
) -> None:
    gaps = find_gaps(Coverage(covered, asked, absent), missed)
    assert [gap.start_ns for gap in gaps] == sorted(gap.start_ns for gap in gaps)
    found: dict[int, str] = {}
    for gap in gaps:
        for instant in range(gap.start_ns, gap.end_ns):
            assert instant not in found, "one instant in two gaps"
            found[instant] = gap.cause
    expected = {}
    for instant in range(_MOST):
        causes = [cause for cause in _ORDER if instant in missed.get(cause, IntervalSet())]
        if (causes or instant in asked) and instant not in covered and instant not in absent:
            expected[instant] = causes[0] if causes else "never fetched"
    assert found == expected
