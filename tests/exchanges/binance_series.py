"""The series the stand-in serves: bars, aggregate trades, funding and open interest, recorded or generated.

Each series is a run of consecutive indices with ascending times; a bar's index counts spans since 1970, a
trade's is its aggregate id. Generated values depend on the index alone.
"""

import bisect
import gzip
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tests.exchanges.binance_listing import Instrument
from tests.exchanges.rendering import Choice, ChunkedRows, Ints, Number, Rows, hashed, price_path, render

_MINUTE_MS, _DAY_MS = 60_000, 86_400_000
_MONDAY_MS = 4 * _DAY_MS  # 1970-01-05
SPANS_MS = {
    "1s": 1_000,
    **{f"{n}m": n * _MINUTE_MS for n in (1, 3, 5, 15, 30)},
    **{f"{n}h": n * 60 * _MINUTE_MS for n in (1, 2, 4, 6, 8, 12)},
    "1d": _DAY_MS,
    "3d": 3 * _DAY_MS,
    "1w": 7 * _DAY_MS,
    "1M": 30 * _DAY_MS,  # only its order of size: months are counted by the calendar
}
_FUNDING_MS = 8 * 60 * _MINUTE_MS
_MARK_PRICE_SINCE_MS = 1_698_796_800_000  # 2023-11-01: earlier funding rows have an empty markPrice


class Series(Protocol):
    """A run of rows that pages are cut from."""

    def bounds(self, now_ms: int) -> tuple[int, int]:
        """Return the first index and the one after the last, at that time."""

    def at_or_after(self, time_ms: int) -> int:
        """Return the first index whose time is not before `time_ms`."""

    def rows(self, first: int, stop: int, now_ms: int, *, micro: bool) -> bytes:
        """Return rows first (inclusive) to stop (exclusive) as JSON, each with a comma after it."""


class RecordedSeries:
    """Rows kept word for word; `times_ms` ascending, `micro` rewrites a row's times to microseconds."""

    def __init__(
        self, first: int, times_ms: list[int], rows: list[bytes], micro: Callable[[bytes], bytes]
    ) -> None:
        self._first = first
        self._times_ms = times_ms
        self._plain = _joined(rows)
        self._micro = _joined([micro(row) for row in rows])

    def bounds(self, now_ms: int) -> tuple[int, int]:
        """See `Series`."""
        return self._first, self._first + bisect.bisect_right(self._times_ms, now_ms)

    def at_or_after(self, time_ms: int) -> int:
        """See `Series`."""
        return self._first + bisect.bisect_left(self._times_ms, time_ms)

    def rows(self, first: int, stop: int, now_ms: int, *, micro: bool) -> bytes:
        """See `Series`."""
        rows = self._micro if micro else self._plain
        return rows.between(first - self._first, stop - self._first)


def recorded_klines(path: Path) -> RecordedSeries:
    """Read a file of JSON lines, a bar each."""
    rows = gzip.decompress(path.read_bytes()).splitlines()
    times_ms = [int(row[1 : row.index(b",")]) for row in rows]

    def micro(row: bytes) -> bytes:
        fields = row.split(b",")
        fields[0] += b"000"
        fields[6] += b"999"
        return b",".join(fields)

    return RecordedSeries(0, times_ms, rows, micro)


def recorded_trades(path: Path) -> RecordedSeries:
    """Read ccxt's listing of trades, of which `info` is the exchange's own row."""
    infos = [trade["info"] for trade in json.loads(gzip.decompress(path.read_bytes()))]
    rows = [json.dumps(info, separators=(",", ":")).encode() for info in infos]

    def micro(row: bytes) -> bytes:
        return row.replace(b',"m":', b'000,"m":')

    return RecordedSeries(infos[0]["a"], [info["T"] for info in infos], rows, micro)


class GeneratedKlines:
    """Bars of one span; the last one is still open and changes with the clock."""

    def __init__(self, instrument: Instrument, span: str) -> None:
        self._instrument = instrument
        self._span = span
        self._chunks = {
            micro: ChunkedRows(partial(self._render, now_ms=None, micro=micro)) for micro in (False, True)
        }

    def bounds(self, now_ms: int) -> tuple[int, int]:
        """See `Series`."""
        first = self._index(self._instrument.onboard_ms)
        last = self._index(min(now_ms, self._instrument.delivery_ms - 1))
        return first, max(first, last + 1)

    def at_or_after(self, time_ms: int) -> int:
        """See `Series`."""
        return self._index(time_ms - 1) + 1

    def rows(self, first: int, stop: int, now_ms: int, *, micro: bool) -> bytes:
        """See `Series`."""
        if stop <= first or self._index(now_ms) >= stop:
            return self._chunks[micro].between(first, stop)
        open_bar = self._render(stop - 1, stop, now_ms=now_ms, micro=micro).between(0, 1)
        return self._chunks[micro].between(first, stop - 1) + open_bar

    def _index(self, time_ms: int) -> int:
        if self._span == "1M":
            return int(np.datetime64(time_ms, "ms").astype("datetime64[M]").astype(np.int64))
        return (time_ms - self._anchor_ms) // SPANS_MS[self._span]

    @property
    def _anchor_ms(self) -> int:
        return _MONDAY_MS if self._span == "1w" else 0

    def _opens_ms(self, index: Ints) -> Ints:
        if self._span == "1M":
            return index.astype("datetime64[M]").astype("datetime64[ms]").astype(np.int64)
        return index * SPANS_MS[self._span] + self._anchor_ms

    def _render(self, first: int, stop: int, *, now_ms: int | None, micro: bool) -> Rows:
        it = self._instrument
        index = np.arange(first, stop, dtype=np.int64)
        opens_ms, ends_ms = self._opens_ms(index), self._opens_ms(index + 1)
        reached_ms = ends_ms if now_ms is None else np.minimum(ends_ms, now_ms + 1)
        open_ = price_path(it.seed, it.base_ticks, opens_ms)
        close = price_path(it.seed, it.base_ticks, reached_ms)
        noise = hashed(it.seed, index)
        high = np.maximum(open_, close) + noise % 97
        low = np.minimum(open_, close) - (noise >> 8) % 89
        unit = 10**it.quantity_decimals
        volume = (20 * unit + (noise >> 4) % (60 * unit)) * (reached_ms - opens_ms) // _MINUTE_MS
        taken = volume * ((noise >> 12) % 1_000) // 1_000
        middle = (open_ + close) // 2
        trades = (volume + 6) // 7 % 90_000
        scale, late = (1_000, 999) if micro else (1, 0)
        price, quantity, turnover = self._columns()
        return render(
            [
                b"[", Number(opens_ms * scale), b',"', price(open_), b'","', price(high), b'","', price(low),
                b'","', price(close), b'","', quantity(volume), b'",', Number((ends_ms - 1) * scale + late),
                b',"', turnover(volume, middle), b'",', Number(trades), b',"', quantity(taken), b'","',
                turnover(taken, middle), b'","0"]',
            ],
            len(index),
        )  # fmt: skip

    def _columns(self) -> tuple[Callable[..., Number], Callable[..., Number], Callable[..., Number]]:
        """Return how this market writes a price, a quantity, and quantity times price."""
        it = self._instrument
        both = it.price_decimals + it.quantity_decimals

        def turnover(quantity: Ints, price: Ints) -> Number:
            if it.market == "coinm":  # contracts of so many dollars each, turned into coins
                return Number(quantity * it.contract_size * 10 ** (8 + it.price_decimals) // price, 8)
            if it.market == "usdm":
                return Number(quantity * price, both)
            return Number(quantity * price // 10 ** max(both - 8, 0), min(both, 8), max(8 - both, 0))

        return _price_column(it), _quantity_column(it), turnover


class GeneratedTrades:
    """Aggregate trades with consecutive ids, in bursts of eight with several in one millisecond.

    Parameters
    ----------
    per_second
        At most 8,000; trades evenly divided over bursts of whole milliseconds.
    """

    _BURST = 8
    _OFFSETS = np.array(
        [[0, 0, 0, 1, 1, 2, 5, 5], [0, 0, 1, 1, 1, 3, 3, 7], [0, 0, 0, 0, 0, 4, 4, 4], range(8)]
    )
    _FILLS_BEFORE = np.array([0, 1, 2, 5, 6, 8, 9, 10])  # an aggregate trade is one to three fills
    _FILLS = np.array([1, 1, 3, 1, 2, 1, 1, 3])

    def __init__(self, instrument: Instrument, per_second: int) -> None:
        self._instrument = instrument
        self._period_ms = max(self._BURST * 1_000 // per_second, self._BURST)
        self._chunks = {micro: ChunkedRows(partial(self._render, micro=micro)) for micro in (False, True)}

    def bounds(self, now_ms: int) -> tuple[int, int]:
        """See `Series`."""
        return 0, max(0, self.at_or_after(min(now_ms, self._instrument.delivery_ms - 1) + 1))

    def at_or_after(self, time_ms: int) -> int:
        """See `Series`."""
        burst = max(0, (time_ms - self._instrument.onboard_ms) // self._period_ms)
        first = burst * self._BURST
        times_ms = self._times_ms(np.arange(first, first + self._BURST, dtype=np.int64))
        return first + int(np.searchsorted(times_ms, time_ms))

    def rows(self, first: int, stop: int, now_ms: int, *, micro: bool) -> bytes:
        """See `Series`."""
        return self._chunks[micro].between(first, stop)

    def _times_ms(self, index: Ints) -> Ints:
        burst, place = np.divmod(index, self._BURST)
        offset = self._OFFSETS[hashed(self._instrument.seed, burst) % len(self._OFFSETS), place]
        return self._instrument.onboard_ms + burst * self._period_ms + offset * self._period_ms // self._BURST

    def _render(self, first: int, stop: int, *, micro: bool) -> Rows:
        it = self._instrument
        index = np.arange(first, stop, dtype=np.int64)
        burst, place = np.divmod(index, self._BURST)
        times_ms = self._times_ms(index)
        noise = hashed(it.seed + 1, index)
        price = price_path(it.seed, it.base_ticks, times_ms) + noise % 5
        quantity = 1 + (noise >> 8) % 10 ** (it.quantity_decimals + 1)
        first_fill = burst * int(self._FILLS.sum()) + self._FILLS_BEFORE[place]
        times = times_ms * 1_000 + place * 100 + noise % 100 if micro else times_ms
        maker = (noise >> 20) % 2
        words = [b'false,"M":true}', b'true,"M":true}'] if it.market == "spot" else [b"false}", b"true}"]
        return render(
            [
                b'{"a":', Number(index), b',"p":"', _price_column(it)(price), b'","q":"',
                _quantity_column(it)(quantity), b'","f":', Number(first_fill), b',"l":',
                Number(first_fill + self._FILLS[place] - 1), b',"T":', Number(times), b',"m":',
                Choice(maker, words),
            ],
            len(index),
        )  # fmt: skip


class SparseSeries:
    """A series of few rows, each made when asked for, at equal distances in time."""

    def __init__(
        self,
        period_ms: int,
        since_ms: int,
        delay_ms: Callable[[int], int],
        row: Callable[[int, int], dict[str, Any]],
    ) -> None:
        self._period_ms = period_ms
        self._since_ms = since_ms
        self._delay_ms = delay_ms
        self._row = row

    def bounds(self, now_ms: int) -> tuple[int, int]:
        """See `Series`."""
        return -(-self._since_ms // self._period_ms), self.at_or_after(now_ms + 1)

    def at_or_after(self, time_ms: int) -> int:
        """See `Series`."""
        index = time_ms // self._period_ms
        return index if self._time_ms(index) >= time_ms else index + 1

    def rows(self, first: int, stop: int, now_ms: int, *, micro: bool) -> bytes:
        """See `Series`."""
        made = (self._row(index, self._time_ms(index)) for index in range(first, stop))
        return b"".join(json.dumps(row, separators=(",", ":")).encode() + b"," for row in made)

    def _time_ms(self, index: int) -> int:
        return index * self._period_ms + self._delay_ms(index)


def funding(it: Instrument) -> SparseSeries:
    """Funding every eight hours, some milliseconds late as the real one's."""

    def row(index: int, time_ms: int) -> dict[str, Any]:
        noise = _noise(it, index)
        made = {
            "symbol": it.symbol,
            "fundingTime": time_ms,
            "fundingRate": f"{(noise % 40_000 - 15_000) / 1e8:.8f}",
        }
        if it.market == "usdm":
            made["markPrice"] = _price(it, time_ms, 8) if time_ms >= _MARK_PRICE_SINCE_MS else ""
        return made

    return SparseSeries(_FUNDING_MS, it.onboard_ms, lambda index: _noise(it, index) % 12, row)


def open_interest(it: Instrument, period: str) -> SparseSeries:
    """Open interest at each period's end."""

    def row(index: int, time_ms: int) -> dict[str, Any]:
        amount = 80_000 + _noise(it, index) % 20_000
        value = (
            amount * int(price_path(it.seed, it.base_ticks, np.array([time_ms]))[0]) / 10**it.price_decimals
        )
        made: dict[str, Any] = {"symbol": it.symbol}
        if it.market == "coinm":
            made = {"pair": it.pair, "contractType": it.contract_type}
            value = amount * it.contract_size * amount / value
        return made | {
            "sumOpenInterest": f"{amount:.8f}",
            "sumOpenInterestValue": f"{value:.8f}",
            "timestamp": time_ms,
        }

    return SparseSeries(SPANS_MS[period], it.onboard_ms, lambda _: 0, row)


def depth(it: Instrument, levels: int, now_ms: int) -> dict[str, list[list[str]]]:
    """Return both sides of a book around the price of the moment, best first."""
    middle = int(price_path(it.seed, it.base_ticks, np.array([now_ms]))[0])

    def side(direction: int) -> Iterator[list[str]]:
        zeros = "0" * (8 - it.price_decimals if it.market == "spot" else 0)
        for level in range(1, levels + 1):
            quantity = 1 + _noise(it, level * direction + now_ms // 100) % 10 ** (it.quantity_decimals + 2)
            price = (middle + direction * level) / 10**it.price_decimals
            decimals = 8 if it.market == "spot" else it.quantity_decimals
            yield [
                f"{price:.{it.price_decimals}f}{zeros}",
                f"{quantity / 10**it.quantity_decimals:.{decimals}f}",
            ]

    return {"bids": list(side(-1)), "asks": list(side(1))}


def _noise(it: Instrument, index: int) -> int:
    return int(hashed(it.seed + 2, np.array([index]))[0])


def _price(it: Instrument, time_ms: int, decimals: int) -> str:
    ticks = int(price_path(it.seed, it.base_ticks, np.array([time_ms]))[0])
    return f"{ticks / 10**it.price_decimals:.{decimals}f}"


def _price_column(it: Instrument) -> Callable[[Ints], Number]:
    zeros = 8 - it.price_decimals if it.market == "spot" else 0
    return lambda ticks: Number(ticks, it.price_decimals, zeros)


def _quantity_column(it: Instrument) -> Callable[[Ints], Number]:
    zeros = 8 - it.quantity_decimals if it.market == "spot" else 0
    return lambda units: Number(units, it.quantity_decimals, zeros)


def _joined(rows: list[bytes]) -> Rows:
    offsets = [0]
    for row in rows:
        offsets.append(offsets[-1] + len(row) + 1)
    return Rows(b"".join(row + b"," for row in rows), offsets)
