"""Copy datasets into a folder a person picked, as a run that can be watched and cancelled."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from pydantic import BaseModel

from dccd.application.events import EventBus
from dccd.application.jobs import JobRun, JobTarget, Progress, RunState
from dccd.application.runs import RunRecorder, new_run_id, run_error
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import DccdError, InvalidRange, UsageError
from dccd.domain.timeutils import iso
from dccd.storage.export import Format
from dccd.storage.export import export as export_dataset
from dccd.storage.runs_sqlite import RunsStore
from dccd.storage.store import Store

_log = logging.getLogger(__name__)


class ExportParams(BaseModel):
    """What an export was started with, as its run keeps it."""

    datasets: list[str]
    folder: str
    format: Format
    start_ns: int | None
    end_ns: int | None
    certificate: bool = False


class ExportResult(TypedDict, total=False):
    """What an export wrote: `error` when it failed."""

    run_id: str
    rows_written: int
    files: list[str]
    error: dict[str, str]


def check_export(
    datasets: Sequence[DatasetId], folder: Path, *, store: Store, start_ns: int | None, end_ns: int | None
) -> None:
    """Refuse what cannot work, before a run is made of it.

    Raises
    ------
    UnknownDataset
        One of them is not stored.
    InvalidRange
        The range ends before it starts.
    UsageError
        No dataset, or a folder that lies in the data folder or is a file.
    """
    if not datasets:
        raise UsageError("There is nothing to export. Choose a dataset.")
    if start_ns is not None and end_ns is not None and end_ns <= start_ns:
        raise InvalidRange(
            f"The range ends ({iso(end_ns)}) before it starts ({iso(start_ns)}). Swap the two."
        )
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"Exporting to {folder}: that is a file. Choose a folder.")
    if folder.resolve().is_relative_to(store.data_path.resolve()):
        raise UsageError(
            f"Exporting to {folder}: that lies inside the data folder. Choose a folder elsewhere."
        )
    for dataset in datasets:
        store.info(dataset)


def new_export_run(
    datasets: Sequence[DatasetId],
    folder: Path,
    format: Format,  # noqa: A002 - the option's name everywhere
    start_ns: int | None,
    end_ns: int | None,
    run_id: str | None = None,
    *,
    certificate: bool = False,
) -> JobRun:
    """A pending run of an export; what it is about is the first of its datasets."""
    first = datasets[0]
    params = ExportParams(
        datasets=[str(dataset) for dataset in datasets],
        folder=os.fspath(folder),
        format=format,
        start_ns=start_ns,
        end_ns=end_ns,
        certificate=certificate,
    )
    return JobRun(
        run_id=run_id or new_run_id(),
        spec_id=f"export:{first}",
        operation="export",
        target=JobTarget.of(first),
        dataset=str(first),
        params=params.model_dump(),
        created_at=time.time_ns(),
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"Making the folder {folder} failed: {error}. Choose another one.") from error


async def export(
    datasets: Sequence[DatasetId],
    folder: Path,
    *,
    store: Store,
    format: Format = "parquet",  # noqa: A002 - the option's name everywhere
    start_ns: int | None = None,
    end_ns: int | None = None,
    certificate: bool = False,
    runs_store: RunsStore[JobRun] | None = None,
    events: EventBus | None = None,
    stop_event: asyncio.Event | None = None,
    run_id: str | None = None,
) -> ExportResult:
    """Write the rows of ``[start_ns, end_ns)`` of some datasets under `folder`, one after the other.

    Parameters
    ----------
    datasets : sequence of DatasetId
    folder : Path
        Made when it is missing; must not lie in the data folder.
    format : {"parquet", "csv", "arrow"}
    start_ns, end_ns : int, optional
        Half-open; None is without bound.
    certificate : bool
        Whether to write a certificate beside each file, see ``docs/certificate.md``.

    Returns
    -------
    ExportResult
        A cancelled export has the shape of success, and its state is ``cancelled``.
    """
    run = new_export_run(datasets, folder, format, start_ns, end_ns, run_id, certificate=certificate)
    recorder = RunRecorder(run, runs_store=runs_store, events=events)
    stop = stop_event or asyncio.Event()
    loop = asyncio.get_running_loop()
    began_s = time.monotonic()
    files: list[str] = []
    rows_before = 0
    await recorder.start()
    try:
        await asyncio.to_thread(check_export, datasets, folder, store=store, start_ns=start_ns, end_ns=end_ns)
        await asyncio.to_thread(_make_folder, folder)
        total = sum(info.rows for info in [await asyncio.to_thread(store.info, d) for d in datasets])

        def progress(rows: int, *, last: bool = False) -> Progress:
            elapsed_s = max(time.monotonic() - began_s, 1e-3)
            rate = rows / elapsed_s
            eta_s = max(0, total - rows) / rate if rows else None
            return Progress(
                done=rows, total=rows if last else max(total, rows), unit="rows", rows=rows,
                rows_per_s=rate, eta_s=0.0 if last else eta_s,
            )  # fmt: skip

        def told(rows: int, _: int) -> None:
            # Called on the writing thread.
            asyncio.run_coroutine_threadsafe(recorder.progress(progress(rows_before + rows)), loop)

        for dataset in datasets:
            done = await asyncio.to_thread(
                export_dataset,
                store,
                dataset,
                folder,
                format,
                start_ns,
                end_ns,
                told,
                stop.is_set,
                certificate=certificate,
            )
            files += [os.fspath(file) for file in done.files]
            rows_before += done.rows
            if stop.is_set():
                break
            recorder.log(f"{dataset}: {done.rows:,} rows in {len(done.files)} file(s).")
        await recorder.progress(progress(rows_before, last=True), last=True)
    except Exception as error:  # noqa: BLE001 - whatever it is, the run has to end as failed
        if not isinstance(error, DccdError):
            _log.exception("export %s failed", run.run_id)
        failure = run_error(error)
        await recorder.finish(RunState.FAILED, failure)
        return {"run_id": run.run_id, "rows_written": run.rows_written, "error": failure.model_dump()}
    await recorder.finish(RunState.CANCELLED if stop.is_set() else RunState.SUCCEEDED)
    return {"run_id": run.run_id, "rows_written": rows_before, "files": files}
