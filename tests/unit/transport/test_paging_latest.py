from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import MalformedPayload
from dccd.domain.instrument import Instrument
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import MS_NS, S_NS
from dccd.domain.types import InstrumentType, Market
from dccd.sources.base import Latest, Request, Response, Target
from dccd.transport.paging import latest

TARGET = Target(Instrument("x", Symbol("BTC", "USDT"), "BTCUSDT", Market.SPOT, InstrumentType.SPOT))


BARS = replace(TARGET, span=Span.parse("1m"))


async def fetched(
    ts: list[int], start_ns: int, end_ns: int, now_ns: int, whose: Target = TARGET
) -> tuple[list[Any], IntervalSet]:
    async def ask(request: Request, parse: Callable[[Response], Any], /) -> Any:
        assert request.query == (("limit", "60"),)
        return parse(Response(200, {}, b"", now_ns))

    history = Latest(
        request=lambda target, limit: Request("x", "/", (("limit", str(limit)),)),
        parse=lambda target, response: {"ts": ts},
        rows={Market.SPOT: 60},
    )
    (page,) = [page async for page in latest(ask, whose, history, start_ns, end_ns)]
    return list(page.columns["ts"]), page.covered


@pytest.mark.parametrize(
    ("ago_s", "until_ns"),
    [
        (0, 8 * S_NS),  # more may come of the last row's own instant
        (60, 58 * S_NS),  # nothing came since
        (20, 18 * S_NS),
    ],
)
async def test_the_first_instant_may_be_cut_and_the_end_may_grow(ago_s: int, until_ns: int) -> None:
    ts = [S_NS, S_NS, 3 * S_NS, 8 * S_NS]
    rows, covered = await fetched(ts, 0, 100 * S_NS, (8 + ago_s) * S_NS)
    assert rows == ts
    assert covered == IntervalSet.of(S_NS + MS_NS, until_ns)


async def test_no_more_than_was_asked_for() -> None:
    ts = [second * S_NS for second in range(1, 50)]
    rows, covered = await fetched(ts, 10 * S_NS, 20 * S_NS, 60 * S_NS)
    assert rows == [second * S_NS for second in range(10, 20)]
    assert covered == IntervalSet.of(10 * S_NS, 20 * S_NS)
    assert await fetched(ts, 0, S_NS, 60 * S_NS) == ([], IntervalSet())


async def test_one_instant_or_nothing_at_all_proves_nothing() -> None:
    assert await fetched([5 * S_NS] * 60, 0, 100 * S_NS, 5 * S_NS) == ([5 * S_NS] * 60, IntervalSet())
    assert await fetched([], 0, 100 * S_NS, 60 * S_NS) == ([], IntervalSet())


async def test_rows_out_of_order_are_an_error() -> None:
    with pytest.raises(MalformedPayload, match="order"):
        await fetched([2 * S_NS, S_NS], 0, 100 * S_NS, 5 * S_NS)


async def test_the_last_of_bars_is_open_and_shows_that_the_others_have_closed() -> None:
    """Whatever the clock says, and wherever the exchange's bars begin: these do at seven past."""
    opens = [(7 + 60 * number) * S_NS for number in range(5)]
    rows, covered = await fetched(opens, 0, 1000 * S_NS, 5000 * S_NS, BARS)
    assert rows == opens[:-1]
    assert covered == IntervalSet.of(opens[0], opens[-1])
    assert await fetched(opens[:1], 0, 1000 * S_NS, 5000 * S_NS, BARS) == ([], IntervalSet())
