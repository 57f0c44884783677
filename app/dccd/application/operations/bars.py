"""Bars from trades, exact: the same bars however the trades are cut into batches."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import fsum
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute

from dccd.domain.coverage import IntervalSet
from dccd.domain.records import Columns
from dccd.domain.span import Span
from dccd.domain.timeutils import US_NS

pc: Any = pyarrow.compute  # its stubs refuse much of what the kernels take

TRADE_COLUMNS = ("ts", "price", "amount", "side")


class Bar(NamedTuple):
    """One bar; its fields are the columns of ohlc, `ts` in nanoseconds."""

    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float | None
    trades: int | None
    taker_buy_volume: float | None
    taker_buy_quote_volume: float | None


def columns_of(bars: Sequence[Bar]) -> Columns:
    """Bars as the columns of a page."""
    return dict(zip(Bar._fields, zip(*bars, strict=True), strict=True)) if bars else {"ts": []}


def whole_bars(covered: IntervalSet, span: Span) -> IntervalSet:
    """The bars that lie in `covered` from their open to their end."""
    return IntervalSet((span.ceil(start), span.floor(end)) for start, end in covered)


@dataclass(frozen=True, slots=True)
class BarRules:
    """How an exchange's trades are read.

    Attributes
    ----------
    counted : bool
        Whether a row is one trade. Where rows are several taken together, a bar's number of trades is not
        known, hence null.
    contract_size : float or None
        Amounts are contracts of so much quote currency (inverse ones); None where they are base currency.
    """

    counted: bool = True
    contract_size: float | None = None


class BarBuilder:
    """Makes bars of trades that come in the order of a file, in memory bounded by a batch.

    Open and close are the first and the last trade in that order. Sums are of the floats' exact values and
    rounded once, at the end, so that neither the order of the trades within a bar nor the way they are cut
    into batches changes the last digit. What takers bought is known only when the side of each trade is.
    """

    def __init__(self, span: Span, rules: BarRules) -> None:
        self._span, self._rules = span, rules
        self._forming: _Forming | None = None

    def add(self, batch: pa.RecordBatch) -> Iterator[Bar]:
        """Take trades (with :data:`TRADE_COLUMNS`); gives the bars that they show to be over."""
        if not batch.num_rows:
            return
        ts = _ints(batch["ts"].cast(pa.int64()))
        trades = _Trades.of(batch, self._rules)
        first, rows = 0, batch.num_rows
        while first < rows:
            forming = self._forming
            if forming is None:
                open_ns = self._span.floor(ts[first] * US_NS)
                forming = self._forming = _Forming(open_ns, self._span.next(open_ns))
            # Bars open and end on whole microseconds, so that nothing below them matters here.
            stop = bisect_left(ts, forming.end_ns // US_NS, first)
            if stop > first:
                forming.take(trades, first, stop)
            if stop < rows:
                yield from self.finish()
            first = stop
        if self._forming is not None:
            self._forming.settle()

    def finish(self) -> Iterator[Bar]:
        """The bar that is still forming, if there is one: no more of its trades come."""
        if self._forming is not None:
            yield self._forming.bar(self._rules)
            self._forming = None


@dataclass(frozen=True, slots=True)
class _Trades:
    """The columns of a batch, readable by place without being copied; `terms` are what is summed up."""

    price: memoryview[float]
    side: pa.Array[Any]
    terms: tuple[memoryview[float], ...]

    @classmethod
    def of(cls, batch: pa.RecordBatch, rules: BarRules) -> _Trades:
        price, amount, side = batch["price"], batch["amount"], batch["side"]
        if rules.contract_size is None:
            base, quote = amount, pc.multiply(price, amount)
        else:
            quote = pc.multiply(amount, pa.scalar(rules.contract_size, pa.float64()))
            base = pc.divide(quote, price)
        bought = pc.fill_null(pc.equal(side, "buy"), False)
        zero = pa.scalar(0.0, pa.float64())
        sums = (base, quote, pc.if_else(bought, base, zero), pc.if_else(bought, quote, zero))
        return cls(_floats(price), side, tuple(_floats(each) for each in sums))


def _floats(array: Any) -> memoryview[float]:
    whole = memoryview(array.buffers()[1]).cast("B").cast("d")
    return whole[array.offset : array.offset + len(array)]


def _ints(array: Any) -> memoryview[int]:
    whole = memoryview(array.buffers()[1]).cast("B").cast("q")
    return whole[array.offset : array.offset + len(array)]


@dataclass(slots=True)
class _Forming:
    """A bar under way. `sums` are exact, each as a few floats; `pending` are terms of the batch at hand."""

    ts_ns: int
    end_ns: int
    prices: tuple[float, float, float, float] | None = None  # open, high, low, close
    count: int = 0
    sided: bool = True
    sums: list[list[float]] = field(default_factory=lambda: [[], [], [], []])
    pending: list[memoryview[float]] = field(default_factory=list)

    def take(self, trades: _Trades, first: int, stop: int) -> None:
        prices = trades.price[first:stop]
        high, low = max(prices), min(prices)
        before = self.prices or (prices[0], high, low, prices[0])
        self.prices = (before[0], max(before[1], high), min(before[2], low), prices[-1])
        self.count += stop - first
        self.sided = self.sided and not trades.side.slice(first, stop - first).null_count
        self.pending = [terms[first:stop] for terms in trades.terms]

    def settle(self) -> None:
        """Take up what is pending: its batch goes."""
        if self.pending:
            self.sums = [_exact([*kept, *more]) for kept, more in zip(self.sums, self.pending, strict=True)]
            self.pending = []

    def bar(self, rules: BarRules) -> Bar:
        assert self.prices is not None, "a bar begins with a trade"
        pending: list[Iterable[float]] = [*self.pending] or [()] * 4
        base, quote, bought_base, bought_quote = (
            fsum(chain(kept, more)) for kept, more in zip(self.sums, pending, strict=True)
        )
        count = self.count if rules.counted else None
        bought = (bought_base, bought_quote) if self.sided else (None, None)
        return Bar(self.ts_ns, *self.prices, base, quote, count, *bought)


def _exact(values: list[float]) -> list[float]:
    """A few floats whose sum is, without any rounding, that of `values`."""
    parts: list[float] = []
    while rest := fsum(chain(values, (-part for part in parts))):
        parts.append(rest)
    return parts
