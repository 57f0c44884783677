"""Real recordings go through the store and come back exactly; what is missing in them is found exactly."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.gaps import GapCause
from dccd.domain.timeutils import HOUR_NS, MINUTE_NS
from dccd.storage.store import Store

MS_NS = 1_000_000
YEAR = Interval(1_514_764_800_000 * MS_NS, 1_546_300_800_000 * MS_NS)  # 2018
WINDOW_NS = 2 * HOUR_NS
BARS = DatasetId.parse("bitfinex:BTC-USD:ohlc:1m")
BOOK = DatasetId.parse("binance:BTC-USDT:book_updates")
TRADES = DatasetId.parse("binance:BTC-USDT:trades")
ALL = os.environ.get("DCCD_RECORDINGS") == "all"
FEEDS = {"spot_btcusdt_20240808.gz": 1, "usdm_btcusdt_20230405.dat.gz": 1000}  # ns in a unit of its clock


def test_the_minutes_that_bitfinex_does_not_have_are_found(shared: Path, tmp_path: Path) -> None:
    windows = dict(bitfinex_windows(shared))
    assert len(windows) * WINDOW_NS == YEAR.end_ns - YEAR.start_ns
    withheld = sorted(windows)[5::97]
    middle_ns = sum(YEAR) // 2  # the later half first
    with closing(Store.open(tmp_path)) as store:
        store.add_asked(BARS, YEAR)
        log = store.begin_backfill(BARS, "run", source="bitfinex")
        for start_ns in sorted(windows, key=lambda start_ns: (start_ns < middle_ns, start_ns)):
            if start_ns not in withheld:
                log.append(bars(windows[start_ns]), IntervalSet.of(start_ns, start_ns + WINDOW_NS))
        log.finish()
        gaps = store.gaps(BARS)
        assert [(gap.start_ns, gap.end_ns) for gap in gaps] == [(ns, ns + WINDOW_NS) for ns in withheld]
        assert {gap.cause for gap in gaps} == {GapCause.NEVER_FETCHED.value}
        log = store.begin_backfill(BARS, "again", source="bitfinex")
        for gap in gaps:
            log.append(bars(windows[gap.start_ns]), IntervalSet.of(gap.start_ns, gap.end_ns))
        log.finish()
    with closing(Store.open(tmp_path)) as store:
        assert not store.gaps(BARS)
        assert store.coverage(BARS).covered == IntervalSet([YEAR])
        stored = pa.Table.from_batches(store.read(BARS))
    rows = sorted({row[0]: row for window in windows.values() for row in window}.values())
    assert stored.num_rows == len(rows) == 520_499
    for place, name in enumerate(("open", "close", "high", "low", "volume"), 1):
        assert stored[name].to_pylist() == [float(row[place]) for row in rows]
    whole_us: list[Any] = stored["ts"].cast(pa.int64()).to_pylist()
    times = [us * 1000 for us in whole_us]
    assert times == [row[0] * MS_NS for row in rows]
    empty = set(range(YEAR.start_ns, YEAR.end_ns, MINUTE_NS)).difference(times)
    assert len(empty) == 5_101
    recorded = {row[0] * MS_NS for row in rows}
    assert empty == {ns for ns in range(YEAR.start_ns, YEAR.end_ns, MINUTE_NS) if ns not in recorded}


def bitfinex_windows(shared: Path) -> Iterator[tuple[int, list[list[float]]]]:
    """Start of each two-hour window in nanoseconds, and its bars as they were answered."""
    with gzip.open(shared / "datasets" / "bitfinex_1m" / "BTCUSD_1m_2018_raw_responses.jsonl.gz") as lines:
        for line in lines:
            answer = json.loads(line)
            yield answer["window_start_ms"] * MS_NS, json.loads(answer["body"])


def bars(window: list[list[float]]) -> dict[str, list[Any]]:
    values = {
        name: [float(row[place]) for row in window]
        for place, name in enumerate(("open", "close", "high", "low", "volume"), 1)
    }
    return {"ts": [int(row[0]) * MS_NS for row in window], **values}


class Message(NamedTuple):
    """One line of a recording."""

    recv_ns: int
    stream: str
    data: dict[str, Any]


def messages(path: Path, unit_ns: int) -> Iterator[Message]:
    with gzip.open(path, "rt") as lines:
        for line in lines:
            received, _, text = line.partition(" ")
            content = json.loads(text)
            stream = content.get("stream", "@snapshot").partition("@")[2].partition("@")[0]
            yield Message(int(received) * unit_ns, stream, content.get("data", content))


@pytest.mark.parametrize("name", FEEDS)
def test_a_feed_comes_back_value_by_value(shared: Path, tmp_path: Path, name: str) -> None:
    path = shared / "datasets" / "binance_feed" / name
    wanted = (each for each in messages(path, FEEDS[name]) if each.stream in ("depth", "trade", "snapshot"))
    feed = list(islice(wanted, None if ALL else 2500))
    depths = [place for place, each in enumerate(feed) if each.stream == "depth"]
    cut = slice(depths[len(depths) // 2], depths[len(depths) // 2 + 50])  # a connection that was lost
    reached = feed[cut.start - 1 :: -1], feed[cut.stop :]
    lost = Interval(*(next(m.data["E"] for m in part if m.stream == "depth") * MS_NS for part in reached))
    heard = [each for place, each in enumerate(feed) if not cut.start <= place < cut.stop]
    with closing(Store.open(tmp_path)) as store:
        streams, last_ns = store.stream_log(), {BOOK: 0, TRADES: 0}
        for number, each in enumerate(heard):
            dataset = TRADES if each.stream == "trade" else BOOK
            at_ns = each.data["E"] * MS_NS if "E" in each.data else last_ns[BOOK]
            columns = trade(each) if dataset == TRADES else levels(each, number, at_ns)
            covered = IntervalSet.of(last_ns[dataset] or at_ns, at_ns)
            if dataset == BOOK:
                covered -= IntervalSet([lost])
            streams.append(dataset, columns, covered, source="binance", observation="session")
            last_ns[dataset] = at_ns
            if number % 1000 == 700:
                streams.flush()
                store.publish()
        streams.flush()
        store.add_lost(BOOK, lost, GapCause.DISCONNECTED)
        assert_book(store, heard)
        assert [(gap.start_ns, gap.end_ns, gap.cause) for gap in store.gaps(BOOK)] == [
            (*lost, GapCause.DISCONNECTED.value)
        ]
        store.publish()
    with closing(Store.open(tmp_path)) as store:
        assert not list((tmp_path / ".dccd" / "journal").iterdir())
        assert_book(store, heard)
        assert_trades(store, heard)
        first_ns = next(each.data["E"] for each in heard if each.stream == "depth") * MS_NS
        whole = IntervalSet.of(first_ns, last_ns[BOOK])
        assert store.coverage(BOOK).covered == whole - IntervalSet([lost])


def levels(each: Message, number: int, at_ns: int) -> dict[str, list[Any]]:
    """The rows of a message of the book."""
    bids, asks = (
        each.data["bids" if "bids" in each.data else "b"],
        each.data["asks" if "asks" in each.data else "a"],
    )
    sides = [("bid", level) for level in bids] + [("ask", level) for level in asks]
    size = len(sides)
    return {
        "ts": [at_ns] * size,
        "session": ["session"] * size,
        "seq": [each.data.get("u", each.data.get("lastUpdateId"))] * size,
        "recv_no": [number] * size,
        "is_snapshot": [each.stream == "snapshot"] * size,
        "side": [side for side, _ in sides],
        "price": [float(level[0]) for _, level in sides],
        "amount": [float(level[1]) for _, level in sides],
        "recv_ts": [each.recv_ns] * size,
    }


def trade(each: Message) -> dict[str, list[Any]]:
    """The row of a trade."""
    data = each.data
    return {
        "ts": [data["T"] * MS_NS],
        "price": [float(data["p"])],
        "amount": [float(data["q"])],
        "side": ["sell" if data["m"] else "buy"],
        "tid_num": [data["t"]],
        "recv_ts": [each.recv_ns],
    }


def assert_book(store: Store, heard: list[Message]) -> None:
    """Every level of every message, in the order of its arrival, as the recording has it."""
    expected: list[tuple[Any, ...]] = []
    at_ms = 0
    for number, each in enumerate(heard):
        if each.stream == "snapshot":
            seq, sides = each.data["lastUpdateId"], (("bid", each.data["bids"]), ("ask", each.data["asks"]))
        elif each.stream == "depth":
            at_ms, seq = each.data["E"], each.data["u"]
            sides = (("bid", each.data["b"]), ("ask", each.data["a"]))
        else:
            continue
        snapshot = each.stream == "snapshot"
        for side, book in sides:
            for price, amount in book:
                row = (at_ms * 1000, seq, number, snapshot, side, price, amount, each.recv_ns // 1000)
                expected.append(row)
    expected.sort(key=lambda row: (row[0], row[2]))
    stored = pa.Table.from_batches(store.read(BOOK))
    columns = zip(*expected, strict=True)
    for name, values in zip(
        ("ts", "seq", "recv_no", "is_snapshot", "side", "price", "amount", "recv_ts"), columns, strict=True
    ):
        found = stored[name].cast(pa.int64()) if name in ("ts", "recv_ts") else stored[name]
        wanted = [float(text) for text in values] if name in ("price", "amount") else list(values)
        assert found.to_pylist() == wanted, name
    assert set(stored["session"].to_pylist()) == {"session"}
    assert stored["ts_sub_ns"].null_count == stored["count"].null_count == stored.num_rows


def assert_trades(store: Store, heard: list[Message]) -> None:
    """Every trade."""
    trades = sorted((each.data["T"], each.data["t"], each) for each in heard if each.stream == "trade")
    stored = pa.Table.from_batches(store.read(TRADES))
    assert stored["tid_num"].to_pylist() == [number for _, number, _ in trades]
    assert stored["ts"].cast(pa.int64()).to_pylist() == [ms * 1000 for ms, _, _ in trades]
    assert stored["price"].to_pylist() == [float(each.data["p"]) for *_, each in trades]
    assert stored["amount"].to_pylist() == [float(each.data["q"]) for *_, each in trades]
    assert stored["side"].to_pylist() == ["sell" if each.data["m"] else "buy" for *_, each in trades]
    assert stored["recv_ts"].cast(pa.int64()).to_pylist() == [each.recv_ns // 1000 for *_, each in trades]
    assert stored["tid"].null_count == stored.num_rows
