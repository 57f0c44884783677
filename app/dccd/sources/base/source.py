"""An exchange, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dccd.domain.capability import Capability
from dccd.domain.errors import ExchangeError
from dccd.domain.types import DataType, Market
from dccd.sources.base.archive import Archive
from dccd.sources.base.history import History
from dccd.sources.base.live import Stream
from dccd.sources.base.requests import Host, Limit, Listing, Response


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
    streams : mapping of DataType to Stream
        What is told as it happens; books under ``BOOK_UPDATES``.
    archives : mapping of DataType to Archive
        What there is of the past in public files.
    open_is_previous_close : bool
        Bars open where the one before closed, and not at their first trade.
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
    streams: Mapping[DataType, Stream] = field(default_factory=dict)
    archives: Mapping[DataType, Archive] = field(default_factory=dict)
    open_is_previous_close: bool = False
