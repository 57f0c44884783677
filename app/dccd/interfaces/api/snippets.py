"""Lines that open a dataset in other tools, ready to copy."""

from __future__ import annotations

from pathlib import Path

from dccd.domain.dataset import DatasetId
from dccd.domain.types import DataType
from dccd.interfaces.api.models import Snippet


def of(dataset: DatasetId, data_path: Path) -> list[Snippet]:
    """One snippet a tool; each works as it is, the program running or not."""
    folder = data_path / dataset.folder
    files = (folder / "*.parquet").as_posix()
    span_or_type = str(dataset.span) if dataset.data_type is DataType.OHLC else dataset.data_type.value
    named = ", ".join(repr(text) for text in (dataset.exchange, str(dataset.symbol), span_or_type))
    quoted = files.replace("'", "''")
    return [
        _lines(
            "Python",
            "import dccd",
            f"frame = dccd.scan({named}, data_path={str(data_path)!r})",
            "print(frame.head(5))",
        ),
        _lines(
            "Polars",
            "import polars as pl",
            f"frame = pl.scan_parquet({files!r})",
            "print(frame.tail(5).collect())",
        ),
        _lines(
            "pandas",
            "import pandas as pd",
            f"frame = pd.read_parquet({folder.as_posix()!r})",
            "print(frame.tail(5))",
        ),
        _lines("DuckDB", f"FROM read_parquet('{quoted}') ORDER BY ts DESC LIMIT 5;"),
        _lines("R", "library(arrow)", f'frame <- open_dataset("{_r(folder.as_posix())}")', "head(frame)"),
    ]


def _lines(tool: str, *lines: str) -> Snippet:
    return Snippet(tool=tool, code="\n".join(lines))


def _r(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
