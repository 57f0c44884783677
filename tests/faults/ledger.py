"""What a program was given, and what it called safe: told by the program itself, as it goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.types import DataType
from dccd.storage.backfill_log import BackfillLog
from dccd.storage.store import Store

Row = tuple[Any, ...]
Columns = Mapping[str, list[Any]]
COMPARED = {DataType.OHLC: ("open", "volume"), DataType.TRADES: ("price", "amount", "tid_num")}


class Page(NamedTuple):
    """Rows that were given together, and the time that they prove."""

    dataset: DatasetId
    rows: Counter[Row]
    covered: IntervalSet


class Event(NamedTuple):
    """One thing that the program was told, or said; `number` is a page's, in the order they were offered."""

    kind: str
    dataset: DatasetId
    number: int = 0
    page: Page | None = None
    interval: Interval = Interval(0, 0)


@dataclass
class Ledger:
    """Everything that was said so far.

    Attributes
    ----------
    hear : callable
        Told of each event as it happens; a program that is to be killed so tells its parent.
    offered, written, synced : list of Page
        What the program was given; what it said would survive its own end; and a power cut.
    asking, asked : dict
        The time that the program was told to want, and that it said it had taken note of.
    """

    hear: Callable[[Event], None] = lambda _event: None
    offered: list[Page] = field(default_factory=list)
    written: list[Page] = field(default_factory=list)
    synced: list[Page] = field(default_factory=list)
    asking: dict[DatasetId, IntervalSet] = field(default_factory=dict)
    asked: dict[DatasetId, IntervalSet] = field(default_factory=dict)

    def append(self, log: BackfillLog, columns: Columns, covered: IntervalSet) -> None:
        """Have a page taken."""
        page = Page(log.dataset, rows_of(log.dataset, columns), covered)
        self.take(Event("offered", log.dataset, page=page))
        number = len(self.offered) - 1
        log.append(columns, covered, "cursor")
        self.take(Event("written", log.dataset, number))

    def ask(self, store: Store, dataset: DatasetId, interval: Interval) -> None:
        """Have some time wanted."""
        self.take(Event("asking", dataset, interval=interval))
        store.add_asked(dataset, interval)
        self.take(Event("asked", dataset, interval=interval))

    def safe(self, dataset: DatasetId) -> None:
        """All that was written of a dataset is said to survive a power cut."""
        self.take(Event("safe", dataset))

    def rows(self, dataset: DatasetId) -> Counter[Row]:
        """All that was offered of a dataset."""
        return together(page for page in self.offered if page.dataset == dataset)

    def take(self, event: Event) -> None:
        """Note an event, this program's or another's."""
        match event:
            case Event(kind="offered", page=Page() as page):
                self.offered.append(page)
            case Event(kind="written", number=number):
                self.written.append(self.offered[number])
            case Event(kind="safe", dataset=dataset):
                self.synced = [page for page in self.synced if page.dataset != dataset]
                self.synced += [page for page in self.written if page.dataset == dataset]
            case Event(kind="asking", dataset=dataset, interval=interval):
                self.asking[dataset] = self.asking.get(dataset, IntervalSet()) | IntervalSet([interval])
            case Event(kind="asked", dataset=dataset, interval=interval):
                self.asked[dataset] = self.asked.get(dataset, IntervalSet()) | IntervalSet([interval])
        self.hear(event)


def rows_of(dataset: DatasetId, columns: Columns) -> Counter[Row]:
    """A page's rows as they are compared: time, values, and how often each is there."""
    times = columns.get("ts", [])
    values = (columns.get(name, [None] * len(times)) for name in COMPARED[dataset.data_type])
    return Counter(zip(times, *values, strict=True))


def together(pages: Iterable[Page]) -> Counter[Row]:
    """Pages as they combine: each row as often as the page that has it most often."""
    rows: Counter[Row] = Counter()
    for page in pages:
        rows |= page.rows
    return rows
