"""Timestamps: integers of nanoseconds UTC inside, ISO-8601 at the edges."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from dccd.domain.errors import InvalidRange

US_NS = 1_000
MS_NS = 1_000_000
S_NS = 1_000_000_000
MINUTE_NS = 60 * S_NS
HOUR_NS = 3_600 * S_NS
DAY_NS = 86_400 * S_NS

# Bounds of what a signed 64-bit count of nanoseconds can be while year arithmetic still works.
MIN_NS = 0
MAX_NS = 9_214_646_400_000_000_000  # 2262-01-01

# An integer that a person writes below this is some other unit: nanoseconds put it into 1970 to 1973.
_SMALLEST_TEXT_NS = 10**17

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FRACTION = re.compile(r"\.(\d{1,9})(?=$|[Zz+-])")


def datetime_ns(moment: datetime) -> int:
    """Nanoseconds UTC of an aware datetime, exact to the microsecond."""
    since = moment - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * US_NS


def ns_datetime(ts_ns: int) -> datetime:
    """The aware UTC datetime at or just before `ts_ns` (microseconds kept)."""
    return _EPOCH + timedelta(microseconds=ts_ns // US_NS)


def iso(ts_ns: int) -> str:
    """ISO-8601 with a ``Z``, as many fraction digits as the value needs.

    >>> iso(1_548_432_099_000_000_000)
    '2019-01-25T16:01:39Z'
    """
    text = ns_datetime(ts_ns).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{ts_ns % S_NS:09d}".rstrip("0")
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


def parse_time(text: str | int) -> int:
    """Nanoseconds UTC of an ISO-8601 date or time, or of a nanosecond integer.

    Without a zone a time is UTC; a bare date is its midnight. Up to nine fraction digits are kept.

    Raises
    ------
    InvalidRange
        The text is neither, or lies outside 1970–2262; or it is an integer so small that seconds,
        milliseconds or microseconds must be meant.
    """
    if isinstance(text, int) or (text.strip().lstrip("+-").isdecimal() and len(text.strip()) > 8):
        ts_ns = int(text)
        if isinstance(text, str) and 0 < ts_ns < _SMALLEST_TEXT_NS:
            raise InvalidRange(
                f"{text} nanoseconds is {iso(ts_ns)[:19]}Z, in 1970. "
                "Write the time like 2024-01-31, or add the zeros that make it nanoseconds."
            )
    else:
        raw = text.strip()
        fraction = _FRACTION.search(raw)
        sub_s_ns = int(fraction[1].ljust(9, "0")) if fraction else 0
        try:
            moment = datetime.fromisoformat(_FRACTION.sub("", raw))
        except ValueError:
            raise InvalidRange(
                f"{text!r} is not a time. Write it like 2024-01-31 or 2024-01-31T16:00:00Z, "
                "or as an integer of nanoseconds."
            ) from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        ts_ns = datetime_ns(moment) + sub_s_ns
    if not MIN_NS <= ts_ns < MAX_NS:
        raise InvalidRange(f"{text!r} lies outside 1970 to 2262. Integers are read as nanoseconds.")
    return ts_ns
