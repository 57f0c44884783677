"""How the package spells exchanges, pairs and spans, and which contract each stands for."""

from __future__ import annotations

import re

from dccd.domain.errors import UsageError
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol, currency
from dccd.domain.types import DataType

_SLUG = re.compile(r"([^-_/:]+)-([^-_/:]+?)(?:_(PERP|QUARTER|NEXT_QUARTER))?")
_EXCHANGE = re.compile(r"[a-z0-9]+")
_SECONDS = re.compile(r"(\d{1,9})s")
# All that it fetches of these is linear perpetuals, settled in the quote currency.
_PERPETUALS = {"binance", "bybit", "krakenfutures"}
# BitMEX has no spot under the names that it asks for: a plain pair is the perpetual of that name.
_BITMEX_SETTLES = {"USD": "BTC", "EUR": "BTC", "USDT": "USDT"}


def exchange_of(name: str) -> str:
    """What an exchange is called here.

    Raises
    ------
    UsageError
        It cannot be one.
    """
    if not _EXCHANGE.fullmatch(name.lower()):
        raise UsageError(f"{name!r} is not the name of an exchange")
    return name.lower()


def symbol_of(exchange: str, slug: str, data_type: DataType) -> Symbol:
    """The one contract that a pair's folder holds.

    Parameters
    ----------
    slug : str
        ``BTC-USDT``, ``BTC-USDT_PERP``; the rolling forms ``_QUARTER`` and ``_NEXT_QUARTER`` are refused.

    Raises
    ------
    UsageError
        It stands for no one contract; says why.
    """
    match = _SLUG.fullmatch(slug)
    if match is None:
        raise UsageError(f"{slug!r} is not the name of a pair, such as BTC-USDT or BTC-USDT_PERP")
    base, quote, market = currency(match[1]), currency(match[2]), match[3]
    if market in ("QUARTER", "NEXT_QUARTER"):
        raise UsageError(
            f"{slug} is a row of dated futures, one after the other; which one each row is of is not stored"
        )
    derived = market == "PERP" or data_type in (DataType.FUNDING, DataType.OPEN_INTEREST)
    if exchange == "bitmex":
        settle = _BITMEX_SETTLES.get(quote)
        if settle is None:
            raise UsageError(f"which contract of BitMEX {slug} was is not known")
        return Symbol(base, quote, settle)
    if derived and exchange not in _PERPETUALS:
        raise UsageError(f"what {slug} settles in on {exchange} is not stored")
    return Symbol(base, quote, quote if derived or exchange == "krakenfutures" else None)


def span_of(label: str) -> Span:
    """The span of a folder: ``1m`` … ``1w``, or seconds such as ``2592000s`` (a month).

    Raises
    ------
    InvalidSpan
        It is none.
    """
    seconds = _SECONDS.fullmatch(label)
    return Span.parse(int(seconds[1]) if seconds else label)


def its_name(exchange: str, slug: str, data_type: DataType, span: Span | None) -> str:
    """What its own databases call a dataset: ``binance:BTC/USDT:perp:ohlc:3600s``."""
    pair, _, market = slug.partition("_")
    parts = [exchange, pair.replace("-", "/", 1), *([market.lower()] if market else []), data_type.value]
    return ":".join(parts) + (f":{span.seconds}s" if span else "")
