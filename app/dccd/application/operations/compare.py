"""Two observations of the same stretch, row by row: what is equal, and what is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel

from dccd.domain.records import SCHEMAS, Kind
from dccd.domain.timeutils import MS_NS, iso
from dccd.domain.types import DataType

Row = dict[str, Any]
Key = tuple[object, ...]
Verdict = Literal["differs", "stored only", "exchange only"]

DIFFERENCES_MAX = 1_000

# What says how a row was observed, rather than what the exchange has.
_OBSERVATIONAL = frozenset({"recv_ts"})


class Difference(BaseModel):
    """One row that is not the same on both sides.

    Attributes
    ----------
    ts : str
        Its time, ISO-8601.
    id : str or None
        The trade's id.
    verdict : {"differs", "stored only", "exchange only"}
    fields : dict
        By column, what is stored and what the exchange says; of a row on one side only, its values there.
    """

    ts: str
    id: str | None = None
    verdict: Verdict
    fields: dict[str, tuple[Any, Any]]


def key_of(data_type: DataType, row: Mapping[str, Any]) -> Key:
    """What a row is known by: a trade by its id, without one by all its values; all else by its time."""
    if data_type is not DataType.TRADES:
        return (row["ts"],)
    if row.get("tid_num") is not None:
        return ("id", str(row["tid_num"]))
    if row.get("tid") is not None:
        return ("id", row["tid"])
    return ("like", row["ts"], row["price"], row["amount"], row.get("side"))


def keyed(data_type: DataType, rows: Iterable[Row]) -> dict[Key, Row]:
    """Rows by key; those that are alike are numbered, so that their count is compared."""
    found: dict[Key, Row] = {}
    seen: Counter[Key] = Counter()
    for row in rows:
        key = key_of(data_type, row)
        found[(*key, seen[key]) if key[0] == "like" else key] = row
        seen[key] += 1
    return found


def differing_fields(data_type: DataType, stored: Row, theirs: Row) -> list[str]:
    """Columns that contradict each other.

    Floats are compared bit for bit. Null contradicts nothing: it says that the value is not known. A trade's
    time may be known to the millisecond on one side and finer on the other.
    """
    found: list[str] = []
    for column in SCHEMAS[data_type].columns:
        mine, other = stored.get(column.name), theirs.get(column.name)
        if column.kind is Kind.SUB_NS or column.name in _OBSERVATIONAL or mine is None or other is None:
            continue
        if column.name == "ts" and data_type is DataType.TRADES and _same_instant(mine, other):
            continue
        if mine != other:
            found.append(column.name)
    return found


def _same_instant(mine: int, other: int) -> bool:
    return mine == other or (mine // MS_NS == other // MS_NS and not (mine % MS_NS and other % MS_NS))


def compared(
    data_type: DataType, stored: Mapping[Key, Row], theirs: Mapping[Key, Row]
) -> Iterator[tuple[Key, Difference]]:
    """The rows that are not the same, those stored first."""
    for key, row in stored.items():
        other = theirs.get(key)
        if other is None:
            yield key, _one_sided(data_type, row, "stored only")
        elif names := differing_fields(data_type, row, other):
            yield (
                key,
                Difference(
                    ts=iso(row["ts"]),
                    id=_id(row),
                    verdict="differs",
                    fields={name: (_shown(name, row[name]), _shown(name, other[name])) for name in names},
                ),
            )
    for key, row in theirs.items():
        if key not in stored:
            yield key, _one_sided(data_type, row, "exchange only")


def _one_sided(data_type: DataType, row: Row, verdict: Verdict) -> Difference:
    names = [
        column.name
        for column in SCHEMAS[data_type].columns
        if row.get(column.name) is not None and column.name not in {"ts", "ts_sub_ns", *_OBSERVATIONAL}
    ]
    here = verdict == "stored only"
    fields = {name: (row[name] if here else None, None if here else row[name]) for name in names}
    return Difference(ts=iso(row["ts"]), id=_id(row), verdict=verdict, fields=fields)


def _id(row: Row) -> str | None:
    known = row.get("tid_num") if row.get("tid_num") is not None else row.get("tid")
    return None if known is None else str(known)


def _shown(name: str, value: Any) -> Any:
    return iso(value) if name == "ts" else value
