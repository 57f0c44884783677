"""What a store is made of, and how it hangs together."""

from __future__ import annotations

from dccd.storage.catalog import Catalog
from dccd.storage.clock import Clock
from dccd.storage.coverage_repair import open_coverage
from dccd.storage.derivations import Derivations
from dccd.storage.file_faults import FileFaults
from dccd.storage.fs import FileSystem
from dccd.storage.holdings import Holdings
from dccd.storage.implausible import ImplausibleRows
from dccd.storage.layout import Layout
from dccd.storage.mounts import share_problems
from dccd.storage.publish import Publisher
from dccd.storage.quarantine import Quarantine
from dccd.storage.recovery import Recovery
from dccd.storage.trash import Trash
from dccd.storage.turns import Turns
from dccd.storage.unpublished import Unpublished
from dccd.storage.verify import Verifier


class StoreParts:
    """The parts of a :class:`dccd.storage.store.Store`, made once for a data folder that is locked."""

    def __init__(self, fs: FileSystem, layout: Layout, clock: Clock) -> None:
        self.fs, self.layout = fs, layout
        self.turns = Turns()
        self.unpublished = Unpublished(clock.monotonic)
        self.quarantine = Quarantine(fs, layout)
        self.quarantine.problems += share_problems(layout.data_path)
        self.implausible = ImplausibleRows(fs, layout, self.quarantine, clock.time_ns)
        self.coverage = open_coverage(fs, layout, self.quarantine)
        self.derivations = Derivations(self.coverage)
        self.faults = FileFaults(layout, self.quarantine, self.coverage)
        self.catalog = Catalog(fs, layout, self.faults, self.turns, self.unpublished.note_epoch)
        self.holdings = Holdings(self.catalog, self.coverage, self.faults, self.unpublished)
        self.publisher = Publisher(fs, layout, self.catalog, self.coverage, self.unpublished, self.turns)
        self.trash = Trash(
            fs, layout, self.catalog, self.coverage, self.faults, self.unpublished, self.publisher,
            self.turns, self.quarantine, clock,
        )  # fmt: skip
        self.recovery = Recovery(
            fs, layout, self.quarantine, self.catalog, self.coverage, self.faults, self.unpublished,
            self.trash.resume, self.holdings.changed,
        )  # fmt: skip
        self.verifier = Verifier(
            fs, layout, self.catalog, self.coverage, self.unpublished, self.turns, self.faults,
            self.holdings,
        )  # fmt: skip
