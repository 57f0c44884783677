"""How rows of the same thing become one: idempotent, commutative, associative.

A row is known by its key: `ts` for ohlc, funding and open interest, the id for trades, session, arrival
number and place in the message for book updates, time, side and price for book snapshots. Of rows with one
key the required fields are taken together from the greatest, and each nullable field by itself: a null loses,
then the greatest wins (for `recv_ts` the earliest). Each of these is a maximum in some order, and so is the
whole: the order of arrival never matters, and the same page twice is the page once.

Trades without an id are told apart by their count. Within one observation (a page that holds whole
timestamps, a stream session) equal trades are numbered, and the number is part of the key: observations so
combine by the greatest count, never by the sum. A page that goes on with an observation says from where it
counts on (:func:`with_repeats`), for the pages before it may be merged already. A trade with an id takes the
place of one equal one without.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute

from dccd.domain.records import SCHEMAS
from dccd.domain.types import DataType
from dccd.storage.schema import arrow_schema

pc: Any = pyarrow.compute  # its stubs refuse much of what the kernels take

_KEYS: dict[DataType, tuple[str, ...]] = {
    DataType.OHLC: ("ts", "ts_sub_ns"),
    DataType.FUNDING: ("ts", "ts_sub_ns"),
    DataType.OPEN_INTEREST: ("ts", "ts_sub_ns"),
    DataType.ORDERBOOK: ("ts", "ts_sub_ns", "side", "price"),
}
_TWIN = ("ts", "ts_sub_ns", "price", "amount", "side")
_MESSAGE = ("session", "recv_no")
_BASE = "_base"
_EARLIEST = {"recv_ts"}  # when a row first arrived is when it arrived; all else: the greatest wins
_FILL = {
    "ts_sub_ns": pa.scalar(0, pa.int16()),
    "side": pa.scalar("", pa.string()),
}  # so that null equals null


class Part(NamedTuple):
    """Rows as they were seen together.

    Attributes
    ----------
    rows : pa.Table
        Rows of the data type's schema.
    observation : object
        Parts with an equal one are one observation.
    """

    rows: pa.Table
    observation: object


def merge(data_type: DataType, parts: Sequence[Part]) -> pa.Table:
    """All rows of `parts` once each, in file order.

    Returns
    -------
    pa.Table
        Of the data type's schema.
    """
    schema = arrow_schema(data_type)
    parts = [part for part in parts if part.rows.num_rows]
    if not parts:
        return schema.empty_table()
    parts = sorted(parts, key=lambda part: part.rows.column(0)[0].value)
    repeated = any(_BASE in part.rows.column_names for part in parts)
    rows = [with_repeats(part.rows) if repeated else part.rows for part in parts]
    table = pa.concat_tables(rows).combine_chunks()
    if is_merged(data_type, table):
        return table.select(schema.names)
    table = _filled(table)
    order = [*SCHEMAS[data_type].order]
    match data_type:
        case DataType.TRADES:
            table = _merge_trades(table.append_column("_seen", _observations(parts)))
            order += ["price", "amount", "side"]
        case DataType.BOOK_UPDATES:
            table = _numbered(table.append_column("_seen", _observations(parts)), _MESSAGE)
            table = _unique(table, (*_MESSAGE, "_no"))
            order += ["session", "_no"]
        case _:
            table = _unique(table, _KEYS[data_type])
    if not is_merged(data_type, table):
        table = _sorted(table, order)
    return _unfilled(table.select(schema.names)).cast(schema)


def with_repeats(rows: pa.Table, repeats: Sequence[tuple[int, int]] = ()) -> pa.Table:
    """Rows that know how many equal ones of their observation came in earlier parts.

    Parameters
    ----------
    repeats : sequence of (int, int)
        Row and count, where that is not 0.
    """
    if _BASE in rows.column_names:
        return rows
    counts = array("q", bytes(8 * rows.num_rows))
    for row, count in repeats:
        counts[row] = count
    return rows.append_column(_BASE, pa.array(counts, pa.int64()))


def is_merged(data_type: DataType, table: pa.Table) -> bool:
    """Whether rows are in file order with no key twice; False also where a glance cannot tell."""
    ts = _flat(table, "ts")
    if data_type in (DataType.OHLC, DataType.FUNDING, DataType.OPEN_INTEREST):
        return _rising(ts)
    if data_type is DataType.TRADES and not table["tid_num"].null_count:
        plain = pc.all(pc.equal(_flat(table, "ts_sub_ns").fill_null(0), 0)).as_py()
        return _rising(_flat(table, "tid_num")) and (_rising(ts, or_equal=True) if plain else _rising(ts))
    return False


def _merge_trades(table: pa.Table) -> pa.Table:
    numbers, texts = _flat(table, "tid_num"), _flat(table, "tid")
    if not numbers.null_count:
        return _unique(table.append_column("_id", numbers), ("_id",))
    table = table.append_column("_id", pc.if_else(numbers.is_valid(), numbers.cast(pa.string()), texts))
    table = table.append_column("_anonymous", pc.is_null(_flat(table, "_id")).cast(pa.int8()))
    identified, anonymous = (table.filter(pc.equal(_flat(table, "_anonymous"), no)) for no in (0, 1))
    if identified.num_rows:  # an id counts once in an observation, however often it was sent
        table = pa.concat_tables([_unique(identified, ("_seen", "_id")), anonymous]).combine_chunks()
    table = _numbered(table, _TWIN, first="_anonymous")
    identified, anonymous = (table.filter(pc.equal(_flat(table, "_anonymous"), no)) for no in (0, 1))
    identified, anonymous = _unique(identified, ("_id",)), _unique(anonymous, (*_TWIN, "_no"))
    if anonymous.num_rows and identified.num_rows:
        twins = identified.group_by([*_TWIN]).aggregate([([], "count_all")])
        anonymous = anonymous.join(twins, [*_TWIN])
        absorbed = pc.fill_null(anonymous["count_all"], 0)
        anonymous = anonymous.filter(pc.greater_equal(anonymous["_no"], absorbed))
        anonymous = anonymous.select(table.column_names).cast(
            table.schema
        )  # a join forgets what is never null
    return pa.concat_tables([identified, anonymous]).combine_chunks()


def _unique(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    """One row of each key (never null), sorted by key."""
    fields = [field for field in table.schema if field.name not in keys and not field.name.startswith("_")]
    required = [field.name for field in fields if not field.nullable or field.name == "ts_sub_ns"]
    optional = [field.name for field in fields if field.name not in required]
    table = _sorted(table, [*keys, *required])
    again = _same_as_before(table, keys)
    if not pc.any(again).as_py():
        return table
    first = pc.invert(again)
    equal = _same_as_before(table, [*required, *optional])
    if pc.all(pc.or_(first, equal)).as_py():  # the usual case: the same rows fetched twice
        return table.filter(first)
    last = pa.concat_arrays([first.slice(1), pa.array([True])])
    kept = table.filter(last)
    if not optional:
        return kept
    groups = table.select(optional).append_column("_group", pc.cumulative_sum(first.cast(pa.int64())))
    wanted: list[Any] = [(name, "min" if name in _EARLIEST else "max") for name in optional]
    found = groups.group_by("_group", use_threads=False).aggregate(wanted)
    for name, function in wanted:
        index = kept.schema.get_field_index(name)
        kept = kept.set_column(index, kept.schema.field(name), found[f"{name}_{function}"])
    return kept


def _numbered(table: pa.Table, keys: Sequence[str], first: str | None = None) -> pa.Table:
    """Rows with `_no`: how many rows of its observation with an equal key stand before each."""
    place = pa.array(range(table.num_rows), pa.int64())
    keys = ("_seen", *keys)
    table = table.append_column("_place", place)
    table = _sorted(table, [*keys, *([first] if first else []), "_place"])
    again = _same_as_before(table, keys)
    starts = pc.cumulative_max(pc.if_else(again, pa.scalar(0, pa.int64()), place))
    number = pc.subtract(place, starts)
    if _BASE in table.column_names:
        number = pc.add(number, _flat(table, _BASE))
    return table.append_column("_no", number)


def _sorted(table: pa.Table, names: Sequence[str]) -> pa.Table:
    if table.num_rows < 2:
        return table
    batch = table.combine_chunks().to_batches()[0]
    return table.take(
        pc.sort_indices(batch, sort_keys=[(name, "ascending") for name in names])
    ).combine_chunks()


def _same_as_before(table: pa.Table, names: Sequence[str]) -> pa.Array[Any]:
    """For each row whether all of `names` equal those of the row before it, null being equal to null."""
    rows = table.num_rows
    same = pa.repeat(pa.scalar(True), max(rows - 1, 0))
    for name in names:
        column = _flat(table, name)
        before, after = column.slice(0, max(rows - 1, 0)), column.slice(1)
        equal = pc.equal(before, after)
        if equal.null_count:
            equal = pc.or_(equal.fill_null(False), pc.and_(before.is_null(), after.is_null()))
        same = pc.and_(same, equal)
    return pa.concat_arrays([pa.array([False] if rows else [], pa.bool_()), same])


def _rising(column: pa.Array[Any], *, or_equal: bool = False) -> bool:
    compare = pc.less_equal if or_equal else pc.less
    return bool(pc.all(compare(column.slice(0, len(column) - 1), column.slice(1))).as_py())


def _observations(parts: Sequence[Part]) -> pa.Array[Any]:
    """The number of each row's observation."""
    numbers: dict[object, int] = {}
    return pa.concat_arrays(
        [
            pa.repeat(
                pa.scalar(numbers.setdefault(part.observation, len(numbers)), pa.int32()), part.rows.num_rows
            )
            for part in parts
        ]
    )


def _filled(table: pa.Table) -> pa.Table:
    for name in _FILL.keys() & set(table.column_names):
        index, field = table.schema.get_field_index(name), table.schema.field(name)
        table = table.set_column(index, field, _flat(table, name).fill_null(_FILL[name]))
    return table


def _unfilled(table: pa.Table) -> pa.Table:
    for name in _FILL.keys() & set(table.column_names):
        index, field = table.schema.get_field_index(name), table.schema.field(name)
        column = _flat(table, name)
        filled = pc.equal(column, _FILL[name])
        table = table.set_column(index, field, pc.if_else(filled, pa.scalar(None, field.type), column))
    return table


def _flat(table: pa.Table, name: str) -> Any:
    column = table[name]
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
