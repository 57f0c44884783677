"""How the command line prints rows, sizes and times."""

import csv
import io
import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from dccd.interfaces.cli.output import count, duration, print_rows, print_table, size, time_ms
from dccd.interfaces.cli.progress import facts

TABLE = pa.table(
    {
        "ts": pa.array([datetime(2024, 1, 1, tzinfo=UTC)] * 2, pa.timestamp("us", "UTC")),
        "ts_sub_ns": pa.array([None, 100], pa.int16()),
        "price": [0.1, 1e-8],
        "recv_ts": pa.array([None, datetime(2024, 1, 1, 0, 0, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")),
    }
)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1.5e9, "1.5 GB"), (2e15, "2000.0 TB")],
)
def test_sizes(size_bytes: float, text: str) -> None:
    assert size(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (18_420, "5 h 07 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 rows"), (1, "1 row"), (2000, "2,000 rows")])
def test_counts(number: int, text: str) -> None:
    assert count(number, "row") == text


def test_no_time_is_a_dash() -> None:
    assert time_ms(None) == "–"
    assert time_ms(1_704_067_200_000) == "2024-01-01T00:00:00Z"


def test_csv_has_a_header_once_and_times_to_the_nanosecond(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(TABLE, "csv", first=True)
    print_rows(TABLE, "csv", first=False)
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["ts", "price", "recv_ts"]
    assert rows[1] == ["2024-01-01T00:00:00Z", "0.1", ""]
    assert rows[2] == ["2024-01-01T00:00:00.0000001Z", "1e-08", "2024-01-01T00:00:01Z"]
    assert rows[3:] == rows[1:3]


def test_json_is_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(TABLE, "json", first=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == {
        "ts": "2024-01-01T00:00:00.0000001Z",
        "price": 1e-8,
        "recv_ts": "2024-01-01T00:00:01Z",
    }


def test_tables_align(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "ROWS"), [("x", "1"), ("longer", "1,000")], right=(1,))
    assert capsys.readouterr().out.splitlines() == ["A        ROWS", "x           1", "longer  1,000"]


def test_facts_of_progress_name_what_it_waits_for() -> None:
    progress = {
        "unit": "bars",
        "rows": 1234,
        "done": 1,
        "total": 4,
        "rows_per_s": 50.0,
        "eta_s": 61,
        "waiting": "Binance rests",
    }
    assert facts(progress) == "1,234 rows, 25 %, 50 rows/s, 1 min 01 s left, Binance rests"
    nothing = {"total": None, "rows_per_s": None, "eta_s": None, "waiting": None}
    unknown = {"unit": "rows", "rows": 5, "done": 5, **nothing}
    assert facts(unknown) == "5 rows"


def test_facts_of_progress_in_bytes_are_no_rows() -> None:
    copying = {"unit": "bytes", "rows": 0, "done": 1_500_000, "total": 3_000_000, "rows_per_s": 0.0}
    assert facts(copying | {"eta_s": 2, "waiting": None}) == "1.5 MB, 50 %, 2 s left"


def test_no_words_of_an_exchange_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("WHO", "ANSWER"), [("a", "no \x1b[2J\x1b]0;title\x07 such\npair 币安")])
    assert capsys.readouterr().out == "WHO  ANSWER\na    no ?[2J?]0;title? such?pair 币安\n"
