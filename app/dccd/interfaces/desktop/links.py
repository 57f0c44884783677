"""Which addresses outside the program a click may open, and in what: the system's browser, by an allow-list.

The page shows text from exchanges; whatever ends up in a link, nothing but these hosts opens.
"""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

ALLOWED_HOSTS = frozenset({"www.tradingview.com"})  # the charts' maker, named in the settings

_open_in_browser = webbrowser.open


def is_allowed(url: str) -> bool:
    """Tell whether `url` is https, on the standard port, without credentials, at a host of the allow-list."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme == "https"
        and parts.hostname in ALLOWED_HOSTS
        and port in (None, 443)
        and parts.username is None
        and parts.password is None
    )


def open_external(url: str, new: int = 0, autoraise: bool = True) -> bool:
    """Open `url` in the system's browser if the allow-list has it; tell whether it was opened.

    The signature is that of `webbrowser.open`, for which this function stands in within the window's
    process: every back-end of pywebview hands it links that want a new window, whatever their scheme.
    """
    if not is_allowed(url):
        return False
    with _environment_of_other_programs():
        return _open_in_browser(url, new, autoraise)


@contextmanager
def _environment_of_other_programs() -> Iterator[None]:
    """Undo, for a program started inside, the library path that a frozen binary sets for itself."""
    ours = os.environ.get("LD_LIBRARY_PATH")
    if not getattr(sys, "frozen", False) or ours is None:
        yield
        return
    original = os.environ.get("LD_LIBRARY_PATH_ORIG")
    if original is None:
        del os.environ["LD_LIBRARY_PATH"]
    else:
        os.environ["LD_LIBRARY_PATH"] = original
    try:
        yield
    finally:
        os.environ["LD_LIBRARY_PATH"] = ours
