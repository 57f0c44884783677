"""The public files of one exchange: what they have of a dataset, and how to get it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.instrument import Instrument
from dccd.domain.types import Transport
from dccd.sources.base import Archive, Request, Source, Target
from dccd.transport import archive as transport
from dccd.transport.archive import FILES_IN_FLIGHT
from dccd.transport.downloads import Downloads
from dccd.transport.http import HttpTransport
from dccd.transport.paging import FetchedPage

# What a plan takes a line to carry, and a request to last.
LINE_BYTES_PER_S = 10_000_000
_REQUEST_S = 0.3


@dataclass(frozen=True, slots=True)
class FilesEstimate:
    """What fetching files would take: requests, bytes on the line (None where nobody says), seconds."""

    requests: int
    size_bytes: int | None
    seconds: float


class ArchivedSource:
    """The archives of one source.

    Parameters
    ----------
    source : Source
    http : HttpTransport
    folder : Path or None
        Where files lie until they are read; without one there are no archives.
    """

    def __init__(self, source: Source, http: HttpTransport, folder: Path | None) -> None:
        self._source = source
        self._downloads = None if folder is None else Downloads(source.name, http, folder)

    def doing(self) -> str | None:
        """What is being downloaded, for people."""
        return None if self._downloads is None else self._downloads.doing()

    def find(self, dataset: DatasetId, instrument: Instrument) -> Archive | None:
        """The archive that has this dataset."""
        if self._downloads is None:
            return None
        for capability in self._source.capabilities:
            if capability.transport is not Transport.ARCHIVE or capability.data_type is not dataset.data_type:
                continue
            spans = capability.spans.get(instrument.market, ())
            if instrument.market in capability.markets and (
                dataset.span is None or str(dataset.span) in spans
            ):
                return self._source.archives[dataset.data_type]
        return None

    def reach(self, dataset: DatasetId, instrument: Instrument, now_ns: int) -> IntervalSet:
        """The whole days of which there may be files; empty where there is no archive."""
        archive = self.find(dataset, instrument)
        return (
            IntervalSet()
            if archive is None
            else transport.reach(archive, _target(dataset, instrument), now_ns)
        )

    def days(
        self, dataset: DatasetId, instrument: Instrument, wanted: IntervalSet, *, whole_only: bool
    ) -> IntervalSet:
        """The days of files that lie in `wanted`, or also those that reach into it."""
        archive = self.find(dataset, instrument)
        return IntervalSet() if archive is None else transport.days(archive, wanted, whole_only=whole_only)

    def pages(
        self, dataset: DatasetId, instrument: Instrument, wanted: Interval, now_ns: int
    ) -> AsyncGenerator[FetchedPage, None]:
        """Rows of an interval of :meth:`reach`, see :func:`dccd.transport.archive.by_file`."""
        archive = self.find(dataset, instrument)
        assert archive is not None
        assert self._downloads is not None
        target = _target(dataset, instrument)
        return transport.by_file(self._downloads, target, archive, dataset.data_type, wanted, now_ns)

    async def estimate(
        self, dataset: DatasetId, instrument: Instrument, wanted: IntervalSet, now_ns: int
    ) -> FilesEstimate:
        """What the files of `wanted` would take, by the sizes of some of them; none is downloaded."""
        archive = self.find(dataset, instrument)
        assert archive is not None
        assert self._downloads is not None
        target = _target(dataset, instrument)
        found = [file for each in wanted for file in transport.files(archive, target, *each, now_ns)]
        some = {found[len(found) * place // 4] for place in (1, 2, 3)}
        sizes = [await self._downloads.size(Request(archive.host, file.path)) for file in some]
        lengths = [file.interval.end_ns - file.interval.start_ns for file in some]
        known = [(size, length) for size, length in zip(sizes, lengths, strict=True) if size is not None]
        requests = len(found) * (2 if archive.checksum else 1)
        travel_s = requests * _REQUEST_S / FILES_IN_FLIGHT
        if not known:
            return FilesEstimate(requests, None, travel_s)
        size_bytes = sum(size for size, _ in known) * wanted.length_ns // sum(length for _, length in known)
        return FilesEstimate(requests, size_bytes, max(travel_s, size_bytes / LINE_BYTES_PER_S))


def _target(dataset: DatasetId, instrument: Instrument) -> Target:
    return Target(instrument, dataset.span, dataset.depth)
