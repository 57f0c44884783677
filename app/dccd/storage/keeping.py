"""What is stored, looked after: read again, certified, deleted to a trash and put back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from dccd.domain.dataset import DatasetId
from dccd.storage.certificate import CertifiedFile, Facts, certified, dataset_certificate
from dccd.storage.coverage_db import What
from dccd.storage.footer import FileInfo
from dccd.storage.store_parts import StoreParts
from dccd.storage.trash_entry import TrashEntry
from dccd.storage.verify import Finding, VerifyReport


class _Home(Protocol):
    """What this needs of its store."""

    def recover(self) -> None: ...

    def changed(self, dataset: DatasetId) -> None: ...

    def publish(
        self, dataset: DatasetId | None = None, *, stopped: Callable[[], bool] | None = None
    ) -> None: ...

    def files(
        self, dataset: DatasetId, start_ns: int | None = None, end_ns: int | None = None
    ) -> list[FileInfo]: ...


class Keeping:
    """Verify, certify, delete and restore; a part of :class:`dccd.storage.store.Store`. Thread-safe."""

    def __init__(self, home: _Home, parts: StoreParts) -> None:
        self._home, self._parts = home, parts

    def verify(
        self,
        dataset: DatasetId,
        progress: Callable[[int, int], None] | None = None,
        stopped: Callable[[], bool] | None = None,
    ) -> VerifyReport:
        """Read a dataset again, every byte of it, and say what is not as it was written; changes nothing.

        Parameters
        ----------
        progress : callable or None
            Called with the rows and the bytes looked at so far.
        stopped : callable or None
            Asked now and then; once true, the report is of what was looked at until then.

        Raises
        ------
        UnknownDataset
            Nothing is known of it.
        StorageError
            The system would not have a file read, which says nothing about the file.
        """
        self._home.recover()
        self._parts.holdings.require(dataset)
        return self._parts.verifier.verify(dataset, progress, stopped)

    def mend(self, dataset: DatasetId, finding: Finding) -> bool:
        """Do what a finding's remedy says, where it still holds; what is put aside is kept.

        Returns
        -------
        bool
            Whether anything was done.

        Raises
        ------
        StorageError
            The disk refused.
        """
        self._home.recover()
        try:
            return self._parts.verifier.mend(dataset, finding)
        finally:
            self._home.changed(dataset)

    def delete(self, dataset: DatasetId) -> TrashEntry:
        """Move a dataset to the trash, from where it can be had back until that is emptied.

        What is in journals only is published first. Files are renamed, none is copied. A deletion that is cut
        short is undone, at the next start at the latest.

        Raises
        ------
        UnknownDataset
            Nothing is known of it.
        DatasetBusy
            It is being written to, or another program holds one of its files open (Windows).
        StorageError
            The disk refused; the dataset is as it was.
        """
        self._home.recover()
        self._parts.holdings.require(dataset)
        try:
            return self._parts.trash.delete(dataset)
        finally:
            self._home.changed(dataset)

    def restore(self, entry_id: str) -> TrashEntry:
        """Put a deleted dataset back; what was stored of it since and what was deleted become one.

        Raises
        ------
        UnknownTrash
            No such entry.
        StorageError
            The disk refused. What was put back until then stays; do it again for the rest.
        """
        self._home.recover()
        entry = None
        try:
            entry = self._parts.trash.restore(entry_id)
        finally:
            self._parts.holdings.changed(None if entry is None else entry.dataset)
        return entry

    def deleted(self) -> list[TrashEntry]:
        """What can be restored, the oldest first.

        Raises
        ------
        StorageError
            The disk refused.
        """
        self._home.recover()  # which puts back what was left half deleted
        return self._parts.trash.entries()

    def empty_trash(self, before_ns: int | None = None) -> list[TrashEntry]:
        """Remove for good what was deleted before an instant, or all of it.

        Returns
        -------
        list of TrashEntry
            What was removed.

        Raises
        ------
        StorageError
            The disk refused; the rest is removed the next time.
        """
        self._home.recover()
        return self._parts.trash.empty(before_ns)

    def facts(self, dataset: DatasetId) -> Facts:
        """What is known of a dataset besides its rows, files and journals together.

        Raises
        ------
        UnknownDataset
            Nothing is known of it.
        """
        self._home.recover()
        self._parts.holdings.require(dataset)
        coverage = self._parts.holdings.coverage(dataset)
        sources = {source for info in self._parts.catalog.files(dataset) for source in info.footer.sources}
        with self._parts.unpublished.pinned(dataset) as due:
            sources |= {item.frame.source for item in due if item.frame.source}
        return Facts(
            dataset,
            coverage.covered,
            coverage.asked,
            self._parts.coverage.get(dataset, What.EMPTY),
            self._parts.coverage.get(dataset, What.DOUBTED),
            self._parts.coverage.causes(dataset, What.ABSENT),
            self._parts.faults.missed(dataset),
            tuple(sorted(sources)),
        )

    def certificate(
        self, dataset: DatasetId, stopped: Callable[[], bool] | None = None
    ) -> dict[str, Any] | None:
        """What a dataset's files hold and lack, with the hash of each, as ``docs/certificate.md`` says.

        What is in journals is published first. What comes in while the files are read may be in them or not;
        nothing is certified but what is.

        Parameters
        ----------
        stopped : callable or None
            Asked now and then; once true, None is returned.

        Raises
        ------
        UnknownDataset
            Nothing is known of it.
        CorruptFile
            A file cannot be read: verify the dataset.
        StorageError
            The disk refused, or the store was closed meanwhile.
        """
        self._home.recover()
        self._parts.holdings.require(dataset)
        self._home.publish(dataset, stopped=stopped)
        facts = self.facts(dataset)
        files = self.certified(dataset, stopped=stopped)
        return None if files is None else dataset_certificate(facts, files)

    def certified(
        self,
        dataset: DatasetId,
        start_ns: int | None = None,
        end_ns: int | None = None,
        stopped: Callable[[], bool] | None = None,
    ) -> list[CertifiedFile] | None:
        """The files whose periods touch ``[start_ns, end_ns)``, each read whole; None when stopped.

        Raises
        ------
        CorruptFile
            One is not as it was written: verify the dataset.
        StorageError
            The disk refused.
        """
        files: list[CertifiedFile] = []

        def stops() -> bool:
            self._parts.turns.check()  # who closes the store may be about to move its files
            return stopped is not None and stopped()

        for info in self._home.files(dataset, start_ns, end_ns):
            file = certified(self._parts.fs, self._parts.layout, info, stops)
            if file is None:
                return None
            files.append(file)
        return files
