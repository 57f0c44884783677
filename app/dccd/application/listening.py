"""Listening to an exchange: one connection's messages as events, with its books kept whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dccd.domain.book import BookSync, BookUpdate, OrderBook
from dccd.domain.errors import BrokenBook
from dccd.domain.records import Columns
from dccd.domain.types import DataType
from dccd.sources.base import (
    Change,
    Channel,
    Feed,
    Message,
    Refused,
    Rows,
    Source,
    Stream,
    Subscribed,
    Target,
)
from dccd.transport.http import HttpTransport
from dccd.transport.live import LiveConnection
from dccd.transport.paging import finite

# Messages that may wait to be taken: past that nothing is read, and the exchange ends the connection: so a
# slow reader leaves a gap that is known instead of a hole that is not.
_WAITING_MAX = 10_000
_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is listened to; books as ``BOOK_UPDATES``."""

    data_type: DataType
    target: Target


@dataclass(frozen=True, slots=True)
class Group:
    """What goes over one connection."""

    feed: Feed
    wanted: Mapping[Channel, Wanted]


@dataclass(frozen=True, slots=True)
class Started:
    """The exchange has accepted a subscription."""

    wanted: Wanted


@dataclass(frozen=True, slots=True)
class TurnedDown:
    """It has refused one, or complains of none in particular; in its words."""

    wanted: Wanted | None
    words: str


@dataclass(frozen=True, slots=True)
class LiveRows:
    """Trades or bars. Bars that open from `open_from_ns` on are still open."""

    wanted: Wanted
    columns: Columns
    received_ns: int
    open_from_ns: int | None


@dataclass(frozen=True, slots=True)
class LiveBook:
    """Messages of a book that were applied to it, in order, and the book after them."""

    wanted: Wanted
    updates: Sequence[BookUpdate]
    book: OrderBook
    received_ns: int


@dataclass(frozen=True, slots=True)
class BookLost:
    """A book was right no more, and begins anew."""

    wanted: Wanted
    words: str


Event = Started | TurnedDown | LiveRows | LiveBook | BookLost


def grouped(source: Source, wanted: Iterable[Wanted]) -> list[Group]:
    """What is wanted, laid out over as few connections as the exchange's limits allow.

    Two depths of one book are kept apart, as most exchanges' messages do not tell a book's depth.
    """
    groups: list[tuple[Feed, dict[Channel, Wanted]]] = []
    for one in wanted:
        stream = source.streams[one.data_type]
        feed, channel = stream.feeds[one.target.instrument.market], stream.channel(one.target)
        for known, channels in groups:
            fits = channel in channels or (
                len(channels) < feed.channels_max
                and not any(each[:2] == channel[:2] for each in channels if one.data_type in _BOOKS)
            )
            if known == feed and fits:
                channels[channel] = one
                break
        else:
            groups.append((feed, {channel: one}))
    return [Group(feed, channels) for feed, channels in groups]


_BOOKS = (DataType.BOOK_UPDATES,)


@dataclass(slots=True)
class _Book:
    """A book on its way."""

    stream: Stream
    sync: BookSync
    asked: bool = False


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


@dataclass(slots=True)
class Listener:
    """One connection to an exchange, and what it brings.

    Parameters
    ----------
    source : Source
    http : HttpTransport
        Asks for the snapshots that books begin with.
    group : Group
    silence_s : float
        See :class:`~dccd.transport.live.LiveConnection`.
    """

    source: Source
    http: HttpTransport
    group: Group
    silence_s: float
    _queue: asyncio.Queue[tuple[int, Message | _Failed]] = field(
        default_factory=lambda: asyncio.Queue(_WAITING_MAX)
    )
    _books: dict[Channel, _Book] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def events(self) -> AsyncGenerator[Event, None]:
        """What happens, until the connection ends.

        Raises
        ------
        ExchangeError
            It ended, went silent, or said what the exchange does not document.
        """
        url, proxy = self.http.address(self.group.feed.host)
        connection = LiveConnection(
            self.source.name, self.group.feed, url, proxy=proxy, silence_s=self.silence_s
        )
        async with connection:
            for channel, wanted in self.group.wanted.items():
                if wanted.data_type is DataType.BOOK_UPDATES:
                    self._begin(channel)
            try:
                self._spawn(self._pump(connection))
                self._spawn(
                    connection.subscribe({each: one.target for each, one in self.group.wanted.items()})
                )
                while True:
                    received_ns, message = await self._queue.get()
                    for event in self._events(message, received_ns, connection):
                        yield event
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    def _events(
        self, message: Message | _Failed, received_ns: int, connection: LiveConnection
    ) -> Iterable[Event]:
        match message:
            case _Failed(error):
                raise error
            case Subscribed(channel):
                self._ask(channel)
                yield Started(self.group.wanted[channel])
            case Refused(channel, words):
                yield TurnedDown(None if channel is None else self.group.wanted[channel], words)
            case Rows(channel, columns, open_from_ns):
                wanted = self.group.wanted.get(channel)
                if wanted is not None and columns["ts"]:
                    columns = finite(columns)
                    if wanted.data_type is DataType.TRADES:
                        columns = {**columns, "recv_ts": [received_ns] * len(columns["ts"])}
                    yield LiveRows(wanted, columns, received_ns, open_from_ns)
            case Change(channel, update) if channel in self._books:
                self._ask(channel)
                yield from self._follow(channel, update, received_ns, connection)

    def _follow(
        self, channel: Channel, update: BookUpdate, received_ns: int, connection: LiveConnection
    ) -> Iterable[Event]:
        book, wanted = self._books[channel], self.group.wanted[channel]
        try:
            applied = book.sync.take(update)
        except BrokenBook as broken:
            yield BookLost(wanted, str(broken))
            self._begin(channel)
            if book.stream.start is None:
                self._spawn(self._again(channel, connection))
                return
            if not update.is_snapshot:  # what was missing comes before it
                self._books[channel].sync.take(update)
            self._ask(channel, _AGAIN_S)
            return
        if applied:
            yield LiveBook(wanted, applied, book.sync.book, received_ns)
        elif update.is_snapshot:  # older than the changes that wait for it
            book.asked = False
            self._ask(channel, _AGAIN_S)

    def _begin(self, channel: Channel) -> None:
        wanted = self.group.wanted[channel]
        stream = self.source.streams[wanted.data_type]
        sync = BookSync(
            joins=stream.start is not None, depth=stream.depth(wanted.target), checksum=stream.checksum
        )
        self._books[channel] = _Book(stream, sync)

    def _ask(self, channel: Channel, wait_s: float = 0.0) -> None:
        """Ask for a book's snapshot, once its changes come in."""
        book = self._books.get(channel)
        if book is not None and book.stream.start is not None and not (book.asked or book.sync.is_whole):
            book.asked = True
            self._spawn(self._fetch_start(channel, book, wait_s))

    async def _fetch_start(self, channel: Channel, book: _Book, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        start, target = book.stream.start, self.group.wanted[channel].target
        assert start is not None
        update = await self.http.fetch(start.request(target), lambda response: start.parse(target, response))
        await self._queue.put((self._now_ns(), Change(channel, update)))

    async def _again(self, channel: Channel, connection: LiveConnection) -> None:
        """Subscribe anew to a book, which brings its snapshot."""
        await connection.unsubscribe([channel])
        await asyncio.sleep(_AGAIN_S)
        await connection.subscribe({channel: self.group.wanted[channel].target})

    async def _pump(self, connection: LiveConnection) -> None:
        async for message in connection.messages():
            await self._queue.put((self._now_ns(), message))

    def _now_ns(self) -> int:
        """The exchange's clock, as far as it is known."""
        market = next(iter(self.group.wanted.values())).target.instrument.market
        return self.http.now_ns(self.source.host_of[market])

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001 (raised where the events are taken)
                await self._queue.put((0, _Failed(error)))

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
