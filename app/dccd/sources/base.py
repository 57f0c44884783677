"""What an exchange is to the program: requests to build and answers to read, without any I/O.

A :class:`Source` says how an exchange is asked; everything generic (sending, budgets, retries, paging,
coverage) lives once, in ``transport`` and ``application.bound_source``. For each data type a source picks
one of six ways of paging:

===================  ============================================================================
:class:`ByWindow`    the pages' time windows are known beforehand: bars, open interest
:class:`ById`        rows carry rising ids, a page starts at any id: trades
:class:`ByCursor`    each answer says where the next page starts
:class:`ByTime`      rows by time alone, many of one instant: trades
:class:`ByTile`      few rows at unknown times: funding
:class:`Snapshot`    the state of now, one page: order book
===================  ============================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dccd.domain.capability import Capability
from dccd.domain.errors import ExchangeError
from dccd.domain.instrument import Instrument
from dccd.domain.records import Columns
from dccd.domain.span import Span
from dccd.domain.timeutils import MS_NS
from dccd.domain.types import DataType, Market


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, without its host's address.

    Attributes
    ----------
    host : str
        Key of :attr:`Source.hosts`.
    path : str
        Starts with a slash.
    query : tuple of (name, value)
        Sent in this order.
    headers : mapping
    weight : int
        What it costs, in the units of its budget; 0 is free.
    budget : str or None
        Key of :attr:`Source.budgets`; None is the host's own.
    method : str
    body : bytes or None
        JSON, sent as such.
    """

    host: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    weight: int = 1
    budget: str | None = None
    method: str = "GET"
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer, read whole.

    Attributes
    ----------
    status : int
    headers : mapping
        Names in lower case.
    body : bytes
        Decompressed.
    received_ns : int
        When it had arrived, by the exchange's clock as far as it is known, nanoseconds UTC.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    received_ns: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """What a history is asked for: an instrument, with its span (bars) or depth (books)."""

    instrument: Instrument
    span: Span | None = None
    depth: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of one answer of a :class:`ByCursor` history.

    Attributes
    ----------
    columns : Columns
        In order of time, whatever the exchange's order; may be empty.
    next : str or None
        Cursor of the page after; None when this was the last.
    """

    columns: Columns
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ByWindow:
    """History asked for by time windows.

    Attributes
    ----------
    request : callable (target, start_ns, end_ns, limit) -> Request
        For the rows with ``start_ns <= ts < end_ns``, of which there are at most `limit`.
    parse : callable (target, response) -> Columns
        Rows in order of ``ts``.
    first : callable (target) -> Request, or None
        Whose first row is the earliest there is, or earlier by less than a day.
    rows : mapping of Market to int
        Rows of a window at most.
    window_s : mapping of Market to int
        Longest window the exchange accepts, in seconds, where it limits that.
    dense : bool
        Every bar exists, even without trades: what an answer lacks, at its ends or within, is asked for
        again, so that a page smaller than asked for never becomes a hole.
    settle_s : float
        Rows younger than this may still change.
    """

    request: Callable[[Target, int, int, int], Request]
    parse: Callable[[Target, Response], Columns]
    rows: Mapping[Market, int]
    first: Callable[[Target], Request] | None = None
    window_s: Mapping[Market, int] = field(default_factory=dict)
    dense: bool = False
    settle_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ById:
    """History of rows whose ids (column ``tid_num``) rise with time.

    Attributes
    ----------
    request : callable (target, first_id, limit) -> Request
        For the rows from `first_id` on, in order, none left out.
    latest : callable (target) -> Request
        For the newest row (the last of the answer).
    parse : callable (target, response) -> Columns
    rows : int
        Rows of a page at most.
    request_at : callable (target, start_ns, end_ns, limit) -> Request, or None
        For the first rows of a window no longer than `window_s`; None where only ids can be asked for.
    window_s : int
        Longest window of `request_at`, in seconds.
    settle_s : float
        Rows younger than this may not be listed yet.
    aggregated : bool
        A row may be several trades taken together: their number is not the number of trades.
    """

    request: Callable[[Target, int, int], Request]
    latest: Callable[[Target], Request]
    parse: Callable[[Target, Response], Columns]
    rows: int
    request_at: Callable[[Target, int, int, int], Request] | None = None
    window_s: int = 3600
    settle_s: float = 10.0
    aggregated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ByCursor:
    """History where each answer tells the next page's cursor.

    Attributes
    ----------
    start : callable (target, start_ns, end_ns) -> str
        Cursor of the first page.
    request : callable (target, cursor, start_ns, end_ns) -> Request
    parse : callable (target, response, cursor) -> Page
        Sees the response's headers, where some exchanges put their cursor.
    rows : int
        Rows of a page at most, for estimates.
    typical_s : float
        Time between two rows, for estimates.
    settle_s : float
        Rows younger than this may not be listed yet.
    """

    start: Callable[[Target, int, int], str]
    request: Callable[[Target, str, int, int], Request]
    parse: Callable[[Target, Response, str], Page]
    rows: int
    typical_s: float
    settle_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state of now: one request. Without a column ``ts`` the time of arrival is taken."""

    request: Callable[[Target], Request]
    parse: Callable[[Target, Response], Columns]


@dataclass(frozen=True, slots=True, kw_only=True)
class ByTime:
    """History asked for by time, oldest first, where a full page may end in the middle of an instant.

    Attributes
    ----------
    request : callable (target, start_ns, end_ns, limit) -> Request
        For the first `limit` rows with ``start_ns <= ts < end_ns``.
    parse : callable (target, response) -> Columns
        Rows in order of ``ts``.
    rows : int
        Rows of a page at most.
    typical_s : float
        Time between two rows, for estimates.
    request_more : callable (target, ts_ns, offset, limit) -> Request, or None
        For the rows of the instant that begins at `ts_ns`, but for the first `offset`; None where an
        instant with more rows than a page cannot be had whole.
    first : callable (target) -> Request, or None
        Whose first row is the earliest there is, or earlier by less than a day.
    resolution_ns : int
        How finely times can be asked for: an instant is that long.
    settle_s : float
        Rows younger than this may not be listed yet.
    """

    request: Callable[[Target, int, int, int], Request]
    parse: Callable[[Target, Response], Columns]
    rows: int
    typical_s: float
    request_more: Callable[[Target, int, int, int], Request] | None = None
    first: Callable[[Target], Request] | None = None
    resolution_ns: int = MS_NS
    settle_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ByTile:
    """History of few rows, never closer than `every_s`, asked for by windows that a page should hold.

    Attributes
    ----------
    request : callable (target, start_ns, end_ns, limit) -> Request
        For the rows with ``start_ns <= ts < end_ns``; the exchange may give `limit` of them, from either end.
    parse : callable (target, response) -> Columns
        Rows in order of ``ts``.
    rows : int
        Rows of a page at most.
    every_s : float
        Least time between two rows; where it is less at times, windows are halved.
    first : callable (target) -> Request, or None
        Whose first row is the earliest there is, or earlier by less than a day.
    settle_s : float
        Rows younger than this may not be listed yet.
    """

    request: Callable[[Target, int, int, int], Request]
    parse: Callable[[Target, Response], Columns]
    rows: int
    every_s: float
    first: Callable[[Target], Request] | None = None
    settle_s: float = 60.0


History = ByWindow | ById | ByCursor | ByTime | ByTile | Snapshot


@dataclass(frozen=True, slots=True)
class Limit:
    """A budget of requests.

    Attributes
    ----------
    units : int
        Allowed in each window.
    window_s : int
        Fixed windows of the exchange's clock (a minute starts at its second 0).
    unit : str
        What the exchange calls a unit, for people.
    used_header : str or None
        Response header (lower case) that carries what this window has used.
    host : str or None
        Whose clock it goes by; None when it has its host's name.
    """

    units: int
    window_s: int = 60
    unit: str = "weight"
    used_header: str | None = None
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """One host of an exchange.

    Attributes
    ----------
    url : str
        Without a trailing slash.
    setting : str
        Name of the setting of ``[sources.<exchange>]`` that overrides `url`.
    clock : Request or None
        Weighs little; its answer tells the exchange's time.
    """

    url: str
    setting: str
    clock: Request | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of instruments.

    Attributes
    ----------
    request : Request
    parse : callable (response) -> sequence of Instrument
    limits : callable (response) -> mapping of budget to units, or None
        What the answer says of the exchange's budgets.
    """

    request: Request
    parse: Callable[[Response], Sequence[Instrument]]
    limits: Callable[[Response], Mapping[str, int]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An exchange, as data.

    Attributes
    ----------
    id : str
        Lower case; the name in symbols, folders and settings.
    name : str
        What people call it.
    hosts : mapping of str to Host
    host_of : mapping of Market to str
        Which host serves a market.
    budgets : mapping of str to Limit
        One for each host, under the host's key; others by name.
    capabilities : tuple of Capability
    listings : tuple of Listing
    history : mapping of DataType to History
    error : callable (response) -> ExchangeError or None
        What is wrong with an answer, in the exchange's own words, whatever its HTTP status.
    clock_ns : callable (response) -> int
        Time told by a host's clock request.
    """

    id: str
    name: str
    hosts: Mapping[str, Host]
    host_of: Mapping[Market, str]
    budgets: Mapping[str, Limit]
    capabilities: tuple[Capability, ...]
    listings: tuple[Listing, ...]
    history: Mapping[DataType, History]
    error: Callable[[Response], ExchangeError | None]
    clock_ns: Callable[[Response], int]
