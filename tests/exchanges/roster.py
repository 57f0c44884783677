"""The stand-ins of all exchanges that are registered, by id."""

from collections.abc import Callable

from tests.exchanges.binance import BinanceStandIn
from tests.exchanges.bybit import BybitStandIn
from tests.exchanges.coinbase import CoinbaseStandIn
from tests.exchanges.engine import StandIn
from tests.exchanges.kraken import KrakenStandIn
from tests.exchanges.okx import OkxStandIn

STAND_INS: dict[str, Callable[[], StandIn]] = {
    "binance": BinanceStandIn,
    "bybit": BybitStandIn,
    "coinbase": CoinbaseStandIn,
    "kraken": KrakenStandIn,
    "okx": OkxStandIn,
}
