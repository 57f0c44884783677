"""What a program was given, and what it called safe: told by the program itself, as it goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.gaps import GapCause
from dccd.domain.types import DataType
from dccd.storage.backfill_log import BackfillLog
from dccd.storage.store import Store
from dccd.storage.stream_log import StreamLog
from dccd.storage.trash_entry import TrashEntry

Row = tuple[Any, ...]
Columns = Mapping[str, list[Any]]
COMPARED = {DataType.OHLC: ("open", "volume"), DataType.TRADES: ("price", "amount", "tid_num")}


class Page(NamedTuple):
    """Rows that were given together, the time that they prove, and where they replace what is stored."""

    dataset: DatasetId
    rows: Counter[Row]
    covered: IntervalSet
    replaces: IntervalSet = IntervalSet()


class Doubt(NamedTuple):
    """Time of a dataset that is not believed, from the page of some number on."""

    dataset: DatasetId
    interval: Interval
    since: int


class Expected(NamedTuple):
    """What is to be found of a dataset.

    Attributes
    ----------
    due, possible : Counter
        Rows that must be there; rows that may be. Each as often as the page that has it most often.
    standing : Counter
        Rows that no page has replaced, not even one that may be lost: there if their time is covered.
    must, may : IntervalSet
        Time that must be covered; time that may be.
    """

    due: Counter[Row]
    possible: Counter[Row]
    standing: Counter[Row]
    must: IntervalSet
    may: IntervalSet


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
    offered : list of Page
        What the program was given.
    written, synced : set of int
        The pages, by number, that it said would survive its own end; and a power cut.
    asking, asked : dict
        The time that the program was told to want, and that it said it had taken note of.
    doubting, doubted : list of Doubt
        The same of time that is not to be believed any more.
    answered : set of int
        Pages that replace what was doubted, and are in files: from then on the doubt does not come back.
    trash : dict of DatasetId to str
        What was last begun, or done, with datasets that go into the trash and come back.
    """

    hear: Callable[[Event], None] = lambda _event: None
    offered: list[Page] = field(default_factory=list)
    written: set[int] = field(default_factory=set)
    synced: set[int] = field(default_factory=set)
    asking: dict[DatasetId, IntervalSet] = field(default_factory=dict)
    asked: dict[DatasetId, IntervalSet] = field(default_factory=dict)
    doubting: list[Doubt] = field(default_factory=list)
    doubted: list[Doubt] = field(default_factory=list)
    answered: set[int] = field(default_factory=set)
    trash: dict[DatasetId, str] = field(default_factory=dict)

    def copied(self) -> Ledger:
        """What was said until now, for whoever looks later."""
        return Ledger(
            offered=[*self.offered],
            written={*self.written},
            synced={*self.synced},
            asking={**self.asking},
            asked={**self.asked},
            doubting=[*self.doubting],
            doubted=[*self.doubted],
            answered={*self.answered},
            trash={**self.trash},
        )

    def append(self, log: BackfillLog, columns: Columns, covered: IntervalSet) -> None:
        """Have a page taken."""
        doubted = IntervalSet(each.interval for each in self.doubted if each.dataset == log.dataset)
        replaced = IntervalSet(
            item
            for page in self.offered[min((each.since for each in self.doubted), default=0) :]
            if page.dataset == log.dataset
            for item in page.replaces
        )
        replaces = covered & doubted - replaced
        page = Page(log.dataset, rows_of(log.dataset, columns), covered, replaces)
        self.take(Event("offered", log.dataset, page=page))
        number = len(self.offered) - 1
        log.append(columns, covered, "cursor")
        self.take(Event("written", log.dataset, number))

    def ask(self, store: Store, dataset: DatasetId, interval: Interval) -> None:
        """Have some time wanted."""
        self.take(Event("asking", dataset, interval=interval))
        store.add_asked(dataset, interval)
        self.take(Event("asked", dataset, interval=interval))

    def doubt(self, store: Store, dataset: DatasetId, interval: Interval) -> None:
        """Have some time doubted."""
        self.take(Event("doubting", dataset, len(self.offered), interval=interval))
        store.add_doubt(dataset, interval, GapCause.DIFFERS)
        self.take(Event("doubted", dataset, len(self.offered), interval=interval))

    def delete(self, store: Store, dataset: DatasetId) -> TrashEntry:
        """Have a dataset moved to the trash."""
        self.take(Event("deleting", dataset))
        entry = store.keeping.delete(dataset)
        self.take(Event("deleted", dataset))
        return entry

    def restore(self, store: Store, entry: TrashEntry) -> None:
        """Have it put back."""
        self.take(Event("restoring", entry.dataset))
        store.keeping.restore(entry.id)
        self.take(Event("restored", entry.dataset))

    def safe(self, dataset: DatasetId) -> None:
        """All that was written of a dataset is said to survive a power cut."""
        self.take(Event("safe", dataset))

    def finish(self, log: BackfillLog) -> None:
        """Have all that was written of a dataset published."""
        log.finish()
        self.safe(log.dataset)
        self.take(Event("answered", log.dataset))

    def rows(self, dataset: DatasetId) -> Counter[Row]:
        """What is there when all is well that was offered of a dataset."""
        return self.expected(dataset, set(range(len(self.offered)))).possible

    def expected(self, dataset: DatasetId, promised: Set[int]) -> Expected:
        """What must be there of a dataset, and what may be, the pages in `promised` being safe."""
        due: Counter[Row] = Counter()
        possible: Counter[Row] = Counter()
        standing: Counter[Row] = Counter()
        must, may = IntervalSet(), IntervalSet()
        for number, page in enumerate(self.offered):
            must -= _since(self.doubting, dataset, number)
            may -= _since(self.doubted, dataset, number)
            if page.dataset != dataset:
                continue
            may |= page.covered
            standing = _without(standing, page.replaces) | page.rows
            due = _without(due, page.replaces)
            if number in promised:
                must |= page.covered if number in self.answered else page.covered - page.replaces
                due |= page.rows
                possible = _without(possible, page.replaces)
            possible |= page.rows
        must -= _since(self.doubting, dataset, len(self.offered))
        may -= _since(self.doubted, dataset, len(self.offered))
        return Expected(due, possible, standing, must, may)

    def take(self, event: Event) -> None:
        """Note an event, this program's or another's."""
        match event:
            case Event(kind="offered", page=Page() as page):
                self.offered.append(page)
            case Event(kind="written", number=number):
                self.written.add(number)
            case Event(kind="synced", number=number):
                self.synced.add(number)
            case Event(kind="safe", dataset=dataset):
                self.synced |= {number for number in self.written if self.offered[number].dataset == dataset}
            case Event(kind="asking", dataset=dataset, interval=interval):
                self.asking[dataset] = self.asking.get(dataset, IntervalSet()) | IntervalSet([interval])
            case Event(kind="asked", dataset=dataset, interval=interval):
                self.asked[dataset] = self.asked.get(dataset, IntervalSet()) | IntervalSet([interval])
            case Event(kind="answered", dataset=dataset):
                self.answered |= {
                    number for number in self.written if self.offered[number].dataset == dataset
                }
            case Event(kind="doubting", dataset=dataset, number=number, interval=interval):
                self.doubting.append(Doubt(dataset, interval, number))
            case Event(kind="doubted", dataset=dataset, number=number, interval=interval):
                self.doubted.append(Doubt(dataset, interval, number))
            case Event(kind="deleting" | "deleted" | "restoring" | "restored" as kind, dataset=dataset):
                self.trash[dataset] = kind
        self.hear(event)


class Told:
    """A stream log, and what the ledger is told of it: rows are given, and only later written."""

    def __init__(self, ledger: Ledger, log: StreamLog) -> None:
        self._ledger, self._log = ledger, log
        self._waiting: list[int] = []

    def append(self, dataset: DatasetId, columns: Columns, covered: IntervalSet) -> None:
        """Have rows taken."""
        page = Page(dataset, rows_of(dataset, columns), covered)
        self._ledger.take(Event("offered", dataset, page=page))
        self._waiting.append(len(self._ledger.offered) - 1)
        self._log.append(dataset, columns, covered, source="stream", observation="session")

    def written(self) -> None:
        """All so far is said to survive the end of the process."""
        for number in self._waiting:
            self._ledger.take(Event("written", self._ledger.offered[number].dataset, number))
        self._waiting = []

    def flushed(self) -> None:
        """All so far is said to survive a power cut."""
        numbers = self._waiting
        self.written()
        for number in numbers:
            self._ledger.take(Event("synced", self._ledger.offered[number].dataset, number))


def rows_of(dataset: DatasetId, columns: Columns) -> Counter[Row]:
    """A page's rows as they are compared: time, values, and how often each is there."""
    times = columns.get("ts", [])
    values = (columns.get(name, [None] * len(times)) for name in COMPARED[dataset.data_type])
    return Counter(zip(times, *values, strict=True))


def _since(doubts: Iterable[Doubt], dataset: DatasetId, number: int) -> IntervalSet:
    return IntervalSet(each.interval for each in doubts if (each.dataset, each.since) == (dataset, number))


def _without(rows: Counter[Row], replaced: IntervalSet) -> Counter[Row]:
    return Counter({row: count for row, count in rows.items() if row[0] not in replaced})
