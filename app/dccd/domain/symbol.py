"""Unified symbols, the field's form: ``BTC/USDT``, ``BTC/USDT:USDT``, ``BTC/USDT:USDT-261225``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote_to_bytes

from dccd.domain.errors import UsageError

# Names some exchanges keep for what the field calls otherwise.
CURRENCY_ALIASES = {"XBT": "BTC", "XDG": "DOGE"}

_EXPIRY = re.compile(r"\d{6}")
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


def currency(name: str) -> str:
    """The field's name of a currency: upper case, XBT is BTC, XDG is DOGE."""
    upper = name.strip().upper()
    return CURRENCY_ALIASES.get(upper, upper)


@dataclass(frozen=True, slots=True)
class Symbol:
    """One contract's name, the same on every exchange.

    Attributes
    ----------
    base, quote : str
        Currencies, upper case.
    settle : str or None
        Currency a derivative settles in; None for spot.
    expiry : str or None
        ``YYMMDD`` of a dated future; None for spot and perpetuals.
    """

    base: str
    quote: str
    settle: str | None = None
    expiry: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``BASE/QUOTE[:SETTLE[-YYMMDD]]``; ``-`` and ``_`` may stand for the slash.

        Rolling names (``:perp``, ``:quarter``) and native ones are resolved by the instrument list,
        see :meth:`dccd.domain.instrument.InstrumentList.resolve`.

        Raises
        ------
        UsageError
            The text has no such form.
        """
        pair, _, tail = text.strip().partition(":")
        parts = re.split(r"[/\-_]", pair, maxsplit=1)
        if len(parts) != 2 or not all(parts):
            raise UsageError(
                f"{text!r} is not a symbol. Write it like BTC/USDT, or BTC/USDT:USDT for a perpetual."
            )
        settle, _, expiry = tail.partition("-")
        if expiry and not _EXPIRY.fullmatch(expiry):
            raise UsageError(f"{text!r}: the expiry is written YYMMDD, like BTC/USDT:USDT-261225.")
        base, quote = map(currency, parts)
        return cls(base, quote, currency(settle) if settle else None, expiry or None)

    def __str__(self) -> str:
        text = f"{self.base}/{self.quote}"
        if self.settle:
            text += f":{self.settle}"
        return f"{text}-{self.expiry}" if self.expiry else text

    @property
    def slug(self) -> str:
        """File-name form, injective and unique ignoring case: ``BTC-USDT_USDT-261225``.

        All bytes but A–Z and 0–9 of a part are percent-encoded, so parts never run into each other.
        """
        text = f"{_encode(self.base)}-{_encode(self.quote)}"
        if self.settle:
            text += f"_{_encode(self.settle)}"
        return f"{text}-{self.expiry}" if self.expiry else text

    @classmethod
    def from_slug(cls, slug: str) -> Self:
        """The symbol whose :attr:`slug` this is."""
        pair, _, tail = slug.partition("_")
        base, separator, quote = pair.partition("-")
        settle, _, expiry = tail.partition("-")
        if not (base and separator and quote):
            raise UsageError(f"{slug!r} is not the slug of a symbol.")
        return cls(_decode(base), _decode(quote), _decode(settle) or None, expiry or None)


def _encode(part: str) -> str:
    return "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in part.encode())


def _decode(part: str) -> str:
    return unquote_to_bytes(part).decode()
