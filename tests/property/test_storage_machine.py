"""The store against a plain dict, through any sequence of what a program may do with it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.gaps import GapCause
from dccd.domain.timeutils import HOUR_NS, datetime_ns
from dccd.storage.backfill_log import BackfillLog
from dccd.storage.store import Store

BARS = DatasetId.parse("binance:BTC-USDT:ohlc:30m")
FIRST = 1_706_745_600_000_000_000 - 24 * HOUR_NS  # a day before a month ends
STEP = HOUR_NS // 2
SPOTS = st.integers(0, 95)


def at(spot: int) -> int:
    return FIRST + spot * STEP


class StoreMachine(RuleBasedStateMachine):
    """Bars on 96 spots around a month's end; what is covered, asked, doubted and stored, kept twice."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="dccd-machine-"))
        self.store = Store.open(self.folder)
        self.logs: list[BackfillLog] = []
        self.answers: dict[BackfillLog, IntervalSet] = {}  # which doubts a log is to answer
        self.rows: dict[int, float] = {}
        self.covered = self.asked = self.doubted = IntervalSet()

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @rule()
    def begin(self) -> None:
        if len(self.logs) < 3:
            self.logs.append(self.store.begin_backfill(BARS, "run", source="binance"))
            self.answers[self.logs[-1]] = self.doubted

    @rule(
        number=st.integers(0, 2),
        low=SPOTS,
        high=SPOTS,
        value=st.sampled_from([1.0, 2.0, 3.0]),
        gaps=st.booleans(),
    )
    def append(self, number: int, low: int, high: int, value: float, gaps: bool) -> None:
        if number >= len(self.logs):
            return
        spots = list(range(low, high, 3 if gaps else 1))
        values = [value] * len(spots)
        names = ("open", "high", "low", "close", "volume")
        covered = IntervalSet.of(at(low), at(high))
        self.logs[number].append(
            {"ts": [at(s) for s in spots], **dict.fromkeys(names, values)}, covered, None
        )
        self.covered |= covered
        replaced = covered & self.answers[self.logs[number]]
        self.answers[self.logs[number]] -= replaced
        self.doubted -= replaced
        self.rows = {ts: row for ts, row in self.rows.items() if ts not in replaced}
        for spot in spots:
            self.rows[at(spot)] = max(value, self.rows.get(at(spot), 0.0))

    @rule(number=st.integers(0, 2), spot=SPOTS)
    def publish_before(self, number: int, spot: int) -> None:
        if number < len(self.logs):
            self.logs[number].publish_before(at(spot))

    @rule(number=st.integers(0, 2))
    def finish(self, number: int) -> None:
        if number < len(self.logs):
            self.logs.pop(number).finish()

    @rule()
    def publish(self) -> None:
        self.store.publish()

    @rule(low=SPOTS, high=SPOTS)
    def ask(self, low: int, high: int) -> None:
        if low < high:
            self.store.add_asked(BARS, Interval(at(low), at(high)))
            self.asked |= IntervalSet.of(at(low), at(high))

    @rule(low=SPOTS, high=SPOTS)
    def doubt(self, low: int, high: int) -> None:
        if low < high:
            self.store.add_doubt(BARS, Interval(at(low), at(high)), GapCause.DIFFERS)
            self.doubted |= IntervalSet.of(at(low), at(high))

    @rule(low=SPOTS, high=SPOTS, value=st.sampled_from([1.0, 2.0, 3.0]))
    def stream(self, low: int, high: int, value: float) -> None:
        spots = range(low, min(high, low + 4))
        if spots:
            names = ("open", "high", "low", "close", "volume")
            covered = IntervalSet.of(at(low), at(spots[-1] + 1))
            columns: dict[str, Any] = {
                "ts": [at(s) for s in spots],
                **dict.fromkeys(names, [value] * len(spots)),
            }
            self.store.stream_log().append(BARS, columns, covered, source="binance")
            self.store.stream_log().flush()
            self.covered |= covered
            for spot in spots:
                self.rows[at(spot)] = max(value, self.rows.get(at(spot), 0.0))

    @rule(lose_index=st.booleans())
    def restart(self, lose_index: bool) -> None:
        self.store.close()
        self.logs.clear()
        if lose_index:
            (self.folder / ".dccd" / "catalog.db").unlink()
        self.store = Store.open(self.folder)

    @rule(low=SPOTS, high=SPOTS)
    def read_a_range(self, low: int, high: int) -> None:
        if self.rows:
            found = self.read(at(low), at(high))
            assert found == {ts: value for ts, value in sorted(self.rows.items()) if at(low) <= ts < at(high)}

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        if self.rows:
            assert self.read(None, None) == dict(sorted(self.rows.items()))
        coverage = self.store.coverage(BARS)
        assert coverage.covered == self.covered - self.doubted
        assert coverage.asked == self.asked
        assert coverage.missing == self.asked - self.covered | self.asked & self.doubted
        assert self.store.problems == ()

    def read(self, start_ns: int | None, end_ns: int | None) -> dict[int, Any]:
        found: dict[int, Any] = {}
        for batch in self.store.read(BARS, start_ns, end_ns):
            times = [datetime_ns(ts.as_py()) for ts in batch["ts"]]
            assert not found.keys() & set(times), "a row is there twice"
            assert times == sorted(times)
            found |= dict(zip(times, batch["open"].to_pylist(), strict=True))
        return found


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
