"""What every exchange offers and what that rests on, as tables: ``python -m tests.contract.table --write``.

They are the generated part of ``docs/exchanges/README.md``.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

from dccd.application.service_factory import SOURCES
from dccd.domain.capability import Capability
from dccd.domain.types import DataType, Mode, Transport
from dccd.sources.base import Source
from tests.contract.parties import PARTIES
from tests.needs import ROOT

PAGE = ROOT / "docs" / "exchanges" / "README.md"
BEGIN, END = "<!-- generated: python -m tests.contract.table --write -->\n", "<!-- end -->\n"
_WAYS = (
    (Mode.HISTORICAL, Transport.REST),
    (Mode.HISTORICAL, Transport.ARCHIVE),
    (Mode.LIVE, Transport.WS),
)


def tables() -> str:
    """All of the generated part."""
    offered = [
        [source.name, str(kind).replace("_", " "), *(_cell(source, kind, *way) for way in _WAYS)]
        for source in SOURCES
        for kind in DataType
        if any(each.data_type is kind for each in source.capabilities)
    ]
    shown = [
        [
            f"[{source.name}]({source.id}.md)",
            *(f"{read}, {excused}" if read else "–" for read, excused in _recordings(source)),
            _book(source),
            f"{round(_lines(source), -2)}",
        ]
        for source in SOURCES
    ]
    first = _table(("exchange", "data", "history", "public files", "live"), offered)
    columns = (
        "exchange",
        "recorded answers read, excused",
        "recorded messages read, excused",
        "a lost message of a book shows by",
        "lines of code, about",
    )
    return f"{first}\n{_table(columns, shown)}"


def _table(columns: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [[*columns], ["---" for _ in columns], *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _cell(source: Source, kind: DataType, mode: Mode, transport: Transport) -> str:
    """The markets, and what their correctness rests on."""
    found: list[Capability] = [
        each
        for each in source.capabilities
        if (each.data_type, each.mode, each.transport) == (kind, mode, transport)
    ]
    told = {f"{', '.join(each.markets)}: {each.evidence}" for each in found}
    return "; ".join(sorted(told)) or "–"


def _recordings(source: Source) -> list[tuple[int, int]]:
    """How many answers and how many messages are read, and how many are excused by name."""
    name = f"tests.contract.test_corpus_{source.id}"
    rest = importlib.import_module(name)
    live = importlib.import_module(f"{name}_live") if find_spec(f"{name}_live") else None
    if live is None:
        every = (rest.CASES, rest.READ), (rest.LIVE_CASES, rest.READ_LIVE)
    else:
        every = (rest.CASES, rest.READ), (live.CASES, getattr(live, "READ", live.CASES))
    return [(len(read), len(cases) - len(read)) for cases, read in every]


def _book(source: Source) -> str:
    return ", ".join(sorted({party.finds or "nothing" for party in PARTIES if party.source is source}))


def _lines(source: Source) -> int:
    """Of the exchange's adapter."""
    module = importlib.import_module(f"dccd.sources.{source.id}")
    path = Path(inspect.getfile(module))
    files = path.parent.glob("*.py") if path.name == "__init__.py" else [path]
    return sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)


def main() -> None:
    """Print the tables, or put them into the page."""
    if "--write" not in sys.argv:
        print(tables())  # noqa: T201
        return
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(before + BEGIN + tables() + END + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
