"""The store against a plain dict, through any sequence of what a program may do with it.

`DCCD_MACHINE=400 .venv/bin/pytest tests/property/test_storage_machine.py` tries so many sequences.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.gaps import GapCause
from dccd.domain.types import DataType
from dccd.storage.backfill_log import BackfillLog
from dccd.storage.store import Store
from tests.property.store_model import DATASETS, SPOTS, Key, Model, Row, at, columns, key, rows_at

EXAMPLES = int(os.environ.get("DCCD_MACHINE", "45"))
PLACES = st.integers(0, SPOTS - 1)
STRETCHES = st.builds(lambda low, long: range(low, low + long), PLACES, st.integers(1, 8))
VALUES = st.sampled_from([1.0, 2.0, 3.0])
MORE = st.sampled_from([None, 1, 2])


class StoreMachine(RuleBasedStateMachine):
    """One dataset on some spots around a month's end; all that is to be known of it, kept twice."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="dccd-machine-"))
        self.store = Store.open(self.folder)
        self.logs: list[BackfillLog] = []
        self.answers: dict[BackfillLog, IntervalSet] = {}  # which doubts a log is to answer
        self.trash: dict[str, Model] = {}
        self.ever_doubted = False  # what was deleted is then put back by epochs, not by values

    @initialize(dataset=st.sampled_from(DATASETS))
    def choose(self, dataset: DatasetId) -> None:
        self.dataset, self.model = dataset, Model(dataset)

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    # --- what is written --------------------------------------------------------------------------

    @rule()
    def begin(self) -> None:
        if len(self.logs) < 3:
            self.logs.append(self.store.begin_backfill(self.dataset, "run", source="binance"))
            self.answers[self.logs[-1]] = self.model.doubted

    @rule(
        number=st.integers(0, 2), spots=STRETCHES, value=VALUES, more=MORE, every=st.sampled_from([1, 3, 9])
    )
    def append(self, number: int, spots: range, value: float, more: int | None, every: int) -> None:
        if not self.logs:
            self.begin()
        log, covered = self.logs[number % len(self.logs)], IntervalSet.of(at(spots.start), at(spots.stop))
        rows = self.rows(spots[every // 9 :: every], value, more)  # at times none at all
        log.append(columns(rows), covered, None)
        replaced = covered & self.answers[log]
        self.answers[log] -= replaced
        self.model.take(rows, covered, replaced)

    @rule(spots=STRETCHES, value=VALUES, more=MORE)
    def stream(self, spots: range, value: float, more: int | None) -> None:
        rows, covered = self.rows(spots, value, more), IntervalSet.of(at(spots.start), at(spots[-1]) + 1)
        self.store.stream_log().append(self.dataset, columns(rows), covered, source="binance")
        self.store.stream_log().flush()
        self.model.take(rows, covered)

    @rule(spot=PLACES, value=VALUES, more=MORE)
    def stream_an_open_bar(self, spot: int, value: float, more: int | None) -> None:
        if self.dataset.data_type is DataType.OHLC:
            [row] = self.rows(range(spot, spot + 1), value, more)
            log = self.store.stream_log()
            log.append(self.dataset, columns([row]), IntervalSet(), source="binance", provisional=True)
            log.flush()
            self.model.take_open(row)

    @rule(number=st.integers(0, 2), spot=PLACES)
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

    # --- what is known ----------------------------------------------------------------------------

    @rule(spots=STRETCHES)
    def ask(self, spots: range) -> None:
        interval = Interval(at(spots.start), at(spots.stop))
        self.store.add_asked(self.dataset, interval)
        self.model.asked |= IntervalSet([interval])

    @rule(spots=STRETCHES)
    def doubt(self, spots: range) -> None:
        if not self.trash:
            interval = Interval(at(spots.start), at(spots.stop))
            self.store.add_doubt(self.dataset, interval, GapCause.DIFFERS)
            self.model.doubted |= IntervalSet([interval])
            self.ever_doubted = True

    # --- what becomes of it -----------------------------------------------------------------------

    @rule(lose_index=st.booleans())
    def restart(self, lose_index: bool) -> None:
        self.store.close()
        self.logs.clear()
        if lose_index:
            (self.folder / ".dccd" / "catalog.db").unlink()
        self.store = Store.open(self.folder)
        self.model.open_bars = {}

    @rule()
    def delete(self) -> None:
        self.finish_all()
        if not self.ever_doubted and self.model != Model(self.dataset, open_bars=self.model.open_bars):
            self.trash[self.store.keeping.delete(self.dataset).id] = self.model
            self.model = Model(self.dataset)

    @rule(number=st.integers(0, 2))
    def restore(self, number: int) -> None:
        if self.trash:
            entry_id = list(self.trash)[number % len(self.trash)]
            self.store.keeping.restore(entry_id)
            self.model.join(self.trash.pop(entry_id))

    @rule(number=st.integers(0, 3), closed=st.booleans())
    def remove_a_file(self, number: int, closed: bool) -> None:
        self.finish_all()
        self.restart(lose_index=False)
        self.store.publish()  # no journal has heard of anything now, that could bring it back
        infos = self.store.files(self.dataset)
        if infos:
            info = infos[number % len(infos)]
            if closed:
                self.store.close()
            (self.folder / info.path).unlink()
            if closed:
                self.store = Store.open(self.folder)
            self.model.lose(IntervalSet([info.period.interval]))
            self.read(None, None)  # looks at each file again

    def finish_all(self) -> None:
        while self.logs:
            self.logs.pop().finish()

    # --- what is there ----------------------------------------------------------------------------

    @rule(low=PLACES, high=PLACES)
    def read_a_range(self, low: int, high: int) -> None:
        if self.model.rows:
            expected = {each: row for each, row in self.model.rows.items() if at(low) <= row["ts"] < at(high)}
            assert self.read(at(low), at(high)) == expected

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        if self.model.rows:
            assert self.read(None, None) == self.model.rows
            if not self.ever_doubted:  # rows that were replaced still say what is closed
                assert self.read(None, None, provisional=True) == self.model.with_open()
        coverage, model = self.store.coverage(self.dataset), self.model
        assert coverage.covered == model.covered - model.doubted
        assert coverage.asked == model.asked
        if model.asked or model.covered or model.lost or model.doubted:
            assert self.gaps() == model.gaps()
        assert {entry.id for entry in self.store.keeping.deleted()} == self.trash.keys()
        assert self.store.problems == ()

    def gaps(self) -> list[tuple[int, int, str]]:
        return [(gap.start_ns, gap.end_ns, gap.cause) for gap in self.store.gaps(self.dataset)]

    def rows(self, spots: range, value: float, more: int | None) -> list[Row]:
        return [row for spot in spots for row in rows_at(self.dataset, spot, value, more)]

    def read(self, start_ns: int | None, end_ns: int | None, *, provisional: bool = False) -> dict[Key, Row]:
        found: dict[Key, Row] = {}
        before = 0
        for batch in self.store.read(self.dataset, start_ns, end_ns, provisional=provisional):
            times_us: list[Any] = batch["ts"].cast(pa.int64()).to_pylist()
            times = [us * 1000 for us in times_us]
            assert times == sorted(times)
            assert not times or before <= times[0]
            for ts, row in zip(times, batch.drop_columns(["ts_sub_ns"]).to_pylist(), strict=True):
                row["ts"] = before = ts
                assert key(self.dataset, row) not in found, "a row is there twice"
                found[key(self.dataset, row)] = row
        return found


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=EXAMPLES, stateful_step_count=25, deadline=None)
