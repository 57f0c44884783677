"""Files of an archive: unpacked, read and refused, without a network."""

from __future__ import annotations

import gzip
import zipfile
from contextlib import suppress
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dccd.domain.coverage import IntervalSet
from dccd.domain.errors import MalformedPayload
from dccd.domain.timeutils import DAY_NS, HOUR_NS, parse_time
from dccd.domain.types import DataType, Market
from dccd.sources.base import Archive, Table, Target
from dccd.transport import archive_rows
from dccd.transport.archive import days, files, reach
from dccd.transport.archive_rows import rows, whole
from tests.contract import kit

TRADES = Table(
    names=("id", "price", "qty", "time", "side"),
    columns={"ts": "time", "price": "price", "amount": "qty", "side": "side", "tid_num": "id"},
    convert={"side": lambda values: [{"B": "buy", "S": "sell"}[value] for value in values]},
)


def written(folder: Path, text: str | bytes, suffix: str = "zip") -> Path:
    path = folder / f"0-x.{suffix}"
    data = text.encode() if isinstance(text, str) else text
    if suffix == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.csv", data)
    else:
        path.write_bytes(gzip.compress(data))
    return path


def read(path: Path, table: Table = TRADES, data_type: DataType = DataType.TRADES) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for piece in rows(path, table, data_type):
        for name, values in piece.items():
            found.setdefault(name, []).extend(values.to_pylist())
    return found


@pytest.mark.parametrize("suffix", ["zip", "csv.gz"])
@pytest.mark.parametrize("head", ["", "id,price,qty,time,side\n", '"ID","Price","qty/数量","time","side"\n'])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_with_a_line_of_names_and_without(tmp_path: Path, suffix: str, head: str, end: str) -> None:
    body = "7,1.5,0.1,1700000000123,B\n8,0.30000000000000004,2e-8,1700000000124,S\n"
    found = read(written(tmp_path, (head + body).replace("\n", end), suffix))
    assert found == {
        "ts": [1_700_000_000_123_000_000, 1_700_000_000_124_000_000],
        "price": [1.5, 0.30000000000000004],
        "amount": [0.1, 2e-8],
        "side": ["buy", "sell"],
        "tid_num": [7, 8],
    }


def test_columns_are_found_by_their_names(tmp_path: Path) -> None:
    found = read(written(tmp_path, "pair,side,time,qty,price,id\nXY,B,1700000000123,2,3,9\n"))
    assert (found["price"], found["amount"], found["tid_num"]) == ([3.0], [2.0], [9])


@pytest.mark.parametrize(
    ("told", "ts_ns"),
    [
        ("1700000000", 1_700_000_000_000_000_000),
        ("1700000000123", 1_700_000_000_123_000_000),
        ("1700000000123456", 1_700_000_000_123_456_000),
        ("1700000000123456789", 1_700_000_000_123_456_789),
    ],
)
def test_the_size_of_a_time_tells_its_unit(tmp_path: Path, told: str, ts_ns: int) -> None:
    assert read(written(tmp_path, f"7,1.5,1,{told},B\n"))["ts"] == [ts_ns]


@pytest.mark.parametrize(
    ("times", "told", "ts_ns"),
    [
        ("seconds", "1585180700.0647", 1_585_180_700_064_700_000),
        ("text", "2024-01-02D03:04:05.123456789", parse_time("2024-01-02T03:04:05.123456789Z")),
        ("text", "2024-01-02 03:04:05", parse_time("2024-01-02T03:04:05Z")),
        ("text", "2024-01-02T03:04:05.5Z", parse_time("2024-01-02T03:04:05.5Z")),
    ],
)
def test_times_in_seconds_and_in_words(tmp_path: Path, times: Any, told: str, ts_ns: int) -> None:
    table = Table(names=TRADES.names, columns=TRADES.columns, convert=TRADES.convert, times=times)
    assert read(written(tmp_path, f"7,1.5,1,{told},B\n"), table)["ts"] == [ts_ns]


def test_the_rows_of_one_symbol(tmp_path: Path) -> None:
    names = ("symbol", *TRADES.names)
    table = Table(names=names, columns=TRADES.columns, convert=TRADES.convert, where=("symbol", "X"))
    path = written(tmp_path, "symbol,id,price,qty,time,side\nX,1,1,1,1700000000123,B\nY,2,,1,5,?\n", "csv.gz")
    assert read(path, table)["tid_num"] == [1]


@pytest.mark.parametrize(
    "text",
    [
        "id,price,qty,when,side\n7,1.5,1,1700000000123,B\n",
        "7,1.5,1,1700000000123,maybe\n",
        "7,,1,1700000000123,B\n",
        "7,nan,1,1700000000123,B\n",
        "7,1.5,1,1700000000123\n",
        "7,word,1,1700000000123,B\n",
        "<html>",
        b"\xff" * 100_000,
    ],
)
def test_what_is_no_such_table_is_refused(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(MalformedPayload, match="something else"):
        read(written(tmp_path, text))


@pytest.mark.parametrize("text", ["", "id,price,qty,time,side\n"])
def test_a_table_without_rows(tmp_path: Path, text: str) -> None:
    assert read(written(tmp_path, text)) == {}


@pytest.mark.parametrize("suffix", ["zip", "csv.gz"])
def test_a_file_that_unpacks_to_far_too_much_is_refused(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_rows, "_ALWAYS_BYTES", 1 << 20)
    path = written(tmp_path, b"7,1.5,1,1700000000123,B\n" * 1_000_000, suffix)
    with pytest.raises(ValueError, match="far more"):
        whole(path)
    with pytest.raises(MalformedPayload, match="far more"):
        read(path)


@pytest.mark.parametrize("suffix", ["zip", "csv.gz"])
def test_a_file_that_is_cut_or_changed_is_not_whole(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path, "".join(f"{n},1.5,1,1700000000123,B\n" for n in range(10_000)), suffix)
    whole(path)
    data = path.read_bytes()
    for damaged in (data[: len(data) // 2], data[:1000] + b"\x00\xff\x00" + data[1003:], b""):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="unpacked"):
            whole(path)


@pytest.mark.parametrize("suffix", ["zip", "csv.gz"])
def test_whichever_byte_is_changed_the_error_is_ours(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path, "7,1.5,1,1700000000123,B\n8,1.5,1,1700000000124,S\n", suffix)
    data = path.read_bytes()
    refused = 0
    for place, byte in enumerate(data):
        for other in {0, 1, 12, 14, 255, byte ^ 1, byte ^ 8, byte ^ 128} - {byte}:
            path.write_bytes(data[:place] + bytes([other]) + data[place + 1 :])
            try:
                whole(path)
            except ValueError:
                refused += 1
            with suppress(MalformedPayload):
                read(path)
    assert refused > len(data)


def test_trades_without_ids_come_in_whole_instants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_rows, "_BLOCK_BYTES", 100)
    table = Table(names=("time", "price", "qty"), columns={"ts": "time", "price": "price", "amount": "qty"})
    text = "".join(f"{1_700_000_000_000 + n // 7},1,{n}\n" for n in range(100))
    pieces = [piece["ts"].to_pylist() for piece in rows(written(tmp_path, text), table, DataType.TRADES)]
    assert len(pieces) > 5
    assert sum(map(len, pieces)) == 100
    assert all(before[-1] < after[0] for before, after in pairwise(pieces))
    backwards = "1700000000001,1,1\n1700000000000,1,1\n"
    with pytest.raises(MalformedPayload, match="order"):
        list(rows(written(tmp_path, backwards), table, DataType.TRADES))


def test_a_bar_that_lacks_a_value_is_left_out(tmp_path: Path) -> None:
    table = Table(names=("time", "oi"), columns={"ts": "time", "open_interest": "oi"}, times="text")
    path = written(tmp_path, "time,oi\n2024-01-01 00:00:00,5\n2024-01-01 00:05:00,\n")
    assert read(path, table, DataType.OPEN_INTEREST)["open_interest"] == [5.0]


def archive(**more: Any) -> Archive:
    return Archive(
        day=lambda _, day: f"d{day}",
        month=lambda _, day: f"m{day:%Y-%m}",
        table=lambda _: TRADES,
        since=lambda _: date(2024, 1, 1),
        **more,
    )


WHOSE: Target = kit.target("binance", Market.SPOT)


def test_months_where_all_of_one_is_wanted_and_out() -> None:
    start, end = parse_time("2024-01-30T05:00:00Z"), parse_time("2024-04-02T01:00:00Z")
    wanted = [file.path for file in files(archive(), WHOSE, start, end, parse_time("2024-04-05"))]
    days_of_march = [f"d2024-03-{day:02}" for day in range(1, 32)]
    assert wanted == ["d2024-01-30", "d2024-01-31", "m2024-02", *days_of_march, "d2024-04-01", "d2024-04-02"]
    february = list(files(archive(), WHOSE, start, end, parse_time("2024-04-05")))[2]
    assert [file.path for file in february.instead] == [f"d2024-02-{day:02}" for day in range(1, 30)]
    assert february.interval == (parse_time("2024-02-01"), parse_time("2024-03-01"))


def test_days_that_start_elsewhere() -> None:
    hong_kong = archive(starts_s=-8 * 3600)
    start = parse_time("2024-01-30T16:00:00Z")
    [file] = files(hong_kong, WHOSE, start, start + DAY_NS, start)
    assert file.path == "d2024-01-31"
    assert file.interval == (start, start + DAY_NS)
    wanted = IntervalSet.of(start - HOUR_NS, start + DAY_NS + HOUR_NS)
    assert days(hong_kong, wanted, whole_only=True) == IntervalSet.of(start, start + DAY_NS)
    assert days(hong_kong, wanted, whole_only=False) == IntervalSet.of(start - DAY_NS, start + 2 * DAY_NS)
    now = parse_time("2024-02-03T12:00:00Z")
    assert reach(hong_kong, WHOSE, now) == IntervalSet.of(
        parse_time("2023-12-31T16:00:00Z"), parse_time("2024-02-01T16:00:00Z")
    )
