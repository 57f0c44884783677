"""Exchanges by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from dccd.domain.errors import UnknownExchange


class Named(Protocol):
    """Anything known by its exchange's id."""

    @property
    def id(self) -> str:
        """Lower case."""
        ...


S = TypeVar("S", bound=Named)


class SourceRegistry(Generic[S]):
    """The exchanges of this program, each bound to its transport."""

    def __init__(self, sources: Iterable[S]) -> None:
        self._by_id = {source.id: source for source in sources}

    def get(self, exchange: str) -> S:
        """The source of an exchange, whatever the case of its name.

        Raises
        ------
        UnknownExchange
            There is none; names those there are.
        """
        found = self._by_id.get(exchange.strip().lower())
        if found is None:
            raise UnknownExchange(exchange, self.ids())
        return found

    def ids(self) -> list[str]:
        """The exchanges' ids, in order."""
        return sorted(self._by_id)
