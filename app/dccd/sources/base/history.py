"""How an exchange's past is asked for: eight ways of paging, of which a source picks one for each data type.

===================  ============================================================================
:class:`ByWindow`    the pages' time windows are known beforehand: bars, open interest
:class:`ById`        rows carry rising ids, a page starts at any id: trades
:class:`ByIdBack`    rows carry rising ids, a page ends before any id or moment: trades
:class:`ByCursor`    each answer says where the next page starts
:class:`ByTime`      rows by time alone, many of one instant: trades
:class:`ByTile`      few rows at unknown times: funding
:class:`Latest`      the newest rows alone, one page: trades
:class:`Snapshot`    the state of now, one page: order book
===================  ============================================================================

The paging itself is in ``transport.paging``, see ``docs/adr/0021``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dccd.domain.records import Columns
from dccd.domain.timeutils import MS_NS
from dccd.domain.types import Market
from dccd.sources.base.requests import Request, Response, Target


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
        Whose first row is the earliest there is, or earlier by less than a week.
    parse_first : callable (target, response) -> Columns, or None
        Reads the answer to `first` where that is of another kind: it needs the column ``ts`` alone, and the
        bar that holds its first time is the earliest.
    rows : mapping of Market to int
        Rows of a window at most.
    window_s : mapping of Market to int
        Longest window the exchange accepts, in seconds, where it limits that.
    dense : bool
        Every bar exists, even without trades: what an answer lacks within is asked for again too. What it
        lacks at its ends always is, so that a page smaller than asked for never becomes a hole.
    settle_s : float
        Rows younger than this may still change.
    """

    request: Callable[[Target, int, int, int], Request]
    parse: Callable[[Target, Response], Columns]
    rows: Mapping[Market, int]
    first: Callable[[Target], Request] | None = None
    parse_first: Callable[[Target, Response], Columns] | None = None
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
class ByIdBack:
    """History of rows whose ids (column ``tid_num``) rise with time, asked for by where a page ends.

    Attributes
    ----------
    request : callable (target, stop_id, limit) -> Request
        For the last rows before an id, none between them left out.
    request_before : callable (target, stop_ns, limit) -> Request, or None
        For the last rows before a moment; None where only ids can be asked for.
    latest : callable (target) -> Request, or None
        For the newest row, where all rows are served from the first on; without `request_before`.
    parse : callable (target, response) -> Columns
        Rows in order of their ids.
    rows : int
        Rows of a page at most.
    settle_s : float
        Rows younger than this may not be listed yet.
    """

    request: Callable[[Target, int, int], Request]
    parse: Callable[[Target, Response], Columns]
    rows: int
    request_before: Callable[[Target, int, int], Request] | None = None
    latest: Callable[[Target], Request] | None = None
    settle_s: float = 10.0


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
class Latest:
    """The newest rows, and no way to ask for older ones: trades, or bars of which the last is still open.

    Attributes
    ----------
    request : callable (target, limit) -> Request
    parse : callable (target, response) -> Columns
        Rows in order of ``ts``.
    rows : mapping of Market to int
        Rows of a page at most.
    resolution_ns : int
        How finely times are told: the first instant of a page, that long, may be cut.
    late_s : float
        Rows younger than this may not be listed yet; where the newest is older, nothing came since.
    """

    request: Callable[[Target, int], Request]
    parse: Callable[[Target, Response], Columns]
    rows: Mapping[Market, int]
    resolution_ns: int = MS_NS
    late_s: float = 10.0


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
        For the first `limit` rows with ``start_ns <= ts < end_ns``; some of before may come first, and
        some of after in place of no more.
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
        Whose first row is the earliest there is, or earlier by less than a week.
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
        Whose first row is the earliest there is, or earlier by less than a week.
    settle_s : float
        Rows younger than this may not be listed yet.
    """

    request: Callable[[Target, int, int, int], Request]
    parse: Callable[[Target, Response], Columns]
    rows: int
    every_s: float
    first: Callable[[Target], Request] | None = None
    settle_s: float = 60.0


History = ByWindow | ById | ByIdBack | ByCursor | ByTime | ByTile | Latest | Snapshot
