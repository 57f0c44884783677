"""How an exchange is listened to: connections, channels, and what its messages say.

A :class:`Stream` says on which :class:`Feed` the rows of a data type come, and in what :class:`Channel`. On
each connection of a feed a :class:`Dialect` speaks the language of the exchange: it writes subscriptions and
reads frames, and remembers what holds for that connection alone. It does no I/O; ``transport.live`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from dccd.domain.book import BookUpdate, OrderBook
from dccd.domain.records import Columns
from dccd.domain.types import Market
from dccd.sources.base.requests import Request, Response, Target


class Channel(NamedTuple):
    """What can be subscribed to, in the exchange's words: a name, an instrument, and a span or depth."""

    name: str
    symbol: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The exchange has accepted a subscription."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class Refused:
    """The exchange has refused a subscription or, without a `channel`, complains; in its words."""

    channel: Channel | None
    words: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Trades or bars.

    Attributes
    ----------
    columns : Columns
    open_from_ns : int or None
        Bars that open from here on are not closed yet; None where all rows are final.
    """

    channel: Channel
    columns: Columns
    open_from_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A book's snapshot, or changes to it."""

    channel: Channel
    update: BookUpdate


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message that is not among those documented; counted by its kind."""

    kind: str


Message = Subscribed | Refused | Rows | Change | Unknown


class Dialect(Protocol):
    """The exchange's language on one connection."""

    def subscribe(self, channels: Sequence[Channel]) -> Sequence[str]:
        """Messages that subscribe, each within the exchange's limits."""
        ...

    def unsubscribe(self, channels: Sequence[Channel]) -> Sequence[str]:
        """Messages that end subscriptions."""
        ...

    def read(self, frame: bytes) -> Sequence[Message]:
        """What a frame says; nothing for heartbeats and the like.

        Anything it raises means that the frame is not what the exchange documents.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One kind of connection.

    Attributes
    ----------
    host : str
        Key of :attr:`Source.hosts`, whose address begins with ``wss://``.
    path : str
    dialect : callable (targets) -> Dialect
        Speaks on a new connection; `targets` are those subscribed to by channel, and change with time.
    channels_max : int
        Subscriptions of one connection at most.
    messages_per_s : float
        How fast subscriptions may be sent.
    greeting : sequence of str
        What is sent first.
    ping : str or None
        Text that keeps a connection alive, where WebSocket's own pings do not.
    ping_s : float
        How often.
    """

    host: str
    path: str
    dialect: Callable[[Mapping[Channel, Target]], Dialect]
    channels_max: int
    messages_per_s: float = 5.0
    greeting: Sequence[str] = ()
    ping: str | None = None
    ping_s: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BookStart:
    """The snapshot a book begins with, where it has to be asked for: see :class:`Snapshot`."""

    request: Callable[[Target], Request]
    parse: Callable[[Target, Response], BookUpdate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """The rows of one data type as they happen.

    Attributes
    ----------
    feeds : mapping of Market to Feed
    channel : callable (target) -> Channel
    start : BookStart or None
        Of books whose snapshot does not come on its own.
    checksum : callable (book) -> int, or None
        What the exchange's checksum is of.
    depth : callable (target) -> int or None
        Levels a side that the exchange tells of; None for all there are.
    """

    feeds: Mapping[Market, Feed]
    channel: Callable[[Target], Channel]
    start: BookStart | None = None
    checksum: Callable[[OrderBook], int] | None = None
    depth: Callable[[Target], int | None] = lambda _: None


def deep_enough(depths: Sequence[int], depth: int | None) -> int:
    """The least of the depths an exchange offers that is as deep as wanted; the deepest when none is said."""
    return min((each for each in depths if depth is not None and each >= depth), default=max(depths))
