"""Requests to build and answers to read, budgets, hosts and lists of instruments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dccd.domain.instrument import Instrument
from dccd.domain.span import Span


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
class Limit:
    """A budget of requests.

    Attributes
    ----------
    units : int
        Allowed in each window.
    window_s : int
        Fixed windows of the exchange's clock (a minute starts at its second 0), unless `rolling`.
    unit : str
        What the exchange calls a unit, for people.
    used_header : str or None
        Response header (lower case) that carries what this window has used.
    host : str or None
        Whose clock it goes by; None when it has its host's name.
    rolling : bool
        Any stretch of `window_s` is a window, or nobody says when one starts.
    """

    units: int
    window_s: int = 60
    unit: str = "weight"
    used_header: str | None = None
    host: str | None = None
    rolling: bool = False


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
    more : callable (response) -> Request or None
        For the list's next page; None when this was the last. Left out where a list is one page.
    """

    request: Request
    parse: Callable[[Response], Sequence[Instrument]]
    limits: Callable[[Response], Mapping[str, int]] | None = None
    more: Callable[[Response], Request | None] | None = None
