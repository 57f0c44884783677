"""What every exchange that is listened to has to hold, against its stand-in."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from dccd.application.listening import (
    BookLost,
    Event,
    LiveBook,
    LiveRows,
    TurnedDown,
    Wanted,
    grouped,
)
from dccd.domain.book import OrderBook
from dccd.domain.errors import ExchangeError, MalformedPayload, NetworkError
from dccd.domain.records import SCHEMAS
from dccd.domain.span import Span
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MS_NS, parse_time
from dccd.domain.types import DataType, Mode
from dccd.sources.base import Channel, Message, Rows, Subscribed, Target, Unknown
from dccd.transport import live
from dccd.transport.live import LiveConnection
from tests.contract.kit import mutations
from tests.contract.parties import PARTIES, Party
from tests.exchanges.live.engine import Bar, Book, LiveStandIn, Trade

NOON_NS = parse_time("2024-05-01T12:00:00")
T = TypeVar("T")


def of(*parties: Party) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("party", parties, ids=lambda party: party.id)


of_all = of(*PARTIES)


def ping(party: Party) -> str | None:
    """The text that keeps a connection for trades alive."""
    return party.source.streams[DataType.TRADES].feeds[party.market].ping


async def following(events: AsyncIterator[Event], kind: type[T]) -> T:
    """The next event of a kind."""
    async with asyncio.timeout(10):
        async for event in events:
            if isinstance(event, kind):
                return event
    raise AssertionError("the connection ended")


def trades(count: int) -> list[Trade]:
    """Trades of which some are of one instant, and one is of a size that has no exact binary fraction."""
    return [
        Trade(NOON_NS + i // 3 * 7 * MS_NS, f"{100 + i / 10:.1f}", "0.1", ("buy", "sell")[i % 2], 500 + i)
        for i in range(count)
    ]


@of_all
async def test_trades(party: Party) -> None:
    sent = trades(9)
    async with party.listening(party.wanted(DataType.TRADES)) as (stand_in, events):
        for trade in sent:
            await stand_in.trade(party.wire, trade)
        got: dict[str, list[Any]] = {}
        while len(got.get("ts", ())) < len(sent):
            event = await following(events, LiveRows)
            assert event.open_from_ns is None
            assert event.wanted == party.wanted(DataType.TRADES)
            assert set(event.columns) <= {column.name for column in SCHEMAS[DataType.TRADES].columns}
            for name, values in event.columns.items():
                got.setdefault(name, []).extend(values)
    assert got["ts"] == [trade.ts_ns for trade in sent]
    assert got["price"] == [float(trade.price) for trade in sent]
    assert got["side"] == [trade.side for trade in sent]
    assert got["amount"] == [pytest.approx(party.amount(trade.amount), rel=1e-12) for trade in sent]
    if "tid_num" in got:
        assert got["tid_num"] == [trade.tid for trade in sent]
    else:
        assert len(set(got["tid"])) == len(sent)
    assert all(received_ns > NOON_NS for received_ns in got["recv_ts"])


@of(*(party for party in PARTIES if party.spans))
async def test_bars_of_every_span(party: Party) -> None:
    """Each is told open and then closed, or open and then followed by the next, or closed alone."""
    assert DataType.OHLC in party.source.streams
    it = party.instrument()
    for text in party.spans:
        span = Span.parse(text)
        wanted = Wanted(DataType.OHLC, Target(it, span))
        first_ns = span.floor(NOON_NS)
        second_ns = span.next(first_ns)
        states = [
            Bar(first_ns, "100.1", "100.5", "99.5", "100.3", "1.5", 3),
            Bar(first_ns, "100.1", "101.5", "99.5", "101.3", "2.5", 4, closed=True),
            Bar(second_ns, "101.3", "101.3", "101.2", "101.2", "0.1", 1, closed=not party.tells_open_bars),
        ]
        async with party.listening(wanted) as (stand_in, events):
            latest: dict[int, dict[str, Any]] = {}
            open_from_ns = None
            for state in states:
                await stand_in.bar(party.wire, text, state)
            while max(latest, default=0) < second_ns:
                event = await following(events, LiveRows)
                open_from_ns = event.open_from_ns
                for place, ts in enumerate(event.columns["ts"]):
                    assert isinstance(ts, int)
                    latest[ts] = {name: values[place] for name, values in event.columns.items()}
        assert sorted(latest) == [first_ns, second_ns]
        assert open_from_ns == (second_ns if party.tells_open_bars else None)
        row = latest[first_ns]
        assert [row[name] for name in ("open", "high", "low", "close")] == [100.1, 101.5, 99.5, 101.3]
        assert row["volume"] == pytest.approx(party.volume("2.5", "101.3"), rel=1e-12)


def changes(draw: random.Random, book: Book) -> tuple[dict[str, str], dict[str, str]]:
    """One to three levels of each side set, changed or taken away; sides never cross."""
    middle = round(float(book.best("bid", 1)[0][0]) + float(book.best("ask", 1)[0][0])) / 2

    def some(sign: int) -> dict[str, str]:
        return {
            f"{middle + sign * draw.randint(6, 60) / 10:.1f}": draw.choice(
                ("0", f"{draw.randint(1, 9)}.{draw.randint(1, 10**8 - 1):08d}")
            )
            for _ in range(draw.randint(1, 3))
        }

    return some(-1), some(1)


def numbers(book: OrderBook, count: int) -> list[list[tuple[float, float]]]:
    return [
        [(float(level.price), float(level.amount)) for level in book.best(side, count)]
        for side in ("bid", "ask")
    ]


async def assert_same(events: AsyncIterator[Event], stand_in: LiveStandIn, party: Party) -> None:
    """Soon the book that is followed is the exchange's."""
    theirs = stand_in.book(party.wire)
    shown = [
        [(float(price), party.amount(amount)) for price, amount in theirs.best(side, 10)]
        for side in ("bid", "ask")
    ]
    while True:
        event = await following(events, LiveBook)
        ours = numbers(event.book, 10)
        if all(
            [price for price, _ in mine] == [price for price, _ in yours]
            and [amount for _, amount in mine] == pytest.approx([amount for _, amount in yours], rel=1e-12)
            for mine, yours in zip(ours, shown, strict=True)
        ):
            return


@of_all
async def test_a_book_is_followed_change_by_change(party: Party) -> None:
    draw = random.Random(1)
    async with party.listening(party.wanted(DataType.BOOK_UPDATES)) as (stand_in, events):
        first = await following(events, LiveBook)
        assert first.updates[0].is_snapshot
        for _ in range(100):
            await stand_in.change(party.wire, *changes(draw, stand_in.book(party.wire)))
        await assert_same(events, stand_in, party)


@of_all
async def test_a_lost_message_of_a_book_is_noticed_and_the_book_begun_anew(party: Party) -> None:
    draw = random.Random(2)
    async with party.listening(party.wanted(DataType.BOOK_UPDATES)) as (stand_in, events):
        await following(events, LiveBook)
        best = stand_in.book(party.wire).best("bid", 1)[0][0]
        await stand_in.change(party.wire, {best: "0"}, {}, lost=True)
        await stand_in.change(party.wire, *changes(draw, stand_in.book(party.wire)))
        if not party.finds:
            return  # nothing in its messages would tell
        lost = await following(events, BookLost)
        assert {"sequence": "missing", "checksum": "checksum"}[party.finds] in lost.words
        begun = await following(events, LiveBook)
        assert begun.updates[0].is_snapshot
        await stand_in.change(party.wire, *changes(draw, stand_in.book(party.wire)))
        await assert_same(events, stand_in, party)


@of_all
async def test_many_contracts_share_a_connection(party: Party) -> None:
    kinds = [kind for kind in party.source.streams if kind is not DataType.OHLC or party.spans]
    wanted = [party.wanted(kind) for kind in kinds]
    groups = grouped(party.source, wanted)
    assert sum(len(group.wanted) for group in groups) == len(kinds)
    feed = party.source.streams[DataType.TRADES].feeds[party.market]
    settled = f":{party.instrument().symbol.settle}" if party.instrument().symbol.settle else ""
    names = [f"{number}X/USD{settled}" for number in range(feed.channels_max + 1)]
    many = [party.wanted(DataType.TRADES, party.instrument(name, name.replace("/", ""))) for name in names]
    sizes = [len(group.wanted) for group in grouped(party.source, many)]
    assert sizes == [feed.channels_max, 1]


@of_all
async def test_a_refused_subscription_is_told_in_the_exchanges_words(party: Party) -> None:
    other = party.instrument("NIX/NIX" + (":NIX" if party.instrument().symbol.settle else ""), "NIXNIX")
    wanted = party.wanted(DataType.TRADES, other)
    async with party.stand_in() as stand_in:
        bound = party.bound(stand_in)
        (events,) = bound.listen([wanted])
        event = await following(events, TurnedDown)
        await events.aclose()
        await bound.aclose()
        assert event.wanted in (wanted, None)
        assert stand_in.refused[0] in event.words


@of_all
async def test_a_subscription_that_is_never_answered(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "ACKNOWLEDGE_S", 0.05)
    async with party.stand_in() as stand_in:
        stand_in.mute = True
        bound = party.bound(stand_in)
        (events,) = bound.listen([party.wanted(DataType.TRADES)])
        with pytest.raises(NetworkError, match="did not answer the subscription"):
            await following(events, TurnedDown)
        await bound.aclose()


@of_all
async def test_what_was_answered_may_be_quiet_for_longer_than_an_answer_may_take(party: Party) -> None:
    now_s = 0.0
    wanted = party.wanted(DataType.TRADES)
    stream = party.source.streams[DataType.TRADES]
    async with party.stand_in() as stand_in:
        connection = LiveConnection(
            party.source.name, stream.feeds[party.market], stand_in.url, monotonic_s=lambda: now_s
        )
        async with connection, asyncio.timeout(10):
            await connection.subscribe({stream.channel(wanted.target): wanted.target})
            with pytest.raises(NetworkError, match="has sent nothing"):  # noqa: PT012 (the loop is what raises)
                async for message in connection.messages():
                    now_s += 300.0 if isinstance(message, Subscribed | Rows) else 0.0


@of_all
async def test_each_message_is_followed_by_a_pause(party: Party) -> None:
    """As long as the exchange's limit wants; greetings count."""
    paused: list[float] = []

    async def sleep(seconds: float) -> None:
        paused.append(seconds)

    stream = party.source.streams[DataType.TRADES]
    feed = stream.feeds[party.market]
    wanted = party.wanted(DataType.TRADES)
    async with party.stand_in() as stand_in:
        connection = LiveConnection(party.source.name, feed, stand_in.url, sleep=sleep)
        async with connection, asyncio.timeout(10):
            await connection.subscribe({stream.channel(wanted.target): wanted.target})
            await stand_in.until(lambda: len(stand_in.heard) == len(feed.greeting) + 1)
    assert paused == [1 / feed.messages_per_s] * (len(feed.greeting) + 1)


@of_all
async def test_a_connection_that_is_cut(party: Party) -> None:
    async with party.listening(party.wanted(DataType.TRADES)) as (stand_in, events):
        await stand_in.cut()
        with pytest.raises(NetworkError, match="ended"):
            await following(events, TurnedDown)


@of_all
async def test_silence_is_noticed_whatever_comes_but_rows(
    party: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heartbeats and the like are no rows, nor is what is not documented."""
    monkeypatch.setattr(live, "_LOOK_EVERY_S", 0.01)
    now_s = 0.0
    wanted = party.wanted(DataType.TRADES)
    stream = party.source.streams[DataType.TRADES]
    async with party.stand_in() as stand_in:
        connection = LiveConnection(
            party.source.name, stream.feeds[party.market], stand_in.url, monotonic_s=lambda: now_s
        )

        answered = asyncio.Event()

        async def listen() -> None:
            async for message in connection.messages():
                if isinstance(message, Subscribed):
                    answered.set()

        async def tell_something() -> None:
            counted = connection.unknown.total()
            while connection.unknown.total() == counted:
                await stand_in.shout(stand_in.strange)
                await asyncio.sleep(0.01)

        async with connection, asyncio.timeout(10):
            listening = asyncio.create_task(listen())
            await connection.subscribe({stream.channel(wanted.target): wanted.target})
            await answered.wait()
            now_s = 200.0
            await tell_something()  # the rows that some send at first are read by then
            now_s = 290.0
            await tell_something()
            now_s = 501.0
            with pytest.raises(NetworkError, match="has sent nothing for 300 s"):
                await listening


@of_all
async def test_what_is_not_documented_is_passed_over_and_counted(party: Party) -> None:
    async with party.listening(party.wanted(DataType.TRADES)) as (stand_in, events):
        await stand_in.shout(stand_in.strange)
        await stand_in.trade(party.wire, trades(1)[0])
        event = await following(events, LiveRows)
        assert event.columns["ts"] == [NOON_NS]
    connection = unconnected(party)
    (message,) = connection.read(stand_in.strange.encode())
    assert isinstance(message, Unknown)


def unconnected(party: Party) -> LiveConnection:
    feed = party.source.streams[DataType.TRADES].feeds[party.market]
    return LiveConnection(party.source.name, feed, "ws://127.0.0.1:1")


@of_all
async def test_every_prefix_and_mutation_of_a_message_raises_only_our_error(party: Party) -> None:
    kinds = [kind for kind in party.source.streams if kind is not DataType.OHLC or party.spans]
    frames: list[bytes] = []
    for kind in kinds:
        async with party.listening(party.wanted(kind)) as (stand_in, events):
            stand_in.listeners.append(lambda text: frames.append(text.encode()))
            match kind:
                case DataType.TRADES:
                    await stand_in.trade(party.wire, trades(1)[0])
                    await following(events, LiveRows)
                case DataType.OHLC:
                    bar = Bar(NOON_NS, "1.5", "2.5", "0.5", "2.0", "3.5", closed=True)
                    await stand_in.bar(party.wire, party.spans[0], bar)
                    await following(events, LiveRows)
                case _:
                    await following(events, LiveBook)
                    await stand_in.change(party.wire, {"99.5": "1.25"}, {})
                    await following(events, LiveBook)
    assert len(frames) >= len(kinds)
    found = 0
    for number, frame in enumerate(frames):
        wanted = [party.wanted(kind) for kind in kinds]
        connection = unconnected(party)
        for one in wanted:
            channel = party.source.streams[one.data_type].channel(one.target)
            connection.targets[channel] = one.target
            connection.dialect.subscribe([channel])
        short = frame[:2000]
        for size in range(len(short)):
            found += fails(connection, short[:size])
        for changed in mutations(short, 300, number):
            fails(connection, changed)
    assert found


def fails(connection: LiveConnection, frame: bytes) -> bool:
    """Whether a frame is refused; nothing else may happen than that, or messages."""
    try:
        messages = connection.read(frame)
    except MalformedPayload:
        return True
    except ExchangeError:
        return False
    for message in messages:
        assert isinstance(message, Message)
        assert getattr(message, "channel", None) is None or isinstance(message.channel, Channel)  # type: ignore[union-attr]
    return False


@of(*(party for party in PARTIES if ping(party) is not None))  # elsewhere WebSocket's own are enough
async def test_pings_are_sent_where_the_exchange_wants_them(party: Party) -> None:
    stream = party.source.streams[DataType.TRADES]
    feed = stream.feeds[party.market]
    assert feed.ping is not None
    quick = replace(stream, feeds={party.market: replace(feed, ping_s=0.01)})
    source = replace(party.source, streams={**party.source.streams, DataType.TRADES: quick})
    async with replace(party, source=source).listening(party.wanted(DataType.TRADES)) as (stand_in, events):
        async with asyncio.timeout(10):
            await stand_in.until(lambda: feed.ping in stand_in.heard)
        await stand_in.trade(party.wire, trades(1)[0])
        await following(events, LiveRows)


@of_all
def test_what_is_listened_to_is_declared(party: Party) -> None:
    live_types = {each.data_type for each in party.source.capabilities if each.mode is Mode.LIVE}
    assert live_types == {*party.source.streams, DataType.ORDERBOOK}
    for each in party.source.capabilities:
        if each.mode is Mode.LIVE and each.data_type is DataType.OHLC and party.market in each.markets:
            assert each.spans[party.market] == party.spans


@of_all
async def test_times_are_plausible(party: Party) -> None:
    """A stand-in's trade of noon is of noon, whatever units the exchange tells times in."""
    async with party.listening(party.wanted(DataType.TRADES)) as (stand_in, events):
        for at_ns in (NOON_NS, NOON_NS + HOUR_NS, NOON_NS + DAY_NS):
            await stand_in.trade(party.wire, Trade(at_ns, "100.0", "1", "buy", at_ns // HOUR_NS))
            event = await following(events, LiveRows)
            assert event.columns["ts"] == [at_ns]
