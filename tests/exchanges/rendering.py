"""Rows of JSON written from columns of integers, thousands at a time.

A generated row is a pure function of its index, so any page of any length can be made again; numpy writes the
digits of a thousand rows at once, because a row formatted in Python costs more than the program under test
spends on reading it.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
_FOUR_DIGITS = np.frombuffer("".join(f"{n:04d}" for n in range(10_000)).encode(), np.uint8).reshape(10_000, 4)
_ABSENT = b"\0"  # a byte of the fixed-width matrix that the row does not have
_CHUNK_ROWS = 4_000
_CHUNKS_MAX = 300


@dataclass(slots=True)
class Number:
    """A column of numbers >= 0: `units` counted in 10 ** -decimals, then `zeros` more zeros."""

    units: Ints
    decimals: int = 0
    zeros: int = 0


@dataclass(slots=True)
class Choice:
    """A column of words: `words[index]` of each row."""

    index: Ints
    words: Sequence[bytes]


@dataclass(slots=True)
class Rows:
    """Rendered rows, each followed by a comma; row ``i`` is ``blob[offsets[i]:offsets[i + 1]]``."""

    blob: bytes
    offsets: list[int]

    def between(self, first: int, stop: int) -> bytes:
        """Return rows first (inclusive) to stop (exclusive) with their commas."""
        return self.blob[self.offsets[first] : self.offsets[stop]]


def render(parts: Sequence[bytes | Number | Choice], rows: int) -> Rows:
    """Write `rows` rows, each the concatenation of the parts and a comma."""
    blocks = [_block(part, rows) for part in (*parts, b",")]
    matrix = np.concatenate(blocks, axis=1)
    lengths = np.count_nonzero(matrix, axis=1)
    return Rows(matrix.tobytes().translate(None, _ABSENT), [0, *np.cumsum(lengths).tolist()])


def _block(part: bytes | Number | Choice, rows: int) -> NDArray[np.uint8]:
    if isinstance(part, bytes):
        return np.broadcast_to(np.frombuffer(part, np.uint8), (rows, len(part)))
    if isinstance(part, Choice):
        width = max(map(len, part.words))
        table = np.frombuffer(b"".join(word.ljust(width, _ABSENT) for word in part.words), np.uint8)
        return table.reshape(-1, width)[part.index]
    digits = _digits(part.units, part.decimals)
    if not part.decimals:
        return digits
    whole, fraction = digits[:, : -part.decimals], digits[:, -part.decimals :]
    return np.concatenate([whole, _block(b".", rows), fraction, _block(b"0" * part.zeros, rows)], axis=1)


def _digits(units: Ints, decimals: int) -> NDArray[np.uint8]:
    """Decimal digits of each number, leading zeros absent, at least one before the point."""
    if not len(units):
        return np.empty((0, decimals + 1), np.uint8)
    width = max(len(str(int(units.max()))), decimals + 1)
    rest, groups = units, []
    for _ in range(-(-width // 4)):
        rest, group = np.divmod(rest, 10_000)
        groups.append(_FOUR_DIGITS[group])
    digits = np.concatenate(groups[::-1], axis=1)[:, -width:]
    smallest = int(units.min())
    for place in range(decimals + 1, width):
        if smallest < 10**place:
            digits[units < 10**place, width - 1 - place] = 0
    return digits


class ChunkedRows:
    """Rows rendered on demand in chunks, the recent ones kept.

    Parameters
    ----------
    make
        Renders rows first (inclusive) to stop (exclusive).
    """

    def __init__(self, make: Callable[[int, int], Rows]) -> None:
        self._make = make
        self._chunks: OrderedDict[int, Rows] = OrderedDict()

    def between(self, first: int, stop: int) -> bytes:
        """Return rows first (inclusive) to stop (exclusive) with their commas."""
        pieces = []
        for number in range(first // _CHUNK_ROWS, -(-stop // _CHUNK_ROWS)):
            start = number * _CHUNK_ROWS
            pieces.append(self._chunk(number).between(max(first - start, 0), min(stop - start, _CHUNK_ROWS)))
        return b"".join(pieces)

    def _chunk(self, number: int) -> Rows:
        chunk = self._chunks.get(number)
        if chunk is None:
            start = number * _CHUNK_ROWS
            chunk = self._chunks[number] = self._make(start, start + _CHUNK_ROWS)
            if len(self._chunks) > _CHUNKS_MAX:
                self._chunks.popitem(last=False)
        else:
            self._chunks.move_to_end(number)
        return chunk


def hashed(seed: int, index: Ints) -> Ints:
    """Return 32 evenly spread bits per index, always the same ones (splitmix64's finaliser)."""
    z = index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed * 0xD1342543DE82EF95 % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(32)).astype(np.int64)


_KNOTS_MS = (64 * 86_400_000, 9 * 86_400_000, 86_400_000, 3 * 3_600_000, 20 * 60_000, 60_000, 1_000)
_SHARES = (420, 320, 170, 65, 20, 4, 1)  # of 1,000


def price_path(seed: int, base: int, at_ms: Ints) -> Ints:
    """Return a price at each moment, in ticks: between 0.6 and 1.6 times `base`, rough at every scale.

    Only integers are used, so a value does not depend on the other rows of its page, nor on the machine.
    """
    price = np.full(len(at_ms), base * 3 // 5, np.int64)
    for octave, (knot_ms, share) in enumerate(zip(_KNOTS_MS, _SHARES, strict=True)):
        knot, rest = np.divmod(at_ms, knot_ms)
        weight = rest * 65_536 // knot_ms
        left = hashed(seed * 16 + octave, knot) >> 16
        right = hashed(seed * 16 + octave, knot + 1) >> 16
        price += (left * (65_536 - weight) + right * weight) // 65_536 * (base * share // 1_000) // 65_536
    return price
