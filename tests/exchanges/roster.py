"""The stand-ins of all exchanges that are registered, by id."""

from collections.abc import Callable

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

STAND_INS: dict[str, Callable[[], StandIn]] = {
    "binance": BinanceStandIn,
    "bitfinex": BitfinexStandIn,
    "bitmex": BitmexStandIn,
    "bybit": BybitStandIn,
    "coinbase": CoinbaseStandIn,
    "deribit": DeribitStandIn,
    "kraken": KrakenStandIn,
    "krakenfutures": KrakenFuturesStandIn,
    "okx": OkxStandIn,
}
