"""The exchanges that are listened to in tests: each source with its live stand-in."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from dccd.application.bound_source import BoundSource
from dccd.application.listening import Event, Started, Wanted
from dccd.domain.instrument import Instrument
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.types import DataType, InstrumentType, Market
from dccd.sources.base import Source, Target
from dccd.sources.binance import BINANCE
from dccd.sources.bitfinex import BITFINEX
from dccd.sources.bitmex import BITMEX
from dccd.sources.bybit import BYBIT
from dccd.sources.coinbase import COINBASE
from dccd.sources.deribit import DERIBIT
from dccd.sources.kraken import KRAKEN
from dccd.sources.krakenfutures import KRAKENFUTURES
from dccd.sources.okx import OKX
from tests.exchanges.live.binance import BinanceFuturesLive, BinanceLinearLive, BinanceLive
from tests.exchanges.live.bitfinex import BitfinexLive
from tests.exchanges.live.bitmex import BitmexLive
from tests.exchanges.live.bybit import BybitLive
from tests.exchanges.live.coinbase import CoinbaseLive
from tests.exchanges.live.deribit import DeribitLive
from tests.exchanges.live.engine import LiveStandIn
from tests.exchanges.live.kraken import KrakenLive
from tests.exchanges.live.krakenfutures import KrakenFuturesLive
from tests.exchanges.live.okx import OkxLive


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """An exchange in one of its markets.

    Attributes
    ----------
    symbol, native
        A contract that the stand-in trades, unified and as REST names it.
    wire
        The same as the stand-in's messages name it.
    spans
        Bars it tells of, shortest first; empty for none.
    tells_open_bars
        Whether bars are told before they are closed.
    depth
        Levels of its book that are subscribed to.
    finds
        What shows that a message of a book is lost: ``sequence``, ``checksum``, or nothing.
    """

    source: Source
    stand_in: Callable[[], LiveStandIn]
    symbol: str
    native: str
    wire: str
    market: Market = Market.SPOT
    spans: tuple[str, ...] = ()
    tells_open_bars: bool = True
    depth: int | None = None
    finds: str = ""
    contract_size: float | None = None

    @property
    def id(self) -> str:
        """Names the party in tests."""
        return f"{self.source.id}-{self.market}"

    def amount(self, text: str) -> float:
        """What an amount of a trade or a level is in our columns: base, of inverse contracts their number."""
        size = None if self.market is Market.INVERSE else self.contract_size
        return float(text) * (size or 1)

    def volume(self, text: str, price: str) -> float:
        """What a bar's volume is in base."""
        value = float(text) * (self.contract_size or 1)
        return value / float(price) if self.market is Market.INVERSE else value

    def instrument(self, symbol: str = "", native: str = "") -> Instrument:
        """The contract, or another."""
        kind = InstrumentType.SPOT if self.market is Market.SPOT else InstrumentType.PERPETUAL
        return Instrument(
            self.source.id, Symbol.parse(symbol or self.symbol), native or self.native, self.market, kind,
            contract_size=self.contract_size, tick_size=0.1, lot_size=1e-8,
        )  # fmt: skip

    def wanted(self, kind: DataType, instrument: Instrument | None = None) -> Wanted:
        """What is listened to: bars of the shortest span, books of `depth`."""
        span = Span.parse(self.spans[0]) if kind is DataType.OHLC else None
        depth = self.depth if kind is DataType.BOOK_UPDATES else None
        return Wanted(kind, Target(instrument or self.instrument(), span, depth))

    def bound(self, stand_in: LiveStandIn) -> BoundSource:
        """The source, whose hosts are the stand-in's."""
        urls = {
            host.setting: stand_in.url if host.url.startswith("wss:") else stand_in.rest_url
            for host in self.source.hosts.values()
        }
        return BoundSource(self.source, urls=urls)

    @asynccontextmanager
    async def listening(
        self, *wanted: Wanted, silence_s: float = 60.0
    ) -> AsyncIterator[tuple[LiveStandIn, AsyncIterator[Event]]]:
        """A stand-in and the events of one connection to it, once all subscriptions are accepted."""
        async with self.stand_in() as stand_in:
            bound = self.bound(stand_in)
            (events,) = bound.listen(wanted, silence_s=silence_s)
            try:
                waiting = set(wanted)
                async for event in events:
                    if isinstance(event, Started):
                        waiting.discard(event.wanted)
                        if not waiting:
                            break
                yield stand_in, events
            finally:
                await events.aclose()
                await bound.aclose()


_BINANCE_SPANS = (
    "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1mo",
)  # fmt: skip

PARTIES = (
    Party(
        source=BINANCE, stand_in=BinanceLive, symbol="BTC/USDT", native="BTCUSDT", wire="BTCUSDT",
        spans=("1s", *_BINANCE_SPANS), finds="sequence",
    ),
    Party(
        source=BINANCE, stand_in=BinanceLinearLive, symbol="BTC/USDT:USDT", native="BTCUSDT", wire="BTCUSDT",
        market=Market.LINEAR, spans=_BINANCE_SPANS, finds="sequence",
    ),
    Party(
        source=BINANCE, stand_in=BinanceFuturesLive, symbol="BTC/USD:BTC", native="BTCUSD_PERP",
        wire="BTCUSD_PERP", market=Market.INVERSE, spans=_BINANCE_SPANS, finds="sequence",
        contract_size=100.0,
    ),
    Party(
        source=COINBASE, stand_in=CoinbaseLive, symbol="BTC/USD", native="BTC-USD", wire="BTC-USD",
    ),
    *(
        Party(
            source=BITFINEX, stand_in=BitfinexLive, symbol=symbol, native=native, wire=native, market=market,
            depth=100, finds="checksum", contract_size=size,
            spans=("1m", "5m", "15m", "30m", "1h", "3h", "6h", "12h", "1d", "1w", "14d", "1mo"),
        )
        for market, symbol, native, size in (
            (Market.SPOT, "BTC/USD", "tBTCUSD", None),
            (Market.LINEAR, "BTC/USDT:USDT", "tBTCF0:USTF0", 1.0),
        )
    ),
    Party(
        source=KRAKEN, stand_in=KrakenLive, symbol="BTC/USD", native="XBTUSD", wire="BTC/USD",
        spans=("1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w", "15d"), depth=25, finds="checksum",
    ),
    *(
        Party(
            source=BITMEX, stand_in=BitmexLive, symbol=symbol, native=native, wire=native, market=market,
            contract_size=size, spans=("1m", "5m", "1h", "1d"), tells_open_bars=False,
        )
        for market, symbol, native, size in (
            (Market.SPOT, "BTC/USDT", "XBT_USDT", 1e-8),
            (Market.LINEAR, "BTC/USDT:USDT", "XBTUSDT", 1e-6),
            (Market.INVERSE, "BTC/USD:BTC", "XBTUSD", 1.0),
        )
    ),
    *(
        Party(
            source=BYBIT, stand_in=partial(BybitLive, market), symbol=symbol, native=native, wire=native,
            market=market, depth=50, finds="sequence", contract_size=1 if market is not Market.SPOT else None,
            spans=("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d", "1w", "1mo"),
        )
        for market, symbol, native in (
            (Market.SPOT, "BTC/USDT", "BTCUSDT"),
            (Market.LINEAR, "BTC/USDT:USDT", "BTCUSDT"),
            (Market.INVERSE, "BTC/USD:BTC", "BTCUSD"),
        )
    ),
    *(
        Party(
            source=KRAKENFUTURES, stand_in=KrakenFuturesLive, symbol=symbol, native=native, wire=native,
            market=market, finds="sequence", contract_size=1.0,
        )
        for market, symbol, native in (
            (Market.LINEAR, "BTC/USD:USD", "PF_XBTUSD"),
            (Market.INVERSE, "BTC/USD:BTC", "PI_XBTUSD"),
        )
    ),
    *(
        Party(
            source=OKX, stand_in=OkxLive, symbol=symbol, native=native, wire=native, market=market,
            depth=400, finds="sequence", contract_size=size,
            spans=("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d", "1w", "1mo"),
        )
        for market, symbol, native, size in (
            (Market.SPOT, "BTC/USDT", "BTC-USDT", None),
            (Market.LINEAR, "BTC/USDT:USDT", "BTC-USDT-SWAP", 0.01),
            (Market.INVERSE, "BTC/USD:BTC", "BTC-USD-SWAP", 100.0),
        )
    ),
    *(
        Party(
            source=DERIBIT, stand_in=DeribitLive, symbol=symbol, native=native, wire=native, market=market,
            finds="sequence", contract_size=None if market is Market.SPOT else 1,
            spans=("1m", "3m", "5m", "10m", "15m", "30m", "1h", "2h", "3h", "6h", "12h", "1d"),
        )
        for market, symbol, native in (
            (Market.SPOT, "BTC/USDC", "BTC_USDC"),
            (Market.LINEAR, "BTC/USDC:USDC", "BTC_USDC-PERPETUAL"),
            (Market.INVERSE, "BTC/USD:BTC", "BTC-PERPETUAL"),
        )
    ),
)  # fmt: skip
