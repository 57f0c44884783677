"""What is particular to listening to Binance."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dccd.application import listening
from dccd.application.listening import LiveRows, Wanted
from dccd.domain.errors import ExchangeUnavailable, NoCapability
from dccd.domain.span import Span
from dccd.domain.timeutils import US_NS
from dccd.domain.types import DataType, Market, Mode
from dccd.sources.base import Channel, Refused, Response, Subscribed, Target
from dccd.sources.binance import BINANCE
from dccd.transport.live import LiveConnection
from tests.contract.kit import Clock, bound
from tests.contract.parties import PARTIES, Party
from tests.contract.test_live import NOON_NS, assert_same, following
from tests.exchanges.live.binance import BinanceLive
from tests.exchanges.live.engine import Bar, Trade

SPOT, LINEAR, INVERSE = (party for party in PARTIES if party.source is BINANCE)
EACH = pytest.mark.parametrize("party", [SPOT, LINEAR, INVERSE], ids=lambda party: party.id)


def channel(party: Party, kind: DataType, span: str = "1m") -> Channel:
    return BINANCE.streams[kind].channel(Target(party.instrument(), Span.parse(span)))


def connection(party: Party, *channels: Channel, kind: DataType = DataType.TRADES) -> LiveConnection:
    found = LiveConnection("Binance", BINANCE.streams[kind].feeds[party.market], "ws://127.0.0.1:1")
    found.targets.update(dict.fromkeys(channels, Target(party.instrument())))
    found.dialect.subscribe(channels)
    return found


@EACH
def test_where_each_kind_is_told(party: Party) -> None:
    feeds = {kind: stream.feeds[party.market] for kind, stream in BINANCE.streams.items()}
    paths = {kind: BINANCE.hosts[feed.host].url + feed.path for kind, feed in feeds.items()}
    market, book = {
        "spot": ["wss://stream.binance.com:9443/stream?timeUnit=MICROSECOND"] * 2,
        "linear": ["wss://fstream.binance.com/market/stream", "wss://fstream.binance.com/public/stream"],
        "inverse": ["wss://dstream.binance.com/stream"] * 2,
    }[party.market]
    assert paths == {DataType.TRADES: market, DataType.OHLC: market, DataType.BOOK_UPDATES: book}
    assert {feed.channels_max for feed in feeds.values()} == {1024 if party is SPOT else 200}
    assert all(feed.messages_per_s < (5 if party is SPOT else 10) for feed in feeds.values())


def test_what_is_sent_to_subscribe_and_to_end_that() -> None:
    dialect = BINANCE.streams[DataType.TRADES].feeds[Market.SPOT].dialect({})
    wanted = [channel(SPOT, kind) for kind in (DataType.TRADES, DataType.OHLC, DataType.BOOK_UPDATES)]
    wanted.append(channel(SPOT, DataType.OHLC, "1mo"))
    other = replace(SPOT.instrument(), native="币安人生USDT")
    wanted.append(BINANCE.streams[DataType.TRADES].channel(Target(other)))
    names = ("aggTrade", "kline_1m", "depth@100ms", "kline_1M")
    params = ",".join([*(f'"btcusdt@{name}"' for name in names), '"币安人生usdt@aggTrade"'])
    assert dialect.subscribe(wanted) == [f'{{"method":"SUBSCRIBE","params":[{params}],"id":1}}']
    assert dialect.unsubscribe(wanted[:1]) == [
        '{"method":"UNSUBSCRIBE","params":["btcusdt@aggTrade"],"id":2}'
    ]


def test_many_are_asked_for_in_messages_of_a_hundred() -> None:
    dialect = BINANCE.streams[DataType.TRADES].feeds[Market.SPOT].dialect({})
    texts = dialect.subscribe([Channel("aggTrade", f"{number}xusd") for number in range(1024)])
    assert [len(json.loads(text)["params"]) for text in texts] == [100] * 10 + [24]
    assert [json.loads(text)["id"] for text in texts] == list(range(1, 12))


def test_an_answer_is_to_all_that_was_asked_for_with_it() -> None:
    wanted = [channel(SPOT, DataType.TRADES), channel(SPOT, DataType.OHLC)]
    assert connection(SPOT, *wanted).read(b'{"result":null,"id":1}') == [Subscribed(each) for each in wanted]
    words = "Invalid request: too many parameters"
    for frame in (
        {"error": {"code": 2, "msg": words}, "id": 1},  # as it comes
        {"code": 2, "msg": words, "id": 1},  # as it is documented
    ):
        assert connection(SPOT, *wanted).read(json.dumps(frame).encode()) == [
            Refused(each, words) for each in wanted
        ]


def test_a_complaint_of_no_subscription_in_particular() -> None:
    frame = b'{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}'
    assert connection(SPOT).read(frame) == [Refused(None, "Invalid JSON: expected value at line 1 column 1")]


def test_an_unsubscription_is_answered_too_and_that_says_nothing() -> None:
    found = connection(SPOT, channel(SPOT, DataType.TRADES))
    found.dialect.unsubscribe([channel(SPOT, DataType.TRADES)])
    assert found.read(b'{"result":null,"id":2}') == []


def test_a_server_that_shuts_down_ends_the_connection_at_once() -> None:
    frame = b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}'
    with pytest.raises(ExchangeUnavailable, match="shuts a server down"):
        connection(SPOT).read(frame)


async def test_times_of_spot_are_told_to_the_microsecond() -> None:
    async with SPOT.listening(SPOT.wanted(DataType.TRADES)) as (exchange, events):
        await exchange.trade("BTCUSDT", Trade(NOON_NS + 123_456 * US_NS, "1", "1"))
        assert (await following(events, LiveRows)).columns["ts"] == [NOON_NS + 123_456 * US_NS]


async def test_inverse_bars_have_base_and_quote_as_those_of_rest() -> None:
    async with INVERSE.listening(INVERSE.wanted(DataType.OHLC)) as (exchange, events):
        await exchange.bar("BTCUSD_PERP", "1m", Bar(NOON_NS, "50000", "50000", "50000", "50000", "3"))
        columns = (await following(events, LiveRows)).columns
    assert (columns["volume"], columns["quote_volume"]) == ([3 * 100.0 / 50_000], (300.0,))
    assert (columns["taker_buy_volume"], columns["taker_buy_quote_volume"]) == ([0.006], (300.0,))


async def test_on_the_old_path_of_linear_contracts_nothing_would_come() -> None:
    """The stand-in is as mute there as Binance, so that the tests of trades and bars show the right one."""
    async with LINEAR.stand_in() as exchange:
        feed = BINANCE.streams[DataType.TRADES].feeds[Market.LINEAR]
        for path, heard in (("/stream", 0), ("/public/stream", 0), ("/market/stream", 1)):
            target = Target(LINEAR.instrument())
            trades = channel(LINEAR, DataType.TRADES)
            async with LiveConnection("Binance", replace(feed, path=path), exchange.url) as found:
                await found.subscribe({trades: target})
                messages = found.messages()
                assert await anext(messages) == Subscribed(trades)
                assert sum(len(peer.keys) for peer in exchange.peers) == heard
                await messages.aclose()
            await exchange.until(lambda: not exchange.peers)


@EACH
@pytest.mark.parametrize(("depth", "spot"), [(None, 5000), (20, 1000), (1000, 1000), (1001, 5000)])
def test_how_deep_a_snapshot_is_asked_for(party: Party, depth: int | None, spot: int) -> None:
    start = BINANCE.streams[DataType.BOOK_UPDATES].start
    assert start is not None
    request = start.request(Target(party.instrument(), None, depth))
    limit = spot if party is SPOT else 1000
    assert request.query == (("symbol", party.native), ("limit", str(limit)))
    assert request.weight == {("spot", 5000): 250, ("spot", 1000): 50}.get((party.market, limit), 20)


def test_a_snapshot_keeps_the_exchanges_digits() -> None:
    start = BINANCE.streams[DataType.BOOK_UPDATES].start
    assert start is not None
    body = b'{"lastUpdateId":7,"E":1,"T":1714564800000,"bids":[["0.10","5.000"]],"asks":[["0.20","1.50"]]}'
    update = start.parse(Target(LINEAR.instrument()), Response(200, {}, body))
    assert (update.bids, update.asks) == ([("0.10", "5.000", None)], [("0.20", "1.50", None)])
    assert (update.seq, update.ts_ns, update.is_snapshot) == (7, NOON_NS, True)


@EACH
async def test_a_snapshot_that_is_too_old_is_asked_for_again(
    party: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "_AGAIN_S", 0.0)

    def late() -> BinanceLive:
        found = party.stand_in()
        assert isinstance(found, BinanceLive)
        found.late = 1
        return found

    wanted = party.wanted(DataType.BOOK_UPDATES)
    async with replace(party, stand_in=late).listening(wanted) as (exchange, events):
        await exchange.change(party.wire, {"1.5": "2"}, {})
        await assert_same(events, exchange, party)
        assert isinstance(exchange, BinanceLive)
        assert exchange.rest.requests == 2


@EACH
async def test_what_is_not_told_live_is_refused_by_name(party: Party) -> None:
    source = bound(BINANCE, "http://127.0.0.1:1", Clock(NOON_NS))
    most = 5000 if party is SPOT else 1000
    with pytest.raises(NoCapability, match="no span 7m"):
        source.require(DataType.OHLC, Mode.LIVE, party.instrument(), Span.parse("7m"))
    with pytest.raises(NoCapability, match=f"a depth of 1 to {most:,}, not 5,001"):
        source.require(DataType.BOOK_UPDATES, Mode.LIVE, party.instrument(), None, 5001)
    with pytest.raises(NoCapability, match="offers no live funding"):
        source.require(DataType.FUNDING, Mode.LIVE)
    await source.aclose()


def test_what_is_listened_to_at_once_is_told_apart() -> None:
    wanted = [Wanted(DataType.OHLC, Target(SPOT.instrument(), Span.parse(span))) for span in ("1m", "1mo")]
    channels = [BINANCE.streams[DataType.OHLC].channel(one.target) for one in wanted]
    assert channels == [Channel("kline", "btcusdt", "1m"), Channel("kline", "btcusdt", "1M")]
