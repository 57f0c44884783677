"""Signing in, and problems."""

from __future__ import annotations

from pydantic import Field

from dccd.interfaces.api.models.base import Answer, Request, Text


class SessionRequest(Request):
    """A ticket, exchanged once for a page's token."""

    ticket: Text


class Session(Answer):
    """The bearer token of a page; valid until the program ends."""

    token: str


class Ticket(Answer):
    """A fresh ticket, and the address that carries it in its fragment."""

    ticket: str
    url: str


class FieldError(Answer):
    """What is wrong with one member of a request: its name (dotted), and why, in words."""

    field: str
    message: str


class Problem(Answer):
    """An error (RFC 9457). `code` is stable; `detail` is a sentence for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    errors: list[FieldError] = Field(default_factory=list)
    choices: list[str] = Field(default_factory=list)
    retry_after_s: float | None = None
    incident: str | None = None
