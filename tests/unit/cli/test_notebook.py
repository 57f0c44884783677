"""``dccd.scan`` finds the data folder the way everything else does."""

from pathlib import Path

import pytest

import dccd
from dccd.domain.coverage import IntervalSet
from dccd.domain.dataset import DatasetId
from dccd.domain.timeutils import HOUR_NS, parse_time
from dccd.storage.store import Store

FUNDING = DatasetId.parse("binance:BTC-USDT_USDT:funding")
START_NS = parse_time("2024-01-01")


def test_scan_reads_the_folder_of_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "elsewhere"
    config = tmp_path / "config.toml"
    config.write_text(f"[settings]\ndata_path = {str(data)!r}\n")
    monkeypatch.setenv("DCCD_CONFIG", str(config))
    monkeypatch.delenv("DCCD_DATA_PATH", raising=False)
    store = Store.open(data)
    try:
        log = store.begin_backfill(FUNDING, "run", source="test")
        log.append({"ts": [START_NS], "rate": [0.0001]}, IntervalSet.of(START_NS, START_NS + HOUR_NS))
        # Neither published nor closed: what a running download has just stored is seen.
        rows = dccd.scan("binance", "BTC/USDT:USDT", "funding").to_table().to_pylist()
        assert [row["rate"] for row in rows] == [0.0001]
        log.finish()
    finally:
        store.close()
