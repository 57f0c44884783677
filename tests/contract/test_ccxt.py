"""Another program's client finds in the stand-ins what it expects of exchanges, and reads what we read."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dccd.application.bound_source import BoundSource
from dccd.application.service_factory import SOURCES
from dccd.domain.dataset import DatasetId
from dccd.domain.instrument import Instrument
from dccd.domain.span import Span
from dccd.domain.timeutils import MINUTE_NS, MS_NS
from dccd.domain.types import DataType
from dccd.sources.base import Source
from tests.exchanges.engine import in_thread
from tests.exchanges.roster import STAND_INS

ROOT = Path(__file__).resolve().parents[2]
# In each exchange's most common market.
SYMBOLS = {
    "binance": "BTC/USDT",
    "bitmex": "BTC/USD:BTC",
    "bybit": "BTC/USDT",
    "deribit": "BTC/USD:BTC",
    "krakenfutures": "BTC/USD:USD",
    "okx": "BTC/USDT",
}

# Symbols that only one of both has, or calls so.
DIFFERENT = {
    "bitfinex": {
        *("AAA/BBB", "TESTBTC/TESTUSD", "TESTBTC/TESTUSDT:TESTUSDT"),  # trading on paper: we leave it out
        *("ALG/USDT:USDT", "ALGO/USDT:USDT"),  # Bitfinex calls it ALGO elsewhere, contracts too
    },
    "bybit": {"LUNA/USDT:USDT"},  # not traded any more: we keep it
    # one that has expired, which we keep, and an option, which we leave out
    "deribit": {"BTC/USD:BTC-260227", "BTC/USD:BTC-260626-80000-C"},
    "kraken": {"LUNA/USD", "LUNC/USD"},  # the coin was renamed since, and Kraken's pair was not
    "krakenfutures": {"in_xbtusd"},  # an index: we leave it out
    "okx": {"TEST/USDT"},  # a test of the exchange's own: we leave it out
}

pytestmark = [
    pytest.mark.needs("ccxt"),
    pytest.mark.heavy("another program's client of each exchange"),
    pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.id),
]


def asked(python: list[str], exchange: str, url: str, symbol: str) -> dict[str, Any]:
    """What ccxt reads."""
    command = [*python, "-m", "tests.contract.ccxt_client", exchange, url, symbol, "1m"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def ours(
    source: Source, url: str, symbol: str, start_ns: int, end_ns: int
) -> tuple[set[str], list[Any]]:
    """The symbols we know of, and the bars of a range."""
    bound = BoundSource(source, urls={host.setting: url for host in source.hosts.values()})
    try:
        listed = await bound.instruments()
        it: Instrument = listed.resolve(symbol)
        dataset = DatasetId(source.id, it.symbol, DataType.OHLC, Span.parse("1m"))
        bars = []
        async for page in bound.history(dataset, it, start_ns, end_ns):
            names = ("ts", "open", "high", "low", "close")
            bars += [list(row) for row in zip(*(page.columns[name] for name in names), strict=True)]
        return {str(each.symbol) for each in listed}, bars
    finally:
        await bound.aclose()


async def test_it_reads_what_we_read(source: Source, ccxt_python: list[str]) -> None:
    symbol = SYMBOLS.get(source.id, "BTC/USD")
    stand_in = STAND_INS[source.id]()
    with in_thread(stand_in):
        theirs = asked(ccxt_python, source.id, stand_in.url, symbol)
        first_ns, last_ns = (theirs["bars"][place][0] * MS_NS for place in (0, -2))
        symbols, bars = await ours(source, stand_in.url, symbol, first_ns, last_ns + MINUTE_NS)
    assert symbol in symbols
    assert set(theirs["markets"]) ^ symbols == DIFFERENT.get(source.id, set())
    # Some exchanges' newest bars may still change, and are not for us yet.
    told = [[bar[0] * MS_NS, *bar[1:5]] for bar in theirs["bars"][:-1]]
    assert len(bars) > 20
    assert bars == told[: len(bars)]
    assert len({trade["id"] for trade in theirs["trades"]}) == len(theirs["trades"]) > 0
    assert {trade["side"] for trade in theirs["trades"]} == {"buy", "sell"}
    assert 0 < theirs["bids"][0][0] < theirs["asks"][0][0]
