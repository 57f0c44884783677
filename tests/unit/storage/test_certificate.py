from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dccd
from dccd.domain.coverage import Interval, IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.errors import CorruptFile, StorageError, UnknownDataset
from dccd.domain.gaps import GapCause
from dccd.domain.timeutils import DAY_NS, HOUR_NS, MINUTE_NS
from dccd.storage import certificate, footer
from dccd.storage import export as export_module
from dccd.storage.export import FORMATS, Format, encode, export
from dccd.storage.store import Store

BARS = DatasetId.parse("binance:BTC-USDT:ohlc:1m")
TRADES = DatasetId.parse("bitfinex:BTC-USD:trades")
FEB = 1_706_745_600_000_000_000  # 2024-02-01
NAMES = ("open", "high", "low", "close", "volume")


def bars(first: int, last: int) -> dict[str, Any]:
    columns: dict[str, Any] = {"ts": [FEB + m * MINUTE_NS for m in range(first, last)]}
    return columns | {name: [5.0] * (last - first) for name in NAMES}


def span(first: int, last: int) -> IntervalSet:
    return IntervalSet.of(FEB + first * MINUTE_NS, FEB + last * MINUTE_NS)


@pytest.fixture
def store(data_path: Path) -> Iterator[Store]:
    opened = Store.open(data_path)
    log = opened.begin_backfill(BARS, "run", source="a source")
    log.append(bars(-60, 60), span(-60, 60))
    log.append({}, IntervalSet.of(FEB + 40 * DAY_NS, FEB + 41 * DAY_NS))
    log.finish()
    opened.add_asked(BARS, Interval(FEB - HOUR_NS, FEB + 3 * HOUR_NS))
    opened.add_absent(BARS, Interval(FEB + 2 * HOUR_NS, FEB + 3 * HOUR_NS), "listed later")
    opened.add_lost(BARS, Interval(FEB + 80 * MINUTE_NS, FEB + 90 * MINUTE_NS), GapCause.DISK_FULL)
    opened.add_doubt(BARS, Interval(FEB, FEB + 2 * MINUTE_NS), GapCause.DIFFERS)
    yield opened
    opened.close()


def check(document: dict[str, Any], folder: Path) -> None:
    """As a colleague does it, and `docs/certificate.md` says."""
    if shutil.which("sha256sum") is None:
        pytest.skip("there is no sha256sum here")
    lines = "".join(f"{file['sha256']}  {file['name']}\n" for file in document["files"])
    subprocess.run(
        ["sha256sum", "--check", "--strict"],
        input=lines.encode(),
        cwd=folder,
        check=True,
        capture_output=True,
    )


def test_a_certificate_says_what_a_dataset_holds_and_lacks(
    store: Store, data_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate, "_PIECE_BYTES", 1000)  # less than a file
    log = store.begin_backfill(BARS, "run", source="another")
    log.append(bars(60, 70), span(60, 70))  # in a journal: published first
    document = store.keeping.certificate(BARS)
    assert document is not None
    assert json.loads(json.dumps(document)) == document
    assert (document["format"], document["version"], document["of"]) == ("dccd-certificate", 1, "dataset")
    assert document["program"] == f"dccd {dccd.__version__}"
    assert document["dataset"] == {
        "id": str(BARS),
        "exchange": "binance",
        "symbol": "BTC/USDT",
        "data_type": "ohlc",
        "span": "1m",
        "depth": None,
    }
    assert (document["rows"], document["first"], document["last"]) == (
        130,
        "2024-01-31T23:00:00Z",
        "2024-02-01T01:09:00Z",
    )
    assert document["asked"] == [["2024-01-31T23:00:00Z", "2024-02-01T03:00:00Z"]]
    assert document["covered"] == [
        ["2024-01-31T23:00:00Z", "2024-02-01T00:00:00Z"],
        ["2024-02-01T00:02:00Z", "2024-02-01T01:10:00Z"],
        ["2024-03-12T00:00:00Z", "2024-03-13T00:00:00Z"],
    ]
    assert document["absent"] == [
        {"start": "2024-02-01T02:00:00Z", "end": "2024-02-01T03:00:00Z", "cause": "listed later"}
    ]
    assert [(gap["start"][11:16], gap["end"][11:16], gap["cause"]) for gap in document["gaps"]] == [
        ("00:00", "00:02", "differs from the exchange"),
        ("01:10", "01:20", "never fetched"),
        ("01:20", "01:30", "the disk was full"),
        ("01:30", "02:00", "never fetched"),
    ]
    assert document["sources"] == ["a source", "another"]
    assert document["columns"][0] == {"name": "ts", "type": "timestamp[us, tz=UTC]", "nullable": False}
    january, february = document["files"]
    assert january["name"] == "ohlc/exchange=binance/symbol=BTC-USDT/span=1m/2024-01.parquet"
    assert (january["rows"], january["bytes"]) == (60, (data_path / january["name"]).stat().st_size)
    assert february["covered"] == [["2024-02-01T00:00:00Z", "2024-02-01T01:10:00Z"]]
    check(document, data_path)
    victim = data_path / february["name"]
    victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    with pytest.raises(subprocess.CalledProcessError):
        check(document, data_path)
    with pytest.raises(CorruptFile):
        store.keeping.certificate(BARS)


def test_a_file_of_which_all_rows_were_taken_back_has_no_first_row(store: Store) -> None:
    store.add_doubt(BARS, Interval(FEB - 30 * DAY_NS, FEB), GapCause.DIFFERS)
    log = store.begin_backfill(BARS, "run", source="a source")
    log.append({}, IntervalSet.of(FEB - 30 * DAY_NS, FEB))
    log.finish()
    document = store.keeping.certificate(BARS)
    assert document is not None
    assert [(file["rows"], file["first"]) for file in document["files"]] == [
        (0, None),
        (60, "2024-02-01T00:00:00Z"),
    ]
    assert document["first"] == "2024-02-01T00:00:00Z"
    assert store.keeping.delete(BARS).start_ns == FEB


def test_none_is_made_once_the_store_is_being_closed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    read_info = footer.read_info

    def closed_meanwhile(*arguments: Any) -> footer.FileInfo:
        store.close()
        return read_info(*arguments)

    monkeypatch.setattr(certificate, "read_info", closed_meanwhile)
    with pytest.raises(StorageError, match="has been closed"):
        store.keeping.certificate(BARS)


def test_none_is_made_of_what_is_not_there_or_when_stopped(store: Store) -> None:
    assert store.keeping.certificate(BARS, stopped=lambda: True) is None
    with pytest.raises(UnknownDataset):
        store.keeping.certificate(TRADES)


def spoil(store: Store, at: int) -> str:
    """Change a byte of the newest file without a trace in its time of change."""
    info = store.files(BARS)[-1]
    path = store.data_path / info.path
    data, times = bytearray(path.read_bytes()), path.stat()
    data[at] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return info.path


@pytest.mark.parametrize("piece", [100, 1 << 20])
def test_nothing_is_certified_whose_data_is_not_what_was_written(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(certificate, "_PIECE_BYTES", piece)
    path = spoil(store, 1)  # before the first page: a reader of rows does not look there
    assert sum(batch.num_rows for batch in store.read(BARS)) == 120
    for certify in (
        lambda: store.keeping.certificate(BARS),
        lambda: export(store, BARS, tmp_path, "csv", certificate=True),
    ):
        with pytest.raises(CorruptFile, match=r"another hash.*dccd verify") as refused:
            certify()
        assert path in str(refused.value)
    assert not [each for each in tmp_path.iterdir() if each.is_file()]
    export(store, BARS, tmp_path, "csv", None, FEB, certificate=True)  # of January alone
    assert len([each for each in tmp_path.iterdir() if each.is_file()]) == 2


@pytest.mark.parametrize("format", FORMATS)
def test_an_export_is_certified(store: Store, tmp_path: Path, format: Format) -> None:  # noqa: A002
    start, end = FEB - 10 * MINUTE_NS, FEB + 75 * MINUTE_NS
    done = export(store, BARS, tmp_path, format, start, end, certificate=True)
    data, beside = done.files
    assert beside.name == f"{data.name.removesuffix(f'.{format}')}.certificate.json"
    document = json.loads(beside.read_text())
    check(document, tmp_path)
    assert document["of"] == "export"
    assert document["range"] == {"start": "2024-01-31T23:50:00Z", "end": "2024-02-01T01:15:00Z"}
    assert (document["rows"], document["first"], document["last"]) == (
        70,
        "2024-01-31T23:50:00Z",
        "2024-02-01T00:59:00Z",
    )
    assert document["asked"] == [["2024-01-31T23:50:00Z", "2024-02-01T01:15:00Z"]]
    assert [(gap["start"][11:16], gap["end"][11:16], gap["cause"]) for gap in document["gaps"]] == [
        ("00:00", "00:02", "differs from the exchange"),
        ("01:00", "01:15", "never fetched"),
    ]
    assert document["absent"] == []
    [file] = document["files"]
    assert (file["name"], file["bytes"], file["rows"]) == (data.name, data.stat().st_size, 70)
    assert done.bytes == data.stat().st_size + beside.stat().st_size


def test_an_export_without_a_range_is_of_all_that_was_asked_for(store: Store, tmp_path: Path) -> None:
    done = export(store, BARS, tmp_path, "parquet", certificate=True)
    document = json.loads(done.files[1].read_text())
    whole = store.keeping.certificate(BARS)
    assert whole is not None
    assert document["range"] == {"start": None, "end": None}
    for what in ("rows", "first", "last", "asked", "covered", "absent", "gaps", "columns", "dataset"):
        assert document[what] == whole[what], what


def test_an_export_of_nothing_is_certified_as_that(store: Store, tmp_path: Path) -> None:
    done = export(store, BARS, tmp_path, "csv", FEB + 5 * DAY_NS, FEB + 6 * DAY_NS, certificate=True)
    document = json.loads(done.files[1].read_text())
    assert (document["rows"], document["first"], document["files"][0]["last"]) == (0, None, None)
    assert [gap["cause"] for gap in document["gaps"]] == ["never fetched"]


def test_a_certificate_never_stands_beside_what_it_does_not_describe(store: Store, tmp_path: Path) -> None:
    export(store, BARS, tmp_path, "parquet", certificate=True)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    stopped = export(store, BARS, tmp_path, "parquet", cancelled=lambda: True, certificate=True)
    assert stopped.files == ()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    log = store.begin_backfill(BARS, "run", source="a source")
    log.append(bars(60, 70), span(60, 70))
    log.finish()
    done = export(store, BARS, tmp_path, "parquet", certificate=True)
    check(json.loads(done.files[1].read_text()), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == sorted(before)


def test_what_stops_between_the_two_leaves_no_certificate_of_the_old_data(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, beside = export(store, BARS, tmp_path, "parquet", certificate=True).files

    def the_power_goes(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(export_module, "export_certificate", the_power_goes)
    with pytest.raises(KeyboardInterrupt):
        export(store, BARS, tmp_path, "parquet", certificate=True)
    assert not beside.exists()
    assert [path.suffix for path in tmp_path.iterdir() if path.is_file()] == [".parquet"]


def test_pieces_make_the_same_file_as_an_export(store: Store, tmp_path: Path) -> None:
    export(store, BARS, tmp_path, "parquet")
    pieces = list(encode(store.read(BARS), BARS.data_type, "parquet"))
    sent = b"".join(piece.data for piece in pieces)
    assert sum(piece.rows for piece in pieces) == 120
    [path] = tmp_path.glob("*.parquet")
    assert sent == path.read_bytes()
    assert pq.read_table(pa.BufferReader(sent)).num_rows == 120
