"""Whom a secure connection trusts."""

from __future__ import annotations

import ssl
from functools import cache

import certifi


@cache
def trusted() -> ssl.SSLContext:
    """The system's certificates, and Mozilla's for a bundle on a machine that keeps its own elsewhere.

    Read once: they are hundreds, and a tenth of a second is long where each connection waits for it.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
