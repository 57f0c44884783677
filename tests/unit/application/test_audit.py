"""Bars from stored trades beside the exchange's own: recorded trades, and bars with known faults."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dccd.application.jobs import JobRun, RunState
from dccd.application.operations.audit import AuditResult
from dccd.application.requests import BackfillRequest
from dccd.application.service import Service
from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import InvalidRange, UnknownDataset, UsageError
from dccd.domain.timeutils import MINUTE_NS, MS_NS, parse_time

TRADES = DatasetId.parse("binance:XRP-ETH:trades")
BARS = DatasetId.parse("binance:XRP-ETH:ohlc:5m")
SPAN_NS = 5 * MINUTE_NS
Bars = dict[int, dict[str, Any]]


@pytest.fixture(scope="module")
def recorded(shared: Path) -> list[dict[str, Any]]:
    """Return Binance's own rows of XRP/ETH aggregate trades of 2019-10-11."""
    path = next((shared / "datasets" / "binance_aggtrades").glob("XRP_ETH*.json.gz"))
    return [trade["info"] for trade in json.loads(gzip.decompress(path.read_bytes()))]


def whole(rows: list[dict[str, Any]]) -> IntervalSet:
    """The whole bars between the first and the last trade."""
    first, last = (row["T"] * MS_NS for row in (rows[0], rows[-1]))
    return IntervalSet.of(-(-first // SPAN_NS) * SPAN_NS, last // SPAN_NS * SPAN_NS)


def as_the_exchange_would(rows: list[dict[str, Any]]) -> Bars:
    """Bars in decimal arithmetic, with the exchange's own ways.

    They count the fills that an aggregate trade has, and there is a bar of no volume where nobody traded.
    """
    ((start_ns, end_ns),) = whole(rows)
    by_bar: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        by_bar.setdefault(row["T"] * MS_NS // SPAN_NS * SPAN_NS, []).append(row)
    bars: Bars = {}
    close = Decimal(rows[0]["p"])
    for open_ns in range(start_ns, end_ns, SPAN_NS):
        own = by_bar.get(open_ns, [])
        prices = [Decimal(row["p"]) for row in own] or [close]
        amounts = [(Decimal(row["q"]), Decimal(row["p"]) * Decimal(row["q"]), not row["m"]) for row in own]
        close = prices[-1]
        bars[open_ns] = {
            "open": float(prices[0]),
            "high": float(max(prices)),
            "low": float(min(prices)),
            "close": float(prices[-1]),
            "volume": float(sum(amount for amount, _, _ in amounts)),
            "quote_volume": float(sum(worth for _, worth, _ in amounts)),
            "trades": sum(row["l"] - row["f"] + 1 for row in own),
            "taker_buy_volume": float(sum(amount for amount, _, buys in amounts if buys)),
            "taker_buy_quote_volume": float(sum(worth for _, worth, buys in amounts if buys)),
        }
    return bars


def store_trades(service: Service, rows: list[dict[str, Any]], dataset: DatasetId = TRADES) -> None:
    log = service.store.begin_backfill(dataset, "test", source="Binance")
    columns: dict[str, Any] = {
        "ts": [row["T"] * MS_NS for row in rows],
        "price": [float(row["p"]) for row in rows],
        "amount": [float(row["q"]) for row in rows],
        "side": ["sell" if row["m"] else "buy" for row in rows],
        "tid_num": [row["a"] for row in rows],
    }
    log.append(columns, IntervalSet.of(rows[0]["T"] * MS_NS, rows[-1]["T"] * MS_NS))
    log.finish()


def store_bars(service: Service, bars: Bars, covered: IntervalSet, dataset: DatasetId = BARS) -> None:
    log = service.store.begin_backfill(dataset, "test", source="Binance")
    names = next(iter(bars.values())).keys()
    columns = {name: [bar[name] for bar in bars.values()] for name in names}
    log.append({"ts": list(bars), **columns}, covered)
    log.finish()


async def audited(service: Service, dataset: DatasetId = BARS, **bounds: int) -> tuple[JobRun, AuditResult]:
    run = await service.wait((await service.mending.audit(dataset, **bounds)).run_id)
    assert run.state is RunState.SUCCEEDED, run.error
    assert run.result is not None
    return run, AuditResult.model_validate(run.result)


async def test_recorded_trades_make_the_bars_that_decimal_arithmetic_makes(
    service: Service, recorded: list[dict[str, Any]]
) -> None:
    bars = as_the_exchange_would(recorded)
    store_trades(service, recorded)
    store_bars(service, bars, whole(recorded))
    run, result = await audited(service)
    assert result.passed
    assert result.differences == []
    quiet = sum(bar["volume"] == 0 for bar in bars.values())
    assert (result.equal, result.without_trades) == (len(bars) - quiet, quiet)
    assert result.equal > 200
    assert result.ranges == [(s // MS_NS, e // MS_NS) for s, e in whole(recorded)]
    assert run.progress is not None
    assert run.progress.done == run.progress.total == len(bars)


async def test_each_fault_is_listed_with_what_either_side_says(
    service: Service, recorded: list[dict[str, Any]]
) -> None:
    bars = as_the_exchange_would(recorded)
    traded = [ts_ns for ts_ns, bar in bars.items() if bar["volume"]]
    high, volume, within, gone, extra = traded[3], traded[5], traded[7], traded[9], traded[11]
    truth = bars[high]["high"]
    bars[high]["high"] = truth * 1.5
    bars[volume]["volume"] *= 1 + 1e-6
    bars[within]["volume"] *= 1 + 1e-10  # as an exchange that keeps few digits may round it
    del bars[gone]
    store_trades(service, [row for row in recorded if row["T"] * MS_NS // SPAN_NS * SPAN_NS != extra])
    store_bars(service, bars, whole(recorded))
    _, result = await audited(service)
    assert not result.passed
    assert (result.differing, result.derived_only, result.stored_only) == (2, 1, 1)
    assert result.fields == {"high": 1, "volume": 1}
    found = {(parse_time(item.ts), item.field): item for item in result.differences}
    assert found.keys() == {(high, "high"), (volume, "volume"), (gone, None), (extra, None)}
    wrong = found[high, "high"]
    assert (wrong.derived, wrong.stored) == (truth, truth * 1.5)
    assert wrong.relative == pytest.approx(-1 / 3)
    assert found[volume, "volume"].relative == pytest.approx(-1e-6, rel=1e-5)
    assert (found[gone, None].derived, found[gone, None].stored) != (None, None)
    assert found[gone, None].stored is None
    assert found[extra, None].derived is None


async def test_bars_that_open_at_the_close_before(service: Service, recorded: list[dict[str, Any]]) -> None:
    """BitMEX says that its do; what is before the first bar is not looked at."""
    trades, dataset = DatasetId.parse("bitmex:XRP-ETH:trades"), DatasetId.parse("bitmex:XRP-ETH:ohlc:5m")
    bars = as_the_exchange_would(recorded)
    firsts = [bar["open"] for bar in bars.values()]
    closes = [bar["close"] for bar in bars.values()]
    for bar, opens in zip(bars.values(), [1.5, *closes], strict=False):
        bar |= {"open": opens, "trades": None}
    assert [bar["open"] for bar in bars.values()][1:] != firsts[1:]
    store_trades(service, recorded, trades)
    store_bars(service, bars, whole(recorded), dataset)
    _, result = await audited(service, dataset)
    assert result.passed
    assert result.equal > 200
    wrong = [ts_ns for ts_ns, bar in bars.items() if bar["volume"]][7]
    before, bars[wrong]["open"] = bars[wrong]["open"], 1.5
    store_bars(service, bars, whole(recorded), dataset)
    _, result = await audited(service, dataset)
    (found,) = result.differences
    assert (parse_time(found.ts), found.field, found.derived, found.stored) == (wrong, "open", before, 1.5)


async def test_a_range_is_all_that_is_looked_at(service: Service, recorded: list[dict[str, Any]]) -> None:
    bars = as_the_exchange_would(recorded)
    store_trades(service, recorded)
    store_bars(service, bars, whole(recorded))
    start_ns = min(bars) + 2 * SPAN_NS
    _, result = await audited(service, start_ns=start_ns - 1, end_ns=start_ns + 3 * SPAN_NS + 1)
    assert result.ranges == [(start_ns // MS_NS, (start_ns + 3 * SPAN_NS) // MS_NS)]
    assert result.equal + result.without_trades == 3


async def test_bars_made_from_trades_are_not_compared_with_themselves(
    service: Service, recorded: list[dict[str, Any]]
) -> None:
    store_trades(service, recorded)
    asked = {"exchange": "binance", "symbol": "XRP/ETH", "data_type": "ohlc", "span": "5m"}
    derive = BackfillRequest.model_validate({**asked, "derive_from": "trades"})
    await service.wait((await service.start_backfill(derive)).run_id)
    run = await service.wait((await service.mending.audit(BARS)).run_id)
    assert run.error is not None
    assert (run.error.code, "nothing to compare" in run.error.detail) == ("invalid_range", True)


async def test_derived_bars_are_the_exchanges_own_to_the_last_digit_of_prices_and_volume(
    service: Service, recorded: list[dict[str, Any]]
) -> None:
    store_trades(service, recorded)
    asked = {"exchange": "binance", "symbol": "XRP/ETH", "data_type": "ohlc", "span": "5m"}
    derive = BackfillRequest.model_validate({**asked, "derive_from": "trades"})
    run = await service.wait((await service.start_backfill(derive)).run_id)
    expected = {ts_ns: bar for ts_ns, bar in as_the_exchange_would(recorded).items() if bar["volume"]}
    assert run.rows_written == len(expected)
    for batch in service.read(BARS):
        times: list[Any] = batch["ts"].cast(pa.int64()).to_pylist()
        for time_us, row in zip(times, batch.to_pylist(), strict=True):
            theirs = expected[time_us * 1_000]
            for name in ("open", "high", "low", "close"):
                assert row[name] == theirs[name]
            for name in ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"):
                assert row[name] == pytest.approx(theirs[name], rel=1e-15, abs=0)


async def test_what_cannot_be_audited_is_refused(service: Service, recorded: list[dict[str, Any]]) -> None:
    with pytest.raises(UsageError, match="only bars"):
        await service.mending.audit(TRADES)
    with pytest.raises(UnknownDataset):
        await service.mending.audit(BARS)
    store_bars(service, as_the_exchange_would(recorded), whole(recorded))
    with pytest.raises(UnknownDataset):
        await service.mending.audit(BARS)
    with pytest.raises(InvalidRange):
        await service.mending.audit(BARS, 2, 1)


async def test_it_can_be_done_again_as_it_was(service: Service, recorded: list[dict[str, Any]]) -> None:
    store_trades(service, recorded)
    store_bars(service, as_the_exchange_would(recorded), whole(recorded))
    run, _ = await audited(service, start_ns=whole(recorded).start_ns or 0)
    again = await service.wait((await service.retry(run.run_id)).run_id)
    assert (again.params, again.result) == (run.params, run.result)
