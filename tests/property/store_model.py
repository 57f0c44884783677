"""What a store is to hold of one dataset, as a plain dict: the slow and obvious side of the comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.gaps import GapCause
from dccd.domain.records import SCHEMAS
from dccd.domain.timeutils import HOUR_NS
from dccd.domain.types import DataType

Key = tuple[Any, ...]
Row = dict[str, Any]

FIRST = 1_706_745_600_000_000_000 - 6 * HOUR_NS  # before a month ends
STEP = HOUR_NS // 2
SPOTS = 24
DATASETS = [
    DatasetId.parse(f"binance:BTC-USDT:{name}")
    for name in ("ohlc:30m", "trades", "funding", "open_interest:30m", "orderbook:5", "book_updates")
]
_KEYS: Mapping[DataType, tuple[str, ...]] = {
    DataType.OHLC: ("ts",),
    DataType.FUNDING: ("ts",),
    DataType.OPEN_INTEREST: ("ts",),
    DataType.TRADES: ("tid_num",),
    DataType.ORDERBOOK: ("ts", "side", "price"),
    DataType.BOOK_UPDATES: ("session", "recv_no", "price"),  # within a message each price once
}
_OPEN_BARS = 16
_NONE = IntervalSet()


def at(spot: int) -> int:
    """The time of a spot."""
    return FIRST + spot * STEP


def rows_at(dataset: DatasetId, spot: int, value: float, more: int | None) -> list[Row]:
    """What there is at a spot: `value` is what may not be null, `more` what may."""
    ts = {"ts": at(spot)}
    match dataset.data_type:
        case DataType.OHLC:
            row = {**ts, **dict.fromkeys(("open", "high", "low", "close", "volume"), value), "trades": more}
            return [row]
        case DataType.FUNDING:
            return [{**ts, "rate": value, "mark_price": None if more is None else float(more)}]
        case DataType.OPEN_INTEREST:
            return [{**ts, "open_interest": value, "open_interest_value": more and float(more)}]
        case DataType.TRADES:
            side = None if more is None else "buy"
            return [{**ts, "price": value, "amount": 1.0, "tid_num": spot, "side": side}]
        case DataType.ORDERBOOK:
            levels = [("ask", 1.0), ("bid", 1.0), ("bid", 2.0)]
            return [{**ts, "side": side, "price": p, "amount": value, "count": more} for side, p in levels]
        case DataType.BOOK_UPDATES:
            message = {**ts, "session": "s", "recv_no": spot, "is_snapshot": False, "seq": more}
            prices = [1.0, 2.0][: 1 + spot % 2]
            return [{**message, "side": "bid", "price": price, "amount": value} for price in prices]


def columns(rows: list[Row]) -> dict[str, list[Any]]:
    """Rows as a page has them."""
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def key(dataset: DatasetId, row: Row) -> Key:
    """What tells a row from others."""
    return tuple(row[name] for name in _KEYS[dataset.data_type])


def whole(dataset: DatasetId, row: Row) -> Row:
    """A row with all its columns."""
    return {name: row.get(name) for name in SCHEMAS[dataset.data_type].names if name != "ts_sub_ns"}


@dataclass
class Model:
    """One dataset; `covered` is regardless of what is doubted."""

    dataset: DatasetId
    rows: dict[Key, Row] = field(default_factory=dict)
    open_bars: dict[int, Row] = field(default_factory=dict)
    covered: IntervalSet = _NONE
    asked: IntervalSet = _NONE
    doubted: IntervalSet = _NONE
    lost: IntervalSet = _NONE

    def take(self, rows: Iterable[Row], covered: IntervalSet, replaced: IntervalSet = _NONE) -> None:
        """A page."""
        self.rows = {each: row for each, row in self.rows.items() if row["ts"] not in replaced}
        self.doubted -= replaced
        self.covered |= covered
        for row in (whole(self.dataset, each) for each in rows):
            known = self.rows.get(key(self.dataset, row))
            self.rows[key(self.dataset, row)] = row if known is None else self._merged(known, row)

    def _merged(self, one: Row, other: Row) -> Row:
        """What may not be null comes together from the greater; all else the greatest, or what is known."""
        schema = SCHEMAS[self.dataset.data_type]
        required = [column.name for column in schema.columns if not column.nullable]
        found = dict(max(one, other, key=lambda row: [row[name] for name in required]))
        for name in found.keys() - set(required):
            found[name] = max((row[name] for row in (one, other) if row[name] is not None), default=None)
        return found

    def take_open(self, row: Row) -> None:
        """A bar that is not closed."""
        bars = {**self.open_bars, row["ts"]: whole(self.dataset, row)}
        self.open_bars = dict(sorted(bars.items())[-_OPEN_BARS:])

    def with_open(self) -> dict[Key, Row]:
        """Rows, and the bars behind the last of them."""
        last = max((row["ts"] for row in self.rows.values()), default=0)
        return self.rows | {(ts,): row for ts, row in self.open_bars.items() if ts > last}

    def lose(self, period: IntervalSet) -> None:
        """The file of a period is gone."""
        self.rows = {each: row for each, row in self.rows.items() if row["ts"] not in period}
        self.lost |= self.covered & period
        self.covered -= period

    def join(self, other: Model) -> None:
        """What was deleted comes back."""
        self.take(other.rows.values(), other.covered)
        self.asked |= other.asked
        self.lost |= other.lost

    def gaps(self) -> list[tuple[int, int, str]]:
        """What is missing, and why."""
        missing = (self.asked | self.lost | self.doubted) - (self.covered - self.doubted)
        by_cause = {
            GapCause.DIFFERS: missing & self.doubted,
            GapCause.FILE_GONE: missing & self.lost - self.doubted,
            GapCause.NEVER_FETCHED: missing - self.lost - self.doubted,
        }
        return sorted((start, end, cause.value) for cause, items in by_cause.items() for start, end in items)
