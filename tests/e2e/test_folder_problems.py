"""What a command says of the data folder that it found when it opened it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.command_line import HOURLY, Dccd


@pytest.fixture
def data(dccd: Dccd, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A data folder with a month of bars."""
    assert dccd("backfill", *HOURLY, "--start", "2024-02-01", "--end", "2024-02-29") == 0
    capsys.readouterr()
    return tmp_path / "data"


@pytest.mark.parametrize(
    "command", [("inventory",), ("gaps",), ("gaps", "--json"), ("read", *HOURLY), ("verify",), ("repair",)]
)
def test_a_command_that_opens_the_folder_says_what_it_found_there(
    dccd: Dccd, data: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    (file,) = data.glob("ohlc/**/*.parquet")
    file.write_bytes(file.read_bytes()[:-50])
    assert dccd(*command) == (command[0] == "verify")
    said = capsys.readouterr().err
    assert [line for line in said.splitlines() if "dccd: " in line and "It was put aside." in line], said
    assert said.count("put aside") == 1
    dccd("inventory")
    assert capsys.readouterr().err == "", "it was said"


@pytest.mark.parametrize("files_go", [False, True])
def test_a_record_that_is_begun_anew_is_told_of(
    dccd: Dccd, data: Path, capsys: pytest.CaptureFixture[str], files_go: bool
) -> None:
    (data / ".dccd" / "coverage.db").unlink()
    if files_go:
        for file in data.glob("ohlc/**/*.parquet"):
            file.unlink()
    dccd("gaps")
    assert "dccd: The record of what was asked for had to be begun anew." in capsys.readouterr().err
