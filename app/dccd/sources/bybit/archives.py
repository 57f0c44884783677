"""Bybit's public files of trades: of derivatives by the day, of spot by the month and the day.

Documentation: https://www.bybit.com/derivatives/en/history-data, and the folders of https://public.bybit.com
(trading, spot).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from dccd.domain.timeutils import ns_datetime
from dccd.domain.types import DataType, Market
from dccd.sources.base import Archive, Table, Target, archived
from dccd.sources.bybit.rest import SIDES

_FIRST = {Market.SPOT: date(2022, 11, 1), Market.LINEAR: date(2020, 3, 1), Market.INVERSE: date(2019, 10, 1)}
_DERIVATIVES = (
    "timestamp", "symbol", "side", "size", "price", "tickDirection", "trdMatchID", "grossValue",
    "homeNotional", "foreignNotional",
)  # fmt: skip
_SPOT = ("id", "timestamp", "price", "volume", "side")


def _day(target: Target, day: date) -> str:
    native = target.instrument.native
    if target.instrument.market is Market.SPOT:
        return f"/spot/{native}/{native}_{day:%Y-%m-%d}.csv.gz"
    return f"/trading/{native}/{native}{day:%Y-%m-%d}.csv.gz"


def _month(target: Target, day: date) -> str | None:
    native = target.instrument.native
    return f"/spot/{native}/{native}-{day:%Y-%m}.csv.gz" if target.instrument.market is Market.SPOT else None


def _table(target: Target) -> Table:
    """Spot's `id` counts the lines of a file: it is no trade's, and those rows have none."""
    sides = {"side": lambda values: [SIDES[value.capitalize()] for value in values]}
    if target.instrument.market is Market.SPOT:
        columns = {"ts": "timestamp", "price": "price", "amount": "volume", "side": "side"}
        return Table(names=_SPOT, columns=columns, convert=sides)
    columns = {"ts": "timestamp", "price": "price", "amount": "size", "side": "side", "tid": "trdMatchID"}
    return Table(names=_DERIVATIVES, columns=columns, times="seconds", convert=sides)


def _since(target: Target) -> date:
    first, listed_ns = _FIRST[target.instrument.market], target.instrument.listed_ns
    return first if listed_ns is None else max(first, ns_datetime(listed_ns).date())


ARCHIVE_CAPABILITIES = (
    archived(DataType.TRADES, "https://www.bybit.com/derivatives/en/history-data", tuple(Market)),
)
ARCHIVES: Mapping[DataType, Archive] = {
    DataType.TRADES: Archive(day=_day, month=_month, table=_table, since=_since, row_bytes=40)
}
