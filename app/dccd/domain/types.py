"""The closed vocabularies of the program."""

from __future__ import annotations

from enum import StrEnum


class DataType(StrEnum):
    """What a row is. Each has its columns in :mod:`dccd.domain.records`."""

    OHLC = "ohlc"
    TRADES = "trades"
    ORDERBOOK = "orderbook"
    BOOK_UPDATES = "book_updates"
    FUNDING = "funding"
    OPEN_INTEREST = "open_interest"


class Market(StrEnum):
    """How a contract settles: not at all, in the quote currency, or in the base currency."""

    SPOT = "spot"
    LINEAR = "linear"
    INVERSE = "inverse"


class InstrumentType(StrEnum):
    """What kind of contract an instrument is."""

    SPOT = "spot"
    PERPETUAL = "perpetual"
    FUTURE = "future"


class Transport(StrEnum):
    """How rows are fetched; ``auto`` lets the plan choose."""

    AUTO = "auto"
    REST = "rest"
    WS = "ws"
    ARCHIVE = "archive"


class Mode(StrEnum):
    """Whether a capability serves the past or the present."""

    HISTORICAL = "historical"
    LIVE = "live"


class Evidence(StrEnum):
    """What a capability's correctness rests on."""

    RECORDED = "recorded"
    DOCUMENTED = "documented"
    CONFIRMED = "confirmed"
