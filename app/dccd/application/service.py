"""The program as one object: the desktop, the server, the client and the tests all start this."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from secrets import randbits
from typing import Any, NamedTuple

import pyarrow as pa

from dccd.application.config import AppConfig
from dccd.application.events import EventBus
from dccd.application.housekeeping import Chore, Housekeeping
from dccd.application.jobs import JobParams, JobRun, JobSpec, JobTarget
from dccd.application.operations import chart as chart_operation
from dccd.application.operations import plan as plan_operation
from dccd.application.operations.adopt_config import ConfigReport, adopt_config
from dccd.application.operations.adopt_work import AdoptParams, AdoptPlan, adopt, checked, plan_adoption
from dccd.application.operations.audit import AuditParams, audit, auditable
from dccd.application.operations.chart import Chart
from dccd.application.operations.check import WINDOWS_DEFAULT, CheckParams, check, checkable
from dccd.application.operations.derive import derived_dataset, trades_of
from dccd.application.operations.export import ExportParams, check_export
from dccd.application.operations.inventory import inventory
from dccd.application.operations.move import MoveParams, checked_relocation, copy_work, moved_config
from dccd.application.operations.plan import Plan, Registry
from dccd.application.operations.read import RowsPage, check_bounds, rows
from dccd.application.operations.recorded import Told, new_work_run
from dccd.application.operations.trash import (
    EMPTY_EVERY_S,
    delete_dataset,
    empty_old_trash,
    restore_dataset,
)
from dccd.application.operations.verify import VerifyParams, verify
from dccd.application.recovery import BackgroundRecovery
from dccd.application.requests import BackfillRequest, DatasetRequest
from dccd.application.room import RoomWatch
from dccd.application.scheduler import Scheduler, Submission
from dccd.domain.coverage import Interval
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import ConfigError, NoCapability, StorageError, UsageError
from dccd.domain.instrument import Instrument
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import DAY_NS
from dccd.domain.types import DataType, Mode
from dccd.storage.export import Format
from dccd.storage.info import DatasetInfo, Gap
from dccd.storage.relocate import Relocation
from dccd.storage.room import Room
from dccd.storage.runs_sqlite import RunsStore
from dccd.storage.store import Store
from dccd.storage.trash_entry import TrashEntry

_log = logging.getLogger(__name__)

PUBLISH_EVERY_S = 10.0  # what is due is looked for, see dccd.storage.publish_policy
PUBLISH_LAST_S = 5.0  # Windows gives as long to programs when it logs off


@dataclass(frozen=True, slots=True)
class Parts:
    """What a service is made of, opened."""

    registry: Registry
    store: Store
    runs: RunsStore[JobRun]


class Repair(NamedTuple):
    """A dataset with gaps and the run that fetches them; None, and why, where they are not to be had."""

    dataset: DatasetId
    submission: Submission | None
    why: str


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
        self._relocation: Relocation | None = None
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
        return [*recovery, *self.housekeeping.problems, *stored]

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
            stored = [
                info.dataset
                for info in await self.inventory()
                if (info.dataset.exchange, info.dataset.symbol) == (request.exchange, symbol)
                and (info.dataset.data_type, info.dataset.span) == (request.data_type, span)
                and request.depth in (None, info.dataset.depth)
            ]
            if stored:
                return max(stored, key=lambda dataset: dataset.depth or 0)
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

    async def fill_gaps(self, dataset: DatasetId) -> Submission:
        """Fetch exactly the gaps of a dataset; bars that the exchange has not are made from stored trades.

        Raises
        ------
        UnknownDataset
        NoCapability
            The exchange does not offer it any more, or never did.
        """
        await self.ready()
        end_ns = await asyncio.to_thread(self._ask_for_gaps, dataset)
        # "last" finishes what was asked for; ending where that ends, it does no more.
        params = JobParams(start="last", end=end_ns, depth=dataset.depth)
        target = JobTarget.of(dataset)
        try:
            return await self.scheduler.submit(JobSpec.backfill(target, params))
        except NoCapability:
            gaps = await self.gaps(dataset)
            if not (gaps and self.store.derivations.time(dataset)):
                raise
            params = JobParams(start=gaps[0].start_ns, end=gaps[-1].end_ns, derive_from="trades")
            return await self.scheduler.submit(JobSpec.backfill(target, params))

    async def repair(self, datasets: Sequence[DatasetId] | None = None) -> list[Repair]:
        """Fetch exactly the gaps of some datasets, or of all: a run for each that has any.

        Trades come first, since bars may be made from them.

        Raises
        ------
        UnknownDataset
        ExchangeError
            An exchange's list of instruments could not be had.
        """
        wanted = [info.dataset for info in await self.inventory()] if datasets is None else list(datasets)
        found: list[Repair] = []
        for dataset in sorted(wanted, key=lambda each: each.data_type is not DataType.TRADES):
            if not await self.gaps(dataset):
                continue
            try:
                if dataset.data_type is DataType.ORDERBOOK:
                    raise NoCapability(
                        dataset.exchange,
                        dataset.data_type,
                        Mode.HISTORICAL,
                        "a book's past is not to be had.",
                    )
                found.append(Repair(dataset, await self.fill_gaps(dataset), ""))
            except NoCapability as error:
                found.append(Repair(dataset, None, str(error)))
        return found

    async def check(
        self, dataset: DatasetId, *, windows: int = WINDOWS_DEFAULT, seed: int | None = None
    ) -> Submission:
        """Fetch random covered windows of a dataset again and compare; see ``operations.check``.

        Parameters
        ----------
        windows : int
            At most so many, 1 to 1,000.
        seed : int or None
            None draws one; the run tells which.

        Raises
        ------
        UnknownDataset
        UsageError
            It is a book.
        """
        checkable(dataset)
        await self.info(dataset)
        params = CheckParams(windows=windows, seed=randbits(32) if seed is None else seed)

        async def work(told: Told) -> dict[str, Any]:
            return await check(
                dataset, params, registry=self.registry, store=self.store, told=told, events=self.events
            )

        run = new_work_run("check", params, dataset)
        return await self.scheduler.submit_work(run, work, slot=dataset.exchange)

    async def audit(
        self, bars: DatasetId, start_ns: int | None = None, end_ns: int | None = None
    ) -> Submission:
        """Compare stored bars with what stored trades make; see ``operations.audit``.

        Raises
        ------
        UnknownDataset, InvalidRange
        UsageError
            They are no bars.
        """
        params = AuditParams(start_ns=start_ns, end_ns=end_ns)
        auditable(bars, params)
        for dataset in (bars, trades_of(bars)):
            await self.info(dataset)

        async def work(told: Told) -> dict[str, Any]:
            return await audit(bars, params, registry=self.registry, store=self.store, told=told)

        return await self.scheduler.submit_work(new_work_run("audit", params, bars), work)

    async def verify(self, datasets: Sequence[DatasetId] | None = None, *, mend: bool = False) -> Submission:
        """Read some datasets, or all, again and say what is not as it was written; see ``operations.verify``.

        It goes on beside runs that write to them.

        Parameters
        ----------
        mend : bool
            Put damaged files aside, which makes their time a gap, and bring the index up to date.

        Raises
        ------
        UnknownDataset
        UsageError
            Nothing is stored.
        """
        await self.ready()
        wanted = [info.dataset for info in await self.inventory()] if datasets is None else list(datasets)
        if not wanted:
            raise UsageError("There is nothing to verify. Download something first.")
        for dataset in wanted:
            await self.info(dataset)

        async def work(told: Told) -> dict[str, Any]:
            return await verify(wanted, mend=mend, store=self.store, told=told, events=self.events)

        params = VerifyParams(datasets=[str(dataset) for dataset in wanted], mend=mend)
        run = new_work_run("verify", params, wanted[0] if len(wanted) == 1 else None)
        return await self.scheduler.submit_work(run, work, beside=True)

    def _ask_for_gaps(self, dataset: DatasetId) -> int | None:
        """Where what is known of the dataset ends; what was lost without being asked for is asked for."""
        for gap in self.store.gaps(dataset):
            self.store.add_asked(dataset, Interval(gap.start_ns, gap.end_ns))
        known = self.store.coverage(dataset)
        return (known.asked | known.covered | known.absent).end_ns

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
            return await self.adopt(Path(before.folder), file)
        if run.operation == "check" and run.dataset is not None:
            return await self.check(DatasetId.parse(run.dataset), **run.params)
        if run.operation == "audit" and run.dataset is not None:
            return await self.audit(DatasetId.parse(run.dataset), **run.params)
        if run.operation == "verify":
            asked_of = VerifyParams.model_validate(run.params)
            return await self.verify(
                [DatasetId.parse(text) for text in asked_of.datasets], mend=asked_of.mend
            )
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
        """One dataset. Raises UnknownDataset."""
        await self.ready()
        return await asyncio.to_thread(self.store.info, dataset)

    async def gaps(self, dataset: DatasetId) -> list[Gap]:
        """Its gaps, oldest first. Raises UnknownDataset."""
        await self.ready()
        return await asyncio.to_thread(self.store.gaps, dataset)

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

    # --- the data folder --------------------------------------------------------------------------

    async def move(self, folder: Path) -> Submission:
        """Begin to move the data to another folder; :meth:`switch` ends it, once this run has succeeded.

        Raises
        ------
        DataFolderUnusable
            The folder is in use, not empty, or inside this one or around it.
        DiskFull
            It has too little room.
        """
        relocation = self._relocation = await asyncio.to_thread(checked_relocation, self.data_path, folder)
        run = new_work_run("move", MoveParams(folder=str(relocation.target)))
        return await self.scheduler.submit_work(run, copy_work(relocation))

    async def switch(self) -> None:
        """Go on in the folder that :meth:`move` named; the old one is emptied, and says where its data is.

        Raises
        ------
        UsageError
            Nothing is being moved, or runs are under way.
        StorageError
            The data stays where it is, and work goes on there.
        ConfigError
            The data is in the new folder and work goes on there, but the configuration could not be saved.
        """
        relocation = self._relocation
        if relocation is None:
            raise UsageError("Nothing is being moved. Name the folder to move the data to first.")
        if running := self.scheduler.running:
            words = "1 run is" if running == 1 else f"{running} runs are"
            raise UsageError(f"{words} under way. Wait for the end, or stop them, and change over then.")
        await asyncio.to_thread(relocation.check)  # somebody may have put something there meanwhile
        self._relocation = None
        await self.stop()
        unsaved: ConfigError | None = None
        try:
            await asyncio.to_thread(relocation.finish)
            try:
                self.config = await asyncio.to_thread(moved_config, self.config, relocation.target)
            except ConfigError as error:
                unsaved = error
                self.config = self.config.located(self.config.path, relocation.target)
        finally:
            await self.start()
        for moved in self.on_moved:
            moved(relocation.source)
        try:
            await asyncio.to_thread(relocation.clean)
        except StorageError as error:
            _log.warning("%s", error)
        if unsaved is not None:
            raise unsaved

    # --- what the dccd 3 package collected --------------------------------------------------------

    async def plan_adoption(self, folder: Path, config_file: Path | None = None) -> AdoptPlan:
        """What there is to take over from a folder of the dccd 3 package; nothing is stored.

        Raises
        ------
        UsageError
            It is none, or it and the data folder lie one in the other.
        ConfigError
            The package's configuration cannot be read.
        """
        return await asyncio.to_thread(plan_adoption, _adopt_params(folder, config_file), self.config)

    async def adopt(self, folder: Path, config_file: Path | None = None) -> Submission:
        """Take over a folder of the dccd 3 package, as a run; nothing in it is changed.

        What was taken over before is found to be the same; what was stopped goes on.

        Parameters
        ----------
        config_file : Path or None
            The package's configuration, if its settings and jobs are to be added to ours.

        Raises
        ------
        UsageError, ConfigError
            As :meth:`plan_adoption`.
        """
        await self.ready()
        params = _adopt_params(folder, config_file)
        listing = await asyncio.to_thread(checked, params, self.config)

        async def take_config() -> ConfigReport:
            assert config_file is not None
            self.config, report = await asyncio.to_thread(adopt_config, config_file, self.config)
            return report

        async def work(told: Told) -> dict[str, Any]:
            take = None if config_file is None else take_config
            return await adopt(listing, store=self.store, told=told, events=self.events, take_config=take)

        return await self.scheduler.submit_work(new_work_run("adopt", params), work)

    async def certificate(self, dataset: DatasetId) -> dict[str, Any]:
        """What a dataset's files hold and lack, with hashes: see ``docs/certificate.md``.

        Raises
        ------
        UnknownDataset, StorageError
        """
        await self.ready()
        document = await asyncio.to_thread(self.store.certificate, dataset)
        assert document is not None, "nobody stops it"
        return document

    # --- the trash --------------------------------------------------------------------------------

    async def delete_dataset(self, dataset: DatasetId) -> TrashEntry:
        """Move a dataset to the trash; see ``operations.trash``.

        Raises
        ------
        UnknownDataset, DatasetBusy, StorageError
        """
        await self.ready()
        return await delete_dataset(dataset, store=self.store, scheduler=self.scheduler, events=self.events)

    async def restore_dataset(self, entry_id: str) -> TrashEntry:
        """Put a deleted dataset back. Raises UnknownTrash, StorageError."""
        await self.ready()
        return await restore_dataset(entry_id, store=self.store, events=self.events)

    async def trash(self) -> list[TrashEntry]:
        """What can be restored, the oldest first."""
        return await asyncio.to_thread(self.store.trash)

    async def empty_trash(self) -> list[TrashEntry]:
        """Remove all that lies in the trash for good; returns what was removed. Raises StorageError."""
        await self.ready()
        return await asyncio.to_thread(self.store.empty_trash)

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


def _adopt_params(folder: Path, config_file: Path | None) -> AdoptParams:
    return AdoptParams(folder=str(folder), config_file=None if config_file is None else str(config_file))
