"""What is wrong with stored data found out, and what is missing fetched: runs that a person asks for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from secrets import randbits
from typing import TYPE_CHECKING, Any, NamedTuple

from dccd.application.jobs import JobParams, JobSpec, JobTarget
from dccd.application.operations.audit import AuditParams, audit, auditable
from dccd.application.operations.check import WINDOWS_DEFAULT, CheckParams, CheckResult, check, checkable
from dccd.application.operations.derive import trades_of
from dccd.application.operations.doctor import DoctorParams, doctor
from dccd.application.operations.recorded import Told, new_work_run
from dccd.application.operations.verify import VerifyParams, verify
from dccd.application.scheduler import Submission
from dccd.domain.coverage import Interval
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import NoCapability, StorageError, UsageError
from dccd.domain.types import DataType, Mode
from dccd.storage.confirmed import Confirmation, Confirmations
from dccd.storage.info import Gap

if TYPE_CHECKING:
    from dccd.application.service import Service


class Repair(NamedTuple):
    """A dataset with gaps and the run that fetches them; None, and why, where they are not to be had."""

    dataset: DatasetId
    submission: Submission | None
    why: str


class Mending:
    """Verify, check, audit and repair; a part of :class:`dccd.application.service.Service`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._noting = asyncio.Lock()

    async def fill_gaps(self, dataset: DatasetId) -> Submission:
        """Fetch exactly the gaps of a dataset; bars that the exchange has not are made from stored trades.

        Raises
        ------
        UnknownDataset
        NoCapability
            The exchange does not offer it any more, or never did.
        """
        gaps = await self._service.gaps(dataset)
        end_ns = await asyncio.to_thread(self._ask_for, dataset, gaps)
        # "last" finishes what was asked for; ending where that ends, it does no more.
        params = JobParams(start="last", end=end_ns, depth=dataset.depth)
        target = JobTarget.of(dataset)
        try:
            return await self._service.scheduler.submit(JobSpec.backfill(target, params))
        except NoCapability:
            if not (gaps and self._service.store.derivations.time(dataset)):
                raise
            params = JobParams(start=gaps[0].start_ns, end=gaps[-1].end_ns, derive_from="trades")
            return await self._service.scheduler.submit(JobSpec.backfill(target, params))

    async def repair(self, datasets: Sequence[DatasetId] | None = None) -> list[Repair]:
        """Fetch exactly the gaps of some datasets, or of all: a run for each that has any.

        Trades come first, since bars may be made from them.

        Raises
        ------
        UnknownDataset
        ExchangeError
            An exchange's list of instruments could not be had.
        """
        await self._service.ready()
        wanted = (
            [info.dataset for info in await self._service.inventory()] if datasets is None else list(datasets)
        )
        found: list[Repair] = []
        for dataset in sorted(wanted, key=lambda each: each.data_type is not DataType.TRADES):
            if not await self._service.gaps(dataset):
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
        await self._service.info(dataset)
        params = CheckParams(windows=windows, seed=randbits(32) if seed is None else seed)

        async def work(told: Told) -> dict[str, Any]:
            found = await check(
                dataset,
                params,
                registry=self._service.registry,
                store=self._service.store,
                told=told,
                events=self._service.events,
            )
            await self._note(dataset, CheckResult.model_validate(found), told)
            return found

        run = new_work_run("check", params, dataset)
        return await self._service.scheduler.submit_work(run, work, slot=dataset.exchange)

    async def confirmed(self) -> list[Confirmation]:
        """What checks on this data folder have confirmed."""
        return await asyncio.to_thread(Confirmations(self._service.data_path).read)

    async def _note(self, dataset: DatasetId, found: CheckResult, told: Told) -> None:
        """Keep what a check found of its kind of rows; one that compared nothing says nothing."""
        if not found.rows:
            return
        made = Confirmation(
            exchange=dataset.exchange,
            data_type=dataset.data_type,
            market=found.market,
            transport=found.transport,
            dataset=str(dataset),
            checked_ns=time.time_ns(),
            rows=found.equal,
        )
        try:
            async with self._noting:
                confirmations = Confirmations(self._service.data_path)
                await asyncio.to_thread(confirmations.note, made, passed=found.passed)
        except StorageError as error:  # the check itself stands
            told.log(str(error), "warning")

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
            await self._service.info(dataset)

        async def work(told: Told) -> dict[str, Any]:
            return await audit(
                bars, params, registry=self._service.registry, store=self._service.store, told=told
            )

        return await self._service.scheduler.submit_work(new_work_run("audit", params, bars), work)

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
        await self._service.ready()
        wanted = (
            [info.dataset for info in await self._service.inventory()] if datasets is None else list(datasets)
        )
        if not wanted:
            raise UsageError("There is nothing to verify. Download something first.")
        for dataset in wanted:  # from memory: it is the verification that looks
            await asyncio.to_thread(self._service.store.info, dataset)

        async def work(told: Told) -> dict[str, Any]:
            return await verify(
                wanted, mend=mend, store=self._service.store, told=told, events=self._service.events
            )

        params = VerifyParams(datasets=[str(dataset) for dataset in wanted], mend=mend)
        run = new_work_run("verify", params, wanted[0] if len(wanted) == 1 else None)
        return await self._service.scheduler.submit_work(run, work, beside=True)

    async def doctor(self, params: DoctorParams) -> Submission:
        """Try what exchanges are declared to offer, each once and small; see ``operations.doctor``.

        Raises
        ------
        UnknownExchange
        """
        registry = self._service.registry
        ids = dict.fromkeys(registry.get(name).id for name in params.exchanges or registry.ids())
        sources = [registry.get(name) for name in ids]
        params = params.model_copy(update={"exchanges": list(ids)})

        async def work(told: Told) -> dict[str, Any]:
            return await doctor(sources, params, told)

        return await self._service.scheduler.submit_work(new_work_run("doctor", params), work, slot="doctor")

    def _ask_for(self, dataset: DatasetId, gaps: Sequence[Gap]) -> int | None:
        """Where what is known of the dataset ends; what was lost without being asked for is asked for."""
        for gap in gaps:
            self._service.store.add_asked(dataset, Interval(gap.start_ns, gap.end_ns))
        known = self._service.store.coverage(dataset)
        return (known.asked | known.covered | known.absent).end_ns
