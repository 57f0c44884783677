"""Who may ask: tickets that become tokens, the local secret, and folders lent to a page by handle."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

from dccd.domain.errors import AccessDenied
from dccd.interfaces.api.problems import InvalidTicket

TICKET_LIFE_S = 60.0
# Each re-opened window takes a token; far more than are ever open at once, so that none in use is forgotten.
TOKENS_MAX = 256
TICKETS_MAX = 256
HANDLES_MAX = 64


class Scope(StrEnum):
    """What a route asks of its caller; each includes the one before."""

    PUBLIC = "public"
    PAGE = "page"
    LOCAL = "local"


class Access:
    """Tickets, tokens and the local secret of one run of the program; all in memory.

    Secrets are kept as digests and looked up by them, so how long a look-up takes tells nothing about
    any of them.

    Parameters
    ----------
    clock
        Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.secret = secrets.token_urlsafe(32)
        self._secret_digest = _digest(self.secret)
        self._clock = clock
        self._tickets: OrderedDict[bytes, float] = OrderedDict()
        self._tokens: OrderedDict[bytes, None] = OrderedDict()

    def new_ticket(self, *, lasting: bool = False) -> str:
        """A ticket for one page, good for 60 seconds or, if `lasting`, until it is used."""
        ticket = secrets.token_urlsafe(32)
        self._tickets[_digest(ticket)] = float("inf") if lasting else self._clock() + TICKET_LIFE_S
        _bound(self._tickets, TICKETS_MAX)
        return ticket

    def redeem(self, ticket: str) -> str:
        """The token a ticket stands for; the ticket is used up.

        Raises
        ------
        InvalidTicket
            It was never given, was used, or is too old.
        """
        expires_s = self._tickets.pop(_digest(ticket), None)
        if expires_s is None or self._clock() >= expires_s:
            raise InvalidTicket(
                "This address was already used or is too old. Open dccd from its icon, or run `dccd open`."
            )
        token = secrets.token_urlsafe(32)
        self._tokens[_digest(token)] = None
        _bound(self._tokens, TOKENS_MAX)
        return token

    def scope_of(self, token: str) -> Scope:
        """What a bearer token gives its holder a right to; PUBLIC for an unknown one."""
        digest = _digest(token)
        if hmac.compare_digest(digest, self._secret_digest):
            return Scope.LOCAL
        if digest in self._tokens:
            self._tokens.move_to_end(digest)
            return Scope.PAGE
        return Scope.PUBLIC


class FolderHandles:
    """Folders a person chose in the native dialog, each under a random handle good for one use."""

    def __init__(self) -> None:
        self._folders: OrderedDict[str, Path] = OrderedDict()

    def give(self, folder: Path) -> str:
        """A handle for a folder."""
        handle = secrets.token_urlsafe(16)
        self._folders[handle] = folder
        _bound(self._folders, HANDLES_MAX)
        return handle

    def look(self, handle: str) -> Path:
        """The folder of a handle, which stays good.

        Raises
        ------
        AccessDenied
            As :meth:`lend`.
        """
        with self.lend(handle) as folder:
            self._folders[handle] = folder
            return folder

    @contextmanager
    def lend(self, handle: str) -> Iterator[Path]:
        """The folder of a handle, which is used up unless the body raises.

        Raises
        ------
        AccessDenied
            No such handle was given, or it was used.
        """
        folder = self._folders.pop(handle, None)
        if folder is None:
            raise AccessDenied("This choice of a folder was already used. Choose the folder again.")
        try:
            yield folder
        except BaseException:
            self._folders[handle] = folder
            raise


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _bound(items: OrderedDict[Any, Any], size: int) -> None:
    while len(items) > size:
        items.popitem(last=False)
