"""Verifying, certifying, deleting and restoring from the command line."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.e2e.command_line import HOURLY, Dccd


@pytest.fixture
def data(dccd: Dccd, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A data folder with a month of bars."""
    assert dccd("backfill", *HOURLY, "--start", "2024-02-01", "--end", "2024-02-29") == 0
    capsys.readouterr()
    return tmp_path / "data"


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)


def test_what_is_sound_is_said_to_be(dccd: Dccd, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dccd("verify") == 0
    said = capsys.readouterr().out
    assert said.startswith("binance:BTC-USDT:ohlc:1h: sound (672 rows in 1 file")


def test_a_damaged_file_is_put_aside_and_its_time_fetched_again(
    dccd: Dccd, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file,) = data.glob("ohlc/**/*.parquet")
    flip(file)
    assert dccd("verify", *HOURLY) == 1
    said = capsys.readouterr().out
    assert "fails its hash" in said or "cannot be read" in said, said
    assert said.count(file.relative_to(data).as_posix()) == said.count("  error: ") > 0
    assert "`dccd verify binance BTC/USDT --type ohlc --span 1h --mend` puts the file aside" in said
    assert file.exists()
    out = data.parent / "out"
    for command in (("read",), ("check",), ("export", "--to", str(out))):
        assert dccd(command[0], *HOURLY, *command[1:]) == 1
        said = capsys.readouterr().err
        assert "`dccd verify --mend`" in said, said
    assert "the same command begins anew" in said
    assert not list(out.iterdir())
    assert dccd("verify", *HOURLY, "--mend", "--json") == 1
    (found,) = json.loads(capsys.readouterr().out)["datasets"]
    assert any(problem["mended"] for problem in found["problems"])
    assert not file.exists()
    assert dccd("repair") == 0
    assert dccd("verify") == 0
    capsys.readouterr()
    assert dccd("read", *HOURLY, "--format", "csv") == 0
    assert len(capsys.readouterr().out.splitlines()) == 673


def test_a_certificate_has_hashes_that_hold(
    dccd: Dccd, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dccd("certificate", *HOURLY, "--output", str(tmp_path / "c.json")) == 0
    document = json.loads((tmp_path / "c.json").read_text())
    assert dccd("certificate", *HOURLY) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["files"] == document["files"]
    (listed,) = document["files"]
    (file,) = data.glob("ohlc/**/*.parquet")
    assert listed["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert document["rows"] == 672


def test_a_certificate_needs_a_folder_to_be_written_to(
    dccd: Dccd, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dccd("certificate", *HOURLY, "--output", str(tmp_path / "none" / "c.json")) == 2
    assert f"There is no folder {tmp_path / 'none'}. Make it" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["read", "gaps", "certificate", "delete"])
def test_a_span_that_is_not_stored_is_told_with_those_that_are(
    dccd: Dccd, data: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert dccd(command, "binance", "BTC/USDT") == 2
    said = capsys.readouterr().err
    assert (
        "Nothing is stored of binance:BTC-USDT:ohlc:1m. There are 1h: name one of them with --span." in said
    )


def test_an_export_brings_its_certificate(dccd: Dccd, data: Path, tmp_path: Path) -> None:
    assert dccd("export", *HOURLY, "--to", str(tmp_path / "out"), "--certificate") == 0
    (certificate,) = (tmp_path / "out").glob("**/*.certificate.json")
    (listed,) = json.loads(certificate.read_text())["files"]
    (exported,) = (tmp_path / "out").glob("**/*.parquet")
    assert listed["sha256"] == hashlib.sha256(exported.read_bytes()).hexdigest()


def test_what_is_deleted_can_be_had_back(dccd: Dccd, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dccd("delete", *HOURLY) == 0
    said = capsys.readouterr().out
    entry = said.partition("--restore ")[2].split()[0]
    assert "672 rows in the trash until" in said
    assert not list(data.glob("ohlc/**/*.parquet"))
    assert dccd("trash") == 0
    assert "binance:BTC-USDT:ohlc:1h" in capsys.readouterr().out
    assert dccd("trash", "--restore", entry) == 0
    assert "672 rows put back" in capsys.readouterr().out
    assert dccd("verify") == 0
    assert dccd("delete", *HOURLY) == 0
    assert dccd("trash", "--empty") == 0
    assert "1 deleted dataset removed for good" in capsys.readouterr().out
    assert dccd("trash") == 0
    assert "The trash is empty." in capsys.readouterr().out
    assert not [path for path in (data / ".dccd" / "trash").rglob("*") if path.is_file()]
    for gone in (entry, "../x", "..", "a/b", "ü?#%2F"):
        assert dccd("trash", "--restore", gone) == 2
        assert "no such entry in the trash" in capsys.readouterr().err
    assert dccd("delete", *HOURLY) == 2
