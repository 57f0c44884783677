"""What the rows of one period file must be: in order, each key once, in their period, at their span."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId, Period
from dccd.domain.records import SCHEMAS, Kind
from dccd.domain.span import Span
from dccd.domain.timeutils import DAY_NS, S_NS, US_NS, iso
from dccd.domain.types import DataType

pc: Any = pyarrow.compute  # its stubs refuse much of what the kernels take

_BAR_KEY = ("ts", "ts_sub_ns")
_KEYS: dict[DataType, tuple[str, ...]] = {
    DataType.OHLC: _BAR_KEY,
    DataType.FUNDING: _BAR_KEY,
    DataType.OPEN_INTEREST: _BAR_KEY,
    DataType.ORDERBOOK: (*_BAR_KEY, "side", "price"),
}
_NEVER_NEGATIVE = ("amount", "volume", "open_interest")
_SECOND_US = S_NS // US_NS


class RowChecks:
    """Looks at a file's rows a table at a time, in file order; memory is bounded by the table.

    Of trades, ids are compared within each second, as far as the merge compares them. Of book updates, whose
    key is their place in a message, only the order can be told.

    Parameters
    ----------
    empty : IntervalSet
        Where the coverage database says that the dataset is covered and has no row.
    """

    def __init__(self, dataset: DatasetId, period: Period, empty: IntervalSet) -> None:
        self.rows = 0
        self._dataset, self._period, self._empty = dataset, period, empty
        self._schema = SCHEMAS[dataset.data_type]
        self._last: pa.Table | None = None
        self._phase_ns: int | None = None
        self._errors: dict[str, tuple[int, int]] = {}
        self._warnings: dict[str, tuple[int, int]] = {}

    @property
    def errors(self) -> list[str]:
        """What cannot be right, in words, a sentence a kind."""
        return _sentences(self._errors)

    @property
    def warnings(self) -> list[str]:
        """What is unlikely to be right."""
        return _sentences(self._warnings)

    def add(self, table: pa.Table) -> None:
        """Look at the next rows, of the dataset's schema."""
        if not table.num_rows:
            return
        self.rows += table.num_rows
        table = _plain(table)
        ts = _column(table, "ts")
        start_us, end_us = (ns // US_NS for ns in self._period.interval)
        self._note(self._errors, "outside the file's period", ts, _outside(ts, start_us, end_us))
        for start, end in self._empty:
            inside = pc.invert(_outside(ts, -(-start // US_NS), -(-end // US_NS)))
            self._note(self._warnings, "where the time is recorded as without rows", ts, inside)
        self._check_order(table)
        if self._dataset.data_type is DataType.TRADES:
            self._check_ids(table)
        if self._dataset.data_type is DataType.OHLC and self._dataset.span is not None:
            self._check_grid(ts, self._dataset.span)
        self._check_values(table, ts)
        self._last = self._tail(table)

    def _check_order(self, table: pa.Table) -> None:
        whole = (
            table if self._last is None else pa.concat_tables([self._last.slice(len(self._last) - 1), table])
        )
        whole = whole.combine_chunks()
        rows = whole.num_rows
        if rows < 2:
            return
        ts = _column(whole, "ts").slice(1)
        keys = _KEYS.get(self._dataset.data_type, ())
        later, same = pa.repeat(pa.scalar(False), rows - 1), pa.repeat(pa.scalar(True), rows - 1)
        for name in self._schema.order:
            column = _column(whole, name)
            greater, equal = _compare(column.slice(0, rows - 1), column.slice(1))
            later = pc.or_(later, pc.and_(same, greater))
            same = pc.and_(same, equal)
        self._note(self._errors, "out of order", ts, later)
        if keys:
            again = pa.repeat(pa.scalar(True), rows - 1)
            for name in keys:
                column = _column(whole, name)
                again = pc.and_(again, _compare(column.slice(0, rows - 1), column.slice(1))[1])
            self._note(self._errors, "there twice", ts, again)

    def _check_ids(self, table: pa.Table) -> None:
        old_rows = 0 if self._last is None else self._last.num_rows
        if self._last is not None:
            table = pa.concat_tables([self._last, table]).combine_chunks()
        numbers, texts, ts = (_column(table, name) for name in ("tid_num", "tid", "ts"))
        if not numbers.null_count and _rising(numbers):
            return
        ids = pc.if_else(numbers.is_valid(), numbers.cast(pa.string()), texts)
        places = pa.array(range(table.num_rows), pa.int64())
        seen = pa.table({"id": ids, "second": pc.divide(ts, _SECOND_US), "ts": ts, "place": places})
        counted = (
            seen.filter(ids.is_valid())
            .group_by(["id", "second"])
            .aggregate([("ts", "count"), ("ts", "max"), ("place", "max")])
        )
        # Two that both stood in the table before were told then.
        twice = counted.filter(
            pc.and_(pc.greater(counted["ts_count"], 1), pc.greater_equal(counted["place_max"], old_rows))
        ).combine_chunks()
        if twice.num_rows:
            at = _column(twice, "ts_max")
            self._note(self._errors, "there twice", at, pa.repeat(pa.scalar(True), len(at)))

    def _check_grid(self, ts: Any, span: Span) -> None:
        """Bars open at multiples of their span; those of several days may count from a day of their own."""
        if span.months:
            off = pa.array([span.floor(us * US_NS) != us * US_NS for us in ts.to_pylist()], pa.bool_())
        else:
            length_us = span.nominal_ns // US_NS
            if self._phase_ns is None:
                first_ns = ts[0].as_py() * US_NS
                own = span.nominal_ns > DAY_NS and first_ns % DAY_NS == 0
                self._phase_ns = (first_ns if own else span.floor(first_ns)) % span.nominal_ns
            shifted = pc.subtract(ts, self._phase_ns // US_NS)
            off = pc.not_equal(shifted, pc.multiply(pc.divide(shifted, length_us), length_us))
        self._note(self._errors, f"at no multiple of {span}", ts, off)

    def _check_values(self, table: pa.Table, ts: Any) -> None:
        for column in self._schema.columns:
            if column.kind is not Kind.FLOAT:
                continue
            values = _column(table, column.name)
            if not column.nullable:
                self._note(
                    self._warnings, f"without a finite {column.name}", ts, pc.invert(pc.is_finite(values))
                )
            if column.name in _NEVER_NEGATIVE:
                self._note(self._warnings, f"with a negative {column.name}", ts, pc.less(values, 0.0))
        if self._dataset.data_type is DataType.OHLC:
            first, high, low, last = (_column(table, name) for name in ("open", "high", "low", "close"))
            over = pc.less(high, pc.max_element_wise(first, last, low))
            under = pc.greater(low, pc.min_element_wise(first, last))
            self._note(
                self._warnings, "with a high below, or a low above, other prices", ts, pc.or_(over, under)
            )

    def _tail(self, table: pa.Table) -> pa.Table:
        """What the next table is compared with: the last row, or all trades of the last second."""
        if self._dataset.data_type is not DataType.TRADES:
            return table.slice(table.num_rows - 1).combine_chunks()
        second = pc.divide(table["ts"], _SECOND_US)
        return table.filter(pc.equal(second, second[len(second) - 1])).combine_chunks()

    def _note(self, into: dict[str, tuple[int, int]], what: str, ts: Any, wrong: Any) -> None:
        count = pc.sum(wrong).as_py() or 0
        if count:
            first_us = ts.filter(pc.fill_null(wrong, False))[0].as_py()
            before, first_ns = into.get(what, (0, first_us * US_NS))
            into[what] = (before + count, first_ns)


def _sentences(found: dict[str, tuple[int, int]]) -> list[str]:
    return [
        f"{count:,} {'row is' if count == 1 else 'rows are'} {what}, first at {iso(first_ns)}."
        for what, (count, first_ns) in found.items()
    ]


def _plain(table: pa.Table) -> pa.Table:
    """One chunk a column; `ts` as a number, and no null where the order takes it for a value."""
    table = table.combine_chunks()
    for name, kind, null in (("ts", pa.int64(), 0), ("ts_sub_ns", pa.int16(), 0), ("side", pa.string(), "")):
        index = table.schema.get_field_index(name)
        if index >= 0:
            column: Any = table[name].cast(kind)
            table = table.set_column(index, name, column.fill_null(pa.scalar(null, kind)))
    return table.combine_chunks()


def _column(table: pa.Table, name: str) -> Any:
    """A column of a table that has one chunk."""
    return table[name].chunk(0)


def _outside(ts: Any, start_us: int, end_us: int) -> Any:
    return pc.or_(
        pc.less(ts, pa.scalar(start_us, pa.int64())), pc.greater_equal(ts, pa.scalar(end_us, pa.int64()))
    )


def _compare(before: Any, after: Any) -> tuple[Any, Any]:
    """Where a value is greater than the next, and where they are equal; a null is greater than any value."""
    greater, equal = pc.greater(before, after), pc.equal(before, after)
    if greater.null_count:
        greater = greater.fill_null(False)
        greater = pc.or_(greater, pc.and_(before.is_null(), after.is_valid()))
        equal = pc.or_(equal.fill_null(False), pc.and_(before.is_null(), after.is_null()))
    return greater, equal


def _rising(numbers: Any) -> bool:
    rows = len(numbers)
    return bool(pc.all(pc.less(numbers.slice(0, rows - 1), numbers.slice(1))).as_py())
