"""OKX's public files of trades, by the day.

Documentation: https://www.okx.com/historical-data (what there is since when); a file's address is what that
page downloads.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import partial

from dccd.domain.types import DataType, Market
from dccd.sources.base import Archive, Table, Target, archived, in_base

_NAMES = ("trade_id", "side", "size", "price", "created_time")
_SIDES = {"buy": "buy", "sell": "sell"}


def _day(target: Target, day: date) -> str:
    native = target.instrument.native
    return f"/cdn/okex/traderecords/trades/daily/{day:%Y%m%d}/{native}-trades-{day:%Y-%m-%d}.zip"


def _table(target: Target) -> Table:
    """The first line has each name in English and, after a slash, in Chinese, or English alone."""
    return Table(
        names=_NAMES,
        columns={
            "ts": "created_time",
            "price": "price",
            "amount": "size",
            "side": "side",
            "tid_num": "trade_id",
        },
        convert={
            "amount": partial(in_base, target),
            "side": lambda values: [_SIDES[value.lower()] for value in values],
        },
    )


ARCHIVE_CAPABILITIES = (archived(DataType.TRADES, "https://www.okx.com/historical-data", tuple(Market)),)
ARCHIVES: Mapping[DataType, Archive] = {
    DataType.TRADES: Archive(
        day=_day,
        table=_table,
        since=lambda _: date(2021, 9, 1),
        starts_s=-8 * 3600,  # days are Hong Kong's
        row_bytes=14,
    )
}
