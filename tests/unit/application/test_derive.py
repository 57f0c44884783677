"""Bars made from stored trades: what is made, when, from what, and what becomes of it when trades change."""

from __future__ import annotations

import asyncio
from typing import Any

import pyarrow as pa
import pytest

from dccd.application.jobs import JobParams, JobRun, JobSpec, JobTarget, RunState
from dccd.application.operations.backfill import backfill
from dccd.application.requests import BackfillRequest
from dccd.application.service import Service
from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import DiskFull, StorageError, UnknownDataset, UsageError
from dccd.domain.gaps import GapCause
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS, S_NS, parse_time
from dccd.storage.backfill_log import BackfillLog
from dccd.storage.store import Store
from tests.exchanges.binance import BinanceStandIn
from tests.unit.application.conftest import TRADES, fetched, table

START_NS = parse_time("2024-02-28T22:00")


def minutes(*numbers: int) -> list[int]:
    return [START_NS + number * MINUTE_NS for number in numbers]


def stretch(first: int, stop: int) -> Interval:
    return Interval(*minutes(first, stop))


def put(
    store: Store, rows: list[tuple[int, float, float]], *covered: tuple[int, int], first_id: int = 1
) -> None:
    """Store trades of (nanoseconds, price, amount) as fetched, with what was covered."""
    log = store.begin_backfill(TRADES, "test", source="test")
    columns: dict[str, Any] = {"ts": [], "price": [], "amount": [], "side": [], "tid_num": []}
    for place, (ts_ns, price, amount) in enumerate(rows):
        values = (ts_ns, price, amount, "buy" if place % 2 else "sell", first_id + place)
        for name, value in zip(columns, values, strict=True):
            columns[name].append(value)
    log.append(columns, IntervalSet(covered))
    log.finish()


def ask(span: str, start: str | int = "last", end: int | None = None) -> BackfillRequest:
    asked = {"exchange": "binance", "symbol": "BTC/USDT", "data_type": "ohlc", "span": span, "start": start}
    return BackfillRequest.model_validate({**asked, "end": end, "derive_from": "trades"})


async def derived(service: Service, span: str, start: str | int = "last", end: int | None = None) -> JobRun:
    run = await fetched(service, ask(span, start, end))
    assert run.state is RunState.SUCCEEDED, run.error
    return run


def bars(span: str) -> DatasetId:
    return DatasetId.parse(f"binance:BTC-USDT:ohlc:{span}")


def rows_of(service: Service, dataset: DatasetId) -> list[dict[str, Any]]:
    found = table(service, dataset)
    times: list[Any] = found["ts"].cast(pa.int64()).to_pylist()
    rows = found.drop_columns(["ts", "ts_sub_ns"]).to_pylist()
    return [{"ts": time_us * 1_000} | row for time_us, row in zip(times, rows, strict=True)]


async def test_only_bars_that_trades_cover_whole_are_made_and_no_request_is_sent(
    service: Service, exchange: BinanceStandIn
) -> None:
    trades = [(START_NS + second * S_NS, 100.0 + second % 7, 0.25) for second in range(0, 600, 10)]
    put(service.store, trades, (START_NS + S_NS, START_NS + 5 * MINUTE_NS + S_NS))
    run = await derived(service, "1m")
    first, *_, last = rows_of(service, bars("1m"))
    # The first minute lacks its first second, the sixth all but one.
    assert [first["ts"], last["ts"]] == minutes(1, 4)
    assert run.rows_written == 4
    own = [
        (price, place % 2)
        for place, (ts_ns, price, _) in enumerate(trades)
        if 60 <= (ts_ns - START_NS) // S_NS < 120
    ]
    assert first == {
        "ts": START_NS + MINUTE_NS,
        "open": own[0][0],
        "high": max(price for price, _ in own),
        "low": min(price for price, _ in own),
        "close": own[-1][0],
        "volume": 1.5,
        "quote_volume": sum(0.25 * price for price, _ in own),
        "trades": None,  # Binance takes trades together, so that their number is not known
        "taker_buy_volume": 0.75,
        "taker_buy_quote_volume": sum(0.25 * price for price, buys in own if buys),
    }
    coverage = service.store.coverage(bars("1m"))
    assert coverage.covered == coverage.asked == IntervalSet.of(*minutes(1, 5))
    (file,) = service.store.files(bars("1m"))
    assert file.footer.sources == ("derived:trades",)
    assert exchange.requests == 0


async def test_a_bar_without_trades_is_covered_and_has_no_row(service: Service) -> None:
    put(
        service.store, [(START_NS, 1.0, 1.0), (START_NS + 3 * MINUTE_NS, 2.0, 1.0)], (START_NS, minutes(5)[0])
    )
    await derived(service, "1m")
    assert [row["ts"] for row in rows_of(service, bars("1m"))] == minutes(0, 3)
    assert service.store.coverage(bars("1m")).covered == IntervalSet.of(*minutes(0, 5))
    assert await service.gaps(bars("1m")) == []


async def test_any_span_even_one_that_the_exchange_has_not(service: Service) -> None:
    first_ns = parse_time("2024-02-15")  # a Thursday, a multiple of fourteen days since 1970
    trades = [(first_ns + hour * HOUR_NS, 10.0 + hour, 1.0) for hour in range(24 * 28)]
    put(service.store, trades, (first_ns, first_ns + 28 * DAY_NS))
    for span, opens in (("7m", 5_760), ("1w", 3), ("14d", 2), ("1mo", 0)):
        await derived(service, span)
        covered = service.store.coverage(bars(span)).covered
        each = bars(span).span
        assert each is not None
        assert sum(each.count(*item) for item in covered) == opens
    assert [row["ts"] for row in rows_of(service, bars("14d"))] == [first_ns, first_ns + 14 * DAY_NS]
    assert rows_of(service, bars("14d"))[1]["volume"] == 24 * 14


async def test_a_hole_in_the_trades_is_a_gap_of_the_bars_until_it_is_filled(service: Service) -> None:
    trades = [(START_NS + minute * MINUTE_NS, 1.0 + minute, 1.0) for minute in range(10)]
    put(service.store, trades, stretch(0, 3), stretch(5, 10))
    await derived(service, "1m")
    assert await service.gaps(bars("1m")) == []  # nobody asked for trades in between
    service.store.add_asked(TRADES, Interval(*minutes(0, 10)))
    await derived(service, "1m")
    (gap,) = await service.gaps(bars("1m"))
    assert ([gap.start_ns, gap.end_ns], gap.cause) == (minutes(3, 5), "never fetched")
    put(service.store, [], stretch(3, 5))
    run = await derived(service, "1m")
    assert (run.rows_written, await service.gaps(bars("1m"))) == (2, [])
    assert [row["ts"] for row in rows_of(service, bars("1m"))] == minutes(*range(10))


async def test_what_is_asked_for_and_not_covered_by_trades_is_a_gap(service: Service) -> None:
    put(service.store, [(START_NS, 1.0, 1.0)], stretch(0, 2))
    run = await derived(service, "1m", START_NS - MINUTE_NS, START_NS + 3 * MINUTE_NS)
    assert [run.start_ns, run.end_ns] == minutes(-1, 3)
    gaps = await service.gaps(bars("1m"))
    assert [[gap.start_ns, gap.end_ns] for gap in gaps] == [minutes(-1, 0), minutes(2, 3)]


async def test_the_exchanges_own_bars_are_never_made_again(service: Service) -> None:
    put(service.store, [(START_NS, 1.0, 1.0), (START_NS + MINUTE_NS, 2.0, 1.0)], stretch(0, 4))
    own = {"exchange": "binance", "symbol": "BTC/USDT", "data_type": "ohlc", "span": "1m"}
    await fetched(
        service, BackfillRequest.model_validate({**own, "start": minutes(1)[0], "end": minutes(3)[0]})
    )
    before = rows_of(service, bars("1m"))
    run = await derived(service, "1m")
    assert run.rows_written == 1
    assert [row for row in rows_of(service, bars("1m")) if row["ts"] != START_NS] == before
    # Nor where they are doubted: the exchange has better ones.
    service.store.add_doubt(bars("1m"), stretch(1, 2), GapCause.DIFFERS)
    assert (await derived(service, "1m")).rows_written == 0
    assert [gap.cause for gap in await service.gaps(bars("1m"))] == [GapCause.DIFFERS.value]


async def test_late_trades_make_their_bars_anew_and_no_others(service: Service) -> None:
    trades = [(START_NS + minute * MINUTE_NS, 5.0, 1.0) for minute in range(10)]
    put(service.store, trades, stretch(0, 10))
    await derived(service, "1m")
    put(service.store, [(START_NS + 4 * MINUTE_NS + S_NS, 7.5, 2.0)], first_id=100)
    run = await derived(service, "1m")
    assert run.rows_written == 1
    assert any("Trades have changed" in line for line in run.log_tail)
    found = {row["ts"]: (row["high"], row["volume"]) for row in rows_of(service, bars("1m"))}
    assert found == dict.fromkeys(minutes(*range(10)), (5.0, 1.0)) | {minutes(4)[0]: (7.5, 3.0)}
    assert await service.gaps(bars("1m")) == []
    assert (await derived(service, "1m")).rows_written == 0


async def test_bars_that_were_being_made_anew_when_it_ended_are_made_the_next_time(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(service.store, [(each, 5.0, 1.0) for each in minutes(0, 1, 2)], stretch(0, 3))
    await derived(service, "1m")
    put(service.store, [(START_NS + S_NS, 7.5, 2.0)], first_id=100)
    with monkeypatch.context() as patch:
        patch.setattr(BackfillLog, "append", raises)
        assert (await fetched(service, ask("1m"))).state is RunState.FAILED
    (gap,) = await service.gaps(bars("1m"))
    assert (gap.cause, gap.end_ns) == (GapCause.OUTDATED.value, minutes(1)[0])
    for high in (7.5, 8.5):
        assert (await derived(service, "1m")).rows_written == 1
        assert rows_of(service, bars("1m"))[0]["high"] == high
        put(service.store, [(START_NS + 2 * S_NS, 8.5, 2.0)], first_id=101)


def raises(*_: object) -> None:
    raise StorageError("The disk is away.")


async def test_a_trade_that_is_no_more_takes_its_bar_with_it(service: Service) -> None:
    """Also where a replacement leaves less than there was: a merge alone would keep the greater value."""
    put(service.store, [(START_NS, 5.0, 1.0), (START_NS + MINUTE_NS, 9.0, 3.0)], stretch(0, 3))
    await derived(service, "1m")
    service.store.add_doubt(TRADES, stretch(0, 3), GapCause.DIFFERS)
    put(service.store, [(START_NS, 4.0, 0.5)], stretch(0, 3))
    await derived(service, "1m")
    found = [(row["ts"], row["high"], row["volume"]) for row in rows_of(service, bars("1m"))]
    assert found == [(START_NS, 4.0, 0.5)]
    assert await service.gaps(bars("1m")) == []


async def test_while_trades_are_doubted_their_bars_stay_and_none_is_made(service: Service) -> None:
    put(service.store, [(START_NS, 5.0, 1.0)], stretch(0, 3))
    await derived(service, "1m", *minutes(0, 2))
    service.store.add_doubt(TRADES, stretch(0, 3), GapCause.DIFFERS)
    assert (await derived(service, "1m", *minutes(0, 3))).rows_written == 0
    assert len(rows_of(service, bars("1m"))) == 1
    assert service.store.coverage(bars("1m")).covered == IntervalSet.of(*minutes(0, 2))


async def test_bars_that_were_fetched_since_are_the_exchanges_own(service: Service) -> None:
    put(service.store, [(START_NS, 5.0, 1.0)], stretch(0, 3))
    await derived(service, "1m")
    service.store.add_doubt(bars("1m"), stretch(0, 2), GapCause.DIFFERS)
    await service.wait((await service.mending.fill_gaps(bars("1m"))).run_id)
    own = rows_of(service, bars("1m"))
    assert len(own) == 2
    put(service.store, [(START_NS + S_NS, 6.0, 1.0)], first_id=100)
    assert (await derived(service, "1m")).rows_written == 0
    assert rows_of(service, bars("1m")) == own


async def test_wrong_use_is_refused(service: Service) -> None:
    with pytest.raises(UnknownDataset):
        await service.start_backfill(ask("5m"))
    put(service.store, [(START_NS, 5.0, 1.0)], stretch(0, 3))
    with pytest.raises(UsageError, match="nothing to plan"):
        await service.plan(ask("5m"))
    wrong = ask("5m").model_copy(update={"data_type": "funding", "span": None})
    with pytest.raises(UsageError, match="Only bars"):
        await service.start_backfill(wrong)


async def test_inverse_trades_are_contracts(service: Service) -> None:
    dataset = DatasetId.parse("binance:BTC-USD_BTC:trades")
    log = service.store.begin_backfill(dataset, "test", source="test")
    columns: dict[str, list[Any]] = {"ts": [START_NS], "price": [50_000.0], "amount": [3.0], "side": ["buy"]}
    log.append(columns | {"tid_num": [1]}, IntervalSet.of(*minutes(0, 1)))
    log.finish()
    await derived_of(service, "BTC/USD:BTC")
    (row,) = rows_of(service, DatasetId.parse("binance:BTC-USD_BTC:ohlc:1m"))
    assert (row["volume"], row["quote_volume"]) == (300 / 50_000, 300.0)


async def derived_of(service: Service, symbol: str) -> None:
    run = await fetched(service, ask("1m").model_copy(update={"symbol": symbol}))
    assert run.state is RunState.SUCCEEDED, run.error


async def test_a_cancelled_derivation_keeps_what_it_made_and_the_next_goes_on(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(service.store, [(each, 5.0, 1.0) for each in minutes(*range(10))], stretch(0, 10))
    spec = JobSpec.backfill(JobTarget.of(bars("1m")), JobParams(derive_from="trades"))
    stop = asyncio.Event()
    append = BackfillLog.append

    def append_and_stop(log: BackfillLog, *page: Any) -> None:
        append(log, *page)
        stop.set()

    monkeypatch.setattr("dccd.application.operations.derive.PAGE_BARS", 3)
    monkeypatch.setattr(BackfillLog, "append", append_and_stop)
    result = await backfill(spec, registry=service.registry, store=service.store, stop_event=stop)
    assert result["rows_written"] == 3
    assert [row["ts"] for row in rows_of(service, bars("1m"))] == minutes(0, 1, 2)
    monkeypatch.setattr(BackfillLog, "append", append)
    assert (await derived(service, "1m")).rows_written == 7
    assert service.store.coverage(bars("1m")).covered == IntervalSet([stretch(0, 10)])


async def test_on_a_full_disk_it_fails_with_its_pages_kept(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(service.store, [(each, 5.0, 1.0) for each in minutes(*range(10))], stretch(0, 10))
    append, pages = BackfillLog.append, iter(range(10))

    def fills_up(log: BackfillLog, *page: Any) -> None:
        if next(pages) == 2:
            raise DiskFull("Writing the journal failed: no room. Free some space and start again.")
        append(log, *page)

    monkeypatch.setattr("dccd.application.operations.derive.PAGE_BARS", 3)
    monkeypatch.setattr(BackfillLog, "append", fills_up)
    run = await fetched(service, ask("1m"))
    assert run.error is not None
    assert (run.state, run.error.code) == (RunState.FAILED, "disk_full")
    assert [row["ts"] for row in rows_of(service, bars("1m"))] == minutes(*range(6))
    (gap,) = await service.gaps(bars("1m"))
    assert gap.start_ns == minutes(6)[0]
    assert (await derived(service, "1m")).rows_written == 4
