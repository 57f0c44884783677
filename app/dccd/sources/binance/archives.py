"""Binance's public files: bars by the month and the day, aggregate trades and open interest by the day.

Documentation: https://github.com/binance/binance-public-data (layout, columns, checksums, updates); what was
found odd is in ``docs/exchanges/binance.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial
from urllib.parse import quote

from dccd.domain.types import DataType, Market
from dccd.sources.base import Archive, Table, Target
from dccd.sources.binance.histories import worth

ARCHIVE_DOCS = "https://github.com/binance/binance-public-data"
# The spans of which there are files by the day. Longer bars are few: REST has them in a page or two.
ARCHIVE_SPANS = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")
INTEREST_SPANS = ("5m",)

_FOLDER = {Market.SPOT: "spot", Market.LINEAR: "futures/um", Market.INVERSE: "futures/cm"}
_SINCE = {Market.SPOT: date(2017, 7, 1), Market.LINEAR: date(2019, 9, 1), Market.INVERSE: date(2020, 8, 1)}
_METRICS_SINCE = date(2020, 9, 1)
_BARS = (
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count",
    "taker_buy_volume", "taker_buy_quote_volume", "ignore",
)  # fmt: skip
_TRADES = (
    "agg_trade_id", "price", "quantity", "first_trade_id", "last_trade_id", "transact_time",
    "is_buyer_maker",
)  # fmt: skip
_METRICS = ("create_time", "symbol", "sum_open_interest", "sum_open_interest_value")
_SIDES = {"true": "sell", "false": "buy"}  # the buyer was the maker, so the taker sold


def _path(kind: str, target: Target, day: date, every: str = "daily") -> str:
    native = quote(target.instrument.native)
    folders, name = (native, kind) if kind != "klines" else (f"{native}/{target.span}", str(target.span))
    when = f"{day:%Y-%m-%d}" if every == "daily" else f"{day:%Y-%m}"
    return f"/data/{_FOLDER[target.instrument.market]}/{every}/{kind}/{folders}/{native}-{name}-{when}.zip"


def _bars(target: Target) -> Table:
    """Inverse bars give contracts where others give base volume, and base where others give quote."""
    volume, quote_volume = "volume", "quote_volume"
    buy, quote_buy = "taker_buy_volume", "taker_buy_quote_volume"
    in_quote: dict[str, Callable[[Sequence[float]], Sequence[object]]] = {}
    if target.instrument.market is Market.INVERSE:
        volume, quote_volume, buy, quote_buy = quote_volume, volume, quote_buy, buy
        in_quote = dict.fromkeys(("quote_volume", "taker_buy_quote_volume"), partial(worth, target))
    return Table(
        names=_BARS,
        columns={
            "ts": "open_time",
            **{name: name for name in ("open", "high", "low", "close")},
            "volume": volume,
            "quote_volume": quote_volume,
            "trades": "count",
            "taker_buy_volume": buy,
            "taker_buy_quote_volume": quote_buy,
        },
        convert=in_quote,
    )


def _trades(target: Target) -> Table:
    return Table(
        names=_TRADES,
        columns={
            "ts": "transact_time",
            "price": "price",
            "amount": "quantity",
            "side": "is_buyer_maker",
            "tid_num": "agg_trade_id",
        },
        convert={"side": lambda values: [_SIDES[value.lower()] for value in values]},
    )


def _metrics(target: Target) -> Table:
    """Base units and their worth in quote; inverse lists give contracts and base."""
    amount, value = "sum_open_interest", "sum_open_interest_value"
    in_quote: dict[str, Callable[[Sequence[float]], Sequence[object]]] = {}
    if target.instrument.market is Market.INVERSE:
        amount, value = value, amount
        in_quote = {"open_interest_value": partial(worth, target)}
    return Table(
        names=_METRICS,
        columns={"ts": "create_time", "open_interest": amount, "open_interest_value": value},
        times="text",
        convert=in_quote,
    )


ARCHIVES: Mapping[DataType, Archive] = {
    DataType.OHLC: Archive(
        day=partial(_path, "klines"),
        month=partial(_path, "klines", every="monthly"),
        table=_bars,
        since=lambda target: _SINCE[target.instrument.market],
        checksum=".CHECKSUM",
        row_bytes=55,
    ),
    DataType.TRADES: Archive(
        day=partial(_path, "aggTrades"),
        table=_trades,
        since=lambda target: _SINCE[target.instrument.market],
        checksum=".CHECKSUM",
        consecutive=True,
        row_bytes=14,
    ),
    DataType.OPEN_INTEREST: Archive(
        day=partial(_path, "metrics"),
        table=_metrics,
        since=lambda _: _METRICS_SINCE,
        checksum=".CHECKSUM",
        row_bytes=30,
    ),
}
