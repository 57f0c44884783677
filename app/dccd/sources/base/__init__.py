"""What an exchange is to the program: requests to build and answers to read, without any I/O.

A :class:`Source` says how an exchange is asked; everything generic (sending, budgets, retries, paging,
coverage) lives once, in ``transport`` and ``application.bound_source``.
"""

from __future__ import annotations

from dccd.sources.base.answers import columns, levels
from dccd.sources.base.capabilities import historical
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
from dccd.sources.base.requests import Host, Limit, Listing, Request, Response, Target
from dccd.sources.base.source import Source

__all__ = [
    "ByCursor",
    "ById",
    "ByIdBack",
    "ByTile",
    "ByTime",
    "ByWindow",
    "History",
    "Host",
    "Latest",
    "Limit",
    "Listing",
    "Page",
    "Request",
    "Response",
    "Snapshot",
    "Source",
    "Target",
    "columns",
    "historical",
    "levels",
]
