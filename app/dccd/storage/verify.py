"""Reading a dataset again, every byte of it, and saying in words what is not as it was written.

Runs beside writers: a file is held open while it is looked at, so that one version of it is seen, and what
looks wrong is looked at again while nothing of the dataset is being published.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa
import pyarrow.parquet as pq

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId, Period
from dccd.domain.errors import CorruptFile
from dccd.domain.gaps import GapCause
from dccd.domain.timeutils import iso
from dccd.storage.catalog import Catalog
from dccd.storage.coverage_db import CoverageDb, What
from dccd.storage.file_faults import FileFaults
from dccd.storage.footer import FileInfo, read_info
from dccd.storage.fs import Entry, FileSystem, in_words
from dccd.storage.holdings import Holdings
from dccd.storage.layout import Layout
from dccd.storage.lost_time import lost_time
from dccd.storage.period_file import read_file_info, reading
from dccd.storage.row_checks import RowChecks
from dccd.storage.schema import arrow_schema
from dccd.storage.turns import Turns
from dccd.storage.unpublished import Unpublished

_PIECE_BYTES = 1 << 20


class Severity(StrEnum):
    """How bad it is: an error cannot be right, a warning is worth a look."""

    ERROR = "error"
    WARNING = "warning"


class Remedy(StrEnum):
    """What :meth:`dccd.storage.keeping.Keeping.mend` does about it."""

    PUT_ASIDE = "put aside"  # the file is kept apart, and its time is a gap from then on
    FORGET = "forget"  # the file is gone: its time is a gap from then on
    TAKE_IN = "take in"  # the file is sound, and other than the index says


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes
    ----------
    file : str
        Relative to the data folder, with ``/``.
    text, advice : str
        What is wrong, and what to do about it: whole sentences.
    remedy : Remedy or None
        None where the program can do nothing about it.
    period : Period or None
        Of the file, where it is a period file.
    """

    severity: Severity
    file: str
    text: str
    advice: str
    remedy: Remedy | None = None
    period: Period | None = None


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was found in a dataset.

    Attributes
    ----------
    files, rows, size_bytes : int
        What was looked at; rows of files and of journals.
    problems : tuple of Finding
        Files in order of time, then what is lost of others, then journals.
    stopped : bool
        Whether it was cut short.
    """

    dataset: DatasetId
    files: int
    rows: int
    size_bytes: int
    problems: tuple[Finding, ...]
    stopped: bool = False

    @property
    def sound(self) -> bool:
        """Whether there is no error; there may be warnings."""
        return all(problem.severity is not Severity.ERROR for problem in self.problems)


class _Stopped(Exception):
    """Somebody asked to stop."""


_PUT_ASIDE = (
    "Mending the dataset puts the file aside, where it is kept, and makes its time a gap that can be fetched "
    "again. Check the disk."
)
_FORGET = "Put the file back from a copy, or mend the dataset, which makes its time a gap."
_TAKE_IN = "Mending the dataset takes the file as it is now; so does the next start."
_COMPARE = "Compare that time with the exchange, and fetch it again where it differs."
_MOVE = "Move it elsewhere, lest programs that read this folder take it for data."
_RESTART = "At the next start the page is put aside, and its time becomes a gap."


class Verifier:
    """Looks through datasets; made of a store's parts."""

    def __init__(
        self,
        fs: FileSystem,
        layout: Layout,
        catalog: Catalog,
        coverage: CoverageDb,
        unpublished: Unpublished,
        turns: Turns,
        faults: FileFaults,
        holdings: Holdings,
    ) -> None:
        self._fs, self._layout = fs, layout
        self._catalog, self._coverage, self._unpublished = catalog, coverage, unpublished
        self._turns, self._faults, self._holdings = turns, faults, holdings

    def verify(
        self,
        dataset: DatasetId,
        progress: Callable[[int, int], None] | None = None,
        stopped: Callable[[], bool] | None = None,
    ) -> VerifyReport:
        """See :meth:`dccd.storage.keeping.Keeping.verify`."""
        look = _Look(progress, stopped)
        problems: list[Finding] = []
        files = 0
        try:
            for info in self._catalog.files(dataset):
                problems += self._file(info, look)
                files += 1
            problems += self._strangers(dataset)
            problems += self._lost(dataset, {problem.file for problem in problems})
            problems += self._journals(dataset, look)
        except _Stopped:
            return VerifyReport(dataset, files, look.rows, look.size_bytes, tuple(problems), stopped=True)
        return VerifyReport(dataset, files, look.rows, look.size_bytes, tuple(problems))

    def mend(self, dataset: DatasetId, finding: Finding) -> bool:
        """See :meth:`dccd.storage.keeping.Keeping.mend`."""
        if finding.period is None or finding.remedy is None:
            return False
        with self._turns.turn(dataset):
            info = self._catalog.get(dataset, finding.period)
            if info is None:
                found = self._stranger(dataset, finding.period, finding.file)
            else:
                found = next((item for item in self._version(info, _Look()) if item.remedy), None)
            if found is None:
                return False
            match found.remedy:
                case Remedy.TAKE_IN:
                    with in_words(f"reading {found.file}"):
                        self._catalog.put(read_file_info(self._fs, self._layout, found.file))
                case Remedy.FORGET:
                    assert info is not None, "what the index does not know cannot be missing from it"
                    lost = info.footer.covered
                    self._coverage.add(dataset, What.LOST, lost, GapCause.FILE_GONE.value)
                    self._catalog.drop(info)
                case _:
                    self._faults.damaged(found.file, CorruptFile(found.text), info)
                    if info is not None:
                        self._catalog.drop(info)
        return True

    def _file(self, info: FileInfo, look: _Look) -> list[Finding]:
        """A file that the index knows; when it was replaced meanwhile, the new one is looked at."""
        dataset, period = info.footer.dataset, info.period
        while True:
            before = look.rows, look.size_bytes
            problems = self._version(info, look)
            if not problems:
                return []
            with self._turns.turn(dataset):
                now = self._catalog.get(dataset, period)
            if now == info:
                return problems
            if now is None:  # deleted or put aside meanwhile, which is told where it is done
                return []
            info = now
            look.rows, look.size_bytes = before

    def _version(self, info: FileInfo, look: _Look) -> list[Finding]:
        """The file that has the name now, whichever version that is."""
        problems: list[Finding] = []

        def told(text: str, advice: str, remedy: Remedy | None, severity: Severity = Severity.ERROR) -> None:
            problems.append(Finding(severity, info.path, text, advice, remedy, info.period))

        try:
            with reading(info.path):
                try:
                    source = self._fs.source(self._layout.data_path / info.path)
                except FileNotFoundError:
                    told(f"{info.path} is gone.", _FORGET, Remedy.FORGET)
                    return problems
            with source, reading(info.path):
                entry = Entry(info.path, False, source.size(), info.mtime_ns)
                found = read_info(source, info.path, entry)
                if _digest(source, found.footer.data_size, look) != found.footer.sha256:
                    told(
                        f"{info.path}: its data has another hash than was written.",
                        _PUT_ASIDE,
                        Remedy.PUT_ASIDE,
                    )
                outside = found.footer.covered - IntervalSet([info.period.interval])
                if outside:
                    first = iso(outside.start_ns or 0)
                    text = f"{info.path} claims to cover time outside its period, from {first}."
                    told(text, _PUT_ASIDE, Remedy.PUT_ASIDE)
                checks = self._rows(source, found, look)
        except CorruptFile as error:
            told(str(error), _PUT_ASIDE, Remedy.PUT_ASIDE)
            return problems
        for text in checks.errors:
            told(f"{info.path}: {text}", _PUT_ASIDE, Remedy.PUT_ASIDE)
        if not problems and found != info:
            told(f"{info.path} is another file than the index knows.", _TAKE_IN, Remedy.TAKE_IN)
        for text in checks.warnings:
            told(f"{info.path}: {text}", _COMPARE, None, Severity.WARNING)
        return problems

    def _rows(self, source: pa.NativeFile, info: FileInfo, look: _Look) -> RowChecks:
        dataset = info.footer.dataset
        empty = self._coverage.get(dataset, What.EMPTY).clip(*info.period.interval) - info.footer.covered
        checks = RowChecks(dataset, info.period, empty)
        schema = arrow_schema(dataset.data_type)
        file = pq.ParquetFile(source, page_checksum_verification=True)
        for index in range(file.num_row_groups):
            table = file.read_row_group(index, use_threads=False).select(schema.names).cast(schema)
            checks.add(table)
            look.at(rows=table.num_rows)
        if checks.rows != info.rows:
            raise CorruptFile(f"{info.path} has {checks.rows:,} rows where its footer says {info.rows:,}.")
        return checks

    def _strangers(self, dataset: DatasetId) -> Iterator[Finding]:
        """Files that stand among the dataset's and that the index does not know."""
        with in_words(f"reading the folder of {dataset}"):
            entries = self._fs.entries(self._layout.data_path / dataset.folder)
        for entry in sorted(entries):
            if entry.is_folder or not entry.name.endswith(".parquet"):
                continue
            path = f"{dataset.folder}/{entry.name}"
            period = self._layout.period_named(dataset, entry.name.removesuffix(".parquet"))
            if period is None:
                yield Finding(Severity.WARNING, path, f"{path} is none of this program's files.", _MOVE)
            elif self._catalog.get(dataset, period) is None:
                with self._turns.turn(dataset):
                    found = self._stranger(dataset, period, path)
                if found is not None:
                    yield found

    def _stranger(self, dataset: DatasetId, period: Period, path: str) -> Finding | None:
        if self._catalog.get(dataset, period) is not None:
            return None
        try:
            with in_words(f"reading {path}"):
                try:
                    read_file_info(self._fs, self._layout, path)
                except FileNotFoundError:
                    return None
        except CorruptFile as error:
            return Finding(Severity.ERROR, path, str(error), _PUT_ASIDE, Remedy.PUT_ASIDE, period)
        text = f"{path} is not in the index: other programs see its rows, this one does not."
        return Finding(Severity.ERROR, path, text, _TAKE_IN, Remedy.TAKE_IN, period)

    def _lost(self, dataset: DatasetId, told_of: Collection[str]) -> Iterator[Finding]:
        """Time whose files went before this look, other than what is told of already."""
        # What is lost first: what is fetched again meanwhile is covered before it is lost no more.
        missed, known = self._faults.missed(dataset), self._holdings.coverage(dataset)
        for lost in lost_time(dataset, known.covered, known.absent, missed):
            path = f"{dataset.folder}/{lost.period.name}.parquet"
            if path not in told_of:
                severity = Severity.ERROR if lost.is_error else Severity.WARNING
                yield Finding(severity, path, lost.text, lost.advice, None, lost.period)

    def _journals(self, dataset: DatasetId, look: _Look) -> Iterator[Finding]:
        """Pages that are in no file yet."""
        with self._unpublished.pinned(dataset) as due:
            for frame in (item.frame for item in due):
                path = frame.journal.path.relative_to(self._layout.data_path).as_posix()
                try:
                    rows = frame.table().num_rows
                except CorruptFile as error:
                    yield Finding(Severity.ERROR, path, str(error), _RESTART)
                else:
                    look.at(rows=rows)


class _Look:
    """How far a look through a dataset is."""

    def __init__(
        self,
        progress: Callable[[int, int], None] | None = None,
        stopped: Callable[[], bool] | None = None,
    ) -> None:
        self.rows = self.size_bytes = 0
        self._progress, self._stopped = progress, stopped

    def at(self, *, rows: int = 0, size_bytes: int = 0) -> None:
        """So much more was looked at."""
        self.rows += rows
        self.size_bytes += size_bytes
        if self._progress is not None:
            self._progress(self.rows, self.size_bytes)
        if self._stopped is not None and self._stopped():
            raise _Stopped


def _digest(source: pa.NativeFile, size_bytes: int, look: _Look) -> str:
    """SHA-256 of a file's first bytes."""
    digest = hashlib.sha256()
    source.seek(0)
    for offset in range(0, size_bytes, _PIECE_BYTES):
        piece = source.read(min(_PIECE_BYTES, size_bytes - offset))
        digest.update(piece)
        look.at(size_bytes=len(piece))
    return digest.hexdigest()
