"""One WebSocket to an exchange: subscriptions go out, messages come in; websockets is known here alone."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException

from dccd.domain.errors import DccdError, ExchangeUnavailable, MalformedPayload, NetworkError, Throttled
from dccd.sources.base import Change, Channel, Feed, Message, Refused, Rows, Subscribed, Target, Unknown
from dccd.transport.retry import Sleep
from dccd.transport.tls import trusted

CONNECT_S = 10.0
ACKNOWLEDGE_S = 15.0
_CLOSE_S = 2.0
# The widest books come as one message of a few megabytes.
_FRAME_BYTES_MAX = 32 << 20
_HEARTBEAT_S = 20.0
_KINDS_MAX = 100
_LOOK_EVERY_S = 1.0


class LiveConnection:
    """One connection of a feed; an async context manager.

    Parameters
    ----------
    name : str
        The exchange's, for errors.
    feed : Feed
    url : str
        Address of its host, without the feed's path.
    proxy : str or None
        Address of an HTTP proxy.
    silence_s : float
        How long no rows may come; heartbeats and acknowledgements do not count.
    monotonic_s, sleep
        A clock that nobody sets, and how to wait.

    Attributes
    ----------
    targets : mapping of Channel to Target
        What is subscribed to, or about to be.
    dialect : Dialect
        Speaks on this connection.
    unknown : Counter of str
        Messages that are not documented, by kind.
    """

    def __init__(
        self,
        name: str,
        feed: Feed,
        url: str,
        *,
        proxy: str | None = None,
        silence_s: float = 300.0,
        monotonic_s: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.targets: dict[Channel, Target] = {}
        self.unknown: Counter[str] = Counter()
        self._name, self._feed, self._url, self._proxy = name, feed, url + feed.path, proxy
        self._silence_s, self._monotonic_s, self._sleep = silence_s, monotonic_s, sleep
        self.dialect = feed.dialect(self.targets)
        self._awaited: dict[Channel, float] = {}
        self._sending = asyncio.Lock()
        self._owned = AsyncExitStack()
        self._socket: ClientConnection

    @property
    def where(self) -> str:
        """The exchange and its host, for people."""
        parts = urlsplit(self._url)
        return f"{self._name} at {parts.scheme}://{parts.netloc}"

    async def __aenter__(self) -> Self:
        """Connect.

        Raises
        ------
        NetworkError, Throttled, ExchangeUnavailable
        """
        try:
            self._socket = await self._owned.enter_async_context(
                connect(
                    self._url,
                    proxy=self._proxy or True,
                    ssl=trusted() if self._url.startswith("wss:") else None,
                    open_timeout=CONNECT_S,
                    close_timeout=_CLOSE_S,
                    ping_interval=_HEARTBEAT_S,
                    ping_timeout=_HEARTBEAT_S,
                    max_size=_FRAME_BYTES_MAX,
                )
            )
            await self._send(self._feed.greeting)
        except InvalidStatus as fault:
            status = fault.response.status_code
            if status in (403, 418, 429):
                raise Throttled(f"{self.where} asked for fewer connections (HTTP {status}).", None) from fault
            raise ExchangeUnavailable(f"{self.where} takes no connections now (HTTP {status}).") from fault
        except (OSError, InvalidHandshake, WebSocketException, TimeoutError) as fault:
            raise NetworkError(f"Cannot connect to {self.where} ({_reason(fault)}).") from fault
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._owned.aclose()

    async def subscribe(self, targets: Mapping[Channel, Target]) -> None:
        """Ask for channels; what the exchange says to that comes with the messages."""
        self.targets.update(targets)
        deadline_s = self._monotonic_s() + ACKNOWLEDGE_S
        texts = self.dialect.subscribe(list(targets))
        pace_s = len(texts) / self._feed.messages_per_s
        self._awaited |= dict.fromkeys(targets, deadline_s + pace_s)
        await self._send(texts)

    async def unsubscribe(self, channels: Sequence[Channel]) -> None:
        """Ask for channels no more; what still comes of them may be ignored."""
        for channel in channels:
            self._awaited.pop(channel, None)
        await self._send(self.dialect.unsubscribe(channels))

    async def _send(self, texts: Sequence[str]) -> None:
        async with self._sending:
            for text in texts:
                try:
                    await self._socket.send(text)
                except ConnectionClosed as fault:
                    raise self._ended(fault) from fault
                await self._sleep(1 / self._feed.messages_per_s)

    async def messages(self) -> AsyncGenerator[Message, None]:
        """What the exchange says, until the connection ends; never ends by itself.

        Raises
        ------
        NetworkError
            The connection ended, a subscription was never answered, or no rows came for too long.
        MalformedPayload
            A message is not what the exchange documents.
        """
        pinging = asyncio.create_task(self._ping()) if self._feed.ping is not None else None
        heard_s = self._monotonic_s()
        try:
            while True:
                try:
                    async with asyncio.timeout(self._patience_s(heard_s)):
                        frame = await self._socket.recv(decode=False)
                except TimeoutError:
                    self._complain(heard_s)
                    continue
                except ConnectionClosed as fault:
                    raise self._ended(fault) from fault
                for message in self.read(frame):
                    match message:
                        case Rows() | Change():
                            heard_s = self._monotonic_s()
                            self._awaited.pop(message.channel, None)
                        case Subscribed(channel):
                            self._awaited.pop(channel, None)
                        case Refused(channel=Channel() as channel):
                            self._awaited.pop(channel, None)
                            self.targets.pop(channel, None)
                        case Unknown(kind):
                            if kind in self.unknown or len(self.unknown) < _KINDS_MAX:
                                self.unknown[kind] += 1
                            continue
                    yield message
        finally:
            if pinging is not None:
                pinging.cancel()

    def _patience_s(self, heard_s: float) -> float:
        deadline_s = min([heard_s + self._silence_s, *self._awaited.values()])
        # What is subscribed to meanwhile has a deadline too.
        return min(_LOOK_EVERY_S, max(0.0, deadline_s - self._monotonic_s()))

    def _complain(self, heard_s: float) -> None:
        now_s = self._monotonic_s()
        late = [channel for channel, deadline_s in self._awaited.items() if deadline_s <= now_s]
        if late:
            what = ", ".join(" ".join(filter(None, channel)) for channel in late[:3])
            raise NetworkError(f"{self.where} did not answer the subscription to {what}.")
        if now_s - heard_s >= self._silence_s:
            raise NetworkError(f"{self.where} has sent nothing for {self._silence_s:.0f} s.")

    def read(self, frame: bytes) -> Sequence[Message]:
        """What a frame says.

        Raises
        ------
        MalformedPayload
            It is not what the exchange documents.
        """
        try:
            return self.dialect.read(frame)
        except DccdError:
            raise
        except Exception as fault:
            raise MalformedPayload(
                f"{self._name} sent something else than it documents: {fault} ({frame[:60]!r})."
            ) from fault

    async def _ping(self) -> None:
        assert self._feed.ping is not None
        while True:
            await self._sleep(self._feed.ping_s)
            try:
                await self._socket.send(self._feed.ping)
            except ConnectionClosed:
                return  # told where messages are read

    def _ended(self, fault: ConnectionClosed) -> NetworkError:
        return NetworkError(f"The connection to {self.where} ended ({_reason(fault)}).")


def _reason(fault: BaseException) -> str:
    """Why, in plain words."""
    if isinstance(fault, ConnectionClosed):
        frame = fault.rcvd or fault.sent
        return f"{frame.code} {frame.reason}".strip() if frame is not None else "disconnected"
    if isinstance(fault, TimeoutError):
        return "timed out"
    if isinstance(fault, OSError):
        return fault.strerror or type(fault).__name__
    return str(fault) or type(fault).__name__
