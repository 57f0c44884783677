"""Datasets read again, every byte of them, as a run; what is damaged can be put aside by the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from dccd.application.events import EventBus, InventoryEvent
from dccd.application.operations.recorded import Told
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import StorageError, UnknownDataset
from dccd.storage.store import Store
from dccd.storage.verify import Finding, Severity, VerifyReport

PROBLEMS_MAX = 1_000
_TELL_EVERY_S = 0.2


class VerifyParams(BaseModel):
    """What a verification was started with, as its run keeps it.

    Attributes
    ----------
    datasets : list of str
        Their ids.
    mend : bool
        Whether damaged files are put aside, and the index is made to say what is there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    datasets: list[str]
    mend: bool = False


class VerifyProblem(BaseModel):
    """One thing that is not as it should be.

    Attributes
    ----------
    severity : Severity
    file : str
        Relative to the data folder.
    text, advice : str
        What is wrong, and what to do about it.
    mendable, mended : bool
        Whether the program can do something about it, and whether it did.
    """

    severity: Severity
    file: str
    text: str
    advice: str
    mendable: bool
    mended: bool = False


class VerifiedDataset(BaseModel):
    """What was found in one dataset.

    Attributes
    ----------
    files, rows, size_bytes : int
        What was read.
    errors, warnings : int
        How many problems there are of each severity.
    problems : list of VerifyProblem
        The first thousand.
    failure : str or None
        Why it could not be read to its end, where it could not: then there may be more.
    """

    dataset: str
    files: int = 0
    rows: int = 0
    size_bytes: int = 0
    errors: int = 0
    warnings: int = 0
    problems: list[VerifyProblem] = []
    failure: str | None = None


class VerifyResult(BaseModel):
    """What a verification found.

    Attributes
    ----------
    datasets : list of VerifiedDataset
        In the order in which they were read; those that were not come to are missing.
    sound : bool
        Whether all of them were read to their end, and there is no error.
    """

    datasets: list[VerifiedDataset] = []
    rows: int = 0
    errors: int = 0
    warnings: int = 0
    sound: bool = False


async def verify(
    datasets: Sequence[DatasetId],
    *,
    mend: bool = False,
    store: Store,
    told: Told,
    events: EventBus | None = None,
) -> dict[str, Any]:
    """Read some datasets again and say what is not as it was written; writers may go on meanwhile.

    Parameters
    ----------
    mend : bool
        Put damaged files aside, which makes their time a gap, and note what else is found in the index.

    Returns
    -------
    dict
        The fields of :class:`VerifyResult`.
    """
    result = VerifyResult()
    total = 0
    for dataset in datasets:
        try:
            total += (await asyncio.to_thread(store.info, dataset)).rows
        except UnknownDataset:
            continue  # deleted since; told below
    progress = _Progress(told, total)
    for dataset in datasets:
        if told.stopped():
            break
        found, stopped = await asyncio.to_thread(_verified, store, dataset, mend, progress, told)
        result.datasets.append(found)
        progress.begin_after(found.rows)
        result.rows += found.rows
        result.errors += found.errors
        result.warnings += found.warnings
        if events is not None and any(problem.mended for problem in found.problems):
            events.publish(InventoryEvent(dataset=str(dataset)))
        if stopped:
            break
    else:
        result.sound = not result.errors and all(found.failure is None for found in result.datasets)
        told.progress(max(total, result.rows), max(total, result.rows), "rows")
    return result.model_dump(mode="json")


class _Progress:
    """How many rows were read, told a few times a second."""

    def __init__(self, told: Told, total: int) -> None:
        self._told, self._total = told, total
        self._before = 0
        self._due_s = 0.0

    def begin_after(self, rows: int) -> None:
        """A dataset is done."""
        self._before += rows

    def __call__(self, rows: int, _size_bytes: int) -> None:
        now_s = time.monotonic()
        if now_s >= self._due_s:
            self._due_s = now_s + _TELL_EVERY_S
            done = self._before + rows
            self._told.progress(done, max(self._total, done + 1), "rows")


def _verified(
    store: Store, dataset: DatasetId, mend: bool, progress: _Progress, told: Told
) -> tuple[VerifiedDataset, bool]:
    """What is found in a dataset, and whether it was cut short; runs on a thread."""
    try:
        report = store.keeping.verify(dataset, progress, told.stopped)
    except (StorageError, UnknownDataset) as error:
        told.log(f"{dataset}: {error}", "error")
        return VerifiedDataset(dataset=str(dataset), failure=str(error)), False
    found = VerifiedDataset(
        dataset=str(dataset),
        files=report.files,
        rows=report.rows,
        size_bytes=report.size_bytes,
        errors=_count(report, Severity.ERROR),
        warnings=_count(report, Severity.WARNING),
    )
    if report.stopped:
        found.failure = "Stopped before its end."
    told.log(
        f"{dataset}: {report.rows:,} rows in {report.files:,} files, {found.errors:,} errors, "
        f"{found.warnings:,} warnings."
    )
    mended: set[str] = set()
    for problem in report.problems:
        told.log(problem.text, "error" if problem.severity is Severity.ERROR else "warning")
        if mend and _mend(store, dataset, problem, told):
            mended.add(problem.file)
    found.problems = [
        VerifyProblem(
            severity=problem.severity,
            file=problem.file,
            text=problem.text,
            advice=problem.advice,
            mendable=problem.remedy is not None,
            mended=problem.remedy is not None and problem.file in mended,
        )
        for problem in report.problems[:PROBLEMS_MAX]
    ]
    return found, report.stopped


def _mend(store: Store, dataset: DatasetId, problem: Finding, told: Told) -> bool:
    """Whether it is well again; what cannot be mended now is told, and keeps nobody from the rest."""
    try:
        return store.keeping.mend(dataset, problem)
    except StorageError as error:
        told.log(f"Mending {problem.file} failed: {error}", "error")
        return False


def _count(report: VerifyReport, severity: Severity) -> int:
    return sum(problem.severity is severity for problem in report.problems)
