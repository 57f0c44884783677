"""From the package's columns to this program's, and which rows cannot come along."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pyarrow as pa
import pyarrow.compute

from dccd.domain.types import DataType
from dccd.storage.reference.file import TIME, UnreadableOldFile

pc: Any = pyarrow.compute  # its stubs refuse much of what the kernels take

OLDEST_NS = 1_230_940_800_000_000_000  # 2009-01-03, the day of the first block
# Older names of its columns, still read there.
_RENAMED = {"quote_volume": "quoteVolume"}
_DIGITS = r"^(0|[1-9][0-9]{0,17})$"

# Reasons for leaving a row out.
NO_TIME = "no time"
IMPLAUSIBLE = "a time before 2009 or in the future"
NO_VALUE = "no value, or none that is a number, where there must be one"
ZERO = "a price of 0, which the package wrote where the exchange gave none"
NO_SIDE = "a side that is none"
NEITHER = "neither said to be a snapshot nor a change"


class _Want(Enum):
    PRICE = "price"  # a number, not 0
    NUMBER = "number"
    MAYBE_NUMBER = "maybe number"
    MAYBE_COUNT = "maybe count"
    TAKER = "taker"  # buy, sell or null
    BOOK_SIDE = "book side"  # bid or ask
    ID = "id"
    FLAG = "flag"


_COLUMNS: Mapping[DataType, Mapping[str, _Want]] = {
    DataType.OHLC: {
        "open": _Want.PRICE,
        "high": _Want.PRICE,
        "low": _Want.PRICE,
        "close": _Want.PRICE,
        "volume": _Want.NUMBER,
        "quote_volume": _Want.MAYBE_NUMBER,
        "trades": _Want.MAYBE_COUNT,
    },
    DataType.TRADES: {
        "price": _Want.PRICE,
        "amount": _Want.NUMBER,
        "side": _Want.TAKER,
        "tid": _Want.ID,
    },
    DataType.ORDERBOOK: {
        "side": _Want.BOOK_SIDE,
        "price": _Want.PRICE,
        "amount": _Want.NUMBER,
        "count": _Want.MAYBE_COUNT,
        "is_snapshot": _Want.FLAG,
    },
    DataType.FUNDING: {"rate": _Want.NUMBER, "mark_price": _Want.MAYBE_NUMBER},
    DataType.OPEN_INTEREST: {
        "open_interest": _Want.NUMBER,
        "open_interest_value": _Want.MAYBE_NUMBER,
    },
}
_OPTIONAL = {_Want.MAYBE_NUMBER, _Want.MAYBE_COUNT, _Want.TAKER, _Want.ID}


@dataclass(frozen=True, slots=True)
class Taken:
    """Rows in this program's columns.

    Attributes
    ----------
    rows : pa.Table
        `ts` in nanoseconds (int64), the columns that were there, `is_snapshot` for books; in order of time.
    left_out : Counter
        How many rows were left out, by reason.
    """

    rows: pa.Table
    left_out: Counter[str]


def wanted(data_type: DataType) -> list[str]:
    """The columns to read, `TS` first, older spellings included."""
    return [TIME, *_COLUMNS[data_type], *(_RENAMED[n] for n in _COLUMNS[data_type] if n in _RENAMED)]


def unknown(data_type: DataType, columns: Sequence[str]) -> list[str]:
    """The columns of a file that mean nothing here."""
    return sorted(set(columns) - set(wanted(data_type)))


def take(data_type: DataType, page: pa.Table, now_ns: int, shift_ns: int = 0) -> Taken:
    """Convert a page.

    Parameters
    ----------
    now_ns : int
        Times more than a day after it are implausible.
    shift_ns : int
        Added to each time.

    Raises
    ------
    UnreadableOldFile
        A column is missing, or of another kind.
    """
    ts = page[TIME]
    keep = _Sieve(page.num_rows)
    keep.only(pc.is_valid(ts), NO_TIME)
    latest = now_ns + 86_400_000_000_000
    plausible = pc.and_(pc.greater_equal(ts, OLDEST_NS), pc.less_equal(ts, latest))
    keep.only(pc.fill_null(plausible, False), IMPLAUSIBLE)
    made: dict[str, Any] = {"ts": pc.add(ts, pa.scalar(shift_ns, pa.int64())) if shift_ns else ts}
    for name, want in _COLUMNS[data_type].items():
        column = _find(page, name, want)
        if column is not None:
            made |= _MAKERS[want](name, column, keep)
    rows = pa.table(made).filter(keep.mask)
    return Taken(rows.combine_chunks(), keep.left_out)


class _Sieve:
    """Which rows stay, and why the others do not: each is counted once, by the first reason."""

    def __init__(self, rows: int) -> None:
        self.mask = pa.repeat(pa.scalar(True), rows)
        self.left_out: Counter[str] = Counter()

    def only(self, good: Any, reason: str) -> None:
        good = good.combine_chunks() if isinstance(good, pa.ChunkedArray) else good
        out = pc.sum(pc.and_(self.mask, pc.invert(good))).as_py()
        if out:
            self.left_out[reason] += out
            self.mask = pc.and_(self.mask, good)


def _find(page: pa.Table, name: str, want: _Want) -> Any:
    for spelling in (name, _RENAMED.get(name)):
        if spelling in page.column_names:
            return page[spelling]
    if want in _OPTIONAL:
        return None
    raise UnreadableOldFile(f"it has no column {name}")


def _number(name: str, column: Any) -> Any:
    """As float64, null where there is no finite number."""
    if pa.types.is_null(column.type):
        return column.cast(pa.float64())
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise UnreadableOldFile(f"its column {name} is {column.type}, not numbers")
    column = column.cast(pa.float64(), safe=False)
    return pc.if_else(pc.is_finite(column), column, pa.scalar(None, pa.float64()))


def _text(name: str, column: Any) -> Any:
    kind = column.type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise UnreadableOldFile(f"its column {name} is {column.type}, not text")
    return column.cast(pa.string())


def _required(name: str, column: Any, keep: _Sieve) -> dict[str, Any]:
    number = _number(name, column)
    keep.only(pc.is_valid(number), NO_VALUE)
    return {name: number}


def _price(name: str, column: Any, keep: _Sieve) -> dict[str, Any]:
    made = _required(name, column, keep)
    keep.only(pc.fill_null(pc.not_equal(made[name], 0.0), True), ZERO)
    return made


def _maybe_number(name: str, column: Any, _keep: _Sieve) -> dict[str, Any]:
    return {name: _number(name, column)}


def _maybe_count(name: str, column: Any, _keep: _Sieve) -> dict[str, Any]:
    if not (pa.types.is_integer(column.type) or pa.types.is_null(column.type)):
        raise UnreadableOldFile(f"its column {name} is {column.type}, not whole numbers")
    return {name: column.cast(pa.int64())}


def _side(name: str, column: Any, keep: _Sieve, sides: Sequence[str], *, nullable: bool) -> dict[str, Any]:
    text = _text(name, column)
    good = pc.is_in(text, value_set=pa.array(sides, pa.string()))
    keep.only(pc.or_(good, pc.is_null(text)) if nullable else good, NO_SIDE)
    return {name: text}


def _id(name: str, column: Any, _keep: _Sieve) -> dict[str, Any]:
    """Ids that are numbers as `tid_num`, others as `tid`; an empty one is none."""
    text = column.cast(pa.string()) if pa.types.is_integer(column.type) else _text(name, column)
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    numeric = pc.fill_null(pc.match_substring_regex(text, _DIGITS), False)
    none = pa.scalar(None, pa.string())
    return {
        "tid": pc.if_else(numeric, none, text),
        "tid_num": pc.if_else(numeric, text, none).cast(pa.int64()),
    }


def _flag(name: str, column: Any, keep: _Sieve) -> dict[str, Any]:
    if not (pa.types.is_boolean(column.type) or pa.types.is_null(column.type)):
        raise UnreadableOldFile(f"its column {name} is {column.type}, not true or false")
    flag = column.cast(pa.bool_())
    keep.only(pc.is_valid(flag), NEITHER)
    return {name: flag}


_MAKERS: Mapping[_Want, Callable[[str, Any, _Sieve], dict[str, Any]]] = {
    _Want.PRICE: _price,
    _Want.NUMBER: _required,
    _Want.MAYBE_NUMBER: _maybe_number,
    _Want.MAYBE_COUNT: _maybe_count,
    _Want.TAKER: lambda name, column, keep: _side(name, column, keep, ("buy", "sell"), nullable=True),
    _Want.BOOK_SIDE: lambda name, column, keep: _side(name, column, keep, ("bid", "ask"), nullable=False),
    _Want.ID: _id,
    _Want.FLAG: _flag,
}
