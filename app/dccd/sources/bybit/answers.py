"""What Bybit wraps its answers in, and its errors.

Documentation: https://bybit-exchange.github.io/docs/v5/error and https://bybit-exchange.github.io/docs/v5/rate-limit.
"""

from __future__ import annotations

import re
from typing import Generic, TypeVar

import msgspec

from dccd.domain.errors import ExchangeError, ExchangeRefused, ExchangeUnavailable, Throttled
from dccd.domain.timeutils import MS_NS, S_NS
from dccd.sources.base import Response

_BUSY = {429, 10000, 10016}
_ABROAD = re.compile(rb"country|region|U\.S\.|CloudFront", re.IGNORECASE)
_BAN_S = 600.0  # "wait for at least 10 minutes"

T = TypeVar("T")


class Answer(msgspec.Struct, Generic[T]):
    """Any answer."""

    result: T


class Page(msgspec.Struct, Generic[T]):
    """Rows, and where those after them are."""

    rows: list[T] = msgspec.field(name="list")
    nextPageCursor: str | None = None


class _Said(msgspec.Struct):
    retCode: int
    retMsg: str


def error(response: Response) -> ExchangeError | None:
    """What is wrong with an answer, in Bybit's words: 200 may be an error, 403 a ban or another country."""
    status = response.status
    if status < 400 and response.body.startswith(b'{"retCode":0,'):
        return None
    try:
        said = msgspec.json.decode(response.body, type=_Said)
    except ValueError:  # not JSON, or not even text
        said = _Said(status, response.body[:80].decode(errors="replace").strip())
        if status < 400:
            return None  # for a parser to refuse
    if said.retCode == 0 and status < 400:
        return None
    code, words = said.retCode, f"HTTP {status}, {said.retMsg!r}"
    if code in (10009, 10024) or status == 451 or (status == 403 and _ABROAD.search(response.body)):
        return ExchangeRefused(f"Bybit does not serve this network ({words}).", str(code))
    if code in (10006, 10018) or status in (403, 429):
        reset_ms = response.headers.get("x-bapi-limit-reset-timestamp", "")
        wait_s = (int(reset_ms) * MS_NS - response.received_ns) / S_NS if reset_ms.isdecimal() else None
        return Throttled(f"Bybit asked for fewer requests ({words}).", _BAN_S if status == 403 else wait_s)
    if status >= 500 or code in _BUSY:
        return ExchangeUnavailable(f"Bybit cannot answer now ({words}). Try again later.")
    return ExchangeRefused(f"Bybit refused the request ({words}).", str(code))
