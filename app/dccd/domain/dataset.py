"""What is stored together: one exchange, one contract, one data type, one span or depth."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Self

from dccd.domain.coverage import Interval
from dccd.domain.errors import InvalidSpan, UsageError
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import DAY_NS, HOUR_NS, datetime_ns, ns_datetime
from dccd.domain.types import DataType

_EXCHANGE = re.compile(r"[a-z0-9]+")

SPAN_TYPES = frozenset({DataType.OHLC, DataType.OPEN_INTEREST})


@dataclass(frozen=True, slots=True)
class DatasetId:
    """The identity of a dataset.

    Attributes
    ----------
    exchange : str
        Lower-case letters and digits.
    symbol : Symbol
    data_type : DataType
    span : Span or None
        Required for ohlc and open_interest, None for all else.
    depth : int or None
        Levels a side, for order-book snapshots only; None elsewhere.

    Raises
    ------
    InvalidSpan
        A span is missing, or given where there is none.
    UsageError
        The same of a depth, or one that is not positive; or the exchange's name has other characters.
    """

    exchange: str
    symbol: Symbol
    data_type: DataType
    span: Span | None = None
    depth: int | None = None

    def __post_init__(self) -> None:
        # It becomes the name of a folder.
        if not _EXCHANGE.fullmatch(self.exchange):
            raise UsageError(f"{self.exchange!r} is not the name of an exchange.")
        if (self.data_type in SPAN_TYPES) != (self.span is not None):
            wants = "needs a span such as 1m or 1h" if self.span is None else "has no span"
            raise InvalidSpan(f"{self.data_type} {wants} ({self.exchange} {self.symbol}).")
        if self.depth is not None and self.depth <= 0:
            raise UsageError(f"A depth of {self.depth} makes no sense ({self.exchange} {self.symbol}).")
        if (self.data_type is DataType.ORDERBOOK) != (self.depth is not None):
            wants = "needs a depth" if self.depth is None else "has no depth"
            raise UsageError(f"{self.data_type} {wants} ({self.exchange} {self.symbol}).")

    def __str__(self) -> str:
        """Stable id, safe in URLs and logs: ``binance:BTC-USDT:ohlc:1m``."""
        parts = [self.exchange, self.symbol.slug, self.data_type.value]
        if self.span is not None:
            parts.append(str(self.span))
        if self.depth is not None:
            parts.append(str(self.depth))
        return ":".join(parts)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The dataset whose ``str()`` this is.

        Raises
        ------
        UsageError
            The text is no dataset id.
        """
        exchange, _, rest = text.partition(":")
        slug, _, rest = rest.partition(":")
        kind, _, variant = rest.partition(":")
        try:
            data_type = DataType(kind)
            span = Span.parse(variant) if data_type in SPAN_TYPES else None
            depth = int(variant) if data_type is DataType.ORDERBOOK else None
            made = cls(exchange, Symbol.from_slug(slug), data_type, span, depth)
        except (ValueError, UsageError):
            made = None
        if made is None or str(made) != text:
            raise UsageError(f"{text!r} is not a dataset id. They look like binance:BTC-USDT:ohlc:1m.")
        return made

    @property
    def folder(self) -> PurePosixPath:
        """Folder of its period files, relative to the data folder, Hive-style."""
        path = PurePosixPath(self.data_type.value, f"exchange={self.exchange}", f"symbol={self.symbol.slug}")
        if self.span is not None:
            path /= f"span={self.span}"
        if self.depth is not None:
            path /= f"depth={self.depth}"
        return path

    @classmethod
    def from_folder(cls, folder: PurePosixPath) -> Self:
        """The dataset whose :attr:`folder` this is.

        Raises
        ------
        UsageError
            The path has another form.
        """
        try:
            kind, exchange, slug, *rest = folder.parts
            names = [part.partition("=")[0] for part in (exchange, slug)]
            variant = rest[0].partition("=")[2] if rest else ""
            text = ":".join(part for part in (exchange[9:], slug[7:], kind, variant) if part)
            if names == ["exchange", "symbol"]:
                made = cls.parse(text)
                if made.folder == folder:
                    return made
        except (ValueError, UsageError):
            pass
        raise UsageError(f"{folder} is not a dataset's folder.")

    def period(self, ts_ns: int) -> Period:
        """The period whose file holds an instant."""
        moment = ns_datetime(ts_ns)
        match self.data_type:
            case DataType.BOOK_UPDATES:
                start = ts_ns // HOUR_NS * HOUR_NS
                return Period(moment.strftime("%Y-%m-%dT%H"), Interval(start, start + HOUR_NS))
            case DataType.TRADES | DataType.ORDERBOOK:
                start = ts_ns // DAY_NS * DAY_NS
                return Period(moment.strftime("%Y-%m-%d"), Interval(start, start + DAY_NS))
            case DataType.OHLC if self.span is not None and self.span < Span.parse("1h"):
                month = datetime(moment.year, moment.month, 1, tzinfo=UTC)
                after = datetime(moment.year + moment.month // 12, moment.month % 12 + 1, 1, tzinfo=UTC)
                return Period(moment.strftime("%Y-%m"), Interval(datetime_ns(month), datetime_ns(after)))
        year = [datetime_ns(datetime(y, 1, 1, tzinfo=UTC)) for y in (moment.year, moment.year + 1)]
        return Period(f"{moment.year:04d}", Interval(year[0], year[1]))

    def periods(self, start_ns: int, end_ns: int) -> list[Period]:
        """The periods that ``[start_ns, end_ns)`` touches, in order."""
        found: list[Period] = []
        while start_ns < end_ns:
            found.append(self.period(start_ns))
            start_ns = found[-1].interval.end_ns
        return found


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """One file's share of time: its name (without suffix) and its half-open interval."""

    name: str
    interval: Interval
