"""A certificate: what a dataset, or an export of it, holds and lacks, and the hash of each of its files.

A JSON document that a colleague can check with common tools; `docs/certificate.md` describes it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import CorruptFile
from dccd.domain.timeutils import iso
from dccd.domain.version import __version__
from dccd.storage.footer import FileInfo, read_info
from dccd.storage.fs import Entry, FileSystem
from dccd.storage.info import Coverage, find_gaps
from dccd.storage.layout import Layout
from dccd.storage.period_file import reading
from dccd.storage.schema import arrow_schema

FORMAT = "dccd-certificate"
VERSION = 1
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a dataset besides its rows, at one moment.

    Attributes
    ----------
    covered, asked : IntervalSet
    empty, doubted : IntervalSet
        Covered without a row and so in no file; in files and not believed any more.
    absent, missed : mapping of str to IntervalSet
        What the exchange is proven not to have, and what was lost or is doubted, by cause.
    sources : tuple of str
        Where the rows come from.
    """

    dataset: DatasetId
    covered: IntervalSet
    asked: IntervalSet
    empty: IntervalSet
    doubted: IntervalSet
    absent: Mapping[str, IntervalSet]
    missed: Mapping[str, IntervalSet]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CertifiedFile:
    """A file that the certificate vouches for.

    Attributes
    ----------
    name : str
        Relative to where the check is run, with ``/``.
    sha256 : str
        Of the whole file.
    start_ns, end_ns : int or None
        Timestamps of the first and the last row, both inclusive; None without rows.
    covered : IntervalSet or None
        What the file itself says that it covers; None where it says nothing.
    """

    name: str
    size_bytes: int
    sha256: str
    rows: int
    start_ns: int | None
    end_ns: int | None
    covered: IntervalSet | None = None


def certified(
    fs: FileSystem, layout: Layout, info: FileInfo, stopped: Callable[[], bool] | None = None
) -> CertifiedFile | None:
    """A dataset's file as it is now, read whole in one version, whoever writes meanwhile.

    Parameters
    ----------
    stopped : callable or None
        Asked now and then; once true, None is returned.

    Raises
    ------
    CorruptFile
        It cannot be read, or its data is not what was written.
    StorageError
        The system would not have it read now.
    """
    digest = hashlib.sha256()
    data_digest = ""
    with reading(info.path):
        source = fs.source(layout.data_path / info.path)
    with source, reading(info.path):
        size = source.size()
        now = read_info(source, info.path, Entry(info.path, False, size, info.mtime_ns))
        source.seek(0)
        left = now.footer.data_size  # then comes what says what the hash of that is
        while piece := source.read(min(left, _PIECE_BYTES) or _PIECE_BYTES):
            if stopped is not None and stopped():
                return None
            digest.update(piece)
            if left:
                left -= len(piece)
                data_digest = "" if left else digest.hexdigest()
    if data_digest != now.footer.sha256:
        raise CorruptFile(
            f"{info.path}: its data has another hash than was written, so nothing is certified. "
            "Verify the dataset (dccd verify), which says what to do."
        )
    first_ns, last_ns = (now.first_ns, now.last_ns) if now.rows else (None, None)
    covered = now.footer.covered
    return CertifiedFile(info.path, size, digest.hexdigest(), now.rows, first_ns, last_ns, covered)


def dataset_certificate(facts: Facts, files: Iterable[CertifiedFile]) -> dict[str, Any]:
    """The certificate of a dataset's published files; names are relative to the data folder."""
    files = list(files)
    in_files = IntervalSet(item for file in files for item in file.covered or ())
    return _document(facts, files, "dataset", (facts.empty | in_files) - facts.doubted, facts.asked)


def export_certificate(
    facts: Facts, file: CertifiedFile, start_ns: int | None, end_ns: int | None
) -> dict[str, Any]:
    """The certificate of one exported file, of the rows with ``start_ns <= ts < end_ns``.

    Where a bound is given, all the time within it counts as asked for.
    """
    known = facts.covered | facts.asked
    start = known.start_ns if start_ns is None else start_ns
    end = known.end_ns if end_ns is None else end_ns
    wanted = IntervalSet() if start is None or end is None else IntervalSet.of(start, end)
    bounded = start_ns is not None or end_ns is not None
    asked = wanted if bounded else facts.asked
    document = _document(_within(facts, wanted), [file], "export", facts.covered & wanted, asked)
    document["range"] = {"start": _iso(start_ns), "end": _iso(end_ns)}
    return document


def _document(
    facts: Facts, files: list[CertifiedFile], kind: str, covered: IntervalSet, asked: IntervalSet
) -> dict[str, Any]:
    absent = IntervalSet(item for intervals in facts.absent.values() for item in intervals)
    gaps = find_gaps(Coverage(covered, asked, absent), facts.missed)
    dataset = facts.dataset
    return {
        "format": FORMAT,
        "version": VERSION,
        "of": kind,
        "program": f"dccd {__version__}",
        "created_at": iso(time.time_ns()),
        "dataset": {
            "id": str(dataset),
            "exchange": dataset.exchange,
            "symbol": str(dataset.symbol),
            "data_type": dataset.data_type.value,
            "span": None if dataset.span is None else str(dataset.span),
            "depth": dataset.depth,
        },
        "rows": sum(file.rows for file in files),
        "first": _iso(min((file.start_ns for file in files if file.start_ns is not None), default=None)),
        "last": _iso(max((file.end_ns for file in files if file.end_ns is not None), default=None)),
        "asked": _intervals(asked),
        "covered": _intervals(covered),
        "absent": [
            {"start": iso(start), "end": iso(end), "cause": cause}
            for cause, intervals in facts.absent.items()
            for start, end in intervals
        ],
        "gaps": [{"start": iso(gap.start_ns), "end": iso(gap.end_ns), "cause": gap.cause} for gap in gaps],
        "sources": [*facts.sources],
        "columns": [
            {"name": column.name, "type": str(column.type), "nullable": column.nullable}
            for column in arrow_schema(dataset.data_type)
        ],
        "files": [
            {
                "name": file.name,
                "bytes": file.size_bytes,
                "sha256": file.sha256,
                "rows": file.rows,
                "first": _iso(file.start_ns),
                "last": _iso(file.end_ns),
            }
            | ({} if file.covered is None else {"covered": _intervals(file.covered)})
            for file in files
        ],
    }


def _within(facts: Facts, wanted: IntervalSet) -> Facts:
    return replace(
        facts,
        absent={cause: intervals & wanted for cause, intervals in facts.absent.items()},
        missed={cause: intervals & wanted for cause, intervals in facts.missed.items()},
    )


def _intervals(intervals: IntervalSet) -> list[list[str]]:
    return [[iso(start), iso(end)] for start, end in intervals]


def _iso(ts_ns: int | None) -> str | None:
    return None if ts_ns is None else iso(ts_ns)
