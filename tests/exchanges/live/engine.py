"""A WebSocket server on the loopback address, under every live stand-in.

A stand-in subclasses `LiveStandIn`, and says how it answers what it hears and words trades, bars and books.
Tests make things happen: nothing is sent by the clock.
"""

import asyncio
import json
import socket
import struct
import zlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Key = Hashable  # what is subscribed to, as each exchange tells them apart
Frame = str | Callable[["Peer"], str]


@dataclass(slots=True)
class Trade:
    """A trade; price and amount as the exchange would write them."""

    ts_ns: int
    price: str
    amount: str
    side: str = "buy"
    tid: int = 1


@dataclass(slots=True)
class Bar:
    """A bar's state."""

    ts_ns: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    trades: int = 1
    closed: bool = False


@dataclass(slots=True)
class Book:
    """A book as the exchange has it: amounts by price, both as text."""

    bids: dict[str, str] = field(default_factory=dict)
    asks: dict[str, str] = field(default_factory=dict)
    seq: int = 1000

    def change(self, bids: dict[str, str], asks: dict[str, str]) -> None:
        """Set levels; an amount of zero takes one away."""
        for side, changes in ((self.bids, bids), (self.asks, asks)):
            for price, amount in changes.items():
                if float(amount):
                    side[price] = amount
                else:
                    side.pop(price, None)

    def best(self, side: str, count: int | None = None) -> list[tuple[str, str]]:
        """Levels, best first."""
        held = self.bids if side == "bid" else self.asks
        return sorted(held.items(), key=lambda level: float(level[0]), reverse=side == "bid")[:count]


@dataclass(eq=False, slots=True)
class Peer:
    """One connection: what it has asked for, and whatever the dialect keeps of it."""

    socket: ServerConnection
    listeners: list[Callable[[str], object]]
    keys: set[Key] = field(default_factory=set)
    notes: dict[Any, Any] = field(default_factory=dict)

    async def send(self, frame: Frame) -> None:
        """Send a text; nothing happens once the connection has ended."""
        text = frame if isinstance(frame, str) else frame(self)
        for listener in self.listeners:
            listener(text)
        try:
            await self.socket.send(text)
        except ConnectionClosed:
            pass


class LiveStandIn:
    """A WebSocket server that a stand-in exchange builds on; an async context manager.

    Attributes
    ----------
    books
        By symbol, made on first use.
    mute
        Whether it answers no subscription and sends nothing.
    heard
        All messages, as they came.
    refused
        What it has refused, in its words.
    listeners
        Called with each text that is sent.
    paths
        Those it accepts connections on; others are answered with HTTP 404.
    strange
        A message that the exchange does not document.
    rest_url
        Where its REST stand-in is, for books whose snapshot has to be asked for.
    """

    paths: tuple[str, ...] = ("/",)
    strange = '{"moon":"full"}'
    rest_url = "http://127.0.0.1:1"

    def __init__(self) -> None:
        self.books: dict[str, Book] = {}
        self.mute = False
        self.heard: list[str] = []
        self.refused: list[str] = []
        self.peers: set[Peer] = set()
        self.connections = 0
        self.listeners: list[Callable[[str], object]] = []
        self._news = asyncio.Condition()
        self._crashes: list[Exception] = []
        self._server: Server

    # What a dialect says

    async def greet(self, peer: Peer) -> None:
        """Send what comes first on a connection."""

    async def hear(self, peer: Peer, text: str) -> None:
        """Answer a message; `accept` what is subscribed to."""
        raise NotImplementedError

    def word_trade(self, symbol: str, trade: Trade) -> tuple[Key, Frame]:
        """A trade's key and frame."""
        raise NotImplementedError

    def word_bar(self, symbol: str, span: str, bar: Bar) -> tuple[Key, Frame]:
        """A bar's key and frame; `span` is ours."""
        raise NotImplementedError

    def word_book(
        self, symbol: str, key: Key, bids: dict[str, str], asks: dict[str, str], *, snapshot: bool
    ) -> Frame:
        """A book's snapshot or change, after which `books` is as it says."""
        raise NotImplementedError

    def is_book(self, key: Key, symbol: str) -> bool:
        """Whether somebody who asked for `key` hears of a symbol's book."""
        raise NotImplementedError

    # What tests make happen

    async def trade(self, symbol: str, trade: Trade) -> None:
        """Tell a trade to those who listen."""
        key, frame = self.word_trade(symbol, trade)
        await self.tell(frame, lambda each: each == key)

    async def bar(self, symbol: str, span: str, bar: Bar) -> None:
        """Tell a bar's state to those who listen."""
        key, frame = self.word_bar(symbol, span, bar)
        await self.tell(frame, lambda each: each == key)

    async def change(
        self, symbol: str, bids: dict[str, str], asks: dict[str, str], *, lost: bool = False
    ) -> None:
        """Change a book, and tell it, unless the message is `lost`."""
        book = self.book(symbol)
        book.change(bids, asks)
        book.seq += 1
        for peer in list(self.peers):
            for key in sorted(peer.keys, key=str):
                if self.is_book(key, symbol):
                    frame = self.word_book(symbol, key, bids, asks, snapshot=False)
                    if not lost:
                        await peer.send(frame)

    def book(self, symbol: str) -> Book:
        """A symbol's book; at first of a few levels that follow from its name."""
        if symbol not in self.books:
            price = 100 + zlib.crc32(symbol.encode()) % 900
            self.books[symbol] = Book(
                {f"{price - i / 10:.1f}": f"{i}.00000001" for i in range(1, 31)},
                {f"{price + i / 10:.1f}": f"{i}.50000000" for i in range(1, 31)},
            )
        return self.books[symbol]

    async def tell(self, frame: Frame, to: Callable[[Key], bool] = lambda _: True) -> None:
        """Send a frame to those who asked for a key, or to all."""
        for peer in list(self.peers):
            if any(map(to, peer.keys)):
                await peer.send(frame)

    async def shout(self, text: str | bytes) -> None:
        """Send just this to everybody."""
        for peer in list(self.peers):
            await peer.socket.send(text)

    async def cut(self) -> None:
        """End all connections with a reset."""
        for peer in list(self.peers):
            sock = peer.socket.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.socket.transport.abort()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is looked at after each message heard and connection ended."""
        async with self._news:
            await self._news.wait_for(condition)

    # For dialects

    async def accept(self, peer: Peer, key: Key, *answers: Frame) -> None:
        """Note a subscription, and answer it."""
        peer.keys.add(key)
        for answer in answers:
            await peer.send(answer)

    async def refuse(self, peer: Peer, words: str, answer: dict[str, Any] | Sequence[Any]) -> None:
        """Answer with an error."""
        self.refused.append(words)
        await peer.send(json.dumps(answer))

    # The server

    @property
    def url(self) -> str:
        """Address without a path."""
        port = next(iter(self._server.sockets)).getsockname()[1]
        return f"ws://127.0.0.1:{port}"

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve, "127.0.0.1", 0, process_request=self._look, ping_interval=None, close_timeout=1
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()
        if self._crashes:
            raise ExceptionGroup("the stand-in itself failed", self._crashes)

    def _look(self, connection: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        return None if path in self.paths else connection.respond(404, "no such path\n")

    async def _serve(self, connection: ServerConnection) -> None:
        peer = Peer(connection, self.listeners)
        self.peers.add(peer)
        self.connections += 1
        try:
            if not self.mute:
                await self.greet(peer)
            async for text in connection:
                self.heard.append(str(text))
                if not self.mute:
                    await self.hear(peer, str(text))
                await self._tell_news()
        except ConnectionClosed:
            pass
        except Exception as error:  # noqa: BLE001 - raised again at the end, where the test can see it
            self._crashes.append(error)
        finally:
            self.peers.discard(peer)
            await self._tell_news()

    async def _tell_news(self) -> None:
        async with self._news:
            self._news.notify_all()
