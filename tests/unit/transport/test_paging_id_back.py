from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import MalformedPayload
from dccd.domain.instrument import Instrument
from dccd.domain.symbol import Symbol
from dccd.domain.types import InstrumentType, Market
from dccd.sources.base import ByIdBack, Request, Response, Target
from dccd.transport.paging import IdBackHistory, by_id_back

TARGET = Target(Instrument("x", Symbol("BTC", "USDT"), "BTCUSDT", Market.SPOT, InstrumentType.SPOT))
ROWS = 10


@dataclass
class Trades:
    """An exchange of trades ``(id, ts)`` that gives the last ones before an id or a moment."""

    rows: Sequence[tuple[int, int]]
    most: int = 1000
    empty: set[int] = field(default_factory=set)  # which answers have nothing by mistake
    moments: bool = True  # whether rows can be asked for before a moment, or before ids alone
    asked: int = 0

    async def ask(self, request: Request, parse: Callable[[Response], Any], /) -> Any:
        by, value, limit = request.path, *(int(value) for _, value in request.query)
        found = [row for row in self.rows if row[by == "ts"] < value][-min(limit, self.most) :]
        found = [] if self.asked in self.empty else found
        self.asked += 1
        return parse(Response(200, {}, b",".join(b"%d:%d" % row for row in found)))

    def history(self) -> ByIdBack:
        def request(by: str) -> Callable[[Target, int, int], Request]:
            return lambda target, stop, limit: Request("x", by, (("stop", str(stop)), ("n", str(limit))))

        def parse(target: Target, response: Response) -> dict[str, list[int]]:
            pairs = [each.split(b":") for each in response.body.split(b",") if each]
            return {"ts": [int(ts) for _, ts in pairs], "tid_num": [int(number) for number, _ in pairs]}

        if not self.moments:
            newest = Request("x", "id", (("stop", str(10**15)), ("n", "1")))
            return ByIdBack(request=request("id"), latest=lambda target: newest, parse=parse, rows=ROWS)
        return ByIdBack(request=request("id"), request_before=request("ts"), parse=parse, rows=ROWS)

    async def fetch(self, start_ns: int, end_ns: int) -> tuple[list[tuple[int, int]], IntervalSet]:
        found: list[tuple[int, int]] = []
        covered = IntervalSet()
        async for page in by_id_back(self.ask, TARGET, self.history(), start_ns, end_ns, 4):
            ids: Any = page.columns.get("tid_num", [])
            ts: Any = page.columns["ts"]
            found += zip(ids, ts, strict=True)
            covered |= page.covered
            assert len(covered) <= 1
        return found, covered


def made(count: int, seed: int = 0, *, gaps: bool = False, first: int = 1) -> list[tuple[int, int]]:
    """Trades of which many are of one instant."""
    draw, ts, number, rows = random.Random(seed), 1000, first, []
    for _ in range(count):
        rows.append((number, ts))
        number += draw.choice((1, 1, 1, 25)) if gaps else 1
        ts += draw.choice((0, 0, 0, 0, 0, 3, 40))
    return rows


@pytest.mark.parametrize("moments", [True, False])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("most", [1000, 3])
@pytest.mark.parametrize("seed", range(4))
async def test_every_trade_of_any_range_and_no_other(seed: int, most: int, gaps: bool, moments: bool) -> None:
    rows, draw = made(200, seed, gaps=gaps), random.Random(seed)
    for _ in range(6):
        start_ns, end_ns = sorted(draw.sample(range(900, rows[-1][1] + 100), 2))
        found, covered = await Trades(rows, most, moments=moments).fetch(start_ns, end_ns)
        assert found == [row for row in rows if start_ns <= row[1] < end_ns]
        assert covered == IntervalSet.of(start_ns, end_ns)


async def test_a_page_is_one_request_where_ids_have_no_gaps() -> None:
    trades = Trades(made(200))
    found, _ = await trades.fetch(trades.rows[50][1] + 1, trades.rows[-1][1] + 1)
    assert trades.asked == 2 + -(-len(found) // ROWS)


async def test_what_is_served_no_more_is_not_taken_for_none() -> None:
    trades = Trades(made(50, first=7_000_001))
    found, covered = await trades.fetch(0, trades.rows[-1][1] + 1)
    assert found == trades.rows
    assert covered == IntervalSet.of(trades.rows[0][1], trades.rows[-1][1] + 1)
    assert (await Trades(made(50)).fetch(0, 900)) == ([], IntervalSet.of(0, 900))


@pytest.mark.parametrize("first", [1, 7_000_001])
async def test_the_oldest_row_served(first: int) -> None:
    trades = Trades(made(50, first=first), moments=False)
    assert await IdBackHistory(trades.ask, TARGET, trades.history()).first() == trades.rows[0]
    nothing = Trades([], moments=False)
    assert await IdBackHistory(nothing.ask, TARGET, nothing.history()).first() is None


@pytest.mark.parametrize("moments", [True, False])
@pytest.mark.parametrize("which", range(8))
async def test_one_empty_answer_loses_no_trades(which: int, moments: bool) -> None:
    rows = made(60)
    found, covered = await Trades(rows, empty={which}, moments=moments).fetch(rows[20][1], rows[-1][1] + 1)
    assert found == [row for row in rows if row[1] >= rows[20][1]]
    assert covered == IntervalSet.of(rows[20][1], rows[-1][1] + 1)


async def test_rows_past_what_was_asked_for_are_an_error() -> None:
    trades = Trades(made(60))
    history = trades.history()

    async def newest(request: Request, parse: Callable[[Response], Any], /) -> Any:
        return parse(Response(200, {}, b"60:5000"))

    with pytest.raises(MalformedPayload, match="go on to 60"):
        await IdBackHistory(newest, TARGET, history).page(10, 20)
