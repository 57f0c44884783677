"""Files laid out as the dccd 3 package does, made without it: small, odd and broken ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

HOUR_NS = 3_600_000_000_000
START_NS = 1_704_067_200_000_000_000  # 2024-01-01


def bars(count: int, **columns: Any) -> dict[str, Any]:
    """Hourly bars of 2024; `columns` take the place of theirs."""
    rows: dict[str, Any] = {"TS": [START_NS + number * HOUR_NS for number in range(count)]}
    rows |= {
        name: [float(number + 1) for number in range(count)] for name in ("open", "high", "low", "close")
    }
    rows |= {"volume": [0.5] * count, "quote_volume": [None] * count, "trades": [3] * count}
    return rows | columns


def trades(tids: list[str | None], **columns: Any) -> dict[str, Any]:
    """Trades a second apart with these ids; `columns` take the place of theirs."""
    count = len(tids)
    rows: dict[str, Any] = {"TS": [START_NS + number * 1_000_000_000 for number in range(count)]}
    rows |= {"price": [10.0] * count, "amount": [1.0] * count, "side": ["buy"] * count}
    return rows | {"tid": pa.array(tids, pa.string())} | columns


def write(folder: Path, place: str, rows: dict[str, Any]) -> Path:
    """Write a file of these columns."""
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(rows), path)
    return path
