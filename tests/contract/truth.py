"""What the stand-ins have of the past, to hold against what is fetched from them: one entry an exchange."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from dccd.domain.instrument import Instrument
from dccd.domain.timeutils import MS_NS, S_NS
from dccd.domain.types import DataType, Market
from tests.contract.kit import Clock
from tests.exchanges import binance_listing
from tests.exchanges.binance import BinanceStandIn
from tests.exchanges.bitfinex import BitfinexStandIn
from tests.exchanges.bitmex import BitmexStandIn
from tests.exchanges.bybit import BybitStandIn
from tests.exchanges.coinbase import CoinbaseStandIn
from tests.exchanges.deribit import DeribitStandIn
from tests.exchanges.engine import StandIn
from tests.exchanges.kraken import KrakenStandIn
from tests.exchanges.krakenfutures import KrakenFuturesStandIn
from tests.exchanges.okx import OkxStandIn
from tests.exchanges.walk import Walk

Row = tuple[int, Any]  # its time and its id
Trades = Callable[[Any, Instrument, int, int], list[Row]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What one stand-in has.

    Attributes
    ----------
    stand_in
        Makes one that goes by the exchange's time of a clock, or stands still at it; it has an attribute
        `rows_most`, and `quiet` where bars can be missing.
    first_ns
        When an instrument's market began.
    trades
        Times and ids of the trades of ``[start_ns, end_ns)``.
    funding_h, funding_later_h
        Hours between two rates, and of the first of a day after midnight.
    anchors_ns
        Where bars of a span are counted from that do not begin as ours do.
    answer_rows
        How many rows of an answer make one of ours, where it is not one.
    is_stuck
        An instant with more trades than a page has cannot be had whole: it is an error, or stays a gap.
    """

    stand_in: Callable[[Clock], StandIn]
    first_ns: Callable[[Any, Instrument], int]
    trades: Trades
    funding_h: int = 8
    funding_later_h: int = 0
    anchors_ns: Mapping[str, int] = field(default_factory=dict)
    answer_rows: Mapping[DataType, int] = field(default_factory=dict)
    is_stuck: bool = False


def _of_walk(walk: Callable[[Any, Instrument], Walk], tid: Callable[[Instrument, int], Any]) -> Trades:
    """Of a stand-in whose trades are a walk's, told in milliseconds."""

    def trades(stand_in: Any, it: Instrument, start_ns: int, end_ns: int) -> list[Row]:
        made = walk(stand_in, it)
        first, stop = (made.number_at(-(-ns // MS_NS)) for ns in (start_ns, end_ns))
        return [(each.time_ms * MS_NS, tid(it, each.number)) for each in made.trades(first, stop)]

    return trades


def _of_fills(
    told_ns: Callable[[int], int],
    tid: Callable[[int], Any],
    key: Callable[[str], str] = lambda native: native,
) -> Trades:
    """Of a stand-in whose trades are `Fills`, told less finely than they were made."""

    def trades(stand_in: Any, it: Instrument, start_ns: int, end_ns: int) -> list[Row]:
        fills = stand_in.fills(key(it.native))
        around = fills.between(fills.first_from(start_ns - S_NS), fills.first_from(end_ns + S_NS))
        rows = [(told_ns(fill.ts_ns), tid(fill.number)) for fill in around]
        return [row for row in rows if start_ns <= row[0] < end_ns]

    return trades


def _binance_trades(stand_in: BinanceStandIn, it: Instrument, start_ns: int, end_ns: int) -> list[Row]:
    """Of spot told in microseconds."""
    markets: dict[Market, binance_listing.Market] = {
        Market.SPOT: "spot", Market.LINEAR: "usdm", Market.INVERSE: "coinm",
    }  # fmt: skip
    series = stand_in.series("aggTrades", markets[it.market], it.native, "")
    assert series is not None
    is_micro = it.market is Market.SPOT
    first, stop = series.at_or_after(start_ns // MS_NS), series.at_or_after(-(-end_ns // MS_NS))
    listed = json.loads(b"[" + series.rows(first, stop, 0, micro=is_micro)[:-1] + b"]")
    rows = [(each["T"] * (1000 if is_micro else MS_NS), each["a"]) for each in listed]
    return [row for row in rows if start_ns <= row[0] < end_ns]


def _kraken_key(native: str) -> str:
    return {"XBTUSD": "XXBTZUSD"}.get(native, native)


def _milliseconds(ts_ns: int) -> int:
    return ts_ns // MS_NS * MS_NS


TRUTHS: Mapping[str, Truth] = {
    "binance": Truth(
        stand_in=lambda clock: BinanceStandIn(
            now_ms=clock.exchange_ns // MS_NS,
            limits=dict.fromkeys(("spot", "usdm", "coinm", "funding", "data"), 10**9),
        ),
        first_ns=lambda _, it: it.listed_ns or binance_listing.SPOT_START_MS * MS_NS,
        trades=_binance_trades,
    ),
    "bitfinex": Truth(
        stand_in=lambda clock: BitfinexStandIn(now_ns=lambda: clock.exchange_ns),
        first_ns=lambda stand_in, it: stand_in.walks[it.native].first_ms * MS_NS,
        trades=_of_walk(lambda stand_in, it: stand_in.walks[it.native], lambda _, number: 1000 + 3 * number),
        answer_rows={DataType.FUNDING: 480},  # the status of each minute
        is_stuck=True,
    ),
    "bitmex": Truth(
        stand_in=lambda clock: BitmexStandIn(now_ns=lambda: clock.exchange_ns),
        first_ns=lambda stand_in, it: stand_in.walk(it.native).first_ms * MS_NS,
        trades=_of_fills(_milliseconds, lambda number: f"00000000-006d-1000-0000-{number:012d}"),
        funding_later_h=4,
    ),
    "bybit": Truth(
        stand_in=lambda clock: BybitStandIn(now_ms=clock.exchange_ns // MS_NS, requests_in_5_s=10**9),
        first_ns=lambda stand_in, it: stand_in.walks[str(it.market), it.native].first_ms * MS_NS,
        trades=_of_walk(
            lambda stand_in, it: stand_in.walks[str(it.market), it.native],
            lambda it, number: str(21 * 10**17 + number) if it.market is Market.SPOT else f"{number:032x}",
        ),
    ),
    "coinbase": Truth(
        stand_in=lambda clock: CoinbaseStandIn(now_ns=lambda: clock.exchange_ns),
        first_ns=lambda stand_in, it: stand_in.walk(it.native).first_ms * MS_NS,
        trades=_of_fills(lambda ts_ns: ts_ns // 1000 * 1000, lambda number: number + 1),
    ),
    "deribit": Truth(
        stand_in=lambda clock: DeribitStandIn(now_ns=lambda: clock.exchange_ns),
        first_ns=lambda stand_in, it: stand_in.walk(it.native).first_ms * MS_NS,
        trades=_of_fills(_milliseconds, lambda number: number + 1),
        funding_h=1,
    ),
    "kraken": Truth(
        stand_in=lambda clock: KrakenStandIn(now_ns=lambda: clock.exchange_ns),
        first_ns=lambda stand_in, it: stand_in.walk(_kraken_key(it.native)).first_ms * MS_NS,
        trades=_of_fills(
            lambda ts_ns: int(Decimal(repr(ts_ns / S_NS)) * S_NS), lambda number: number + 1, _kraken_key
        ),
        anchors_ns={"1w": 0},  # nobody says where; the stand-in's weeks begin on Thursdays
        is_stuck=True,
    ),
    "krakenfutures": Truth(
        stand_in=lambda clock: KrakenFuturesStandIn(now_ns=lambda: clock.exchange_ns),
        first_ns=lambda stand_in, it: stand_in.walk(it.native).first_ms * MS_NS,
        trades=_of_fills(_milliseconds, lambda number: f"00000000-0000-4000-8000-{number:012d}"),
        funding_h=1,
    ),
    "okx": Truth(
        stand_in=lambda clock: OkxStandIn(now_ms=clock.exchange_ns // MS_NS, is_limited=False),
        first_ns=lambda stand_in, it: stand_in.walks[it.native].first_ms * MS_NS,
        trades=_of_walk(lambda stand_in, it: stand_in.walks[it.native], lambda _, number: number + 1),
    ),
}
