"""What OKX wraps its answers in, and its errors: https://www.okx.com/docs-v5/en/#error-code."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from dccd.domain.errors import ExchangeError, ExchangeRefused, ExchangeUnavailable, Throttled
from dccd.sources.base import Response

_THROTTLED = {"50011", "50040", "50061"}
_BUSY = {"50001", "50004", "50013", "50026"}

T = TypeVar("T")


class Answer(msgspec.Struct, Generic[T]):
    """Any answer."""

    data: list[T]


class _Said(msgspec.Struct):
    code: str
    msg: str = ""


def error(response: Response) -> ExchangeError | None:
    """What is wrong with an answer, in OKX's words, whatever its HTTP status."""
    status = response.status
    if status < 400 and response.body.startswith(b'{"code":"0",'):
        return None
    try:
        said = msgspec.json.decode(response.body, type=_Said)
    except ValueError:  # not JSON, or not even text
        if status < 400:
            return None  # for a parser to refuse
        said = _Said(str(status), response.body[:80].decode(errors="replace").strip())
    code, words = said.code, f"HTTP {status}, {said.msg!r}"
    if code == "0" and status < 400:
        return None
    if code in _THROTTLED or (status == 429 and code not in _BUSY):
        return Throttled(f"OKX asked for fewer requests ({words}).")
    if status >= 500 or code in _BUSY:
        return ExchangeUnavailable(f"OKX cannot answer now ({words}). Try again later.")
    if status in (403, 451):
        return ExchangeRefused(f"OKX does not serve this network ({words}).", code)
    return ExchangeRefused(f"OKX refused the request ({words}).", code)
