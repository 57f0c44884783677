"""The columns of each data type: names, kinds, what may be null, what identifies a row.

A field that an exchange does not give is null, never invented. Every column is in every file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dccd.domain.types import DataType

# What parsers return: one sequence a column, all of one length. `ts` is nanoseconds UTC.
Columns = Mapping[str, Sequence[object]]


class Kind(StrEnum):
    """What a column holds; storage gives each kind its Arrow type."""

    TIME = "time"  # int, nanoseconds UTC
    SUB_NS = "sub_ns"  # int 0..999, nanoseconds below the microsecond
    FLOAT = "float"  # the nearest float64 of the exchange's decimal text
    INT = "int"
    TEXT = "text"
    SIDE = "side"  # "buy" or "sell"; "bid" or "ask" in books
    BOOL = "bool"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a data type."""

    name: str
    kind: Kind
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class RecordSchema:
    """The columns of a data type, in file order.

    Attributes
    ----------
    columns : tuple of Column
        `ts` is first; `ts_sub_ns` (storage splits it off `ts`) second.
    order : tuple of str
        What rows are sorted by in a file.
    """

    columns: tuple[Column, ...]
    order: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in file order."""
        return tuple(column.name for column in self.columns)


_TS = (Column("ts", Kind.TIME), Column("ts_sub_ns", Kind.SUB_NS, nullable=True))
_RECV = Column("recv_ts", Kind.TIME, nullable=True)
_LEVEL = (
    Column("side", Kind.SIDE),
    Column("price", Kind.FLOAT),
    Column("amount", Kind.FLOAT),
    Column("count", Kind.INT, nullable=True),
    _RECV,
)

SCHEMAS: Mapping[DataType, RecordSchema] = {
    DataType.OHLC: RecordSchema(
        (
            *_TS,
            Column("open", Kind.FLOAT),
            Column("high", Kind.FLOAT),
            Column("low", Kind.FLOAT),
            Column("close", Kind.FLOAT),
            Column("volume", Kind.FLOAT),
            Column("quote_volume", Kind.FLOAT, nullable=True),
            Column("trades", Kind.INT, nullable=True),
            Column("taker_buy_volume", Kind.FLOAT, nullable=True),
            Column("taker_buy_quote_volume", Kind.FLOAT, nullable=True),
        ),
        order=("ts",),
    ),
    DataType.TRADES: RecordSchema(
        (
            *_TS,
            Column("price", Kind.FLOAT),
            Column("amount", Kind.FLOAT),
            Column("side", Kind.SIDE, nullable=True),
            Column("tid", Kind.TEXT, nullable=True),
            Column("tid_num", Kind.INT, nullable=True),
            _RECV,
        ),
        order=("ts", "ts_sub_ns", "tid_num", "tid"),
    ),
    DataType.ORDERBOOK: RecordSchema((*_TS, *_LEVEL), order=("ts", "ts_sub_ns", "side", "price")),
    DataType.BOOK_UPDATES: RecordSchema(
        (
            *_TS,
            Column("session", Kind.TEXT),
            Column("seq", Kind.INT, nullable=True),
            Column("recv_no", Kind.INT),
            Column("is_snapshot", Kind.BOOL),
            *_LEVEL,
        ),
        order=("ts", "ts_sub_ns", "recv_no"),
    ),
    DataType.FUNDING: RecordSchema(
        (*_TS, Column("rate", Kind.FLOAT), Column("mark_price", Kind.FLOAT, nullable=True)),
        order=("ts",),
    ),
    DataType.OPEN_INTEREST: RecordSchema(
        (
            *_TS,
            Column("open_interest", Kind.FLOAT),
            Column("open_interest_value", Kind.FLOAT, nullable=True),
        ),
        order=("ts",),
    ),
}
