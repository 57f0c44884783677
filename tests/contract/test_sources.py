"""What every exchange has to hold as a whole: its lists, its clock, what it says it offers, its errors."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dccd.application.bound_source import BoundSource
from dccd.application.service_factory import SOURCES
from dccd.domain.errors import ExchangeError, NoCapability, UnknownSymbol
from dccd.domain.span import Span
from dccd.domain.symbol import Symbol
from dccd.domain.timeutils import MS_NS, S_NS
from dccd.domain.types import DataType, Mode
from dccd.sources.base import Response, Source
from tests.contract.kit import (
    SKEW_NS,
    Canned,
    Clock,
    assert_safe,
    assert_whole,
    bound,
)
from tests.contract.rig import (
    CASES,
    NOW_NS,
    cut_to,
)
from tests.contract.truth import TRUTHS
from tests.exchanges import engine
from tests.exchanges.engine import Fault

Bodies = dict[tuple[str, tuple[tuple[str, str], ...]], engine.Response]


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW_NS)


@pytest.fixture
async def stand_in(source: Source, clock: Clock) -> AsyncIterator[Any]:
    async with TRUTHS[source.id].stand_in(clock) as made:
        yield made
        assert not getattr(made, "refused", None)


@pytest.fixture
async def ours(source: Source, stand_in: Any, clock: Clock) -> AsyncIterator[BoundSource]:
    made = bound(source, stand_in.url, clock)
    yield made
    await made.aclose()


every = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.id)


@pytest.fixture
def bodies(stand_in: Any) -> Bodies:
    """What the stand-in has answered, by path and parameters."""
    found: Bodies = {}

    def note(response: engine.Response) -> engine.Response:
        asked = stand_in.log[-1]
        found[asked.path, tuple(asked.pairs)] = response
        return response

    stand_in.faults.append(Fault("answer", times=None, change=note))
    return found


@every
async def test_symbols_there_and_back(source: Source, ours: BoundSource, bodies: Bodies) -> None:
    """Of all that is listed, none hidden by another."""
    found = await ours.instruments()
    assert not ours.listing_errors
    parsed = [
        item
        for listing in source.listings
        for item in listing.parse(Response(200, {}, bodies[listing.request.path, listing.request.query].body))
    ]
    assert_whole(found, parsed, has_ticks=parsed[0].tick_size is not None)
    for item in parsed:
        assert Symbol.parse(str(item.symbol)) == item.symbol
    assert {item.market for item in parsed} == set(source.host_of)
    with pytest.raises(UnknownSymbol):
        found.resolve("NONE/SUCH")


@every
async def test_the_clock_is_measured(source: Source, ours: BoundSource) -> None:
    """Which is five minutes off; some tell whole seconds."""
    for market in source.host_of:
        assert abs(await ours.clock_offset_ns(market) - SKEW_NS) <= S_NS + MS_NS


@every
async def test_what_is_not_offered_is_refused_by_name(source: Source, ours: BoundSource) -> None:
    """A data type, a span or a depth."""
    offered = {(case.market, case.data_type) for case in CASES if case.source is source}
    for market, it in {item.market: item for item in await ours.instruments()}.items():
        for kind in DataType:
            span = Span.parse("7m") if kind in (DataType.OHLC, DataType.OPEN_INTEREST) else None
            depth = 10**6 if kind is DataType.ORDERBOOK else None
            if span or depth or (market, kind) not in offered:
                with pytest.raises(NoCapability, match=f"^{source.id} offers no historical {kind} here: "):
                    ours.require(kind, Mode.HISTORICAL, it, span, depth)


@every
async def test_every_prefix_and_mutation_of_a_list_raises_only_our_error(
    source: Source, ours: BoundSource, bodies: Bodies
) -> None:
    """Of each list, cut to two instruments where it can be."""
    await ours.instruments()
    canned = Canned(source)
    for listing in source.listings:
        whole = bodies[listing.request.path, listing.request.query]
        small = cut_to(2, whole).body
        is_list = isinstance(await canned.read(small, listing.parse), list)
        await assert_safe(source, small if is_list else whole.body, listing.parse, 100)


@every
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=60)
    | st.builds(
        lambda name, text: json.dumps({name: text}).encode(),
        st.sampled_from(("error", "message", "msg", "code", "retCode", "result")),
        st.text(max_size=20) | st.integers(-20_000, 60_000) | st.lists(st.text(max_size=9), max_size=2),
    ),
)
def test_any_answer_is_an_error_of_ours_or_none(source: Source, status: int, body: bytes) -> None:
    """What cannot be read for an error at all is one, too: `ValueError` is made ours where it is asked."""
    try:
        error = source.error(Response(status, {"retry-after": "soon"}, body))
    except ValueError:
        return
    assert isinstance(error, ExchangeError | None)
    assert error is not None or status < 400


def test_every_exchange_has_its_truth() -> None:
    """What is registered is tested: one entry in `truth.py` is wanted of each."""
    assert TRUTHS.keys() == {source.id for source in SOURCES}
    assert {(case.source.id, case.data_type) for case in CASES} == {
        (source.id, kind) for source in SOURCES for kind in source.history
    }
