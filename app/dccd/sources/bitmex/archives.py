"""BitMEX's public files: the trades of a day, of all its instruments in one.

Documentation: https://www.bitmex.com/app/apiOverview (historical data), https://public.bitmex.com.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from dccd.domain.types import DataType, Market
from dccd.sources.base import Archive, Table, Target, archived

_NAMES = (
    "timestamp", "symbol", "side", "size", "price", "tickDirection", "trdMatchID", "grossValue",
    "homeNotional", "foreignNotional",
)  # fmt: skip
_SIDES = {"Buy": "buy", "Sell": "sell", "": None}  # a settlement has no taker


def _table(target: Target) -> Table:
    """Amounts as of the API: in base; of inverse contracts as many as they are worth in quote."""
    return Table(
        names=_NAMES,
        columns={
            "ts": "timestamp",
            "price": "price",
            "amount": "size" if target.instrument.market is Market.INVERSE else "homeNotional",
            "side": "side",
            "tid": "trdMatchID",
        },
        times="text",
        convert={"side": lambda values: [_SIDES[value] for value in values]},
        where=("symbol", target.instrument.native),
    )


ARCHIVE_CAPABILITIES = (archived(DataType.TRADES, "https://public.bitmex.com", tuple(Market)),)
ARCHIVES: Mapping[DataType, Archive] = {
    DataType.TRADES: Archive(
        day=lambda _, day: f"/data/trade/{day:%Y%m%d}.csv.gz",
        table=_table,
        since=lambda _: date(2014, 11, 22),
        row_bytes=45,
    )
}
