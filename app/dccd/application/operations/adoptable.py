"""What there is to take over from a folder of the dccd 3 package, and how it is reported."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from dccd.domain.dataset import SPAN_TYPES, DatasetId
from dccd.domain.errors import UsageError
from dccd.domain.types import DataType
from dccd.storage.reference import books
from dccd.storage.reference.file import UnreadableOldFile, look
from dccd.storage.reference.folder import LeftOut, Listing, OldDataset, list_folder

# A report has its place in the history of runs: what goes beyond this is counted, not listed.
LISTED_MAX = 500


class NotTaken(BaseModel):
    """Something in the folder that was not taken over, and why."""

    place: str
    reason: str


class Adopted(BaseModel):
    """What came of one dataset.

    Attributes
    ----------
    place : str
        Its folder in the old one.
    dataset : str
        Its id here.
    rows_read : int
        Rows of the old files.
    rows_stored : int
        Those that were not here yet.
    rows_same, rows_differing : int
        Those that were, with the same values or with others.
    rows_left_out : dict of str to int
        Those that cannot be stored, by reason.
    start_ns, end_ns : int or None
        The range that is asked for from now on, half-open.
    gap_count : int
    notes : list of str
        What else is to be known of it.
    """

    place: str
    dataset: str
    files: int
    rows_read: int = 0
    rows_stored: int = 0
    rows_same: int = 0
    rows_differing: int = 0
    rows_left_out: dict[str, int] = {}
    start_ns: int | None = None
    end_ns: int | None = None
    gap_count: int = 0
    notes: list[str] = []


class AdoptReport(BaseModel):
    """What came of a folder.

    Attributes
    ----------
    not_taken : list of NotTaken
        Files and folders that were left where they are; of very many the first.
    not_taken_count : int
        All of them.
    """

    folder: str
    datasets: list[Adopted] = []
    not_taken: list[NotTaken] = []
    not_taken_count: int = 0

    def leave(self, left_out: LeftOut) -> None:
        """Note something that was not taken over."""
        self.not_taken_count += 1
        if len(self.not_taken) < LISTED_MAX:
            self.not_taken.append(NotTaken(place=left_out.place, reason=left_out.reason))


def find(folder: Path, data_path: Path) -> Listing:
    """What there is to take over; nothing is opened or changed.

    Raises
    ------
    UsageError
        It is no folder of the package, or overlaps the data folder.
    """
    listing = list_folder(folder)
    ours, theirs = data_path.resolve(), folder.resolve()
    if ours.is_relative_to(theirs) or theirs.is_relative_to(ours):
        raise UsageError(
            f"Adopting {folder}: it and the data folder {data_path} lie one in the other, and nothing is "
            "written into the old one. Choose another data folder (--data-path)."
        )
    return listing


def survey(listing: Listing) -> AdoptReport:
    """What taking it over would begin with, from the footers of files: nothing is stored."""
    report = AdoptReport(folder=str(listing.folder))
    for left_out in listing.left_out:
        report.leave(left_out)
    for old in listing.datasets:
        rows, bounds = 0, []
        for path in old.files:
            try:
                file = look(path)
            except UnreadableOldFile as error:
                report.leave(LeftOut(place(listing, path), str(error)))
                continue
            rows += file.rows
            bounds += [ns for ns in (file.first_ns, file.last_ns) if ns is not None]
        for dataset in datasets(old):
            found = Adopted(place=old.place, dataset=str(dataset), files=len(old.files), rows_read=rows)
            found.start_ns = min(bounds, default=None)
            found.end_ns = None if not bounds else max(bounds) + 1
            report.datasets.append(found)
    return report


def datasets(old: OldDataset) -> list[DatasetId]:
    """What a dataset of the package becomes: an order book's snapshots and its changes lie apart here."""
    if old.data_type is not DataType.ORDERBOOK:
        return [DatasetId(old.exchange, old.symbol, old.data_type, old.span)]
    found = []
    book = books.look_into(old.files)
    if book.depth is not None:
        found.append(DatasetId(old.exchange, old.symbol, DataType.ORDERBOOK, depth=book.depth))
    if book.has_updates:
        found.append(DatasetId(old.exchange, old.symbol, DataType.BOOK_UPDATES))
    return found


def shift_ns(old: OldDataset) -> int:
    """BitMEX names a bar by its end, and the package kept that as if it were the beginning."""
    if old.exchange == "bitmex" and old.data_type in SPAN_TYPES and old.span is not None:
        return -old.span.nominal_ns
    return 0


def place(listing: Listing, path: Path) -> str:
    """Where a file lies in the folder, with ``/``."""
    return path.relative_to(listing.folder).as_posix()
