"""Whom a secure connection trusts."""

from __future__ import annotations

import ssl

import certifi


def trusted() -> ssl.SSLContext:
    """The system's certificates, and Mozilla's for a bundle on a machine that keeps its own elsewhere."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
