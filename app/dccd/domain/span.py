"""The length of a bar: fixed (``1m`` … ``1d``, ``3d``, ``1w``) or a calendar month (``1mo``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from dccd.domain.errors import InvalidSpan
from dccd.domain.timeutils import DAY_NS, S_NS, datetime_ns, ns_datetime

_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_MONTH_S = 2_592_000  # nominal; the reference writes months as thirty days
_PATTERN = re.compile(r"([1-9]\d{0,4})(s|min|mo|m|h|d|w|M)")
_WORDS = {
    "minute": "1m", "minutely": "1m", "hour": "1h", "hourly": "1h", "day": "1d", "daily": "1d",
    "week": "1w", "weekly": "1w", "month": "1mo", "monthly": "1mo",
}  # fmt: skip
MONDAY_NS = 4 * DAY_NS  # 1970-01-05, the first Monday after the epoch


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A bar's length.

    Attributes
    ----------
    seconds : int
        Length in seconds; for months the nominal thirty days each.
    months : int
        Number of calendar months, 0 for a fixed length.
    """

    seconds: int
    months: int = 0

    @classmethod
    def parse(cls, text: str | int) -> Self:
        """Read ``1m``, ``4h``, ``1w``, ``1mo`` (or ``1M``), a word such as ``daily``, or seconds.

        Raises
        ------
        InvalidSpan
            Anything else.
        """
        if isinstance(text, int) or text.strip().isdecimal():
            seconds = int(text)
            if seconds <= 0:
                raise InvalidSpan(f"A span of {text} seconds makes no sense. Write it like 1m, 1h, 1d, 1mo.")
            return cls(seconds, 1) if seconds == _MONTH_S else cls(seconds)
        raw = text.strip()
        raw = _WORDS.get(raw.lower(), raw)
        match = _PATTERN.fullmatch(raw)
        if match is None:
            raise InvalidSpan(f"{text!r} is not a span. Write it like 1m, 15m, 1h, 1d, 1w or 1mo.")
        count, unit = int(match[1]), match[2]
        if unit in ("mo", "M"):
            return cls(count * _MONTH_S, count)
        return cls(count * _UNIT_S["m" if unit == "min" else unit])

    def __str__(self) -> str:
        """Shortest label: ``1m``, ``1h``, ``1d``, ``1w``, ``1mo``; unique, and unique ignoring case."""
        if self.months:
            return f"{self.months}mo"
        if self.seconds == _UNIT_S["w"]:
            return "1w"
        for unit in ("d", "h", "m"):
            count, rest = divmod(self.seconds, _UNIT_S[unit])
            if not rest:
                return f"{count}{unit}"
        return f"{self.seconds}s"

    @property
    def nominal_ns(self) -> int:
        """Length in nanoseconds, months taken as thirty days: for estimates and ordering."""
        return self.seconds * S_NS

    def floor(self, ts_ns: int, anchor_ns: int | None = None) -> int:
        """Open time of the bar that holds `ts_ns`.

        Bars stand on UTC boundaries: weeks on Monday, months on the first, all else (and so fourteen
        days) on multiples of the span since 1970. `anchor_ns` is any open time of an exchange that counts
        otherwise.
        """
        if self.months:
            moment = ns_datetime(ts_ns)
            month = (moment.year * 12 + moment.month - 1) // self.months * self.months
            return datetime_ns(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC))
        if anchor_ns is None:
            anchor_ns = MONDAY_NS if self.seconds == _UNIT_S["w"] else 0
        length = self.nominal_ns
        return (ts_ns - anchor_ns) // length * length + anchor_ns

    def next(self, open_ns: int) -> int:
        """Open time of the bar after the one that opens at `open_ns` (which must be an open time)."""
        if self.months:
            moment = ns_datetime(open_ns)
            month = moment.year * 12 + moment.month - 1 + self.months
            return datetime_ns(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC))
        return open_ns + self.nominal_ns

    def ceil(self, ts_ns: int, anchor_ns: int | None = None) -> int:
        """Open time of the first bar that opens at or after `ts_ns`."""
        open_ns = self.floor(ts_ns, anchor_ns)
        return open_ns if open_ns == ts_ns else self.next(open_ns)

    def forward(self, open_ns: int, count: int) -> int:
        """Open time of the bar `count` bars after the one that opens at `open_ns`."""
        if not self.months:
            return open_ns + count * self.nominal_ns
        for _ in range(count):
            open_ns = self.next(open_ns)
        return open_ns

    def count(self, start_ns: int, end_ns: int, anchor_ns: int | None = None) -> int:
        """How many bars open in ``[start_ns, end_ns)``."""
        first, last = self.ceil(start_ns, anchor_ns), self.ceil(end_ns, anchor_ns)
        if not self.months:
            return max(0, (last - first) // self.nominal_ns)
        months = [m.year * 12 + m.month for m in (ns_datetime(first), ns_datetime(last))]
        return max(0, (months[1] - months[0]) // self.months)
