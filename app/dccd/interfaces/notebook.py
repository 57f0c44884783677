"""``dccd.scan``: a stored dataset as a lazy frame, found as the configuration says."""

from __future__ import annotations

import os
from typing import Any

from dccd.application.config import load_config
from dccd.storage.scan import Engine
from dccd.storage.scan import scan as scan_folder


def scan(
    exchange: str,
    symbol: str,
    span_or_type: str,
    *,
    depth: int | None = None,
    data_path: str | os.PathLike[str] | None = None,
    engine: Engine = "pyarrow",
) -> Any:
    """A dataset as a lazy frame, without a server and without a lock; the app may run or not.

    Parameters
    ----------
    exchange, symbol : str
        For instance ``"binance"``, ``"BTC/USDT"``.
    span_or_type : str
        A span (``"1m"``) for bars, else a data type (``"trades"``, ``"funding"``); ``"open_interest:5m"``.
    depth : int or None
        Levels a side, for ``"orderbook"``.
    data_path : path or None
        Data folder; by default ``DCCD_DATA_PATH``, then what the configuration says.
    engine : {"pyarrow", "polars", "duckdb"}
        Returns a `pyarrow.dataset.Dataset`, a `polars.LazyFrame` or a `duckdb.DuckDBPyRelation`.

    Raises
    ------
    UnknownDataset
        Nothing is stored under these names.
    UsageError
        One of the names cannot be read.

    See Also
    --------
    dccd.storage.scan.scan : what exactly is seen while a download runs.
    """
    folder = load_config(data_path=data_path).data_path
    return scan_folder(exchange, symbol, span_or_type, depth=depth, data_path=folder, engine=engine)
