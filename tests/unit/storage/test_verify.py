from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import UnknownDataset
from dccd.domain.gaps import GapCause
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS, MS_NS, S_NS, US_NS
from dccd.storage.coverage_db import What
from dccd.storage.fs import RealFileSystem
from dccd.storage.layout import Layout
from dccd.storage.period_file import Contents, write_period_file
from dccd.storage.schema import to_batch
from dccd.storage.store import Store
from dccd.storage.verify import Remedy, Severity, VerifyReport
from tests.faults.simdisk import SimDisk

BARS = DatasetId.parse("binance:BTC-USDT:ohlc:1m")
WEEKS = DatasetId.parse("binance:BTC-USDT:ohlc:1w")
MONTHS = DatasetId.parse("binance:BTC-USDT:ohlc:1mo")
TRADES = DatasetId.parse("bitfinex:BTC-USD:trades")
BOOK = DatasetId.parse("bitfinex:BTC-USD:orderbook:25")
UPDATES = DatasetId.parse("bitfinex:BTC-USD:book_updates")
FUNDING = DatasetId.parse("binance:BTC-USDT_USDT:funding")
INTEREST = DatasetId.parse("binance:BTC-USDT_USDT:open_interest:5m")
FEB = 1_706_745_600_000_000_000  # 2024-02-01
PRICES = ("open", "high", "low", "close", "volume")
Columns = dict[str, list[Any]]


def bars(minutes: list[int] | range) -> Columns:
    return {"ts": [FEB + m * MINUTE_NS for m in minutes], **{name: [5.0] * len(minutes) for name in PRICES}}


def span(first: int, last: int) -> IntervalSet:
    return IntervalSet.of(FEB + first * MINUTE_NS, FEB + last * MINUTE_NS)


def put(store: Store, dataset: DatasetId, columns: Columns, covered: IntervalSet | None = None) -> None:
    log = store.begin_backfill(dataset, "run", source="test")
    log.append(columns, covered or IntervalSet())
    log.finish()


@pytest.fixture
def store(data_path: Path) -> Iterator[Store]:
    opened = Store.open(data_path)
    put(opened, BARS, bars(range(-60, 60)), span(-60, 60))
    yield opened
    opened.close()


def texts(report: VerifyReport) -> str:
    return " | ".join(f"{problem.severity}: {problem.text}" for problem in report.problems)


def test_what_is_as_it_was_written_is_sound(store: Store) -> None:
    log = store.begin_backfill(BARS, "run", source="test")
    log.append(bars(range(60, 70)), span(60, 70))
    seen: list[tuple[int, int]] = []
    report = store.keeping.verify(BARS, lambda rows, size: seen.append((rows, size)))
    assert report.problems == ()
    assert report.sound
    assert not report.stopped
    assert (report.files, report.rows) == (2, 130)
    assert seen == sorted(seen)
    assert seen[-1] == (130, report.size_bytes)
    with pytest.raises(UnknownDataset):
        store.keeping.verify(TRADES)


def test_it_can_be_stopped(store: Store) -> None:
    report = store.keeping.verify(BARS, stopped=lambda: True)
    assert report.stopped
    assert report.files == 0


# --- damage ---------------------------------------------------------------------------------------------


def path_of(store: Store, period: str = "2024-02", dataset: DatasetId = BARS) -> Path:
    return store.data_path / dataset.folder / f"{period}.parquet"


def forge(
    store: Store, columns: Columns, covered: IntervalSet | None = None, dataset: DatasetId = BARS
) -> None:
    """A file with a true hash and footer, and rows just so."""
    period = dataset.period(FEB)
    contents = Contents(dataset, period, covered or span(0, 60), {}, ())
    table = pa.Table.from_batches([to_batch(dataset, columns)])
    write_period_file(RealFileSystem(), Layout(store.data_path), contents, [table])


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def flip_data(store: Store) -> None:
    flip(path_of(store), 300)


def flip_footer(store: Store) -> None:
    path = path_of(store)
    flip(path, path.stat().st_size - 60)


def cut(store: Store) -> None:
    path = path_of(store)
    path.write_bytes(path.read_bytes()[:-100])


def swap(store: Store) -> None:
    one, other = path_of(store), path_of(store, "2024-01")
    one_bytes = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(one_bytes)


def replaced_by_text(store: Store) -> None:
    path_of(store).write_text("nothing of ours")


def reordered(store: Store) -> None:
    forge(store, bars([0, 2, 1, *range(3, 60)]))


def twice(store: Store) -> None:
    forge(store, bars([0, 1, 1, *range(2, 60)]))


def of_another_period(store: Store) -> None:
    forge(store, bars(range(-1, 60)))


def off_the_grid(store: Store) -> None:
    columns = bars(range(60))
    columns["ts"][7] += 1_000_000
    forge(store, columns)


def coverage_too_wide(store: Store) -> None:
    forge(store, bars(range(60)), span(-5, 60))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (flip_data, "another hash"),
        (flip_footer, "cannot be read"),
        (cut, "cannot be read"),
        (swap, "not what its footer says"),
        (replaced_by_text, "cannot be read"),
        (reordered, "1 row is out of order, first at 2024-02-01T00:01:00Z"),
        (twice, "1 row is there twice, first at 2024-02-01T00:01:00Z"),
        (of_another_period, "1 row is outside the file's period, first at 2024-01-31T23:59:00Z"),
        (off_the_grid, "1 row is at no multiple of 1m, first at 2024-02-01T00:07:00.001Z"),
        (coverage_too_wide, "time outside its period, from 2024-01-31T23:55:00Z"),
    ],
)
def test_damage_is_found_and_mending_makes_a_gap_of_it(
    store: Store, damage: Callable[[Store], None], words: str
) -> None:
    damage(store)
    report = store.keeping.verify(BARS)
    assert not report.sound
    assert words in texts(report)
    [*found] = [problem for problem in report.problems if "2024-02" in problem.file]
    assert found
    assert {problem.remedy for problem in found} == {Remedy.PUT_ASIDE}
    bytes_then = path_of(store).read_bytes()
    assert store.keeping.mend(BARS, found[0])
    assert not store.keeping.mend(BARS, found[0]), "it was done"
    assert not path_of(store).exists()
    kept = [path.read_bytes() for path in (store.data_path / ".dccd" / "quarantine").iterdir()]
    assert bytes_then in kept
    assert [(gap.start_ns, gap.cause) for gap in store.gaps(BARS)] == [
        (FEB, "put aside: its file could not be read")
    ]
    report = store.keeping.verify(BARS)
    assert not report.sound
    assert "its file was put aside" in texts(report)
    put(store, BARS, bars(range(60)), span(0, 60))
    assert store.gaps(BARS) == []
    if damage is not swap:  # which damaged two
        assert store.keeping.verify(BARS).problems == ()


@pytest.mark.parametrize(("change", "words"), [(flip_footer, "was put aside"), (None, "is gone")])
def test_what_went_before_the_look_is_an_error_until_it_is_back(
    data_path: Path, change: Callable[[Store], None] | None, words: str
) -> None:
    months = ("2024-01", "2024-02")
    with closing(Store.open(data_path)) as store:
        put(store, BARS, bars(range(-60, 60)), span(-60, 60))
        if change is None:
            for name in months:
                path_of(store, name).unlink()
        else:
            change(store)
    with closing(Store.open(data_path)) as store:
        report = store.keeping.verify(BARS)
        lost = months if change is None else months[1:]
        assert [problem.file for problem in report.problems] == [
            f"{BARS.folder}/{name}.parquet" for name in lost
        ]
        assert not report.sound
        assert "2024-02-01T00:00:00Z and 2024-02-01T01:00:00Z" in report.problems[-1].text
        assert all(words in problem.text for problem in report.problems)
        assert all("dccd repair" in problem.advice for problem in report.problems)
        assert not any(store.keeping.mend(BARS, problem) for problem in report.problems)
        put(store, BARS, bars(range(-60, 60)), span(-60, 60))
        assert store.keeping.verify(BARS).problems == ()


def test_what_is_not_believed_is_a_warning_until_it_is_replaced(store: Store) -> None:
    store.add_doubt(BARS, Interval(FEB, FEB + MINUTE_NS), GapCause.DIFFERS)
    store.add_lost(BARS, Interval(FEB + HOUR_NS, FEB + 2 * HOUR_NS), GapCause.DISCONNECTED)  # a gap, no fault
    report = store.keeping.verify(BARS)
    assert report.sound
    assert texts(report) == (
        "warning: Time between 2024-02-01T00:00:00Z and 2024-02-01T00:01:00Z is missing: "
        "it differs from what the exchange says."
    )
    put(store, BARS, bars(range(60)), span(0, 60))
    assert store.keeping.verify(BARS).problems == ()


def test_a_file_that_is_gone_is_found(store: Store) -> None:
    path_of(store).unlink()
    [problem] = store.keeping.verify(BARS).problems
    assert (problem.severity, problem.text) == (Severity.ERROR, f"{BARS.folder}/2024-02.parquet is gone.")
    assert store.keeping.mend(BARS, problem)
    assert [(gap.start_ns, gap.end_ns, gap.cause) for gap in store.gaps(BARS)] == [
        (FEB, FEB + HOUR_NS, "its file is gone")
    ]
    assert not store.keeping.verify(BARS).sound


def test_another_sound_file_in_its_place_is_taken_in(store: Store) -> None:
    forge(store, bars(range(50)), span(0, 50))
    [problem] = store.keeping.verify(BARS).problems
    assert "another file than the index knows" in problem.text
    assert store.keeping.mend(BARS, problem)
    assert store.info(BARS).rows == 110
    assert store.keeping.verify(BARS).sound


def test_files_that_the_index_does_not_know_are_found(store: Store) -> None:
    copy = path_of(store, "2024-02 copy")
    copy.write_bytes(path_of(store).read_bytes())
    [warning] = store.keeping.verify(BARS).problems
    assert (warning.severity, warning.remedy) == (Severity.WARNING, None)
    assert "none of this program's files" in warning.text
    copy.unlink()
    contents = Contents(BARS, BARS.period(FEB + 40 * DAY_NS), IntervalSet(), {}, ())
    table = pa.Table.from_batches([to_batch(BARS, bars([40 * 1440]))])
    write_period_file(RealFileSystem(), Layout(store.data_path), contents, [table])
    path_of(store, "2024-04").write_bytes(b"torn")
    known, torn = store.keeping.verify(BARS).problems
    assert (known.remedy, torn.remedy) == (Remedy.TAKE_IN, Remedy.PUT_ASIDE)
    assert store.keeping.mend(BARS, known)
    assert store.keeping.mend(BARS, torn)
    assert store.info(BARS).rows == 121
    assert store.keeping.verify(BARS).sound


def test_a_page_that_does_not_read_back_is_found(store: Store) -> None:
    log = store.begin_backfill(BARS, "run", source="test")
    log.append(bars(range(60, 70)), span(60, 70))
    [path] = (store.data_path / ".dccd" / "journal").iterdir()
    flip(path, path.stat().st_size - 20)
    [problem] = store.keeping.verify(BARS).problems
    assert "cannot be read back" in problem.text
    assert problem.file == f".dccd/journal/{path.name}"
    assert not store.keeping.mend(BARS, problem)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("open", float("nan"), "without a finite open"),
        ("volume", -1.0, "with a negative volume"),
        ("high", 1.0, "a high below"),
        ("low", 9.0, "a low above"),
    ],
)
def test_unlikely_values_are_warnings(store: Store, name: str, value: float, words: str) -> None:
    columns = bars(range(60, 90))
    columns[name][3] = value
    put(store, BARS, columns, span(60, 90))
    report = store.keeping.verify(BARS)
    assert report.sound
    assert [problem.severity for problem in report.problems] == [Severity.WARNING]
    assert words in texts(report)
    assert "1 row is" in texts(report)


def test_rows_where_the_time_is_recorded_as_without_rows_are_a_warning(store: Store) -> None:
    forge(store, bars(range(50)), span(0, 40))
    store.keeping.mend(BARS, store.keeping.verify(BARS).problems[0])
    store._parts.coverage.add(BARS, What.EMPTY, span(30, 45))
    assert texts(store.keeping.verify(BARS)).endswith(
        "5 rows are where the time is recorded as without rows, first at 2024-02-01T00:40:00Z."
    )


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"ts": [0, 5, 4], "tid_num": [1, 2, 3]}, "1 row is out of order"),
        ({"ts": [0, 0, 5], "tid_num": [2, 1, 3]}, "1 row is out of order"),
        ({"ts": [0, 0, 5], "tid_num": [None, 1, 3]}, "1 row is out of order"),
        ({"ts": [0, 0, 5], "tid_num": [1, None, 3]}, ""),
        ({"ts": [0, 5, 9], "tid_num": [1, 2, 2]}, "1 row is there twice"),
        ({"ts": [0, 5, 9], "tid": ["a", "b", "a"]}, "1 row is there twice"),
        ({"ts": [0, 1, 1], "tid": ["a", "b", None]}, ""),
        ({"ts": [0, 0, 0]}, ""),
    ],
)
def test_trades_are_in_order_and_each_id_is_there_once(store: Store, columns: Columns, words: str) -> None:
    count = len(columns["ts"])
    columns = columns | {"price": [1.0] * count, "amount": [1.0] * count}
    columns["ts"] = [FEB + us * US_NS for us in columns["ts"]]
    store.add_asked(TRADES, Interval(FEB, FEB + DAY_NS))
    forge(store, columns, dataset=TRADES)
    found = store.keeping.verify(TRADES).problems
    store.keeping.mend(TRADES, next(problem for problem in found if problem.remedy is Remedy.TAKE_IN))
    left = texts(store.keeping.verify(TRADES))
    assert left == "" if not words else words in left


def test_what_two_row_groups_share_is_compared(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from dccd.storage import period_file

    monkeypatch.setattr(period_file, "ROW_GROUP_ROWS", 4)
    forge(store, bars([0, 1, 2, 3, 3, 4, 5, 6]))
    assert "1 row is there twice" in texts(store.keeping.verify(BARS))
    forge(store, bars([0, 1, 2, 4, 3, 5, 6, 7]))
    assert "1 row is out of order" in texts(store.keeping.verify(BARS))
    ids = [1, 2, 3, 5, 5, 4, 7, 8]
    forge(
        store,
        {
            "ts": [FEB + n for n in range(0, 8000, 1000)],
            "tid_num": ids,
            "price": [1.0] * 8,
            "amount": [1.0] * 8,
        },
        dataset=TRADES,
    )
    store.add_asked(TRADES, Interval(FEB, FEB + DAY_NS))
    store.keeping.mend(TRADES, store.keeping.verify(TRADES).problems[0])
    assert texts(store.keeping.verify(TRADES)).count("1 row is there twice") == 1


def test_weeks_and_months_are_where_they_belong(store: Store) -> None:
    monday = FEB + 4 * DAY_NS
    week = 7 * DAY_NS
    weeks = bars([(monday + n * week - FEB) // MINUTE_NS for n in range(10)])
    put(store, WEEKS, weeks)
    months = bars([0, 29 * 1440, 60 * 1440])  # February has 29 days in 2024
    put(store, MONTHS, months)
    assert store.keeping.verify(WEEKS).sound
    assert store.keeping.verify(MONTHS).sound
    weeks["ts"][4] += DAY_NS
    months["ts"][2] += DAY_NS
    forge(store, weeks, IntervalSet(), WEEKS)
    forge(store, months, IntervalSet(), MONTHS)
    assert "1 row is at no multiple of 1w" in texts(store.keeping.verify(WEEKS))
    assert "1 row is at no multiple of 1mo" in texts(store.keeping.verify(MONTHS))


# --- no false alarm -------------------------------------------------------------------------------------


def rows_of_all_types(rng: random.Random) -> dict[DatasetId, Columns]:
    """Rows as they may come: out of order, equal times, with ids and without."""
    count = 400
    ts = [FEB + rng.randrange(3 * S_NS) // 100 * 100 for _ in range(count)]
    price = [rng.randrange(1, 9) / 2 for _ in range(count)]
    sides = [rng.choice(("bid", "ask")) for _ in range(count)]
    level: Columns = {"ts": ts, "side": sides, "price": price, "amount": price}
    trades: Columns = {"ts": ts, "price": price, "amount": price}
    identified = rng.sample(range(10**6), count)
    return {
        TRADES: trades | {"side": [rng.choice(("buy", "sell", None)) for _ in range(count)]},
        DatasetId.parse("kraken:BTC-USD:trades"): trades | {"tid_num": identified},
        DatasetId.parse("okx:BTC-USD:trades"): trades
        | {"tid": [rng.choice((None, f"id{n}")) for n in identified]},
        BOOK: level,
        UPDATES: level
        | {
            "session": [rng.choice("ab") for _ in range(count)],
            "recv_no": [rng.randrange(50) for _ in range(count)],
            "is_snapshot": [False] * count,
        },
        FUNDING: {"ts": [FEB + rng.randrange(90) * 8 * HOUR_NS for _ in range(count)], "rate": price},
        INTEREST: {
            "ts": [FEB + rng.randrange(900) * 5 * MINUTE_NS for _ in range(count)],
            "open_interest": price,
        },
        BARS: bars([rng.randrange(9000) for _ in range(count)]),
    }


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_found_in_what_the_program_wrote(store: Store, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(2):
        for dataset, columns in rows_of_all_types(rng).items():
            put(store, dataset, columns)
    for info in store.inventory():
        assert texts(store.keeping.verify(info.dataset)) == ""


@pytest.mark.parametrize("interval", ["1h", "1w"])
def test_nothing_is_found_in_real_bars(store: Store, shared: Path, interval: str) -> None:
    with gzip.open(shared / "datasets" / "binance_klines" / f"BTCUSDT_{interval}.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    columns = {"ts": [row[0] * MS_NS for row in rows]}
    columns |= {name: [float(row[place]) for row in rows] for place, name in enumerate(PRICES, 1)}
    dataset = DatasetId.parse(f"binance:BTC-USDT:ohlc:{interval}")
    put(store, dataset, columns)
    assert texts(store.keeping.verify(dataset)) == ""
    assert store.info(dataset).rows == len(rows) > 100


def test_a_file_that_is_replaced_meanwhile_is_no_false_alarm(store: Store) -> None:
    minutes = iter(range(60, 1000))

    def publish_more(_rows: int, _size: int) -> None:
        minute = next(minutes)
        put(store, BARS, bars([minute]), span(minute, minute + 1))

    assert texts(store.keeping.verify(BARS, publish_more)) == ""
    assert next(minutes) > 63, "nothing was published meanwhile"


def test_damage_that_was_put_aside_meanwhile_is_not_told_of_the_new_file(store: Store) -> None:
    flip_data(store)
    written = False

    def publish_once(_rows: int, _size: int) -> None:
        nonlocal written
        if not written:
            written = True
            put(store, BARS, bars(range(60)), span(0, 60))

    store.keeping.mend(BARS, store.keeping.verify(BARS).problems[0])
    assert texts(store.keeping.verify(BARS, publish_once)) == ""


def test_a_file_that_is_being_verified_is_published_once_that_is_over() -> None:
    disk, folder = SimDisk(ntfs=True), Path("/data")  # where no file is replaced that somebody has open
    with closing(Store.open(folder, fs=disk)) as store:
        put(store, BARS, bars(range(10)), span(0, 10))
        log = store.begin_backfill(BARS, "run", source="test")
        log.append(bars(range(10, 20)), span(10, 20))
        published: list[int] = []

        def meanwhile(rows: int, size_bytes: int) -> None:
            store.publish()
            published.append(store.files(BARS)[0].rows)

        report = store.keeping.verify(BARS, meanwhile)
        assert report.problems == ()
        assert published[:2] == [10, 10], "what is read, and the hash of it"
        assert store.info(BARS).rows == 20
        store.publish()
        assert store.files(BARS)[0].rows == 20
        log.finish()
        assert not any(name.endswith(".journal") for name in disk.files())
