"""What an exchange lists, and how a person's way of naming it finds the one contract meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from dccd.domain.errors import AmbiguousSymbol, UnknownSymbol, UsageError
from dccd.domain.symbol import Symbol
from dccd.domain.types import InstrumentType, Market

_QUARTER_MONTHS = ("03", "06", "09", "12")
_ROLLING = ("perp", "quarter", "next_quarter")
# In a search these come before the others: what most people mean by a coin's name alone.
_COMMON_QUOTES = ("USDT", "USD", "USDC", "EUR", "BTC")


@dataclass(frozen=True, slots=True)
class Instrument:
    """One contract of one exchange.

    Attributes
    ----------
    exchange : str
    symbol : Symbol
    native : str
        The exchange's own name.
    market : Market
    type : InstrumentType
    active : bool
        Whether it trades now; delisted ones stay listed here.
    contract_size : float or None
        Base units (linear) or quote units (inverse) of one contract; None for spot.
    tick_size, lot_size : float or None
        Smallest price and amount steps; None when not given.
    listed_ns, expiry_ns : int or None
        First trading instant and expiry, nanoseconds UTC; None when not given or without expiry.
    """

    exchange: str
    symbol: Symbol
    native: str
    market: Market
    type: InstrumentType
    active: bool = True
    contract_size: float | None = None
    tick_size: float | None = None
    lot_size: float | None = None
    listed_ns: int | None = None
    expiry_ns: int | None = None


class InstrumentList:
    """The instruments of one exchange, found by unified symbol, by native name and by search."""

    def __init__(self, exchange: str, instruments: Iterable[Instrument]) -> None:
        self.exchange = exchange
        self._by_symbol: dict[Symbol, Instrument] = {}
        self._by_native: dict[str, list[Instrument]] = {}
        for item in instruments:
            known = self._by_symbol.get(item.symbol)
            if known is None or (item.active and not known.active):
                self._by_symbol[item.symbol] = item
            self._by_native.setdefault(item.native.upper(), []).append(item)

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self._by_symbol.values())

    def __len__(self) -> int:
        return len(self._by_symbol)

    def resolve(self, text: str | Symbol) -> Instrument:
        """The one contract that `text` names.

        Accepts unified symbols with ``/``, ``-`` or ``_``; the exchange's native name; and the rolling
        forms ``BASE/QUOTE:perp``, ``:quarter``, ``:next_quarter``, which stand for the contract of today.

        Raises
        ------
        UnknownSymbol
            Nothing matches; carries similar names.
        AmbiguousSymbol
            A form matches several contracts; carries them.
        """
        if isinstance(text, Symbol):
            found = self._by_symbol.get(text)
            if found is None:
                raise UnknownSymbol(self.exchange, str(text), self._similar(str(text)))
            return found
        rolling = text.rpartition(":")[2].lower()
        if rolling in _ROLLING:
            return self._resolve_rolling(text, rolling)
        try:
            found = self._by_symbol.get(Symbol.parse(text))
        except UsageError:
            found = None
        if found is not None:
            return found
        natives = self._by_native.get(text.strip().upper(), [])
        if len(natives) > 1:
            spot = [item for item in natives if item.market is Market.SPOT]
            natives = spot if len(spot) == 1 else natives
        return self._one(text, natives)

    def _resolve_rolling(self, text: str, rolling: str) -> Instrument:
        pair = Symbol.parse(text.rpartition(":")[0])
        same_pair = [
            i for i in self if (i.symbol.base, i.symbol.quote) == (pair.base, pair.quote) and i.active
        ]
        if rolling == "perp":
            return self._one(text, [i for i in same_pair if i.type is InstrumentType.PERPETUAL])
        expiries = sorted(
            {e for i in same_pair if (e := i.symbol.expiry) is not None and e[2:4] in _QUARTER_MONTHS}
        )
        place = _ROLLING.index(rolling) - 1
        wanted = expiries[place : place + 1]
        return self._one(text, [i for i in same_pair if i.symbol.expiry in wanted])

    def _one(self, text: str, found: Sequence[Instrument]) -> Instrument:
        if not found:
            raise UnknownSymbol(self.exchange, text, self._similar(text))
        if len(found) > 1:
            raise AmbiguousSymbol(self.exchange, text, [str(item.symbol) for item in found])
        return found[0]

    def _similar(self, text: str) -> list[str]:
        found = [str(item.symbol) for item in self.search(text, limit=3)]
        names = [str(symbol) for symbol in self._by_symbol]
        return found or get_close_matches(text.upper(), names, n=3, cutoff=0.75)

    def search(
        self, query: str, *, market: Market | None = None, active_only: bool = True, limit: int = 50
    ) -> list[Instrument]:
        """Instruments whose unified or native name holds every word of `query`, the closest first.

        Closest: base equal to the query, then name starting with it, then the common quote currencies, then
        shorter names.
        """
        wanted = query.upper().replace("-", "/").replace("_", "/").strip()
        words = wanted.split()

        base = wanted.partition("/")[0]
        order = {quote: place for place, quote in enumerate(_COMMON_QUOTES)}

        def rank(item: Instrument) -> tuple[bool, bool, int, int, str]:
            name = str(item.symbol)
            quote = order.get(item.symbol.quote, len(order))
            return item.symbol.base != base, not name.startswith(wanted), quote, len(name), name

        found = (
            item
            for item in self
            if (market is None or item.market is market)
            and (item.active or not active_only)
            and all(word in str(item.symbol) or word in item.native.upper() for word in words)
        )
        return sorted(found, key=rank)[:limit]
