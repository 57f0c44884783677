"""What is stored."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dccd.domain.types import DataType
from dccd.interfaces.api.models.base import Answer, Request, Text


class DatasetRequest(Request):
    """A dataset in a person's words; the symbol is resolved by the exchange's instruments."""

    exchange: Text
    symbol: Text
    data_type: DataType
    span: Text | None = None
    depth: Annotated[int, Field(ge=1, le=100_000)] | None = None


class DatasetName(Answer):
    """A dataset's id."""

    dataset: str


class GapItem(Answer):
    """A hole in what was asked for, and why it is there: in words, and as a stable code.

    A code is the name of a :class:`dccd.domain.gaps.GapCause` in lower case; "other" is an older program's.
    """

    start_ms: int
    end_ms: int
    cause: str
    code: str


class Dataset(Answer):
    """One dataset. `asked`, `covered` and `gaps` hold at most 200 items; `gap_count` is the true count."""

    id: str
    exchange: str
    symbol: str
    data_type: DataType
    span: str | None
    depth: int | None
    rows: int
    size_bytes: int
    files: int
    start_ms: int | None
    end_ms: int | None
    asked: list[tuple[int, int]]
    covered: list[tuple[int, int]]
    gaps: list[GapItem]
    gap_count: int
    complete: bool
    updated_ms: int | None
    bytes_per_day: int | None


class Inventory(Answer):
    """All datasets."""

    datasets: list[Dataset]


class DatasetFile(Answer):
    """One period file: its name under the dataset's folder, what it holds, and the hash of its rows.

    `sha256` is of the file without its footer, which holds it; a certificate has that of the whole file.
    """

    name: str
    period: str
    start_ms: int
    end_ms: int
    rows: int
    size_bytes: int
    sha256: str


class Snippet(Answer):
    """Lines that open the dataset in another tool."""

    tool: str
    code: str


class DatasetDetail(Dataset):
    """A dataset with its files and how to open them elsewhere."""

    path: str
    file_list: list[DatasetFile]
    snippets: list[Snippet]


class Gaps(Answer):
    """Every gap of a dataset, oldest first."""

    gaps: list[GapItem]
