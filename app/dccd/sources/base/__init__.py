"""What an exchange is to the program: requests to build and answers to read, without any I/O.

A :class:`Source` says how an exchange is asked; everything generic (sending, budgets, retries, paging,
coverage) lives once, in ``transport`` and ``application.bound_source``.
"""

from __future__ import annotations

from dccd.sources.base.answers import columns, contract_worth, in_base, levels
from dccd.sources.base.archive import Archive, Table
from dccd.sources.base.capabilities import archived, historical, streamed, streamed_book
from dccd.sources.base.history import (
    ByCursor,
    ById,
    ByIdBack,
    ByTile,
    ByTime,
    ByWindow,
    History,
    Latest,
    Page,
    Snapshot,
)
from dccd.sources.base.live import (
    BookStart,
    Change,
    Channel,
    Dialect,
    Feed,
    Message,
    Refused,
    Rows,
    Stream,
    Subscribed,
    Unknown,
    deep_enough,
)
from dccd.sources.base.requests import Host, Limit, Listing, Request, Response, Target
from dccd.sources.base.source import Source

__all__ = [
    "Archive",
    "BookStart",
    "ByCursor",
    "ById",
    "ByIdBack",
    "ByTile",
    "ByTime",
    "ByWindow",
    "Change",
    "Channel",
    "Dialect",
    "Feed",
    "History",
    "Host",
    "Latest",
    "Limit",
    "Listing",
    "Message",
    "Page",
    "Refused",
    "Request",
    "Response",
    "Rows",
    "Snapshot",
    "Source",
    "Stream",
    "Subscribed",
    "Table",
    "Target",
    "Unknown",
    "archived",
    "columns",
    "contract_worth",
    "deep_enough",
    "historical",
    "in_base",
    "levels",
    "streamed",
    "streamed_book",
]
