"""Covered windows fetched again: what is compared, what is doubted, what is left out."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from dccd.application.jobs import JobRun, RunState
from dccd.application.operations.check import CheckResult
from dccd.application.operations.compare import compared, keyed
from dccd.application.operations.windows import choose
from dccd.application.requests import BackfillRequest
from dccd.application.service import Service
from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import UnknownDataset, UsageError
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MS_NS, S_NS, parse_time
from dccd.domain.types import DataType, Evidence
from tests.exchanges.binance import BinanceStandIn
from tests.exchanges.engine import Fault, Response
from tests.unit.application.conftest import HOURLY, NOW_NS, TRADES, fetched, hourly

KLINES = "/api/v3/klines"


async def checked(service: Service, dataset: DatasetId, **how: int) -> tuple[JobRun, CheckResult]:
    run = await service.wait((await service.mending.check(dataset, seed=7, **how)).run_id)
    assert run.state is RunState.SUCCEEDED, run.error
    assert run.result is not None
    return run, CheckResult.model_validate(run.result)


def spoil(service: Service, dataset: DatasetId, **columns: list[Any]) -> None:
    """Store rows as if they had been fetched; of a bar that is stored the greater values hold."""
    log = service.store.begin_backfill(dataset, "spoilt", source="test")
    log.append(columns, IntervalSet.of(columns["ts"][0], columns["ts"][0] + 1))
    log.finish()


def bar(ts_ns: int, price: float) -> dict[str, list[Any]]:
    names = ("open", "high", "low", "close", "volume", "quote_volume")
    return {"ts": [ts_ns]} | {name: [price] for name in names}


async def test_what_was_fetched_well_is_equal_in_every_window(
    service: Service, exchange: BinanceStandIn
) -> None:
    await fetched(service, hourly("2023-06-01"))
    before = exchange.count(KLINES)
    run, result = await checked(service, HOURLY, windows=4)
    assert result.passed
    assert result.evidence is Evidence.RECORDED
    assert (result.rows, result.equal) == (2_000, 2_000)
    assert (result.differences, result.doubted) == ([], [])
    assert exchange.count(KLINES) - before == 4
    spans = [(window.start_ms, window.end_ms) for window in result.windows]
    assert spans[-1][1] == NOW_NS // (1_000 * 3_600_000_000) * 3_600_000  # the newest closed bar is in one
    assert len({start // (90 * DAY_NS // MS_NS) for start, _ in spans}) >= 3  # and old ones in others
    assert run.progress is not None
    assert (run.progress.done, run.progress.unit) == (4, "windows")
    assert (await checked(service, HOURLY, windows=4))[1] == result


async def test_a_bar_that_differs_makes_its_window_a_gap_and_a_repair_puts_it_right(
    service: Service, exchange: BinanceStandIn
) -> None:
    await fetched(service, hourly("2024-02-20"))
    good = [batch.to_pydict() for batch in service.read(HOURLY)]
    ts_ns = parse_time("2024-02-25T05:00")
    spoil(service, HOURLY, **bar(ts_ns, 1e9))
    _, result = await checked(service, HOURLY)
    assert not result.passed
    assert (result.differing, result.stored_only, result.exchange_only) == (1, 0, 0)
    (difference,) = result.differences
    assert (difference.ts, difference.verdict) == ("2024-02-25T05:00:00Z", "differs")
    assert difference.fields["open"][0] == 1e9 != difference.fields["open"][1]
    assert result.fields == dict.fromkeys(("open", "high", "low", "close", "volume", "quote_volume"), 1)
    (gap,) = await service.gaps(HOURLY)
    assert gap.cause == "differs from the exchange"
    assert gap.start_ns <= ts_ns < gap.end_ns
    assert [(gap.start_ns // MS_NS, gap.end_ns // MS_NS)] == [(w.start_ms, w.end_ms) for w in result.doubted]
    ((_, started, _),) = await service.mending.repair()
    assert started is not None
    assert (await service.wait(started.run_id)).state is RunState.SUCCEEDED
    assert [batch.to_pydict() for batch in service.read(HOURLY)] == good
    assert await service.gaps(HOURLY) == []
    assert (await checked(service, HOURLY))[1].passed


async def test_what_differs_only_once_is_the_exchanges_glitch(
    service: Service, exchange: BinanceStandIn
) -> None:
    await fetched(service, hourly("2024-02-20"))
    first = exchange.respond
    glitches = iter([True])

    def respond(request: Any) -> Response:
        response = first(request)
        if request.path == KLINES and int(request.query.get("limit", 0)) > 1 and next(glitches, False):
            response.body = response.body.replace(b'"', b'"9', 1)  # the first price, ten times and more
        return response

    exchange.respond = respond  # type: ignore[method-assign]
    _, result = await checked(service, HOURLY)
    assert (result.unconfirmed, result.differences, result.doubted) == (1, [], [])
    assert result.passed
    assert await service.gaps(HOURLY) == []


async def test_trades_are_compared_by_id(service: Service) -> None:
    asked = {"exchange": "binance", "symbol": "BTC/USDT", "data_type": "trades"}
    await fetched(service, BackfillRequest.model_validate({**asked, "start": "2024-03-01T11:30"}))
    ids: list[int] = [
        row["tid_num"] for batch in service.read(TRADES, columns=["tid_num"]) for row in batch.to_pylist()
    ]
    ts_ns = parse_time("2024-03-01T12:00:00.5")
    spoil(service, TRADES, ts=[ts_ns], price=[1.0], amount=[1.0], side=["buy"], tid_num=[max(ids) + 10**9])
    _, result = await checked(service, TRADES)
    assert (result.stored_only, result.exchange_only, result.differing) == (1, 0, 0)
    assert result.differences[0].id == str(max(ids) + 10**9)
    assert result.equal > 1_000


async def test_what_the_exchange_keeps_no_longer_is_left_out_and_said(
    service: Service, exchange: BinanceStandIn
) -> None:
    symbol = "BTC/USDT:USDT"
    asked = {"exchange": "binance", "symbol": symbol, "data_type": "open_interest", "span": "1h"}
    run = await fetched(service, BackfillRequest.model_validate({**asked, "start": "2024-01-01"}))
    dataset = DatasetId.parse(run.dataset or "")
    await service.stop()
    exchange.now_ms = (NOW_NS + 10 * DAY_NS) // MS_NS
    await service.start()
    _, result = await checked(service, dataset)
    assert result.passed
    (skipped,) = [each for each in result.skipped if "keeps the last 30 days only" in each.why]
    assert skipped.end_ms - skipped.start_ms >= 10 * DAY_NS // MS_NS
    assert all(window.start_ms >= skipped.end_ms for window in result.windows)


async def test_bars_made_from_trades_are_left_out_and_said(service: Service) -> None:
    log = service.store.begin_backfill(TRADES, "test", source="test")
    start_ns = parse_time("2024-02-01")
    columns: dict[str, list[Any]] = {"ts": [start_ns], "price": [1.0], "amount": [1.0], "tid_num": [1]}
    log.append(columns, IntervalSet.of(start_ns, start_ns + DAY_NS))
    log.finish()
    derive = hourly("last").model_copy(update={"derive_from": "trades"})
    await fetched(service, derive)
    _, result = await checked(service, HOURLY)
    assert (result.windows, result.rows, result.passed) == ([], 0, False)
    assert [each.why for each in result.skipped] == [
        "its bars were made from trades; dccd audit compares those"
    ]


async def test_books_and_what_is_not_stored_are_refused(service: Service) -> None:
    with pytest.raises(UsageError, match="book"):
        await service.mending.check(DatasetId.parse("binance:BTC-USDT:orderbook:100"))
    with pytest.raises(UnknownDataset):
        await service.mending.check(HOURLY)


async def test_an_exchange_that_refuses_fails_the_run_and_doubts_nothing(
    service: Service, exchange: BinanceStandIn
) -> None:
    await fetched(service, hourly("2024-02-20"))
    refusal = Response(b'{"code":-1100,"msg":"Illegal characters found in parameter."}', status=400)
    exchange.faults.append(Fault("answer", KLINES, times=None, response=refusal))
    run = await service.wait((await service.mending.check(HOURLY)).run_id)
    assert run.state is RunState.FAILED
    assert await service.gaps(HOURLY) == []


async def test_it_can_be_done_again_as_it_was(service: Service) -> None:
    await fetched(service, hourly("2024-02-20"))
    run, result = await checked(service, HOURLY, windows=2)
    again = await service.wait((await service.retry(run.run_id)).run_id)
    assert again.params == run.params == {"windows": 2, "seed": 7}
    assert again.result == result.model_dump(mode="json")


# --- what is compared with what -------------------------------------------------------------------


def trade(ts_ns: int, **more: Any) -> dict[str, Any]:
    return {"ts": ts_ns, "price": 1.0, "amount": 2.0, "side": "buy", "tid": None, "tid_num": 5} | more


def verdicts(kind: DataType, stored: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> list[Any]:
    found = compared(kind, keyed(kind, stored), keyed(kind, theirs))
    return [(item.verdict, sorted(item.fields)) for _, item in found]


AMOUNT = [("differs", ["amount"])]


@pytest.mark.parametrize(
    ("stored", "theirs", "expected"),
    [
        (trade(1_234_567), trade(1_234_567), []),
        (trade(1_000_000), trade(1_234_567), []),  # one side knows the millisecond only
        (trade(1_200_000), trade(1_234_567), [("differs", ["ts"])]),
        (trade(0, price=1.0), trade(0, price=1.0 + 2**-52), [("differs", ["price"])]),
        (trade(0, side=None), trade(0), []),  # null contradicts nothing
        (trade(0, recv_ts=5), trade(0, recv_ts=9), []),
        (trade(0, tid="x", tid_num=None), trade(0, tid="x", amount=3.0, tid_num=None), AMOUNT),
    ],
)
def test_two_trades(stored: Any, theirs: Any, expected: list[Any]) -> None:
    assert verdicts(DataType.TRADES, [stored], [theirs]) == expected


def test_trades_of_two_ids_are_two() -> None:
    fields = ["amount", "price", "side", "tid_num"]
    found = verdicts(DataType.TRADES, [trade(0, tid_num=5)], [trade(0, tid_num=6)])
    assert found == [("stored only", fields), ("exchange only", fields)]


def test_trades_without_ids_are_counted() -> None:
    one = trade(0, tid_num=None)
    assert verdicts(DataType.TRADES, [one, one], [one, one]) == []
    assert verdicts(DataType.TRADES, [one, one], [one])[0][0] == "stored only"
    assert verdicts(DataType.TRADES, [one], [one] * 3) == [("exchange only", ["amount", "price", "side"])] * 2


# --- which windows --------------------------------------------------------------------------------


def seeds() -> Iterator[Random]:
    return (Random(seed) for seed in range(40))


def test_windows_lie_in_what_is_covered_the_newest_always_among_them() -> None:
    day = parse_time("2024-01-01")
    eligible = IntervalSet([(day, day + 90 * DAY_NS), (day + 200 * DAY_NS, day + 201 * DAY_NS)])
    for random in seeds():
        chosen = choose(eligible, 6, 500 * HOUR_NS, HOURLY, random)
        assert chosen - eligible == IntervalSet()
        assert chosen.covers(day + 200 * DAY_NS, day + 201 * DAY_NS)
        assert chosen.length_ns <= 6 * 500 * HOUR_NS
        assert all(start % HOUR_NS == end % HOUR_NS == 0 for start, end in chosen)


def test_every_age_has_its_chance() -> None:
    eligible = IntervalSet.of(0, 1_000 * DAY_NS)
    touched = IntervalSet()
    for random in seeds():
        chosen = choose(eligible, 5, 5 * DAY_NS, TRADES, random)
        quarters = {start // (250 * DAY_NS) for start, _ in chosen}
        assert quarters == {0, 1, 2, 3}
        touched |= chosen
    assert touched.length_ns > 400 * DAY_NS


def test_of_little_all_is_looked_at_and_of_nothing_nothing() -> None:
    little = IntervalSet.of(0, 10 * S_NS)
    assert choose(little, 5, DAY_NS, TRADES, Random(1)) == little
    assert not choose(IntervalSet(), 5, DAY_NS, TRADES, Random(1))
    assert choose(IntervalSet.of(0, DAY_NS), 1, HOUR_NS, TRADES, Random(1)) == IntervalSet.of(
        23 * HOUR_NS, DAY_NS
    )
