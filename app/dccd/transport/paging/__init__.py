"""Pages of a history, several in flight, emitted in order with the coverage each one proves.

The generators know nothing of HTTP: they are given ``ask``, which turns a request into parsed rows. What is
emitted never runs ahead of what was proven: every page says which range of time it, with those before it,
shows to be fetched whole. One answer without rows proves nothing, as exchanges now and then give one by
mistake: it is asked for again, and is an error where rows are known to be.
"""

from dccd.transport.paging.by_cursor import by_cursor
from dccd.transport.paging.by_id import IdHistory, by_id
from dccd.transport.paging.by_id_back import IdBackHistory, by_id_back
from dccd.transport.paging.by_tile import by_tile
from dccd.transport.paging.by_time import by_time
from dccd.transport.paging.by_window import by_window
from dccd.transport.paging.latest import latest, newest
from dccd.transport.paging.pages import FetchedPage, finite

__all__ = [
    "FetchedPage",
    "IdBackHistory",
    "IdHistory",
    "by_cursor",
    "by_id",
    "by_id_back",
    "by_tile",
    "by_time",
    "by_window",
    "finite",
    "latest",
    "newest",
]
