"""All exchanges are read at once, and none is asked for more than it allows."""

from __future__ import annotations

import asyncio
import contextlib
import time

from dccd.application.bound_source import BoundSource
from dccd.application.service_factory import SOURCES
from dccd.domain.dataset import DatasetId
from dccd.domain.span import Span
from dccd.domain.timeutils import HOUR_NS
from dccd.domain.types import DataType, Mode
from dccd.sources.base import Source
from tests.exchanges.roster import STAND_INS

SYMBOLS = ("BTC/USDT", "BTC/USD", "BTC/USD:BTC", "BTC/USD:USD")
KINDS = (DataType.OHLC, DataType.TRADES)
REFUSALS = {403, 418, 429}


async def read(source: Source) -> None:
    """Bars and trades of the last hours, until the stand-in has been asked some two dozen times."""
    offered = {each.data_type for each in source.capabilities if each.mode is Mode.HISTORICAL}
    async with STAND_INS[source.id]() as stand_in, contextlib.AsyncExitStack() as stack:
        bound = BoundSource(source, urls={host.setting: stand_in.url for host in source.hosts.values()})
        stack.push_async_callback(bound.aclose)
        listed = await bound.instruments()
        it = next(each for each in listed if str(each.symbol) in SYMBOLS and each.active)
        now_ns = time.time_ns()
        # Not so many that the next minute would have to be waited for.
        enough = max(5, min(24, *(limit.units - 5 for limit in source.budgets.values())))

        async def fetch(kind: DataType) -> None:
            dataset = DatasetId(
                source.id, it.symbol, kind, Span.parse("1m") if kind is DataType.OHLC else None
            )
            async for _ in bound.history(dataset, it, now_ns - 30 * HOUR_NS, now_ns):
                pass

        both = asyncio.gather(*(fetch(kind) for kind in KINDS if kind in offered))
        asked = asyncio.create_task(stand_in.until(lambda: stand_in.requests >= enough))
        done, left = await asyncio.wait((both, asked), return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.gather(*done)
        assert stand_in.requests > 2
        assert not REFUSALS & set(stand_in.statuses), (source.id, stand_in.statuses)
        assert not getattr(stand_in, "refused", None), source.id


async def test_no_exchange_refuses_anything() -> None:
    await asyncio.gather(*map(read, SOURCES))
