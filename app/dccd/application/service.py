"""The program as one object: the desktop, the server, the client and the tests all start this."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from dccd.application.adopting import Adopting
from dccd.application.config import AppConfig
from dccd.application.events import EventBus
from dccd.application.housekeeping import Chore, Housekeeping
from dccd.application.jobs import JobParams, JobRun, JobSpec, JobTarget
from dccd.application.keeping import Keeping
from dccd.application.mending import Mending
from dccd.application.moving import Moving
from dccd.application.operations import chart as chart_operation
from dccd.application.operations import plan as plan_operation
from dccd.application.operations.adopt_work import AdoptParams
from dccd.application.operations.chart import Chart
from dccd.application.operations.derive import derived_dataset
from dccd.application.operations.doctor import DoctorParams
from dccd.application.operations.export import ExportParams, check_export
from dccd.application.operations.inventory import inventory
from dccd.application.operations.move import MoveParams
from dccd.application.operations.plan import Plan, Registry
from dccd.application.operations.read import RowsPage, check_bounds, rows
from dccd.application.operations.trash import (
    EMPTY_EVERY_S,
    empty_old_trash,
)
from dccd.application.operations.verify import VerifyParams
from dccd.application.recovery import BackgroundRecovery
from dccd.application.requests import BackfillRequest, DatasetRequest
from dccd.application.room import RoomWatch
from dccd.application.scheduler import Scheduler, Submission
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import StorageError, UsageError
from dccd.domain.instrument import Instrument
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import DAY_NS
from dccd.domain.types import DataType
from dccd.storage.export import Format
from dccd.storage.info import DatasetInfo, Gap
from dccd.storage.room import Room
from dccd.storage.runs_sqlite import RunsStore
from dccd.storage.store import Store

_log = logging.getLogger(__name__)

PUBLISH_EVERY_S = 10.0  # what is due is looked for, see dccd.storage.publish_policy
PUBLISH_LAST_S = 5.0  # Windows gives as long to programs when it logs off


@dataclass(frozen=True, slots=True)
class Parts:
    """What a service is made of, opened."""

    registry: Registry
    store: Store
    runs: RunsStore[JobRun]


class Service:
    """Registry, stores, bus and scheduler under one roof; made by ``service_factory.build_service``.

    Belongs to one event loop. Nothing is opened before :meth:`start`; use it as
    ``async with build_service(config) as service``.

    Attributes
    ----------
    config : AppConfig
    events : EventBus
    registry, store, runs, scheduler, room, recovery, housekeeping
        There once it is started.
    mending, keeping, moving, adopting
        What can be asked of it besides, by subject.
    on_moved : list of callable
        Called with the old data folder once the data is in another one.
    """

    registry: Registry
    store: Store
    runs: RunsStore[JobRun]
    scheduler: Scheduler
    room: RoomWatch
    housekeeping: Housekeeping
    recovery: BackgroundRecovery

    def __init__(self, config: AppConfig, open_parts: Callable[[AppConfig], Awaitable[Parts]]) -> None:
        self.config = config
        self.events = EventBus()
        self.on_moved: list[Callable[[Path], None]] = []
        self.mending, self.keeping = Mending(self), Keeping(self)
        self.moving, self.adopting = Moving(self), Adopting(self)
        self._open_parts = open_parts
        self._opened = AsyncExitStack()

    @property
    def data_path(self) -> Path:
        """The data folder."""
        return self.config.data_path

    async def start(self) -> None:
        """Open the data folder and everything in it.

        What the last process left is recovered beside whatever comes next: :meth:`inventory` and all that has
        to do with settings, exchanges and runs go on meanwhile, other questions about data wait for it.

        Raises
        ------
        DataFolderLocked, DataFolderUnusable, ConfigError, StorageError
        """
        async with AsyncExitStack() as opened:
            parts = await self._open_parts(self.config)
            self.registry, self.store, self.runs = parts.registry, parts.store, parts.runs
            opened.push_async_callback(asyncio.to_thread, self.store.close)
            opened.push_async_callback(self.runs.close)
            for exchange in self.registry.ids():
                opened.push_async_callback(self.registry.get(exchange).aclose)
            self.room = RoomWatch(self._measure_room)
            self.housekeeping = Housekeeping(
                [
                    Chore("publish", PUBLISH_EVERY_S, self.store.publish_due),
                    Chore("empty the trash", EMPTY_EVERY_S, self._empty_old_trash),
                ]
            )
            self.scheduler = Scheduler(
                self.registry,
                self.store,
                self.runs,
                self.events,
                room=self.room,
                ready=self.ready,
            )
            await self.scheduler.start()
            kept_ns = self.config.settings.runs_retention_days * DAY_NS
            try:
                await self.runs.delete_before(time.time_ns() - kept_ns)
            except StorageError as error:
                _log.warning("%s", error)  # a disk that is full, for one: what is stored can still be read
            self.recovery = BackgroundRecovery(self.store, self.events, then=self.housekeeping.start)
            opened.push_async_callback(self.housekeeping.stop)
            opened.push_async_callback(self._publish_last)
            opened.push_async_callback(self.recovery.stop)
            opened.push_async_callback(self.scheduler.stop)
            self._opened = opened.pop_all()

    async def ready(self) -> None:
        """Wait until what is said of the data is right, holding up nobody else.

        Raises
        ------
        StorageError
            Recovering the data folder failed.
        """
        await self.recovery.done()

    def _empty_old_trash(self) -> None:
        empty_old_trash(self.store, self.config.settings.trash_days)

    def _measure_room(self) -> Room:
        return self.store.room(round(self.config.settings.free_space_floor_gb * 1e9))

    @property
    def problems(self) -> list[str]:
        """What a person should know of the data folder, in words."""
        recovery = [] if self.recovery.failure is None else [self.recovery.failure]
        stored = [problem.text for problem in self.store.problems]
        return [*recovery, *self.housekeeping.problems, *self.runs.problems, *stored]

    async def _publish_last(self) -> None:
        """Write into files what is quickly written; logging off leaves little time, and nothing is lost."""
        if not self.store.recovered:
            return
        try:
            await asyncio.to_thread(self.store.publish_last, PUBLISH_LAST_S)
        except StorageError as error:
            _log.warning("publishing at the end failed, and is done at the next start: %s", error)

    async def stop(self) -> None:
        """End all runs with what they fetched kept, and close everything; idempotent."""
        await self._opened.aclose()

    async def __aenter__(self) -> Service:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # --- what can be asked for --------------------------------------------------------------------

    async def resolve(self, request: DatasetRequest) -> tuple[DatasetId, Instrument]:
        """The dataset and the contract that a person's words mean; see ``operations.plan.resolve``."""
        return await plan_operation.resolve(request.target, request.depth, registry=self.registry)

    async def plan(self, request: BackfillRequest) -> Plan:
        """What a backfill would fetch; fetches no data. See ``operations.plan.plan``.

        Raises
        ------
        UsageError
            Bars made from trades: nothing would be fetched.
        """
        if request.derive_from is not None:
            raise UsageError("Making bars from stored trades fetches nothing: there is nothing to plan.")
        plan_operation.check_range(request.params, time.time_ns(), DAY_NS)
        await self.ready()
        return await plan_operation.plan(
            request.target, request.params, registry=self.registry, store=self.store
        )

    async def find(self, request: DatasetRequest) -> DatasetId:
        """The dataset that a person's words mean, for reading: what is stored first.

        The exchange is asked for its list only when the words name no stored dataset, so that what is on
        disk can be read without a network.

        Raises
        ------
        DccdError
            What :meth:`resolve` raises.
        """
        await self.ready()
        with contextlib.suppress(UsageError):
            symbol = Symbol.parse(request.symbol)
            span = None if request.span is None else Span.parse(request.span)
            alike = [
                info.dataset
                for info in await self.inventory()
                if (info.dataset.exchange, info.dataset.symbol) == (request.exchange, symbol)
                and info.dataset.data_type == request.data_type
            ]
            stored = [
                dataset
                for dataset in alike
                if dataset.span == span and request.depth in (None, dataset.depth)
            ]
            if stored:
                return max(stored, key=lambda dataset: dataset.depth or 0)
            if alike:  # of another span or depth: what that is called needs no exchange either
                return replace(alike[0], span=span, depth=request.depth)
        return (await self.resolve(request))[0]

    # --- runs -------------------------------------------------------------------------------------

    async def start_backfill(self, request: BackfillRequest) -> Submission:
        """Start a backfill, or find the one that already does it.

        Raises
        ------
        DccdError
            Wrong use is refused here; what goes wrong later is the run's ``error``.
        """
        params = request.params
        # By our clock, which may be wrong; the exchange's has the last word when the run starts.
        plan_operation.check_range(params, time.time_ns(), DAY_NS)
        target = request.target
        if params.derive_from is not None:
            words = {"exchange": request.exchange, "symbol": request.symbol, "data_type": DataType.TRADES}
            trades = await self.find(DatasetRequest.model_validate(words))
            await self.info(trades)
            target = JobTarget.of(derived_dataset(target.model_copy(update={"symbol": str(trades.symbol)})))
        return await self.scheduler.submit(JobSpec.backfill(target, params))

    async def retry(self, run_id: str) -> Submission:
        """Do again what a run did, with the same parameters.

        Raises
        ------
        UnknownRun
        """
        run = await self.run(run_id)
        if run.operation == "export":
            asked = ExportParams.model_validate(run.params)
            run_id = await self.export(
                [DatasetId.parse(text) for text in asked.datasets],
                Path(asked.folder),
                format=asked.format,
                start_ns=asked.start_ns,
                end_ns=asked.end_ns,
                certificate=asked.certificate,
            )
            return Submission(run_id, "started")
        if run.operation == "adopt":
            before = AdoptParams.model_validate(run.params)
            file = None if before.config_file is None else Path(before.config_file)
            return await self.adopting.start(Path(before.folder), file)
        if run.operation == "move":
            return await self.moving.move(Path(MoveParams.model_validate(run.params).folder))
        if run.operation == "check" and run.dataset is not None:
            return await self.mending.check(DatasetId.parse(run.dataset), **run.params)
        if run.operation == "audit" and run.dataset is not None:
            return await self.mending.audit(DatasetId.parse(run.dataset), **run.params)
        if run.operation == "verify":
            asked_of = VerifyParams.model_validate(run.params)
            return await self.mending.verify(
                [DatasetId.parse(text) for text in asked_of.datasets], mend=asked_of.mend
            )
        if run.operation == "doctor":
            return await self.mending.doctor(DoctorParams.model_validate(run.params))
        assert run.target is not None, "a backfill is about one dataset"
        return await self.scheduler.submit(JobSpec.backfill(run.target, JobParams.model_validate(run.params)))

    async def export(
        self,
        datasets: Sequence[DatasetId],
        folder: Path,
        *,
        format: Format = "parquet",  # noqa: A002 - the option's name everywhere
        start_ns: int | None = None,
        end_ns: int | None = None,
        certificate: bool = False,
    ) -> str:
        """Start to write the rows of ``[start_ns, end_ns)`` of some datasets under `folder`.

        Parameters
        ----------
        certificate : bool
            Whether to write a certificate beside each file, see ``docs/certificate.md``.

        Returns
        -------
        str
            The run's id.

        Raises
        ------
        UnknownDataset, InvalidRange, UsageError
        """
        await self.ready()
        await asyncio.to_thread(
            check_export, datasets, folder, store=self.store, start_ns=start_ns, end_ns=end_ns
        )
        submission = await self.scheduler.submit_export(
            datasets, folder, format, start_ns, end_ns, certificate=certificate
        )
        return submission.run_id

    async def cancel(self, run_id: str) -> None:
        """Tell a run to stop; what it fetched stays. Raises UnknownRun."""
        await self.scheduler.cancel(run_id)

    async def wait(self, run_id: str) -> JobRun:
        """The run once it has ended. Raises UnknownRun."""
        return await self.scheduler.wait(run_id)

    async def run(self, run_id: str) -> JobRun:
        """The run as it stands, with the end of its log. Raises UnknownRun."""
        return await self.scheduler.get(run_id)

    # --- what is stored ---------------------------------------------------------------------------

    async def inventory(self) -> list[DatasetInfo]:
        """All datasets, ordered by id; during a recovery, as they are known so far."""
        return await inventory(store=self.store)

    async def info(self, dataset: DatasetId) -> DatasetInfo:
        """One dataset, its files looked at anew. Raises UnknownDataset."""
        await self.ready()
        await asyncio.to_thread(self.store.look_again, dataset)
        return await asyncio.to_thread(self.store.info, dataset)

    async def gaps(self, dataset: DatasetId) -> list[Gap]:
        """Its gaps, oldest first, its files looked at anew. Raises UnknownDataset."""
        return list((await self.info(dataset)).gaps)

    def read(
        self,
        dataset: DatasetId,
        start_ns: int | None = None,
        end_ns: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """The rows of ``[start_ns, end_ns)`` in order; reads files, so iterate on a thread.

        Raises
        ------
        UnknownDataset, InvalidRange
        """
        check_bounds(start_ns, end_ns)
        return self.store.read(dataset, start_ns, end_ns, columns)

    async def rows(
        self,
        dataset: DatasetId,
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        limit: int,
        cursor: str | None = None,
        descending: bool = False,
    ) -> RowsPage:
        """One page of rows; see ``operations.read.rows``."""
        await self.ready()
        return await rows(
            dataset,
            store=self.store,
            start_ns=start_ns,
            end_ns=end_ns,
            limit=limit,
            cursor=cursor,
            descending=descending,
        )

    async def chart(
        self,
        dataset: DatasetId,
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        points: int = 1000,
    ) -> Chart:
        """What a chart shows of a stretch; see ``operations.chart.chart``."""
        await self.ready()
        return await chart_operation.chart(
            dataset, store=self.store, start_ns=start_ns, end_ns=end_ns, points=points
        )

    # --- settings ---------------------------------------------------------------------------------

    async def change_settings(self, changes: Mapping[str, Any]) -> AppConfig:
        """Merge `changes` into the configuration file; see ``config_file.save_changes``.

        The data folder and the exchanges are opened as configured at the next start.

        Raises
        ------
        ConfigError
        """
        from dccd.application.config_file import save_changes  # tomlkit is for this alone

        self.config = await asyncio.to_thread(save_changes, self.config, changes)
        return self.config
