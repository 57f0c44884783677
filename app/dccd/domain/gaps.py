"""Why time that should be stored is not."""

from __future__ import annotations

from enum import StrEnum


class GapCause(StrEnum):
    """What a gap is put down to, in the words that a person reads.

    Where several would do, the first here is told: what is known of the very data comes before what is known
    of the program, and that before its surroundings. `NEVER_FETCHED` is said where nothing else is known.
    """

    DIFFERS = "differs from the exchange"
    MAYBE_OPEN = "the bar may have been open when it was stored"
    OUTDATED = "the trades that it was made from have changed"
    IMPLAUSIBLE = "rows with implausible times were put aside"
    PUT_ASIDE = "put aside: its file could not be read"
    FILE_GONE = "its file is gone"
    UNREADABLE = "its file cannot be read now"
    DISK_FULL = "the disk was full"
    COLLECTOR_DOWN = "the collector was not running"
    EXCHANGE_DOWN = "the exchange was down"
    DISCONNECTED = "disconnected"
    NEVER_FETCHED = "never fetched"
